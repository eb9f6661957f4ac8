package liquid

import (
	"maps"
	"slices"
	"strings"
)

// tags read what stands behind their name, and what a block has up to its end. Set by init: they call one another.
var tags map[string]func(p *parser, t token) (node, *Error)

var tagNames []string

func init() {
	tags = map[string]func(p *parser, t token) (node, *Error){
		"#":         func(*parser, token) (node, *Error) { return nil, nil },
		"abort":     abortTag,
		"assign":    assignTag,
		"break":     loopTag(breakLoop),
		"capture":   captureTag,
		"case":      caseTag,
		"comment":   commentTag,
		"continue":  loopTag(nextTurn),
		"cycle":     cycleTag,
		"decrement": countTag(-1),
		"echo":      echoTag,
		"for":       forTag,
		"if":        ifTag,
		"increment": countTag(1),
		"liquid":    liquidTag,
		"raw":       rawTag,
		"tablerow":  tableTag,
		"unless":    ifTag,
	}
	tagNames = slices.Sorted(maps.Keys(tags))
}

func (p *parser) tag(t token) (node, *Error) {
	if p.only {
		p.errors = append(p.errors, p.lexer.fault(t.from, "only {{ … }} is allowed here, not {% … %}"))
		return nil, nil
	}
	read, ok := tags[t.name]
	if ok {
		return read(p, t)
	}
	if block, closes := strings.CutPrefix(t.name, "end"); closes && tags[block] != nil {
		return nil, p.lexer.fault(t.from, t.name+" without a "+block+" that it could close")
	}
	switch t.name {
	case "else", "elsif", "when":
		return nil, p.lexer.fault(t.from, t.name+" outside of a block that has one")
	}
	err := p.lexer.fault(t.from, "unknown tag "+t.name)
	err.Suggestion = nearest(t.name, tagNames)
	p.errors = append(p.errors, err)
	return nil, nil
}

func abortTag(p *parser, t token) (node, *Error) {
	w := p.words(t)
	n := abortNode{reason: w.pipeline()}
	w.end()
	p.note(w)
	return n, nil
}

func echoTag(p *parser, t token) (node, *Error) {
	w := p.words(t)
	n := outputNode{w.pipeline(), t.from}
	w.end()
	p.note(w)
	return n, nil
}

func assignTag(p *parser, t token) (node, *Error) {
	w := p.words(t)
	n := assignNode{name: w.name()}
	w.expect("=")
	n.value = w.pipeline()
	w.end()
	p.note(w)
	return n, nil
}

// name reads a name that gets a value.
func (w *words) name() string {
	first := w.take()
	if first.kind != nameWord && first.kind != stringWord || first.text == "" {
		w.fail(first.at, "expected a name, found %s", first)
		return ""
	}
	w.p.given[first.text] = true
	return first.text
}

func captureTag(p *parser, t token) (node, *Error) {
	w := p.words(t)
	n := captureNode{name: w.name(), at: t.from}
	w.end()
	p.note(w)
	var err *Error
	n.body, _, err = p.body(t, "endcapture")
	return n, err
}

func liquidTag(p *parser, t token) (node, *Error) {
	if p.nesting++; p.nesting > maxDepth {
		return nil, p.lexer.fault(t.from, "blocks are nested too deeply")
	}
	nodes, err := p.lines(t)
	p.nesting--
	return allNode{nodes}, err
}

func commentTag(p *parser, t token) (node, *Error) {
	if p.lexer.lines > 0 {
		return nil, p.skipLines(t)
	}
	if _, ok := p.lexer.until("endcomment", "comment"); !ok {
		return nil, p.lexer.fault(t.from, "this comment is not closed: expected {% endcomment %}")
	}
	return nil, nil
}

// skipLines skips the lines of a comment, which may hold others.
func (p *parser) skipLines(open token) *Error {
	for depth := 1; depth > 0; {
		switch t := p.lexer.line(); {
		case t.kind == endToken:
			return p.lexer.fault(open.from, "this comment is not closed: expected endcomment")
		case t.name == "comment":
			depth++
		case t.name == "endcomment":
			depth--
		}
	}
	return nil
}

func rawTag(p *parser, t token) (node, *Error) {
	if p.lexer.lines > 0 {
		return nil, p.lexer.fault(t.from, "raw cannot stand within liquid")
	}
	at := p.lexer.at
	text, ok := p.lexer.until("endraw", "")
	if !ok {
		return nil, p.lexer.fault(t.from, "this raw is not closed: expected {% endraw %}")
	}
	return textNode{text, at}, nil
}

func loopTag(f flow) func(*parser, token) (node, *Error) {
	return func(p *parser, t token) (node, *Error) {
		w := p.words(t)
		w.end()
		if p.loops == 0 {
			w.fail(t.from, "%s outside of a loop", t.name)
		}
		p.note(w)
		return flowNode{f}, nil
	}
}

func countTag(by int64) func(*parser, token) (node, *Error) {
	return func(p *parser, t token) (node, *Error) {
		w := p.words(t)
		n := countNode{name: w.name(), by: by, at: t.from}
		w.end()
		p.note(w)
		return n, nil
	}
}

func cycleTag(p *parser, t token) (node, *Error) {
	w := p.words(t)
	n := cycleNode{at: t.from}
	first := w.operand()
	if w.accept(":") {
		n.group = first
		first = w.operand()
	}
	n.of = append(n.of, first)
	for w.err == nil && w.accept(",") {
		n.of = append(n.of, w.operand())
	}
	n.key = t.body
	w.end()
	p.note(w)
	return n, nil
}

// ifTag reads if and unless.
func ifTag(p *parser, t token) (node, *Error) {
	n := ifNode{}
	open, negated := t, t.name == "unless"
	for {
		var b branch
		if t.name != "else" {
			w := p.words(t)
			b.when = w.condition()
			b.negated = negated
			w.end()
			p.note(w)
		} else if strings.TrimSpace(t.body) != "" {
			p.errors = append(p.errors, p.lexer.fault(t.at, "else takes no condition; elsif does"))
		}
		ends := []string{"elsif", "else", "end" + open.name}
		if t.name == "else" {
			ends = ends[2:]
		}
		var err *Error
		if b.body, t, err = p.body(open, ends...); err != nil {
			return nil, err
		}
		n.branches = append(n.branches, b)
		if negated = false; t.name == "end"+open.name {
			return n, nil
		}
	}
}

func caseTag(p *parser, t token) (node, *Error) {
	w := p.words(t)
	n := caseNode{of: w.operand(), at: t.from}
	w.end()
	p.note(w)
	open := t
	_, t, err := p.body(open, "when", "else", "endcase") // what stands before the first when is nothing
	for err == nil && t.name != "endcase" {
		c := choice{otherwise: t.name == "else"}
		if !c.otherwise {
			w := p.words(t)
			c.of = append(c.of, w.operand())
			for w.err == nil && (w.accept(",") || w.accept("or")) {
				c.of = append(c.of, w.operand())
			}
			w.end()
			p.note(w)
		}
		c.body, t, err = p.body(open, "when", "else", "endcase")
		n.choices = append(n.choices, c)
	}
	return n, err
}

// read reads what a for or a tablerow goes over, and how; cols is the columns of a tablerow, nil for a for.
func (n *forNode) read(p *parser, t token, cols *expression) {
	w := p.words(t)
	n.at, n.variable = t.from, w.name()
	w.expect("in")
	from := w.peek().at
	n.over = w.operand()
	n.key = n.variable + "-" + strings.TrimSpace(p.lexer.source[from:max(from, w.peek().at)])
	for w.err == nil && w.peek().kind != endWord {
		w.accept(",")
		switch modifier := w.take(); {
		case modifier.is("reversed") && cols == nil:
			n.reversed = true
		case modifier.is("limit"):
			w.expect(":")
			n.limit = w.operand()
		case modifier.is("offset"):
			w.expect(":")
			if n.resumes = w.accept("continue"); !n.resumes {
				n.offset = w.operand()
			}
		case modifier.is("cols") && cols != nil:
			w.expect(":")
			*cols = w.operand()
		default:
			w.fail(modifier.at, "expected %s, limit: or offset:, found %s", map[bool]string{true: "reversed", false: "cols:"}[cols == nil], modifier)
		}
	}
	p.note(w)
}

func tableTag(p *parser, t token) (node, *Error) {
	n := &tableNode{}
	n.read(p, t, &n.cols)
	p.given["tablerowloop"] = true
	p.loops++
	defer func() { p.loops-- }()
	var err *Error
	n.body, _, err = p.body(t, "endtablerow")
	return n, err
}

func forTag(p *parser, t token) (node, *Error) {
	n := &forNode{}
	n.read(p, t, nil)
	p.given["forloop"] = true
	p.loops++
	body, end, err := p.body(t, "else", "endfor")
	p.loops--
	if n.body = body; err == nil && end.name == "else" {
		n.otherwise, _, err = p.body(t, "endfor")
	}
	return n, err
}
