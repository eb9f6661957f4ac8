package outbox

import (
	"slices"

	"github.com/tripline/tripline/state"
)

// timer is when (ms) a delivery's row is due; 0: not by a timer.
func (d *Delivery) timer() int64 {
	switch d.Stage {
	case Timed, Unknown:
		return max(1, d.Due)
	case Behind:
		return d.Due
	}
	return 0
}

// Due takes up to limit deliveries whose Due has come by now (ms), less those in hand. It also forgets what has ended long enough ago. What
// it has returned, or found in hand, it looks at again only when Save, End or Again was called for it: so its cost does not grow with what
// is in hand. more says that there may be others.
func (b *Book) Due(now int64, limit int, inHand func(key string) bool) (due []Delivery, more bool, err error) {
	slices.Sort(b.again)
	for b.again = slices.Compact(b.again); len(b.again) > 0 && len(due) < limit; b.again = b.again[1:] {
		d, is, err := b.dueNow(b.again[0], inHand)
		if err != nil {
			return nil, false, err
		}
		if is && b.passed(b.again[0], d.timer()) { // else it is looked at in its turn
			due = append(due, d)
		}
	}
	asked := limit - len(due)
	timers, err := b.state.DueAfter(b.seen, now+1, asked, b.scratch[:0])
	b.scratch = timers
	if err != nil {
		return nil, false, err
	}
	for _, t := range timers {
		d, is, err := b.dueNow(t.ID, inHand)
		if err != nil {
			return nil, false, err
		}
		if b.seen = t; is {
			due = append(due, d)
		}
	}
	return due, len(timers) == asked || len(b.again) > 0, nil
}

// passed reports whether Due has looked at timers behind one of a row. 0 is none.
func (b *Book) passed(id string, timer int64) bool {
	return timer != 0 && (timer < b.seen.Due || timer == b.seen.Due && id <= b.seen.ID)
}

// dueNow is the delivery of a row whose timer has come, unless the row has been changed since: then its commit sets another.
func (b *Book) dueNow(id string, inHand func(key string) bool) (d Delivery, is bool, err error) {
	key := state.Key{ID: id}
	if _, changed := b.pending[key]; changed {
		return d, false, nil
	}
	if _, changed := b.committing[key]; changed {
		return d, false, nil
	}
	if id[0] == endedRow {
		b.put(state.Row{Key: key})
		return d, false, nil
	}
	if inHand(id[1:]) {
		return d, false, nil
	}
	return b.Delivery(id[1:])
}

// Again says that a delivery that was in hand is so no longer, though its row has not changed.
func (b *Book) Again(key string) { b.again = append(b.again, waitingKey(key).ID) }

// NextDue is a moment (ms) before which Due has nothing; ok is false if no timer is set.
func (b *Book) NextDue() (ms int64, ok bool, err error) {
	if len(b.again) > 0 {
		return 0, true, nil
	}
	return b.state.NextDueAfter(b.seen)
}
