package expr

import (
	"math"
	"strconv"
	"unicode/utf8"
)

// ours are the functions that are not taken from expr-lang's table: those whose result there hangs on the order of a Go
// map, on the clock or on the machine, those that would copy whole lists, and those that a list of the event is often
// asked with. All but type are nil if an argument is nil.
var ours = map[string]func(f *frame, at int, args []operand) operand{
	"len":       (*frame).length,
	"get":       (*frame).get,
	"int":       (*frame).toInt,
	"float":     (*frame).toFloat,
	"keys":      (*frame).keys,
	"values":    (*frame).values,
	"toPairs":   (*frame).toPairs,
	"fromPairs": (*frame).fromPairs,
	"first":     (*frame).first,
	"last":      (*frame).last,
	"take":      (*frame).take,
	"reverse":   (*frame).reverse,
	"concat":    (*frame).concat,
	"flatten":   (*frame).flatten,
	"uniq":      (*frame).uniq,
	"fromJSON": func(f *frame, at int, args []operand) operand {
		if args[0].kind != kindString {
			return f.fail(at, "fromJSON is not defined on %s", args[0].kind)
		}
		return f.parseJSON(at, args[0].text)
	},
	"type":     func(_ *frame, _ int, args []operand) operand { return ofString(typeName(args[0])) },
	"date":     (*frame).date,
	"timezone": (*frame).timezone,
	"duration": (*frame).duration,
	"now":      (*frame).now,
}

// call calls one of ours.
func (f *frame) call(at int, name string, fn func(*frame, int, []operand) operand, args []operand) operand {
	for i := range args {
		if args[i].kind == kindNil && name != "type" {
			return operand{}
		}
	}
	return fn(f, at, args)
}

func typeName(o operand) string {
	switch o.kind {
	case kindNil:
		return "nil"
	case kindBool:
		return "bool"
	case kindInt:
		return "int"
	case kindFloat, kindDigits:
		return "float"
	case kindString:
		return "string"
	case kindDuration:
		return "time.Duration"
	case kindTime:
		return "time.Time"
	case kindOther:
		return otherName(o.ref)
	}
	if o.isList() {
		return "array"
	}
	return "map"
}

func (f *frame) length(at int, args []operand) operand {
	o := args[0]
	if elements, ok := f.elements(o); ok {
		return ofInt(int64(len(elements)))
	}
	if o.kind == kindString {
		return ofInt(int64(utf8.RuneCountInString(o.text)))
	}
	if d, ok := f.dictionary(o); ok {
		return ofInt(int64(len(d.keys)))
	}
	return f.fail(at, "len is not defined on %s", o.kind)
}

// member is o.name, o[key] or o[index]; an index beyond the ends of a list fails.
func (f *frame) member(at int, o, key operand) operand {
	if o.kind == kindNil || key.kind == kindNil {
		return operand{}
	}
	v, found, defined := f.find(o, key)
	switch {
	case !defined:
		return f.fail(at, "%s has no member %s", o.kind, keyName(key))
	case !found && !o.isMap():
		return f.fail(at, "index %s is out of range", keyName(key))
	}
	return v
}

func keyName(key operand) string {
	switch key.kind {
	case kindInt:
		return strconv.FormatInt(key.bits, 10)
	case kindString:
		return strconv.Quote(key.text)
	}
	return "named by " + key.kind.String()
}

// find looks a member up; defined is false where o has no members of such a key at all.
func (f *frame) find(o, key operand) (v operand, found, defined bool) {
	switch {
	case o.kind == kindMap:
		v, found = o.ref.(*dictionary).get(key)
		return v, found, true
	case o.isMap():
		if key.kind != kindString {
			return v, false, false
		}
		return f.property(o, key.text), true, true
	}
	i, ok := key.whole()
	if !ok {
		return v, false, false
	}
	if o.kind == kindString {
		if i, ok = within(i, len(o.text)); ok {
			return ofInt(int64(o.text[i])), true, true
		}
		return v, false, true
	}
	elements, ok := f.elements(o)
	if !ok {
		return v, false, false
	}
	if i, ok = within(i, len(elements)); ok {
		return elements[i], true, true
	}
	return v, false, true
}

// within counts a negative index from the end.
func within(i, length int) (index int, ok bool) {
	if i < 0 {
		i += length
	}
	return i, i >= 0 && i < length
}

func (f *frame) get(_ int, args []operand) operand {
	v, _, _ := f.find(args[0], args[1])
	return v
}

func (f *frame) toInt(at int, args []operand) operand {
	o := args[0]
	switch o.kind {
	case kindInt:
		return o
	case kindFloat:
		if x := o.float(); x > -1<<63 && x < 1<<63 {
			return ofInt(int64(x))
		}
	case kindDigits:
		if n, err := strconv.ParseInt(o.text, 10, 64); err == nil {
			return ofInt(n)
		}
	default:
		return f.callTable(at, table("int"), args)
	}
	return f.fail(at, "int: the number has more than 64 bits")
}

func (f *frame) toFloat(at int, args []operand) operand {
	o := args[0]
	if o.kind != kindDigits {
		return f.callTable(at, table("float"), args)
	}
	x, err := strconv.ParseFloat(o.text, 64)
	if err != nil || math.IsInf(x, 0) {
		return f.fail(at, "float: the number is too large")
	}
	return ofFloat(x)
}

// property is a member of an object, nil if it has none of that name. The time of an event of the history hides a
// property named so.
func (f *frame) property(o operand, name string) operand {
	if whole, ok := o.ref.(*object); ok && whole.timed && name == "time" {
		return ofMillis(whole.time)
	}
	p, _ := f.properties(o)
	return ofValue(p.Get(name))
}

// listOf is the elements of the argument of a function; ok is false after a failure.
func (f *frame) listOf(at int, name string, o operand) (all []operand, ok bool) {
	if all, ok = f.elements(o); !ok {
		f.fail(at, "%s is not defined on %s", name, o.kind)
		return nil, false
	}
	return all, f.spend(len(all))
}

func (f *frame) keys(at int, args []operand) operand {
	if d, ok := f.dictionary(args[0]); ok {
		return ofList(d.keys)
	}
	return f.fail(at, "keys is not defined on %s", args[0].kind)
}

func (f *frame) values(at int, args []operand) operand {
	if d, ok := f.dictionary(args[0]); ok {
		return ofList(d.values)
	}
	return f.fail(at, "values is not defined on %s", args[0].kind)
}

func (f *frame) toPairs(at int, args []operand) operand {
	d, ok := f.dictionary(args[0])
	if !ok || !f.spend(3*len(d.keys)) {
		return f.fail(at, "toPairs is not defined on %s", args[0].kind)
	}
	pairs := make([]operand, len(d.keys))
	for i := range pairs {
		pairs[i] = ofList([]operand{d.keys[i], d.values[i]})
	}
	return ofList(pairs)
}

func (f *frame) fromPairs(at int, args []operand) operand {
	pairs, ok := f.listOf(at, "fromPairs", args[0])
	if !ok {
		return operand{}
	}
	d := new(dictionary)
	for _, pair := range pairs {
		both, ok := f.elements(pair)
		if !ok || len(both) != 2 {
			return f.fail(at, "fromPairs needs lists of a key and a value")
		}
		hash, ok := both[0].hashed()
		if !ok {
			return f.fail(at, "%s cannot be a key", both[0].kind)
		}
		d.set(hash, both[0], both[1])
	}
	return operand{kind: kindMap, ref: d}
}

// first and last of what has no such element, lists or not, are nil.
func (f *frame) first(_ int, args []operand) operand {
	v, _, _ := f.find(args[0], ofInt(0))
	return v
}

func (f *frame) last(_ int, args []operand) operand {
	v, _, _ := f.find(args[0], ofInt(-1))
	return v
}

func (f *frame) take(at int, args []operand) operand {
	all, ok := f.listOf(at, "take", args[0])
	if !ok {
		return operand{}
	}
	if args[1].kind != kindInt || args[1].bits < 0 {
		return f.fail(at, "take needs a whole number from 0")
	}
	if args[0].isNil() {
		return nilList
	}
	return ofList(all[:min(args[1].bits, int64(len(all)))])
}

func (f *frame) reverse(at int, args []operand) operand {
	all, ok := f.listOf(at, "reverse", args[0])
	if !ok {
		return operand{}
	}
	reversed := make([]operand, len(all))
	for i := range all {
		reversed[len(all)-1-i] = all[i]
	}
	return ofList(reversed)
}

func (f *frame) concat(at int, args []operand) operand {
	var joined []operand
	for _, arg := range args {
		all, ok := f.listOf(at, "concat", arg)
		if !ok {
			return operand{}
		}
		joined = append(joined, all...)
	}
	if len(joined) == 0 {
		return nilList
	}
	return ofList(joined)
}

func (f *frame) flatten(at int, args []operand) operand {
	all, ok := f.listOf(at, "flatten", args[0])
	if !ok {
		return operand{}
	}
	var flat []operand
	for _, o := range all {
		if !o.isList() {
			flat = append(flat, o)
			continue
		}
		inner := f.flatten(at, []operand{o})
		if f.err != nil {
			return operand{}
		}
		flat = append(flat, inner.ref.([]operand)...)
	}
	return ofList(flat)
}

// uniq keeps the first of equal elements.
func (f *frame) uniq(at int, args []operand) operand {
	all, ok := f.listOf(at, "uniq", args[0])
	if !ok {
		return operand{}
	}
	var kept, others []operand // others: of kept, those that have to be compared one by one
	seen := make(map[any]bool, len(all))
	for _, o := range all {
		hash, scalar := o.hashed()
		if scalar && o.kind != kindDigits && o.kind != kindTime {
			if seen[hash] {
				continue
			}
			seen[hash] = true
		} else {
			if f.in(o, ofList(others)) {
				continue
			}
			others = append(others, o)
		}
		kept = append(kept, o)
	}
	return ofList(kept)
}

// slice is o[from:to] of a list, or of a string by bytes; negative ends count from the end. A missing end is nil.
func (f *frame) slice(at int, o operand, ends [2]operand, given [2]bool) operand {
	if o.kind == kindNil {
		return operand{}
	}
	all, isList := f.elements(o)
	length := len(all)
	if !isList {
		if o.kind != kindString {
			return f.fail(at, "%s cannot be cut", o.kind)
		}
		length = len(o.text)
	}
	cut := [2]int{0, length}
	for i, end := range ends {
		if !given[i] {
			continue
		}
		n, ok := end.whole()
		switch {
		case end.unknown():
			return operand{}
		case !ok:
			return f.fail(at, "%s is not an index", end.kind)
		case n < 0:
			n += length
		}
		cut[i] = min(max(n, 0), length)
	}
	cut[0] = min(cut[0], cut[1])
	switch {
	case o.isNil():
		return nilList
	case isList:
		return ofList(all[cut[0]:cut[1]:cut[1]])
	}
	return ofString(o.text[cut[0]:cut[1]])
}
