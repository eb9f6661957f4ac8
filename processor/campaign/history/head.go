package history

import (
	"encoding/binary"
	"slices"
)

// The head is the version, the last Seq, the largest time, 1 and the floor or 0, 1 and the tail or 0, the head's own
// events. The tail is the last part's number, names and references behind their length, and of each chunk that the
// floor has cut into its place, how many events that took, and places of the next ones.

// AppendHead appends the log's head: the events that arrived last, and references to its parts.
func (l *Log) AppendHead(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, version), l.seq)
	dst = binary.AppendVarint(dst, l.newest)
	if l.floored {
		dst = appendPosition(append(dst, 1), l.passed)
	} else {
		dst = append(dst, 0)
	}
	if t := l.tail; t != nil && t.newest > 0 {
		if t.encoded == nil {
			t.encoded = t.append(nil)
		}
		dst = binary.AppendUvarint(append(dst, 1), uint64(t.newest))
		dst = appendText(dst, t.encoded)
		dst = t.appendCuts(dst)
	} else {
		dst = append(dst, 0)
	}
	return l.inline.appendTo(dst)
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
	r, err := open(head)
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
		l.tail = refs.tail()
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
	l.inline.own = own
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

// append writes refs and names.
func (t *tail) append(dst []byte) []byte {
	dst = binary.AppendUvarint(t.names.append(dst), uint64(len(t.refs)))
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
	t := &tail{names: r.words()}
	t.refs = make([]ref, r.count(10))
	t.stored = make([]uint32, 0, 2*len(t.refs))
	counts := make([]wordCount, 0, 4*len(t.refs))
	for i := range t.refs {
		c := &t.refs[i]
		c.part, c.index = r.number(), r.number()
		kind := r.uvarint()
		c.level, c.full, c.n = uint8(kind>>1), kind&1 == 1, int(r.number())
		c.min, c.max = r.position(), r.position()
		c.max.Time += c.min.Time
		c.others = int(r.number())
		from := len(counts)
		for range r.count(2) {
			word, n := r.number(), int(r.number())
			if word >= t.names.n {
				r.fail()
			}
			counts = append(counts, wordCount{word, n})
		}
		c.names = slices.Clip(counts[from:])
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
