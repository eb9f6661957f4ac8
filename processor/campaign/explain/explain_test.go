package explain

import "testing"

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
