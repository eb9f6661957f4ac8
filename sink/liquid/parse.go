package liquid

import (
	"maps"
	"slices"
)

// parser reads a template. Errors within an output or a tag are noted and reading goes on behind it; one in the structure
// ends it.
type parser struct {
	lexer   lexer
	scope   Scope
	only    bool // outputs only
	errors  []*Error
	nesting int             // of blocks
	loops   int             // of these, loops
	given   map[string]bool // names that the template gives a value itself
	refers  []*path         // every path
	texts   []string        // every argument of a filter that is a text
}

func parse(source string, scope Scope, outputsOnly bool) (*Template, []*Error) {
	p := &parser{lexer: lexer{source: source}, scope: scope, only: outputsOnly, given: map[string]bool{}}
	nodes, _, err := p.block(nil)
	if err != nil {
		p.errors = append(p.errors, err)
	} else {
		p.resolve()
	}
	if len(p.errors) > 0 {
		slices.SortStableFunc(p.errors, func(a, b *Error) int {
			if a.Line != b.Line {
				return a.Line - b.Line
			}
			return a.Column - b.Column
		})
		return nil, p.errors
	}
	return &Template{source: source, nodes: nodes, refers: p.refers, texts: p.texts}, nil
}

// refer notes a path; whether its name is known is settled at the end, since a loop may use what a later tag assigns.
func (p *parser) refer(to *path) { p.refers = append(p.refers, to) }

func (p *parser) resolve() {
	names := slices.Sorted(maps.Keys(p.scope))
	for name := range p.given {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, to := range p.refers {
		if p.given[to.name] {
			continue
		}
		members, known := p.scope[to.name]
		if !known {
			err := p.lexer.fault(to.at, "unknown name "+to.name)
			err.Suggestion = nearest(to.name, names)
			p.errors = append(p.errors, err)
			continue
		}
		if members == nil || len(to.steps) == 0 {
			continue
		}
		if l, ok := to.steps[0].(literal); ok {
			if name, ok := l.v.(string); ok && !slices.Contains(members, name) {
				err := p.lexer.fault(to.at, to.name+" has no "+name)
				err.Suggestion = nearest(name, members)
				p.errors = append(p.errors, err)
			}
		}
	}
}

// block reads nodes up to one of the tags of ends, which it returns, or to the end of the template if there are none.
func (p *parser) block(ends []string) (nodes []node, end token, err *Error) {
	for {
		t, err := p.lexer.next()
		if err != nil {
			return nil, t, err
		}
		switch t.kind {
		case endToken:
			return nodes, t, nil
		case textToken:
			if t.body != "" {
				nodes = append(nodes, textNode{t.body, t.at})
			}
		case outputToken:
			w := p.words(t)
			pipe := w.pipeline()
			w.end()
			if p.note(w) {
				nodes = append(nodes, outputNode{pipe, t.from})
			}
		case tagToken:
			if slices.Contains(ends, t.name) {
				return nodes, t, nil
			}
			n, err := p.tag(t)
			if err != nil {
				return nil, t, err
			}
			if n != nil {
				nodes = append(nodes, n)
			}
		}
	}
}

// lines reads the nodes that stand in a tag liquid, one a line.
func (p *parser) lines(t token) ([]node, *Error) {
	outer := p.lexer
	p.lexer.at, p.lexer.lines = t.at, t.at+len(t.body)
	defer func() { p.lexer = outer }()
	nodes, _, err := p.block(nil)
	return nodes, err
}

// words begins to read the body of a token.
func (p *parser) words(t token) *words {
	all, bad, at := scan(t.body, t.at)
	w := &words{p: p, all: all}
	if bad != "" {
		w.all = []word{{at: t.at}}
		w.fail(at, "%s", bad)
	}
	return w
}

// note keeps the error of an expression, if there is one.
func (p *parser) note(w *words) (ok bool) {
	if w.err != nil {
		p.errors = append(p.errors, w.err)
	}
	return w.err == nil
}

// body reads the nodes of a block that t opens, up to one of ends, the last of which is its end tag.
func (p *parser) body(t token, ends ...string) ([]node, token, *Error) {
	p.nesting++
	defer func() { p.nesting-- }()
	if p.nesting > maxDepth {
		return nil, t, p.lexer.fault(t.from, "blocks are nested too deeply")
	}
	nodes, end, err := p.block(ends)
	if err == nil && end.kind == endToken {
		err = p.lexer.fault(t.from, "this "+t.name+" is not closed: expected {% "+ends[len(ends)-1]+" %}")
	}
	return nodes, end, err
}
