package sink

import (
	"errors"
	"fmt"
	"time"

	"github.com/tripline/tripline/sink/outbox"
	"github.com/tripline/tripline/sink/policy"
	"github.com/tripline/tripline/sink/request"
)

// maxBatchBytes bounds the bodies that go together; one that is larger goes alone.
const maxBatchBytes = 1 << 20

// Batch is how an endpoint's deliveries go together. The zero Batch lets each go alone.
type Batch struct {
	Max    int   // deliveries of one request; up to 1: each goes alone
	Linger int64 // ms: how long the first waits for others
}

// gathering are deliveries that wait for others to go with. They are in hand, and not yet a batch.
type gathering struct {
	members []*flight
	bytes   int   // of their bodies
	closes  int64 // ms
}

// batches is what a lane has in memory of deliveries that go together.
type batches struct {
	open   map[string]*gathering // by what their members have in common
	count  map[string]int        // by endpoint: deliveries in open
	closes int64                 // ms: when the first of them closes; 0: none is open
	formed []formed
}

// formed is a batch that is sent when its rows are committed, so that it has the same members after any crash.
type formed struct {
	f     *flight
	after int // the commit
}

func newBatches() batches { return batches{open: map[string]*gathering{}, count: map[string]int{}} }

// batch is how an endpoint's deliveries go together.
func (o *outlet) batch() Batch {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.endpoint == nil {
		return Batch{}
	}
	return o.endpoint.Batch
}

// gather puts a delivery to those that it can go with: of its partition, its campaign, the same request but for the body, and the same
// place in the schedule. It waits for others so long, in ms.
func (l *laneRun) gather(o *outlet, f *flight, most Batch, linger int64) error {
	e, client, _ := o.current()
	content := l.sink.plan.Load().contents[route{f.row.Campaign, f.row.Endpoint}]
	if e == nil || content == nil {
		return l.keepUnknown(f)
	}
	rendered, err := request.RenderMember(e.target, content, f.trigger, f.raw, f.replay)
	var dropped *request.DroppedError
	if errors.As(err, &dropped) {
		return l.refused(f, policy.Dropped, dropped.Reason, client.Secrets().HideAndCut(dropped.Detail, maxText))
	}
	l.inHand(f)
	key := fmt.Sprintf("%d %s\n%s\n%d %d\n%s", f.part.number, f.row.Endpoint, f.row.Campaign, f.row.Attempts, f.row.Place, rendered.Company())
	now := time.Now().UnixMilli()
	g := l.batches.open[key]
	if g != nil && g.bytes+len(rendered.Body) > maxBatchBytes {
		if err := l.closeOne(key, now); err != nil {
			return err
		}
		g = nil
	}
	if g == nil {
		g = &gathering{closes: now + linger}
		l.batches.open[key] = g
	}
	g.members, g.bytes, g.closes = append(g.members, f), g.bytes+len(rendered.Body), min(g.closes, now+linger)
	l.batches.count[f.row.Endpoint]++
	if l.batches.closes == 0 || g.closes < l.batches.closes {
		l.batches.closes = g.closes
	}
	if len(g.members) >= most.Max {
		return l.closeOne(key, now)
	}
	return nil
}

// close makes batches of what has waited long enough for others.
func (l *laneRun) close(now int64) error {
	if l.batches.closes == 0 || now < l.batches.closes {
		return nil
	}
	l.batches.closes = 0
	for key, g := range l.batches.open {
		if g.closes <= now {
			if err := l.closeOne(key, now); err != nil {
				return err
			}
		} else if l.batches.closes == 0 || g.closes < l.batches.closes {
			l.batches.closes = g.closes
		}
	}
	return nil
}

// closeOne makes a batch of what has been gathered, and writes who is in it.
func (l *laneRun) closeOne(key string, now int64) error {
	g := l.batches.open[key]
	delete(l.batches.open, key)
	endpoint := g.members[0].row.Endpoint
	if l.batches.count[endpoint] -= len(g.members); l.batches.count[endpoint] == 0 {
		delete(l.batches.count, endpoint)
	}
	batch := batchOf(g.members)
	keys := make([]string, len(g.members))
	for i, f := range g.members {
		if keys[i] = f.key; f.row.Batch != "" {
			if err := f.part.book.Unbind(f.row.Batch); err != nil {
				return err
			}
		}
		f.row.Batch = batch.key
		if err := l.keep(f, outbox.Timed, now); err != nil {
			return err
		}
	}
	batch.part.book.Bind(batch.key, keys)
	l.batches.formed = append(l.batches.formed, formed{batch, l.begun + 1})
	return nil
}

// batchOf is the flight of deliveries that go together.
func batchOf(members []*flight) *flight {
	first := members[0]
	ids := make([]string, len(members))
	batch := &flight{lane: first.lane, part: first.part, kind: first.kind, trigger: first.trigger, replay: first.replay, attempts: first.attempts, place: first.place,
		members: members, row: outbox.Delivery{Endpoint: first.row.Endpoint, Campaign: first.row.Campaign, Since: first.row.Since}}
	for i, f := range members {
		ids[i] = f.trigger.ID
		batch.row.Since = min(batch.row.Since, f.row.Since)
	}
	batch.batch = request.BatchID(ids)
	batch.key = outbox.Key(batch.batch, first.replay)
	return batch
}

// boardFormed gives batches that are in committed rows to their outlets.
func (l *laneRun) boardFormed(int64) error {
	for len(l.batches.formed) > 0 && l.batches.formed[0].after <= l.done {
		f := l.batches.formed[0].f
		l.batches.formed = l.batches.formed[1:]
		if o := l.sink.outlet(f.row.Endpoint); o != nil {
			o.accept(f)
			continue
		}
		for _, m := range f.members {
			l.drop(m)
			if err := l.keepUnknown(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// dropGathered lets go of what has not become a batch, or one that is not sent yet.
func (l *laneRun) dropGathered() {
	for _, g := range l.batches.open {
		for _, f := range g.members {
			l.drop(f)
		}
	}
	for _, f := range l.batches.formed {
		l.drop(f.f)
	}
	l.batches = newBatches()
}

// comesTogether takes a delivery whose turn it is with the others of its batch. Where some have ended since, the rest is another batch.
func (l *laneRun) comesTogether(o *outlet, f *flight) error {
	keys, err := f.part.book.Members(f.row.Batch)
	if err != nil {
		return err
	}
	stage := outbox.QueuedFirst
	if f.kind = first; f.row.Attempts > 0 {
		f.kind, stage = again, outbox.QueuedAgain
	}
	if err := l.load(f); err != nil {
		return err
	}
	content, now := l.sink.plan.Load().contents[route{f.row.Campaign, f.row.Endpoint}], time.Now().UnixMilli()
	if content.Expires > 0 && now > f.trigger.Time+content.Expires {
		return l.refused(f, policy.Dropped, expired, "")
	}
	if o.room(l, f.kind) <= 0 {
		return l.keep(f, stage, 0)
	}
	members, err := l.together(f, keys, content.Expires, now)
	if err != nil {
		return err
	}
	if len(members) == 0 {
		return nil
	}
	if batch := batchOf(members); batch.key == f.row.Batch {
		for _, m := range members {
			l.inHand(m)
		}
		o.accept(batch)
		return nil
	}
	for _, m := range members {
		if err := l.gather(o, m, o.batch(), 0); err != nil {
			return err
		}
	}
	return nil
}

// together are those of a batch's deliveries that still wait and are to be sent.
func (l *laneRun) together(f *flight, keys []string, expires, now int64) (members []*flight, err error) {
	for _, key := range keys {
		d, waits, err := f.part.book.Delivery(key)
		if err != nil {
			return nil, err
		}
		if !waits || d.Batch != f.row.Batch || l.hand[key] != nil {
			continue
		}
		m := l.flight(f.part, d)
		if m.attempts, m.place, m.kind = d.Attempts, d.Place, f.kind; key == f.key {
			m = f
		}
		if m.raw == nil {
			if err := l.load(m); err != nil {
				return nil, err
			}
		}
		switch {
		case f.part.book.Erased(d.User, d.Offset):
			err = l.refused(m, policy.Dropped, erased, "")
		case expires > 0 && now > m.trigger.Time+expires:
			err = l.refused(m, policy.Dropped, expired, "")
		default:
			m.attempts, m.place = d.Attempts, d.Place
			members = append(members, m)
		}
		if err != nil {
			return nil, err
		}
	}
	return members, nil
}

// attemptBatch makes the attempt of a batch. Members that are not to be sent end; the others are then another batch, which is written
// before it is sent.
func (s *Sink) attemptBatch(o *outlet, b *flight) {
	now := time.Now().UnixMilli()
	to := s.course(o, b)
	results, rendered, whole := make([]result, len(b.members)), make([]*request.Rendered, len(b.members)), true
	for i, f := range b.members {
		r, ends := to.ends(f, now)
		if !ends {
			rendered[i], r, ends = to.render(f, request.RenderMember, now)
		}
		if whole = whole && !ends && rendered[i].Company() == rendered[0].Company(); !ends {
			r = result{f: f, last: true, again: true}
		}
		results[i] = r
	}
	if b.lane.sending.Err() != nil {
		whole = false
		for i, f := range b.members {
			results[i] = result{f: f, last: true}
		}
	}
	if !whole {
		b.lane.tell(results...)
		return
	}
	joined := request.Join(to.e.target, to.content, b.row.Campaign, b.batch, rendered)
	s.send(o, b, b.members, to, joined, now)
}
