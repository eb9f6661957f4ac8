package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/value"
)

// Suite is a campaign test file.
type Suite struct {
	Campaigns []string `yaml:"campaigns" required:"true"` // files and globs; LoadTests makes them relative to the working directory
	Config    string   `yaml:"config"`                    // a tripline.yaml; empty: the defaults, and `deliver.endpoint` may name anything
	Tests     []Test   `yaml:"tests" required:"true"`

	// File is the name of the test file.
	File string `yaml:"-"`
}

// Test is one case: what happens from Start to Until, and what must come of it.
type Test struct {
	Name     string                      `yaml:"name" required:"true"`
	Start    *campaign.Time              `yaml:"start" required:"true"` // never nil after LoadTests
	Profiles map[string]value.Properties `yaml:"profiles"`
	Events   []TestRecord                `yaml:"events"` // in the order of the file; a stable sort by At gives the order of arrival
	Until    *Moment                     `yaml:"until"`  // nil: the last arrival
	Expect   Expect                      `yaml:"expect"`

	// Line is where the case stands in the file.
	Line int `yaml:"-"`
}

// TestRecord is an event record or, without Event, a profile record or a tombstone.
type TestRecord struct {
	At         Moment           `yaml:"at" required:"true"` // the arrival
	User       string           `yaml:"user" required:"true"`
	Event      string           `yaml:"event"`
	ID         string           `yaml:"id"`
	Time       *Moment          `yaml:"time"` // the event's time; nil: the arrival
	Properties value.Properties `yaml:"properties"`
	Profile    value.Properties `yaml:"profile"`
	Erase      bool             `yaml:"erase"`
}

// Expect is what must come of a case. A nil list is not checked; any other is exactly what there must be, in any order.
type Expect struct {
	Triggers  []ExpectedTrigger  `yaml:"triggers"`
	Decisions []ExpectedDecision `yaml:"decisions"`
	Requests  []ExpectedRequest  `yaml:"requests"` // what would be sent; what a template drops is not
}

// ExpectedTrigger describes a trigger; what is nil or empty matches anything.
type ExpectedTrigger struct {
	At       *Moment          `yaml:"at"`      // the trigger's time
	Emitted  *Moment          `yaml:"emitted"` // when it left
	User     string           `yaml:"user"`
	Campaign string           `yaml:"campaign"`
	Category string           `yaml:"category"`
	Endpoint string           `yaml:"endpoint"`
	ID       string           `yaml:"id"`
	Profile  value.Properties `yaml:"profile"` // these properties, whatever others there are
	Events   []ExpectedEvent  `yaml:"events"`  // these events in this order, and no others

	// Line is where the expectation stands in the file.
	Line int `yaml:"-"`
}

// ExpectedEvent describes an event of a trigger; what is nil or empty matches anything.
type ExpectedEvent struct {
	Event      string           `yaml:"event"`
	At         *Moment          `yaml:"at"` // the event's time
	Properties value.Properties `yaml:"properties"`
}

// ExpectedDecision describes a decision; what is nil or empty matches anything.
type ExpectedDecision struct {
	At       *Moment     `yaml:"at"` // the decision's time
	Emitted  *Moment     `yaml:"emitted"`
	User     string      `yaml:"user"`
	Campaign string      `yaml:"campaign"`
	Decision string      `yaml:"decision" values:"suppressed|converted"`
	Reason   string      `yaml:"reason" values:"paused|outside_schedule|not_in_audience|reentry|stale|exited|quiet_hours|capped|control_group"`
	Detail   string      `yaml:"detail"`
	Trigger  string      `yaml:"trigger_id"`
	Group    string      `yaml:"group" values:"treated|control"`
	Value    value.Value `yaml:"value"`

	// Line is where the expectation stands in the file.
	Line int `yaml:"-"`
}

// ExpectedRequest describes the request of a delivery; what is nil or empty matches anything.
type ExpectedRequest struct {
	Endpoint     string            `yaml:"endpoint"`
	User         string            `yaml:"user"`
	Campaign     string            `yaml:"campaign"`
	Method       string            `yaml:"method"`
	URL          string            `yaml:"url"`           // with its query
	Headers      map[string]string `yaml:"headers"`       // these, whatever others there are
	Body         value.Value       `yaml:"body"`          // text: the very body; a mapping: of a JSON body, these members
	BodyContains string            `yaml:"body_contains"` // a part of the body's text

	// Line is where the expectation stands in the file.
	Line int `yaml:"-"`
}

// Moment is a time in a test: an offset from the test's start, or an absolute time.
type Moment struct {
	ms       int64
	absolute bool
}

// In is the moment in milliseconds since the epoch, in a test that starts at start.
func (m Moment) In(start int64) int64 {
	if m.absolute {
		return m.ms
	}
	return start + m.ms
}

// UnmarshalText reads a duration or RFC 3339.
func (m *Moment) UnmarshalText(text []byte) error {
	ms, err := calendar.ParseDuration(string(text))
	if string(text) == "0" {
		ms, err = 0, nil
	}
	absolute := false
	if err != nil {
		ms, err = calendar.ParseTime(string(text))
		absolute = true
	}
	if err != nil {
		return fmt.Errorf("expected an offset from the start as in 30m, or a time as in 2026-01-05T10:00:00Z, not %q", text)
	}
	*m = Moment{ms: ms, absolute: absolute}
	return nil
}

func (t *Test) setLine(line int)             { t.Line = line }
func (e *ExpectedTrigger) setLine(line int)  { e.Line = line }
func (e *ExpectedDecision) setLine(line int) { e.Line = line }
func (e *ExpectedRequest) setLine(line int)  { e.Line = line }

// LoadTests reads a campaign test file. The campaigns and the configuration that it names are not read.
func LoadTests(name string) (*Suite, Problems) {
	f, parts := readFile(name, maxTests)
	d := &document{file: f}
	for i, part := range parts {
		if i > 0 {
			f.note(part.line, 1, "a second document; a test file has one", "")
			break
		}
		d.root = f.parse(part)
	}
	s := &Suite{File: name}
	d.decodeDocument(s)
	if !f.broken && (d.root != nil || len(f.problems) == 0) {
		s.check(d)
	}
	src := &Source{files: []*file{f}}
	return s, src.problems()
}

func (s *Suite) check(d *document) {
	if len(s.Campaigns) == 0 {
		d.wrong("campaigns", "", "`campaigns`: expected the campaign files that are tested")
	}
	for i := range s.Campaigns {
		s.Campaigns[i] = d.path(s.Campaigns[i])
	}
	files, bad := expandGlobs(s.Campaigns)
	for i, pattern := range s.Campaigns {
		if own, _ := expandGlobs([]string{pattern}); len(own) == 0 && bad[i] == "" { // a case that expects nothing would pass
			bad[i] = "no campaign file matches"
		}
	}
	for i, message := range bad {
		d.wrong(fmt.Sprintf("campaigns[%d]", i), "", "`campaigns`: %s", message)
	}
	s.Campaigns = files
	if s.Config != "" {
		s.Config = d.path(s.Config)
	}
	if len(s.Tests) == 0 {
		d.wrong("tests", "", "`tests`: expected at least one test")
	}
	for i := range s.Tests {
		t, at := &s.Tests[i], fmt.Sprintf("tests[%d]", i)
		if t.Name == "" {
			d.missing(at + ".name")
		}
		t.check(d, at)
	}
}

func (t *Test) check(d *document, at string) {
	if t.Start == nil {
		t.Start = new(campaign.Time)
		d.missing(at + ".start")
		return
	}
	start := int64(*t.Start)
	last := start
	for i, record := range t.Events {
		path := fmt.Sprintf("%s.events[%d]", at, i)
		arrival := record.At.In(start)
		last = max(last, arrival)
		if arrival < start {
			d.wrong(path+".at", "", "`at`: before the start of the test")
		}
		record.check(d, path)
	}
	for i, decision := range t.Expect.Decisions {
		decision.check(d, fmt.Sprintf("%s.expect.decisions[%d]", at, i))
	}
	if t.Until != nil && t.Until.In(start) < last {
		d.wrong(at+".until", "", "`until`: before the last event arrives")
	}
}

// check refuses words that no decision has: what is expected would never come.
func (e *ExpectedDecision) check(d *document, at string) {
	if e.Decision != "" {
		d.oneOf(at+".decision", e.Decision, "suppressed", "converted")
	}
	if e.Reason != "" {
		d.oneOf(at+".reason", e.Reason, campaign.Reasons()...)
	}
	if e.Group != "" {
		d.oneOf(at+".group", e.Group, "treated", "control")
	}
}

func (r *TestRecord) check(d *document, at string) {
	if r.User == "" {
		d.missing(at + ".user")
	}
	given := func(key string) bool {
		_, ok := d.found[at+"."+key]
		return ok
	}
	if !given("at") {
		d.missing(at + ".at")
	}
	if given("event") && r.Event == "" {
		d.wrong(at+".event", "", "`event`: expected the name of an event")
	}
	if given("event") && r.Erase {
		d.wrong(at+".erase", "", "`erase`: an event does not erase; leave `event` out")
	}
	if given("event") {
		return
	}
	for _, key := range []string{"id", "time", "properties"} {
		if given(key) {
			d.wrong(at+"."+key, "", "`%s` belongs to an event; this entry has no `event`", key)
		}
	}
	if r.Erase == given("profile") {
		d.wrong(at, "", "expected `event`, or `profile`, or `erase: true`")
	}
}

// maxJSON bounds one value of a test, in bytes.
const maxJSON = 1 << 20

// decodeJSON reads whatever stands there as a JSON value, numbers with their digits.
func (d *document) decodeJSON(n *node, path string, v reflect.Value) {
	if v.Type() == properties && n.kind != mapping {
		d.problem(n, path, "", "%s: expected a mapping, not %s", keyName(path), n.describe())
		return
	}
	text, ok := d.appendJSON(nil, n, path)
	if !ok {
		return
	}
	var err error
	if len(text) > maxJSON {
		err = fmt.Errorf("larger than 1 MiB")
	} else if v.Type() == properties {
		var object value.Properties
		if object, err = value.ParseObject(text); object == nil {
			object = value.Properties{}
		}
		v.Set(reflect.ValueOf(object))
	} else {
		var any value.Value
		any, err = value.Parse(text)
		v.Set(reflect.ValueOf(any))
	}
	if err != nil {
		d.problem(n, path, "", "%s: %s", keyName(path), err)
	}
}

func (d *document) appendJSON(dst []byte, n *node, path string) (out []byte, ok bool) {
	if len(dst) > maxJSON {
		return dst, true
	}
	ok = true
	switch n.kind {
	case list:
		dst = append(dst, '[')
		for i, element := range n.list {
			if i > 0 {
				dst = append(dst, ',')
			}
			var good bool
			dst, good = d.appendJSON(dst, element, fmt.Sprintf("%s[%d]", path, i))
			ok = ok && good
		}
		return append(dst, ']'), ok
	case mapping:
		dst = append(dst, '{')
		for i, p := range n.pairs {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(value.OfString(p.key.text).Append(dst), ':')
			var good bool
			dst, good = d.appendJSON(dst, p.value, join(path, p.key.text))
			ok = ok && good
		}
		return append(dst, '}'), ok
	}
	switch n.class() {
	case null:
		return append(dst, "null"...), true
	case boolean:
		return strconv.AppendBool(dst, strings.EqualFold(n.text, "true")), true
	case integer, float:
		number, ok := jsonNumber(n.text)
		if !ok {
			d.problem(n, path, "", "%s: JSON has no number %s; put it in quotes if it is text", keyName(path), n.text)
		}
		return append(dst, number...), ok
	}
	return value.OfString(n.text).Append(dst), true
}
