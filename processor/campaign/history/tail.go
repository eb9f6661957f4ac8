package history

import (
	"slices"
)

const (
	fanout    = 8         // so many chunks of a level become one of the next
	fullBytes = 512 << 10 // a chunk of so many bytes is not merged any more
	tailNames = 24        // so many names of events are counted for each chunk
	tailAhead = 32        // so many places in a chunk that the floor has cut into stand in the head
	maxLevel  = 30
)

// tail is what a log has outside of its head, and what the head says of it.
type tail struct {
	parts
	newest  uint32 // the last part's number
	refs    []ref
	names   words // of events, that the refs count
	indexes []loaded
	n       int      // events in the chunks, those that the floor has passed included
	dead    int      // of them, how many the floor had passed when they were last counted
	end     Position // the least end of a chunk
	last    Position // the largest end of a chunk
	memos   []memo   // answers that hold as long as refs
	encoded []byte   // refs and names as the head has them; nil: changed
	room    *room
	err     error // the first part that could not be read
}

type loaded struct {
	number uint32
	index  *index
}

// ref is what the head says of a chunk.
type ref struct {
	part     uint32
	index    uint32 // the part that is its level's index, 0: none
	level    uint8
	full     bool // not merged any more; has an index of its own
	n        int
	dead     int // of them, how many the floor had passed when it was last counted
	ahead    window
	min, max Position
	names    []wordCount
	others   int      // events whose names are not among tail.names
	short    *table   // of a short chunk, all of its events but their records; names are numbers of tail.names
	hashes   []uint32 // of a short chunk's ids, in order: it has no index

	content []byte // of a chunk that is at hand but not yet parsed
	chunk   *chunk // nil until needed
}

// window is the places of some of a chunk's events. The head keeps them, so that the floor can pass them without the
// chunk.
type window struct {
	places  []Position
	next    int    // the first one that the floor has not passed
	encoded []byte // all of them
}

type wordCount struct {
	word uint32 // in tail.names
	n    int
}

// put adds a chunk.
func (t *tail) put(b *built, level uint8) {
	t.newest++
	r := ref{part: t.newest, level: level, full: len(b.content) >= fullBytes, n: b.n, min: b.min, max: b.max, content: b.content}
	t.change(r.part, b.content)
	t.forgetNames()
	for i := range b.names {
		if c := &b.names[i]; !t.numbers(c.name) {
			r.others += c.n
		}
	}
	if level == 0 && r.n <= shortEvents && r.others == 0 {
		r.hashes = b.hashes
		t.shorten(&r, &b.events)
	} else {
		for _, c := range b.names {
			if word, ok := t.names.find(c.name); ok {
				r.names = append(r.names, wordCount{word, c.n})
			}
		}
		if len(b.hashes) > 0 || b.summary != nil {
			t.putIndex(&r, b)
		}
	}
	t.refs = append(t.refs, r)
	t.review()
}

// shorten makes r a reference of a short chunk, of these events.
func (t *tail) shorten(r *ref, events *table) {
	m := t.room
	if len(m.places) > roomPlaces { // what is in use stays where it is
		m.places, m.names, m.counts, m.tables = nil, nil, nil, nil
	}
	at, counts := len(m.places), len(m.counts)
	m.places = append(m.places, events.places...)
	for _, name := range events.names { // in this order, as they are read
		word := t.names.add(events.words.raw(name))
		m.names, m.counts = append(m.names, word), countWord(m.counts, counts, word)
	}
	m.short(r, at, counts, &t.names)
}

// short gives a reference the places, names and counts from there on.
func (m *room) short(r *ref, at, counts int, w *words) {
	m.tables = append(m.tables, table{places: slices.Clip(m.places[at:]), names: slices.Clip(m.names[at:]), words: w})
	r.short, r.names = &m.tables[len(m.tables)-1], slices.Clip(m.counts[counts:])
	r.min, r.max = r.short.places[0], r.short.places[len(r.short.places)-1]
}

// numbers says whether a name has a number; it gets none if there are too many.
func (t *tail) numbers(name string) (ok bool) {
	if t.names.n >= tailNames {
		_, ok = t.names.find(name)
		return ok
	}
	t.names.add(name)
	return true
}

// forgetNames makes room for new names once there is none.
func (t *tail) forgetNames() {
	if t.names.n < tailNames {
		return
	}
	old := t.names
	t.names = words{}
	for i := range t.refs {
		for j := range t.refs[i].names {
			c := &t.refs[i].names[j]
			c.word = t.names.add(old.name(c.word))
		}
		if short := t.refs[i].short; short != nil {
			for j := range short.names {
				short.names[j] = t.names.add(old.name(short.names[j]))
			}
		}
	}
}

// putIndex adds a chunk to the index of its level, or gives it one if it is full.
func (t *tail) putIndex(r *ref, b *built) {
	var old *index
	for i := range t.refs {
		if o := &t.refs[i]; !r.full && !o.full && o.level == r.level && o.index != 0 && r.index == 0 {
			r.index, old = o.index, t.index(o.index)
		}
	}
	if r.index == 0 {
		t.newest++
		r.index = t.newest
	}
	content := old.with(func(part uint32) bool { return t.ref(part) != nil }, r.part, b)
	t.change(r.index, content)
	parsed, err := parseIndex(content)
	t.fail(err)
	t.indexes = slices.DeleteFunc(t.indexes, func(l loaded) bool { return l.number == r.index })
	t.indexes = append(t.indexes, loaded{r.index, parsed})
}

// drop forgets the chunks that gone holds for.
func (t *tail) drop(gone func(*ref) bool) {
	kept := t.refs[:0]
	var indexes []uint32 // that may have lost their last chunk
	for _, r := range t.refs {
		if !gone(&r) {
			kept = append(kept, r)
			continue
		}
		t.delete(r.part)
		if r.index != 0 {
			indexes = append(indexes, r.index)
		}
	}
	clear(t.refs[len(kept):])
	t.refs = kept
	for _, number := range indexes {
		if !slices.ContainsFunc(t.refs, func(r ref) bool { return r.index == number }) {
			t.delete(number)
			t.indexes = slices.DeleteFunc(t.indexes, func(l loaded) bool { return l.number == number })
		}
	}
	t.review()
}

// review brings up to date what is derived from refs.
func (t *tail) review() {
	t.n, t.dead, t.encoded, t.memos = 0, 0, nil, t.memos[:0]
	for i := range t.refs {
		r := &t.refs[i]
		t.n += r.n
		t.dead += r.dead
		if i == 0 || r.max.Compare(t.end) < 0 {
			t.end = r.max
		}
		if i == 0 || r.max.Compare(t.last) > 0 {
			t.last = r.max
		}
	}
}

// ref is that of a chunk; nil if it is gone.
func (t *tail) ref(part uint32) *ref {
	for i := range t.refs {
		if t.refs[i].part == part {
			return &t.refs[i]
		}
	}
	return nil
}

// fail keeps the first error.
func (t *tail) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

// layout is a chunk's content without looking into it. It is false if that cannot be read.
func (t *tail) layout(r *ref) (layout, bool) {
	if r.chunk != nil {
		return r.chunk.raw, r.chunk.len() > 0
	}
	if r.content == nil {
		r.content = t.content(r.part)
	}
	c, err := parseLayout(r.content)
	return c, err == nil && c.n == r.n
}

// open is the chunk itself, without events if it cannot be read.
func (t *tail) open(r *ref) *chunk {
	if r.chunk != nil {
		return r.chunk
	}
	if r.content == nil {
		r.content = t.content(r.part)
	}
	c, err := parseChunk(r.content)
	switch {
	case r.content == nil:
		err = errMissing
	case err == nil && (c.len() != r.n || c.places[0] != r.min || c.places[r.n-1] != r.max):
		err = errCorrupt
	}
	if err != nil {
		t.fail(err)
		c = &chunk{}
		c.table.words = &c.raw.words
	}
	r.chunk, r.content = c, nil
	return c
}

// places is a chunk as far as the places and names of its events. Of a short one the head has them.
func (t *tail) places(r *ref) *table {
	if r.short != nil {
		return r.short
	}
	return &t.open(r).table
}

// event is a short chunk's event at i. One that cannot be read is without properties.
func (t *tail) event(r *ref, i int) *Event {
	if r.chunk == nil {
		c, ok := t.layout(r)
		if e := c.event(i, t.room); ok && e != nil && e.Position() == r.short.places[i] {
			return e
		}
	}
	if c := t.open(r); i < c.len() { // or it tells what is wrong
		return c.event(i)
	}
	return &Event{Seq: r.short.places[i].Seq, Time: r.short.places[i].Time, Name: t.names.name(r.short.names[i])}
}

// index is the part of that number, empty if it cannot be read.
func (t *tail) index(number uint32) *index {
	for i := range t.indexes {
		if t.indexes[i].number == number {
			return t.indexes[i].index
		}
	}
	content := t.content(number)
	x, err := parseIndex(content)
	if content == nil {
		err = errMissing
	}
	if err != nil {
		t.fail(err)
		x = &index{}
	}
	t.indexes = append(t.indexes, loaded{number, x})
	return x
}

// summary is that of a chunk; nil if there is none.
func (t *tail) summary(r *ref) *summary {
	if r.index == 0 {
		return nil
	}
	s, err := t.index(r.index).summary(r.part)
	t.fail(err)
	return s
}

// hasID tells whether an event behind the floor has this id, whose hash is h.
func (t *tail) hasID(id string, h uint32, floor Position) bool {
	last := uint32(0)
	for i := range t.refs {
		if r := &t.refs[i]; slices.Contains(r.hashes, h) && r.max.Compare(floor) > 0 && t.open(r).hasID(id, floor) {
			return true
		}
		number := t.refs[i].index
		if number == 0 || number == last {
			continue
		}
		last = number
		x := t.index(number)
		for j := x.find(h); j < len(x.owners) && x.hash(j) == h; j++ {
			r := t.ref(x.parts[x.owners[j]])
			if r != nil && r.max.Compare(floor) > 0 && t.open(r).hasID(id, floor) {
				return true
			}
		}
	}
	return false
}

// parts is what a log has outside of its head.
type parts struct {
	load    func(n uint32) []byte
	stored  []uint32 // that the caller knows of, in order
	changed []part   // since it asked last, in order
}

type part struct {
	n       uint32
	content []byte // nil: deleted
}

func comparePart(p part, n uint32) int { return int(int64(p.n) - int64(n)) }

func (p *parts) change(n uint32, content []byte) {
	i, found := slices.BinarySearchFunc(p.changed, n, comparePart)
	if !found {
		p.changed = slices.Insert(p.changed, i, part{n: n})
	}
	p.changed[i].content = content
}

// delete forgets a part that the caller has not seen, and has the others deleted.
func (p *parts) delete(n uint32) {
	if _, found := slices.BinarySearch(p.stored, n); found {
		p.change(n, nil)
	} else if i, found := slices.BinarySearchFunc(p.changed, n, comparePart); found {
		p.changed = slices.Delete(p.changed, i, i+1)
	}
}

// emit hands the changes over.
func (p *parts) emit(to func(n uint32, content []byte)) {
	for _, c := range p.changed {
		i, found := slices.BinarySearch(p.stored, c.n)
		switch {
		case c.content == nil && found:
			p.stored = slices.Delete(p.stored, i, i+1)
		case c.content != nil && !found:
			p.stored = slices.Insert(p.stored, i, c.n)
		}
		to(c.n, c.content)
	}
	clear(p.changed)
	p.changed = p.changed[:0]
}

// content is that of a part that was not written here; nil if the caller has none.
func (p *parts) content(n uint32) []byte {
	if p.load == nil {
		return nil
	}
	return p.load(n)
}
