package campaign

import (
	"encoding/binary"
	"math"
	"math/big"
	"slices"
	"strings"

	"github.com/tripline/tripline/processor/campaign/history"
	"github.com/tripline/tripline/processor/campaign/value"
)

// keyOf is a text that is equal for two events exactly if the named properties have equal values of equal type.
func keyOf(e *history.Event, names []string) (string, bool) {
	if len(names) == 0 {
		return "", true
	}
	var key []byte
	for _, name := range names {
		v := e.Properties.Get(name)
		if v.IsNil() {
			return "", false
		}
		key = appendKey(key, v)
	}
	return string(key), true
}

// appendKey appends a form of v that equal values share, whatever a number's digits or an object's order.
func appendKey(dst []byte, v value.Value) []byte {
	dst = append(dst, byte(v.Kind()))
	switch v.Kind() {
	case value.Bool:
		if b, _ := v.Bool(); b {
			return append(dst, 1)
		}
		return append(dst, 0)
	case value.Number:
		f, _ := v.Float()
		return binary.BigEndian.AppendUint64(dst, math.Float64bits(f+0)) // -0 is 0
	case value.String:
		return appendText(dst, v.Text())
	case value.Digits:
		return appendText(dst, decimal(v.Text()))
	case value.List:
		elements := v.Elements()
		dst = binary.AppendUvarint(dst, uint64(len(elements)))
		for _, e := range elements {
			dst = appendKey(dst, e)
		}
	case value.Object:
		fields := slices.Clone(v.Fields())
		slices.SortFunc(fields, func(a, b value.Property) int { return strings.Compare(a.Name, b.Name) })
		dst = binary.AppendUvarint(dst, uint64(len(fields)))
		for _, f := range fields {
			dst = appendKey(appendText(dst, f.Name), f.Value)
		}
	}
	return dst
}

func appendText(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

// decimal is one spelling for all digits of the same number: sign, digits without zeros at either end, exponent.
func decimal(text string) string {
	sign, exponent := "", new(big.Int)
	if strings.HasPrefix(text, "-") {
		sign, text = "-", text[1:]
	}
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		exponent.SetString(strings.TrimPrefix(text[i+1:], "+"), 10)
		text = text[:i]
	}
	if i := strings.IndexByte(text, '.'); i >= 0 {
		exponent.Sub(exponent, big.NewInt(int64(len(text)-i-1)))
		text = text[:i] + text[i+1:]
	}
	digits := strings.TrimLeft(text, "0")
	short := strings.TrimRight(digits, "0")
	exponent.Add(exponent, big.NewInt(int64(len(digits)-len(short))))
	return sign + short + "e" + exponent.String()
}
