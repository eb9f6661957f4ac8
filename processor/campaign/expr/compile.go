package expr

import (
	"reflect"
	"regexp"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/tripline/tripline/processor/campaign/value"
)

// compiler turns a checked tree into closures.
type compiler struct {
	program   *Program
	calls     map[*ast.CallNode]*Lookup
	constants map[any]operand // by node: what does not hang on the environment
	lets      []let
	loops     []loop // around the node, the innermost last
	slots     int
	wrong     *problem // the first
}

// let is a variable and the slot that holds it.
type let struct {
	name string
	slot int
}

func (c *compiler) problem(n ast.Node, message, suggestion string) {
	if c.wrong == nil {
		c.wrong = &problem{at: n.Location().From, message: message, suggestion: suggestion}
	}
}

func (c *compiler) slot() int {
	c.slots++
	return c.slots - 1
}

// constant is a piece that always gives o.
func (c *compiler) constant(n ast.Node, o operand) eval {
	c.constants[n] = o
	return func(*frame) operand { return o }
}

// folded evaluates e now if all the nodes it hangs on are constant. What fails then fails at load.
func (c *compiler) folded(n ast.Node, e eval, on ...ast.Node) eval {
	for _, operandNode := range on {
		if _, ok := c.constants[operandNode]; !ok {
			return e
		}
	}
	f := frame{program: c.program, left: budget}
	o := e(&f)
	if f.left < budget*9/10 { // too large to keep
		return e
	}
	if f.err != nil {
		_, message, _ := strings.Cut(f.err.Error(), ": ")
		c.problem(n, "always fails: "+message, "")
	}
	return c.constant(n, o)
}

// eval compiles a piece that gives any value.
func (c *compiler) eval(n ast.Node) eval {
	switch n := n.(type) {
	case *ast.NilNode:
		return c.constant(n, operand{})
	case *ast.BoolNode:
		return c.constant(n, ofBool(n.Value))
	case *ast.IntegerNode:
		return c.constant(n, ofInt(int64(n.Value)))
	case *ast.FloatNode:
		return c.constant(n, ofFloat(n.Value))
	case *ast.StringNode:
		return c.constant(n, ofString(n.Value))
	case *ast.IdentifierNode:
		return c.identifier(n)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ChainNode:
		return c.eval(n.Node)
	case *ast.MemberNode:
		return c.member(n)
	case *ast.SliceNode:
		return c.slice(n)
	case *ast.CallNode:
		return c.call(n)
	case *ast.BuiltinNode:
		return c.builtin(n)
	case *ast.PointerNode:
		return c.pointer(n)
	case *ast.ConditionalNode:
		condition, yes, no := c.test(n.Cond), c.eval(n.Exp1), c.eval(n.Exp2)
		return func(f *frame) operand {
			if condition(f) {
				return yes(f)
			}
			return no(f)
		}
	case *ast.VariableDeclaratorNode:
		return c.variable(n)
	case *ast.SequenceNode:
		all := c.evals(n.Nodes)
		return func(f *frame) (last operand) {
			for _, e := range all {
				last = e(f)
			}
			return last
		}
	case *ast.ArrayNode:
		return c.list(n)
	case *ast.MapNode:
		return c.dictionary(n)
	}
	c.problem(n, "this part of expr-lang is not available", "")
	return func(*frame) operand { return operand{} }
}

func (c *compiler) evals(nodes []ast.Node) []eval {
	all := make([]eval, len(nodes))
	for i, n := range nodes {
		all[i] = c.eval(n)
	}
	return all
}

func (c *compiler) identifier(n *ast.IdentifierNode) eval {
	for i := len(c.lets) - 1; i >= 0; i-- {
		if c.lets[i].name == n.Value {
			slot := c.lets[i].slot
			return func(f *frame) operand { return f.slots[slot] }
		}
	}
	switch n.Value {
	case "event":
		return func(f *frame) operand {
			if !f.env.HasEvent {
				return operand{}
			}
			return operand{kind: kindObject, ref: &object{properties: f.env.Event}}
		}
	case "profile":
		return func(f *frame) operand { return operand{kind: kindObject, ref: &object{properties: f.env.Profile}} }
	}
	return func(f *frame) operand { return ofString(f.env.User) } // read has seen to it that there is no other name
}

func (c *compiler) variable(n *ast.VariableDeclaratorNode) eval {
	v, slot := c.eval(n.Value), c.slot()
	c.lets = append(c.lets, let{n.Name, slot})
	body := c.eval(n.Expr)
	c.lets = c.lets[:len(c.lets)-1]
	return func(f *frame) operand {
		f.slots[slot] = v(f)
		return body(f)
	}
}

// source is a property of the event or the profile, read without a detour.
type source struct {
	profile bool
	name    string
}

func (s source) get(f *frame) value.Value {
	switch {
	case s.profile:
		return f.env.Profile.Get(s.name)
	case f.env.HasEvent:
		return f.env.Event.Get(s.name)
	}
	return value.Value{}
}

func (c *compiler) source(n ast.Node) (s source, ok bool) {
	m, ok := unchained(n).(*ast.MemberNode)
	if !ok {
		return s, false
	}
	base, ok := unchained(m.Node).(*ast.IdentifierNode)
	if !ok {
		return s, false
	}
	name, ok := m.Property.(*ast.StringNode)
	if !ok || base.Value != "event" && base.Value != "profile" {
		return s, false
	}
	return source{profile: base.Value == "profile", name: name.Value}, true
}

// unchained takes the marks of optional chaining off: members of nil are nil anyway.
func unchained(n ast.Node) ast.Node {
	for {
		chain, ok := n.(*ast.ChainNode)
		if !ok {
			return n
		}
		n = chain.Node
	}
}

func (c *compiler) member(n *ast.MemberNode) eval {
	if s, ok := c.source(n); ok {
		return func(f *frame) operand { return ofValue(s.get(f)) }
	}
	at := n.Location().From
	name, named := n.Property.(*ast.StringNode)
	if n.Nature().Kind == reflect.Func && named {
		c.problem(n, name.Value+" is a method", name.Value+"()")
	}
	if call, ok := unchained(n.Node).(*ast.CallNode); ok && named && c.calls[call] != nil {
		return edgeMember(c.calls[call], name.Value)
	}
	base, property := c.eval(n.Node), c.eval(n.Property)
	return c.folded(n, func(f *frame) operand { return f.member(at, base(f), property(f)) }, n.Node, n.Property)
}

func (c *compiler) slice(n *ast.SliceNode) eval {
	at, base := n.Location().From, c.eval(n.Node)
	var ends [2]eval
	var given [2]bool
	for i, end := range []ast.Node{n.From, n.To} {
		if given[i] = end != nil; given[i] {
			ends[i] = c.eval(end)
		}
	}
	return func(f *frame) operand {
		var cuts [2]operand
		o := base(f)
		for i := range ends {
			if given[i] {
				cuts[i] = ends[i](f)
			}
		}
		return f.slice(at, o, cuts, given)
	}
}

func (c *compiler) list(n *ast.ArrayNode) eval {
	elements := c.evals(n.Nodes)
	return c.folded(n, func(f *frame) operand {
		if !f.spend(len(elements)) {
			return operand{}
		}
		all := make([]operand, len(elements))
		for i := range elements {
			all[i] = elements[i](f)
		}
		return ofList(all)
	}, n.Nodes...)
}

func (c *compiler) dictionary(n *ast.MapNode) eval {
	at := n.Location().From
	keys, values := make([]eval, len(n.Pairs)), make([]eval, len(n.Pairs))
	for i := range n.Pairs {
		pair := n.Pairs[i].(*ast.PairNode)
		keys[i], values[i] = c.eval(pair.Key), c.eval(pair.Value)
	}
	return func(f *frame) operand {
		if !f.spend(len(keys)) {
			return operand{}
		}
		d := new(dictionary)
		for i := range keys {
			key := keys[i](f)
			if key.kind != kindString {
				return f.fail(at, "%s cannot be the name of a member", key.kind)
			}
			d.set(key.text, key, values[i](f))
		}
		return operand{kind: kindMap, ref: d}
	}
}

// call compiles the calls of history functions, of now and duration, and of methods.
func (c *compiler) call(n *ast.CallNode) eval {
	at := n.Location().From
	if l := c.calls[n]; l != nil {
		return lookupEval(l)
	}
	args := c.evals(n.Arguments)
	if callee, ok := n.Callee.(*ast.MemberNode); ok {
		base, name := c.eval(callee.Node), callee.Property.(*ast.StringNode).Value
		return func(f *frame) operand {
			o := base(f)
			return f.invoke(at, o, name, all(f, args))
		}
	}
	return c.ours(n, n.Callee.(*ast.IdentifierNode).Value, args, n.Arguments)
}

func (c *compiler) ours(n ast.Node, name string, args []eval, on []ast.Node) eval {
	at, fn := n.Location().From, ours[name]
	e := func(f *frame) operand { return f.call(at, name, fn, all(f, args)) }
	if name == "now" {
		return e
	}
	return c.folded(n, e, on...)
}

func (c *compiler) builtin(n *ast.BuiltinNode) eval {
	if run := loops[n.Name]; run != nil {
		return c.loop(n, run)
	}
	args := c.evals(n.Arguments)
	if ours[n.Name] != nil {
		return c.ours(n, n.Name, args, n.Arguments)
	}
	at, fn := n.Location().From, table(n.Name)
	return c.folded(n, func(f *frame) operand { return f.callTable(at, fn, all(f, args)) }, n.Arguments...)
}

func all(f *frame, args []eval) []operand {
	values := make([]operand, len(args))
	for i := range args {
		values[i] = args[i](f)
	}
	return values
}

// pattern compiles a regular expression. One that the event brings is bounded, since it costs as much as it is long.
func (f *frame) pattern(at int, text string) *regexp.Regexp {
	const longest = 1000
	if len(text) > longest {
		f.fail(at, "matches: a pattern of more than %d bytes", longest)
		return nil
	}
	pattern, err := regexp.Compile(text)
	if err != nil {
		f.fail(at, "matches: %v", err)
		return nil
	}
	return pattern
}

// lookupEval asks the history.
func lookupEval(l *Lookup) eval {
	switch l.Function {
	case Count, Sum:
		return func(f *frame) operand { return ofNumber(f.look(l).Number) }
	case First, Last:
		return func(f *frame) operand {
			a := f.look(l)
			if !a.OK {
				return operand{}
			}
			return operand{kind: kindObject, ref: &object{properties: a.Event, timed: true, time: a.Time}}
		}
	}
	return func(f *frame) operand {
		a := f.look(l)
		switch {
		case !a.OK:
			return operand{}
		case l.Function == Since:
			return ofMillisSpan(a.Number)
		}
		return ofNumber(a.Number)
	}
}

// edgeMember is one member of first() or last().
func edgeMember(l *Lookup, name string) eval {
	return func(f *frame) operand {
		a := f.look(l)
		switch {
		case !a.OK:
			return operand{}
		case name == "time":
			return ofMillis(a.Time)
		}
		return ofValue(a.Event.Get(name))
	}
}

// look asks each question once.
func (f *frame) look(l *Lookup) *Answer {
	if !f.asked[l.index] {
		f.asked[l.index] = true
		if f.env.Look != nil {
			f.looking = true
			f.answers[l.index] = f.env.Look(l)
			f.looking = false
		}
	}
	return &f.answers[l.index]
}
