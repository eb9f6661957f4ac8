package config

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// class is the type of a plain scalar by the YAML 1.2 core schema (yaml.org/spec/1.2.2, 10.3.2).
type class uint8

const (
	text class = iota
	null
	boolean
	integer
	float
)

// classes are the tags of the core schema.
var classes = map[string]class{"!!int": integer, "!!float": float, "!!bool": boolean, "!!null": null}

var (
	decimalForm = regexp.MustCompile(`^[-+]?[0-9]+$`)
	radixForm   = regexp.MustCompile(`^(0o[0-7]+|0x[0-9a-fA-F]+)$`)
	floatForm   = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
	noNumber    = regexp.MustCompile(`^([-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$`)
)

// classify is the schema itself. goccy's own differs: there 010 is eight, 1_000 and 0b1 are numbers, and 12e3 is text.
func classify(s string) class {
	switch s {
	case "", "~", "null", "Null", "NULL":
		return null
	case "true", "True", "TRUE", "false", "False", "FALSE":
		return boolean
	}
	if c := s[0]; c != '+' && c != '-' && c != '.' && (c < '0' || c > '9') {
		return text
	}
	switch {
	case decimalForm.MatchString(s), radixForm.MatchString(s):
		return integer
	case floatForm.MatchString(s), noNumber.MatchString(s):
		return float
	}
	return text
}

// class is the type of a scalar. What comes from outside the file has the type that its text would have there.
func (n *node) class() class {
	if n.style == plain || n.style == outside {
		return classify(n.text)
	}
	return text
}

// isNull reports whether a node says that there is no value.
func (n *node) isNull() bool {
	return n.kind == scalar && n.style != outside && n.class() == null
}

// jsonNumber is a number of the core schema as a number of JSON, with its digits: 010 is 10, .5 is 0.5, and 1.50 stays. ok is
// false for infinities and NaN, which JSON does not have.
func jsonNumber(s string) (number string, ok bool) {
	if noNumber.MatchString(s) {
		return "", false
	}
	if radixForm.MatchString(s) {
		n, _ := new(big.Int).SetString(s, 0)
		return n.String(), true
	}
	s = strings.TrimPrefix(s, "+")
	s, negative := strings.CutPrefix(s, "-")
	end := strings.IndexAny(s, "eE")
	if end < 0 {
		end = len(s)
	}
	whole, fraction, dotted := strings.Cut(s[:end], ".")
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	if dotted {
		if fraction == "" {
			fraction = "0"
		}
		whole += "." + fraction
	}
	if negative {
		whole = "-" + whole
	}
	return whole + s[end:], true
}

// wholeNumber is the value of a number that has no fraction, however it is written: 12e3 is one.
func wholeNumber(s string) (int64, bool) {
	number, ok := jsonNumber(s)
	if !ok {
		return 0, false
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || f != float64(int64(f)) || f >= 1<<53 || f <= -(1<<53) {
		return 0, false
	}
	return int64(f), true
}

// place is a position in a file, from 1; columns are characters.
type place struct{ line, column int }

// places says where each character of a scalar stands in the file, and last where its end is; nil where the text in the file
// does not read as the parser read it.
func (f *file) places(n *node) []place {
	if n.kind != scalar || n.origin != "" || n.style == outside {
		return nil
	}
	if n.style == literal || n.style == folded {
		return f.blockPlaces(n)
	}
	return f.flowPlaces(n)
}

// flowPlaces walks over a plain or quoted scalar, which may go over several lines: one line break is a space, n are n-1.
func (f *file) flowPlaces(n *node) []place {
	line, row := n.line, f.runes(n.line)
	at := n.column - 1
	if n.style != plain {
		at++
	}
	down := func(lines int) {
		line += lines
		row = f.runes(line)
		for at = 0; at < len(row) && isBlank(row[at:at+1]); at++ {
		}
	}
	text := []rune(n.text)
	out := make([]place, 0, len(text)+1)
	for i := 0; i < len(text); i++ {
		for n.style == doubleQuoted && at == len(row)-1 && row[at] == '\\' {
			down(1)
		}
		out = append(out, place{line, at + 1})
		switch rest := row[min(at, len(row)):]; {
		case isBlank(rest) && text[i] == ' ' && line < len(f.lines):
			down(1)
		case isBlank(rest) && text[i] == '\n' && line < len(f.lines):
			breaks := 1
			for ; i+1 < len(text) && text[i+1] == '\n'; i++ {
				breaks++
				out = append(out, place{line + breaks - 1, 1})
			}
			down(breaks + 1)
		case len(rest) == 0:
			return nil
		case n.style == doubleQuoted && rest[0] == '\\':
			at += escapeLength(rest)
		case rest[0] != text[i]:
			return nil
		case n.style == singleQuoted && rest[0] == '\'':
			at += 2
		default:
			at++
		}
	}
	return append(out, place{line, at + 1})
}

func isBlank(row []rune) bool {
	for _, r := range row {
		if r != ' ' && r != '\t' {
			return false
		}
	}
	return true
}

// escapeLength is how many characters an escape of a double-quoted scalar takes.
func escapeLength(rest []rune) int {
	if len(rest) < 2 {
		return 1
	}
	switch rest[1] {
	case 'x':
		return 4
	case 'U':
		return 10
	case 'u':
		if len(rest) > 7 && strings.ContainsRune("dD", rest[2]) && strings.ContainsRune("89abAB", rest[3]) && rest[6] == '\\' {
			return 12
		}
		return 6
	}
	return 2
}

// blockPlaces walks over a literal or folded scalar.
func (f *file) blockPlaces(n *node) []place {
	line, text := n.line+1, []rune(n.text)
	indent := f.indent(n)
	out := make([]place, 0, len(text)+1)
	at := indent
	for i := 0; i < len(text); i++ {
		if line > len(f.lines)+1 {
			return nil
		}
		row := f.runes(line)
		out = append(out, place{line, min(at, max(indent, len(row))) + 1})
		switch ended := at >= len(row); {
		case !ended && row[at] == text[i]:
			at++
		case ended && text[i] == ' ' && n.style == folded:
			line, at = line+1, indent
		case ended && text[i] == '\n':
			breaks, lines := 1, 1
			if n.style == folded {
				breaks, lines = f.folds(line, indent)
			}
			for k := 1; k < breaks && i+1 < len(text) && text[i+1] == '\n'; k++ {
				i++
				out = append(out, place{line + k, indent + 1})
			}
			line, at = line+lines, indent
		default:
			return nil
		}
	}
	return append(out, place{line, at + 1})
}

// indent is by how many characters a block scalar's lines are indented.
func (f *file) indent(n *node) int {
	for line := n.line + 1; line <= len(f.lines); line++ {
		if row := f.lines[line-1]; strings.Trim(row, " ") != "" {
			content := strings.TrimLeft(n.text, "\n")
			return max(0, leading(row)-leading(content))
		}
	}
	return 0
}

func leading(s string) int { return len(s) - len(strings.TrimLeft(s, " ")) }

// folds is how many line breaks the end of a line of a folded scalar stands for, and how many lines it goes down: blank lines
// count, and next to lines that are indented further so does the break itself.
func (f *file) folds(line, indent int) (breaks, lines int) {
	blank := 0
	for line+1+blank <= len(f.lines) && isBlank(f.runes(line+1+blank)) {
		blank++
	}
	further := func(line int) bool {
		row := f.runes(line)
		return len(row) > indent && isBlank(row[indent:indent+1])
	}
	if row := f.runes(line); isBlank(row) {
		return blank + 1, blank + 1
	}
	if further(line) || further(line+1+blank) || blank == 0 {
		return blank + 1, blank + 1
	}
	return blank, blank + 1
}
