package processor

import (
	"errors"
	"fmt"
	"slices"

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
	set := p.set.Load()
	if !slices.Contains(set.Names(), name) {
		return nil, fmt.Errorf("campaign %s: %w", name, ErrUnknownCampaign)
	}
	p.mu.Lock()
	parts := make([]*state.Partition, 0, len(p.parts))
	for _, part := range p.parts {
		parts = append(parts, part)
	}
	p.mu.Unlock()
	for _, part := range parts {
		x, err := why(set, part, user, name, moment)
		if x != nil || err != nil {
			return x, err
		}
	}
	return nil, fmt.Errorf("user %s: %w", user, ErrUnknownUser)
}

// why is Why of one partition; nil where the user is not in it. Between its reads the lane may write: a user whose older history
// does not fit their head is read again.
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
		v, _ := u.View(name)
		x = explain.At(v, moment)
		if err = u.Err(); err == nil {
			return x, nil
		}
	}
	return nil, fmt.Errorf("user %s: %w", user, err)
}

// has notes which partitions a lane has while it runs; the lane's end undoes it.
func (p *Processor) has(inputs []*input) (undo func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, in := range inputs {
		p.parts[in.part.Number] = in.part.State
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, in := range inputs {
			delete(p.parts, in.part.Number)
		}
	}
}
