package history

import (
	"bytes"
	"encoding/binary"
)

// words numbers the names of events and properties, in order of first appearance. They stay encoded until one is asked
// for as a string.
type words struct {
	text []byte // each name behind its length
	n    uint32

	at, next uint32   // where the name after the last one found begins, and its number: events repeat themselves
	names    []string // the first names, decoded
	decoded  int      // bytes of text that names covers
}

// readWords reads what append wrote.
func (r *reader) words() words {
	w := words{n: r.number()}
	w.text = r.text()
	check := reader{src: w.text}
	for range w.n {
		if check.text(); check.bad {
			break
		}
	}
	if check.bad || len(check.src) > 0 {
		r.fail()
		return words{}
	}
	return w
}

func (w *words) append(dst []byte) []byte {
	return appendText(binary.AppendUvarint(dst, uint64(w.n)), w.text)
}

// find is the number of a name.
func (w *words) find(name string) (id uint32, ok bool) {
	at, id := w.at, w.next
	for range w.n {
		if int(at) >= len(w.text) {
			at, id = 0, 0
		}
		size, width := uint64(w.text[at]), 1
		if size >= 0x80 {
			size, width = binary.Uvarint(w.text[at:])
		}
		start := int(at) + width
		at = uint32(start + int(size))
		if int(size) == len(name) && string(w.text[start:at]) == name {
			w.at, w.next = at, id+1
			return id, true
		}
		id++
	}
	return 0, false
}

// add is the number of a name, which it gets if it has none.
func (w *words) add(name string) uint32 {
	if id, ok := w.find(name); ok {
		return id
	}
	w.text = appendText(w.text, name)
	w.n++
	return w.n - 1
}

// name is the name of a number below n.
func (w *words) name(id uint32) string {
	if int(id) >= len(w.names) {
		text := string(w.text[w.decoded:])
		for at := 0; at < len(text); {
			size, width := binary.Uvarint(w.text[w.decoded+at:])
			at += width
			w.names = append(w.names, text[at:at+int(size)])
			at += int(size)
		}
		w.decoded = len(w.text)
	}
	return w.names[id]
}

// same tells whether both give the same names the same numbers.
func (w *words) same(x *words) bool { return bytes.Equal(w.text, x.text) }
