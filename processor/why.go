package processor

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/explain"
	"github.com/tripline/tripline/state"
)

// What Why answers where there is nothing to explain.
var (
	ErrUnknownCampaign = errors.New("there is no such campaign")
	ErrUnknownUser     = errors.New("nothing is known of this user in the partitions of this process")
)

// Why explains where a user stands in a campaign, as of a moment in ms, from the state of the lanes that run here. It reads what
// is committed and may be called at any time.
func (p *Processor) Why(user, name string, moment int64) (*explain.Explanation, error) {
	p.mu.Lock()
	parts := maps.Clone(p.parts)
	p.mu.Unlock()
	known := slices.Contains(p.own.Load().Names(), name)
	for _, part := range parts {
		known = known || slices.Contains(part.set.Names(), name)
	}
	if !known {
		return nil, fmt.Errorf("campaign %s: %w", name, ErrUnknownCampaign)
	}
	if !utf8.ValidString(user) {
		return nil, fmt.Errorf("user %q: %w", user, ErrUnknownUser)
	}
	for _, part := range parts {
		x, err := why(part.set, part.state, user, name, moment)
		if x != nil || err != nil {
			return x, err
		}
	}
	return nil, fmt.Errorf("user %s: %w", user, ErrUnknownUser)
}

// why is Why of one partition; nil where the user is not in it. Between its reads the lane may write: a user whose older history
// does not fit their head is read again. One who has not been rebuilt yet since a trigger changed is rebuilt for the answer.
func why(set *campaign.Set, part *state.Partition, user, name string, moment int64) (x *explain.Explanation, err error) {
	for range 5 {
		head, found, failed := part.Get(state.Key{ID: user})
		if failed != nil || !found {
			return nil, failed
		}
		u, failed := set.Open(user, head, func(n uint32) []byte {
			content, _, _ := part.Get(state.Key{ID: user, Part: n}) // a part that is missing shows in u.Err
			return content
		})
		if failed != nil {
			return nil, failed
		}
		v, ok := u.View(name)
		if !ok {
			return nil, fmt.Errorf("campaign %s is not in force here yet: %w", name, ErrUnknownCampaign)
		}
		x = explain.At(v, moment)
		if err = u.Err(); err == nil {
			return x, nil
		}
	}
	return nil, fmt.Errorf("user %s: %w", user, err)
}

// running is a partition of a lane that runs here, and what is in force in it.
type running struct {
	state *state.Partition
	set   *campaign.Set
}

// has notes which partitions a lane has, and what is in force.
func (p *Processor) has(inputs []*input) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, in := range inputs {
		p.parts[in.part.Number] = running{in.part.State, in.set}
	}
}

// lost undoes has, at the lane's end.
func (p *Processor) lost(inputs []*input) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, in := range inputs {
		delete(p.parts, in.part.Number)
	}
}
