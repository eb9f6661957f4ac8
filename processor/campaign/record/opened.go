package record

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/value"
)

// opened is an object of ours that is being read, member by member. It keeps the first field that has the wrong type.
type opened struct {
	*value.Reader
	name  string   // of the member whose value comes next
	found []string // members that have a value
	err   error
}

// open begins to read a record.
func open(json []byte) (*opened, error) {
	if !utf8.Valid(json) {
		return nil, value.ErrUTF8
	}
	r := value.NewReader(string(json))
	r.EnterObject()
	return &opened{Reader: &r, found: make([]string, 0, 12)}, nil
}

// next moves to the next member; at the end of the object it is false.
func (o *opened) next() (ok bool) {
	o.name, ok = o.NextMember()
	return ok
}

// finish is need at the end of the text.
func (o *opened) finish(fields ...string) error {
	if err := o.End(); err != nil {
		return err
	}
	return o.need(fields...)
}

// need is the first thing that is wrong: the JSON, a field's type, or a field that is not there or empty.
func (o *opened) need(fields ...string) error {
	if err := o.Err(); err != nil {
		return err
	}
	if o.err != nil {
		return o.err
	}
	for _, field := range fields {
		if !slices.Contains(o.found, field) {
			return fmt.Errorf("%s is missing", field)
		}
	}
	return nil
}

// keep notes an error in a part of the record, if it is the first.
func (o *opened) keep(part string, err error) {
	if o.err == nil && err != nil {
		o.err = fmt.Errorf("%s: %w", part, err)
	}
}

// value reads a value of the kind that the field must have; null is as good as left out.
func (o *opened) value(kind value.Kind) (v value.Value, ok bool) {
	v = o.Value()
	ok = v.Kind() == kind
	if !ok && !v.IsNil() {
		o.keep(o.name, fmt.Errorf("expected %v, not %v", kind, v.Kind()))
	}
	if ok && (kind != value.String || v.Text() != "") {
		o.found = append(o.found, o.name)
	} else { // of duplicate keys the last counts
		o.found = slices.DeleteFunc(o.found, func(name string) bool { return name == o.name })
	}
	return v, ok
}

func (o *opened) text() string {
	if v, ok := o.value(value.String); ok {
		return v.Text()
	}
	return ""
}

func (o *opened) bool() bool {
	v, _ := o.value(value.Bool)
	b, _ := v.Bool()
	return b
}

// time reads RFC 3339 of any year: a trigger's moment may lie before 1970.
func (o *opened) time() int64 {
	v, ok := o.value(value.String)
	if !ok {
		return 0
	}
	ms, err := calendar.ParseRFC3339(v.Text())
	o.keep(o.name, err)
	return ms
}

func (o *opened) properties() value.Properties {
	if kind := o.Peek(); kind != value.Object {
		o.value(value.Object)
		return nil
	}
	return o.Properties()
}
