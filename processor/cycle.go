package processor

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/state"
	"github.com/tripline/tripline/state/lane"
)

// cycle is what one lane has decided since its last commit, and what it knows besides: inputs, users, clock. An aborted
// cycle is thrown away whole.
type cycle struct {
	p      *Processor
	lane   *lane.Lane
	inputs []*input // one per partition, in order of number
	users  *users
	clock  *clock

	began   time.Time
	count   int // records applied since the last commit
	bytes   int // of records and rows to be produced
	out     campaign.Output
	records []*kgo.Record
	moved   bool            // stream time has moved
	written time.Time       // last commit
	more    bool            // timers that were due are left for the next cycle
	warned  map[string]bool // what was logged once per campaign
}

func newCycle(p *Processor, l *lane.Lane) (*cycle, error) {
	c := &cycle{p: p, lane: l, clock: newClock(p, l), users: newUsers(p, l), moved: true}
	for _, part := range l.Partitions() {
		in := newInput(p, part)
		c.inputs = append(c.inputs, in)
	}
	return c, nil
}

// fill polls and steps until the input is drained or the cycle is full. It waits a little for the first record only.
func (c *cycle) fill(ctx context.Context) error {
	c.began = c.p.cfg.Now()
	wait := c.clock.patience(c.inputs, c.began)
	if c.more {
		wait = time.Millisecond
	}
	for {
		until, cancel := context.WithTimeout(ctx, wait)
		batches, err := c.lane.Poll(until, pollRecords)
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			return err
		}
		now := c.p.cfg.Now()
		for i := range batches {
			c.input(batches[i].Partition).add(&batches[i], now)
		}
		c.clock.ask(ctx, c.inputs, now)
		if c.clock.learn(c.inputs) {
			c.moved = true
		}
		if err := c.apply(now); err != nil {
			return err
		}
		if len(batches) == 0 || ctx.Err() != nil || c.count >= cycleRecords || c.bytes >= cycleBytes || now.Sub(c.began) >= cycleTime {
			return ctx.Err()
		}
		wait = time.Millisecond
	}
}

func (c *cycle) input(number int32) *input {
	for _, in := range c.inputs {
		if in.part.Number == number {
			return in
		}
	}
	return nil
}

// apply steps what the inputs have ready, in the order that merging gives.
func (c *cycle) apply(now time.Time) error {
	wall := c.clock.wall(now)
	for _, in := range c.inputs {
		for c.count < cycleRecords && c.bytes < cycleBytes {
			r := in.next()
			if r == nil {
				break
			}
			in.arrive(r, wall)
			c.count++
			if err := c.step(in, r); err != nil {
				return err
			}
		}
		in.flow(c.lane)
	}
	return nil
}

// step decides one record.
func (c *cycle) step(in *input, r *kgo.Record) error {
	cfg := &c.p.cfg
	if r.Topic == cfg.ProfileTopic {
		profile, erase, bad := cfg.Envelope.Profile(r.Key, r.Value)
		if bad != nil {
			c.deadLetter(r, bad)
			return nil
		}
		u, err := c.users.open(in.part, profile.User)
		if err != nil {
			return err
		}
		if erase {
			u.state.Erase(in.arrival, &c.out)
			c.emit(in)
			c.erased(profile.User)
			return nil
		}
		u.state.Profile(&profile, in.arrival, &c.out)
		c.emit(in)
		return c.users.fault
	}
	event, bad := cfg.Envelope.Event(r.Key, r.Value, r.Timestamp.UnixMilli())
	if bad != nil {
		c.deadLetter(r, bad)
		return nil
	}
	u, err := c.users.open(in.part, event.User)
	if err != nil {
		return err
	}
	u.state.Event(&event, in.arrival, &c.out)
	c.emit(in)
	return c.users.fault
}

// fire lets the timers fire that stream time has passed.
func (c *cycle) fire() error {
	c.more = false
	for _, in := range c.inputs {
		if in.stream == 0 {
			continue
		}
		due, err := in.part.State.Due(in.stream, dueUsers, nil)
		if err != nil {
			return err
		}
		c.more = c.more || len(due) == dueUsers
		for _, t := range due {
			u, err := c.users.open(in.part, t.ID)
			if err != nil {
				return err
			}
			u.state.Passed(in.stream, &c.out)
			c.emit(in)
			if c.users.fault != nil {
				return c.users.fault
			}
		}
	}
	return nil
}

// worthwhile says whether there is something to commit: records, fired timers, or, now and then, a stream time that moved.
func (c *cycle) worthwhile() bool {
	return c.count > 0 || len(c.records) > 0 || len(c.users.touched) > 0 || c.moved && c.p.cfg.Now().Sub(c.written) >= time.Second || c.positionMoved()
}

func (c *cycle) positionMoved() bool {
	for _, in := range c.inputs {
		if in.moved {
			return true
		}
	}
	return false
}

// commit makes the cycle true, or returns an error after which all of it must be forgotten.
func (c *cycle) commit() error {
	changes := make([]lane.Change, len(c.inputs))
	for i, in := range c.inputs {
		changes[i] = lane.Change{Partition: in.part.Number, Position: in.position()}
	}
	if err := c.users.rows(func(number int32, r state.Row) {
		for i := range changes {
			if changes[i].Partition == number {
				changes[i].Rows = append(changes[i].Rows, r)
			}
		}
	}); err != nil {
		return err
	}
	if err := c.lane.Commit(lane.Cycle{Records: c.records, Changes: changes}); err != nil {
		return err
	}
	c.clock.committed()
	c.p.metrics.cycle(c)
	for _, in := range c.inputs {
		in.moved = false
	}
	clear(c.records)
	c.records, c.count, c.bytes, c.moved, c.written = c.records[:0], 0, 0, false, c.p.cfg.Now()
	c.users.settle()
	return nil
}
