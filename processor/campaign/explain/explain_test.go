package explain

import (
	"strings"
	"testing"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/value"
)

// What waits is said before why it does.
func TestVerdictOfWhatWaits(t *testing.T) {
	j := &judge{v: campaign.View{Held: []campaign.Open{{Moment: 0, Due: 60_000}}}, runs: "it waits for the look"}
	want := "the trigger of 1970-01-01T00:00:00.000Z waits until 1970-01-01T00:01:00.000Z"
	if got := j.verdict(&Explanation{}); got != want {
		t.Errorf("%q; want %q", got, want)
	}
	if got := j.verdict(&Explanation{Conditions: []Condition{{Text: reenters}, {Text: "the delay is over"}}}); got != want+": not: the delay is over" {
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
		if x.Remember(c.past, ""); x.Verdict != c.want || len(x.Past) != len(c.past) {
			t.Errorf("%q; want %q", x.Verdict, c.want)
		}
	}
}

// Conditions that hold now may not have held then, and what was not in the audience is told by nobody.
func TestRememberNothing(t *testing.T) {
	const before, morning, noon, evening = "2026-01-05T07:00:00.000Z", "2026-01-05T08:00:00.000Z", "2026-01-05T12:00:00.000Z", "2026-01-05T18:00:00.000Z"
	nothing := "every condition holds now, but nothing came of " + noon + ": the user was not in the audience then"
	for _, c := range []struct {
		since, moment string
		conditions    []Condition
		past          []Past
		want          string
	}{
		{before, evening, nil, nil, nothing},
		{before, evening, nil, []Past{{Time: morning, Outcome: "triggered"}, {Time: noon, Outcome: "converted"}}, "it triggered at " + morning + "; now: " + nothing},
		{before, evening, nil, []Past{{Time: noon, Outcome: "triggered"}}, "it triggered at " + noon},
		{evening, evening, nil, nil, "every condition holds"}, // nobody has looked that far back
		{before, morning, nil, nil, "every condition holds"},
		{before, evening, []Condition{{Text: "did Cart"}}, nil, "every condition holds"},
	} {
		x := Explanation{Verdict: "every condition holds", Moment: c.moment, Qualifies: noon,
			Conditions: append(c.conditions, Condition{Text: "audience: profile.vip", Holds: true})}
		if x.Remember(c.past, c.since); !strings.HasPrefix(x.Verdict, c.want) {
			t.Errorf("%q; want %q", x.Verdict, c.want)
		}
	}
}

// A bound that is reached is told: what is missing may have been dropped.
func TestBounds(t *testing.T) {
	within := campaign.Duration(60_000)
	set, problems := campaign.Compile(campaign.Rules{MaxAge: 1 << 40, MaxEvents: 3, MaxOpen: 2}, []campaign.Definition{{Name: "w", Delay: &within,
		Deliver: []campaign.Delivery{{Endpoint: "e"}}, Trigger: campaign.Trigger{InactionWithinTime: &campaign.InactionWithinTime{
			After: &campaign.Pattern{Event: "A"}, Without: &campaign.Pattern{Event: "B"}, Within: &within, OnRepeat: "separate"}}}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	u, err := set.Open("ann", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out campaign.Output
	told := func(want ...string) {
		t.Helper()
		v, _ := u.View("w")
		x := At(v, 1_000_000)
		if len(x.Bounds) != len(want) {
			t.Fatalf("%q; want %q", x.Bounds, want)
		}
		for i := range want {
			if !strings.Contains(x.Bounds[i], want[i]) || !strings.Contains(x.Text(), "at its bound: "+x.Bounds[i]) {
				t.Errorf("%q; want %q\n%s", x.Bounds[i], want[i], x.Text())
			}
		}
	}
	for n, want := range [][]string{nil, {"2 watches or timers"}, {"history holds 3 events", "2 watches or timers"}} {
		at := int64(n+1) * 1000
		u.Event(&record.Event{Name: "A", Time: at}, at, &out)
		told(want...)
	}
	u.Passed(100_000, &out)
	told("history holds 3 events", "2 triggers wait")
}

// A campaign without backfill does not see what came before it: neither does its explanation.
func TestCampaignThatIsNew(t *testing.T) {
	within, rules := campaign.Duration(3_600_000), campaign.Rules{MaxAge: 1 << 40}
	compile := func(defs ...campaign.Definition) *campaign.Set {
		t.Helper()
		for i := range defs {
			defs[i].Deliver = []campaign.Delivery{{Endpoint: "e"}}
		}
		set, problems := campaign.Compile(rules, defs)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return set
	}
	watch := campaign.Definition{Name: "watch", Trigger: campaign.Trigger{InactionWithinTime: &campaign.InactionWithinTime{
		After: &campaign.Pattern{Event: "A"}, Without: &campaign.Pattern{Event: "B"}, Within: &within}}}
	birthday := campaign.Definition{Name: "birthday", Trigger: campaign.Trigger{DateTimeProperty: &campaign.DateTimeProperty{ProfileProperty: "born", Repeat: "yearly"}}}
	other := campaign.Definition{Name: "other", Trigger: campaign.Trigger{SingleAction: &campaign.SingleAction{Pattern: campaign.Pattern{Event: "A"}}}}
	before := compile(other)
	ledger := before.Succeed(nil, 0)
	u, err := before.Under(ledger, 0).Open("ann", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out campaign.Output
	properties, _ := value.ParseObject([]byte(`{"born":"1990-03-01"}`))
	u.Event(&record.Event{Name: "A", Time: 1000, Profile: properties}, 1000, &out)
	rows := map[uint32][]byte{}
	u.Rows(func(n uint32, content []byte) { rows[n] = append([]byte(nil), content...) })
	now := compile(other, watch, birthday)
	u, err = now.Under(now.Succeed(ledger, 2000), 0).Open("ann", rows[0], func(n uint32) []byte { return rows[n] })
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"watch":    "not: did A (no A is known of this user); not: 1h passed without B (nothing has begun to run); an event came before the campaign was there, and does not count without backfill",
		"birthday": "not: it has set a timer (it was there before the campaign, which without backfill sees only what changes)",
		"other":    "every condition holds",
	} {
		v, _ := u.View(name)
		if x := At(v, 10_000); x.Verdict != want {
			t.Errorf("%s: %q; want %q\n%s", name, x.Verdict, want, x.Text())
		}
	}
}
