package twin

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Cond is a condition of `where` or `audience`: it can be judged here and be printed in expr-lang's syntax.
type Cond interface {
	Eval(*scope) (any, error)
	Text() string
}

// scope is what a condition sees. In a `where` only event is set.
type scope struct {
	user    string
	event   *event
	profile map[string]any
	moment  int64
	history []event // in the user's order, all with time <= moment
}

type (
	Literal struct{ Value any }       // float64, string or bool
	Prop    struct{ Of, Name string } // of event or profile
	UserID  struct{}
	Compare struct {
		Op   string // == != < <= > >=
		L, R Cond
	}
	In struct {
		X    Cond
		List []any
		Not  bool
	}
	Contains struct {
		X   Cond
		Sub string
	}
	Logic struct {
		Op   string // && ||
		L, R Cond
	}
	Not   struct{ X Cond }
	IsNil struct {
		X   Cond
		Not bool
	}
	Arith struct {
		Op   string // + - *
		L, R Cond
	}
	Count struct {
		Event  string
		Window int64
		Where  Cond // may be nil
	}
	Fold struct {
		Func, Event, Property string // sum avg min max
		Window                int64
	}
	Pick struct {
		Func, Event, Property string // first last
	}
	Since struct{ Event string }
	Span  struct{ Length int64 } // duration("…")
)

// length is the value of since and duration, which compares with nothing else.
type length int64

// holds: "What still fails at run time makes the whole expression false"; "must be a boolean".
func holds(c Cond, s *scope) bool {
	v, err := c.Eval(s)
	return err == nil && v == true
}

func (c Literal) Eval(*scope) (any, error)  { return c.Value, nil }
func (c UserID) Eval(s *scope) (any, error) { return s.user, nil }
func (c Span) Eval(*scope) (any, error)     { return length(c.Length), nil }

// "members of `nil` are `nil`"; "`event` is `nil` where a profile set the timer".
func (c Prop) Eval(s *scope) (any, error) {
	if c.Of == "profile" {
		return s.profile[c.Name], nil
	}
	if s.event == nil {
		return nil, nil
	}
	return s.event.Properties[c.Name], nil
}

func (c Compare) Eval(s *scope) (any, error) {
	l, r, err := both(c.L, c.R, s)
	if err != nil {
		return nil, err
	}
	order, comparable := compare(l, r)
	equal := comparable && order == 0
	switch c.Op {
	case "==":
		return equal, nil
	case "!=":
		return !equal, nil
	}
	if _, isBool := l.(bool); isBool && comparable {
		return nil, errors.New("booleans have no order")
	}
	if !comparable {
		return false, nil
	}
	return c.Op == "<" && order < 0 || c.Op == "<=" && order <= 0 || c.Op == ">" && order > 0 || c.Op == ">=" && order >= 0, nil
}

func both(a, b Cond, s *scope) (l, r any, err error) {
	if l, err = a.Eval(s); err == nil {
		r, err = b.Eval(s)
	}
	return l, r, err
}

// compare knows like types only: for nil and for unlike types no comparison holds.
func compare(l, r any) (order int, comparable bool) {
	switch l := l.(type) {
	case float64:
		if r, ok := r.(float64); ok {
			return sign(l < r, l > r), true
		}
	case string:
		if r, ok := r.(string); ok {
			return strings.Compare(l, r), true
		}
	case length:
		if r, ok := r.(length); ok {
			return sign(l < r, l > r), true
		}
	case bool:
		if r, ok := r.(bool); ok {
			return sign(l != r && r, l != r && l), true
		}
	}
	return 0, false
}

func sign(less, more bool) int {
	switch {
	case less:
		return -1
	case more:
		return 1
	}
	return 0
}

func (c In) Eval(s *scope) (any, error) {
	v, err := c.X.Eval(s)
	if err != nil {
		return nil, err
	}
	for _, one := range c.List {
		if order, comparable := compare(v, one); comparable && order == 0 {
			return !c.Not, nil
		}
	}
	return c.Not, nil
}

func (c Contains) Eval(s *scope) (any, error) {
	v, err := c.X.Eval(s)
	text, isText := v.(string)
	return isText && strings.Contains(text, c.Sub), err
}

// "in `!`, `&&`, `||` what is not a boolean is false".
func (c Logic) Eval(s *scope) (any, error) {
	l, err := c.L.Eval(s)
	if err != nil || (l == true) == (c.Op == "||") {
		return l == true, err
	}
	r, err := c.R.Eval(s)
	return r == true, err
}

func (c Not) Eval(s *scope) (any, error) {
	v, err := c.X.Eval(s)
	return v != true, err
}

func (c IsNil) Eval(s *scope) (any, error) {
	v, err := c.X.Eval(s)
	return (v == nil) != c.Not, err
}

// "arithmetic on `nil` … [is] `nil`".
func (c Arith) Eval(s *scope) (any, error) {
	l, r, err := both(c.L, c.R, s)
	if err != nil || l == nil || r == nil {
		return nil, err
	}
	a, aIsNumber := l.(float64)
	b, bIsNumber := r.(float64)
	at, aIsText := l.(string)
	bt, bIsText := r.(string)
	switch {
	case aIsNumber && bIsNumber && c.Op == "+":
		return a + b, nil
	case aIsNumber && bIsNumber && c.Op == "-":
		return a - b, nil
	case aIsNumber && bIsNumber:
		return a * b, nil
	case aIsText && bIsText && c.Op == "+":
		return at + bt, nil
	}
	return nil, fmt.Errorf("%v %s %v", l, c.Op, r)
}

// within lists the events of a name in the look-back: "A look-back of length W at a moment m is (m − W, m]".
func (s *scope) within(name string, window int64) []event {
	var list []event
	for _, e := range s.history {
		if e.Name == name && e.Time > s.moment-window && e.Time <= s.moment {
			list = append(list, e)
		}
	}
	return list
}

func (c Count) Eval(s *scope) (any, error) {
	n := 0.0
	for _, e := range s.within(c.Event, c.Window) {
		if (Pattern{Event: c.Event, Where: c.Where}).matches(e) {
			n++
		}
	}
	return n, nil
}

// "over a numeric property; missing values are left out"; "`sum` of nothing is 0; `avg`, `min`, `max` of nothing are nil".
func (c Fold) Eval(s *scope) (any, error) {
	sum, low, high, n := 0.0, 0.0, 0.0, 0
	for _, e := range s.within(c.Event, c.Window) {
		v, ok := e.Properties[c.Property].(float64)
		if !ok {
			continue
		}
		if n == 0 {
			low, high = v, v
		}
		sum, low, high, n = sum+v, min(low, v), max(high, v), n+1
	}
	switch {
	case c.Func == "sum":
		return sum, nil
	case n == 0:
		return nil, nil
	case c.Func == "avg":
		return sum / float64(n), nil
	case c.Func == "min":
		return low, nil
	}
	return high, nil
}

func (s *scope) pick(name string, first bool) *event {
	var found *event
	for i := range s.history {
		if s.history[i].Name == name && (found == nil || !first) {
			found = &s.history[i]
		}
	}
	return found
}

func (c Pick) Eval(s *scope) (any, error) {
	e := s.pick(c.Event, c.Func == "first")
	switch {
	case e == nil:
		return nil, nil
	case c.Property == "": // the whole object, for nil tests only
		return e.Properties, nil
	}
	return e.Properties[c.Property], nil
}

func (c Since) Eval(s *scope) (any, error) {
	e := s.pick(c.Event, false)
	if e == nil {
		return nil, nil
	}
	return length(s.moment - e.Time), nil
}

func jsonText(v any) string {
	text, _ := json.Marshal(v) // scalars only
	return string(text)
}

func (c Literal) Text() string { return jsonText(c.Value) }
func (c UserID) Text() string  { return "user_id" }
func (c Span) Text() string    { return `duration("` + durationText(c.Length) + `")` }
func (c Prop) Text() string    { return c.Of + member(c.Name) }
func (c Compare) Text() string { return "(" + c.L.Text() + " " + c.Op + " " + c.R.Text() + ")" }
func (c Logic) Text() string   { return "(" + c.L.Text() + " " + c.Op + " " + c.R.Text() + ")" }
func (c Arith) Text() string   { return "(" + c.L.Text() + " " + c.Op + " " + c.R.Text() + ")" }
func (c Not) Text() string     { return "!(" + c.X.Text() + ")" }
func (c Since) Text() string   { return "since(" + jsonText(c.Event) + ")" }

func (c Contains) Text() string { return "(" + c.X.Text() + " contains " + jsonText(c.Sub) + ")" }

func (c In) Text() string {
	op := map[bool]string{false: " in ", true: " not in "}[c.Not]
	return "(" + c.X.Text() + op + jsonText(c.List) + ")"
}

func (c IsNil) Text() string {
	op := map[bool]string{false: " == nil", true: " != nil"}[c.Not]
	return "(" + c.X.Text() + op + ")"
}

func (c Count) Text() string {
	text := "count(" + jsonText(c.Event) + ", " + jsonText(durationText(c.Window))
	if c.Where != nil {
		text += ", " + strconv.Quote(c.Where.Text())
	}
	return text + ")"
}

func (c Fold) Text() string {
	return c.Func + "(" + jsonText(c.Event) + ", " + jsonText(c.Property) + ", " + jsonText(durationText(c.Window)) + ")"
}

func (c Pick) Text() string {
	text := c.Func + "(" + jsonText(c.Event) + ")"
	if c.Property != "" {
		text += member(c.Property)
	}
	return text
}

func member(name string) string {
	if strings.Contains(name, " ") {
		return "[" + jsonText(name) + "]"
	}
	return "." + name
}
