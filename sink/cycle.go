package sink

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/tripline/tripline/sink/control"
	"github.com/tripline/tripline/sink/deadletter"
	"github.com/tripline/tripline/sink/delivery"
	"github.com/tripline/tripline/sink/outbox"
	"github.com/tripline/tripline/sink/policy"
	"github.com/tripline/tripline/state"
	"github.com/tripline/tripline/state/lane"
)

// cycle is what the next transaction makes true, beside the rows of the books.
type cycle struct {
	records []*kgo.Record
	bytes   int
	since   int64 // ms: of the first thing that is to be committed; 0: there is none
	bad     []badRecord
	ended   map[ending]int
}

// ending is how a delivery ended, as it is counted: with the commit that makes it true, for one that is aborted ends again.
type ending struct{ endpoint, outcome, reason string }

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

// keep writes a delivery's row, and with it lets the position go on.
func (l *laneRun) keep(f *flight, stage outbox.Stage, due int64) error {
	f.row.Stage, f.row.Due = stage, due
	var record []byte
	if !f.stored {
		if l.sink.plan.Load().mayOrder(f.row.Endpoint) {
			f.row.Free, _ = l.clock(f.part, f.row.Endpoint, time.Now().UnixMilli())
			if err := f.part.book.Join(&f.row); err != nil {
				return err
			}
		}
		record, f.stored = f.raw, true
		l.cycle.bytes += len(f.raw)
		l.sink.waits(f.row.Endpoint, 1)
	}
	f.part.book.Save(&f.row, record)
	l.pass(f)
	l.cycle.touch()
	return l.bound(f.part, f.row.Endpoint)
}

// pass lets the position go on behind a flight.
func (l *laneRun) pass(f *flight) {
	if f.windowed {
		f.windowed = false
		f.part.window.Done(f.row.Offset)
	}
}

// keepUnknown lets a delivery wait for a configuration that knows it.
func (l *laneRun) keepUnknown(f *flight) error {
	if f.row.Batch != "" {
		if err := f.part.book.Unbind(f.row.Batch); err != nil {
			return err
		}
		f.row.Batch = ""
	}
	if err := l.keep(f, outbox.Unknown, time.Now().UnixMilli()+unknownFor); err != nil || f.row.Turn == 0 {
		return err
	}
	return f.part.book.Passed(f.row)
}

// keepUnsaved gives a row to what has held the position back for as long as it may.
func (l *laneRun) keepUnsaved(now int64) error {
	l.rowAt = 0
	held := l.unsaved[:0]
	for _, f := range l.unsaved {
		switch {
		case !f.windowed || l.hand[f.key] != f:
		case now-f.admitted < unsaved:
			l.holds(f)
			held = append(held, f)
		default:
			if err := l.keep(f, outbox.Timed, now); err != nil {
				return err
			}
		}
	}
	clear(l.unsaved[len(held):])
	l.unsaved = held
	return nil
}

// build makes a cycle of all that has changed. What changes from here on is the next cycle's.
func (l *laneRun) build(now int64) (lane.Cycle, error) {
	if err := l.keepUnsaved(now); err != nil {
		return lane.Cycle{}, err
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
	l.ending = l.cycle.ended
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
	l.sink.count(l.ending)
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
	if err := l.lane.Commit(c); err != nil {
		return err
	}
	l.sink.count(l.ending)
	return nil
}

// settle takes what a flight's goroutine tells into the cycle.
func (l *laneRun) settle(r *result) error {
	f := r.f
	switch {
	case r.unknown:
		l.drop(f)
		return l.keepUnknown(f)
	case r.again:
		l.drop(f)
		if o := l.sink.outlet(f.row.Endpoint); o != nil {
			return l.gather(o, f, o.batch(), 0)
		}
		return l.keepUnknown(f)
	case !r.told:
		if l.drop(f); f.stored {
			f.part.book.Again(f.key)
		}
		return nil
	}
	f.row.Attempts = int(r.record.Attempt)
	if r.disables != "" {
		l.disabled(r.disables, &r.record)
	}
	for _, s := range r.news {
		l.cycle.add(s.Record(l.sink.controlTopic()))
	}
	if r.verdict.Outcome == policy.Retry && r.last && f.erased.Load() {
		r.verdict.Outcome, r.record.Outcome, r.record.Reason, r.record.NextAttempt = policy.Dropped, string(policy.Dropped), erased, 0
	}
	l.produce(f, &r.record)
	if r.verdict.Outcome == policy.Retry {
		f.row.Place = r.verdict.Place
		if r.last {
			l.drop(f)
		}
		return l.keep(f, outbox.Timed, r.wake)
	}
	return l.end(f, r)
}

// refused ends a delivery that is in nobody's hands.
func (l *laneRun) refused(f *flight, outcome policy.Outcome, reason, detail string) error {
	if f.raw == nil {
		if err := l.load(f); err != nil {
			return err
		}
	}
	r := f.ends(outcome, reason, detail, time.Now().UnixMilli())
	return l.settle(&r)
}

// end ends a delivery: its rows go, what has ended is known for a while, and what failed becomes a dead letter.
func (l *laneRun) end(f *flight, r *result) error {
	l.drop(f)
	freed, err := f.part.book.End(f.row, f.stored, time.Now().UnixMilli()+l.remembered(f))
	if err != nil {
		return err
	}
	if freed != nil {
		l.park(f.part, *freed)
		l.moves(f.sequence())
	}
	if f.stored {
		l.sink.waits(f.row.Endpoint, -1)
	}
	l.pass(f)
	l.cycle.touch()
	if l.cycle.ended == nil {
		l.cycle.ended = map[ending]int{}
	}
	l.cycle.ended[ending{r.record.Endpoint, r.record.Outcome, r.record.Reason}]++
	if !r.record.Sent {
		l.sink.log.Info("delivery ended without an attempt", endFields(&r.record)...)
	}
	if r.verdict.Outcome == policy.Failed {
		from := &kgo.Record{Topic: l.sink.cfg.Triggers, Partition: f.part.number, Offset: f.row.Offset, Key: []byte(f.row.User), Value: f.raw}
		for name, value := range f.row.Trace.Headers() {
			from.Headers = append(from.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
		}
		l.cycle.add(deadletter.Undelivered(l.sink.cfg.DeadLetters, from, &r.record))
	}
	if l.sink.cfg.Events != "" && f.trigger != nil && !f.erased.Load() { // an event would bring an erased user back
		if e := r.record.Event(l.sink.cfg.Events, f.trigger); e != nil {
			l.cycle.add(e)
		}
	}
	return nil
}

// remembered is for how long, in ms, it is known that a delivery has ended: of one to whose record the position has still to come, for a day at
// least, so that it is known then.
func (l *laneRun) remembered(f *flight) int64 {
	if f.early || f.stored && f.row.Offset >= f.part.window.Next() {
		return max(l.sink.cfg.Dedupe, dayMS)
	}
	return l.sink.cfg.Dedupe
}

func endFields(r *delivery.Record) []zap.Field {
	return []zap.Field{
		zap.String("trigger", r.TriggerID), zap.String("campaign", r.Campaign), zap.String("version", r.Version), zap.String("user", r.User),
		zap.String("endpoint", r.Endpoint), zap.Int64("replay", r.Replay), zap.Int64("attempt", r.Attempt), zap.String("outcome", r.Outcome),
		zap.String("reason", r.Reason), zap.String("error", r.Error),
	}
}

// produced is a record of `deliveries`, with all that it refers to.
type produced struct {
	kgo.Record
	headers [3]kgo.RecordHeader
}

var jsonType = []byte("application/json")

// produce adds a record of `deliveries`.
func (l *laneRun) produce(f *flight, r *delivery.Record) {
	all := make([]byte, 0, len(f.row.User)+len(r.TriggerID)+len(r.Campaign)+512)
	cut := func(from int) []byte { return all[from:len(all):len(all)] }
	all = append(all, f.row.User...)
	key := cut(0)
	all = append(all, r.TriggerID...)
	id := cut(len(key))
	all = append(all, r.Campaign...)
	campaign := cut(len(key) + len(id))
	all = r.Append(all)
	p := &produced{headers: [...]kgo.RecordHeader{{Key: "tripline-id", Value: id}, {Key: "tripline-campaign", Value: campaign}, {Key: "content-type", Value: jsonType}}}
	p.Record = kgo.Record{Topic: l.sink.cfg.Deliveries, Key: key, Value: cut(len(key) + len(id) + len(campaign)), Timestamp: time.UnixMilli(r.Time), Headers: p.headers[:]}
	l.cycle.add(&p.Record)
}

// retell tells what the control topic does not say.
func (l *laneRun) retell() {
	now := time.Now().UnixMilli()
	for _, o := range l.sink.all() {
		if s := o.untold(now); s != nil {
			l.cycle.add(s.Record(l.sink.controlTopic()))
		}
	}
}

// disabled tells the group, in the transaction of the attempt that met it, that an endpoint is disabled.
func (l *laneRun) disabled(cause string, r *delivery.Record) {
	e := l.sink.plan.Load().endpoints[r.Endpoint]
	if e == nil {
		return
	}
	why := "it answered 410"
	if cause == disableAfter {
		why = "no attempt has succeeded for all of disable_after"
	}
	l.sink.log.Error("endpoint is disabled: "+why+"; what waits for it fails until its url, method or auth change or `tripline endpoint resume`",
		zap.String("endpoint", r.Endpoint), zap.String("trigger", r.TriggerID))
	l.cycle.add(control.Record(l.sink.controlTopic(), r.Endpoint, cause, e.print, r.TriggerID, r.Time))
}
