package expr

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"

	"github.com/tripline/tripline/processor/campaign/calendar"
)

// reading is what a walk over the tree finds before its types are checked: names that do not exist or that the scope
// does not see, what the event is asked for, and the questions about the history.
type reading struct {
	text  string
	scope Scope
	lets  []string
	done  map[ast.Node]bool
	wrong *problem // the first

	properties map[string]bool
	all        bool
	calls      map[*ast.CallNode]*Lookup
	lookups    []*Lookup
	same       map[string]*Lookup // by what they ask
	members    map[*Lookup]map[string]bool
}

func read(text string, scope Scope, n ast.Node) *reading {
	r := &reading{text: text, scope: scope, done: map[ast.Node]bool{}, properties: map[string]bool{}, calls: map[*ast.CallNode]*Lookup{},
		same: map[string]*Lookup{}, members: map[*Lookup]map[string]bool{}}
	r.node(n)
	for l, names := range r.members {
		l.Members = sorted(names)
	}
	return r
}

func (r *reading) problem(n ast.Node, message, suggestion string) {
	if r.wrong == nil {
		r.wrong = &problem{at: n.Location().From, message: message, suggestion: suggestion}
	}
}

func (r *reading) node(n ast.Node) {
	if r.done[n] { // the middle of a < b < c
		return
	}
	r.done[n] = true
	switch n := n.(type) {
	case *ast.IdentifierNode:
		r.identifier(n)
		return
	case *ast.CallNode:
		r.call(n)
		return
	case *ast.BytesNode:
		r.problem(n, "properties are never bytes: expected a string", "")
	case *ast.MemberNode:
		if name, ok := n.Property.(*ast.StringNode); ok && r.part(n.Node, name.Value) {
			return
		}
	case *ast.BuiltinNode:
		if n.Name == "get" && len(n.Arguments) == 2 {
			if name, ok := n.Arguments[1].(*ast.StringNode); ok && r.part(n.Arguments[0], name.Value) {
				return
			}
		}
	case *ast.BinaryNode:
		if r.question(n) {
			return
		}
	case *ast.VariableDeclaratorNode:
		r.node(n.Value)
		r.lets = append(r.lets, n.Name)
		r.node(n.Expr)
		r.lets = r.lets[:len(r.lets)-1]
		return
	}
	for _, child := range children(n) {
		r.node(child)
	}
}

// question reads what asks for less than the whole of an event: "name" in event, and event == nil. Patterns are tried.
func (r *reading) question(n *ast.BinaryNode) bool {
	switch n.Operator {
	case "in":
		name, ok := n.Left.(*ast.StringNode)
		return ok && r.part(n.Right, name.Value)
	case "matches":
		if pattern, ok := n.Right.(*ast.StringNode); ok {
			if _, err := regexp.Compile(pattern.Value); err != nil {
				r.problem(pattern, "the pattern is wrong: "+strings.TrimPrefix(err.Error(), "error parsing regexp: "), "")
			}
		}
	case "==", "!=":
		for _, sides := range [][2]ast.Node{{n.Left, n.Right}, {n.Right, n.Left}} {
			if _, ok := sides[0].(*ast.NilNode); ok && r.part(sides[1], "") {
				return true
			}
		}
	}
	return false
}

// part reads one member of n, or with an empty name only whether n is there, if n is the event or an event of the
// history; otherwise it does nothing.
func (r *reading) part(n ast.Node, name string) bool {
	switch n := unchained(n).(type) {
	case *ast.IdentifierNode:
		if n.Value != "event" {
			return false
		}
		if name != "" {
			r.properties[name] = true
		}
		return true
	case *ast.CallNode:
		l := r.history(n)
		if l == nil || l.Function != First && l.Function != Last {
			return false
		}
		if name != "" && name != "time" {
			r.members[l][name] = true
		}
		return true
	}
	return false
}

func (r *reading) identifier(n *ast.IdentifierNode) {
	switch {
	case slices.Contains(r.lets, n.Value), n.Value == "user_id":
	case n.Value == "event":
		r.all = true
	case n.Value == "profile" && r.scope == Audience:
	case n.Value == "profile":
		r.problem(n, "where sees only the event: what asks for the profile belongs in audience", "")
	case slices.Contains(r.functions(), n.Value):
		r.problem(n, n.Value+" is a function", n.Value+"()")
	default:
		r.problem(n, fmt.Sprintf("there is no %q", n.Value), r.nameFor(n.Value))
	}
}

// nameFor is the name that was probably meant where name does not exist.
func (r *reading) nameFor(name string) string {
	if meant, ok := elsewhere[strings.ToLower(name)]; ok {
		return meant
	}
	known := append([]string{"event", "profile", "user_id", "true", "false", "nil"}, r.lets...)
	if meant := Nearest(name, known); meant != "" {
		return meant
	}
	if strings.HasPrefix(name, "$") {
		return ""
	}
	return "event." + name
}

// functions are the names of all functions.
func (r *reading) functions() []string {
	return slices.Concat(builtin.Names, []string{"avg", "since"})
}

// functionFor is the function that was probably meant where name does not exist.
func (r *reading) functionFor(name string) string {
	meant := Nearest(name, slices.Concat(r.functions(), sorted(functionsElsewhere)))
	if here, ok := functionsElsewhere[meant]; ok {
		return here
	}
	return meant
}

func (r *reading) call(n *ast.CallNode) {
	switch callee := n.Callee.(type) {
	case *ast.MemberNode:
		r.node(callee.Node)
		name, ok := callee.Property.(*ast.StringNode)
		if !ok || !isMethod(name.Value) {
			r.problem(callee, fmt.Sprintf("there is no method %q", name.Value), Nearest(name.Value, allMethods()))
		}
	case *ast.IdentifierNode:
		if l := r.history(n); l != nil {
			l.All = l.All || l.Function == First || l.Function == Last
			return
		}
		if name := callee.Value; name != "now" && name != "duration" || slices.Contains(r.lets, name) {
			r.problem(callee, fmt.Sprintf("there is no function %q", name), r.functionFor(name))
		}
	default:
		r.problem(n, "this cannot be called", "")
	}
	for _, arg := range n.Arguments {
		r.node(arg)
	}
}

// functions are the history functions and how each is called.
var functions = map[string]struct {
	function Function
	usage    string
}{
	"count": {Count, `count("Charged", "90d") or count("Charged", "90d", 'event.amount > 50')`},
	"sum":   {Sum, `sum("Charged", "amount", "90d")`},
	"avg":   {Avg, `avg("Charged", "amount", "90d")`},
	"min":   {Min, `min("Charged", "amount", "90d")`},
	"max":   {Max, `max("Charged", "amount", "90d")`},
	"first": {First, `first("Charged")`},
	"last":  {Last, `last("Charged")`},
	"since": {Since, `since("Charged")`},
}

// history is the lookup of a call of a history function, nil if it is none or wrong. Equal calls have one lookup.
func (r *reading) history(n *ast.CallNode) *Lookup {
	if l := r.calls[n]; l != nil {
		return l
	}
	callee, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		return nil
	}
	called, ok := functions[callee.Value]
	if !ok || r.wrong != nil || slices.Contains(r.lets, callee.Value) {
		return nil
	}
	own := "" // expr-lang's function of that name, if it was meant
	if len(n.Arguments) > 0 && slices.Contains(builtin.Names, callee.Value) {
		if _, literal := n.Arguments[0].(*ast.StringNode); !literal {
			own = "::" + callee.Value
		}
	}
	if r.scope == Where {
		r.problem(callee, fmt.Sprintf("where sees only the event: %s() asks for the user's history and belongs in audience", callee.Value), own)
		return nil
	}
	l := &Lookup{Function: called.function, index: len(r.lookups)}
	predicate, ok := r.arguments(l, n, called.usage, own)
	if !ok {
		return nil
	}
	asks := fmt.Sprintf("%d %q %q %d %q", l.Function, l.Event, l.Property, l.Window, predicate)
	if known := r.same[asks]; known != nil {
		l = known
	} else {
		r.same[asks], r.members[l] = l, map[string]bool{}
		r.lookups = append(r.lookups, l)
	}
	r.calls[n] = l
	n.SetNature(natures[l.Function].Nature())
	return l
}

// arguments reads the literals of a call into l; predicate is the text of its condition. own is suggested where the
// call has another shape.
func (r *reading) arguments(l *Lookup, n *ast.CallNode, usage, own string) (predicate string, ok bool) {
	parts := []string{"event"}
	switch l.Function {
	case Count:
		parts = append(parts, "window", "condition")
	case Sum, Avg, Min, Max:
		parts = append(parts, "property", "window")
	}
	required := len(parts)
	if l.Function == Count {
		required--
	}
	if len(n.Arguments) < required || len(n.Arguments) > len(parts) {
		r.problem(n, fmt.Sprintf("expected %d arguments, as in %s", required, usage), own)
		return "", false
	}
	for i, arg := range n.Arguments {
		literal, isLiteral := arg.(*ast.StringNode)
		switch {
		case !isLiteral:
			r.problem(arg, fmt.Sprintf("the %s must be written out in quotes, as in %s", parts[i], usage), own)
			return "", false
		case literal.Value == "":
			r.problem(arg, "the "+parts[i]+" is empty", "")
			return "", false
		}
		switch parts[i] {
		case "event":
			l.Event = literal.Value
		case "property":
			l.Property = literal.Value
		case "window":
			r.window(l, literal)
		case "condition":
			predicate = literal.Value
			r.predicate(l, literal)
		}
	}
	return predicate, r.wrong == nil
}

func (r *reading) window(l *Lookup, n *ast.StringNode) {
	ms, err := calendar.ParseDuration(n.Value)
	switch {
	case err != nil:
		r.problem(n, "the window: "+err.Error(), "")
	case ms <= 0:
		r.problem(n, "the window must be longer than nothing", "")
	}
	l.Window = ms
}

// predicate compiles a condition in the language of where, with its errors where they stand in the outer text.
func (r *reading) predicate(l *Lookup, n *ast.StringNode) {
	p, wrong := compile(n.Value, Where, true)
	if wrong != nil && r.wrong == nil {
		inner := *wrong
		inner.at = n.Location().From + written([]rune(r.text)[n.Location().From:n.Location().To], wrong.at)
		r.wrong = &inner
	}
	l.Predicate = p
}

// written is where character i of a string stands in its literal, quotes and escapes counted.
func written(literal []rune, i int) int {
	at := 1
	for ; i > 0 && at < len(literal)-1; i-- {
		switch {
		case literal[0] == '`' && literal[at] == '`':
			at += 2
		case literal[0] == '`' || literal[at] != '\\':
			at++
		default:
			at += escape(literal[at+1:])
		}
	}
	return min(at, len(literal)-1)
}

// escape is the length of an escape sequence with its backslash; rest is what follows the backslash.
func escape(rest []rune) int {
	switch {
	case rest[0] == 'x':
		return 4
	case rest[0] == 'u' && rest[1] == '{':
		return 2 + slices.Index(rest, '}')
	case rest[0] == 'u':
		return 6
	case rest[0] == 'U':
		return 10
	case '0' <= rest[0] && rest[0] <= '3':
		return 4
	}
	return 2
}

// sorted are the keys of a set.
func sorted[V any](set map[string]V) []string { return slices.Sorted(maps.Keys(set)) }
