package processor

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/tripline/tripline/state/lane"
)

// clock makes stream time. It asks the leaders for their log ends at a wall time T; when the positions have reached them,
// everything appended before T has been applied, and stream time becomes T less the broker's own race.
type clock struct {
	p     *Processor
	lane  *lane.Lane
	ahead time.Duration // how much this machine's clock is known to be ahead of the broker's

	asked   time.Time
	asking  bool
	answers chan answer
	pending []answer // answers that some position has not reached yet, oldest first
	running sync.WaitGroup
	cancel  context.CancelFunc
}

// answer is what the leaders said their log ends were at some moment after at.
type answer struct {
	at   time.Time
	ends []lane.End
	err  error
}

const (
	race      = 10 * time.Millisecond // an append may be stamped this much before it is in the log
	soon      = time.Second           // a timer due within this makes asking frequent
	askOften  = 100 * time.Millisecond
	askSeldom = time.Second
	maxAsked  = 64 // answers kept while the input is behind
)

func newClock(p *Processor, l *lane.Lane) *clock {
	return &clock{p: p, lane: l, answers: make(chan answer, 1)}
}

func (c *clock) now() time.Time { return c.p.cfg.Now() }

// wall is the time that counts: the earlier of this machine's clock and the broker's, in ms.
func (c *clock) wall(now time.Time) int64 { return now.Add(-c.ahead).UnixMilli() }

// committed holds this machine's clock against the broker's, which has just stamped the changelog.
func (c *clock) committed() {
	ms, known := c.lane.Ahead()
	if !known {
		return
	}
	was := c.ahead
	c.ahead = max(0, time.Duration(ms)*time.Millisecond)
	c.p.metrics.skew(c.ahead)
	if c.ahead > time.Second && was <= time.Second {
		c.p.cfg.Log.Warn("this machine's clock is ahead of the broker's; the broker's counts", zap.Duration("ahead", c.ahead))
	}
}

// patience is how long to wait for a record before looking at the time again.
func (c *clock) patience(inputs []*input, now time.Time) time.Duration {
	if c.hurried(inputs, now) {
		return 20 * time.Millisecond
	}
	return 200 * time.Millisecond
}

// hurried says whether a timer is due within a second, or records wait for another topic's end.
func (c *clock) hurried(inputs []*input, now time.Time) bool {
	for _, in := range inputs {
		if in.waits() {
			return true
		}
		if due, ok, err := in.part.State.NextDue(); err == nil && ok && due < now.Add(soon).UnixMilli() {
			return true
		}
	}
	return false
}

// ask sends the question if it is time to.
func (c *clock) ask(ctx context.Context, inputs []*input, now time.Time) {
	every := askSeldom
	if c.hurried(inputs, now) {
		every = askOften
	}
	if c.asking || now.Sub(c.asked) < every {
		return
	}
	c.asked, c.asking = now, true
	ctx, c.cancel = context.WithTimeout(ctx, 5*time.Second)
	c.running.Add(1)
	go func(cancel context.CancelFunc) {
		defer c.running.Done()
		defer cancel()
		ends, err := c.lane.Ends(ctx)
		c.answers <- answer{at: now, ends: ends, err: err}
	}(c.cancel)
}

// learn takes what has been answered and moves stream time as far as the positions allow; it says whether it moved.
func (c *clock) learn(inputs []*input) (moved bool) {
	select {
	case a := <-c.answers:
		c.asking = false
		if a.err != nil {
			c.p.cfg.Log.Debug("asking for log ends", zap.Error(a.err))
			break
		}
		if len(c.pending) == maxAsked {
			c.pending = c.pending[1:]
		}
		c.pending = append(c.pending, a)
	default:
	}
	kept := c.pending[:0]
	for _, a := range c.pending {
		whole := true
		for _, in := range inputs {
			reached := c.reached(in, &a)
			whole = whole && reached
		}
		for _, in := range inputs {
			if at, ok := c.passed(in, &a); ok && at > in.stream {
				in.stream, moved = at, true
			}
		}
		if !whole {
			kept = append(kept, a)
		}
	}
	c.pending = kept
	return moved
}

// reached notes which topics of an input had nothing more at the time of the answer, and says whether all of them had not.
func (c *clock) reached(in *input, a *answer) bool {
	all := true
	for _, q := range in.topics {
		end, ok := endOf(a, q.topic, in.part.Number)
		switch {
		case !ok || q.reached < end.Offset:
			all = false
		case end.Exact && a.at.After(q.empty):
			q.empty = a.at
		case !end.Exact && a.at.Add(-c.p.cfg.Slack).After(q.empty):
			q.empty = a.at.Add(-c.p.cfg.Slack)
		}
		all = all && q.position >= end.Offset
	}
	return all
}

// passed is the stream time that an answer gives an input whose positions have all reached it.
func (c *clock) passed(in *input, a *answer) (ms int64, ok bool) {
	at := a.at.Add(-c.ahead - race)
	for _, q := range in.topics {
		end, known := endOf(a, q.topic, in.part.Number)
		if !known || q.position < end.Offset {
			return 0, false
		}
		if !end.Exact {
			at = minTime(at, a.at.Add(-c.ahead-c.p.cfg.Slack))
		}
	}
	return at.UnixMilli(), true
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func endOf(a *answer, topic string, number int32) (lane.End, bool) {
	for _, e := range a.ends {
		if e.Topic == topic && e.Partition == number {
			return e, true
		}
	}
	return lane.End{}, false
}

// close waits for a question under way.
func (c *clock) close() {
	if c.cancel != nil {
		c.cancel()
	}
	c.running.Wait()
}
