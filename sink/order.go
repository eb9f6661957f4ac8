package sink

import (
	"slices"
	"time"

	"github.com/tripline/tripline/sink/outbox"
)

// heldLook is how long after an endpoint was found held, in ms, it is looked again whether what is behind others may go ahead.
const heldLook = 60_000

// sequence names the deliveries of one user to one endpoint, which `order: user` sends one at a time.
type sequence struct {
	part           *part
	endpoint, user string
}

func (f *flight) sequence() sequence { return sequence{f.part, f.row.Endpoint, f.row.User} }

// orders is what a lane has in memory of deliveries in order. What waits behind others is in rows alone.
type orders struct {
	front  map[sequence]*flight           // the one that is in hand
	parked map[sequence][]outbox.Delivery // due, and waiting for the one in hand; in the order of their turns
	keys   map[string]bool                // of all that is parked
	moved  []sequence                     // of which the one in hand has landed, or one was freed
}

func newOrders() orders {
	return orders{front: map[sequence]*flight{}, parked: map[sequence][]outbox.Delivery{}, keys: map[string]bool{}}
}

// mayOrder reports whether an endpoint keeps an order, or is not known, so that it may when it is.
func (p *Plan) mayOrder(endpoint string) bool {
	e := p.endpoints[endpoint]
	return e == nil || e.InOrder
}

// keepsBehind reports whether a delivery may be behind others.
func (p *Plan) keepsBehind(d outbox.Delivery) bool {
	return p.unknown(route{d.Campaign, d.Endpoint}) == "" && p.endpoints[d.Endpoint].InOrder
}

func (p *Plan) orderTimeout(endpoint string) int64 {
	if e := p.endpoints[endpoint]; e != nil {
		return e.OrderTimeout
	}
	return 0
}

// inOrder reports whether an endpoint keeps an order.
func (o *outlet) inOrder() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.endpoint != nil && o.endpoint.InOrder
}

// free is a clock that stands while the endpoint is held, and whether it is.
func (o *outlet) free(now int64) (clock int64, held bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.gate.Free(now), o.gate.Held(now)
}

// clock is an endpoint's clock in a partition: it stands while the endpoint is held, and while nobody has the partition.
func (l *laneRun) clock(p *part, endpoint string, now int64) (clock int64, held bool) {
	o := l.sink.outlet(endpoint)
	if o == nil {
		return p.book.Clock(endpoint, 0), false
	}
	free, held := o.free(now)
	was, known := p.marks[endpoint]
	if !known {
		was = free
	}
	p.marks[endpoint] = free
	return p.book.Clock(endpoint, free-was), held
}

// expiry is outbox.Book.Expiry.
func (l *laneRun) expiry(p *part, d *outbox.Delivery) int64 {
	now := time.Now().UnixMilli()
	clock, held := l.clock(p, d.Endpoint, now)
	wait := max(1, d.Free+l.sink.plan.Load().orderTimeout(d.Endpoint)-clock)
	if held {
		wait = max(wait, heldLook)
	}
	return now + wait
}

// expired reports whether a delivery could have been sent for longer than others may keep it behind them.
func (l *laneRun) expired(p *part, d *outbox.Delivery) bool {
	clock, _ := l.clock(p, d.Endpoint, time.Now().UnixMilli())
	return clock-d.Free >= l.sink.plan.Load().orderTimeout(d.Endpoint)
}

// tick keeps the clocks of endpoints with an order about right in rows, for the next life.
func (l *laneRun) tick(now int64) error {
	if now < l.tickAt {
		return nil
	}
	l.tickAt = now + time.Minute.Milliseconds()
	for _, p := range l.parts {
		for _, name := range p.book.Endpoints() {
			if o := l.sink.outlet(name); o != nil && o.inOrder() && p.book.Waiting(name) > 0 {
				l.clock(p, name, now)
				l.cycle.touch()
			}
		}
	}
	return nil
}

// inTurn reports whether a delivery may go by the order of its user's. One that may not has been put where it waits.
func (l *laneRun) inTurn(f *flight) (goes bool, err error) {
	front := l.orders.front[f.sequence()]
	if !f.stored {
		waits := front != nil
		if !waits && f.part.book.Waiting(f.row.Endpoint) > 0 {
			waits, err = f.part.book.InOrder(f.row.Endpoint, f.row.User)
		}
		if !waits || err != nil {
			return !waits, err
		}
		if front != nil && !front.stored { // what waits in a row waits behind one that has a row
			if err := l.keep(front, outbox.Timed, time.Now().UnixMilli()); err != nil {
				return false, err
			}
		}
		return false, l.keep(f, outbox.Behind, 0)
	}
	first := true
	if f.row.Turn != 0 {
		if first, err = f.part.book.IsFirst(f.row); err != nil {
			return false, err
		}
	}
	if !first && f.row.Attempts == 0 && !l.expired(f.part, &f.row) {
		return false, l.keep(f, outbox.Behind, l.expiry(f.part, &f.row))
	}
	if front != nil {
		l.park(f.part, f.row)
		return false, nil
	}
	if f.ahead = !first; f.row.Stage == outbox.Behind {
		if err := l.keep(f, outbox.Timed, time.Now().UnixMilli()); err != nil {
			return false, err
		}
		return true, f.part.book.Passed(f.row)
	}
	return true, nil
}

// park lets a delivery that is due wait for the one of its user that is in hand.
func (l *laneRun) park(p *part, d outbox.Delivery) {
	if l.orders.keys[d.Key] {
		return
	}
	s := sequence{p, d.Endpoint, d.User}
	list := l.orders.parked[s]
	at, _ := slices.BinarySearchFunc(list, d.Turn, func(a outbox.Delivery, turn uint32) int { return int(int64(a.Turn) - int64(turn)) })
	l.orders.parked[s] = slices.Insert(list, at, d)
	l.orders.keys[d.Key] = true
}

// moves says that the next of a user's deliveries may go.
func (l *laneRun) moves(s sequence) { l.orders.moved = append(l.orders.moved, s) }

// proceed lets the next ones go.
func (l *laneRun) proceed(int64) error {
	for len(l.orders.moved) > 0 && !l.full() {
		s := l.orders.moved[0]
		if l.orders.front[s] == nil {
			goes, err := l.nextOf(s)
			if err != nil {
				return err
			}
			if goes { // unless that one has nowhere to go
				continue
			}
		}
		l.orders.moved = l.orders.moved[1:]
	}
	return nil
}

// nextOf takes up the first that is parked, or what has been behind others for too long. tried says that there was one.
func (l *laneRun) nextOf(s sequence) (tried bool, err error) {
	if list := l.orders.parked[s]; len(list) > 0 {
		key := list[0].Key
		if delete(l.orders.keys, key); len(list) == 1 {
			delete(l.orders.parked, s)
		} else {
			l.orders.parked[s] = list[1:]
		}
		d, waits, err := s.part.book.Delivery(key)
		if waits && err == nil && l.hand[key] == nil {
			err = l.comes(s.part, d)
		}
		return true, err
	}
	if s.part.book.Waiting(s.endpoint) == 0 {
		return false, nil
	}
	d, found, err := s.part.book.Next(s.endpoint, s.user)
	if !found || err != nil || !l.expired(s.part, &d) {
		return false, err
	}
	return true, l.comes(s.part, d)
}
