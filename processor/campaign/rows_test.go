package campaign_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"testing"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/value"
)

func mustCompile(t testing.TB, rules campaign.Rules, defs ...campaign.Definition) *campaign.Set {
	t.Helper()
	set, problems := campaign.Compile(rules, defs)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return set
}

func watch(name string, within campaign.Duration, same ...string) campaign.Definition {
	return campaign.Definition{Name: name, Deliver: []campaign.Delivery{{Endpoint: "e"}},
		Trigger: campaign.Trigger{InactionWithinTime: &campaign.InactionWithinTime{After: &campaign.Pattern{Event: "A"},
			Without: &campaign.Pattern{Event: "B"}, Within: &within, Same: same}}}
}

// rows keeps a user's rows as a store would.
type rows map[uint32][]byte

func (r rows) keep(u *campaign.User) {
	u.Rows(func(n uint32, content []byte) {
		if content == nil {
			delete(r, n)
			return
		}
		r[n] = append([]byte(nil), content...)
	})
}

func (r rows) open(t testing.TB, set *campaign.Set) *campaign.User {
	t.Helper()
	u, err := set.Open("ann", r[0], func(n uint32) []byte { return r[n] })
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func event(n int, name string) *record.Event {
	return &record.Event{ID: fmt.Sprint(n), User: "ann", Name: name, Time: int64(n) * 1000, Properties: value.Properties{{Name: "k", Value: value.OfNumber(float64(n))}}}
}

// An erased user leaves no row behind, however long the history was, and comes back as a new one.
func TestEraseLeavesNothing(t *testing.T) {
	set := mustCompile(t, campaign.Rules{MaxAge: 1 << 40, MaxEvents: 10000}, watch("w", 1e9))
	kept := rows{}
	var out campaign.Output
	for n := 1; n <= 400; n++ {
		u := kept.open(t, set)
		u.Event(event(n, "A"), int64(n)*1000, &out)
		kept.keep(u)
	}
	if len(kept) < 2 {
		t.Fatalf("a history of 400 events is in %d rows: the test shows nothing", len(kept))
	}
	u := kept.open(t, set)
	u.Erase(500_000, &out)
	kept.keep(u)
	if len(kept) != 0 {
		t.Fatalf("%d rows are left after the erasure", len(kept))
	}
	if _, ok := u.Due(); ok {
		t.Fatal("an erased user has a timer")
	}
	u.Event(event(7, "A"), 600_000, &out) // an id from before the erasure is no duplicate
	if out.Counts.Duplicates != 0 {
		t.Fatal("a new user remembers the erased one's ids")
	}
}

// Above max_open the watch that is due last is dropped, and counted.
func TestMaxOpen(t *testing.T) {
	set := mustCompile(t, campaign.Rules{MaxAge: 1 << 40, MaxOpen: 3}, watch("w", 10_000, "k"))
	u := rows{}.open(t, set)
	var out campaign.Output
	for n := 1; n <= 5; n++ {
		u.Event(event(n, "A"), int64(n)*1000, &out)
	}
	if got := out.Counts.Campaigns[0].DroppedOpen; got != 2 {
		t.Fatalf("%d watches were counted as dropped, not 2", got)
	}
	u.Passed(1<<40, &out)
	if len(out.Triggers) != 3 || out.Triggers[2].Time != 13_000 {
		t.Fatalf("the three watches due first were to fire: %v", out.Triggers)
	}
}

// A campaign that is gone takes its open state along; one with another trigger stands as if it had always had it.
func TestCampaignsChange(t *testing.T) {
	rules := campaign.Rules{MaxAge: 1 << 40}
	kept := rows{}
	var out campaign.Output
	u := kept.open(t, mustCompile(t, rules, watch("gone", 10_000), watch("kept", 10_000), watch("other", 10_000)))
	u.Event(event(1, "A"), 1000, &out)
	kept.keep(u)
	u = kept.open(t, mustCompile(t, rules, watch("kept", 10_000), watch("other", 20_000)))
	u.Passed(1<<40, &out)
	if len(out.Triggers) != 2 || out.Triggers[0].Campaign != "kept" || out.Triggers[1].Campaign != "other" || out.Triggers[1].Time != 21_000 {
		t.Fatalf("%v", out.Triggers)
	}
}

func FuzzOpen(f *testing.F) {
	goal, cap := delayed("g", 1000), campaign.Cap{Name: "c", Max: 9, Per: 1 << 40}
	goal.Delay, goal.Goal = nil, &campaign.Goal{Pattern: campaign.Pattern{Event: "B"}, Within: goal.Delay}
	set := mustCompile(f, campaign.Rules{MaxAge: 1 << 40, Caps: []campaign.Cap{cap}}, watch("w", 10_000, "k"), delayed("d", 60_000), goal)
	kept := rows{}
	u := kept.open(f, set)
	var out campaign.Output
	u.Event(event(1, "A"), 1000, &out)
	kept.keep(u)
	f.Add(kept[0])
	previous, err := hex.DecodeString(previousRow)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(previous)
	f.Fuzz(func(t *testing.T, head []byte) {
		u, err := set.Open("ann", head, func(uint32) []byte { return nil })
		if err != nil {
			return
		}
		u.Passed(1<<40, &campaign.Output{})
		u.Rows(func(uint32, []byte) {})
	})
}

// What set a timer stands in history only, and with the timer once history drops it.
func TestTimersOutliveHistory(t *testing.T) {
	set := mustCompile(t, campaign.Rules{MaxAge: 1 << 40, MaxEvents: 3}, watch("w", 60_000, "k"))
	kept := rows{}
	var out campaign.Output
	sizes := []int{}
	for n, name := range []string{"A", "C", "C", "C", "C"} {
		u := kept.open(t, set)
		u.Event(event(n+1, name), int64(n+1)*1000, &out)
		kept.keep(u)
		sizes = append(sizes, len(kept[0]))
	}
	if sizes[3]-sizes[2] < 5 {
		t.Errorf("the row grows from %d to %d bytes where its timer has to keep the event", sizes[2], sizes[3])
	}
	kept.open(t, set).Passed(1<<40, &out)
	if len(out.Triggers) != 1 || len(out.Triggers[0].Events) != 1 || out.Triggers[0].Events[0].Name != "A" ||
		!value.Equal(out.Triggers[0].Events[0].Properties.Get("k"), value.OfNumber(1)) {
		t.Fatalf("%v", out.Triggers)
	}
}

// A timer whose event is missing is an error, not a trigger without it.
func TestTimerWithoutEvent(t *testing.T) {
	set := mustCompile(t, campaign.Rules{MaxAge: 1 << 40}, watch("w", 60_000))
	kept := rows{}
	var out campaign.Output
	u := kept.open(t, set)
	u.Event(&record.Event{ID: "1", User: "ann", Name: "A", Time: 1000, Properties: value.Properties{{Name: "k", Value: value.OfString(strings.Repeat("x", 3000))}}}, 1000, &out)
	kept.keep(u)
	if len(kept) != 2 {
		t.Fatalf("%d rows: the test shows nothing", len(kept))
	}
	delete(kept, 1)
	u = kept.open(t, set)
	if u.Passed(1<<40, &out); u.Err() == nil {
		t.Fatalf("no error, but %v", out.Triggers)
	}
}

// What a cap stops needs no more of a large event than the head says: no part of history is read for it.
func TestSuppressedUnread(t *testing.T) {
	set := mustCompile(t, campaign.Rules{MaxAge: 1 << 40, Caps: []campaign.Cap{{Name: "one", Max: 1, Per: 1 << 30}}}, watch("w", 1000))
	var out campaign.Output
	var head []byte
	parts, reads := map[uint32][]byte{}, 0
	step := func(do func(*campaign.User)) {
		u, err := set.Open("u", head, func(n uint32) []byte { reads++; return parts[n] })
		if err != nil {
			t.Fatal(err)
		}
		do(u)
		if err := u.Err(); err != nil {
			t.Fatal(err)
		}
		u.Rows(func(n uint32, content []byte) {
			if n == 0 {
				head = bytes.Clone(content)
			} else {
				parts[n] = bytes.Clone(content)
			}
		})
	}
	large := value.Properties{{Name: "text", Value: value.OfString(strings.Repeat("x", 300))}}
	for i, want := range []struct{ triggers, decisions, reads int }{{1, 0, 1}, {1, 1, 1}, {1, 2, 1}} {
		at := int64(10_000 * (i + 1))
		step(func(u *campaign.User) { u.Event(&record.Event{Name: "A", Time: at, Properties: large}, at, &out) })
		step(func(u *campaign.User) { u.Passed(at+5000, &out) })
		if len(out.Triggers) != want.triggers || len(out.Decisions) != want.decisions || reads != want.reads {
			t.Errorf("watch %d: %d triggers, %d decisions, %d parts read, want %v", i, len(out.Triggers), len(out.Decisions), reads, want)
		}
	}
	if e := out.Triggers[0].Events; len(e) != 1 || e[0].Name != "A" || len(e[0].Properties) != 1 {
		t.Errorf("the trigger's events are %v", e)
	}
}

// A look at events of which only the names matter reads none of them until one is to be shown.
func TestLooksUnread(t *testing.T) {
	after, within, twice := campaign.Duration(5000), campaign.Duration(60_000), 2
	set := mustCompile(t, campaign.Rules{MaxAge: 1 << 40}, campaign.Definition{Name: "i", Audience: `count("A", "1h") > 2`, Deliver: []campaign.Delivery{{Endpoint: "e"}},
		Trigger: campaign.Trigger{Inaction: &campaign.Inaction{Did: &campaign.Pattern{Event: "A", AtLeast: &twice}, DidNot: &campaign.Pattern{Event: "B"},
			InLast: &within, Check: &campaign.Check{After: &after}}}})
	kept, reads := rows{}, 0
	var out campaign.Output
	for i, want := range []int{0, 0, 1} { // triggers: two events are too few for the audience, and three are not
		u, err := set.Open("ann", kept[0], func(n uint32) []byte { reads++; return kept[n] })
		if err != nil {
			t.Fatal(err)
		}
		at := int64(10_000 * (i + 1))
		u.Event(&record.Event{User: "ann", Name: "A", Time: at, Properties: value.Properties{{Name: "k", Value: value.OfString(strings.Repeat("x", 300))}}}, at, &out)
		if kept.keep(u); len(kept) != i+2 {
			t.Fatalf("%d rows: the test shows nothing", len(kept))
		}
		if u.Passed(at+9000, &out); len(out.Triggers) != want || want == 0 && reads > 0 {
			t.Fatalf("look %d: %d triggers, %d parts read", i, len(out.Triggers), reads)
		}
		kept.keep(u)
	}
}

// Two campaigns whose names share the half of a hash that a row has of a name stay apart, also where only one of them was there before.
func TestNamesAlike(t *testing.T) {
	const one, other = "campaign-218781", "campaign-442490"
	half := func(name string) uint32 {
		h := fnv.New64a()
		h.Write([]byte(name))
		return uint32(h.Sum64())
	}
	if half(one) != half(other) {
		t.Fatal("the names share nothing: the test shows nothing")
	}
	rules := campaign.Rules{MaxAge: 1 << 40, Caps: []campaign.Cap{{Name: "c", Max: 9, Per: 1 << 40}}}
	alone, both := mustCompile(t, rules, watch(one, 10_000)), mustCompile(t, rules, watch(one, 10_000), watch(other, 20_000))
	for _, first := range []*campaign.Set{alone, both} {
		kept := rows{}
		var out campaign.Output
		u := kept.open(t, first)
		u.Event(event(1, "A"), 1000, &out)
		kept.keep(u)
		u = kept.open(t, both)
		u.Event(event(30, "C"), 30_000, &out)
		kept.keep(u)
		kept.open(t, both).Passed(1<<40, &out)
		want := []string{one + " 11000"}
		if first == both {
			want = append(want, other+" 21000")
		}
		got := []string{}
		for _, trigger := range out.Triggers {
			got = append(got, fmt.Sprint(trigger.Campaign, " ", trigger.Time))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v, expected %v", got, want)
		}
	}
}
