package expr

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"

	"github.com/expr-lang/expr/builtin"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/value"
)

// This file hands operands to expr-lang's own functions and to the methods of Go's times, and takes their results back.

// table is the function of that name in expr-lang's table.
func table(name string) *builtin.Function { return builtin.Builtins[builtin.Index[name]] }

// callTable calls a function of expr-lang's table. What fails is nil if an argument is nil, or has more digits than
// can be calculated with.
func (f *frame) callTable(at int, fn *builtin.Function, args []operand) operand {
	missing := false
	given := make([]any, len(args))
	for i, arg := range args {
		missing = missing || arg.unknown()
		given[i] = f.toGo(arg)
	}
	if f.err != nil || !f.affords(fn.Name, args) {
		return operand{}
	}
	result, err := callGo(fn, given)
	switch {
	case err == nil:
		return f.fromGo(at, result)
	case missing:
		return operand{}
	}
	return f.fail(at, "%s: %v", fn.Name, err)
}

// callGo turns a panic, which is how many of the functions fail, into an error.
func callGo(fn *builtin.Function, args []any) (result any, err error) {
	defer func() {
		if r := recover(); r != nil {
			if failure, ok := r.(error); ok {
				r = "cannot take " + strings.TrimPrefix(failure.Error(), "interface conversion: interface {} is ")
			}
			err = fmt.Errorf("%v", r)
		}
	}()
	switch {
	case fn.Fast != nil:
		return fn.Fast(args[0]), nil
	case fn.Safe != nil:
		result, _, err = fn.Safe(args...)
		return result, err
	}
	return fn.Func(args...)
}

// affords pays for results that can be much larger than the arguments, and for work that is.
func (f *frame) affords(name string, args []operand) bool {
	size := func(i int) int {
		if i < len(args) {
			return len(args[i].text)
		}
		return 0
	}
	switch name {
	case "repeat":
		if len(args) == 2 && args[1].kind == kindInt && args[1].bits > 0 {
			return f.spend(int(min(args[1].bits, 1<<32)) * size(0) / 16)
		}
	case "replace":
		return f.spend((size(0) + (strings.Count(args[0].text, args[1].text)+1)*size(2)) / 16)
	case "join":
		elements, _ := f.elements(args[0])
		return f.spend(len(elements) * (1 + size(1)/16))
	case "trim":
		return f.spend(size(0)/16 + size(0)*size(1)/64)
	case "split", "splitAfter":
		return f.spend(size(0) / 16 * 4)
	}
	return f.spend(1 + size(0)/16)
}

// toGo is o as expr-lang's functions know values: numbers as int and float64, lists and maps of any.
func (f *frame) toGo(o operand) any {
	if !f.spend(1 + len(o.text)/16) {
		return nil
	}
	switch o.kind {
	case kindBool:
		return o.bits == 1
	case kindInt:
		return int(o.bits)
	case kindFloat:
		return o.float()
	case kindDigits:
		return json.Number(o.text)
	case kindString:
		return o.text
	case kindDuration:
		return time.Duration(o.bits)
	case kindTime, kindOther:
		return o.ref
	}
	if elements, ok := f.elements(o); ok {
		if o.isNil() {
			return []any(nil)
		}
		all := make([]any, len(elements))
		for i := range elements {
			all[i] = f.toGo(elements[i])
		}
		return all
	}
	if d, ok := f.dictionary(o); ok {
		return f.mapToGo(d)
	}
	return nil
}

func (f *frame) mapToGo(d *dictionary) any {
	named := make(map[string]any, len(d.keys))
	for i, key := range d.keys {
		if key.kind != kindString {
			return f.anyMapToGo(d)
		}
		named[key.text] = f.toGo(d.values[i])
	}
	return named
}

func (f *frame) anyMapToGo(d *dictionary) any {
	all := make(map[any]any, len(d.keys))
	for i, key := range d.keys {
		all[f.toGo(key)] = f.toGo(d.values[i])
	}
	return all
}

// fromGo takes what expr-lang's functions and the methods of times give.
func (f *frame) fromGo(at int, v any) operand {
	if !f.spend(1) {
		return operand{}
	}
	switch v := v.(type) {
	case nil:
		return operand{}
	case bool:
		return ofBool(v)
	case int:
		return ofInt(int64(v))
	case int64:
		return ofInt(v)
	case float64:
		return ofFloat(v)
	case json.Number:
		return operand{kind: kindDigits, text: string(v)}
	case string:
		return ofString(v)
	case time.Duration:
		return ofDuration(v)
	case time.Time:
		return ofTime(v)
	case time.Month, time.Weekday, *time.Location:
		return operand{kind: kindOther, ref: v}
	case []string:
		return listFromGo(f, at, v)
	case []any:
		return listFromGo(f, at, v)
	case map[string]any:
		d := new(dictionary)
		for _, name := range sorted(v) {
			d.set(name, ofString(name), f.fromGo(at, v[name]))
		}
		return operand{kind: kindMap, ref: d}
	}
	return f.fail(at, "a value of type %T", v)
}

func listFromGo[T any](f *frame, at int, v []T) operand {
	if v == nil {
		return nilList
	}
	all := make([]operand, len(v))
	for i := range v {
		all[i] = f.fromGo(at, v[i])
	}
	return ofList(all)
}

// parseJSON is fromJSON: numbers keep their digits.
func (f *frame) parseJSON(at int, text string) operand {
	if !f.spend(len(text) / 16) {
		return operand{}
	}
	v, err := value.Parse([]byte(text))
	if err != nil {
		return f.fail(at, "fromJSON: %v", err)
	}
	return ofValue(v)
}

func ofMillis(ms int64) operand { return ofTime(time.UnixMilli(ms).UTC()) }

// ofMillisSpan is a duration of so many ms, cut to the longest that there is (292 years).
func ofMillisSpan(ms float64) operand { return ofDuration(saturated(ms * float64(time.Millisecond))) }

// now is the moment judged, in UTC or in the zone given.
func (f *frame) now(at int, args []operand) operand {
	t := time.UnixMilli(f.env.Now).UTC()
	if len(args) == 0 {
		return ofTime(t)
	}
	zone, ok := args[0].ref.(*time.Location)
	if !ok {
		return f.fail(at, "now needs a timezone()")
	}
	return ofTime(t.In(zone))
}

// duration reads the durations of the campaign language, such as 3d or 1d12h.
func (f *frame) duration(at int, args []operand) operand {
	if args[0].kind != kindString {
		return f.fail(at, "duration needs a string such as \"3d\"")
	}
	ms, err := calendar.ParseDuration(args[0].text)
	switch {
	case err != nil:
		return f.fail(at, "duration: %v", err)
	case ms > math.MaxInt64/int64(time.Millisecond) || ms < math.MinInt64/int64(time.Millisecond):
		return f.fail(at, "duration: longer than 292 years")
	}
	return ofDuration(time.Duration(ms) * time.Millisecond)
}

// timezone knows IANA names only: neither "Local" nor anything of the machine's.
func (f *frame) timezone(at int, args []operand) operand {
	zone, ok := calendar.LoadZone(args[0].text)
	if !ok || args[0].kind != kindString {
		return f.fail(at, "timezone: %q is not the name of a time zone", args[0].text)
	}
	return operand{kind: kindOther, ref: zone}
}

// dateLayouts are those of expr-lang's date(), tried in this order.
var dateLayouts = []string{"2006-01-02", "15:04:05", "2006-01-02 15:04:05", time.RFC3339, time.RFC822, time.RFC850, time.RFC1123}

// date is date([zone,] text [, layout [, zone name]]). Without a zone it is in UTC; the machine's zone has no part in it.
func (f *frame) date(at int, args []operand) operand {
	zone := time.UTC
	if z, ok := args[0].ref.(*time.Location); ok {
		zone, args = z, args[1:]
	}
	for _, arg := range args {
		if arg.kind != kindString {
			return f.fail(at, "date is not defined on %s", arg.kind)
		}
	}
	layouts := dateLayouts
	switch len(args) {
	case 0:
		return f.fail(at, "date needs a text")
	case 3:
		z := f.timezone(at, args[2:])
		if f.err != nil {
			return z
		}
		zone = z.ref.(*time.Location)
		fallthrough
	case 2:
		layouts = []string{args[1].text}
	}
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, args[0].text, zone); err == nil {
			return ofTime(t)
		}
	}
	return f.fail(at, "date: %q is not a date", args[0].text)
}

// methods are those of times, durations, months, weekdays and zones that an expression may call: the ones that neither
// look at the machine nor give anything but a value.
var methods = map[reflect.Type][]string{
	reflect.TypeFor[time.Time](): {"Add", "AddDate", "After", "Before", "Compare", "Day", "Equal", "Format", "Hour", "ISOWeek", "In",
		"IsDST", "IsZero", "Location", "Minute", "Month", "Nanosecond", "Round", "Second", "String", "Sub", "Truncate", "UTC", "Unix",
		"UnixMicro", "UnixMilli", "UnixNano", "Weekday", "Year", "YearDay", "Zone"},
	reflect.TypeFor[time.Duration](): {"Abs", "Hours", "Microseconds", "Milliseconds", "Minutes", "Nanoseconds", "Round", "Seconds",
		"String", "Truncate"},
	reflect.TypeFor[time.Month]():     {"String"},
	reflect.TypeFor[time.Weekday]():   {"String"},
	reflect.TypeFor[*time.Location](): {"String"},
}

// methodOf finds the method of the value that o is in Go. A nil function: there is none.
func methodOf(o operand, name string) reflect.Value {
	var receiver any
	switch o.kind {
	case kindDuration:
		receiver = time.Duration(o.bits)
	case kindTime, kindOther:
		receiver = o.ref
	default:
		return reflect.Value{}
	}
	for _, known := range methods[reflect.TypeOf(receiver)] {
		if known == name {
			return reflect.ValueOf(receiver).MethodByName(name)
		}
	}
	return reflect.Value{}
}

// invoke calls a method; of several results it gives the first.
func (f *frame) invoke(at int, o operand, name string, args []operand) operand {
	if o.kind == kindNil {
		return operand{}
	}
	method := methodOf(o, name)
	if !method.IsValid() {
		return f.fail(at, "%s has no method %s", o.kind, name)
	}
	if method.Type().NumIn() != len(args) {
		return f.fail(at, "%s needs %d arguments", name, method.Type().NumIn())
	}
	in := make([]reflect.Value, len(args))
	for i, arg := range args {
		if arg.kind == kindNil {
			return operand{}
		}
		in[i] = reflect.ValueOf(f.toGo(arg))
		if !in[i].IsValid() || !in[i].Type().AssignableTo(method.Type().In(i)) {
			return f.fail(at, "%s cannot take %s", name, arg.kind)
		}
	}
	return f.fromGo(at, method.Call(in)[0].Interface())
}

// otherName is what type() says of a kindOther.
func otherName(v any) string {
	switch v.(type) {
	case time.Month:
		return "time.Month"
	case time.Weekday:
		return "time.Weekday"
	}
	return "time.Location"
}
