// Package expr compiles and judges the expressions of campaigns: `where`, which sees one event, and `audience`, which
// also sees the user's profile and history. The language is expr-lang's (https://expr-lang.org), which parses and
// type-checks; evaluation is this package's own, closures over value.Value, with the rules for missing properties of
// the campaign language. It reads no clock and starts nothing: the moment judged and the history are arguments.
//
// A missing property is nil. ==, <, in, contains and the like are false for nil and for unlike types, != and not in
// true; only nil == nil is true, so that event.x == nil asks for absence. Arithmetic on nil, members of nil and
// functions of nil are nil. In !, &&, || and conditions what is not a boolean is false.
//
// Numbers compare as numbers whatever their JSON form. A number that no double holds is equal to the same digits,
// neither smaller nor larger than anything, and nil in arithmetic. Whole numbers that leave 64 bits go on as doubles,
// where expr-lang's wrap around.
package expr

import (
	"fmt"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/tripline/tripline/processor/campaign/value"
)

// Scope says what an expression may see.
type Scope uint8

// The scopes. Both know user_id, now() and duration().
const (
	Where    Scope = iota // one event
	Audience              // also the profile and the user's history
)

// Function is a function over the user's history.
type Function uint8

// The history functions, as campaigns name them in lower case.
const (
	Count Function = iota
	Sum
	Avg
	Min
	Max
	First
	Last
	Since
)

// Lookup is one call of a history function: the question that an expression asks about what the user did. Its window
// is (now - Window, now], now being the moment judged.
type Lookup struct {
	Function  Function
	Event     string   // the event's name
	Property  string   // Sum, Avg, Min, Max: the numeric property; values that are not numbers are left out
	Window    int64    // ms, positive; 0 for First, Last and Since, which look back for ever
	Predicate *Program // Count: a Where program over each event; nil: every event counts
	Members   []string // First, Last: the properties that the expression reads, sorted; the event's time is not among them
	All       bool     // First, Last: the event is used as a whole, so that Members does not say all

	index int // in Program.lookups
}

// Answer is what history says to a Lookup. OK false is nil: nothing was found.
type Answer struct {
	Number float64          // Count, Sum, Avg, Min, Max; Since: ms from the event to the moment judged
	OK     bool             // Count and Sum are 0 where it is false
	Event  value.Properties // First, Last
	Time   int64            // First, Last: the event's time, ms since the epoch
}

// Env is what an expression is judged against, by one goroutine at a time. The properties are read, never changed or
// kept.
type Env struct {
	Event    value.Properties
	HasEvent bool // false: `event` is nil (a profile set the timer)
	Profile  value.Properties
	User     string
	Now      int64                // the moment judged, ms since the epoch
	Look     func(*Lookup) Answer // answers history functions, each lookup at most once a judgement; nil: nothing was ever done

	frame frame // of the judgement under way, here so that it is not allocated
}

// Error is what is wrong with an expression's text.
type Error struct {
	Line, Column int      // 1-based, in characters of the text
	Message      string   // one line, without position
	Suggestion   string   // what was probably meant, to put in its place; may be empty
	More         []*Error // what is wrong besides, in other conditions of the text, in their order
}

// Error is the message with its position.
func (e *Error) Error() string { return place(e.Line, e.Column) + e.Message }

// Program is a compiled expression. It is immutable and safe for concurrent use.
type Program struct {
	text       string
	test       test
	gives      eval // in place of test, where it was compiled to be of any value
	slots      int  // places for let variables and loops
	lookups    []*Lookup
	properties []string
	all        bool
}

// Timeless says that it gives the same for an event at any moment: it does not ask for now.
func (p *Program) Timeless() bool { return !strings.Contains(p.text, "now") }

// test and eval are compiled pieces of an expression. After a failure, noted in the frame, their results have no
// meaning.
type (
	test func(*frame) bool
	eval func(*frame) operand
)

// Compile parses and checks text, which must be a boolean; an expression whose type only the event decides is accepted.
func Compile(text string, scope Scope) (*Program, *Error) { return compiled(text, scope, true) }

// CompileValue is Compile for an expression of any type, to be asked with Value.
func CompileValue(text string, scope Scope) (*Program, *Error) { return compiled(text, scope, false) }

func compiled(text string, scope Scope, boolean bool) (*Program, *Error) {
	p, wrong := compile(text, scope, boolean)
	if wrong == nil {
		return p, nil
	}
	all := append([]*problem{wrong}, others(text, scope)...)
	slices.SortStableFunc(all, func(a, b *problem) int { return a.at - b.at })
	all = slices.CompactFunc(all, func(a, b *problem) bool { return a.at == b.at })
	found := all[0].located(text)
	for _, other := range all[1:] {
		found.More = append(found.More, other.located(text))
	}
	return nil, found
}

func (p *problem) located(text string) *Error {
	line, column := position(text, p.at)
	return &Error{Line: line, Column: column, Message: p.message, Suggestion: p.suggestion}
}

// mostWrong is how many conditions of one text are told of.
const mostWrong = 20

// others looks at each of the conditions that logical operators join, and at both sides of one that is wrong, for itself: the checker
// stops at the first thing that it finds.
func others(text string, scope Scope) (list []*problem) {
	defer func() { _ = recover() }() // as in compile; what has been found stands
	whole, wrong := parse(text)
	if wrong != nil {
		return nil
	}
	judge := func(n ast.Node) *problem {
		if r := read(text, scope, n); r.wrong != nil {
			return r.wrong
		}
		return parsed{text: text, tree: &parser.Tree{Node: n, Source: whole.tree.Source}, config: whole.config}.check(false)
	}
	var look func(n ast.Node)
	look = func(n ast.Node) {
		if joined := operands(n); joined != nil || len(list) >= mostWrong {
			for _, operand := range joined {
				look(operand)
			}
			return
		}
		wrong := judge(n)
		if wrong == nil {
			return
		}
		before := len(list)
		if sides, ok := n.(*ast.BinaryNode); ok {
			for _, side := range []ast.Node{sides.Left, sides.Right} {
				if in := judge(side); in != nil {
					list = append(list, in)
				}
			}
		}
		if len(list) == before {
			list = append(list, wrong)
		}
	}
	look(whole.tree.Node)
	return list
}

// operands are what a logical operator joins; nil where n is none.
func operands(n ast.Node) []ast.Node {
	switch n := n.(type) {
	case *ast.BinaryNode:
		if n.Operator == "&&" || n.Operator == "||" || n.Operator == "and" || n.Operator == "or" {
			return []ast.Node{n.Left, n.Right}
		}
	case *ast.UnaryNode:
		if n.Operator == "!" || n.Operator == "not" {
			return []ast.Node{n.Node}
		}
	case *ast.ConditionalNode:
		return []ast.Node{n.Cond, n.Exp1, n.Exp2}
	}
	return nil
}

func compile(text string, scope Scope, boolean bool) (p *Program, wrong *problem) {
	defer func() { // the parser and the checker are not ours
		if r := recover(); r != nil {
			p, wrong = nil, &problem{message: fmt.Sprintf("cannot be understood: %v", r)}
		}
	}()
	parsed, wrong := parse(text)
	if wrong != nil {
		return nil, wrong
	}
	r := read(text, scope, parsed.tree.Node)
	if r.wrong != nil {
		return nil, r.wrong
	}
	if wrong = parsed.check(boolean); wrong != nil {
		return nil, wrong
	}
	p = &Program{text: text, lookups: r.lookups, properties: sorted(r.properties), all: r.all}
	c := compiler{program: p, calls: r.calls, constants: map[any]operand{}}
	if boolean {
		p.test = c.test(parsed.tree.Node)
	} else {
		p.gives = c.eval(parsed.tree.Node)
	}
	p.slots = c.slots
	return p, c.wrong
}

// Lookups are the questions about the user's history that p may ask, in order of the text, equal ones once; True
// passes these very pointers to Env.Look.
func (p *Program) Lookups() []*Lookup { return p.lookups }

// EventProperties are the names of the event's properties that p reads, sorted. all is true where it uses the event as
// a whole. What the predicate of a lookup reads is told by that predicate.
func (p *Program) EventProperties() (names []string, all bool) { return p.properties, p.all }

// True judges p. err says what failed at run time and where; then holds is false. What is not a boolean is false.
func (p *Program) True(env *Env) (holds bool, err error) {
	f := &env.frame
	if f.program != nil { // Look judges with the Env that it was asked for
		f = new(frame)
	}
	f.begin(p, env)
	defer f.end(&holds, &err)
	holds = p.test(f)
	return holds, f.err
}

// Value is what p, of CompileValue, gives: a scalar, or a list or object of the event's own. What JSON has no value for is
// nil. err says what failed at run time; then the value is nil.
func (p *Program) Value(env *Env) (v value.Value, err error) {
	holds := true
	f := &env.frame
	f.begin(p, env)
	defer func() {
		if !holds {
			v = value.Value{}
		}
	}()
	defer f.end(&holds, &err)
	v = p.gives(f).value()
	return v, f.err
}

// budget bounds one judgement: a step of a loop, an element of a list, 4 bytes of JSON parsed and 16 bytes of text made
// cost one each.
const budget = 1_000_000

// frame is the state of one judgement.
type frame struct {
	program  *Program
	env      *Env
	err      error // the first failure
	left     int   // of budget
	looking  bool  // inside Env.Look
	*scratch       // nil while it is not needed
}

// scratch is what only some expressions need.
type scratch struct {
	slots   []operand
	answers []Answer // by Lookup.index
	asked   []bool
	taken   []taken
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func (f *frame) begin(p *Program, env *Env) {
	f.program, f.env, f.left = p, env, budget
	if p.slots+len(p.lookups) == 0 {
		return
	}
	s := scratches.Get().(*scratch)
	s.slots = slices.Grow(s.slots, p.slots)[:p.slots]
	s.answers = slices.Grow(s.answers, len(p.lookups))[:len(p.lookups)]
	s.asked = slices.Grow(s.asked, len(p.lookups))[:len(p.lookups)]
	f.scratch = s
}

// end is deferred by True: it empties f, and makes of a panic the failure of the judgement. What panics in Look is the
// caller's own and goes on.
func (f *frame) end(holds *bool, err *error) {
	looking, failed := f.looking, f.err != nil
	f.program, f.env, f.err, f.looking = nil, nil, nil, false
	if s := f.scratch; s != nil {
		f.scratch = nil
		clear(s.slots)
		clear(s.answers)
		clear(s.asked)
		clear(s.taken)
		s.slots, s.answers, s.asked, s.taken = s.slots[:0], s.answers[:0], s.asked[:0], s.taken[:0]
		scratches.Put(s)
	}
	if failed {
		*holds = false
	}
	if looking {
		return
	}
	if r := recover(); r != nil {
		*holds, *err = false, fmt.Errorf("cannot be evaluated: %v", r)
	}
}

// fail notes a failure at a character of the text; the result is nil.
func (f *frame) fail(at int, format string, args ...any) operand {
	if f.err == nil {
		f.err = fmt.Errorf("%s"+format, append([]any{place(position(f.program.text, at))}, args...)...)
	}
	return operand{}
}

// spend takes n off the budget; it is false once something has failed.
func (f *frame) spend(n int) bool {
	if f.left -= n; f.left < 0 || n < 0 {
		f.left = 0
		f.fail(0, "too much work: more than %d steps", budget)
	}
	return f.err == nil
}

// position is the line and column, both from 1, of a character of text.
func position(text string, at int) (line, column int) {
	line, column = 1, 1
	for _, r := range text {
		if at == 0 {
			break
		}
		at--
		if column++; r == '\n' {
			line, column = line+1, 1
		}
	}
	return line, column
}

func place(line, column int) string {
	return strconv.Itoa(line) + ":" + strconv.Itoa(column) + ": "
}
