package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tripline/tripline/config"
	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/explain"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/value"
)

// differences are the fields in which something differs from what a test expects of it.
type differences struct {
	start int64 // of the test
	quick bool  // only whether there is one
	list  []string
}

func (d *differences) differ(field string, want, got func() string) {
	text := ""
	if !d.quick {
		text = field + ": want " + want() + ", got " + got()
	}
	d.list = append(d.list, text)
}

func (d *differences) at(field string, want *config.Moment, got int64) {
	if want != nil && want.In(d.start) != got {
		d.differ(field, func() string { return offset(want.In(d.start), d.start) }, func() string { return offset(got, d.start) })
	}
}

func (d *differences) text(field, want, got string) {
	if want != "" && want != got {
		d.differ(field, func() string { return strconv.Quote(want) }, func() string { return strconv.Quote(got) })
	}
}

func (d *differences) value(field string, want, got value.Value) {
	if !value.Equal(want, got) {
		show := func(v value.Value) func() string { return func() string { return string(v.Append(nil)) } }
		d.differ(field, show(want), show(got))
	}
}

// properties are held against those that there are; others may stand beside them.
func (d *differences) properties(field string, want, got value.Properties) {
	for _, p := range want {
		d.value(field+"."+p.Name, p.Value, got.Get(p.Name))
	}
}

// members holds a JSON value against what is expected of it: of objects the members that are named, all else as it is.
func (d *differences) members(field string, want, got value.Value) {
	if want.Kind() != value.Object || got.Kind() != value.Object {
		d.value(field, want, got)
		return
	}
	fields := got.Fields()
	for _, p := range want.Fields() {
		d.members(field+"."+p.Name, p.Value, fields.Get(p.Name))
	}
}

func (d *differences) trigger(e *config.ExpectedTrigger, t *record.Trigger) {
	d.at("at", e.At, t.Time)
	d.at("emitted", e.Emitted, max(t.Left, t.Time))
	d.text("user", e.User, t.User)
	d.text("campaign", e.Campaign, t.Campaign)
	d.text("category", e.Category, t.Category)
	d.text("endpoint", e.Endpoint, t.Endpoint)
	d.text("id", e.ID, t.ID)
	d.properties("profile", e.Profile, t.Profile)
	if e.Events == nil {
		return
	}
	if len(e.Events) != len(t.Events) {
		d.differ("events", func() string { return strconv.Itoa(len(e.Events)) }, func() string { return strconv.Itoa(len(t.Events)) })
		return
	}
	for i := range e.Events {
		field := "events[" + strconv.Itoa(i) + "]"
		d.text(field+".event", e.Events[i].Event, t.Events[i].Name)
		d.at(field+".at", e.Events[i].At, t.Events[i].Time)
		d.properties(field+".properties", e.Events[i].Properties, t.Events[i].Properties)
	}
}

func (d *differences) decision(e *config.ExpectedDecision, got *record.Decision) {
	d.at("at", e.At, got.Time)
	d.at("emitted", e.Emitted, got.Left)
	for _, f := range [][3]string{{"user", e.User, got.User}, {"campaign", e.Campaign, got.Campaign}, {"decision", e.Decision, got.Decision},
		{"reason", e.Reason, got.Reason}, {"detail", e.Detail, got.Detail}, {"trigger_id", e.Trigger, got.TriggerID}, {"group", e.Group, got.Group}} {
		d.text(f[0], f[1], f[2])
	}
	if !e.Value.IsNil() {
		d.value("value", e.Value, got.Value)
	}
}

// compared are the leftovers of a list that was expected against what there was.
type compared struct {
	missing, extra []int
	differ         func(w, g int, d *differences)
	start          int64
}

func compare(want, got int, start int64, differ func(w, g int, d *differences)) *compared {
	c := &compared{differ: differ, start: start}
	c.missing, c.extra = match(want, got, func(w, g int) bool {
		d := differences{start: start, quick: true}
		differ(w, g, &d)
		return len(d.list) == 0
	})
	return c
}

// nearest is, among what nobody expected, that which differs from w in the fewest fields, as far as about says that it is to be
// looked at, and in what it differs. g is below 0 if there is none.
func (c *compared) nearest(w int, about func(g int) bool) (g int, list []string) {
	g = -1
	for _, x := range c.extra {
		if !about(x) {
			continue
		}
		d := differences{start: c.start}
		if c.differ(w, x, &d); g < 0 || len(d.list) < len(list) {
			g, list = x, d.list
		}
	}
	return g, list
}

func (s *suite) compareTriggers(t *config.Test, start int64, got *outcome) (failures []string) {
	want := t.Expect.Triggers
	c := compare(len(want), len(got.triggers), start, func(w, g int, d *differences) { d.trigger(&want[w], &got.triggers[g]) })
	for _, w := range c.missing {
		e := &want[w]
		failures = append(failures, fmt.Sprintf("line %d: missing trigger%s: %s", e.Line, described(e.At, start, e.User, e.Campaign), s.why(w, t, got, c)))
	}
	for _, g := range c.extra {
		failures = append(failures, "unexpected trigger "+describeTrigger(&got.triggers[g], start))
	}
	return failures
}

// why explains, from what did happen, why an expected trigger did not come.
func (s *suite) why(w int, t *config.Test, got *outcome, c *compared) string {
	start, e := int64(*t.Start), &t.Expect.Triggers[w]
	about := func(user, name string) bool {
		return (e.User == "" || e.User == user) && (e.Campaign == "" || e.Campaign == name)
	}
	for _, d := range append(slices.Clone(got.decisions), got.outside...) {
		if about(d.User, d.Campaign) && d.Decision == "suppressed" && (e.At == nil || e.At.In(start) == d.Time) {
			return fmt.Sprintf("it qualified at %s and was suppressed: %s%s", offset(d.Time, start), d.Reason, behind(": ", d.Detail)) +
				behind("; ", s.explained(e, t, got))
		}
	}
	if g, list := c.nearest(w, func(g int) bool { return about(got.triggers[g].User, got.triggers[g].Campaign) }); g >= 0 {
		return "the nearest that came, " + describeTrigger(&got.triggers[g], start) + ", differs in " + strings.Join(list, "; ") +
			behind("; ", s.explained(e, t, got))
	}
	if e.Campaign != "" && !slices.Contains(s.set.Names(), e.Campaign) {
		return "there is no campaign " + e.Campaign + "; there are " + strings.Join(s.set.Names(), ", ")
	}
	text := s.explained(e, t, got)
	if e.At != nil && (e.At.In(start) > got.end || e.At.In(start) == got.end && text == "") {
		return "the test ends at " + offset(got.end, start) + ", before that has passed; until sets its end" + behind("; ", text)
	}
	if text != "" {
		return text
	}
	return "the condition did not become true by then" + did(e.User, t, start)
}

// explained says which conditions of the campaign did not hold for the user at the moment expected; "" where the expectation names
// no user or campaign and there are several, or nothing is known of them.
func (s *suite) explained(e *config.ExpectedTrigger, t *config.Test, got *outcome) string {
	start, user, name := int64(*t.Start), e.User, e.Campaign
	if names := s.set.Names(); name == "" && len(names) == 1 {
		name = names[0]
	}
	if user == "" && len(t.Events) > 0 && !slices.ContainsFunc(t.Events, func(r config.TestRecord) bool { return r.User != t.Events[0].User }) {
		user = t.Events[0].User
	}
	u := got.line.User(user)
	if u == nil {
		return ""
	}
	v, ok := u.View(name)
	if !ok {
		return ""
	}
	moment := got.end
	if e.At != nil {
		moment = e.At.In(start)
	}
	return explain.At(v, moment).Missing()
}

func behind(separator, text string) string {
	if text == "" {
		return ""
	}
	return separator + text
}

// did says what a user did, as far as it is short.
func did(user string, t *config.Test, start int64) string {
	if user == "" {
		return ""
	}
	var list []string
	for i := range t.Events {
		if r := &t.Events[i]; r.User == user && r.Event != "" {
			list = append(list, fmt.Sprintf("%s at %s", r.Event, offset(r.At.In(start), start)))
		}
	}
	switch n := len(list); {
	case n == 0:
		return "; this test has no event of user " + user
	case n > 5:
		list = append([]string{fmt.Sprintf("%d events", n-5)}, list[n-5:]...)
	}
	return "; what " + user + " did: " + strings.Join(list, ", ")
}

func (s *suite) compareDecisions(t *config.Test, start int64, got *outcome) (failures []string) {
	want := t.Expect.Decisions
	c := compare(len(want), len(got.decisions), start, func(w, g int, d *differences) { d.decision(&want[w], &got.decisions[g]) })
	for _, w := range c.missing {
		e := &want[w]
		text := fmt.Sprintf("line %d: missing decision%s", e.Line, described(e.At, start, e.User, e.Campaign, "decision", e.Decision, "reason", e.Reason))
		if g, list := c.nearest(w, func(g int) bool { return e.User == "" || got.decisions[g].User == e.User }); g >= 0 {
			text += ": the nearest that came differs in " + strings.Join(list, "; ")
		}
		if e.Reason == "not_in_audience" && !s.notInAudience {
			text += "; such decisions are written only where the configuration has decisions: {not_in_audience: true}"
		}
		failures = append(failures, text)
	}
	for _, g := range c.extra {
		d := &got.decisions[g]
		failures = append(failures, fmt.Sprintf("unexpected decision at %s, user %s, campaign %s: %s %s", offset(d.Time, start), d.User, d.Campaign, d.Decision, d.Reason))
	}
	return failures
}

// match pairs what was wanted with what was got so that as many as possible fit (augmenting paths), and returns who is left over.
func match(want, got int, fits func(w, g int) bool) (missing, extra []int) {
	partner := make([]int, got)
	for g := range partner {
		partner[g] = -1
	}
	var try func(w int, seen []bool) bool
	try = func(w int, seen []bool) bool {
		for g := range got {
			if seen[g] || !fits(w, g) {
				continue
			}
			seen[g] = true
			if partner[g] < 0 || try(partner[g], seen) {
				partner[g] = w
				return true
			}
		}
		return false
	}
	for w := range want {
		if !try(w, make([]bool, got)) {
			missing = append(missing, w)
		}
	}
	for g, w := range partner {
		if w < 0 {
			extra = append(extra, g)
		}
	}
	return missing, extra
}

// described names an expectation by its moment, user, campaign and the further fields, each a name and a value.
func described(at *config.Moment, start int64, user, name string, further ...string) string {
	var b strings.Builder
	if at != nil {
		b.WriteString(" at " + offset(at.In(start), start))
	}
	for part := range slices.Chunk(append([]string{"user", user, "campaign", name}, further...), 2) {
		if part[1] != "" {
			b.WriteString(" " + part[0] + " " + part[1])
		}
	}
	return b.String()
}

func describeTrigger(t *record.Trigger, start int64) string {
	out := fmt.Sprintf("at %s user %s campaign %s", offset(t.Time, start), t.User, t.Campaign)
	if t.Left != t.Time {
		out += ", emitted " + offset(t.Left, start)
	}
	for i, e := range t.Events {
		out += [2]string{", from ", " and "}[min(i, 1)] + e.Name + " at " + offset(e.Time, start)
	}
	return out
}

// offset prints a moment as tests write it.
func offset(ms, start int64) string {
	if ms == start {
		return "0m"
	}
	return calendar.FormatDuration(ms-start) + " (" + calendar.FormatTime(ms) + ")"
}
