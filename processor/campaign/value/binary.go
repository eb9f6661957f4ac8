package value

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"unicode/utf8"
)

// The first byte of a value in a row. It is on disk: never renumber.
const (
	tagNil = iota
	tagFalse
	tagTrue
	tagWhole  // zigzag varint; a whole number in its shortest form
	tagNumber // every other number: its text
	tagString
	tagCompound // a list or an object: its canonical text
)

var errBinary = errors.New("value: broken binary form")

// AppendBinary writes the compact form that rows hold.
func (v Value) AppendBinary(dst []byte) []byte {
	start := len(dst)
	switch v.kind {
	case Nil:
		return append(dst, tagNil)
	case Bool:
		return append(dst, tagFalse+byte(v.number))
	case Number:
		if whole, ok := v.whole(); ok {
			return binary.AppendVarint(append(dst, tagWhole), whole)
		}
		if v.text == "" { // a double's digits are few: their number takes one byte
			dst = appendFloat(append(dst, tagNumber, 0), v.number)
			dst[start+1] = byte(len(dst) - start - 2)
			return dst
		}
		return appendText(append(dst, tagNumber), v.text)
	case Digits:
		return appendText(append(dst, tagNumber), v.text)
	case String:
		return appendText(append(dst, tagString), v.text)
	}
	return appendText(append(dst, tagCompound), v.text)
}

// whole tells whether the number is a whole one in its shortest form.
func (v Value) whole() (n int64, ok bool) {
	n = int64(v.number)
	exact := float64(n) == v.number && math.Abs(v.number) < 1<<53 && (n != 0 || !math.Signbit(v.number))
	return n, exact && v.text == ""
}

// DecodeBinary reads what AppendBinary wrote, and returns what follows it. Its text points into src, which must not be changed for as long.
func DecodeBinary(src []byte) (v Value, rest []byte, err error) {
	n, ok := extent(src)
	if !ok {
		return Value{}, nil, errBinary
	}
	v, _, ok = decode(Borrow(src[:n]))
	if !ok {
		return Value{}, nil, errBinary
	}
	return v, src[n:], nil
}

// extent is the length of the value at the beginning of src.
func extent(src []byte) (n int, ok bool) {
	if len(src) == 0 {
		return 0, false
	}
	if src[0] <= tagTrue {
		return 1, true
	}
	u, k := binary.Uvarint(src[1:])
	if k <= 0 || src[0] > tagCompound {
		return 0, false
	}
	if src[0] == tagWhole {
		return 1 + k, true
	}
	if u > uint64(len(src)-1-k) {
		return 0, false
	}
	return 1 + k + int(u), true
}

// decode reads the value at the beginning of s.
func decode(s string) (v Value, rest string, ok bool) {
	if s == "" {
		return Value{}, "", false
	}
	tag := s[0]
	switch s = s[1:]; tag {
	case tagNil:
		return Value{}, s, true
	case tagFalse, tagTrue:
		return OfBool(tag == tagTrue), s, true
	case tagWhole:
		u, rest, ok := uvarint(s)
		n := int64(u>>1) ^ -int64(u&1)
		return Value{kind: Number, number: float64(n)}, rest, ok && n > -1<<53 && n < 1<<53
	}
	text, rest, ok := cutText(s)
	if !ok || tag > tagCompound {
		return Value{}, "", false
	}
	if tag == tagString {
		return OfString(text), rest, true
	}
	r := NewReader(text)
	v = r.Value()
	isNumber := v.kind == Number || v.kind == Digits
	isCompound := (v.kind == List || v.kind == Object) && utf8.ValidString(text)
	return v, rest, r.End() == nil && (tag == tagNumber && isNumber || tag == tagCompound && isCompound)
}

// AppendBinary writes the compact form that rows hold: its length in bytes, so that it can be passed over, then the
// number of properties and each name and value.
func (p Properties) AppendBinary(dst []byte) []byte {
	if len(p) == 0 {
		return append(dst, 0)
	}
	start := len(dst)
	dst = binary.AppendUvarint(dst, uint64(len(p)))
	for i := range p {
		dst = p[i].Value.AppendBinary(appendText(dst, p[i].Name))
	}
	var prefix [binary.MaxVarintLen64]byte
	body := len(dst) - start
	n := binary.PutUvarint(prefix[:], uint64(body))
	dst = append(dst, prefix[:n]...)
	copy(dst[start+n:], dst[start:start+body])
	copy(dst[start:], prefix[:n])
	return dst
}

// DecodeProperties reads what AppendBinary wrote, and returns what follows it. It keeps one copy of the bytes it read
// and nothing of src.
func DecodeProperties(src []byte) (p Properties, rest []byte, err error) {
	body, rest, err := cutProperties(src)
	if err != nil || len(body) == 0 {
		return nil, rest, err
	}
	if p, err = appendProperties(nil, string(body)); err != nil {
		return nil, nil, err
	}
	return p, rest, nil
}

// AppendProperties is DecodeProperties behind those that are in dst. What it appends points into src, which must not be
// changed for as long.
func AppendProperties(dst Properties, src []byte) (all Properties, rest []byte, err error) {
	body, rest, err := cutProperties(src)
	if err != nil || len(body) == 0 {
		return dst, rest, err
	}
	if all, err = appendProperties(dst, Borrow(body)); err != nil {
		return dst, nil, err
	}
	return all, rest, nil
}

// cutProperties takes what AppendBinary wrote behind the length off the front of src.
func cutProperties(src []byte) (body, rest []byte, err error) {
	size, k := binary.Uvarint(src)
	if k <= 0 || size > uint64(len(src)-k) {
		return nil, nil, errBinary
	}
	return src[k : k+int(size)], src[k+int(size):], nil
}

func appendProperties(dst Properties, body string) (Properties, error) {
	n, s, ok := uvarint(body)
	if !ok || n == 0 || n > uint64(len(s)/2) { // a property is at least two bytes
		return nil, errBinary
	}
	dst = slices.Grow(dst, int(n))
	for range n {
		var p Property
		if p.Name, s, ok = cutText(s); !ok {
			return nil, errBinary
		}
		if p.Value, s, ok = decode(s); !ok {
			return nil, errBinary
		}
		dst = append(dst, p)
	}
	if s != "" {
		return nil, errBinary
	}
	return dst, nil
}

// TextProperties is DecodeProperties of a text without a copy: they point into it, and stand behind those of room, as long as there is
// room. What is left of the room is returned behind them.
func TextProperties(src string, room Properties) (p, taken Properties, rest string, err error) {
	size, s, ok := uvarint(src)
	if !ok || size > uint64(len(s)) {
		return nil, room, "", errBinary
	}
	s, rest = s[:size], s[size:]
	if size == 0 {
		return nil, room, rest, nil
	}
	n, s, ok := uvarint(s)
	if !ok || n == 0 || n > uint64(len(s)/2) {
		return nil, room, "", errBinary
	}
	p = room[len(room):]
	for range n {
		var one Property
		if one.Name, s, ok = cutText(s); ok {
			one.Value, s, ok = decode(s)
		}
		if !ok {
			return nil, room, "", errBinary
		}
		p = append(p, one)
	}
	if s != "" {
		return nil, room, "", errBinary
	}
	if all := len(room) + len(p); all <= cap(room) {
		room = room[:all]
	}
	return p[:len(p):len(p)], room, rest, nil
}

func cutText(s string) (text, rest string, ok bool) {
	n, rest, ok := uvarint(s)
	if !ok || n > uint64(len(rest)) {
		return "", "", false
	}
	return rest[:n], rest[n:], true
}

func uvarint(s string) (u uint64, rest string, ok bool) {
	for i := 0; i < len(s) && i < binary.MaxVarintLen64; i++ {
		u |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			return u, s[i+1:], i < binary.MaxVarintLen64-1 || s[i] <= 1
		}
	}
	return 0, "", false
}
