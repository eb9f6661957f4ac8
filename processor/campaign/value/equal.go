package value

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"
)

// Equal is JSON equality: numbers as numbers whatever their form, Digits by their decimal number, lists element by
// element, objects whatever the order of their keys. Values of unlike types are never equal.
func Equal(a, b Value) bool {
	if a.kind != b.kind {
		return false
	}
	switch a.kind {
	case Nil:
		return true
	case Bool, Number:
		return a.number == b.number
	case String:
		return a.text == b.text
	}
	if a.text == b.text {
		return true
	}
	return bytes.Equal(a.AppendKey(nil), b.AppendKey(nil))
}

// Compare orders two numbers, or two strings by their bytes. Nothing else has an order, Digits least of all.
func Compare(a, b Value) (c int, ok bool) {
	switch {
	case a.kind == Number && b.kind == Number:
		return cmp.Compare(a.number, b.number), true
	case a.kind == String && b.kind == String:
		return strings.Compare(a.text, b.text), true
	}
	return 0, false
}

// AppendKey writes bytes that are the same for two values exactly if they are Equal; no key is the beginning of
// another.
func (v Value) AppendKey(dst []byte) []byte {
	dst = append(dst, byte(v.kind))
	switch v.kind {
	case Bool:
		return append(dst, byte(v.number))
	case Number:
		return binary.BigEndian.AppendUint64(dst, math.Float64bits(v.number+0)) // + 0: of the two zeros the positive
	case Digits:
		return appendText(dst, string(appendNormal(nil, v.text)))
	case String:
		return appendText(dst, v.text)
	case List:
		elements := v.Elements()
		dst = binary.AppendUvarint(dst, uint64(len(elements)))
		for _, e := range elements {
			dst = e.AppendKey(dst)
		}
	case Object:
		fields := v.Fields()
		slices.SortFunc(fields, func(a, b Property) int { return strings.Compare(a.Name, b.Name) })
		dst = binary.AppendUvarint(dst, uint64(len(fields)))
		for _, f := range fields {
			dst = f.Value.AppendKey(appendText(dst, f.Name))
		}
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}
