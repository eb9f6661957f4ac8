package processor

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/tripline/tripline/state/lane"
)

// clock tells a lane's time and makes its stream time. It asks the leaders for their log ends at a moment T; when the
// positions have reached them, everything appended before T has been applied, and stream time becomes T less the
// broker's own race.
type clock struct {
	p    *Processor
	lane *lane.Lane
	now  moment // as last read

	asked   moment
	asking  bool
	answers chan answer
	running sync.WaitGroup
	cancel  context.CancelFunc
}

// moment is a time as this machine has it, and as it counts: by the earlier of its clock and the broker's, in ms.
type moment struct {
	machine time.Time
	wall    int64
}

// answer is what the leaders said their log ends were, some time after asked.
type answer struct {
	asked moment
	ends  []lane.End
	err   error
}

// sight is an answer as it concerns one input: everything appended before the two moments, which are one by different
// clocks, lies below the ends.
type sight struct {
	asked  time.Time
	before int64   // ms
	ends   []int64 // by topic; -1: not told
}

const (
	race      = 10 * time.Millisecond // an append may be stamped this much before it is in the log
	soon      = time.Second           // a timer due within this makes asking frequent
	askOften  = 100 * time.Millisecond
	askSeldom = time.Second
	maxSights = 64 // kept of an input that is behind
)

func newClock(p *Processor, l *lane.Lane) *clock {
	c := &clock{p: p, lane: l, answers: make(chan answer, 1)}
	c.read()
	return c
}

// read reads this machine's clock and holds it against the broker's, which stamps the changelog.
func (c *clock) read() moment {
	c.now.machine = time.Now()
	ms, known := c.lane.Ahead()
	if known {
		c.p.skewed(time.Duration(ms) * time.Millisecond)
	}
	c.now.wall = c.now.machine.UnixMilli() - max(0, ms)
	return c.now
}

// skewed notes how far this machine's clock is ahead of the broker's.
func (p *Processor) skewed(ahead time.Duration) {
	p.metrics.ahead.Set(ahead.Seconds())
	switch far := ahead.Abs(); {
	case far > time.Second && p.apart.CompareAndSwap(false, true):
		p.cfg.Log.Warn("this machine's clock differs from the broker's; the earlier one counts", zap.Duration("ahead", ahead))
	case far < time.Second/2 && p.apart.CompareAndSwap(true, false):
		p.cfg.Log.Info("this machine's clock agrees with the broker's again", zap.Duration("ahead", ahead))
	}
}

// patience is how long to wait for a record before looking at the time again.
func (c *clock) patience(inputs []*input) time.Duration {
	wait := 200 * time.Millisecond
	if c.hurried(inputs) {
		wait = 20 * time.Millisecond
	}
	switch from, is := c.blocked(inputs); {
	case !is:
	case from.After(c.now.machine):
		wait = min(wait, from.Sub(c.now.machine))
	case c.asking && c.now.machine.Sub(c.asked.machine) < wait:
		wait = time.Millisecond // the answer is about to come
	}
	return wait
}

// blocked says whether records wait for a topic with nothing fetched, and from when on a log end of that can tell for the first of them.
func (c *clock) blocked(inputs []*input) (first time.Time, is bool) {
	for _, in := range inputs {
		if from, blocked := in.blocked(); blocked && (!is || from.Before(first)) {
			first, is = from, true
		}
	}
	return first, is
}

// hurried says whether a timer is due within a second, or records wait for another topic's end.
func (c *clock) hurried(inputs []*input) bool {
	for _, in := range inputs {
		if in.waits() {
			return true
		}
		if due, ok, err := in.part.State.NextDue(); err == nil && ok && due < c.now.wall+soon.Milliseconds() {
			return true
		}
	}
	return false
}

// ask sends the question if it is time to.
func (c *clock) ask(ctx context.Context, inputs []*input) {
	every := askSeldom
	if c.hurried(inputs) {
		every = askOften
	}
	if c.asking || c.now.machine.Sub(c.asked.machine) < every {
		return
	}
	if from, is := c.blocked(inputs); is && from.After(c.now.machine) {
		return // what would be answered now is no help
	}
	c.asked, c.asking = c.now, true
	ctx, c.cancel = context.WithTimeout(ctx, 5*time.Second)
	c.running.Add(1)
	go func(asked moment, cancel context.CancelFunc) {
		defer c.running.Done()
		defer cancel()
		ends, err := c.lane.Ends(ctx)
		c.answers <- answer{asked: asked, ends: ends, err: err}
	}(c.asked, c.cancel)
}

// hear takes what has been answered.
func (c *clock) hear(inputs []*input) {
	select {
	case a := <-c.answers:
		c.asking = false
		if a.err != nil {
			c.p.cfg.Log.Debug("asking for log ends", zap.Error(a.err))
			return
		}
		for _, in := range inputs {
			in.look(in.sightOf(&a, c.p.cfg.Slack))
		}
	default:
	}
}

// sightOf is what of an answer concerns an input. Where a broker does not tell its log end, records that it has may lie
// behind for so long as the slack.
func (in *input) sightOf(a *answer, slack time.Duration) sight {
	s := sight{ends: make([]int64, len(in.topics))}
	late := time.Duration(0)
	for i, q := range in.topics {
		s.ends[i] = -1
		for _, e := range a.ends {
			if e.Topic == q.topic && e.Partition == in.part.Number {
				s.ends[i] = e.Offset
				if !e.Exact {
					late = slack
				}
			}
		}
	}
	s.asked, s.before = a.asked.machine.Add(-late), a.asked.wall-max(late, race).Milliseconds()
	return s
}

// look keeps a sight until the positions have reached it. Of too many every other one goes: under a load that keeps the
// input behind, the oldest are those that it reaches.
func (in *input) look(s sight) {
	if len(in.sights) >= maxSights {
		i := 0
		in.sights = slices.DeleteFunc(in.sights, func(sight) bool { i++; return i%2 == 0 })
	}
	in.sights = append(in.sights, s)
}

// learn moves stream time as far as the positions allow, and notes which topics have been fetched up to when; it says
// whether stream time moved.
func (in *input) learn() (moved bool) {
	passed := 0
	for n, s := range in.sights {
		all := true
		for i, q := range in.topics {
			end := s.ends[i]
			if end >= 0 && q.reached >= end && q.asked.Before(s.asked) {
				q.asked, q.before = s.asked, max(q.before, s.before)
			}
			all = all && end >= 0 && q.position >= end
		}
		if all {
			passed = n + 1
			moved = moved || s.before > in.stream
			in.stream = max(in.stream, s.before)
		}
	}
	in.sights = slices.Delete(in.sights, 0, passed)
	return moved
}

// close waits for a question under way.
func (c *clock) close() {
	if c.cancel != nil {
		c.cancel()
	}
	c.running.Wait()
}
