// Package liquid is the template language of bodies, urls and headers: Liquid as Shopify defines it, read strictly and
// rendered within bounds.
//
// It differs from the common libraries where a webhook needs it to. Everything that can be known without a trigger is an
// error of Parse, with its place: unknown filters, tags and names, wrong numbers of arguments, what is not closed. Numbers
// keep the digits that they had in JSON. There is no clock, no file and no locale, so that equal input gives equal bytes.
// Loops, output and work are bounded, whatever the template says.
//
// Tags: assign, break, capture, case, comment, continue, cycle, decrement, echo, for, if, increment, liquid, raw,
// tablerow, unless, # (a comment), and abort. Filters: the standard ones, and json. include, render and layout are not there.
//
// Non-obvious:
//   - and/or have no precedence and are taken from the right, as in Shopify's Liquid.
//   - An output is missing, for Strict, if any name in it has no value and no `default` is among its filters.
//   - divided_by of two whole numbers is a whole number, rounded down.
package liquid

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of one rendering.
const (
	MaxTurns  = 10_000   // of all loops together
	MaxOutput = 1 << 20  // bytes
	maxWork   = 64 << 20 // bytes read and written by filters, loops and look-ups together
	maxDepth  = 64       // of nested blocks
)

// Error is what is wrong with a template, and where: Line and Column count from 1, Column in characters.
type Error struct {
	Line, Column int
	Message      string
	Suggestion   string // a name that was probably meant
	Certain      bool   // of Render: it will fail so with any trigger, or any that has as much
}

func (e *Error) Error() string {
	text := fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
	if e.Suggestion != "" {
		text += "; did you mean " + e.Suggestion + "?"
	}
	return text
}

// AbortError is the end of a rendering by {% abort "reason" %}.
type AbortError struct{ Reason string }

func (e *AbortError) Error() string { return "aborted: " + e.Reason }

// MissingError is the end of a strict rendering by a value that is not there.
type MissingError struct{ Path string }

func (e *MissingError) Error() string { return "missing: " + e.Path }

// Scope says which names a template may use without giving them a value itself, and which members each has; nil members
// are any.
type Scope map[string][]string

// Env is what one rendering stands on.
type Env struct {
	Look   func(name string) Value // the names of Scope
	Now    int64                   // what "now" is, ms since the epoch
	Strict bool                    // an output of a missing value ends the rendering with a MissingError
}

// Template is a parsed template. It is immutable and safe for concurrent use.
type Template struct {
	source string
	nodes  []node
	refers []*path  // every path
	texts  []string // every argument of a filter that is a text
}

// Parse reads a template. Every problem that is found is returned, in order of place; with any the Template is nil.
func Parse(source string, scope Scope) (*Template, []*Error) { return parse(source, scope, false) }

// ParseOutputs reads a template that may have nothing but outputs, for use with Parts.
func ParseOutputs(source string, scope Scope) (*Template, []*Error) {
	return parse(source, scope, true)
}

// Members are the names that the template may ask a value for, in no order: those behind a dot or in brackets in a path that
// begins with another name than those of except, and the texts that filters are given. Unknown says that such a name can also
// be computed.
func (t *Template) Members(except ...string) (names []string, unknown bool) {
	for _, p := range t.refers {
		if slices.Contains(except, p.name) {
			continue
		}
		for _, step := range p.steps {
			l, fixed := step.(literal)
			if name, ok := l.v.(string); ok {
				names = append(names, name)
			}
			unknown = unknown || !fixed
		}
	}
	return append(names, t.texts...), unknown
}

// Constant reports whether a template renders the same always: that it has neither outputs nor tags.
func (t *Template) Constant() bool {
	for _, n := range t.nodes {
		if _, ok := n.(textNode); !ok {
			return false
		}
	}
	return true
}

// Fixed is the text of a template of ParseOutputs with stand in place of each output.
func (t *Template) Fixed(stand string) string {
	var all strings.Builder
	for _, n := range t.nodes {
		if text, ok := n.(textNode); ok {
			all.WriteString(text.text)
		} else {
			all.WriteString(stand)
		}
	}
	return all.String()
}

// Render renders the template. The error is an *AbortError, a *MissingError or an *Error: something failed or passed a
// bound.
func (t *Template) Render(env Env) ([]byte, error) {
	r := &renderer{source: t.source, env: env}
	if _, err := r.all(t.nodes); err != nil {
		return nil, err
	}
	return r.out, nil
}

// Parts renders a template of ParseOutputs piece by piece: its text as it stands, and each output for itself. An error of
// visit ends it and is returned.
func (t *Template) Parts(env Env, visit func(text string, output bool) error) error {
	r := &renderer{source: t.source, env: env}
	for _, n := range t.nodes {
		r.out = r.out[:0]
		if _, err := n.render(r); err != nil {
			return err
		}
		_, text := n.(textNode)
		if err := visit(string(r.out), !text); err != nil {
			return err
		}
	}
	return nil
}

// IsError reports whether an error of Render is a failure of the template itself.
func IsError(err error) bool {
	var failed *Error
	return errors.As(err, &failed)
}

// place is the line and column of a byte of source.
func place(source string, offset int) (line, column int) {
	offset = min(offset, len(source))
	line, start := 1, 0
	for i := 0; i < offset; i++ {
		if source[i] == '\n' {
			line, start = line+1, i+1
		}
	}
	return line, utf8.RuneCountInString(source[start:offset]) + 1
}

// nearest is the one of names that differs from name by a slip of the pen, "" if none does.
func nearest(name string, names []string) string {
	best, least := "", 3
	if len(name) < 4 {
		least = 2
	}
	for _, candidate := range names {
		if d := distance(name, candidate); d < least {
			best, least = candidate, d
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			substitute := diagonal
			if a[i-1] != b[j-1] {
				substitute++
			}
			diagonal = row[j]
			row[j] = min(row[j]+1, row[j-1]+1, substitute)
		}
	}
	return row[len(b)]
}
