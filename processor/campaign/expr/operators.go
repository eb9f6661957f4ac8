package expr

import (
	"regexp"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/tripline/tripline/processor/campaign/value"
)

// test compiles a piece of which only true matters: what is not a boolean is false.
func (c *compiler) test(n ast.Node) test {
	switch n := n.(type) {
	case *ast.UnaryNode:
		if n.Operator == "!" || n.Operator == "not" {
			inner := c.test(n.Node)
			return func(f *frame) bool { return !inner(f) }
		}
	case *ast.BinaryNode:
		if t := c.operatorTest(n); t != nil {
			return t
		}
	}
	e := c.eval(n)
	return func(f *frame) bool { return e(f).isTrue() }
}

// operatorTest is nil for the operators whose result is not a boolean.
func (c *compiler) operatorTest(n *ast.BinaryNode) test {
	switch n.Operator {
	case "&&", "and":
		left, right := c.test(n.Left), c.test(n.Right)
		return func(f *frame) bool { return left(f) && right(f) }
	case "||", "or":
		left, right := c.test(n.Left), c.test(n.Right)
		return func(f *frame) bool { return left(f) || right(f) }
	case "==", "!=", "<", "<=", ">", ">=":
		return c.comparison(n)
	case "in":
		return c.inTest(n)
	case "contains", "startsWith", "endsWith":
		left, right, holds := c.eval(n.Left), c.eval(n.Right), onStrings[n.Operator]
		return func(f *frame) bool {
			a, b := left(f), right(f)
			return a.kind == kindString && b.kind == kindString && holds(a.text, b.text)
		}
	case "matches":
		return c.matchTest(n)
	}
	return nil
}

func (c *compiler) unary(n *ast.UnaryNode) eval {
	switch n.Operator {
	case "-":
		at, inner := n.Location().From, c.eval(n.Node)
		return c.folded(n, func(f *frame) operand { return f.negate(at, inner(f)) }, n.Node)
	case "+":
		inner := c.eval(n.Node)
		return c.folded(n, inner, n.Node)
	}
	t := c.test(n)
	return func(f *frame) operand { return ofBool(t(f)) }
}

func (c *compiler) binary(n *ast.BinaryNode) eval {
	if t := c.operatorTest(n); t != nil {
		return func(f *frame) operand { return ofBool(t(f)) }
	}
	at, operator := n.Location().From, n.Operator
	left, right := c.eval(n.Left), c.eval(n.Right)
	switch operator {
	case "??":
		return func(f *frame) operand {
			if o := left(f); !o.isNil() {
				return o
			}
			return right(f)
		}
	case "..":
		return func(f *frame) operand { return f.span(at, left(f), right(f)) }
	}
	sign := operator[0]
	if operator == "**" {
		sign = '^'
	}
	return c.folded(n, func(f *frame) operand { return f.calculate(at, sign, left(f), right(f)) }, n.Left, n.Right)
}

// mirrored is the operator that says the same with its sides exchanged.
var mirrored = map[string]string{"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

func (c *compiler) comparison(n *ast.BinaryNode) test {
	left, right, operator := c.eval(n.Left), c.eval(n.Right), n.Operator
	if t := c.simple(n.Left, operator, n.Right); t != nil {
		return t
	}
	if t := c.simple(n.Right, mirrored[operator], n.Left); t != nil {
		return t
	}
	switch operator {
	case "==":
		return func(f *frame) bool { return f.equal(left(f), right(f)) }
	case "!=":
		return func(f *frame) bool { return !f.equal(left(f), right(f)) }
	}
	fits := fitting(operator)
	return func(f *frame) bool {
		o, ok := order(left(f), right(f))
		return ok && fits[o+1]
	}
}

// simple compares a property with a constant without an operand in between. Nil: it is not that simple.
func (c *compiler) simple(n ast.Node, operator string, with ast.Node) test {
	s, ok := c.source(n)
	o, constant := c.constants[with]
	if !ok || !constant {
		return nil
	}
	var equals test
	switch {
	case o.isSafe():
		if operator != "==" && operator != "!=" {
			return numberOrder(s, operator, o.float())
		}
		number := o.float()
		equals = func(f *frame) bool { x, ok := s.get(f).Float(); return ok && x == number }
	case o.kind == kindString:
		if operator != "==" && operator != "!=" {
			return stringOrder(s, operator, o.text)
		}
		text := o.text
		equals = func(f *frame) bool { v := s.get(f); return v.Kind() == value.String && v.Text() == text }
	case o.kind == kindBool && (operator == "==" || operator == "!="):
		yes := o.isTrue()
		equals = func(f *frame) bool { b, ok := s.get(f).Bool(); return ok && b == yes }
	case o.kind == kindNil && (operator == "==" || operator == "!="):
		equals = func(f *frame) bool { return s.get(f).IsNil() }
	default:
		return nil
	}
	if operator == "!=" {
		return func(f *frame) bool { return !equals(f) }
	}
	return equals
}

func numberOrder(s source, operator string, number float64) test {
	switch operator {
	case "<":
		return func(f *frame) bool { x, ok := s.get(f).Float(); return ok && x < number }
	case "<=":
		return func(f *frame) bool { x, ok := s.get(f).Float(); return ok && x <= number }
	case ">":
		return func(f *frame) bool { x, ok := s.get(f).Float(); return ok && x > number }
	}
	return func(f *frame) bool { x, ok := s.get(f).Float(); return ok && x >= number }
}

func stringOrder(s source, operator, text string) test {
	fits := fitting(operator)
	return func(f *frame) bool {
		v := s.get(f)
		return v.Kind() == value.String && fits[strings.Compare(v.Text(), text)+1]
	}
}

func (c *compiler) inTest(n *ast.BinaryNode) test {
	left := c.eval(n.Left)
	if span, ok := n.Right.(*ast.BinaryNode); ok && span.Operator == ".." {
		from, to, at := c.eval(span.Left), c.eval(span.Right), span.Location().From
		return func(f *frame) bool { return f.inSpan(at, left(f), from(f), to(f)) }
	}
	right := c.eval(n.Right)
	if collection, ok := c.constants[n.Right]; ok && collection.kind == kindList {
		return inConstant(left, collection)
	}
	return func(f *frame) bool {
		o := left(f)
		return f.in(o, right(f))
	}
}

// inConstant looks strings and numbers up in sets, so that a long list costs no more than a short one.
func inConstant(left eval, list operand) test {
	strings, numbers, others := map[string]bool{}, map[float64]bool{}, []operand(nil)
	for _, o := range list.ref.([]operand) {
		switch {
		case o.kind == kindString:
			strings[o.text] = true
		case o.isSafe():
			numbers[o.float()] = true
		default:
			others = append(others, o)
		}
	}
	rest := ofList(others)
	return func(f *frame) bool {
		o := left(f)
		switch {
		case o.kind == kindString:
			return strings[o.text]
		case o.isSafe():
			return numbers[o.float()]
		}
		return f.in(o, rest)
	}
}

// inSpan is `o in from..to` without the list.
func (f *frame) inSpan(at int, o, from, to operand) bool {
	if from.unknown() || to.unknown() {
		return false
	}
	low, ok := from.whole()
	high, alsoOK := to.whole()
	if !ok || !alsoOK {
		f.fail(at, ".. is not defined on %s and %s", from.kind, to.kind)
		return false
	}
	if o.kind == kindFloat {
		o = ofNumber(o.float())
	}
	return o.kind == kindInt && int64(low) <= o.bits && o.bits <= int64(high)
}

func (c *compiler) matchTest(n *ast.BinaryNode) test {
	at, left, right := n.Location().From, c.eval(n.Left), c.eval(n.Right)
	if o, ok := c.constants[n.Right]; ok && o.kind == kindString {
		pattern, err := regexp.Compile(o.text)
		if err != nil {
			c.problem(n.Right, "the pattern is wrong: "+strings.TrimPrefix(err.Error(), "error parsing regexp: "), "")
			return nil
		}
		return func(f *frame) bool {
			o := left(f)
			return o.kind == kindString && pattern.MatchString(o.text)
		}
	}
	return func(f *frame) bool {
		a, b := left(f), right(f)
		if a.kind != kindString || b.kind != kindString {
			return false
		}
		pattern := f.pattern(at, b.text)
		return pattern != nil && pattern.MatchString(a.text)
	}
}
