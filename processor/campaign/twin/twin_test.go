package twin

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// base is 09:00 UTC of a Tuesday without clock changes; the tests count minutes from it.
var base = time.Date(2026, 6, 16, 9, 0, 0, 0, time.UTC).UnixMilli()

// at is an event that arrives at its time; late one that arrives afterwards.
func at(minutes int64, name string, properties ...any) Input {
	return late(minutes, minutes, name, properties...)
}

func late(arrival, t int64, name string, properties ...any) Input {
	in := Input{Kind: "event", Arrival: base + arrival*minute, Time: base + t*minute, Name: name, Properties: map[string]any{}}
	for i := 0; i < len(properties); i += 2 {
		in.Properties[properties[i].(string)] = properties[i+1]
	}
	return in
}

func events(list ...Input) []Input { return list }

func p(name string) Pattern { return Pattern{Event: name} }

// expect runs one campaign with settle 1m; want are lines like "30 left 31 [A@0]" in minutes.
func expect(t *testing.T, rules Rules, c Campaign, inputs []Input, want ...string) {
	t.Helper()
	rules.User, rules.MaxFuture = "u-1", 5*minute
	if rules.Settle == 0 {
		rules.Settle = minute
	}
	c.Name = "c"
	var got []string
	for _, o := range Run(rules, []Campaign{c}, inputs, base+14*day) {
		got = append(got, inMinutes(o))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func inMinutes(o Outcome) string {
	after := func(t int64) string { return strconv.FormatFloat(float64(t-base)/float64(minute), 'f', -1, 64) }
	var list []string
	for _, e := range o.Events {
		list = append(list, e.Name+"@"+after(e.Time))
	}
	text := after(o.Time) + " left " + after(o.Left) + " [" + strings.Join(list, " ") + "]"
	if o.Reason != "" {
		text += " " + o.Reason
	}
	return text
}

func TestEveryGeneratedCaseRuns(t *testing.T) {
	counts, ends := map[string]map[string]int{}, map[string]int{}
	for _, kind := range Kinds {
		counts[kind] = map[string]int{}
		for seed := range uint64(400) {
			c := Generate(seed, kind)
			if c.String() != Generate(seed, kind).String() {
				t.Fatalf("seed %d: two cases", seed)
			}
			for _, o := range c.Run() {
				counts[kind][o.Reason+o.Group]++
				ends[o.Reason+o.Group]++
			}
		}
		t.Log(kind, counts[kind])
		if counts[kind][""] == 0 {
			t.Errorf("%s never triggers", kind)
		}
	}
	for _, end := range []string{"paused", "outside_schedule", "not_in_audience", "reentry", "stale", "exited", "quiet_hours", "capped", "control_group",
		"treated", "control"} {
		if ends[end] == 0 {
			t.Errorf("nothing ends in %q", end)
		}
	}
}
