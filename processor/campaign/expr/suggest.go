package expr

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"

	"github.com/tripline/tripline/processor/campaign/calendar"
)

// elsewhere are words and signs of other languages, in lower case, and what expr-lang has for them.
var elsewhere = map[string]string{
	"=": "==", "===": "==", "<>": "!=", "&": "&&", "|": "||", "~": "matches", "=~": "matches",
	"null": "nil", "none": "nil", "undefined": "nil", "is": "==", "eq": "==", "ne": "!=", "gt": ">", "lt": "<", "ge": ">=", "le": "<=",
	"like": "contains", "includes": "contains", "has": "contains", "regexp": "matches", "between": "in 1..5", "userid": "user_id",
}

// functionsElsewhere are functions of other languages and what expr-lang has for them.
var functionsElsewhere = map[string]string{
	"length": "len", "size": "len", "tolower": "lower", "toupper": "upper", "lowercase": "lower", "uppercase": "upper", "average": "avg",
	"typeof": "type", "str": "string", "number": "float", "some": "any", "every": "all", "exists": "any", "parseint": "int",
	"today": "now", "parsedate": "date", "days": "duration", "total": "sum",
}

// operatorWords are the operators that are words.
var operatorWords = []string{"and", "or", "not", "in", "contains", "startsWith", "endsWith", "matches"}

// phrases say what expr-lang's parser and checker found, by how their message begins; the first that fits.
var phrases = []struct {
	prefix string
	say    func(p parsed, wrong *problem, rest string)
}{
	{"unexpected token EOF", func(_ parsed, w *problem, _ string) { w.at, w.message = w.at+1, "the expression ends too early" }},
	{"unexpected end of expression", func(_ parsed, w *problem, _ string) { w.message = "the expression ends too early" }},
	{"unexpected token ", unexpected},
	{"unrecognized character: ", unrecognized},
	{"literal not terminated", func(_ parsed, w *problem, _ string) { w.message = "the closing quote is missing" }},
	{"invalid operation: ", mismatched},
	{"invalid integer literal: ", overlong},
	{"not enough arguments to call ", func(_ parsed, w *problem, name string) { w.message = name + "() needs more arguments" }},
	{"too many arguments to call ", func(_ parsed, w *problem, name string) { w.message = name + "() takes fewer arguments" }},
	{"cannot use ", func(_ parsed, w *problem, _ string) { w.message = strings.TrimSpace(namedTypes(w.message)) }},
	{"builtin ", func(_ parsed, w *problem, rest string) {
		w.message = strings.Replace(namedTypes(rest), "only array", "only a list", 1)
	}},
	{"non-bool expression (type ", func(_ parsed, w *problem, _ string) { w.message = "the condition before ? is not true or false" }},
	{"predicate should return boolean", func(_ parsed, w *problem, _ string) { w.message = "the predicate is not true or false" }},
}

// unexpected explains a token, which rest shows as Kind("text").
func unexpected(p parsed, wrong *problem, rest string) {
	_, quoted, _ := strings.Cut(strings.TrimSuffix(rest, ")"), "(")
	token, err := strconv.Unquote(quoted)
	if err != nil {
		token = rest
	}
	wrong.message = fmt.Sprintf("unexpected %s", token)
	around := append([]rune(p.text), ' ')[max(wrong.at-1, 0):]
	for signs, meant := range map[string]string{"<>": "!=", " =>": ">=", " =<": "<="} {
		if strings.HasPrefix(string(around), signs) {
			wrong.suggestion = meant
			return
		}
	}
	if meant, ok := elsewhere[strings.ToLower(token)]; ok {
		wrong.suggestion = meant
	} else if strings.HasPrefix(rest, "Identifier") {
		wrong.suggestion = Nearest(token, operatorWords)
	}
}

func unrecognized(_ parsed, wrong *problem, rest string) {
	wrong.message = "unexpected character " + rest
	if strings.ContainsAny(rest, "“”„«»") {
		wrong.suggestion = `"`
	} else if strings.ContainsAny(rest, "‘’‚") {
		wrong.suggestion = `'`
	}
}

// overlong explains a literal of which rest shows the digits.
func overlong(p parsed, wrong *problem, rest string) {
	wrong.message = "the number has more digits than a whole number can have here"
	_, digits, _ := strings.Cut(strings.TrimSuffix(rest, ": value out of range"), "parsing ")
	if before, _, ok := strings.Cut(p.text, strings.Trim(digits, `"`)); ok {
		wrong.at = utf8.RuneCountInString(before)
	}
}

// mismatched explains an operator between types that it does not connect: `== (mismatched types string and int)`.
func mismatched(p parsed, wrong *problem, rest string) {
	operator, given, _ := strings.Cut(rest, " (mismatched type")
	n := binaryAt(p.tree.Node, wrong.at, operator, map[ast.Node]bool{})
	if n == nil { // one operand
		wrong.message = fmt.Sprintf("%s is not defined on %s", operator, typeNamed(strings.Trim(given, " )")))
		return
	}
	wrong.message = fmt.Sprintf("%s is not defined between %s and %s", operator, natureNamed(n.Left), natureNamed(n.Right))
	if wrong.suggestion = replacement(n.Left, n.Right); wrong.suggestion == "" {
		wrong.suggestion = replacement(n.Right, n.Left)
	}
}

// replacement is what n was probably meant to be, standing beside other; "" where nothing comes to mind.
func replacement(n, other ast.Node) string {
	if call, ok := n.(*ast.CallNode); ok && (n.Type().String() == "time.Weekday" || n.Type().String() == "time.Month") {
		name := call.Callee.(*ast.MemberNode).Property.(*ast.StringNode).Value
		if other.Nature().IsString() {
			return name + "().String()"
		}
		return "int(… ." + name + "())"
	}
	if member, ok := n.(*ast.MemberNode); ok && n.Nature().IsFunc() {
		return member.Property.(*ast.StringNode).Value + "()"
	}
	literal, ok := n.(*ast.StringNode)
	if !ok {
		return ""
	}
	switch {
	case other.Nature().IsDuration():
		if _, err := calendar.ParseDuration(literal.Value); err == nil {
			return "duration(" + strconv.Quote(literal.Value) + ")"
		}
	case other.Nature().IsTime():
		return "date(" + strconv.Quote(literal.Value) + ")"
	case other.Nature().IsNumber():
		if _, err := strconv.ParseFloat(literal.Value, 64); err == nil {
			return literal.Value
		}
	}
	return ""
}

// binaryAt finds the operator that stands at a character of the text.
func binaryAt(n ast.Node, at int, operator string, done map[ast.Node]bool) *ast.BinaryNode {
	if done[n] {
		return nil
	}
	done[n] = true
	if b, ok := n.(*ast.BinaryNode); ok && b.Location().From == at && b.Operator == operator {
		return b
	}
	for _, child := range children(n) {
		if b := binaryAt(child, at, operator, done); b != nil {
			return b
		}
	}
	return nil
}

// typeWords are Go's types as authors know them.
var typeWords = map[string]string{
	"bool": "a boolean", "int": "a number", "float64": "a number", "string": "a string", "time.Time": "a time", "time.Duration": "a duration",
	"time.Weekday": "a weekday", "time.Month": "a month", "unknown": "a value of any type", "map[string]interface {}": "an object", "[]interface {}": "a list",
	"*time.Location": "a time zone",
}

func natureNamed(n ast.Node) string {
	if n.Nature().Nil {
		return "nil"
	}
	return typeNamed(n.Nature().String())
}

func typeNamed(goType string) string {
	if words, ok := typeWords[goType]; ok {
		return words
	}
	if strings.HasPrefix(goType, "func(") {
		return "a method that is not called"
	}
	return goType
}

// namedTypes puts the words for the types that a message names.
func namedTypes(message string) string {
	for _, goType := range []string{"map[string]interface {}", "[]interface {}", "time.Duration", "time.Time", "float64", "string", "int", "bool"} {
		message = strings.ReplaceAll(message, "(type "+goType+")", "("+typeWords[goType]+")")
		message = strings.ReplaceAll(message, "(got "+goType+")", "(found "+typeWords[goType]+")")
		if rest, ok := strings.CutPrefix(message, "cannot use "+goType+" "); ok {
			message = "cannot use " + typeWords[goType] + " " + rest
		}
	}
	return message
}

func isMethod(name string) bool { return slices.Contains(allMethods(), name) }

func allMethods() (names []string) {
	for _, of := range methods {
		names = append(names, of...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Nearest is the known name at the least distance from name, at most one edit for each three letters; "" if there is
// none. Case does not count.
func Nearest(name string, known []string) string {
	best, least := "", max(1, len(name)/3)+1
	for _, k := range known {
		if d := distance([]rune(strings.ToLower(name)), []rune(strings.ToLower(k))); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is the optimal string alignment distance: letters inserted, deleted, changed, and neighbours swapped.
func distance(a, b []rune) int {
	if len(a) > 64 || len(b) > 64 {
		return max(len(a), len(b))
	}
	var before, last, row [65]int
	for j := range b {
		last[j+1] = j + 1
	}
	for i := range a {
		row[0] = i + 1
		for j := range b {
			changed := last[j]
			if a[i] != b[j] {
				changed++
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, changed)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
