package processor

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/state"
	"github.com/tripline/tripline/state/lane"
)

// cycle is what one lane has decided since its last commit, and what it knows besides: inputs, users, clock. An aborted
// cycle is thrown away whole.
type cycle struct {
	p      *Processor
	lane   *lane.Lane
	set    *campaign.Set // in force
	own    *own          // this process's, as far as the lane knows; another one is to be followed
	fresh  bool          // the set is in force from this cycle on
	inputs []*input      // one per partition, in order of number
	users  *users
	clock  *clock

	count   int // records applied since the last commit
	bytes   int // of records to be produced and of the rows of touched users
	most    int // bytes at which the cycle ends
	out     campaign.Output
	records []*kgo.Record
	letters map[string]int  // dead letters by reason
	moved   bool            // stream time has moved
	written time.Time       // last commit
	shown   time.Time       // last look at the gauges
	ready   bool            // records were left that could have been applied
	schema  <-chan struct{} // closed when a schema has come that records wait for; nil: none is asked for
	waiting string          // for what the schema registry does not give; "": nothing
	held    time.Time       // since when a set waits for timers that were due; zero: none does
	more    bool            // timers that were due were left
	turn    int             // whose input is first
	due     []state.Timer   // room for those of one look
	made    made            // room for what is produced
	read    record.Room     // for the event of a step
	event   record.Event
	source  *kgo.Record // of the step's event; nil: time passes
}

func newCycle(p *Processor, l *lane.Lane) *cycle {
	c := &cycle{p: p, lane: l, clock: newClock(p, l), letters: map[string]int{}}
	for _, part := range l.Partitions() {
		c.inputs = append(c.inputs, newInput(p, part))
	}
	c.written = c.clock.now.machine
	return c
}

func (c *cycle) close() {
	c.clock.close()
	c.p.metrics.forget(c)
}

// fill polls and steps until the input is drained or the cycle is full. It waits a little for the first record only.
func (c *cycle) fill(ctx context.Context) error {
	c.most = c.p.cycleBytes()
	c.users.most = c.most
	var began time.Time
	wait := c.clock.patience(c.inputs)
	if c.more {
		wait = time.Millisecond
	}
	for {
		batches, err := c.poll(ctx, wait)
		if err != nil {
			return err
		}
		now := c.clock.read()
		if began.IsZero() {
			began = now.machine
		}
		for i := range batches {
			c.input(batches[i].Partition).add(&batches[i], now.machine)
		}
		c.clock.ask(ctx, c.inputs)
		c.clock.hear(c.inputs)
		c.learn()
		if err := c.apply(began.Add(cycleTime)); err != nil {
			return err
		}
		c.learn()
		if c.ready || len(batches) == 0 || now.machine.Sub(began) >= cycleTime {
			return nil
		}
		wait = time.Millisecond
	}
}

// poll waits no longer than that for records, and not at all while there are some to be applied.
func (c *cycle) poll(ctx context.Context, wait time.Duration) ([]lane.Batch, error) {
	if c.ready {
		return nil, ctx.Err()
	}
	if c.schema != nil {
		wait = c.await(ctx, wait)
	}
	until, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	batches, err := c.lane.Poll(until, pollRecords)
	if err != nil && ctx.Err() == nil && err == until.Err() { // not one that wraps it: that is a fetch's
		err = nil
	}
	return batches, err
}

// await waits for a schema, and says how long to wait for records then.
func (c *cycle) await(ctx context.Context, wait time.Duration) time.Duration {
	after := time.NewTimer(wait)
	defer after.Stop()
	select {
	case <-c.schema:
	case <-after.C:
	case <-ctx.Done():
	}
	return time.Millisecond
}

func (c *cycle) input(number int32) *input {
	for _, in := range c.inputs {
		if in.part.Number == number {
			return in
		}
	}
	return nil
}

func (c *cycle) learn() {
	for _, in := range c.inputs {
		c.moved = in.learn() || c.moved
	}
}

// cycleBytes is at how many bytes the cycle of one lane ends, so that those of all have room.
func (p *Processor) cycleBytes() int {
	if p.cfg.Cycles == 0 {
		return cycleBytes
	}
	return int(min(cycleBytes, max(leastBytes, p.cfg.Cycles/max(1, p.running.Load()))))
}

// full says whether the cycle has to end. Time is looked at now and then only.
func (c *cycle) full(n int, until time.Time) bool {
	return c.count >= cycleRecords || max(c.bytes, c.users.parts) >= c.most || n%64 == 63 && time.Now().After(until)
}

// apply steps what the inputs have ready, in the order that merging gives. Where not all of it has room, another input is
// first the next time.
func (c *cycle) apply(until time.Time) error {
	c.ready, c.schema = false, nil
	n := 0
	for i := range c.inputs {
		in := c.inputs[(c.turn+i)%len(c.inputs)]
		for !c.ready {
			r, ok := in.next(&c.p.reader)
			if !ok {
				break
			}
			in.arrive(&r, c.clock.now.wall)
			c.count++
			if err := c.step(in, r.Record); err != nil {
				return err
			}
			r.Recycle() // nothing points into it any more
			c.ready = c.full(n, until)
			n++
		}
		in.flow(c.lane)
		if in.schema != nil {
			c.schema = in.schema
		}
	}
	if c.ready {
		c.turn++
	}
	c.waits()
	return nil
}

// waits tells when the lane begins and ends to wait for a schema registry that does not answer.
func (c *cycle) waits() {
	text := ""
	for _, in := range c.inputs {
		if in.held == nil || text != "" {
			continue
		}
		if text = c.p.reader.Waits(in.held); text != "" && c.waiting == "" {
			c.p.cfg.Log.Warn("the lane waits for the schema registry", zap.Int32("lane", c.lane.Number()), zap.String("topic", in.held.Topic),
				zap.Int32("partition", in.held.Partition), zap.Int64("offset", in.held.Offset), zap.String("for", text))
		}
	}
	if text == c.waiting {
		return
	}
	if text == "" {
		c.p.cfg.Log.Info("the lane goes on: the schema registry has answered", zap.Int32("lane", c.lane.Number()))
	}
	c.waiting = text
	c.p.tell(c.lane.Number(), c.told())
}

// open finds a user for a step. The first step of a cycle counts the row that it will write.
func (c *cycle) open(in *input, id string) (*user, error) {
	u, first, err := c.users.find(in, id)
	if first {
		c.bytes += u.row
	}
	return u, err
}

// step decides one record.
func (c *cycle) step(in *input, r *kgo.Record) error {
	if r.Topic == c.p.cfg.ProfileTopic {
		profile, erase, bad, err := c.p.reader.Profile(r)
		if err != nil {
			return err
		}
		if bad != nil {
			c.deadLetter(r, bad)
			return nil
		}
		u, err := c.open(in, profile.User)
		if err != nil {
			return err
		}
		if erase {
			u.state.Erase(in.arrival, &c.out)
			c.emit()
			c.erased(profile.User)
			return c.users.fault
		}
		bad = u.state.Profile(&profile, in.arrival, &c.out)
		return c.stepped(r, bad)
	}
	var bad *record.Rejection
	var err error
	event := &c.event
	if *event, bad, err = c.p.reader.EventInto(&c.read, r); err != nil {
		return err
	}
	if bad != nil {
		c.deadLetter(r, bad)
		return nil
	}
	u, err := c.open(in, event.User)
	if err != nil {
		return err
	}
	if event.Name == "" {
		bad = u.state.Profile(&record.Profile{User: event.User, Properties: event.Profile}, in.arrival, &c.out)
	} else {
		bad = u.state.Event(event, in.arrival, &c.out)
	}
	c.source = r
	err = c.stepped(r, bad)
	c.source = nil
	return err
}

// stepped takes what a record's step has decided; bad: the user refused it.
func (c *cycle) stepped(r *kgo.Record, bad *record.Rejection) error {
	c.emit()
	if bad != nil && c.users.fault == nil {
		c.deadLetter(r, bad)
	}
	return c.users.fault
}

// fire lets the timers fire that stream time has passed. Of many it leaves some to the next cycle; some fire in each,
// however full it is of records.
func (c *cycle) fire() error {
	c.more = false
	fired, bytes, until := 0, c.bytes+c.most/2, time.Now().Add(cycleTime)
	for _, in := range c.inputs {
		if in.stream == 0 {
			continue
		}
		var err error
		if c.due, err = in.part.State.Due(in.stream, dueUsers-fired, c.due[:0]); err != nil {
			return err
		}
		for _, t := range c.due {
			u, err := c.open(in, t.ID)
			if err != nil {
				return err
			}
			u.state.Passed(in.stream, &c.out)
			c.emit()
			if c.users.fault != nil {
				return c.users.fault
			}
			if fired++; fired == dueUsers || c.bytes >= bytes || fired%64 == 0 && time.Now().After(until) {
				c.more = true
				return nil
			}
		}
	}
	return nil
}

// worthwhile says whether there is something to commit: records, fired timers, positions, or, now and then, a stream time
// that moved.
func (c *cycle) worthwhile() bool {
	if c.count > 0 || len(c.records) > 0 || c.users.used {
		return true
	}
	for _, in := range c.inputs {
		if in.moved || len(in.rows) > 0 {
			return true
		}
	}
	return c.moved && c.clock.now.machine.Sub(c.written) >= time.Second
}

// commit makes the cycle true, or returns an error after which all of it must be forgotten.
func (c *cycle) commit() error {
	if err := c.users.changes(); err != nil {
		return err
	}
	changes := make([]lane.Change, len(c.inputs))
	for i, in := range c.inputs {
		changes[i] = lane.Change{Partition: in.part.Number, Position: in.position(), Rows: in.rows}
	}
	if err := c.lane.Commit(lane.Cycle{Records: c.records, Changes: changes}); err != nil {
		return err
	}
	c.p.metrics.committed(c)
	for _, in := range c.inputs {
		in.moved = false
	}
	if c.fresh {
		c.inForce()
	}
	clear(c.records)
	clear(c.letters)
	c.out.Reset()
	c.read.Forget() // the lane may have nothing for long, and the batch of the last event is large
	c.event = record.Event{}
	c.records, c.count, c.bytes, c.moved, c.written = c.records[:0], 0, 0, false, c.clock.now.machine
	c.made.reuse()
	c.users.settle()
	return nil
}
