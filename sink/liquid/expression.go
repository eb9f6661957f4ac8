package liquid

import (
	"fmt"
	"strings"

	"github.com/tripline/tripline/processor/campaign/value"
)

// expression is what has a value.
type expression interface {
	eval(r *renderer) (Value, error)
}

type literal struct{ v Value }

func (l literal) eval(*renderer) (Value, error) { return l.v, nil }

// path is a name and the members behind it.
type path struct {
	name  string
	steps []expression
	text  string // as written
	at    int
}

func (p *path) eval(r *renderer) (Value, error) {
	v := r.lookup(p.name)
	for _, step := range p.steps {
		key, err := step.eval(r)
		if err != nil {
			return nil, err
		}
		if v, err = r.member(v, key, p.at); err != nil {
			return nil, err
		}
	}
	if v == nil && r.missing == "" {
		r.missing = p.text
	}
	return v, nil
}

// spanExpression is (from..to).
type spanExpression struct{ from, to expression }

func (s spanExpression) eval(r *renderer) (Value, error) {
	from, err := s.from.eval(r)
	if err != nil {
		return nil, err
	}
	to, err := s.to.eval(r)
	if err != nil {
		return nil, err
	}
	return span{wholeOf(from), wholeOf(to)}, nil
}

// pipeline is an expression and its filters.
type pipeline struct {
	base    expression
	filters []application
	lenient bool // has `default`
}

// application is one use of a filter.
type application struct {
	filter *filter
	args   []expression
	names  []string // of the named arguments, which are the last of args
	at     int
}

func (p *pipeline) eval(r *renderer) (Value, error) {
	v, err := p.base.eval(r)
	if err != nil {
		return nil, err
	}
	for i := range p.filters {
		if v, err = r.apply(&p.filters[i], v); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// condition is what if, elsif and unless ask.
type condition interface {
	holds(r *renderer) (bool, error)
}

type truth struct{ of expression }

func (t truth) holds(r *renderer) (bool, error) {
	v, err := t.of.eval(r)
	return truthy(v), err
}

type logic struct {
	and         bool
	left, right condition
}

func (l logic) holds(r *renderer) (bool, error) {
	left, err := l.left.holds(r)
	if err != nil || left != l.and {
		return left, err
	}
	return l.right.holds(r)
}

type comparison struct {
	sign        string
	left, right expression
	at          int
}

func (c comparison) holds(r *renderer) (bool, error) {
	a, err := c.left.eval(r)
	if err != nil {
		return false, err
	}
	b, err := c.right.eval(r)
	if err != nil {
		return false, err
	}
	if err := r.charge(cost(a)+cost(b), c.at); err != nil {
		return false, err
	}
	switch c.sign {
	case "==":
		return equal(a, b), nil
	case "!=", "<>":
		return !equal(a, b), nil
	case "contains":
		return contains(a, b), nil
	}
	order, ok := compare(a, b)
	switch c.sign {
	case "<":
		return ok && order < 0, nil
	case ">":
		return ok && order > 0, nil
	case "<=":
		return ok && order <= 0, nil
	}
	return ok && order >= 0, nil
}

// words is an expression while it is read. The first error stays.
type words struct {
	p   *parser
	all []word
	i   int
	err *Error

	nesting int
}

func (w *words) peek() word { return w.all[min(w.i, len(w.all)-1)] }

func (w *words) take() word {
	word := w.peek()
	w.i++
	return word
}

// accept takes the next word if it is that sign or name.
func (w *words) accept(text string) bool {
	if w.peek().is(text) {
		w.i++
		return true
	}
	return false
}

func (w *words) fail(at int, format string, a ...any) {
	if w.err == nil {
		w.err = w.p.lexer.fault(at, fmt.Sprintf(format, a...))
	}
}

func (w *words) expect(text string) {
	if got := w.peek(); !w.accept(text) {
		w.fail(got.at, "expected %s, found %s", text, got)
	}
}

// end says that nothing may follow.
func (w *words) end() {
	if rest := w.peek(); rest.kind != endWord {
		w.fail(rest.at, "unexpected %s", rest)
	}
}

var constants = map[string]Value{"true": true, "false": false, "nil": nil, "null": nil, "empty": emptyLiteral{}, "blank": blankLiteral{}}

// operand reads a literal, a range or a path.
func (w *words) operand() expression {
	w.depth(1)
	defer w.depth(-1)
	first := w.take()
	switch {
	case w.err != nil:
		return literal{}
	case first.kind == stringWord:
		return literal{first.text}
	case first.kind == numberWord:
		return literal{numberOf(first.text)}
	case first.is("("):
		from := w.operand()
		w.expect("..")
		to := w.operand()
		w.expect(")")
		return spanExpression{from, to}
	case first.kind == nameWord:
		next := w.peek()
		if v, ok := constants[first.text]; ok && !next.is(".") && !next.is("[") {
			return literal{v}
		}
		return w.path(first)
	}
	w.fail(first.at, "expected a value, found %s", first)
	return literal{}
}

func (w *words) path(first word) expression {
	p := &path{name: first.text, at: first.at}
	end := first.at + len(first.text)
	for w.err == nil {
		switch {
		case w.accept("."):
			member := w.take()
			if member.kind != nameWord {
				w.fail(member.at, "expected a name behind the dot, found %s", member)
			}
			p.steps = append(p.steps, literal{member.text})
			end = member.at + len(member.text)
		case w.accept("["):
			p.steps = append(p.steps, w.operand())
			end = w.peek().at + 1
			w.expect("]")
		default:
			p.text = strings.TrimSpace(w.p.lexer.source[first.at:end])
			w.p.refer(p)
			return p
		}
	}
	return p
}

// pipeline reads an expression with its filters.
func (w *words) pipeline() *pipeline {
	p := &pipeline{base: w.operand()}
	for w.err == nil && w.accept("|") {
		name := w.take()
		if name.kind != nameWord {
			w.fail(name.at, "expected the name of a filter, found %s", name)
			return p
		}
		f, ok := filters[name.text]
		if !ok {
			w.fail(name.at, "unknown filter %s", name.text)
			w.err.Suggestion = nearest(name.text, filterNames)
			return p
		}
		p.lenient = p.lenient || name.text == "default"
		p.filters = append(p.filters, w.arguments(name, f))
	}
	return p
}

func (w *words) arguments(name word, f *filter) application {
	a := application{filter: f, at: name.at}
	if w.accept(":") {
		for {
			if first := w.peek(); first.kind == nameWord && w.all[min(w.i+1, len(w.all)-1)].is(":") {
				w.i += 2
				if f.named != first.text {
					w.fail(first.at, "the filter %s has no argument named %s", name.text, first.text)
				}
				a.names = append(a.names, first.text)
			} else if len(a.names) > 0 {
				w.fail(first.at, "named arguments come last")
			}
			arg := w.operand()
			if l, ok := arg.(literal); ok {
				if text, ok := l.v.(string); ok {
					w.p.texts = append(w.p.texts, text)
				}
			}
			a.args = append(a.args, arg)
			if w.err != nil || !w.accept(",") {
				break
			}
		}
	}
	if n := len(a.args) - len(a.names); w.err == nil && (n < f.least || n > f.most) {
		w.fail(name.at, "the filter %s takes %s, not %d", name.text, f.arity(), n)
	}
	return a
}

var relations = []string{"==", "!=", "<>", "<", ">", "<=", ">=", "contains"}

// condition reads comparisons tied by and, or; what stands furthest right is taken first.
func (w *words) condition() condition {
	left := w.relation()
	for _, word := range []string{"and", "or"} {
		if w.err == nil && w.accept(word) {
			w.depth(1)
			defer w.depth(-1)
			return logic{and: word == "and", left: left, right: w.condition()}
		}
	}
	return left
}

// depth bounds how deep values and conditions nest.
func (w *words) depth(by int) {
	if w.nesting += by; w.nesting > 16*maxDepth {
		w.fail(w.peek().at, "nested too deeply")
	}
}

func (w *words) relation() condition {
	left := w.operand()
	sign := w.peek()
	for _, relation := range relations {
		if w.err == nil && w.accept(relation) {
			return comparison{sign: relation, left: left, right: w.operand(), at: sign.at}
		}
	}
	return truth{left}
}

// numberOf is a number of a template, which may have leading zeros, as one of JSON.
func numberOf(text string) Value {
	digits, negative := strings.CutPrefix(text, "-")
	for len(digits) > 1 && digits[0] == '0' && isDigit(digits[1]) {
		digits = digits[1:]
	}
	if negative {
		digits = "-" + digits
	}
	v, err := value.Parse([]byte(digits))
	if err != nil {
		return nil
	}
	return v
}
