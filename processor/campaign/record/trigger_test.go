package record

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/tripline/tripline/processor/campaign/value"
)

func properties(t testing.TB, text string) value.Properties {
	t.Helper()
	p, err := value.ParseObject([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// sample is the trigger of records.md.
func sample(t testing.TB) Trigger {
	return Trigger{
		ID: "trg_1", Campaign: "abandoned-cart", Version: "9f2c", Category: "inaction_within_time", User: "u-17",
		Time: 1795518840123, Left: 1795518840123, Profile: properties(t, `{"country":"CA","visits":12345678901234567}`),
		Events: []Happening{
			{"Added To Cart", 1795517040123, properties(t, `{"amount":129.0,"items":[{"sku":"A-1"}],"none":null}`)},
			{"Added \"To\" Cart", 1795517040124, nil},
		},
		Endpoint: "ops-center",
	}
}

func TestTrigger(t *testing.T) {
	trigger := sample(t)
	want := `{"id":"trg_1","campaign":"abandoned-cart","version":"9f2c","category":"inaction_within_time","user_id":"u-17",` +
		`"time":"2026-11-24T11:14:00.123Z","emitted_at":"2026-11-24T11:14:01.000Z",` +
		`"profile":{"country":"CA","visits":12345678901234567},` +
		`"events":[{"event":"Added To Cart","time":"2026-11-24T10:44:00.123Z","properties":{"amount":129.0,"items":[{"sku":"A-1"}],"none":null}},` +
		`{"event":"Added \"To\" Cart","time":"2026-11-24T10:44:00.124Z","properties":{}}],"endpoint":"ops-center"}`
	if got := string(trigger.Append([]byte("before"), 1795518841000)); got != "before"+want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	trigger.EmittedAt, trigger.Left = 1795518841000, 0
	if got, err := ParseTrigger([]byte(want)); err != nil || !reflect.DeepEqual(got, trigger) {
		t.Errorf("it came back as %+v, %v", got, err)
	}
}

func TestTriggerOfNothing(t *testing.T) {
	trigger := Trigger{ID: "trg_1", Campaign: "c", User: "u", Endpoint: "e", Time: -1}
	want := `{"id":"trg_1","campaign":"c","user_id":"u","time":"1969-12-31T23:59:59.999Z","emitted_at":"1969-12-31T23:59:59.999Z",` +
		`"profile":{},"events":[],"endpoint":"e"}`
	if got := string(trigger.Append(nil, -5)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	trigger.EmittedAt = -1
	if got, err := ParseTrigger([]byte(want)); err != nil || !reflect.DeepEqual(got, trigger) {
		t.Errorf("it came back as %+v, %v", got, err)
	}
}

func TestTriggerShowsTheNewestEvents(t *testing.T) {
	trigger := sample(t)
	trigger.Events = nil
	for i := range 1000 {
		trigger.Events = append(trigger.Events, Happening{Name: "A", Time: int64(i)})
	}
	got, err := ParseTrigger(trigger.Append(nil, trigger.Time))
	if err != nil || len(got.Events) != 100 || got.Events[0].Time != 900 || got.Events[99].Time != 999 || !got.Truncated {
		t.Errorf("%d events, truncated %v, %v", len(got.Events), got.Truncated, err)
	}
	trigger.Events = trigger.Events[:100]
	if got, err := ParseTrigger(trigger.Append(nil, trigger.Time)); err != nil || len(got.Events) != 100 || got.Truncated {
		t.Errorf("%d events, truncated %v, %v", len(got.Events), got.Truncated, err)
	}
	if trigger.Truncated || len(trigger.Events) != 100 {
		t.Error("writing the trigger changed it")
	}
}

// text is a property of so many bytes, whose value would take more room escaped if quote were a quote.
func text(name string, size int, fill string) value.Property {
	return value.Property{Name: name, Value: value.OfString(strings.Repeat(fill, size/len(fill)))}
}

func TestTriggerIsBounded(t *testing.T) {
	const kib = 1 << 10
	for _, c := range []struct {
		name    string
		profile value.Properties
		events  []value.Properties
		want    string // the names of the properties that are left, of each event and of the profile
	}{
		{"just fits", nil, []value.Properties{{text("a", 500*kib, "x"), text("b", 395*kib, "x")}}, "ab|"},
		{"the largest goes", nil, []value.Properties{{text("a", 300*kib, "x"), text("b", 301*kib, "x"), text("c", 299*kib, "x")}}, "ac|"},
		{"of all events", nil, []value.Properties{{text("a", 300*kib, "x")}, {text("b", 400*kib, "x")}, {text("c", 350*kib, "x")}}, "a||c|"},
		{"of equals the oldest", nil, []value.Properties{{text("a", 300*kib, "x")}, {text("b", 300*kib, "x")}, {text("c", 300*kib, "x")}}, "|b|c|"},
		{"measured as written", nil, []value.Properties{{text("a", 400*kib, "x"), text("b", 300*kib, "\""), text("c", 10, "x")}}, "ac|"},
		{"the profile only if it must be", value.Properties{text("p", 888*kib, "x"), text("q", 3*kib, "x")},
			[]value.Properties{{text("a", 2*kib, "x"), text("b", 5*kib, "x")}, {text("c", kib, "x")}}, "a|c|pq"},
		{"the profile too", value.Properties{text("p", 890*kib, "x"), text("q", 100*kib, "x")},
			[]value.Properties{{text("a", 2*kib, "x")}, {text("b", 100*kib, "x")}}, "||q"},
		{"everything", value.Properties{text("p", 2000*kib, "x")}, []value.Properties{{text("a", 2000*kib, "x")}}, "|"},
	} {
		trigger := sample(t)
		trigger.Profile, trigger.Events = c.profile, nil
		for i, p := range c.events {
			trigger.Events = append(trigger.Events, Happening{"A", int64(i), p})
		}
		whole := trigger
		whole.Events = append([]Happening(nil), trigger.Events...)
		written := trigger.Append(nil, trigger.Time)
		got, err := ParseTrigger(written)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var left string
		for _, e := range got.Events {
			for _, p := range e.Properties {
				left += p.Name
			}
			left += "|"
		}
		for _, p := range got.Profile {
			left += p.Name
		}
		if left != c.want || len(written) > MaxBytes || got.Truncated != (c.name != "just fits") {
			t.Errorf("%s: %d bytes, truncated %v, left is %s, want %s", c.name, len(written), got.Truncated, left, c.want)
		}
		if !reflect.DeepEqual(trigger, whole) {
			t.Errorf("%s: writing the trigger changed it", c.name)
		}
	}
}

func TestTriggerWithoutRoomForItsEvents(t *testing.T) {
	trigger := sample(t)
	for i := range 99 {
		trigger.Events = append(trigger.Events, Happening{Name: strings.Repeat("n", 20<<10), Time: int64(i)})
	}
	written := trigger.Append(nil, trigger.Time)
	got, err := ParseTrigger(written)
	if err != nil || len(written) > MaxBytes || len(written) < MaxBytes-21<<10 || !got.Truncated {
		t.Fatalf("%d bytes, truncated %v, %v", len(written), got.Truncated, err)
	}
	if last := got.Events[len(got.Events)-1].Time; last != 98 {
		t.Errorf("the newest event is of %d", last)
	}
}

func TestShrinkCountsBytesExactly(t *testing.T) {
	for n := range 40 {
		trigger := sample(t)
		trigger.Truncated = n%2 == 0
		var p, q value.Properties
		for i := range n {
			p = append(p, text(fmt.Sprint("p", i), 40<<10+i, "x"))
			q = append(q, text(fmt.Sprint("q", i), 10<<10, "\x01"))
		}
		trigger.Events = []Happening{{"A", 1, p}, {"B", 2, q}, {"C", 3, nil}}
		before := trigger
		before.EmittedAt = trigger.Time
		size := len(before.appendWhole(nil))
		if size <= MaxBytes {
			continue
		}
		places := []*value.Properties{&p, &q}
		want := dropLargest(places, size)
		before.Events = []Happening{{"A", 1, p}, {"B", 2, q}, {"C", 3, nil}}
		if got := len(before.appendWhole(nil)); got != want {
			t.Errorf("with %d properties: %d bytes are left, not %d", n, got, want)
		}
	}
}

func TestParseTriggerErrors(t *testing.T) {
	const good = `{"id":"trg_1","campaign":"c","user_id":"u","time":"2026-11-24T11:14:00.123Z","endpoint":"e"}`
	if _, err := ParseTrigger([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{`"id":"trg_1"`, `"x":1`, "id is missing"},
		{`"id":"trg_1"`, `"id":""`, "id is missing"},
		{`"id":"trg_1"`, `"id":null`, "id is missing"},
		{`"id":"trg_1"`, `"id":"trg_1","id":null`, "id is missing"},
		{`"id":"trg_1"`, `"id":1`, "id: expected a string, not a number"},
		{`"campaign":"c"`, `"campaign":""`, "campaign is missing"},
		{`"user_id":"u"`, `"x":1`, "user_id is missing"},
		{`"endpoint":"e"`, `"x":1`, "endpoint is missing"},
		{`"time":"2026-11-24T11:14:00.123Z"`, `"x":1`, "time is missing"},
		{`"time":"2026-11-24T11:14:00.123Z"`, `"time":"x"`, "time: expected a time"},
		{`"time":"2026-11-24T11:14:00.123Z"`, `"time":1795518840123`, "time: expected a string, not a number"},
		{`"endpoint":"e"`, `"endpoint":"e","emitted_at":"x"`, "emitted_at: expected a time"},
		{`"endpoint":"e"`, `"endpoint":"e","profile":[]`, "profile: expected an object, not a list"},
		{`"endpoint":"e"`, `"endpoint":"e","events":{}`, "expected a list"},
		{`"endpoint":"e"`, `"endpoint":"e","events":[1]`, "expected an object"},
		{`"endpoint":"e"`, `"endpoint":"e","events":[{"event":"A"}]`, "events[0]: time is missing"},
		{`"endpoint":"e"`, `"endpoint":"e","events":[{"event":"A","time":"2026-11-24T11:14:00Z"},{"event":1}]`, "events[1]: event: expected a string"},
		{`"endpoint":"e"`, `"endpoint":"e","truncated":1`, "truncated: expected a boolean, not a number"},
		{`"endpoint":"e"`, `"endpoint":"e"}x`, "at byte 92: expected nothing after the value"},
		{`"endpoint":"e"`, `"endpoint":"` + "\xff" + `"`, "not valid UTF-8"},
		{good, `[]`, "expected an object"},
		{good, ``, "expected an object"},
	} {
		text := strings.Replace(good, c.old, c.new, 1)
		if got, err := ParseTrigger([]byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v; want %q", text, got, err, c.want)
		}
	}
	extra := strings.Replace(good, `"endpoint"`, `"later":{"a":[1]},"version":null,"profile":null,"truncated":true,"events":[{"event":"A","x":0,"time":"2026-11-24T11:14:00Z","properties":null}],"endpoint"`, 1)
	got, err := ParseTrigger([]byte(extra))
	if err != nil || !got.Truncated || len(got.Events) != 1 || got.Endpoint != "e" {
		t.Errorf("a record of a later version: %+v, %v", got, err)
	}
}

func TestDecision(t *testing.T) {
	for _, c := range []struct {
		decision Decision
		want     string
	}{
		{
			Decision{ID: "dec_1", Campaign: "c", Version: "v", User: "u", Time: 1795518840123, Decision: "suppressed", Reason: "quiet_hours", Detail: "until 08:00"},
			`{"id":"dec_1","campaign":"c","version":"v","user_id":"u","time":"2026-11-24T11:14:00.123Z","decision":"suppressed","reason":"quiet_hours","detail":"until 08:00"}`,
		},
		{
			Decision{ID: "dec_1", Campaign: "c", Version: "v", User: "u", Time: 0, Decision: "converted", TriggerID: "trg_1", Group: "treated", Value: value.OfNumber(12.5)},
			`{"id":"dec_1","campaign":"c","version":"v","user_id":"u","time":"1970-01-01T00:00:00.000Z","decision":"converted","trigger_id":"trg_1","value":12.5,"group":"treated"}`,
		},
	} {
		got := string(c.decision.Append([]byte("before")))
		if got != "before"+c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
		again, err := ParseDecision([]byte(c.want))
		if !value.Equal(again.Value, c.decision.Value) {
			t.Errorf("the value of %s came back as %s", c.want, again.Value.Text())
		}
		again.Value = c.decision.Value
		if err != nil || !reflect.DeepEqual(again, c.decision) {
			t.Errorf("%s came back as %+v, %v", c.want, again, err)
		}
	}
}

func TestDecisionIsBounded(t *testing.T) {
	d := Decision{ID: "dec_1", Campaign: "c", User: "u", Decision: "converted", Detail: strings.Repeat("é", 1<<20), Value: value.OfString("x")}
	written := d.Append(nil)
	got, err := ParseDecision(written)
	if err != nil || len(written) > MaxBytes || !strings.HasPrefix(d.Detail, got.Detail) || got.Detail == "" || !got.Value.IsNil() {
		t.Errorf("%d bytes, detail %.20q…, %v", len(written), got.Detail, err)
	}
}

func TestParseDecisionErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{"id":"d","campaign":"c","user_id":"u","time":"2026-11-24T11:14:00Z"}`:                                   "decision is missing",
		`{"campaign":"c","user_id":"u","time":"2026-11-24T11:14:00Z","decision":"x"}`:                             "id is missing",
		`{"id":"d","campaign":"c","user_id":"u","time":"2026-11-24T11:14:00Z","decision":"x","group":{}}`:         "group: expected a string, not an object",
		`{"id":"d","campaign":"c","user_id":"u","time":"2026-11-24T11:14:00Z","decision":"x","value":}`:           "expected a value",
		`{"id":"d","campaign":"c","user_id":"u","time":"2026-11-24T11:14:00Z","decision":"x","later":[1}`:         "expected ',' or ']'",
		`{"id":"d","campaign":"c","user_id":"u","time":"2026-11-24T11:14:00Z","decision":"x","reason":"` + "\xff": "UTF-8",
	} {
		if got, err := ParseDecision([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v; want %q", text, got, err, want)
		}
	}
}

// What is written is JSON for others too.
func TestRecordsAreJSON(t *testing.T) {
	trigger := sample(t)
	trigger.User = "u\x00\n\"\\\u2028é😀"
	var seen map[string]any
	if err := json.Unmarshal(trigger.Append(nil, 0), &seen); err != nil || seen["user_id"] != trigger.User {
		t.Errorf("%v, %q", err, seen["user_id"])
	}
	if seen["emitted_at"] != seen["time"] {
		t.Errorf("emitted at %v, before its time %v", seen["emitted_at"], seen["time"])
	}
}
