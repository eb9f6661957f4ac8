package outbox

import (
	"encoding/binary"

	"github.com/tripline/tripline/state"
)

// turns are the deliveries of one user to one endpoint that keep an order, numbered as they came: from first on some are open. Those
// from fresh on are Behind and have not been let go; of these the one at fresh alone has a timer, since the others came later.
type turns struct{ first, fresh, next uint32 }

func (t *turns) append(dst []byte) []byte {
	dst = append(dst, format)
	for _, n := range []uint32{t.first, t.fresh, t.next} {
		dst = binary.AppendUvarint(dst, uint64(n))
	}
	return dst
}

// turnKey is the key of what stands in an order; part 0 is its head, part 1 + n the n-th delivery's key.
func turnKey(endpoint, user string, part uint32) state.Key {
	id := append([]byte{turnRow}, binary.AppendUvarint(nil, uint64(len(endpoint)))...)
	return state.Key{ID: string(append(append(id, endpoint...), user...)), Part: part}
}

// splitTurn takes the ID of such a row, less its kind, apart.
func splitTurn(id string) (endpoint, user string, err error) {
	r := reader{rest: []byte(id)}
	endpoint = r.text()
	user = string(r.rest)
	r.rest = nil
	return endpoint, user, r.end(turnRow, id)
}

func (b *Book) turns(endpoint, user string) (t turns, found bool, err error) {
	k := turnKey(endpoint, user, 0)
	content, found, err := b.get(k)
	if !found || err != nil {
		return t, false, err
	}
	r := reader{rest: content}
	r.format()
	t.first, t.fresh, t.next = uint32(r.uvarint()), uint32(r.uvarint()), uint32(r.uvarint())
	return t, true, r.end(turnRow, k.ID[1:])
}

func (b *Book) putTurns(endpoint, user string, t turns) {
	row := state.Row{Key: turnKey(endpoint, user, 0)}
	if t.first < t.next {
		row.Content = t.append(nil)
	}
	b.put(row)
}

// InOrder reports whether a user has deliveries to an endpoint that wait and keep an order.
func (b *Book) InOrder(endpoint, user string) (bool, error) {
	_, found, err := b.turns(endpoint, user)
	return found, err
}

// Join gives a delivery that is to be saved for the first time its turn: behind all of its user's to its endpoint. One that is Behind
// gets its Due where it is the next that may be let go ahead.
func (b *Book) Join(d *Delivery) error {
	t, _, err := b.turns(d.Endpoint, d.User)
	if err != nil {
		return err
	}
	b.put(state.Row{Key: turnKey(d.Endpoint, d.User, 1+t.next), Content: append([]byte{format}, d.Key...)})
	next := t.fresh == t.next
	t.next++
	if d.Turn = t.next; next && d.Stage == Behind {
		d.Due = b.Expiry(d)
	} else if next {
		t.fresh = t.next
	}
	b.putTurns(d.Endpoint, d.User, t)
	return nil
}

// IsFirst reports whether no open delivery of its user to its endpoint came before one that has a turn.
func (b *Book) IsFirst(d Delivery) (bool, error) {
	t, found, err := b.turns(d.Endpoint, d.User)
	return !found || t.first+1 >= d.Turn, err
}

// Passed says that a delivery was let go that may not be the first: those that are Behind it may follow.
func (b *Book) Passed(d Delivery) error {
	t, found, err := b.turns(d.Endpoint, d.User)
	if !found || err != nil || t.fresh >= d.Turn {
		return err
	}
	t.fresh = d.Turn
	return b.arm(d.Endpoint, d.User, t)
}

// Next is the first delivery of a user to an endpoint that is Behind and has not been let go.
func (b *Book) Next(endpoint, user string) (d Delivery, found bool, err error) {
	t, found, err := b.turns(endpoint, user)
	if !found || err != nil || t.fresh >= t.next {
		return d, false, err
	}
	d, found, err = b.turn(endpoint, user, t.fresh)
	return d, found && d.Stage == Behind, err
}

// turn reads the delivery that has a turn, if it is still open.
func (b *Book) turn(endpoint, user string, n uint32) (d Delivery, found bool, err error) {
	content, found, err := b.get(turnKey(endpoint, user, 1+n))
	if !found || err != nil || len(content) == 0 {
		return d, false, err
	}
	return b.Delivery(string(content[1:]))
}

// arm moves fresh to the next delivery that is Behind, sees to it that this one has a timer, and writes the head.
func (b *Book) arm(endpoint, user string, t turns) error {
	for t.fresh = max(t.fresh, t.first); t.fresh < t.next; t.fresh++ {
		d, found, err := b.turn(endpoint, user, t.fresh)
		if err != nil {
			return err
		}
		if !found || d.Stage != Behind {
			continue
		}
		if d.Due == 0 {
			d.Due = b.Expiry(&d)
			b.Save(&d, nil)
		}
		break
	}
	b.putTurns(endpoint, user, t)
	return nil
}

// leaveTurn ends a delivery's turn. Where it was the first, the one that is now has no others to wait for: if it was Behind it is
// due at once, and returned.
func (b *Book) leaveTurn(d Delivery) (freed *Delivery, err error) {
	t, found, err := b.turns(d.Endpoint, d.User)
	if !found || err != nil {
		return nil, err
	}
	n := d.Turn - 1
	b.put(state.Row{Key: turnKey(d.Endpoint, d.User, 1+n)})
	if n != t.first {
		if n != t.fresh {
			return nil, nil
		}
		return nil, b.arm(d.Endpoint, d.User, t)
	}
	for t.first++; t.first < t.next; t.first++ {
		first, found, err := b.turn(d.Endpoint, d.User, t.first)
		if err != nil {
			return nil, err
		}
		if !found {
			continue
		}
		if first.Stage == Behind {
			first.Stage, first.Due = Timed, 1
			b.Save(&first, nil)
			freed = &first
		}
		break
	}
	return freed, b.arm(d.Endpoint, d.User, t)
}
