package campaign_test

import (
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/twin"
	"github.com/tripline/tripline/processor/campaign/value"
)

// Every qualification ends in exactly one of a trigger and a suppressed decision: random campaigns of all kinds and controls, run
// until nothing waits any more.
func TestQualificationsEndOnce(t *testing.T) {
	dir := t.TempDir()
	waited := 0
	for _, kind := range twin.Kinds {
		for n := range uint64(*histories / 6) {
			c := twin.Generate(*firstSeed+n, kind)
			c.Inputs = slices.DeleteFunc(c.Inputs, func(in twin.Input) bool { return in.Kind == "erase" })
			set, err := compiled(dir, c)
			if err != nil {
				t.Fatal(err)
			}
			profileDates := slices.ContainsFunc(c.Campaigns, func(one twin.Campaign) bool { // two values may name one moment: one id
				return one.DateTimeProperty != nil && one.DateTimeProperty.ProfileProperty != ""
			})
			var counts campaign.CampaignCounts
			seen := map[string]string{}
			coreRun(set, c, func(out *campaign.Output) {
				for i := range out.Counts.Campaigns {
					one := &out.Counts.Campaigns[i]
					counts.Qualified, counts.Triggered = counts.Qualified+one.Qualified, counts.Triggered+one.Triggered
					for r, n := range one.Suppressed {
						counts.Suppressed[r] += n
					}
				}
				end := func(id, what string) { // ids of triggers and decisions differ in what stands before the same digest
					_, id, _ = strings.Cut(id, "_")
					if was, twice := seen[id]; twice && !profileDates {
						t.Fatalf("seed %d: one qualification ends in %s and in %s\n%s", c.Seed, was, what, c)
					}
					seen[id] = what
				}
				for _, one := range out.Triggers {
					end(one.ID, "a trigger")
					if one.Left > one.Time {
						waited++
					}
				}
				for _, one := range out.Decisions {
					if one.Decision == "suppressed" {
						end(one.ID, one.Reason)
					}
				}
			})
			ended := counts.Triggered
			for _, n := range counts.Suppressed {
				ended += n
			}
			if counts.Qualified != ended || len(seen) != ended && !profileDates {
				t.Fatalf("seed %d: %d qualifications, of which %d ended, in %d records\n%s", c.Seed, counts.Qualified, ended, len(seen), c)
			}
		}
	}
	if waited == 0 {
		t.Fatal("nothing ever waited: the test shows nothing")
	}
}

func delayed(name string, delay campaign.Duration) campaign.Definition {
	return campaign.Definition{Name: name, Delay: &delay, Deliver: []campaign.Delivery{{Endpoint: "e"}},
		Trigger: campaign.Trigger{SingleAction: &campaign.SingleAction{Pattern: campaign.Pattern{Event: "A"}}}}
}

// Above max_open the trigger that would leave last is dropped, counted, and gives its place back.
func TestMaxOpenHolds(t *testing.T) {
	def := delayed("d", 60_000)
	most, per := 5, campaign.Duration(1<<40)
	def.Reentry = &campaign.Reentry{Max: &most, Per: &per}
	u := rows{}.open(t, mustCompile(t, campaign.Rules{MaxAge: 1 << 40, MaxOpen: 3}, def))
	var out campaign.Output
	for n := 1; n <= 8; n++ {
		u.Event(event(n, "A"), int64(n)*1000, &out)
	}
	if got := out.Counts.Campaigns[0]; got.DroppedOpen != 5 || got.Suppressed[3] != 0 {
		t.Fatalf("%d that wait were dropped, and %v suppressed: each of the 5 was to give its place to the next", got.DroppedOpen, got.Suppressed)
	}
	u.Passed(math.MaxInt64, &out)
	if len(out.Triggers) != 3 || out.Triggers[2].Time != 3_000 {
		t.Fatalf("the three that leave first were to leave: %v", out.Triggers)
	}
}

// Above max_open the oldest trigger's goal is given up, and counted.
func TestMaxOpenGoals(t *testing.T) {
	def, within := delayed("d", 1000), campaign.Duration(1<<40)
	def.Delay, def.Goal = nil, &campaign.Goal{Pattern: campaign.Pattern{Event: "B"}, Within: &within}
	u := rows{}.open(t, mustCompile(t, campaign.Rules{MaxAge: 1 << 40, MaxOpen: 2}, def))
	var out campaign.Output
	for n, name := range []string{"A", "A", "A", "B"} {
		u.Event(event(n+1, name), int64(n+1)*1000, &out)
	}
	if len(out.Decisions) != 2 || out.Decisions[0].TriggerID != out.Triggers[1].ID || out.Decisions[1].TriggerID != out.Triggers[2].ID {
		t.Fatalf("the newest two triggers were to convert: %v", out.Decisions)
	}
	if got := out.Counts.Campaigns[0]; got.Converted != 2 || got.DroppedOpen != 1 {
		t.Fatalf("%d converted and %d given up were counted", got.Converted, got.DroppedOpen)
	}
}

// What waits outlives a change of the trigger and leaves under the campaign's new text; with its campaign it is gone.
func TestHoldsOutliveTheirTrigger(t *testing.T) {
	rules := campaign.Rules{MaxAge: 1 << 40}
	kept := rows{}
	var out campaign.Output
	u := kept.open(t, mustCompile(t, rules, delayed("d", 60_000), delayed("gone", 60_000)))
	u.Event(event(1, "A"), 1000, &out)
	kept.keep(u)
	changed := delayed("d", 60_000)
	changed.Version, changed.Trigger.SingleAction.Event = "two", "B"
	u = kept.open(t, mustCompile(t, rules, changed))
	u.Passed(math.MaxInt64, &out)
	if len(out.Triggers) != 1 || out.Triggers[0].Campaign != "d" || out.Triggers[0].Version != "two" || out.Triggers[0].Left != 61_000 {
		t.Fatalf("what waited was to leave at the end of its delay: %v", out.Triggers)
	}
}

// A trigger that has waited shows as many events as one that leaves at once, and says that others are left out.
func TestHeldEventsAreBounded(t *testing.T) {
	delay, within, least := campaign.Duration(60_000), campaign.Duration(1<<40), 150
	def := campaign.Definition{Name: "d", Delay: &delay, Deliver: []campaign.Delivery{{Endpoint: "e"}}, Trigger: campaign.Trigger{Actions: &campaign.Actions{
		All: []campaign.Pattern{{Event: "A", AtLeast: &least}}, Within: &within}}}
	set := mustCompile(t, campaign.Rules{MaxAge: 1 << 40}, def)
	kept := rows{}
	var out campaign.Output
	for n := 1; n <= least; n++ {
		u := kept.open(t, set)
		u.Event(event(n, "A"), int64(n)*1000, &out)
		kept.keep(u)
	}
	kept.open(t, set).Passed(math.MaxInt64, &out)
	got, err := record.ParseTrigger(out.Triggers[0].Append(nil, 0))
	if err != nil || len(got.Events) != record.MaxEvents || !got.Truncated || got.Events[99].Time != 150_000 {
		t.Fatalf("%d events, truncated %v (%v)", len(got.Events), got.Truncated, err)
	}
}

// previousRow is of the version before, in which lists were there though they were empty, and moments stood by themselves.
const previousRow = "050019010874696d657a6f6e65050d4575726f70652f4265726c696e0201d00f01aff0ffffff3f000002040141016b01000c02d00f000e01310101050302000000" +
	"000002d4f05718fab6a2efb838b769b563749400000000000001d00f01d00fc0a907d00f010d0367617003616e6ed00f00013101d00f01014101310501016b03020000af63ea" +
	"4c860204563e819930b3f3aef80000000104f0ab01000009023ff0000000000000d00f01014101310501016b0302000000000000"

// The previous row format is readable.
func TestPreviousRow(t *testing.T) {
	head, err := hex.DecodeString(previousRow)
	if err != nil {
		t.Fatal(err)
	}
	gap, wait, within := campaign.Duration(3600_000), campaign.Duration(60_000), campaign.Duration(7200_000)
	single := campaign.Definition{Name: "gap", Deliver: []campaign.Delivery{{Endpoint: "e"}}, Reentry: &campaign.Reentry{MinGap: &gap}, Delay: &wait,
		Goal:    &campaign.Goal{Pattern: campaign.Pattern{Event: "B"}, Within: &within},
		Trigger: campaign.Trigger{SingleAction: &campaign.SingleAction{Pattern: campaign.Pattern{Event: "A"}}}}
	rules := campaign.Rules{MaxAge: 1 << 40, TimezoneProperty: "timezone"}
	for want, w := range map[int64]campaign.Definition{11_000: watch("w", 10_000, "k"), 21_000: watch("w", 20_000, "k")} { // the latter is another trigger
		set := mustCompile(t, rules, single, w)
		var out campaign.Output
		u := rows{0: slices.Clone(head)}.open(t, set)
		u.Event(event(2, "A"), 2000, &out)
		if len(out.Decisions) != 1 || out.Decisions[0].Reason != "reentry" {
			t.Fatalf("the row's trigger that waits was to stop this one: %v", out.Decisions)
		}
		u.Passed(math.MaxInt64, &out)
		if len(out.Triggers) != 3 || out.Triggers[0].Time != want || out.Triggers[2].Campaign != "gap" ||
			!value.Equal(out.Triggers[0].Profile.Get("timezone"), value.OfString("Europe/Berlin")) {
			t.Fatalf("the row's watch was to go on: %v", out.Triggers)
		}
	}
	head[0] = 3
	if _, err := mustCompile(t, rules, single).Open("ann", head, func(uint32) []byte { return nil }); err == nil || !strings.Contains(err.Error(), "row format 3") {
		t.Fatalf("a row of a format that is not known was opened: %v", err)
	}
}
