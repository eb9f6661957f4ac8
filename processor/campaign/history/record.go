package history

import (
	"bytes"
	"encoding/binary"

	"github.com/tripline/tripline/processor/campaign/value"
)

// A record is an event without its place and name: the id behind its length, the number of properties, and of each
// its name's number, the length of its value times two (plus one if it is a number), and the value.

func appendRecord(dst []byte, e *Event, w *words) []byte {
	dst = appendText(dst, e.ID)
	dst = binary.AppendUvarint(dst, uint64(len(e.Properties)))
	first := w.n == 1 // then only the event's name can be that of a property, too: properties have unique names
	for i := range e.Properties {
		p := &e.Properties[i]
		word := uint32(0)
		if !first {
			word = w.add(p.Name)
		} else if p.Name != e.Name {
			word = w.assign(p.Name)
		}
		dst = append(binary.AppendUvarint(dst, uint64(word)), 0)
		at, flag := len(dst)-1, byte(0)
		if p.Value.Kind() == value.Number {
			flag = 1
		}
		dst = enlarge(p.Value.AppendBinary(dst), at, flag)
	}
	return dst
}

// property is one property of a record.
type property struct {
	word   uint32
	number bool
	value  []byte
}

func (r *reader) property() property {
	p := property{word: r.number()}
	n := r.uvarint()
	if n>>1 > uint64(len(r.src)-r.at) {
		r.fail()
		return property{}
	}
	p.number, p.value = n&1 == 1, r.bytes(int(n>>1))
	return p
}

// float is the property's value if that is a number.
func (p property) float() (f float64, ok bool) {
	if !p.number {
		return 0, false
	}
	v, _, err := value.DecodeBinary(p.value)
	if err != nil {
		return 0, false
	}
	return v.Float()
}

// numeric is the value of a record's property if that is a number. It is false where the record cannot be read.
func numeric(record []byte, property uint32) (f float64, ok bool) {
	r := reader{src: record}
	r.text()
	for range r.count(3) {
		if p := r.property(); !r.bad && p.word == property {
			return p.float()
		}
	}
	return 0, false
}

// properties decodes what is left of a record behind its id. They stand in the room, if there is one.
func (r *reader) properties(w *words, m *room) value.Properties {
	n := r.count(3)
	if n == 0 {
		return nil
	}
	props := m.some(n)
	for i := range props {
		p := r.property()
		v, rest, err := value.DecodeBinary(p.value)
		if p.word >= w.n || err != nil || len(rest) > 0 {
			r.fail()
			return nil
		}
		props[i] = value.Property{Name: w.name(p.word), Value: v}
	}
	return props
}

// translate appends a record with the numbers of its names as numbers[old] says.
func translate(dst, record []byte, numbers []uint32) (translated []byte, ok bool) {
	r := reader{src: record}
	dst = appendText(dst, r.text())
	n := r.count(3)
	dst = binary.AppendUvarint(dst, uint64(n))
	for range n {
		p := r.property()
		if int(p.word) >= len(numbers) {
			r.fail()
			break
		}
		flag := uint64(0)
		if p.number {
			flag = 1
		}
		dst = binary.AppendUvarint(dst, uint64(numbers[p.word]))
		dst = append(binary.AppendUvarint(dst, uint64(len(p.value))<<1|flag), p.value...)
	}
	return dst, !r.bad
}

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
	if !check.done() {
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
	return w.assign(name)
}

// assign gives a name that has no number one.
func (w *words) assign(name string) uint32 {
	if w.n == 0 && cap(w.text) <= len(name) {
		w.text = make([]byte, 0, max(roomNames, 2*len(name)))
	}
	w.text = appendText(w.text, name)
	w.n++
	return w.n - 1
}

// name is the name of a number below n.
func (w *words) name(id uint32) string {
	if int(id) >= len(w.names) {
		if w.names == nil {
			w.names = make([]string, 0, w.n)
		}
		text := value.Borrow(w.text[w.decoded:])
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

// raw is the name of a number below n, found anew and not decoded.
func (w *words) raw(id uint32) string {
	r := reader{src: w.text}
	for range id {
		r.text()
	}
	return value.Borrow(r.text())
}

// same tells whether both give the same names the same numbers.
func (w *words) same(x *words) bool { return bytes.Equal(w.text, x.text) }
