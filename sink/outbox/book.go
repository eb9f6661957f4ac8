package outbox

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/state"
)

// Book is the rows of one partition. One goroutine uses it, but for Walk.
type Book struct {
	// Expiry says when (ms) it has to be looked whether a delivery that is Behind has waited enough. It is set where Join is called.
	Expiry func(*Delivery) int64

	state      *state.Partition
	pending    map[state.Key]state.Row // to be committed next
	committing map[state.Key]state.Row // being committed

	endpoints map[string]*line
	backlog   bool             // a queue may hold something
	erased    map[string]int64 // user: offset of the tombstone

	seen    state.Timer // up to here Due has looked at timers,
	again   []string    // IDs of rows whose timers stand before that, and have to be looked at nevertheless
	scratch []state.Timer
}

// Open reads what a book must know before it can be used.
func Open(p *state.Partition) (*Book, error) {
	b := &Book{state: p, pending: map[state.Key]state.Row{}, endpoints: map[string]*line{}, erased: map[string]int64{}}
	err := p.Scan(func(r state.Row) error {
		switch name := r.ID[1:]; r.ID[0] {
		case erasedRow:
			offset, err := decodeOffset(name, r.Content)
			b.erased[name] = offset
			return err
		case queueRow:
			if r.Part != 0 {
				return nil
			}
			q, err := decodeQueues(name, r.Content)
			b.endpoints[name] = newLine(name, q)
			b.backlog = true
			return err
		}
		return errStop
	})
	if err != nil && !errors.Is(err, errStop) {
		return nil, fmt.Errorf("open outbox: %w", err)
	}
	return b, nil
}

// errStop ends a walk.
var errStop = errors.New("stop")

// get reads a row as of the changes made so far.
func (b *Book) get(k state.Key) (content []byte, found bool, err error) {
	if r, ok := b.pending[k]; ok {
		return r.Content, r.Content != nil, nil
	}
	if r, ok := b.committing[k]; ok {
		return r.Content, r.Content != nil, nil
	}
	return b.state.Get(k)
}

func (b *Book) put(r state.Row) { b.pending[r.Key] = r }

func (b *Book) line(endpoint string) *line {
	l := b.endpoints[endpoint]
	if l == nil {
		l = newLine(endpoint, queues{})
		b.endpoints[endpoint] = l
	}
	return l
}

// Waiting is how many rows of deliveries an endpoint has.
func (b *Book) Waiting(endpoint string) int64 {
	if l := b.endpoints[endpoint]; l != nil {
		return l.waiting
	}
	return 0
}

// Waits reports whether a delivery has a row.
func (b *Book) Waits() bool {
	for _, l := range b.endpoints {
		if l.waiting > 0 {
			return true
		}
	}
	return false
}

// Endpoints are those that have rows, in order of name.
func (b *Book) Endpoints() []string { return slices.Sorted(maps.Keys(b.endpoints)) }

// Delivery reads the row of a delivery that waits.
func (b *Book) Delivery(key string) (d Delivery, found bool, err error) {
	content, found, err := b.get(waitingKey(key))
	if !found || err != nil {
		return Delivery{}, false, err
	}
	d, err = decodeDelivery(key, content, true)
	return d, err == nil, err
}

// Gone reports whether the row of a delivery that waited was deleted since the last Changes.
func (b *Book) Gone(key string) bool {
	r, changed := b.pending[waitingKey(key)]
	return changed && r.Content == nil
}

// Record reads the trigger's record of a delivery that waits, as Delivery, Due or Pull returned it.
func (b *Book) Record(d Delivery) (raw []byte, trace record.Trace, err error) {
	content := []byte(d.record)
	if d.record == "" {
		if content, _, err = b.get(recordKey(d.Key)); err != nil {
			return nil, trace, err
		}
	}
	trace, raw, ok := splitRecord(content)
	if !ok {
		return nil, trace, fmt.Errorf("%w: the record of %q", errRow, d.Key)
	}
	return raw, trace, nil
}

// Ended reports whether a delivery has ended, as far back as that is kept.
func (b *Book) Ended(key string) (bool, error) {
	_, found, err := b.get(endedKey(key))
	return found, err
}

// maxInline is how large (bytes) a record is that stands in its delivery's row: small ones cost one row for that, and large ones are not
// written again at each attempt.
const maxInline = 2 << 10

// Save writes the row of a delivery that waits. record is its trigger's record if it has no row yet, else nil. One that is
// queued goes to the end of its queue, unless it is there already.
func (b *Book) Save(d *Delivery, record []byte) {
	l := b.line(d.Endpoint)
	if record != nil {
		if content := appendRecord(nil, d.Trace, record); len(content) <= maxInline {
			d.record = string(content)
		} else {
			b.put(state.Row{Key: recordKey(d.Key), Content: content})
		}
		l.waiting++
		l.dirty = true
	}
	row := state.Row{Key: waitingKey(d.Key)}
	row.Due = d.timer()
	row.Content = d.append(nil)
	b.put(row)
	l.leave(b, d.Key)
	if d.Stage == QueuedFirst || d.Stage == QueuedAgain {
		l.enter(d.Stage, d.Key)
		b.backlog = true
	}
}

// End deletes the rows of a delivery that waited, and notes until a moment (ms) that it has ended. It returns the delivery, if there is
// one, that was Behind this one alone and is due now.
func (b *Book) End(d Delivery, waited bool, until int64) (freed *Delivery, err error) {
	if waited {
		b.put(state.Row{Key: waitingKey(d.Key)})
		if d.record == "" {
			b.put(state.Row{Key: recordKey(d.Key)})
		}
		l := b.line(d.Endpoint)
		l.waiting--
		l.dirty = true
		l.leave(b, d.Key)
		if d.Turn != 0 {
			freed, err = b.leaveTurn(d)
		}
		if d.Batch != "" && err == nil {
			err = b.Unbind(d.Batch)
		}
	}
	b.put(state.Row{Key: endedKey(d.Key), Due: until, Content: []byte{format}})
	return freed, err
}

// keepClock is how much of a clock, in ms, a crash may lose.
const keepClock = 30_000

// Clock moves an endpoint's clock on by so many ms and returns it. What a clock counts is the caller's matter; it begins anew when
// nothing waits for the endpoint.
func (b *Book) Clock(endpoint string, by int64) int64 {
	l := b.line(endpoint)
	l.clock += by
	l.dirty = l.dirty || l.clock-l.kept >= keepClock
	return l.clock
}

// Erase notes that a user was erased by the tombstone at an offset.
func (b *Book) Erase(user string, offset int64) {
	b.erased[user] = offset
	b.put(state.Row{Key: erasedKey(user), Content: appendOffset(nil, offset)})
}

// Erased reports whether a delivery of that user, from that offset, is one of before the user was erased.
func (b *Book) Erased(user string, offset int64) bool {
	erased, ok := b.erased[user]
	return ok && offset < erased
}

// ErasedUsers are those who are noted, with the offsets of their tombstones.
func (b *Book) ErasedUsers() map[string]int64 { return maps.Clone(b.erased) }

// Forget ends the note of a user whose deliveries are gone, unless there is a newer one.
func (b *Book) Forget(user string, offset int64) {
	if b.erased[user] == offset {
		delete(b.erased, user)
		b.put(state.Row{Key: erasedKey(user)})
	}
}

// Changes are the rows to commit. From here on further changes are those of the next commit. It is not called again before
// Committed.
func (b *Book) Changes() []state.Row {
	for _, name := range b.Endpoints() {
		if l := b.endpoints[name]; l.flush(b) {
			delete(b.endpoints, name)
		}
	}
	b.committing, b.pending = b.pending, map[state.Key]state.Row{}
	rows := make([]state.Row, 0, len(b.committing))
	for _, r := range b.committing {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b state.Row) int {
		if a.ID != b.ID {
			if a.ID < b.ID {
				return -1
			}
			return 1
		}
		return int(a.Part) - int(b.Part)
	})
	return rows
}

// Committed says that what Changes returned is applied.
func (b *Book) Committed() {
	for key, r := range b.committing {
		if b.passed(key.ID, r.Due) {
			b.again = append(b.again, key.ID)
		}
	}
	b.committing = nil
}

// Pending is how many rows there are to commit.
func (b *Book) Pending() int { return len(b.pending) }

// Walk calls visit for every delivery that waits, in order of key, as applied when it was called. It may run beside everything
// else. An error of visit ends it and is returned.
func (b *Book) Walk(visit func(Delivery) error) error {
	err := b.state.Scan(func(r state.Row) error {
		switch {
		case r.ID[0] == endedRow:
			return errStop
		case r.ID[0] != waitingRow || r.Part != 0:
			return nil
		}
		d, err := decodeDelivery(r.ID[1:], r.Content, false)
		if err != nil {
			return err
		}
		return visit(d)
	})
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}
