package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxDepth bounds how deep mappings and lists may lie in each other; no file of ours needs a tenth of it.
const maxDepth = 100

// node is a part of a YAML document: a scalar, a mapping or a list. Aliases share the node that they stand for, merge keys
// are merged already, and a scalar's text is what stands there before any schema is applied.
type node struct {
	kind         kind
	line, column int    // in the file
	origin       string // for a value that stands in no file: where it comes from
	bad          bool   // what stands there is wrong, and noted
	flow         bool   // a mapping in braces, a list in brackets
	style        style
	text         string
	secrets      []string // the parts of the text that came from the environment
	pairs        []pair
	list         []*node
}

type pair struct{ key, value *node }

type kind uint8

const (
	scalar kind = iota
	mapping
	list
)

// style is how a scalar is written. Only plain ones have a type of their own, all others are text.
type style uint8

const (
	plain style = iota
	singleQuoted
	doubleQuoted
	literal
	folded
	outside // from the environment or the command line: of whatever type is wanted
)

// tree turns goccy's syntax tree of one document into nodes.
type tree struct {
	file    *file
	lines   int // lines of the file before the document
	anchors map[string]*node
	depth   int
}

// parse reads one document; nil is a document without content, or one whose problem has been noted.
func (f *file) parse(part part) *node {
	t := &tree{file: f, lines: part.line - 1, anchors: map[string]*node{}}
	parsed, err := parseYAML(part.raw)
	if err != nil {
		line, column, message := syntaxProblem(err)
		f.broken = true
		f.note(max(1, line+t.lines), column, message, "")
		return nil
	}
	for _, doc := range parsed.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.CommentType && doc.Body.Type() != ast.DirectiveType {
			return t.build(doc.Body)
		}
	}
	return nil
}

// parseYAML is goccy's parser, with its panics, which some malformed inputs cause, as errors.
func parseYAML(text string) (f *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cannot be read as YAML (%v)", r)
		}
	}()
	tokens := lexer.Tokenize(text)
	if tk := tooDeep(tokens); tk != nil {
		return nil, &yaml.SyntaxError{Message: "too many levels of mappings and lists", Token: tk}
	}
	return parser.Parse(mend(tokens, strings.Split(text, "\n")), 0, parser.AllowDuplicateMapKey())
}

// tooDeep finds where brackets, or the marks before a value on one line, go deeper than maxDepth; goccy's parser needs time and
// stack for each level.
func tooDeep(tokens token.Tokens) *token.Token {
	brackets, marks, line := 0, 0, 0
	for _, tk := range tokens {
		if tk.Position.Line != line {
			line, marks = tk.Position.Line, 0
		}
		switch tk.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			marks++
		case token.CollectEntryType, token.MappingValueType:
			marks = 0
		}
		if brackets > maxDepth || marks > maxDepth {
			return tk
		}
	}
	return nil
}

// mend puts together again what goccy's lexer takes apart inside brackets and braces: text with a colon that no space follows, as in
// `file:x`, and text that goes on in a line further to the left. No two texts can stand side by side there.
func mend(tokens token.Tokens, lines []string) token.Tokens {
	var out token.Tokens
	depth := 0
	for i := 0; i < len(tokens); i++ {
		tk, last := tokens[i], tokens[i]
		switch tk.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		}
		named := i > 0 && (tokens[i-1].Type == token.AnchorType || tokens[i-1].Type == token.AliasType)
		for depth > 0 && isPlain(tk) && !named {
			if i+2 < len(tokens) && isPlain(tokens[i+2]) && isColonOfText(last, tokens[i+1], tokens[i+2], lines) {
				i, last = i+2, tokens[i+2]
				tk = token.New(tk.Value+":"+last.Value, tk.Origin+":"+last.Origin, tk.Position)
			} else if i+1 < len(tokens) && isPlain(tokens[i+1]) && tokens[i+1].Position.Line > last.Position.Line {
				breaks := tokens[i+1].Position.Line - last.Position.Line - strings.Count(strings.TrimSpace(last.Origin), "\n")
				separator := " "
				if breaks > 1 {
					separator = strings.Repeat("\n", breaks-1)
				}
				i, last = i+1, tokens[i+1]
				tk = token.New(tk.Value+separator+last.Value, tk.Origin+last.Origin, tk.Position)
			} else {
				break
			}
		}
		out.Add(tk)
	}
	return out
}

// isColonOfText reports whether a colon stands right between two texts.
func isColonOfText(before, colon, after *token.Token, lines []string) bool {
	at := colon.Position
	row := []rune(lines[min(max(at.Line, 1), len(lines))-1])
	return colon.Type == token.MappingValueType && before.Position.Line == at.Line && after.Position.Line == at.Line &&
		before.Position.Column+utf8.RuneCountInString(before.Value) == at.Column && after.Position.Column == at.Column+1 &&
		at.Column < len(row) && !strings.ContainsRune(" \t,[]{}", row[at.Column])
}

func isPlain(tk *token.Token) bool {
	return tk.CharacterType == token.CharacterTypeMiscellaneous && tk.Indicator == token.NotIndicator
}

// hints say in the words of the file what goccy's messages say in those of the YAML specification.
var hints = []struct{ message, hint string }{
	{"mapping value is not allowed in this context", "`: ` is not possible here: a value that holds it needs quotes, a key its own indentation"},
	{"found an invalid key for this map", "a key must be plain text; a value that begins with { or [ needs quotes"},
	{"that cannot start any token", "a tab cannot indent: use spaces"},
	{"is a reserved character", "a value cannot begin with this character: put it in quotes"},
	{"non-map value is specified", "expected `key: value`"},
	{"sequence end token ']' not found", "this list has no closing ]"},
	{"could not find flow mapping end token", "this mapping has no closing }"},
	{"could not find end character of", "this text has no closing quote"},
	{"block sequence entries are not allowed in this context", "a list begins on a line of its own, or is written in [ ]"},
	{"map key-value is pre-defined", "nothing more can stand here: is the line indented too little or too far, or are quotes missing?"},
	{"could not find map", "the tag `!!map` does not fit what follows it"},
	{"undefined anchor value", "this anchor stands for nothing"},
	{"undefined alias name", "an alias needs the name of an anchor; a value that begins with * needs quotes"},
}

func syntaxProblem(err error) (line, column int, message string) {
	line, column = 1, 1
	var syntax *yaml.SyntaxError
	if !errors.As(err, &syntax) {
		return line, column, err.Error()
	}
	message = syntax.Message // and not its Error, which prints the whole file
	if syntax.Token != nil && syntax.Token.Position != nil {
		line, column = syntax.Token.Position.Line, syntax.Token.Position.Column
	}
	for _, h := range hints {
		if strings.Contains(message, h.message) {
			return line, column, h.hint
		}
	}
	return line, column, message
}

func (t *tree) build(n ast.Node) *node {
	if t.depth++; t.depth > maxDepth {
		t.depth--
		out := t.at(n, &node{bad: true})
		t.file.note(out.line, out.column, "too many levels of mappings and lists", "")
		return out
	}
	defer func() { t.depth-- }()
	switch n := n.(type) {
	case *ast.MappingNode:
		return t.mapping(n)
	case *ast.MappingValueNode:
		return t.pairs(t.at(n.Key, &node{kind: mapping}), []*ast.MappingValueNode{n})
	case *ast.SequenceNode:
		out := t.at(n, &node{kind: list, flow: n.IsFlowStyle})
		for _, value := range n.Values {
			out.list = append(out.list, t.build(value))
		}
		return out
	case *ast.AnchorNode:
		out := t.build(n.Value)
		t.anchors[n.Name.GetToken().Value] = out
		return out
	case *ast.AliasNode:
		return t.alias(n)
	case *ast.TagNode:
		return t.tagged(n)
	case *ast.MappingKeyNode:
		return t.build(n.Value)
	case *ast.LiteralNode:
		out := t.at(n, &node{style: literal, text: n.Value.Value})
		if n.Start.Type == token.FoldedType {
			out.style = folded
		}
		return out
	}
	return t.scalar(n)
}

// at gives a node the place of a part of the syntax tree.
func (t *tree) at(n ast.Node, out *node) *node {
	out.line, out.column = t.lines+1, 1
	if n == nil {
		return out
	}
	if tk := n.GetToken(); tk != nil && tk.Position != nil {
		out.line, out.column = t.lines+tk.Position.Line, max(1, tk.Position.Column)
	}
	return out
}

func (t *tree) scalar(n ast.Node) *node {
	out := t.at(n, &node{style: plain})
	if n == nil {
		return out
	}
	tk := n.GetToken()
	if tk == nil || tk.Type == token.ImplicitNullType {
		return out
	}
	out.text = tk.Value
	for row := t.file.runes(out.line); out.column <= len(row) && isBlank(row[out.column-1:out.column]); {
		out.column++ // goccy does not count tabs before a value
	}
	switch tk.Type {
	case token.SingleQuoteType:
		out.style = singleQuoted
	case token.DoubleQuoteType:
		out.style = doubleQuoted
	}
	if !utf8.ValidString(out.text) || strings.ContainsRune(out.text, utf8.RuneError) {
		t.file.note(out.line, out.column, "this text holds what is no character", "")
		out.text = strings.ToValidUTF8(out.text, "?")
	}
	return out
}

func (t *tree) alias(n *ast.AliasNode) *node {
	name := n.Value.GetToken().Value
	if out, ok := t.anchors[name]; ok {
		return out
	}
	out := t.at(n, &node{bad: true})
	known := make([]string, 0, len(t.anchors))
	for anchor := range t.anchors {
		known = append(known, anchor)
	}
	t.file.note(out.line, out.column, fmt.Sprintf("no anchor `%s` before this; a value that begins with * needs quotes", name), nearest(name, known))
	return out
}

// tagged applies the tags of the core schema; there are no others.
func (t *tree) tagged(n *ast.TagNode) *node {
	out := t.build(n.Value)
	place := t.at(n, &node{})
	tag := n.Start.Value
	fits := true
	switch tag {
	case "!!str", "!":
		if fits = out.kind == scalar; fits && out.style == plain {
			out.style = doubleQuoted
		}
	case "!!int", "!!float", "!!bool", "!!null":
		out.style = plain
		class := classify(out.text)
		fits = out.kind == scalar && (class == classes[tag] || tag == "!!float" && class == integer)
	case "!!map":
		fits = out.kind == mapping
	case "!!seq":
		fits = out.kind == list
	default:
		t.file.note(place.line, place.column, fmt.Sprintf("unknown tag `%s`; a value that begins with ! needs quotes", tag), "")
		place.bad = true
		return place
	}
	if !fits && !out.bad {
		t.file.note(place.line, place.column, fmt.Sprintf("the tag `%s` does not fit what follows it", tag), "")
		place.bad = true
		return place
	}
	return out
}

func (t *tree) mapping(n *ast.MappingNode) *node {
	out := t.at(n, &node{kind: mapping, flow: n.IsFlowStyle})
	if !n.IsFlowStyle && len(n.Values) > 0 {
		t.at(n.Values[0].Key, out)
	}
	return t.pairs(out, n.Values)
}

// pairs fills a mapping: first its own keys, then what merge keys add to them.
func (t *tree) pairs(out *node, values []*ast.MappingValueNode) *node {
	first := map[string]int{} // key -> its line
	var merged []*node
	for _, value := range values {
		if value.Key.IsMergeKey() {
			merged = append(merged, t.merged(value.Value)...)
			continue
		}
		p := pair{key: t.build(value.Key), value: t.build(value.Value)}
		switch line, twice := first[p.key.text]; {
		case p.key.bad:
		case p.key.kind != scalar:
			t.file.note(p.key.line, p.key.column, "a key must be plain text", "")
		case twice:
			t.file.note(p.key.line, p.key.column, fmt.Sprintf("the key `%s` is there twice, first in line %d", p.key.text, line), "")
		default:
			first[p.key.text] = p.key.line
			out.pairs = append(out.pairs, p)
		}
	}
	for _, from := range merged {
		for _, p := range from.pairs {
			if _, has := first[p.key.text]; !has {
				first[p.key.text] = p.key.line
				out.pairs = append(out.pairs, p)
			}
		}
	}
	return out
}

// merged is what stands behind a merge key: a mapping or a list of them, of which earlier ones come first.
func (t *tree) merged(value ast.Node) []*node {
	from := t.build(value)
	all := []*node{from}
	if from.kind == list {
		all = from.list
	}
	for _, n := range all {
		if n.kind != mapping {
			if n.bad {
				return nil
			}
			t.file.note(from.line, from.column, "<< takes a mapping or a list of mappings", "")
			return nil
		}
	}
	return all
}
