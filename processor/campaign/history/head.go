package history

import (
	"encoding/binary"
	"slices"
)

// The head is the version, the last Seq, the largest time, 1 and the floor or 0, 1 and the tail or 0, the head's own
// events. The tail is the last part's number, names and references behind their length, and of each chunk that the
// floor has cut into its place, how many events that took, and places of the next ones.
//
// A reference is what kind of chunk it is, the number of its part and, of a short one, the places of its events and their names, and hashes
// of their ids if the kind says that there are some; of any other one the number of its index, how many events it has, its least and its
// largest place, and how many events of which names there are. Parts and places are differences to those before.

// AppendHead appends the log's head: the events that arrived last, and references to its parts.
func (l *Log) AppendHead(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, headVersion), l.seq)
	dst = binary.AppendVarint(dst, l.newest)
	if l.floored {
		dst = appendPosition(append(dst, 1), l.passed)
	} else {
		dst = append(dst, 0)
	}
	if t := l.tail; t != nil && t.newest > 0 {
		if t.encoded == nil {
			t.encoded = t.append(l.encoded())
			if l.room != nil {
				l.room.encoded = t.encoded
			}
		}
		dst = binary.AppendUvarint(append(dst, 1), uint64(t.newest))
		dst = appendText(dst, t.encoded)
		dst = t.appendCuts(dst)
	} else {
		dst = append(dst, 0)
	}
	return l.inline.appendTo(dst)
}

// encoded is memory for the tail as the head has it.
func (l *Log) encoded() []byte {
	if l.room == nil {
		return nil
	}
	return l.room.encoded[:0]
}

// Decode reads what AppendHead wrote, and returns what follows it. part gives the content of a part n >= 1; it is
// called only when a question or an Add needs it. Neither head nor what part returns may be changed afterwards.
func Decode(head []byte, part func(n uint32) []byte) (l *Log, rest []byte, err error) {
	l = new(Log)
	if rest, err = l.Decode(head, part); err != nil {
		return nil, nil, err
	}
	return l, rest, nil
}

// Decode makes l the log that Decode reads, in the memory of what it was.
func (l *Log) Decode(head []byte, part func(n uint32) []byte) (rest []byte, err error) {
	r, err := open(head, headVersion-1, headVersion)
	if err != nil {
		return nil, err
	}
	l.Reset()
	own := l.inline.own
	l.seq, l.newest = r.uvarint(), r.varint()
	if l.floored = r.flag(); l.floored {
		l.passed = r.position()
	}
	if r.flag() {
		last := r.number()
		encoded := r.text()
		refs := reader{src: encoded}
		l.tail = refs.tail(head[0], l.room)
		if !refs.done() {
			return nil, errCorrupt
		}
		l.tail.load, l.tail.newest = part, last
		if n := len(l.tail.stored); n > 0 && l.tail.stored[n-1] > last {
			return nil, errCorrupt
		}
		r.cuts(l.tail)
		if l.tail.review(); head[0] == headVersion {
			l.tail.encoded = encoded
		}
	}
	l.inline = r.inline()
	l.inline.own, l.inline.spare, l.inline.words.names = own, &l.room.index, l.room.words
	if l.inline.words.n == 0 {
		l.inline.words.text = l.room.text[:0]
	}
	if r.bad {
		return nil, errCorrupt
	}
	return r.rest(), nil
}

// appendCuts writes which chunks the floor has cut into.
func (t *tail) appendCuts(dst []byte) []byte {
	cuts := 0
	for i := range t.refs {
		if t.refs[i].dead > 0 {
			cuts++
		}
	}
	dst = binary.AppendUvarint(dst, uint64(cuts))
	for i := range t.refs {
		r := &t.refs[i]
		if r.dead == 0 {
			continue
		}
		for _, u := range [...]int{i, r.dead, r.ahead.next} {
			dst = binary.AppendUvarint(dst, uint64(u))
		}
		dst = appendText(dst, r.ahead.encoded)
	}
	return dst
}

// cuts reads what appendCuts wrote.
func (r *reader) cuts(t *tail) {
	for range r.count(4) {
		i, dead, next := r.number(), r.number(), int(r.number())
		encoded := r.text()
		if int(i) >= len(t.refs) || dead == 0 {
			r.fail()
			return
		}
		var last Position
		var places []Position
		for in := (reader{src: encoded}); in.at < len(encoded); {
			last = Position{last.Time + in.varint(), last.Seq + uint64(in.varint())}
			places = append(places, last)
			r.bad = r.bad || in.bad
		}
		if c := &t.refs[i]; next > len(places) || int(dead)+len(places)-next > c.n {
			r.fail()
		} else {
			c.dead, c.ahead = int(dead), window{places, next, encoded}
		}
	}
}

func windowOf(places []Position) window {
	var encoded []byte
	var last Position
	for _, p := range places {
		encoded = binary.AppendVarint(encoded, p.Time-last.Time)
		encoded = binary.AppendVarint(encoded, int64(p.Seq-last.Seq))
		last = p
	}
	return window{places: places, encoded: encoded}
}

func (r *reader) flag() bool {
	b := r.byte()
	if b > 1 {
		r.fail()
	}
	return b == 1
}

// Kinds of chunks. A short one's goes on with the number of its events less one, and whether there are hashes; another one's with its level.
const (
	kindFull = 1 << iota
	kindShort

	kindShift  = 2
	kindHashes = shortEvents << kindShift
)

// append writes refs and names.
func (t *tail) append(dst []byte) []byte {
	dst = binary.AppendUvarint(t.names.append(dst), uint64(len(t.refs)))
	var last Position
	part := uint32(0)
	for i := range t.refs {
		r := &t.refs[i]
		kind := uint64(0)
		if r.full {
			kind = kindFull
		}
		if r.short != nil {
			kind |= kindShort | uint64(r.n-1)<<kindShift
			if len(r.hashes) > 0 {
				kind |= kindHashes
			}
		} else {
			kind |= uint64(r.level) << kindShift
		}
		dst = binary.AppendVarint(binary.AppendUvarint(dst, kind), int64(r.part)-int64(part))
		if part = r.part; r.short != nil {
			dst = r.appendShort(dst, &last)
			continue
		}
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(r.index)), uint64(r.n))
		dst = appendDifference(dst, r.min, last)
		last = r.max
		dst = appendPosition(dst, Position{r.max.Time - r.min.Time, r.max.Seq})
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(r.others)), uint64(len(r.names)))
		for _, c := range r.names {
			dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(c.word)), uint64(c.n))
		}
	}
	return dst
}

func appendDifference(dst []byte, p, last Position) []byte {
	return binary.AppendVarint(binary.AppendVarint(dst, p.Time-last.Time), int64(p.Seq-last.Seq))
}

func (r *ref) appendShort(dst []byte, last *Position) []byte {
	for i, p := range r.short.places {
		dst = binary.AppendUvarint(appendDifference(dst, p, *last), uint64(r.short.names[i]))
		*last = p
	}
	if len(r.hashes) == 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.hashes)))
	for _, h := range r.hashes {
		dst = binary.LittleEndian.AppendUint32(dst, h)
	}
	return dst
}

// short reads what appendShort wrote of a chunk of n events.
func (r *reader) short(c *ref, t *tail, m *room, last *Position, hashes bool) {
	if c.n == 0 || c.n > shortEvents || c.level > 0 || c.index > 0 {
		r.fail()
		return
	}
	at, counts := len(m.places), len(m.counts)
	for i := range c.n {
		p, name := Position{last.Time + r.varint(), last.Seq + uint64(r.varint())}, r.number()
		if i > 0 && last.Compare(p) >= 0 || name >= t.names.n {
			r.fail()
			return
		}
		*last = p
		m.places, m.names, m.counts = append(m.places, p), append(m.names, name), countWord(m.counts, counts, name)
	}
	m.short(c, at, counts, &t.names)
	if !hashes {
		return
	}
	for range r.count(4) {
		c.hashes = append(c.hashes, binary.LittleEndian.Uint32(r.bytes(4)))
	}
}

// countWord counts one more event of a name, in what stands from a place on.
func countWord(counts []wordCount, from int, word uint32) []wordCount {
	for i := from; i < len(counts); i++ {
		if counts[i].word == word {
			counts[i].n++
			return counts
		}
	}
	return append(counts, wordCount{word, 1})
}

// tail reads what append wrote, or did in the version before.
func (r *reader) tail(head byte, m *room) *tail {
	t := m.tailAgain()
	t.names = r.words()
	n := r.count(5)
	t.refs = slices.Grow(t.refs, n)[:n]
	var last Position
	part := uint32(0)
	for i := range t.refs {
		c := &t.refs[i]
		if head == headVersion {
			r.ref(c, t, m, part, &last)
		} else {
			r.previousRef(c, t, m)
		}
		part = c.part
		if t.stored = append(t.stored, c.part); c.index > 0 {
			t.stored = append(t.stored, c.index)
		}
		if c.part == 0 || c.n == 0 {
			r.fail()
		}
	}
	slices.Sort(t.stored)
	t.stored = slices.Compact(t.stored)
	return t
}

// ref reads a reference behind another one's part and last place.
func (r *reader) ref(c *ref, t *tail, m *room, part uint32, last *Position) {
	kind := r.uvarint()
	c.full = kind&kindFull > 0
	number := int64(part) + r.varint()
	if c.part = uint32(number); int64(c.part) != number {
		r.fail()
	}
	if kind&kindShort > 0 {
		c.n = 1 + int(kind>>kindShift&(shortEvents-1))
		r.short(c, t, m, last, kind&kindHashes > 0)
		return
	}
	r.level(c, kind)
	c.index, c.n = r.number(), int(r.number())
	c.min = Position{last.Time + r.varint(), last.Seq + uint64(r.varint())}
	r.long(c, t, m)
	*last = c.max
}

// previousRef reads a reference of the version before.
func (r *reader) previousRef(c *ref, t *tail, m *room) {
	c.part, c.index = r.number(), r.number()
	kind := r.uvarint()
	c.full, c.n = kind&kindFull > 0, int(r.number())
	if r.level(c, kind); kind&kindShort > 0 {
		r.short(c, t, m, new(Position), true)
		return
	}
	c.min = r.position()
	r.long(c, t, m)
}

func (r *reader) level(c *ref, kind uint64) {
	if kind >>= kindShift; kind > maxLevel {
		r.fail()
	}
	c.level = uint8(kind)
}

// long reads what follows the least place of a chunk that is not short.
func (r *reader) long(c *ref, t *tail, m *room) {
	c.max = r.position()
	c.max.Time += c.min.Time
	c.others = int(r.number())
	from := len(m.counts)
	for range r.count(2) {
		word, n := r.number(), int(r.number())
		if word >= t.names.n {
			r.fail()
		}
		m.counts = append(m.counts, wordCount{word, n})
	}
	c.names = slices.Clip(m.counts[from:])
	if c.min.Compare(c.max) > 0 {
		r.fail()
	}
}
