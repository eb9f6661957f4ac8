package expr

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tripline/tripline/processor/campaign/value"
)

// kind is the type of an operand.
type kind uint8

const (
	kindNil kind = iota
	kindBool
	kindInt
	kindFloat
	kindDigits // a JSON number that no double holds
	kindString
	kindDuration
	kindTime
	kindList
	kindMap    // made in the expression
	kindObject // the event, the profile, or an event of the history
	kindJSON   // a list or an object that has not been taken apart
	kindOther  // a time zone, month or weekday
)

var kindNames = [...]string{"nil", "a boolean", "a number", "a number", "a number too long to calculate with", "a string", "a duration",
	"a time", "a list", "a map", "an object", "a list or object", "a part of a time"}

func (k kind) String() string { return kindNames[k] }

// operand is a value during evaluation. It is not changed once made. A JSON number is kindInt if it is whole and
// below 2^53, whatever its form.
type operand struct {
	kind kind
	bits int64  // kindBool: 1 is true; kindInt; kindFloat: its bits; kindDuration: ns; kindList: 1 if it is equal to nil
	text string // kindString; kindDigits: as JSON
	ref  any    // kindTime: time.Time; kindList: []operand; kindMap: *dictionary; kindObject: *object; kindJSON: value.Value
}

// object is a set of properties as a whole; an event of the history also has a time.
type object struct {
	properties value.Properties
	timed      bool
	time       int64 // ms
}

// dictionary is a map that keeps the order in which its keys came. Keys are those of hashed.
type dictionary struct {
	keys, values []operand
	index        map[any]int
	absent       operand // the value of every other key
}

// safe bounds the whole numbers that a double holds exactly, as all their neighbours.
const safe = 1 << 53

func ofBool(b bool) operand {
	if b {
		return operand{kind: kindBool, bits: 1}
	}
	return operand{kind: kindBool}
}

func ofInt(n int64) operand { return operand{kind: kindInt, bits: n} }

func ofFloat(f float64) operand { return operand{kind: kindFloat, bits: int64(math.Float64bits(f))} }

func ofString(s string) operand { return operand{kind: kindString, text: s} }

func ofDuration(d time.Duration) operand { return operand{kind: kindDuration, bits: int64(d)} }

func ofTime(t time.Time) operand { return operand{kind: kindTime, ref: t} }

func ofList(elements []operand) operand { return operand{kind: kindList, ref: elements} }

// ofNumber is a number as JSON and history know it.
func ofNumber(f float64) operand {
	if f == math.Trunc(f) && math.Abs(f) <= safe {
		return ofInt(int64(f))
	}
	return ofFloat(f)
}

func ofValue(v value.Value) operand {
	switch v.Kind() {
	case value.Bool:
		b, _ := v.Bool()
		return ofBool(b)
	case value.Number:
		f, _ := v.Float()
		return ofNumber(f)
	case value.Digits:
		return operand{kind: kindDigits, text: v.Text()}
	case value.String:
		return ofString(v.Text())
	case value.List, value.Object:
		return operand{kind: kindJSON, ref: v}
	}
	return operand{}
}

// value is ofValue backwards; nil where JSON has no such value.
func (o operand) value() value.Value {
	switch o.kind {
	case kindBool:
		return value.OfBool(o.isTrue())
	case kindInt, kindFloat:
		if f := o.float(); !math.IsInf(f, 0) && !math.IsNaN(f) {
			return value.OfNumber(f)
		}
	case kindDigits:
		if v, err := value.Parse([]byte(o.text)); err == nil {
			return v
		}
	case kindString:
		return value.OfString(o.text)
	case kindJSON:
		return o.ref.(value.Value)
	}
	return value.Value{}
}

// nilList is the empty list that Go and expr-lang also take for nil: a group that groupBy has not found, nil sorted.
var nilList = operand{kind: kindList, bits: 1, ref: []operand(nil)}

// isNil is true of nil and of nilList.
func (o operand) isNil() bool { return o.kind == kindNil || o.kind == kindList && o.bits == 1 }

func (o operand) isTrue() bool { return o.kind == kindBool && o.bits == 1 }

func (o operand) float() float64 {
	if o.kind == kindInt {
		return float64(o.bits)
	}
	return math.Float64frombits(uint64(o.bits))
}

func (o operand) isNumber() bool { return o.kind == kindInt || o.kind == kindFloat }

// isSafe says that o is a number as exact as a double, so that it can be compared as one.
func (o operand) isSafe() bool {
	return o.kind == kindFloat && math.Abs(o.float()) < safe || o.kind == kindInt && -safe <= o.bits && o.bits <= safe
}

// unknown says that nothing can be calculated from o.
func (o operand) unknown() bool { return o.kind == kindNil || o.kind == kindDigits }

// whole is o as a whole number, cut towards zero.
func (o operand) whole() (n int, ok bool) {
	switch o.kind {
	case kindInt:
		return int(o.bits), true
	case kindFloat:
		f := o.float()
		return int(f), math.Abs(f) < 1<<63
	}
	return 0, false
}

// json is the JSON list or object of o.
func (o operand) json() (v value.Value, k value.Kind) {
	if o.kind != kindJSON {
		return v, value.Nil
	}
	v = o.ref.(value.Value)
	return v, v.Kind()
}

func (o operand) isList() bool {
	_, k := o.json()
	return o.kind == kindList || k == value.List
}

func (o operand) isMap() bool {
	_, k := o.json()
	return o.kind == kindMap || o.kind == kindObject || k == value.Object
}

// taken is a JSON list or object of which the parts are known, kept until the end of the judgement.
type taken struct {
	text     string
	elements []operand
	fields   value.Properties
}

// takeApart parses a JSON list or object, not again for the few that were parsed last.
func (f *frame) takeApart(v value.Value) (t taken, ok bool) {
	const kept = 4
	text := v.Text()
	if f.scratch == nil {
		f.scratch = scratches.Get().(*scratch)
	}
	for i := range f.taken {
		if f.taken[i].text == text {
			return f.taken[i], true
		}
	}
	if !f.spend(len(text) / 4) {
		return taken{}, false
	}
	t = taken{text: text, fields: v.Fields()}
	if values := v.Elements(); len(values) > 0 {
		t.elements = make([]operand, len(values))
		for i := range values {
			t.elements[i] = ofValue(values[i])
		}
	}
	if len(f.taken) == kept {
		copy(f.taken, f.taken[1:])
		f.taken = f.taken[:kept-1]
	}
	f.taken = append(f.taken, t)
	return t, true
}

// elements are those of a list.
func (f *frame) elements(o operand) (all []operand, ok bool) {
	if o.kind == kindList {
		return o.ref.([]operand), true
	}
	v, k := o.json()
	if k != value.List {
		return nil, false
	}
	t, ok := f.takeApart(v)
	return t.elements, ok
}

// properties are those of an object, in no order that matters.
func (f *frame) properties(o operand) (p value.Properties, ok bool) {
	if o.kind == kindObject {
		return o.ref.(*object).properties, true
	}
	v, k := o.json()
	if k != value.Object {
		return nil, false
	}
	t, ok := f.takeApart(v)
	return t.fields, ok
}

// dictionary is a map or object with its keys: in the order of the text where the expression made it, else sorted.
func (f *frame) dictionary(o operand) (d *dictionary, ok bool) {
	if o.kind == kindMap {
		return o.ref.(*dictionary), true
	}
	p, ok := f.properties(o)
	if !ok || !f.spend(len(p)) {
		return nil, false
	}
	p = slices.Clone(p)
	slices.SortFunc(p, func(a, b value.Property) int { return strings.Compare(a.Name, b.Name) })
	d = new(dictionary)
	for i := range p {
		d.set(p[i].Name, ofString(p[i].Name), ofValue(p[i].Value))
	}
	if whole, isObject := o.ref.(*object); isObject && whole.timed {
		d.set("time", ofString("time"), ofMillis(whole.time))
	}
	return d, true
}

// set puts v under a key and the key's hashed form.
func (d *dictionary) set(hash any, key, v operand) {
	if i, ok := d.index[hash]; ok {
		d.values[i] = v
		return
	}
	if d.index == nil {
		d.index = map[any]int{}
	}
	d.index[hash] = len(d.keys)
	d.keys, d.values = append(d.keys, key), append(d.values, v)
}

func (d *dictionary) get(key operand) (v operand, ok bool) {
	hash, ok := key.hashed()
	if !ok {
		return operand{}, false
	}
	i, ok := d.index[hash]
	if !ok {
		return d.absent, false
	}
	return d.values[i], true
}

// longDigits keeps numbers and strings of the same text apart.
type longDigits string

// hashed is the same for two scalars if they are equal, except that a whole number beyond 2^53 is not found under its
// digits. Lists and maps have none.
func (o operand) hashed() (hash any, ok bool) {
	switch o.kind {
	case kindNil:
		return nil, true
	case kindBool:
		return o.bits == 1, true
	case kindInt:
		return o.bits, true
	case kindFloat:
		if n := ofNumber(o.float()); n.kind == kindInt {
			return n.bits, true
		}
		return o.float(), true
	case kindDigits:
		return longDigits(o.text), true
	case kindString:
		return o.text, true
	case kindDuration:
		return time.Duration(o.bits), true
	case kindTime, kindOther:
		return o.ref, true
	}
	return nil, false
}
