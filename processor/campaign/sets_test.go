package campaign_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/value"
)

// A user who stays in memory, and of whom it is counted what might become a set, gets what one gets who is read anew for each event,
// and of whom nothing is counted; and far fewer of the events in history are looked at. Those that make the condition fail are counted.
func TestSetsInMemory(t *testing.T) {
	triggers, lookedWarm, lookedCold := 0, 0, 0
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 1))
		definition := setsOf(rng)
		set := mustCompile(t, campaign.Rules{MaxAge: 1 << 40, MaxEvents: 300, Settle: 1000}, definition)
		warm, err := set.Open("ann", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		cold := rows{}
		var out campaign.Output
		told := func(u *campaign.User, ev *record.Event, at int64) (records []string, looks int) {
			out.Reset()
			u.Event(ev, at, &out)
			for i := range out.Triggers {
				records = append(records, string(out.Triggers[i].Append(nil, out.Triggers[i].Left)))
			}
			for i := range out.Counts.Campaigns {
				looks += out.Counts.Campaigns[i].ExpressionErrors
			}
			return records, looks
		}
		for n := range 600 {
			at := int64(n+1) * 1000
			ev := record.Event{User: "ann", Name: []string{"A", "B", "C"}[min(rng.IntN(8), 2)], Time: at}
			if rng.IntN(10) == 0 {
				ev.Time -= int64(rng.IntN(1_500_000))
			}
			ev.Properties, _ = value.ParseObject(fmt.Appendf(nil, `{"k":%d,"n":%d,"bad":"none"}`, rng.IntN(1+int(seed)*12), rng.IntN(4)))
			again := ev
			u := cold.open(t, set)
			want, before := told(u, &again, at)
			cold.keep(u)
			got, now := told(warm, &ev, at)
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d, event %d: %q; want %q\n%+v", seed, n, got, want, definition.Trigger.Actions)
			}
			triggers, lookedWarm, lookedCold = triggers+len(got), lookedWarm+now, lookedCold+before
		}
	}
	t.Logf("%d triggers; %d looks at the events of history, and %d without counting", triggers, lookedWarm, lookedCold)
	if triggers < 100 || lookedWarm*2 > lookedCold {
		t.Error("that is not what it is for")
	}
}

// setsOf is a campaign of actions.
func setsOf(rng *rand.Rand) campaign.Definition {
	within := campaign.Duration(200_000 + rng.IntN(600_000))
	many := func() *int { n := 1 + rng.IntN(3); return &n }
	return campaign.Definition{Name: "sets", Deliver: []campaign.Delivery{{Endpoint: "e"}}, Trigger: campaign.Trigger{Actions: &campaign.Actions{
		All: []campaign.Pattern{{Event: "A", AtLeast: many()}, {Event: "C", Where: "event.n > 2 || date(event.bad) > now()", AtLeast: many()},
			{Event: "C", Where: "event.n < 3"}}[rng.IntN(2):],
		Within: &within, Same: []string{"k"}, InOrder: rng.IntN(2) == 0, Reuse: rng.IntN(2) == 0}}}
}

// A look reads the newest of the did events that it takes, and none of those behind them, however many lie in its window. Those that
// make the condition fail are counted.
func TestLooksReadTheNewest(t *testing.T) {
	const events = 2000
	after, inLast := campaign.Duration(10_000), campaign.Duration(events*1000)
	set := mustCompile(t, campaign.Rules{MaxAge: 1 << 40}, campaign.Definition{Name: "looks", Deliver: []campaign.Delivery{{Endpoint: "e"}}, Trigger: campaign.Trigger{Inaction: &campaign.Inaction{
		Did: &campaign.Pattern{Event: "A", Where: "event.n > 2 || date(event.bad) > now()"}, DidNot: &campaign.Pattern{Event: "B"}, InLast: &inLast, Check: &campaign.Check{After: &after}}}})
	u, err := set.Open("ann", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	failed, triggers := 0, 0
	for n := range events {
		properties, _ := value.ParseObject(fmt.Appendf(nil, `{"n":%d,"bad":"none"}`, n%2*3))
		var out campaign.Output
		u.Event(&record.Event{Name: "A", Time: int64(n+1) * 1000, Properties: properties}, int64(n+1)*1000, &out)
		for _, counts := range out.Counts.Campaigns {
			failed += counts.ExpressionErrors
		}
		triggers += len(out.Triggers)
	}
	if triggers != events/2-6 || failed > 3*events {
		t.Errorf("%d triggers; %d events were looked at in vain", triggers, failed)
	}
}

// What a predicate of count says of an event is not remembered where it asks for now.
func TestCountsThatAskForNow(t *testing.T) {
	set := mustCompile(t, campaign.Rules{MaxAge: 1 << 40}, campaign.Definition{Name: "valid", Deliver: []campaign.Delivery{{Endpoint: "e"}},
		Trigger:  campaign.Trigger{SingleAction: &campaign.SingleAction{Pattern: campaign.Pattern{Event: "A"}}},
		Audience: `count("A", "7d", "event.until > now().Unix()") == 50 && count("A", "7d", "event.until > 0") > 50`})
	u, err := set.Open("ann", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	triggers := 0
	for n := range int64(1000) {
		properties, _ := value.ParseObject(fmt.Appendf(nil, `{"until":%d}`, n+51))
		var out campaign.Output
		u.Event(&record.Event{Name: "A", Time: (n + 1) * 1000, Properties: properties}, (n+1)*1000, &out)
		triggers += len(out.Triggers)
	}
	if triggers != 950 {
		t.Errorf("%d triggers", triggers)
	}
}
