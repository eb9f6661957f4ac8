package explain

import (
	"testing"

	"github.com/tripline/tripline/processor/campaign"
)

// What waits is said before why it does.
func TestVerdictOfWhatWaits(t *testing.T) {
	j := &judge{v: campaign.View{Held: []campaign.Open{{Moment: 0, Due: 60_000}}}, runs: "it waits for the look"}
	want := "the trigger of 1970-01-01T00:00:00.000Z waits until 1970-01-01T00:01:00.000Z"
	if got := j.verdict(&Explanation{}); got != want {
		t.Errorf("%q; want %q", got, want)
	}
	if got := j.verdict(&Explanation{Conditions: []Condition{{Text: "the delay is over"}}}); got != want+": not: the delay is over" {
		t.Errorf("%q", got)
	}
}

// What runs is not all where a condition beside time does not hold, either.
func TestVerdictOfWhatRuns(t *testing.T) {
	j := &judge{runs: "it waits for noon"}
	time, other := Condition{Text: "its moment has come"}, Condition{Text: "audience: a == 1"}
	if got := j.verdict(&Explanation{Conditions: []Condition{time}}); got != "it waits for noon" {
		t.Errorf("%q", got)
	}
	if got := j.verdict(&Explanation{Conditions: []Condition{time, other}}); got != "it waits for noon; not: its moment has come; not: audience: a == 1" {
		t.Errorf("%q", got)
	}
}

// The verdict begins with what became of the newest qualification, whatever holds now.
func TestRemember(t *testing.T) {
	const morning, noon = "2026-01-05T08:00:00.000Z", "2026-01-05T12:00:00.000Z"
	missing := []Condition{{Text: "did Cart", Because: "no Cart is known of this user"}}
	for _, c := range []struct {
		conditions []Condition
		verdict    string
		past       []Past
		want       string
	}{
		{nil, "every condition holds", nil, "every condition holds"},
		{nil, "every condition holds", []Past{{Time: morning, Outcome: "triggered"}, {Time: noon, Outcome: "converted"}}, "it triggered at " + morning},
		{nil, "every condition holds", []Past{{Time: morning, Outcome: "triggered"}, {Time: noon, Outcome: "suppressed", Reason: "stale", Detail: "found 2h late"}},
			"it qualified at " + noon + " and was suppressed: stale: found 2h late"},
		{missing, "not: did Cart", []Past{{Time: noon, Outcome: "suppressed", Reason: "paused"}}, "it qualified at " + noon + " and was suppressed: paused; now: not: did Cart"},
	} {
		x := Explanation{Verdict: c.verdict, Conditions: c.conditions}
		if x.Remember(c.past); x.Verdict != c.want || len(x.Past) != len(c.past) {
			t.Errorf("%q; want %q", x.Verdict, c.want)
		}
	}
}
