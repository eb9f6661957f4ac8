package history

import "encoding/binary"

// The head is the version, the last Seq, the largest time, 1 and the floor or 0, 1 and the tail or 0, the head's own
// events. The tail is the last part's number, names and references behind their length, and of each chunk that the
// floor has cut into its place and how many events that took.

// AppendHead appends the log's head: the events that arrived last, and references to its parts.
func (l *Log) AppendHead(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, version), l.seq)
	dst = binary.AppendVarint(dst, l.newest)
	if l.floored {
		dst = appendPosition(append(dst, 1), l.passed)
	} else {
		dst = append(dst, 0)
	}
	if t := l.tail; t != nil && t.last > 0 {
		if t.encoded == nil {
			t.encoded = t.append(nil)
		}
		dst = binary.AppendUvarint(append(dst, 1), uint64(t.last))
		dst = appendText(dst, t.encoded)
		cut := 0
		for i := range t.refs {
			if t.refs[i].dead > 0 {
				cut++
			}
		}
		dst = binary.AppendUvarint(dst, uint64(cut))
		for i := range t.refs {
			if dead := t.refs[i].dead; dead > 0 {
				dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(i)), uint64(dead))
			}
		}
	} else {
		dst = append(dst, 0)
	}
	return l.inline.appendTo(dst)
}

// Decode reads what AppendHead wrote, and returns what follows it. part gives the content of a part n >= 1; it is
// called only when a question or an Add needs it. Neither head nor what part returns may be changed afterwards.
func Decode(head []byte, part func(n uint32) []byte) (l *Log, rest []byte, err error) {
	r, err := open(head)
	if err != nil {
		return nil, nil, err
	}
	l = &Log{seq: r.uvarint(), newest: r.varint()}
	if l.floored = r.flag(); l.floored {
		l.passed = r.position()
	}
	if r.flag() {
		last := r.number()
		encoded := r.text()
		refs := reader{src: encoded}
		l.tail = refs.tail()
		if refs.bad || len(refs.src) > 0 {
			return nil, nil, errCorrupt
		}
		l.tail.load, l.tail.last = part, last
		if n := len(l.tail.stored); n > 0 && l.tail.stored[n-1] > last {
			return nil, nil, errCorrupt
		}
		for range r.count(2) {
			i, dead := r.number(), r.number()
			if int(i) >= len(l.tail.refs) || int(dead) > l.tail.refs[i].n {
				return nil, nil, errCorrupt
			}
			l.tail.refs[i].dead = int(dead)
		}
		l.tail.review()
		l.tail.encoded = encoded
	}
	l.inline = r.inline()
	if r.bad {
		return nil, nil, errCorrupt
	}
	return l, r.src, nil
}

func (r *reader) flag() bool {
	b := r.byte()
	if b > 1 {
		r.fail()
	}
	return b == 1
}
