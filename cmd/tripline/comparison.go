package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tripline/tripline/processor/campaign"
)

// comparison says whom a new version of campaigns would reach that the old one does not, and the reverse.
type comparison struct {
	back map[string]string           // old campaign -> new one
	seen map[string]map[string]uint8 // by new campaign, then user of the bucket: fresh, old or both
	sums map[string]*againstSums     // by new campaign, of the buckets before
}

const (
	fresh uint8 = 1 << iota
	old
)

// newComparison pairs campaigns by name; where there is one on each side, these.
func newComparison(names, before []string) (*comparison, error) {
	c := &comparison{back: map[string]string{}, seen: map[string]map[string]uint8{}, sums: map[string]*againstSums{}}
	pair := func(a, b string) { c.back[b], c.seen[a], c.sums[a] = a, map[string]uint8{}, &againstSums{Campaign: b} }
	for _, n := range names {
		if slices.Contains(before, n) {
			pair(n, n)
		}
	}
	if len(c.sums) == 0 && len(names) == 1 && len(before) == 1 {
		pair(names[0], before[0])
	}
	if len(c.sums) == 0 {
		return nil, fmt.Errorf("--against has none of the campaigns %s; it has %s", strings.Join(names, ", "), strings.Join(before, ", "))
	}
	return c, nil
}

func (c *comparison) add(out *campaign.Output, side uint8) {
	for i := range out.Triggers {
		t := &out.Triggers[i]
		name := t.Campaign
		if side == old {
			name = c.back[name]
		}
		if users := c.seen[name]; users != nil {
			users[t.User] |= side
		}
	}
}

// count adds up a bucket at its end: its users come no more, and millions of their names would not fit into memory.
func (c *comparison) count() {
	for name, users := range c.seen {
		a := c.sums[name]
		for user, sides := range users {
			switch sides {
			case fresh:
				a.Gained++
				a.GainedUsers = first(a.GainedUsers, user)
			case old:
				a.Lost++
				a.LostUsers = first(a.LostUsers, user)
			default:
				a.Both++
			}
		}
		clear(users)
	}
}

// merge adds those of other users.
func (c *comparison) merge(o *comparison) {
	for name, b := range o.sums {
		a := c.sums[name]
		a.Both, a.Gained, a.Lost = a.Both+b.Both, a.Gained+b.Gained, a.Lost+b.Lost
		for _, user := range b.GainedUsers {
			a.GainedUsers = first(a.GainedUsers, user)
		}
		for _, user := range b.LostUsers {
			a.LostUsers = first(a.LostUsers, user)
		}
	}
}

// againstSums are the users that a campaign has triggered for at least once, on which side.
type againstSums struct {
	Campaign    string   `json:"campaign"` // the old one
	Both        int      `json:"both"`
	Gained      int      `json:"gained"`
	Lost        int      `json:"lost"`
	GainedUsers []string `json:"gained_users,omitempty"` // the first few, in order of name
	LostUsers   []string `json:"lost_users,omitempty"`
}

func (c *comparison) sum(s *sums) {
	for name, a := range c.sums {
		s.Campaigns[name].Against = a
	}
}

// first keeps the first few texts in order.
func first(list []string, text string) []string {
	at, _ := slices.BinarySearch(list, text)
	if at >= sampleUsers {
		return list
	}
	list = slices.Insert(list, at, strings.Clone(text)) // of a record's text
	return list[:min(len(list), sampleUsers)]
}
