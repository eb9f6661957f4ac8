package history

import (
	"encoding/binary"

	"github.com/tripline/tripline/processor/campaign/value"
)

// A record is an event without its place and name: the id behind its length, the number of properties, and of each
// its name's number, the length of its value times two (plus one if it is a number), and the value.

func appendRecord(dst []byte, e *Event, w *words) []byte {
	dst = appendText(dst, e.ID)
	dst = binary.AppendUvarint(dst, uint64(len(e.Properties)))
	for i := range e.Properties {
		p := &e.Properties[i]
		dst = append(binary.AppendUvarint(dst, uint64(w.add(p.Name))), 0)
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
	if n>>1 > uint64(len(r.src)) {
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

// properties decodes what is left of a record behind its id.
func (r *reader) properties(w *words) value.Properties {
	n := r.count(3)
	if n == 0 {
		return nil
	}
	props := make(value.Properties, n)
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
