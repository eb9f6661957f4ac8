package liquid

import (
	"iter"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/tripline/tripline/processor/campaign/value"
)

// Value is what a template computes with: nil, bool, string, value.Value (numbers only), []Value or Object.
type Value = any

// Object has named members.
type Object interface {
	Member(name string) Value // nil: there is none
	Members() iter.Seq2[string, Value]
	AppendJSON(dst []byte) []byte
}

// Of is a JSON value.
func Of(v value.Value) Value {
	switch v.Kind() {
	case value.Bool:
		b, _ := v.Bool()
		return b
	case value.String:
		return v.Text()
	case value.Number, value.Digits:
		return v
	case value.List:
		elements := v.Elements()
		list := make([]Value, len(elements))
		for i, e := range elements {
			list[i] = Of(e)
		}
		return list
	case value.Object:
		return nested{v}
	}
	return nil
}

// OfProperties is an object with these members.
func OfProperties(p value.Properties) Object { return properties(p) }

// properties is an Object.
type properties value.Properties

func (p properties) Member(name string) Value { return Of(value.Properties(p).Get(name)) }

func (p properties) Members() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		for _, property := range p {
			if !yield(property.Name, Of(property.Value)) {
				return
			}
		}
	}
}

func (p properties) AppendJSON(dst []byte) []byte { return value.Properties(p).Append(dst) }

// nested is an object within JSON, taken apart when it is asked.
type nested struct{ v value.Value }

func (n nested) Member(name string) Value          { return properties(n.v.Fields()).Member(name) }
func (n nested) Members() iter.Seq2[string, Value] { return properties(n.v.Fields()).Members() }
func (n nested) AppendJSON(dst []byte) []byte      { return n.v.Append(dst) }

// span is a range of whole numbers, both ends in it.
type span struct{ from, to int64 }

func (s span) len() int64 {
	if s.to < s.from {
		return 0
	}
	if n := uint64(s.to) - uint64(s.from); n < 1<<62 {
		return int64(n) + 1
	}
	return 1 << 62
}

type (
	emptyLiteral struct{}
	blankLiteral struct{}
)

func truthy(v Value) bool { return v != nil && v != false }

// equal compares as JSON does: types are never equal across. empty and blank are equal to what is so.
func equal(a, b Value) bool {
	switch b.(type) {
	case emptyLiteral:
		return isEmpty(a)
	case blankLiteral:
		return isBlank(a)
	}
	switch a := a.(type) {
	case emptyLiteral:
		return isEmpty(b)
	case blankLiteral:
		return isBlank(b)
	case value.Value:
		b, ok := b.(value.Value)
		return ok && value.Equal(a, b)
	case []Value:
		b, ok := b.([]Value)
		return ok && slices.EqualFunc(a, b, equal)
	case Object:
		b, ok := b.(Object)
		return ok && jsonEqual(a.AppendJSON(nil), b.AppendJSON(nil))
	}
	switch b.(type) {
	case []Value, Object:
		return false
	}
	return a == b
}

func jsonEqual(a, b []byte) bool {
	left, err := value.Parse(a)
	right, err2 := value.Parse(b)
	return err == nil && err2 == nil && value.Equal(left, right)
}

func isEmpty(v Value) bool {
	switch v := v.(type) {
	case string:
		return v == ""
	case []Value:
		return len(v) == 0
	case Object:
		return size(v) == 0
	case emptyLiteral:
		return true
	}
	return false
}

func isBlank(v Value) bool {
	switch v := v.(type) {
	case string:
		return strings.TrimSpace(v) == ""
	case blankLiteral:
		return true
	}
	return !truthy(v) || isEmpty(v)
}

// compare orders two numbers or two strings.
func compare(a, b Value) (order int, ok bool) {
	switch a := a.(type) {
	case value.Value:
		if b, isNumber := b.(value.Value); isNumber {
			return value.Compare(a, b)
		}
	case string:
		if b, isString := b.(string); isString {
			return strings.Compare(a, b), true
		}
	}
	return 0, false
}

func contains(v, part Value) bool {
	switch v := v.(type) {
	case string:
		return part != nil && strings.Contains(v, text(part))
	case []Value:
		return slices.ContainsFunc(v, func(e Value) bool { return equal(e, part) })
	case Object:
		name, ok := part.(string)
		return ok && v.Member(name) != nil
	case span:
		n, ok := part.(value.Value)
		return ok && equal(whole(wholeOf(n)), n) && v.from <= wholeOf(n) && wholeOf(n) <= v.to
	}
	return false
}

// text is a value as an output shows it: lists one element after the other, objects as JSON, nothing for a missing value.
func text(v Value) string {
	if s, ok := v.(string); ok {
		return s
	}
	return string(appendText(nil, v))
}

func appendText(dst []byte, v Value) []byte {
	switch v := v.(type) {
	case bool:
		return strconv.AppendBool(dst, v)
	case string:
		return append(dst, v...)
	case value.Value:
		return append(dst, v.Text()...)
	case []Value:
		for _, e := range v {
			dst = appendText(dst, e)
		}
	case Object:
		return v.AppendJSON(dst)
	case span:
		dst = append(strconv.AppendInt(dst, v.from, 10), ".."...)
		return strconv.AppendInt(dst, v.to, 10)
	}
	return dst
}

// appendJSON writes a value as JSON.
func appendJSON(dst []byte, v Value) []byte {
	switch v := v.(type) {
	case bool:
		return strconv.AppendBool(dst, v)
	case string:
		return value.AppendString(dst, v)
	case value.Value:
		return v.Append(dst)
	case []Value:
		dst = append(dst, '[')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, e)
		}
		return append(dst, ']')
	case Object:
		return v.AppendJSON(dst)
	case span:
		return value.AppendString(dst, text(v))
	}
	return append(dst, "null"...)
}

// size is the number of characters, elements or members.
func size(v Value) int64 {
	switch v := v.(type) {
	case string:
		return int64(len([]rune(v)))
	case []Value:
		return int64(len(v))
	case properties:
		return int64(len(v))
	case Object:
		n := int64(0)
		for range v.Members() {
			n++
		}
		return n
	case span:
		return v.len()
	}
	return 0
}

// whole is a whole number as a Value.
func whole(n int64) value.Value {
	if n > -1<<53 && n < 1<<53 {
		return value.OfNumber(float64(n))
	}
	v, _ := value.Parse(strconv.AppendInt(nil, n, 10)) // digits are JSON
	return v
}

// asNumber is a number, or what a string reads as; anything else is 0.
func asNumber(v Value) value.Value {
	switch v := v.(type) {
	case value.Value:
		return v
	case string:
		n, err := value.Parse([]byte(strings.TrimFunc(v, unicode.IsSpace)))
		if err == nil && (n.Kind() == value.Number || n.Kind() == value.Digits) {
			return n
		}
	}
	return value.OfNumber(0)
}

// asWhole is a number that is written without fraction and exponent.
func asWhole(v value.Value) (n int64, ok bool) {
	n, err := strconv.ParseInt(v.Text(), 10, 64)
	return n, err == nil
}

func asFloat(v value.Value) float64 {
	if f, ok := v.Float(); ok {
		return f
	}
	f, _ := strconv.ParseFloat(v.Text(), 64) // out of range: an infinity
	return f
}

// wholeOf is a value as a whole number, cut, within ±2^62.
func wholeOf(v Value) int64 {
	number := asNumber(v)
	if n, ok := asWhole(number); ok {
		return max(-1<<62, min(1<<62, n))
	}
	switch f := asFloat(number); {
	case f >= 1<<62:
		return 1 << 62
	case f <= -1<<62:
		return -1 << 62
	default:
		return int64(f)
	}
}
