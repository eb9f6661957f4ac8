package history

import (
	"encoding/binary"
	"slices"
)

const (
	fanout    = 8         // so many chunks of a level become one of the next
	fullBytes = 512 << 10 // a chunk of so many bytes is not merged any more
	tailNames = 24        // so many names of events are counted for each chunk
	maxLevel  = 30
)

// tail is what a log has outside of its head, and what the head says of it.
type tail struct {
	parts
	last    uint32 // the last part's number
	refs    []ref
	names   []string // of events, that the refs count
	indexes []loaded
	n       int      // events in the chunks, those that the floor has passed included
	dead    int      // of them, how many the floor had passed when they were last counted
	end     Position // the least end of a chunk
	encoded []byte   // refs and names as the head has them; nil: changed
	err     error    // the first part that could not be read
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
	min, max Position
	names    []wordCount
	others   int // events whose names are not among tail.names

	content []byte // of a chunk that was made here and not yet parsed
	chunk   *chunk // nil until needed
}

type wordCount struct {
	word uint32 // in tail.names
	n    int
}

// count is how many events of that name the chunk has; it is not exact if only the chunk can tell.
func (t *tail) count(r *ref, name string) (n int, exact bool) {
	if word := slices.Index(t.names, name); word >= 0 {
		for _, c := range r.names {
			if c.word == uint32(word) {
				return c.n, true
			}
		}
	}
	return r.others, r.others == 0
}

// put adds a chunk.
func (t *tail) put(b *built, level uint8) {
	t.last++
	r := ref{part: t.last, level: level, full: len(b.content) >= fullBytes, n: b.n, min: b.min, max: b.max, content: b.content}
	t.change(r.part, b.content)
	t.forgetNames()
	for _, c := range b.names {
		if word := t.word(c.name); word >= 0 {
			r.names = append(r.names, wordCount{uint32(word), c.n})
		} else {
			r.others += c.n
		}
	}
	if len(b.hashes) > 0 || b.summary != nil {
		t.putIndex(&r, b)
	}
	t.refs, t.encoded = append(t.refs, r), nil
	t.review()
}

// word is the number of a name, -1 if there are too many.
func (t *tail) word(name string) int {
	word := slices.Index(t.names, name)
	if word < 0 && len(t.names) < tailNames {
		word = len(t.names)
		t.names = append(t.names, name)
	}
	return word
}

// forgetNames makes room for new names once there is none.
func (t *tail) forgetNames() {
	if len(t.names) < tailNames {
		return
	}
	old := t.names
	t.names = nil
	for i := range t.refs {
		for j := range t.refs[i].names {
			c := &t.refs[i].names[j]
			c.word = uint32(t.word(old[c.word]))
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
		t.last++
		r.index = t.last
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
	t.refs, t.encoded = kept, nil
	for _, number := range indexes {
		if !slices.ContainsFunc(t.refs, func(r ref) bool { return r.index == number }) {
			t.delete(number)
			t.indexes = slices.DeleteFunc(t.indexes, func(l loaded) bool { return l.number == number })
		}
	}
	t.review()
}

// review brings what is derived from refs up to date.
func (t *tail) review() {
	t.n, t.dead = 0, 0
	for i := range t.refs {
		r := &t.refs[i]
		t.n += r.n
		t.dead += r.dead
		if i == 0 || r.max.Compare(t.end) < 0 {
			t.end = r.max
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

// open is the chunk itself, without events if it cannot be read.
func (t *tail) open(r *ref) *chunk {
	if r.chunk != nil {
		return r.chunk
	}
	content := r.content
	if content == nil {
		content = t.content(r.part)
	}
	c, err := parseChunk(content)
	switch {
	case content == nil:
		err = errMissing
	case err == nil && (c.len() != r.n || c.places[0] != r.min || c.places[r.n-1] != r.max):
		err = errCorrupt
	}
	if err != nil {
		t.fail(err)
		c = &chunk{}
		c.table.words = &c.text
	}
	r.chunk, r.content = c, nil
	return c
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

// hasID tells whether an event behind the floor has this id.
func (t *tail) hasID(id string, floor Position) bool {
	h, last := hash(id), uint32(0)
	for i := range t.refs {
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

// append writes refs and names.
func (t *tail) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(t.names)))
	for _, name := range t.names {
		dst = appendText(dst, name)
	}
	dst = binary.AppendUvarint(dst, uint64(len(t.refs)))
	for i := range t.refs {
		r := &t.refs[i]
		kind := uint64(r.level) << 1
		if r.full {
			kind |= 1
		}
		for _, u := range [...]uint64{uint64(r.part), uint64(r.index), kind, uint64(r.n)} {
			dst = binary.AppendUvarint(dst, u)
		}
		dst = appendPosition(dst, r.min)
		dst = appendPosition(dst, Position{r.max.Time - r.min.Time, r.max.Seq})
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(r.others)), uint64(len(r.names)))
		for _, c := range r.names {
			dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(c.word)), uint64(c.n))
		}
	}
	return dst
}

// tail reads what append wrote.
func (r *reader) tail() *tail {
	t := &tail{}
	t.names = make([]string, r.count(1))
	for i := range t.names {
		t.names[i] = string(r.text())
	}
	t.refs = make([]ref, r.count(10))
	for i := range t.refs {
		c := &t.refs[i]
		c.part, c.index = r.number(), r.number()
		kind := r.uvarint()
		c.level, c.full, c.n = uint8(kind>>1), kind&1 == 1, int(r.number())
		c.min, c.max = r.position(), r.position()
		c.max.Time += c.min.Time
		c.others = int(r.number())
		c.names = make([]wordCount, r.count(2))
		for j := range c.names {
			c.names[j] = wordCount{r.number(), int(r.number())}
			if int(c.names[j].word) >= len(t.names) {
				r.fail()
			}
		}
		if c.part == 0 || c.n == 0 || kind>>1 > maxLevel || c.min.Compare(c.max) > 0 {
			r.fail()
		}
		t.stored = append(t.stored, c.part, c.index)
	}
	slices.Sort(t.stored)
	t.stored = slices.Compact(t.stored)
	if len(t.stored) > 0 && t.stored[0] == 0 {
		t.stored = t.stored[1:]
	}
	return t
}
