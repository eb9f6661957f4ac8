package campaign_test

import (
	"slices"
	"testing"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/twin"
	"github.com/tripline/tripline/processor/campaign/value"
)

// A sparing set decides what the whole one does, and its records are the same; it only keeps less.
func TestSparing(t *testing.T) {
	dir := t.TempDir()
	for _, kind := range twin.Kinds {
		whole, spared := 0, 0
		for n := range *histories / 10 {
			c := twin.Generate(*firstSeed+uint64(n), kind)
			set, err := compiled(dir, c)
			if err != nil {
				t.Fatal(err)
			}
			want, size := recordsOf(set, c)
			got, less := recordsOf(set.Sparing(func(string) bool { return false }), c)
			if !slices.Equal(want, got) {
				t.Fatalf("%s, seed %d: %q, and sparing %q\n%s", kind, c.Seed, want, got, c)
			}
			all, most := recordsOf(set.Sparing(func(string) bool { return true }), c)
			if !slices.Equal(want, all) || most > size {
				t.Fatalf("%s, seed %d: %d bytes, sparing %d, and %d where the campaigns' events are whole", kind, c.Seed, size, less, most)
			}
			whole, spared = whole+size, spared+less
		}
		if spared >= whole {
			t.Errorf("%s: the rows have %d bytes, and sparing %d", kind, whole, spared)
		}
	}
}

// History keeps the properties that are named, of however many names there are, and no others.
func TestReferenced(t *testing.T) {
	properties := value.Properties{}
	for c := 'a'; c <= 'p'; c++ {
		properties = append(properties, value.Property{Name: "of_" + string(c), Value: value.OfNumber(1)})
	}
	for _, n := range []int{0, 1, 8, 9, 15} {
		var keep []string
		for i := range n {
			keep = append(keep, properties[(i*5)%16].Name)
		}
		set, problems := campaign.Compile(campaign.Rules{Referenced: true, Keep: keep}, []campaign.Definition{{Name: "x", Deliver: []campaign.Delivery{{Endpoint: "hook"}},
			Trigger: campaign.Trigger{SingleAction: &campaign.SingleAction{Pattern: campaign.Pattern{Event: "Cart"}}}}})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		u, err := set.Open("ann", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		u.Event(&record.Event{User: "ann", Name: "Cart", Time: 1, Properties: properties}, 1, &campaign.Output{})
		view, _ := u.View("x")
		var kept []string
		for _, p := range view.Events[0].Properties {
			kept = append(kept, p.Name)
		}
		if slices.Sort(keep); !slices.Equal(kept, keep) {
			t.Errorf("of %q are kept %q", keep, kept)
		}
	}
}

// recordsOf are what a case leaves in the topics, and the bytes of the user's rows in the end.
func recordsOf(set *campaign.Set, c twin.Case) (records []string, size int) {
	size = coreSteps([]*campaign.Set{set}, c, c.Until, func(out *campaign.Output) {
		for i := range out.Triggers {
			records = append(records, string(out.Triggers[i].Append(nil, out.Triggers[i].Left)))
		}
		for i := range out.Decisions {
			records = append(records, string(out.Decisions[i].Append(nil)))
		}
	})
	return records, size
}
