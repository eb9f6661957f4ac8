// Package value holds JSON values the way campaigns compare them: numbers keep the digits they came with, a missing
// property and null are one thing, and nothing is decoded before it is asked for.
//
// Values are immutable and safe for concurrent use. Strings of a parsed value point into one copy of the text it was
// parsed from, so that text lives as long as the value does.
package value

import (
	"math"
	"strconv"
)

// Kind is the JSON type of a Value.
type Kind uint8

// The kinds. Digits is a number that a double cannot hold exactly: it is equal to the same decimal number, and has no
// order.
const (
	Nil Kind = iota
	Bool
	Number
	Digits
	String
	List
	Object
)

var kindNames = [...]string{"null", "a boolean", "a number", "a number", "a string", "a list", "an object"}

// String names the JSON type with its article, for use in sentences.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Value is one JSON value. The zero value is Nil: missing or null.
type Value struct {
	text   string  // String: decoded; Number: as received, "" where that is what appendFloat writes; Digits, List, Object: JSON
	number float64 // Number; Bool: 1 is true
	kind   Kind
}

// OfBool is a boolean.
func OfBool(b bool) Value {
	if b {
		return Value{kind: Bool, number: 1}
	}
	return Value{kind: Bool}
}

// OfNumber is a number. NaN and the infinities have no JSON form and are Nil.
func OfNumber(f float64) Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Value{}
	}
	return Value{kind: Number, number: f}
}

// OfString is a string.
func OfString(s string) Value { return Value{kind: String, text: s} }

// Kind is the value's type.
func (v Value) Kind() Kind { return v.kind }

// IsNil tells whether the value is missing or null.
func (v Value) IsNil() bool { return v.kind == Nil }

// Bool is a boolean's value; ok is false for every other kind.
func (v Value) Bool() (b, ok bool) { return v.number != 0 && v.kind == Bool, v.kind == Bool }

// Float is a Number's value; ok is false for every other kind, Digits included.
func (v Value) Float() (f float64, ok bool) {
	if v.kind != Number {
		return 0, false
	}
	return v.number, true
}

// Text is a String's text, and of every other kind the JSON form: a number's digits as received, the canonical text of
// a list or object. Nil is "".
func (v Value) Text() string {
	switch v.kind {
	case Nil:
		return ""
	case Bool:
		return strconv.FormatBool(v.number != 0)
	case Number:
		if v.text == "" {
			return string(appendFloat(nil, v.number))
		}
	}
	return v.text
}

// Elements are a List's values, parsed at each call; nil for every other kind and for an empty list.
func (v Value) Elements() []Value {
	if v.kind != List {
		return nil
	}
	var all []Value
	r := NewReader(v.text)
	for r.EnterList(); r.NextElement(); {
		all = append(all, r.Value())
	}
	return all
}

// Fields are an Object's members, parsed at each call; nil for every other kind and for an empty object.
func (v Value) Fields() Properties {
	if v.kind != Object {
		return nil
	}
	r := NewReader(v.text)
	return r.Properties()
}

// Append writes the value as JSON without spaces: numbers as received, lists and objects in their canonical form.
func (v Value) Append(dst []byte) []byte {
	switch v.kind {
	case Nil:
		return append(dst, "null"...)
	case Bool:
		return strconv.AppendBool(dst, v.number != 0)
	case String:
		return AppendString(dst, v.text)
	case Number:
		if v.text == "" {
			return appendFloat(dst, v.number)
		}
	}
	return append(dst, v.text...)
}
