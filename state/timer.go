package state

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// Variables, so that tests can make them small.
var (
	// nearTimers is how many entries of the index are read at a time. Up to four
	// times as many are kept in memory.
	nearTimers = 2048
	// usedTimers is how many entries are used up before their range is deleted.
	usedTimers = 1 << 16
	// leastAhead is how many rows are worth an iterator.
	leastAhead = 16
)

// Timer is a row's due moment.
type Timer struct {
	Due int64 // ms since the epoch
	ID  string
}

func (t Timer) compare(u Timer) int {
	if c := cmp.Compare(t.Due, u.Due); c != 0 {
		return c
	}
	return strings.Compare(t.ID, u.ID)
}

func (t Timer) less(u Timer) bool { return t.compare(u) < 0 }

// Due appends to dst up to limit timers whose Due is below before (ms), in order
// of Due, then ID: a view of what is applied, the same at every call until an
// Apply changes these rows. Its cost does not grow with the timers that have
// fired.
func (p *Partition) Due(before int64, limit int, dst []Timer) ([]Timer, error) {
	return p.DueAfter(Timer{Due: math.MinInt64}, before, limit, dst)
}

// DueAfter is Due less the timers up to after, that one included: these are
// passed over at no cost. An Apply may set timers that stand before it.
func (p *Partition) DueAfter(after Timer, before int64, limit int, dst []Timer) ([]Timer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x, limit := &p.timers, max(0, limit)
	ahead, err := p.readAhead(Timer{Due: before}, limit-len(x.ready)+x.readyAfter(after))
	if err != nil {
		return dst, err
	}
	for {
		// What stands below cut has to be checked before the answer is known.
		cut, first := Timer{Due: before}, x.readyAfter(after)
		if last := first + limit - 1; limit > 0 && last < len(x.ready) && x.ready[last].less(cut) {
			cut = x.ready[last]
		}
		switch {
		case len(x.near) > 0 && x.near[0].less(cut):
			err = p.checkNext(ahead)
		case x.short(cut):
			err = p.loadTimers()
		default:
			n, _ := slices.BinarySearchFunc(x.ready, Timer{Due: before}, Timer.compare)
			return append(dst, x.ready[first:max(first, min(first+limit, n))]...), p.trusted()
		}
		if err != nil {
			return dst, err
		}
	}
}

// NextDue returns a moment (ms) before which no timer is due; after a Due that
// returned nothing it is at or after that call's before. ok is false if there is
// no timer at all.
func (p *Partition) NextDue() (ms int64, ok bool, err error) {
	return p.NextDueAfter(Timer{Due: math.MinInt64})
}

// NextDueAfter is NextDue less the timers that DueAfter passes over.
func (p *Partition) NextDueAfter(after Timer) (ms int64, ok bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := &p.timers
	for len(x.ready) == x.readyAfter(after) && len(x.near) == 0 && !x.whole || x.short(x.bound) {
		if err := p.loadTimers(); err != nil {
			return 0, false, err
		}
	}
	for _, first := range [][]Timer{x.ready[x.readyAfter(after):], x.near} {
		if len(first) > 0 && (!ok || first[0].Due < ms) {
			ms, ok = first[0].Due, true
		}
	}
	return ms, ok, p.trusted()
}

// readAhead returns the Due as last applied of heads that entries below cut stand
// for, where a look at the next n of them would read more than a few that are not
// in memory. It reads more than these, as the rows of a block come together then.
// What is due it leaves in memory, as the caller will want it.
func (p *Partition) readAhead(cut Timer, n int) (dues map[string]int64, err error) {
	x, room := &p.timers, p.rows.room()
	if n = min(n, room, 3*nearTimers); n < leastAhead {
		return nil, nil
	}
	if err := p.loadAhead(cut, n); err != nil {
		return nil, err
	}
	if len(p.missing(x.near[:min(n, len(x.near))], cut)) < leastAhead {
		return nil, nil
	}
	if err := p.loadAhead(cut, min(room, 3*nearTimers)); err != nil {
		return nil, err
	}
	next := x.near
	if len(next) > room {
		next = slices.SortedFunc(slices.Values(next), Timer.compare)[:room]
	}
	return p.dues(p.missing(next, cut), cut.Due)
}

// loadAhead reads entries below cut into near until it has n.
func (p *Partition) loadAhead(cut Timer, n int) error {
	for range 3 { // no more: puts may take the horizon back again
		if len(p.timers.near) >= n || !p.timers.short(cut) {
			break
		}
		if err := p.loadTimers(); err != nil {
			return err
		}
	}
	return nil
}

// missing returns the entries below cut whose rows are not in memory.
func (p *Partition) missing(entries []Timer, cut Timer) []Timer {
	missing := make([]Timer, 0, len(entries))
	for _, t := range entries {
		if !t.less(cut) {
			continue
		}
		_, ready := p.timers.readyDue[t.ID]
		if _, known := p.rows.place(Key{ID: t.ID}); !ready && !known {
			missing = append(missing, t)
		}
	}
	return missing
}

// checkNext takes the first entry of near and finds out what it stands for.
func (p *Partition) checkNext(ahead map[string]int64) error {
	x := &p.timers
	t := x.near[0]
	due, known := ahead[t.ID]
	if _, ok := x.readyDue[t.ID]; ok {
		due = 0
	} else if !known {
		var err error
		if due, err = p.appliedDue(t.ID); err != nil {
			return err
		}
	}
	x.taken(t)
	if due > t.Due {
		x.put(Timer{Due: due, ID: t.ID})
	} else if due != 0 {
		x.makeReady(Timer{Due: due, ID: t.ID})
	}
	return nil
}

// loadTimers reads the next entries of the index into near.
func (p *Partition) loadTimers() error {
	x := &p.timers
	from := x.horizon
	it, err := p.timerIter(from)
	if err != nil {
		return p.failed(err)
	}
	loaded, horizon, whole := make([]Timer, 0, nearTimers), from, true
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var t Timer
		if t, err = decodeTimerKey(it.Key()[prefixSize:]); len(loaded) == nearTimers {
			horizon, whole = t, false
			break
		}
		if r := (reader{rest: it.Value()}); len(r.rest) > 0 {
			t.Due = r.varint()
		}
		loaded = append(loaded, t)
	}
	if err = errors.Join(err, it.Close()); err != nil {
		return p.failed(err)
	}
	x.horizon, x.whole = horizon, whole
	for _, t := range loaded {
		x.push(t) // which may take the horizon back again
	}
	for _, put := range x.puts { // these are not on disk yet
		if !put.t.less(from) && (x.whole || put.t.less(x.horizon)) {
			x.push(put.t)
		}
	}
	return nil
}

// timerIter iterates over the index from an entry on: what lies before it, used
// up, is no work.
func (p *Partition) timerIter(from Timer) (*pebble.Iterator, error) {
	options := p.span(kindTimer)
	options.LowerBound = appendTimerKey(options.LowerBound, from)
	return p.store.db.NewIter(options)
}

// timerIndex is the timers of a partition in order. Most of it is on disk, in
// entries that are never deleted one by one; the part that comes up next is in
// memory. An entry may stand earlier than its row is due, or for nothing any
// more; but for every row that is due there is one no later than that.
type timerIndex struct {
	bound Timer // entries on disk below it are used up
	// early is the largest Due in the key of an entry that was due before the
	// bound: such a one stands behind it, with its own Due as the value.
	early   int64
	near    []Timer // heap: entries not yet looked at, all that are below horizon
	horizon Timer   // up to which the disk was read; whole: to the end
	whole   bool

	ready    []Timer // entries that were looked at and are as their rows say, in order
	readyDue map[string]int64

	puts  []timerPut // not yet in Pebble
	last  Timer      // the largest entry taken from near
	used  int        // entries taken since the last range was deleted
	swept Timer      // up to which ranges were deleted
}

// timerPut is an entry to be written: t, standing at.
type timerPut struct{ at, t Timer }

func (p timerPut) value() []byte {
	if p.at.Due == p.t.Due {
		return nil
	}
	return binary.AppendVarint(nil, p.t.Due)
}

func newTimerIndex() timerIndex {
	start := Timer{Due: math.MinInt64}
	return timerIndex{bound: start, early: start.Due, horizon: start, last: start, swept: start,
		readyDue: make(map[string]int64)}
}

// short says that entries below cut, or due below the bound, may not be in memory.
func (x *timerIndex) short(cut Timer) bool {
	return !x.whole && (x.horizon.less(cut) || x.horizon.Due <= x.early)
}

// readyAfter is where what is ready after an entry begins.
func (x *timerIndex) readyAfter(after Timer) int {
	if len(x.ready) == 0 || after.less(x.ready[0]) {
		return 0
	}
	i, found := slices.BinarySearchFunc(x.ready, after, Timer.compare)
	if found {
		i++
	}
	return i
}

// change takes in that a row was due at from, 0 if that is not known, and is now
// due at to; 0: not at all.
func (x *timerIndex) change(id string, from, to int64) {
	if due, ok := x.readyDue[id]; ok {
		if due == to {
			return
		}
		delete(x.readyDue, id)
		i, _ := slices.BinarySearchFunc(x.ready, Timer{Due: due, ID: id}, Timer.compare)
		if i < len(x.ready)/2 { // mostly it is one of the first
			copy(x.ready[1:i+1], x.ready[:i])
			x.ready[0], x.ready = Timer{}, x.ready[1:]
		} else {
			x.ready = slices.Delete(x.ready, i, i+1)
		}
		from = 0
	}
	if to != 0 && (from == 0 || to < from) {
		x.put(Timer{Due: to, ID: id})
	}
}

// put adds an entry.
func (x *timerIndex) put(t Timer) {
	at := t
	if at.less(x.bound) {
		at.Due = x.bound.Due
		if at.less(x.bound) {
			at.Due++
		}
		x.early = max(x.early, at.Due)
	}
	x.puts = append(x.puts, timerPut{at: at, t: t})
	if x.whole || t.less(x.horizon) {
		x.push(t)
	}
}

func (x *timerIndex) makeReady(t Timer) {
	i, _ := slices.BinarySearchFunc(x.ready, t, Timer.compare)
	x.ready = slices.Insert(x.ready, i, t)
	x.readyDue[t.ID] = t.Due
}

// push adds to near. When that is too large, its later part is left to the disk.
func (x *timerIndex) push(t Timer) {
	x.near = append(x.near, t)
	for i := len(x.near) - 1; i > 0; {
		parent := (i - 1) / 2
		if !x.near[i].less(x.near[parent]) {
			break
		}
		x.near[i], x.near[parent] = x.near[parent], x.near[i]
		i = parent
	}
	if len(x.near) > 4*nearTimers {
		slices.SortFunc(x.near, Timer.compare)
		x.horizon, x.whole = x.near[2*nearTimers], false
		x.near = slices.Clone(x.near[:2*nearTimers])
	}
}

// taken removes t, the first of near, and its equals.
func (x *timerIndex) taken(t Timer) {
	for len(x.near) > 0 && x.near[0] == t {
		n := len(x.near) - 1
		x.near[0] = x.near[n]
		x.near[n] = Timer{}
		x.near = x.near[:n]
		for i := 0; ; {
			child := 2*i + 1
			if child >= n {
				break
			}
			if child+1 < n && x.near[child+1].less(x.near[child]) {
				child++
			}
			if !x.near[child].less(x.near[i]) {
				break
			}
			x.near[i], x.near[child] = x.near[child], x.near[i]
			i = child
		}
	}
	x.used++
	if x.last.less(t) {
		x.last = t
	}
}

// advance moves the bound up to the first entry that is not used up.
func (x *timerIndex) advance() {
	first := Timer{Due: x.last.Due, ID: x.last.ID + "\x00"}
	if !x.whole {
		first = x.horizon
	}
	for _, live := range [][]Timer{x.near, x.ready} {
		if len(live) > 0 && live[0].less(first) {
			first = live[0]
		}
	}
	if x.bound.less(first) {
		x.bound = first
	}
}

// takePuts returns the entries to be written, in order of key.
func (x *timerIndex) takePuts() []timerPut {
	puts := x.puts
	x.puts = nil
	slices.SortFunc(puts, func(a, b timerPut) int { return a.at.compare(b.at) })
	return puts
}

// takeUsed returns a range of entries that are used up, when it is worth it.
func (x *timerIndex) takeUsed() (from, to Timer, ok bool) {
	if x.used < usedTimers || !x.swept.less(x.bound) {
		return Timer{}, Timer{}, false
	}
	from, to = x.swept, x.bound
	x.used, x.swept = 0, x.bound
	return from, to, true
}
