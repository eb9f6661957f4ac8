package sink

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/sink/outbox"
	"github.com/tripline/tripline/state"
	"github.com/tripline/tripline/state/lane"
)

// cycle is what the next transaction makes true, beside the rows of the books.
type cycle struct {
	records []*kgo.Record
	bytes   int
	since   int64 // ms: of the first thing that is to be committed; 0: there is none
	bad     []badRecord
}

// badRecord is a dead letter that goes with the position over its source, so that it is written once.
type badRecord struct {
	part   *part
	offset int64
	letter *kgo.Record
}

// touch says that there is something to commit.
func (c *cycle) touch() {
	if c.since == 0 {
		c.since = time.Now().UnixMilli()
	}
}

func (c *cycle) add(r *kgo.Record) {
	c.records = append(c.records, r)
	c.bytes += len(r.Key) + len(r.Value)
	c.touch()
}

// holds says that a flight holds the position back, which it may for so long.
func (l *laneRun) holds(f *flight) {
	if at := f.admitted + unsaved; l.rowAt == 0 || at < l.rowAt {
		l.rowAt = at
	}
}

// size is how many rows and records there are to commit.
func (l *laneRun) size() int {
	n := len(l.cycle.records) + len(l.cycle.bad)
	for _, p := range l.parts {
		n += p.book.Pending()
	}
	return n
}

// commitIfDue begins a commit, unless one runs, when there is enough or has been something for long enough.
func (l *laneRun) commitIfDue(now int64) error {
	if l.committed != nil || l.cycle.since == 0 {
		return nil
	}
	if now-l.cycle.since < cycleTime.Milliseconds() && l.size() < cycleRows && l.cycle.bytes < cycleBytes {
		return nil
	}
	c, err := l.build(now)
	if err != nil {
		return err
	}
	if len(c.Changes) == 0 && len(c.Records) == 0 {
		l.applyBooks()
		return nil
	}
	committed := make(chan error, 1)
	l.committed = committed
	l.begun++
	go func() { committed <- l.lane.Commit(c) }()
	return nil
}

// build makes a cycle of all that has changed. What changes from here on is the next cycle's.
func (l *laneRun) build(now int64) (lane.Cycle, error) {
	l.rowAt = 0
	for _, f := range l.hand {
		switch {
		case !f.windowed:
		case now-f.admitted < unsaved:
			l.holds(f)
		default:
			if err := l.keep(f, outbox.Timed, now); err != nil {
				return lane.Cycle{}, err
			}
		}
	}
	c := lane.Cycle{Records: l.cycle.records}
	var bad []badRecord
	for _, p := range l.parts {
		p.forget(l)
		position := p.window.Position()
		for _, b := range l.cycle.bad {
			switch {
			case b.part == p && b.offset < position:
				c.Records = append(c.Records, b.letter)
			case b.part == p:
				bad = append(bad, b)
			}
		}
		rows := p.book.Changes()
		if len(rows) == 0 && position == p.position {
			continue
		}
		p.position = position
		c.Changes = append(c.Changes, lane.Change{Partition: p.number, Rows: rows,
			Position: state.Position{Inputs: map[string]int64{l.sink.cfg.Triggers: position}}})
	}
	if l.cycle = (cycle{bad: bad}); len(bad) > 0 {
		l.cycle.touch()
	}
	return c, nil
}

// applied takes the end of a commit.
func (l *laneRun) applied(err error) error {
	l.committed = nil
	if err != nil {
		return err
	}
	l.done++
	l.applyBooks()
	return nil
}

func (l *laneRun) applyBooks() {
	for _, p := range l.parts {
		p.book.Committed()
	}
	l.dueAt = 0
	for _, p := range l.parts {
		l.walk(p)
	}
}

// commitLast commits what is left when the lane stops.
func (l *laneRun) commitLast() error {
	c, err := l.build(time.Now().UnixMilli())
	if err != nil || len(c.Changes) == 0 && len(c.Records) == 0 {
		return err
	}
	return l.lane.Commit(c)
}
