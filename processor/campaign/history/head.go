package history

import (
	"encoding/binary"
	"slices"
)

// The head is the version, the last Seq, the largest time, 1 and the floor or 0, 1 and the tail or 0, the head's own
// events. The tail is the last part's number, names and references behind their length, and of each chunk that the
// floor has cut into its place, how many events that took, and places of the next ones. A reference is the numbers of the
// chunk's part and index, what kind of chunk it is, how many events it has and, of a short one, their places (the first one,
// then differences) and names, and hashes of their ids; of any other one its least and its largest place, and how many
// events of which names there are.

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
		l.tail = refs.tail(head[0] == headVersion, l.room)
		if !refs.done() {
			return nil, errCorrupt
		}
		l.tail.load, l.tail.newest = part, last
		if n := len(l.tail.stored); n > 0 && l.tail.stored[n-1] > last {
			return nil, errCorrupt
		}
		r.cuts(l.tail)
		l.tail.review()
		l.tail.encoded = encoded
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

// Kinds of chunks, beside their level.
const (
	kindFull = 1 << iota
	kindShort
)

// append writes refs and names.
func (t *tail) append(dst []byte) []byte {
	dst = binary.AppendUvarint(t.names.append(dst), uint64(len(t.refs)))
	for i := range t.refs {
		r := &t.refs[i]
		kind := uint64(r.level) << 2
		if r.full {
			kind |= kindFull
		}
		if r.short != nil {
			kind |= kindShort
		}
		for _, u := range [...]uint64{uint64(r.part), uint64(r.index), kind, uint64(r.n)} {
			dst = binary.AppendUvarint(dst, u)
		}
		if r.short != nil {
			dst = r.appendShort(dst)
			continue
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

func (r *ref) appendShort(dst []byte) []byte {
	var last Position
	for i, p := range r.short.places {
		dst = binary.AppendVarint(binary.AppendVarint(dst, p.Time-last.Time), int64(p.Seq-last.Seq))
		dst = binary.AppendUvarint(dst, uint64(r.short.names[i]))
		last = p
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.hashes)))
	for _, h := range r.hashes {
		dst = binary.LittleEndian.AppendUint32(dst, h)
	}
	return dst
}

// short reads what appendShort wrote of a chunk of n events.
func (r *reader) short(c *ref, t *tail, m *room) {
	if c.n == 0 || c.n > shortEvents || c.level > 0 || c.index > 0 {
		r.fail()
		return
	}
	at, counts := len(m.places), len(m.counts)
	var last Position
	for i := range c.n {
		p, name := Position{last.Time + r.varint(), last.Seq + uint64(r.varint())}, r.number()
		if i > 0 && last.Compare(p) >= 0 || name >= t.names.n {
			r.fail()
			return
		}
		last = p
		m.places, m.names, m.counts = append(m.places, p), append(m.names, name), countWord(m.counts, counts, name)
	}
	m.short(c, at, counts, &t.names)
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

// tail reads what append wrote; short says whether there may be short chunks.
func (r *reader) tail(short bool, m *room) *tail {
	t := m.tailAgain()
	t.names = r.words()
	n := r.count(8)
	t.refs = slices.Grow(t.refs, n)[:n]
	for i := range t.refs {
		c := &t.refs[i]
		c.part, c.index = r.number(), r.number()
		kind := r.uvarint()
		if !short {
			kind = kind>>1<<2 | kind&1
		}
		c.level, c.full, c.n = uint8(kind>>2), kind&kindFull > 0, int(r.number())
		if t.stored = append(t.stored, c.part); c.index > 0 {
			t.stored = append(t.stored, c.index)
		}
		if c.part == 0 || c.n == 0 || kind>>2 > maxLevel {
			r.fail()
		}
		if kind&kindShort > 0 {
			r.short(c, t, m)
			continue
		}
		c.min, c.max = r.position(), r.position()
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
	slices.Sort(t.stored)
	t.stored = slices.Compact(t.stored)
	return t
}
