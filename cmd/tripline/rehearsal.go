package main

import (
	"errors"
	"os"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/virtual"
	"github.com/tripline/tripline/state"
)

// rehearsal runs campaigns, and those of --against beside them, over one stretch of input after the other: a file, or the
// partitions of topics, which share no users.
type rehearsal struct {
	plan    *backtestPlan
	sums    *sums
	versus  *comparison // nil: nothing to compare with
	writers *recordWriters
	lines   []*virtual.Line // of the stretch: the campaigns', and the old ones'
	spills  []*spill
	store   *state.Store // opened when a stretch needs it
	dir     string
}

func newRehearsal(p *backtestPlan, writers *recordWriters) (*rehearsal, error) {
	r := &rehearsal{plan: p, sums: newSums(p.set), writers: writers}
	if p.old != nil {
		var err error
		if r.versus, err = newComparison(p.set.Names(), p.old.Names()); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// begin starts a stretch: none of its users has been seen.
func (r *rehearsal) begin() error {
	r.lines, r.spills = nil, nil
	var line *virtual.Line
	line = r.line(r.plan.set, func(out *campaign.Output) {
		r.sums.add(out, line)
		r.writers.write(out)
		if r.versus != nil {
			r.versus.add(out, fresh)
		}
	})
	if r.versus != nil {
		r.line(r.plan.old, func(out *campaign.Output) { r.versus.add(out, old) })
	}
	return nil
}

func (r *rehearsal) line(set *campaign.Set, emit func(*campaign.Output)) *virtual.Line {
	s := &spill{r: r, number: int32(len(r.spills))}
	share := int64(r.plan.cfg.Memory) / 4
	if r.plan.old != nil {
		share /= 2
	}
	line := virtual.NewOnDisk(set, &virtual.Disk{Memory: share / 2, Heads: share / 2, Put: s.put, Get: s.get}, emit)
	r.lines, r.spills = append(r.lines, line), append(r.spills, s)
	return line
}

func (r *rehearsal) event(e *record.Event, arrival int64) error {
	r.sums.Events++
	for _, l := range r.lines {
		l.Event(e, arrival)
	}
	return r.lines[0].Err()
}

func (r *rehearsal) profile(p *record.Profile, arrival int64) {
	for _, l := range r.lines {
		l.Profile(p, arrival)
	}
}

func (r *rehearsal) erase(user string, arrival int64) {
	for _, l := range r.lines {
		l.Erase(user, arrival)
	}
}

// end lets time run on, and ends the stretch.
func (r *rehearsal) end(until int64) error {
	var err error
	for i, l := range r.lines {
		l.Until(until)
		err = errors.Join(err, l.Err(), r.spills[i].wipe())
	}
	r.sums.Users += r.lines[0].Users()
	return err
}

func (r *rehearsal) result() *sums {
	if r.versus != nil {
		r.versus.sum(r.sums)
	}
	return r.sums
}

func (r *rehearsal) close() {
	if r.store != nil {
		r.store.Close() // all of it is removed
		os.RemoveAll(r.dir)
	}
}

// spill is a line's users on disk, in a partition of a store of its own.
type spill struct {
	r      *rehearsal
	number int32
	part   *state.Partition
	at     int64
}

func (s *spill) open() (err error) {
	if s.part != nil {
		return nil
	}
	if r := s.r; r.store == nil {
		if r.dir, err = os.MkdirTemp("", "tripline-backtest-"); err != nil {
			return err
		}
		if r.store, err = state.Open(state.Config{Dir: r.dir, Memory: int64(r.plan.cfg.Memory) / 8}); err != nil {
			return err
		}
	}
	s.part, err = s.r.store.Partition(s.number)
	return err
}

func (s *spill) put(id string, part uint32, content []byte) error {
	if err := s.open(); err != nil {
		return err
	}
	s.at++
	return s.part.Apply([]state.Row{{Key: state.Key{ID: id, Part: part}, Content: content}}, state.Position{WrittenAt: s.at})
}

func (s *spill) get(id string, part uint32) ([]byte, error) {
	if s.part == nil {
		return nil, nil
	}
	content, _, err := s.part.Get(state.Key{ID: id, Part: part})
	return content, err
}

func (s *spill) wipe() error {
	if s.part == nil {
		return nil
	}
	return s.part.Wipe()
}
