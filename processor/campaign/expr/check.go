package expr

import (
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/value"
)

// problem is what is wrong at a character of the text, from 0.
type problem struct {
	at         int
	message    string
	suggestion string
}

// Bounds of an expression, so that no text can make loading it slow or deep.
const (
	longestText = 64 << 10 // bytes
	mostChecks  = 200_000  // visits of nodes by the checker
)

// parsed is an expression and what checking it needs.
type parsed struct {
	text   string
	tree   *parser.Tree
	config *conf.Config
}

// properties is an object whose members have types that only the event decides.
var properties = types.Map{types.Extra: types.Any}

// natures are the types of the history functions' results. All but count and sum may also be nil.
var natures = map[Function]types.Type{
	Count: types.Int,
	Sum:   types.Float64,
	Avg:   types.Float64,
	Min:   types.Float64,
	Max:   types.Float64,
	First: types.Map{"time": types.TypeOf(time.Time{}), types.Extra: types.Any},
	Last:  types.Map{"time": types.TypeOf(time.Time{}), types.Extra: types.Any},
	Since: types.TypeOf(time.Duration(0)),
}

// parse reads text with expr-lang's grammar, in which the functions of campaigns hide expr-lang's own of those names.
func parse(text string) (parsed, *problem) {
	switch {
	case strings.TrimSpace(text) == "":
		return parsed{}, &problem{message: "expected an expression"}
	case len(text) > longestText:
		return parsed{}, &problem{message: "the expression is longer than 64 KiB"}
	case !utf8.ValidString(text):
		return parsed{}, &problem{message: "the expression is not UTF-8"}
	}
	config := conf.CreateNew()
	config.WithEnv(types.Map{"event": properties, "profile": properties, "user_id": types.String})
	for name := range functions {
		hide(config, name)
	}
	hide(config, "now", func() time.Time { return time.Time{} }, func(*time.Location) time.Time { return time.Time{} })
	hide(config, "duration", func(string) time.Duration { return 0 })
	tree, err := parser.ParseWithConfig(text, config)
	p := parsed{text: text, tree: tree, config: config}
	if err != nil {
		return p, rephrased(p, err)
	}
	if cost(tree.Node, map[ast.Node]float64{}) > mostChecks {
		return p, &problem{message: "the expression is nested too deeply"}
	}
	return p, nil
}

// hide puts a function in place of expr-lang's own of that name.
func hide(config *conf.Config, name string, forms ...any) {
	fn := &builtin.Function{Name: name, Func: func(...any) (any, error) { return nil, errors.ErrUnsupported }}
	for _, form := range forms {
		fn.Types = append(fn.Types, reflect.TypeOf(form))
	}
	config.Functions[name] = fn
}

// cost is how many nodes the checker visits below n: the arguments of a function once for each of its forms, and the
// middle of a < b < c, which two comparisons share, twice.
func cost(n ast.Node, known map[ast.Node]float64) float64 {
	if c, ok := known[n]; ok {
		return c
	}
	forms := 1
	if b, ok := n.(*ast.BuiltinNode); ok {
		if i, ok := builtin.Index[b.Name]; ok && loops[b.Name] == nil {
			forms = max(1, len(builtin.Builtins[i].Types))
		}
	}
	total := 1.0
	for _, child := range children(n) {
		total += float64(forms) * cost(child, known)
	}
	known[n] = math.Min(total, 1e9)
	return known[n]
}

// children are the nodes right below n, in order of the text.
func children(n ast.Node) []ast.Node {
	switch n := n.(type) {
	case *ast.UnaryNode:
		return []ast.Node{n.Node}
	case *ast.BinaryNode:
		return []ast.Node{n.Left, n.Right}
	case *ast.ChainNode:
		return []ast.Node{n.Node}
	case *ast.MemberNode:
		return []ast.Node{n.Node, n.Property}
	case *ast.SliceNode:
		all := []ast.Node{n.Node}
		for _, end := range []ast.Node{n.From, n.To} {
			if end != nil {
				all = append(all, end)
			}
		}
		return all
	case *ast.CallNode:
		return append([]ast.Node{n.Callee}, n.Arguments...)
	case *ast.BuiltinNode:
		return n.Arguments
	case *ast.PredicateNode:
		return []ast.Node{n.Node}
	case *ast.ConditionalNode:
		return []ast.Node{n.Cond, n.Exp1, n.Exp2}
	case *ast.VariableDeclaratorNode:
		return []ast.Node{n.Value, n.Expr}
	case *ast.SequenceNode:
		return n.Nodes
	case *ast.ArrayNode:
		return n.Nodes
	case *ast.MapNode:
		return n.Pairs
	case *ast.PairNode:
		return []ast.Node{n.Key, n.Value}
	}
	return nil
}

// check type-checks the tree, whose history functions read has given their types. A boolean is of that type, or of one
// that only the event decides.
func (p parsed) check(boolean bool) *problem {
	if _, err := checker.Check(p.tree, p.config); err != nil {
		return rephrased(p, err)
	}
	whole := p.tree.Node.Nature()
	if !boolean || whole.Kind == reflect.Bool || whole.IsUnknown(&p.config.NtCache) {
		return nil
	}
	return &problem{message: "expected a condition that is true or false, found " + natureNamed(p.tree.Node)}
}

// rephrased says what expr-lang found wrong in the words of campaigns.
func rephrased(p parsed, err error) *problem {
	var found *file.Error
	if !errors.As(err, &found) {
		return &problem{message: err.Error()}
	}
	wrong := &problem{at: found.From, message: found.Message}
	for _, phrase := range phrases {
		if rest, ok := strings.CutPrefix(found.Message, phrase.prefix); ok {
			phrase.say(p, wrong, strings.TrimSpace(rest))
			break
		}
	}
	return wrong
}

// Part is one of the conditions that an expression joins by && at its top, judged for itself.
type Part struct {
	Text   string
	Holds  bool
	Values []Named // what it asks, in order of the text: properties of the event and the profile, and the history's answers
	Err    error   // what failed at run time; Holds is false then
}

// Named is a question of an expression and its answer as text; "missing" where there is none.
type Named struct{ Name, Value string }

// Parts judges the conditions of a text that Compile accepts, one by one, to explain its answer: it holds exactly if all of them
// do. It is slow.
func Parts(text string, scope Scope, env *Env) []Part {
	parsed, wrong := parse(text)
	if wrong != nil {
		return nil
	}
	var parts []Part
	var split func(n ast.Node)
	split = func(n ast.Node) {
		if b, ok := n.(*ast.BinaryNode); ok && (b.Operator == "&&" || b.Operator == "and") {
			split(b.Left)
			split(b.Right)
			return
		}
		parts = append(parts, judged(n, scope, env))
	}
	if _, ok := parsed.tree.Node.(*ast.VariableDeclaratorNode); ok {
		return []Part{judged(parsed.tree.Node, scope, env)}
	}
	split(parsed.tree.Node)
	return parts
}

func judged(n ast.Node, scope Scope, env *Env) Part {
	part := Part{Text: n.String()}
	if p, wrong := Compile(part.Text, scope); wrong == nil {
		part.Holds, part.Err = p.True(env)
	}
	seen := map[string]bool{}
	var walk func(n ast.Node)
	walk = func(n ast.Node) {
		name := n.String()
		if v, ok := answered(n, name, scope, env); ok {
			if !seen[name] {
				seen[name] = true
				part.Values = append(part.Values, Named{name, v})
			}
			return
		}
		for _, child := range children(n) {
			walk(child)
		}
	}
	walk(n)
	return part
}

// answered is the answer to what n asks of the event, the profile or the history, if it asks one thing.
func answered(n ast.Node, name string, scope Scope, env *Env) (answer string, ok bool) {
	inner := unchained(n)
	if m, is := inner.(*ast.MemberNode); is {
		if _, named := (&compiler{}).source(m); !named {
			inner = unchained(m.Node)
		}
	}
	switch x := inner.(type) {
	case *ast.MemberNode:
	case *ast.CallNode:
		callee, is := x.Callee.(*ast.IdentifierNode)
		if !is {
			return "", false
		}
		if _, ours := functions[callee.Value]; !ours {
			return "", false
		}
	default:
		return "", false
	}
	parsed, wrong := parse(name)
	if wrong != nil {
		return "", false
	}
	r := read(name, scope, parsed.tree.Node)
	p := &Program{text: name, lookups: r.lookups}
	c := compiler{program: p, calls: r.calls, constants: map[any]operand{}}
	e := c.eval(parsed.tree.Node)
	if p.slots = c.slots; r.wrong != nil || c.wrong != nil {
		return "", false
	}
	var f frame
	holds, err := false, error(nil)
	f.begin(p, env)
	defer f.end(&holds, &err)
	return e(&f).shown(), true
}

// shown is an operand as a person reads it.
func (o operand) shown() string {
	switch o.kind {
	case kindBool:
		return strconv.FormatBool(o.isTrue())
	case kindInt:
		return strconv.FormatInt(o.bits, 10)
	case kindFloat:
		return strconv.FormatFloat(o.float(), 'g', -1, 64)
	case kindDigits:
		return o.text
	case kindString:
		return strconv.Quote(o.text)
	case kindDuration:
		return calendar.FormatDuration(time.Duration(o.bits).Milliseconds())
	case kindTime:
		return calendar.FormatTime(o.ref.(time.Time).UnixMilli())
	case kindJSON:
		return o.ref.(value.Value).Text()
	case kindObject:
		return string(o.ref.(*object).properties.Append(nil))
	}
	return "missing"
}
