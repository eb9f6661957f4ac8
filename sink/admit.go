package sink

import (
	"bytes"
	"fmt"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/sink/deadletter"
	"github.com/tripline/tripline/sink/intake"
	"github.com/tripline/tripline/sink/outbox"
	"github.com/tripline/tripline/sink/policy"
	"github.com/tripline/tripline/state/lane"
)

// reading is what a lane has polled and not taken in.
type reading struct {
	batches []lane.Batch
	next    *flight // of the record that is next, where it is known to wait for room
	look    int64   // ms: when to see whether that is still worth it; 0: nothing waits
	since   int64   // ms: when something has waited first since all had been read; 0: nothing has

	ahead *intake.Ahead // what is behind that in `triggers`, where it waits for long; nil: nothing is read ahead
	retry int64         // ms: before which that is not begun again
}

const (
	lookForRoom = 100   // ms
	aheadAfter  = 250   // ms of waiting for room, with more to read all the time, after which it is read ahead,
	aheadAgain  = 5_000 // and for how long not after an error
)

// admit takes in what was polled. It stops where there is so much to commit that nothing more is begun before, and where a first attempt
// has no room at an endpoint that will have some at once.
func (l *laneRun) admit(now int64) error {
	l.reading.look = 0
	for len(l.reading.batches) > 0 {
		b := &l.reading.batches[0]
		p := l.part(b.Partition)
		for len(b.Records) > 0 {
			if l.full() {
				return nil
			}
			waits, err := l.take(p, b.Records[0], now)
			if err != nil {
				return err
			}
			if waits {
				l.reading.look = now + lookForRoom
				return l.readAhead(now)
			}
			p.window.Passed(b.Records[0].Offset + 1)
			b.Records = b.Records[1:]
		}
		p.window.Passed(b.Next)
		l.cycle.touch()
		l.reading.batches = l.reading.batches[1:]
	}
	if l.metAhead() {
		l.closeAhead()
	}
	return nil
}

// readAhead begins to read ahead, where a record has kept others waiting for long enough: of what comes behind it, what is for other endpoints
// is taken at once, and what is for such ones is left to the reader that has the position. That one comes to all of it again, and knows by
// its key what was taken.
func (l *laneRun) readAhead(now int64) (err error) {
	r := &l.reading
	if r.since == 0 {
		r.since = now
	}
	if r.ahead == nil && now-r.since >= aheadAfter && now >= r.retry {
		from := map[int32]int64{}
		for _, p := range l.parts {
			from[p.number] = p.window.Next()
		}
		r.ahead, err = intake.Read(l.sink.cfg.Lane.Client, l.sink.cfg.Triggers, from, pollSize)
	}
	if r.ahead != nil {
		r.ahead.Behind[r.next.row.Endpoint] = true
	}
	return err
}

// metAhead reports whether the positions have come to where it is read ahead.
func (l *laneRun) metAhead() bool {
	for _, p := range l.parts {
		if p.window.Next() < p.ahead {
			return false
		}
	}
	return l.reading.ahead.Began()
}

func (l *laneRun) closeAhead() {
	l.reading.ahead.Close()
	l.reading.ahead = nil
}

// breakAhead ends reading ahead that cannot go on.
func (l *laneRun) breakAhead() {
	l.sink.log.Warn("triggers are not read ahead of those that wait for room at an endpoint", zap.Error(l.reading.ahead.Err()))
	l.reading.retry = time.Now().UnixMilli() + aheadAgain
	l.closeAhead()
}

// admitAhead takes in what was read ahead.
func (l *laneRun) admitAhead(now int64) error {
	a := l.reading.ahead
	for a != nil && len(a.Records) > 0 && !l.full() {
		r := a.Records[0]
		p := l.part(r.Partition)
		if r.Offset >= p.window.Next() && !a.Leaves(r) {
			if err := l.takeAhead(p, r, now); err != nil {
				return err
			}
		}
		p.ahead, a.Records = max(p.ahead, r.Offset+1), a.Records[1:]
	}
	return nil
}

// takeAhead takes one record in that was read ahead, unless it is for an endpoint that has had no room, whose order it would break, or no
// trigger: that is left to the position.
func (l *laneRun) takeAhead(p *part, r *kgo.Record, now int64) error {
	behind := l.reading.ahead.Behind
	if len(r.Value) == 0 {
		return nil
	}
	f, detail := l.flightOf(p, r)
	if detail != "" || behind[f.row.Endpoint] || p.book.Erased(f.row.User, r.Offset) {
		return nil
	}
	if known, err := l.known(p, f.key, f.row.Endpoint); known || err != nil {
		return err
	}
	if o := l.sink.outlet(f.row.Endpoint); o != nil && o.awaits(l, p.book.Queued(f.row.Endpoint, outbox.QueuedFirst), now) {
		behind[f.row.Endpoint] = true
		return nil
	}
	f.admitted, f.row.Since, f.early = now, now, true
	return l.route(f)
}

// met reports whether the position has come to a record that may have been taken ahead. What is in memory only holds the position back from
// here on.
func (l *laneRun) met(p *part, r *kgo.Record, key string) bool {
	if f := l.hand[key]; f != nil && f.early && f.part == p && f.row.Offset == r.Offset {
		if f.early = false; !f.stored {
			l.hold(f)
		}
	}
	return r.Offset < p.ahead
}

func (l *laneRun) part(number int32) *part {
	for _, p := range l.parts {
		if p.number == number {
			return p
		}
	}
	return nil
}

// take takes one record in. waits says that it is not taken yet.
func (l *laneRun) take(p *part, r *kgo.Record, now int64) (waits bool, err error) {
	f := l.reading.next
	if f == nil {
		if f, err = l.read(p, r, now); f == nil || err != nil {
			return false, err
		}
	}
	l.reading.next = nil
	f.admitted, f.row.Since = now, now
	if p.book.Erased(f.row.User, r.Offset) { // it was in memory when the last life ended
		return false, l.refused(f, policy.Dropped, erased, "")
	}
	if o := l.sink.outlet(f.row.Endpoint); o != nil && o.awaits(l, p.book.Queued(f.row.Endpoint, outbox.QueuedFirst), now) {
		l.reading.next = f
		return true, nil
	}
	return false, l.route(f)
}

// read makes a flight of a record; nil where that is no trigger, or a known one.
func (l *laneRun) read(p *part, r *kgo.Record, now int64) (*flight, error) {
	if len(r.Value) == 0 {
		l.erase(p, string(r.Key), r.Offset)
		return nil, nil
	}
	f, detail := l.flightOf(p, r)
	if detail != "" {
		l.sink.metrics.bad.Inc()
		l.sink.log.Warn("a record that is no trigger", zap.String("topic", r.Topic), zap.Int32("partition", r.Partition), zap.Int64("offset", r.Offset),
			zap.String("detail", detail))
		l.cycle.bad = append(l.cycle.bad, badRecord{p, r.Offset, deadletter.Unread(l.sink.cfg.DeadLetters, r, detail)})
		return nil, nil
	}
	known, err := l.known(p, f.key, f.row.Endpoint)
	if known && !l.met(p, r, f.key) {
		l.sink.metrics.duplicates.Inc()
	}
	if known || err != nil {
		return nil, err
	}
	return f, nil
}

// flightOf makes a flight of a record. detail says why it is no trigger.
func (l *laneRun) flightOf(p *part, r *kgo.Record) (f *flight, detail string) {
	t, replay, detail := intake.Trigger(r)
	if detail != "" {
		return nil, detail
	}
	key := outbox.Key(t.ID, replay)
	return &flight{lane: l, part: p, key: key, raw: bytes.Clone(r.Value), trigger: &t, replay: replay,
		row: outbox.Delivery{Key: key, Campaign: t.Campaign, Endpoint: t.Endpoint, User: t.User, Offset: r.Offset, Trace: intake.Trace(r)}}, ""
}

// known reports whether a delivery is in memory, waits, or has ended.
func (l *laneRun) known(p *part, key, endpoint string) (bool, error) {
	if _, ok := l.hand[key]; ok {
		return true, nil
	}
	ended, err := p.book.Ended(key)
	if ended || err != nil {
		return ended, err
	}
	if p.book.Waiting(endpoint) == 0 {
		return false, nil
	}
	_, waits, err := p.book.Delivery(key)
	return waits, err
}

// route gives a delivery that may be tried now to its outlet, or keeps it where there is none or no room. A flight that is stored
// may have no record yet; it is read where there is room.
func (l *laneRun) route(f *flight) error {
	o := l.sink.outlet(f.row.Endpoint)
	if o == nil || l.sink.plan.Load().unknown(route{f.row.Campaign, f.row.Endpoint}) != "" {
		return l.keepUnknown(f)
	}
	stage := outbox.QueuedFirst
	if f.kind = first; f.row.Attempts > 0 {
		f.kind, stage = again, outbox.QueuedAgain
	}
	f.attempts, f.place = f.row.Attempts, f.row.Place
	if o.inOrder() {
		if goes, err := l.inTurn(f); !goes || err != nil {
			return err
		}
	}
	// What waits in a queue goes before what has just come.
	if !f.stored && f.part.book.Queued(f.row.Endpoint, stage) || o.room(l, f.kind) <= 0 {
		return l.keep(f, stage, 0)
	}
	if f.raw == nil {
		if err := l.load(f); err != nil {
			return err
		}
	}
	if batch := o.batch(); batch.Max > 1 {
		if l.batches.count[f.row.Endpoint] >= max(firstRoom, batch.Max) {
			return l.keep(f, stage, 0)
		}
		return l.gather(o, f, batch, batch.Linger)
	}
	if !l.board(o, f) {
		return l.keep(f, stage, 0)
	}
	return nil
}

// board puts a flight into an outlet. From then on, until its last result, parts of it belong to the outlet's goroutine.
func (l *laneRun) board(o *outlet, f *flight) bool {
	l.inHand(f)
	if !o.offer(f) {
		delete(l.hand, f.key)
		return false
	}
	if f.row.Turn != 0 || o.inOrder() {
		l.orders.front[f.sequence()] = f
	}
	return true
}

// inHand takes a flight in hand. Until it has a row it holds the position back.
func (l *laneRun) inHand(f *flight) {
	l.hand[f.key] = f
	if !f.stored && !f.windowed && !f.early {
		l.hold(f)
	}
}

// hold lets a flight hold the position back.
func (l *laneRun) hold(f *flight) {
	f.windowed = true
	f.part.window.Add(f.row.Offset)
	l.unsaved = append(l.unsaved, f)
	l.holds(f)
}

// due takes the deliveries whose time has come.
func (l *laneRun) due(now int64) error {
	if now < l.dueAt {
		return nil
	}
	next, more := int64(math.MaxInt64), false
	for _, p := range l.parts {
		due, rest, err := p.book.Due(now, dueSize, func(key string) bool { return l.hand[key] != nil || l.orders.keys[key] })
		if err != nil {
			return err
		}
		more = more || rest
		for _, d := range due {
			if err := l.comes(p, d); err != nil {
				return err
			}
		}
		at, ok, err := p.book.NextDue()
		if err != nil {
			return err
		}
		if ok {
			next = min(next, at)
		}
		if len(due) > 0 || p.book.Pending() > 0 {
			l.cycle.touch()
		}
	}
	if l.dueAt = max(next, now+cycleTime.Milliseconds()); more {
		l.dueAt = now
	}
	return nil
}

// flight is a delivery out of its row, without its record.
func (l *laneRun) flight(p *part, d outbox.Delivery) *flight {
	_, replay := outbox.Split(d.Key)
	return &flight{lane: l, part: p, key: d.Key, replay: replay, attempts: d.Attempts, row: d, stored: true}
}

// load reads the record of a flight that has a row.
func (l *laneRun) load(f *flight) error {
	raw, trace, err := f.part.book.Record(f.row)
	if err != nil {
		return err
	}
	t, err := record.ParseTrigger(raw)
	if err != nil {
		return fmt.Errorf("the trigger of %s: %w", f.key, err)
	}
	f.raw, f.trigger, f.row.Trace = raw, &t, trace
	return nil
}

// comes takes a delivery whose turn it is.
func (l *laneRun) comes(p *part, d outbox.Delivery) error {
	if l.hand[d.Key] != nil {
		return nil // with others of its batch
	}
	if p.book.Gone(d.Key) { // others that came before it have made it one too many
		return nil
	}
	f := l.flight(p, d)
	if p.book.Erased(d.User, d.Offset) {
		return l.refused(f, policy.Dropped, erased, "")
	}
	if reason := l.sink.plan.Load().unknown(route{d.Campaign, d.Endpoint}); reason != "" && d.Stage == outbox.Unknown {
		return l.refused(f, policy.Failed, reason, "no configuration within 10 minutes knew it")
	}
	if o := l.sink.outlet(d.Endpoint); o != nil && d.Batch != "" && l.sink.plan.Load().unknown(route{d.Campaign, d.Endpoint}) == "" {
		return l.comesTogether(o, f)
	}
	return l.route(f)
}
