package history

import (
	"math"
	"slices"
)

// lowest lies before all events.
var lowest = Position{Time: math.MinInt64}

// floor is the position up to which events are gone.
func (l *Log) floor() Position {
	if !l.floored {
		return lowest
	}
	return l.passed
}

// raise moves the floor, and forgets the chunks that it passes.
func (l *Log) raise(to Position) {
	if to.Compare(l.floor()) <= 0 {
		return
	}
	if l.losing != nil {
		l.losing(to)
	}
	l.floored, l.passed, l.counted = true, to, false
	if l.inline.n > 0 && l.inline.max.Compare(to) <= 0 {
		l.inline.clear(false)
	}
	if t := l.tail; t != nil && len(t.refs) > 0 && t.end.Compare(to) <= 0 && l.Err() == nil {
		t.drop(func(r *ref) bool { return r.max.Compare(to) <= 0 })
	}
}

// trim raises the floor until at most this many events are left, and tells how many that took.
func (l *Log) trim(most int) (dropped int) {
	n := l.inline.n - l.inline.dead
	if l.tail != nil {
		n += l.tail.n - l.tail.dead
	}
	if n <= most {
		return 0
	}
	to := l.floor()
	if !l.counted {
		n = l.count()
	}
	for ; n > most; n-- {
		p, ok := l.first()
		if !ok {
			break
		}
		to = p
		dropped++
	}
	l.raise(to)
	l.counted = true
	return dropped
}

// count settles how many events of each chunk and of the head the floor has passed, and tells how many are left.
func (l *Log) count() (n int) {
	floor := l.floor()
	if in := &l.inline; in.n > 0 && in.min.Compare(floor) <= 0 {
		in.dead = in.index().behind(floor)
	}
	n = l.inline.n - l.inline.dead
	t := l.tail
	if t == nil {
		return n
	}
	t.dead = 0
	for i := range t.refs {
		r := &t.refs[i]
		if r.min.Compare(floor) <= 0 {
			t.cut(r, floor)
		}
		t.dead += r.dead
	}
	return n + t.n - t.dead
}

// first takes the first event that is left after count. It is false if chunks cannot be read.
func (l *Log) first() (p Position, ok bool) {
	var dead *int
	var of *ref
	if in := &l.inline; in.dead < in.n {
		p, dead = in.min, &in.dead
		if in.dead > 0 {
			p = in.index().places[in.dead]
		}
	}
	if l.tail != nil {
		for i := range l.tail.refs {
			r := &l.tail.refs[i]
			if q, ok := l.tail.front(r); ok && (dead == nil || q.Compare(p) < 0) {
				p, dead, of = q, &r.dead, r
			}
		}
	}
	if dead == nil {
		return Position{}, false
	}
	*dead++
	if of != nil {
		l.tail.dead++
		if of.dead > 1 {
			of.ahead.next++
		}
	}
	return p, true
}

// cut settles how many events of a chunk the floor has passed.
func (t *tail) cut(r *ref, floor Position) {
	places := r.ahead.places
	if n := len(places); r.ahead.next == n || places[n-1].Compare(floor) <= 0 {
		r.dead, r.ahead = t.places(r).behind(floor), window{}
		return
	}
	for places[r.ahead.next].Compare(floor) <= 0 {
		r.ahead.next++
		r.dead++
	}
}

// front is the place of a chunk's first event that the floor has not passed.
func (t *tail) front(r *ref) (p Position, ok bool) {
	switch {
	case r.dead == 0:
		return r.min, true
	case r.dead == r.n:
		return p, false
	}
	if r.ahead.next == len(r.ahead.places) {
		places := t.places(r).places
		if r.dead >= len(places) {
			return p, false
		}
		r.ahead = windowOf(slices.Clone(places[r.dead:min(r.dead+tailAhead, len(places))]))
	}
	return r.ahead.places[r.ahead.next], true
}

// seal makes a chunk of the events in the head, and merges the levels that this fills.
func (l *Log) seal(most int) {
	if l.Err() != nil {
		return
	}
	if l.room == nil {
		l.room = new(room)
	}
	if l.inline.n == 1 {
		l.inline.only(&l.room.few)
		l.begun().put(&l.room.few, 0)
		l.inline.clear(false)
	} else if !l.sealAll() {
		return
	}
	for level := uint8(0); level < maxLevel; level++ {
		of := func(r *ref) bool { return r.level == level && !r.full }
		if n := l.tail.several(of); n < fanout || level == 0 && n < 2*fanout && l.tail.fewIn(of) {
			break
		}
		l.tail.merge(of, level+1, l.floor())
	}
	if most > 0 && l.tail.n > 2*most+2*inlineEvents {
		l.tail.merge(func(*ref) bool { return true }, l.tail.top(), l.floor())
	}
}

// begun is the tail, which there is from now on.
func (l *Log) begun() *tail {
	if l.tail == nil {
		l.tail = l.room.tailAgain()
	}
	l.tail.room = l.room
	return l.tail
}

// sealAll makes chunks of the events in the head that the floor has not passed. It is false if there are none now, or too few.
func (l *Log) sealAll() bool {
	events := l.inline.index()
	from := events.behind(l.floor())
	if live := l.inline.n - from; 2*live <= l.inline.n {
		if l.inline.compact(l.floor()); !l.inline.full() {
			return false
		}
		events, from = l.inline.index(), 0
	}
	few := buildFew(events, from)
	if few.n > 0 {
		l.begun().put(&few, 0)
	} else if !l.begun().putAll(events, from) {
		return false
	}
	l.inline.clear(few.n != 1)
	return true
}

// putAll adds chunks of the events of a table from a place on. It is false if they cannot be read.
func (t *tail) putAll(events *table, from int) bool {
	chunks, ok := build([]source{{table: events, at: from}}, want{hashes: true, split: true})
	if !ok {
		t.fail(errCorrupt)
	}
	for i := range chunks {
		to := from + chunks[i].n
		chunks[i].events = events.between(from, to)
		t.put(&chunks[i], 0)
		from = to
	}
	return ok
}

// several is how many chunks of holds for.
func (t *tail) several(of func(*ref) bool) (n int) {
	for i := range t.refs {
		if of(&t.refs[i]) {
			n++
		}
	}
	return n
}

// fewIn says that the chunks that of holds for have few events: large ones stand alone, and to merge is to read them all.
func (t *tail) fewIn(of func(*ref) bool) bool {
	n := 0
	for i := range t.refs {
		if of(&t.refs[i]) {
			n += t.refs[i].n
		}
	}
	return n < 2*fanout
}

// top is the highest level of all.
func (t *tail) top() (level uint8) {
	for i := range t.refs {
		level = max(level, t.refs[i].level)
	}
	return level
}

// merge makes one chunk of a level, or several if they become full, out of those that of holds for. Events that the
// floor has passed are left out.
func (t *tail) merge(of func(*ref) bool, level uint8, floor Position) {
	var refs []*ref
	whole := true
	for i := range t.refs {
		if r := &t.refs[i]; of(r) {
			refs = append(refs, r)
			whole = whole && r.min.Compare(floor) > 0
		}
	}
	chunks, ok := t.mergeWhole(refs, of, whole)
	if !ok {
		chunks, ok = build(t.sources(refs, floor), want{hashes: true, sums: true, split: true})
	}
	if !ok {
		t.fail(errCorrupt)
	}
	if t.err != nil {
		return
	}
	t.drop(of)
	for i := range chunks {
		t.put(&chunks[i], level)
	}
}

// sources are the events of chunks that the floor has not passed.
func (t *tail) sources(refs []*ref, floor Position) (sources []source) {
	for _, r := range refs {
		c := t.open(r)
		sources = append(sources, source{table: &c.table, at: c.behind(floor)})
	}
	return sources
}

// mergeWhole merges chunks all of whose events are kept; their indexes then have the new one's. It is false if they
// are not whole, or become full.
func (t *tail) mergeWhole(refs []*ref, of func(*ref) bool, whole bool) (chunks []built, ok bool) {
	if !whole {
		return nil, false
	}
	hashes, sums := t.known(of)
	done, ok := t.concatenate(refs, sums == nil)
	if ok {
		chunks = []built{done}
	} else if sources := t.sources(refs, lowest); bodies(sources) < fullBytes {
		chunks, ok = build(sources, want{sums: sums == nil})
	}
	if !ok || len(chunks) != 1 {
		return nil, false
	}
	chunks[0].hashes = hashes
	if sums != nil {
		chunks[0].summary = sums
	}
	return chunks, true
}

// bodies is how many bytes the sources' records take.
func bodies(sources []source) (size int) {
	for i := range sources {
		size += len(sources[i].body)
	}
	return size
}

// known is what the indexes tell of chunks that become one: the hashes of their ids, in order, and the summary of all;
// nil if one of them has none that is complete.
func (t *tail) known(of func(*ref) bool) (hashes []uint32, sums *summary) {
	var summaries []*summary
	var last uint32
	for i := range t.refs {
		r := &t.refs[i]
		if !of(r) {
			continue
		}
		summaries, hashes = append(summaries, t.summary(r)), append(hashes, r.hashes...)
		if r.index == 0 || r.index == last {
			continue
		}
		last = r.index
		hashes = append(hashes, t.index(r.index).of(func(part uint32) bool {
			owner := t.ref(part)
			return owner != nil && of(owner)
		})...)
	}
	if !slices.IsSorted(hashes) {
		slices.Sort(hashes)
	}
	return hashes, mergeSummaries(summaries)
}
