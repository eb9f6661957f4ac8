package liquid

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/osteele/tuesday"

	"github.com/tripline/tripline/processor/campaign/value"
)

// filter is one of the filters: what it does, how many arguments it takes, and the name of its named one.
type filter struct {
	apply       func(c *call) (Value, error)
	least, most int
	named       string
}

func (f *filter) arity() string {
	switch {
	case f.most == 0:
		return "no argument"
	case f.least == f.most && f.most == 1:
		return "one argument"
	case f.least == f.most:
		return fmt.Sprintf("%d arguments", f.most)
	}
	return fmt.Sprintf("%d to %d arguments", f.least, f.most)
}

// call is one application of a filter to values.
type call struct {
	r     *renderer
	at    int
	in    Value
	args  []Value
	named bool // the last of args is the named one
}

func (c *call) fault(format string, a ...any) error { return c.r.fault(c.at, format, a...) }

func (c *call) bound(format string, a ...any) error { return c.r.bound(c.at, format, a...) }

// text is the input as text.
func (c *call) text() string { return text(c.in) }

// arg is an argument, nil if it was not given.
func (c *call) arg(i int) Value {
	if i < len(c.args) {
		return c.args[i]
	}
	return nil
}

// number is a whole number that was given, or else otherwise.
func (c *call) number(i int, otherwise int64) int64 {
	if i < len(c.args) && c.args[i] != nil {
		return wholeOf(c.args[i])
	}
	return otherwise
}

// list is the input as a list: one of one element if it is none.
func (c *call) list() ([]Value, error) { return c.listFrom(c.in) }

func (c *call) listFrom(v Value) ([]Value, error) {
	switch v := v.(type) {
	case span:
		if v.len() > maxWork/16 {
			return nil, c.bound("a list of more than %d elements", maxWork/16)
		}
		if err := c.r.charge(16*int(v.len()), c.at); err != nil {
			return nil, err
		}
		list := make([]Value, v.len())
		for i := range list {
			list[i] = whole(v.from + int64(i))
		}
		return list, nil
	case Object:
		return []Value{v}, nil
	}
	return listOf(v), nil
}

// onText is a filter that makes text of text.
func onText(f func(string) string) *filter {
	return &filter{apply: func(c *call) (Value, error) { return f(c.text()), nil }}
}

// onTexts is a filter that makes text of text and one argument.
func onTexts(f func(s, arg string) string) *filter {
	return &filter{least: 1, most: 1, apply: func(c *call) (Value, error) { return f(c.text(), text(c.arg(0))), nil }}
}

// onList is a filter of a list, which may name a property of its elements.
func onList(f func(c *call, list []Value) (Value, error), least, most int) *filter {
	return &filter{least: least, most: most, apply: func(c *call) (Value, error) {
		list, err := c.list()
		if err != nil {
			return nil, err
		}
		return f(c, list)
	}}
}

// filters by name; of text, numbers, lists and times, and those below.
var (
	filters     = make(map[string]*filter)
	filterNames []string
)

func init() {
	for _, some := range []map[string]*filter{textFilters, numberFilters, listFilters, {
		"date":    {apply: date, least: 1, most: 1},
		"default": {apply: otherwise, least: 0, most: 1, named: "allow_false"},
		"json":    {apply: asJSON},
		"size":    {apply: func(c *call) (Value, error) { return whole(size(c.in)), nil }},
		"slice":   {apply: slice, least: 1, most: 2},
	}} {
		maps.Copy(filters, some)
	}
	filterNames = slices.Sorted(maps.Keys(filters))
}

// otherwise is `default`: the argument in place of nothing, false and what is empty. allow_false lets false stand.
func otherwise(c *call) (Value, error) {
	var instead Value = ""
	given, allowFalse := c.args, false
	if c.named {
		given, allowFalse = c.args[:len(c.args)-1], truthy(c.args[len(c.args)-1])
	}
	if len(given) > 0 {
		instead = given[0]
	}
	if c.in == nil || isEmpty(c.in) || c.in == false && !allowFalse {
		return instead, nil
	}
	return c.in, nil
}

func asJSON(c *call) (Value, error) { return string(appendJSON(nil, c.in)), nil }

// slice takes characters of text or elements of a list; a negative start counts from the end.
func slice(c *call) (Value, error) {
	list, isList := c.in.([]Value)
	runes := []rune(nil)
	n := len(list)
	if !isList {
		runes = []rune(c.text())
		n = len(runes)
	}
	from, length := wholeOf(c.arg(0)), c.number(1, 1)
	if from < 0 {
		from += int64(n)
	}
	if from < 0 || from > int64(n) || length < 0 {
		from, length = 0, 0
	}
	to := min(from+length, int64(n))
	if isList {
		return list[from:to:to], nil
	}
	return string(runes[from:to]), nil
}

// layouts are the forms of times that `date` reads, beside RFC 3339 and seconds since the epoch. What names no zone is UTC.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02", "2006-01-02 15:04:05 -0700",
	"2006-01-02 15:04:05 MST", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04", "2006/01/02", "01/02/2006",
	time.RFC1123Z, time.RFC1123, time.RFC850, time.ANSIC, "January 2, 2006", "Jan 2, 2006", "2 January 2006", "2 Jan 2006",
}

// wide is a directive that pads to more than anybody wants to see.
var wide = regexp.MustCompile(`%[-_^#0:]*[0-9]{3}`)

// date formats a time as strftime does, in the zone that the time has. What is no time stays as it is.
func date(c *call) (Value, error) {
	format := text(c.arg(0))
	t, ok := c.time()
	if !ok || format == "" {
		return c.in, nil
	}
	if len(format) > 1024 || wide.MatchString(format) {
		return nil, c.fault("a time format that is too long")
	}
	s, err := tuesday.Strftime(format, t)
	if err != nil {
		return nil, c.fault("time format %q: %v", format, err)
	}
	return s, nil
}

func (c *call) time() (t time.Time, ok bool) {
	switch in := c.in.(type) {
	case value.Value:
		return epoch(in)
	case string:
		s := strings.TrimSpace(in)
		if s == "now" || s == "today" {
			return time.UnixMilli(c.r.env.Now).UTC(), true
		}
		if n, err := value.Parse([]byte(s)); err == nil && n.Kind() == value.Number {
			return epoch(n)
		}
		for _, layout := range layouts {
			if t, err := time.Parse(layout, s); err == nil {
				return t, true
			}
		}
	}
	return time.Time{}, false
}

// epoch is a time given in seconds, within the years that have four digits.
func epoch(n value.Value) (time.Time, bool) {
	f, ok := n.Float()
	const first, last = -62135596800, 253402300799
	if !ok || f < first || f > last {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(f * 1000)).UTC(), true
}
