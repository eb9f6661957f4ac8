package liquid

import (
	"iter"
	"slices"

	"github.com/tripline/tripline/processor/campaign/value"
)

type allNode struct{ nodes []node }

func (n allNode) render(r *renderer) (flow, error) { return r.all(n.nodes) }

type textNode struct {
	text string
	at   int
}

func (n textNode) render(r *renderer) (flow, error) { return goOn, r.write(n.text, n.at) }

type outputNode struct {
	of *pipeline
	at int
}

func (n outputNode) render(r *renderer) (flow, error) { return goOn, r.output(n.of, n.at) }

type abortNode struct{ reason *pipeline }

func (n abortNode) render(r *renderer) (flow, error) {
	v, err := n.reason.eval(r)
	if err != nil {
		return goOn, err
	}
	return goOn, &AbortError{Reason: text(v)}
}

type assignNode struct {
	name  string
	value *pipeline
}

func (n assignNode) render(r *renderer) (flow, error) {
	v, err := n.value.eval(r)
	if err == nil {
		r.set(n.name, v)
	}
	return goOn, err
}

type captureNode struct {
	name string
	body []node
	at   int
}

func (n captureNode) render(r *renderer) (flow, error) {
	out := r.out
	r.out = nil
	f, err := r.all(n.body)
	r.set(n.name, string(r.out))
	r.out = out
	return f, err
}

type flowNode struct{ f flow }

func (n flowNode) render(*renderer) (flow, error) { return n.f, nil }

// countNode is increment, which shows a count and then raises it, or decrement, which lowers it and then shows it.
type countNode struct {
	name string
	by   int64
	at   int
}

func (n countNode) render(r *renderer) (flow, error) {
	if r.counts == nil {
		r.counts = make(map[string]int64)
	}
	shown := r.counts[n.name]
	r.counts[n.name] += n.by
	if n.by < 0 {
		shown = r.counts[n.name]
	}
	return goOn, r.write(whole(shown).Text(), n.at)
}

type cycleNode struct {
	group expression // nil: key stands for it
	key   string
	of    []expression
	at    int
}

func (n cycleNode) render(r *renderer) (flow, error) {
	key := n.key
	if n.group != nil {
		v, err := n.group.eval(r)
		if err != nil {
			return goOn, err
		}
		key = "\x00" + text(v)
	}
	if r.cycles == nil {
		r.cycles = make(map[string]int)
	}
	turn := r.cycles[key] % len(n.of)
	r.cycles[key] = turn + 1
	v, err := n.of[turn].eval(r)
	if err != nil {
		return goOn, err
	}
	return goOn, r.write(text(v), n.at)
}

// branch is an if, elsif or unless with what it renders; the last may be an else, without a condition.
type branch struct {
	when    condition
	negated bool
	body    []node
}

type ifNode struct{ branches []branch }

func (n ifNode) render(r *renderer) (flow, error) {
	for _, b := range n.branches {
		if b.when != nil {
			holds, err := b.when.holds(r)
			if err != nil {
				return goOn, err
			}
			if holds == b.negated {
				continue
			}
		}
		return r.all(b.body)
	}
	return goOn, nil
}

type choice struct {
	of        []expression
	otherwise bool
	body      []node
}

type caseNode struct {
	of      expression
	choices []choice
	at      int
}

func (n caseNode) render(r *renderer) (flow, error) {
	v, err := n.of.eval(r)
	if err != nil {
		return goOn, err
	}
	chosen := false
	for _, c := range n.choices {
		taken := c.otherwise && !chosen
		for _, e := range c.of {
			candidate, err := e.eval(r)
			if err != nil {
				return goOn, err
			}
			if err := r.charge(cost(v)+cost(candidate), n.at); err != nil {
				return goOn, err
			}
			taken = taken || equal(v, candidate)
		}
		if !taken {
			continue
		}
		chosen = true
		if f, err := r.all(c.body); f != goOn || err != nil {
			return f, err
		}
	}
	return goOn, nil
}

type forNode struct {
	variable        string
	over            expression
	key             string // of what resumes it: another loop of the same variable over the same
	reversed        bool
	limit, offset   expression
	resumes         bool // offset: continue
	body, otherwise []node
	at              int
}

// forloop is what a loop says of itself.
type forloop struct {
	index, length int64
	parent        *forloop
}

func (f *forloop) Member(name string) Value {
	switch name {
	case "index":
		return whole(f.index + 1)
	case "index0":
		return whole(f.index)
	case "rindex":
		return whole(f.length - f.index)
	case "rindex0":
		return whole(f.length - f.index - 1)
	case "first":
		return f.index == 0
	case "last":
		return f.index == f.length-1
	case "length":
		return whole(f.length)
	case "parentloop":
		if f.parent != nil {
			return f.parent
		}
	}
	return nil
}

func (f *forloop) Members() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		for _, name := range []string{"index", "index0", "rindex", "rindex0", "first", "last", "length"} {
			if !yield(name, f.Member(name)) {
				return
			}
		}
	}
}

func (f *forloop) AppendJSON(dst []byte) []byte {
	var p value.Properties
	for name, v := range f.Members() {
		member, _ := value.Parse(appendJSON(nil, v)) // numbers and booleans
		p = append(p, value.Property{Name: name, Value: member})
	}
	return p.Append(dst)
}

func (n *forNode) render(r *renderer) (flow, error) {
	at, length, err := n.elements(r)
	if err != nil {
		return goOn, err
	}
	if length == 0 {
		return r.all(n.otherwise)
	}
	outer, had := r.vars[n.variable]
	outerLoop, hadLoop := r.vars["forloop"]
	parent := r.loop
	defer func() {
		r.loop = parent
		r.restore(n.variable, outer, had)
		r.restore("forloop", outerLoop, hadLoop)
	}()
	r.loop = &forloop{length: length, parent: parent}
	r.set("forloop", r.loop)
	for i := range length {
		if r.turns++; r.turns > MaxTurns {
			return goOn, r.bound(n.at, "more than %d turns of loops", MaxTurns)
		}
		r.loop.index = i
		r.set(n.variable, at(i))
		if f, err := r.all(n.body); f == breakLoop || err != nil {
			return goOn, err
		}
	}
	return goOn, nil
}

func (r *renderer) restore(name string, v Value, had bool) {
	if had {
		r.vars[name] = v
	} else {
		delete(r.vars, name)
	}
}

// elements is what the loop goes over: the i-th turn's value, and how many turns there are. Of nothing at all turn is nil.
func (n *forNode) elements(r *renderer) (turn func(i int64) Value, length int64, err error) {
	over, err := n.over.eval(r)
	if err != nil {
		return nil, 0, err
	}
	from := int64(0)
	var at func(i int64) Value
	switch over := over.(type) {
	case nil:
		return nil, 0, nil
	case span:
		at, length = func(i int64) Value { return whole(over.from + i) }, over.len()
	case string:
		at, length = func(int64) Value { return over }, int64(min(1, len(over)))
	default:
		list := listOf(over)
		if err := r.charge(cost(list), n.at); err != nil {
			return nil, 0, err
		}
		at, length = func(i int64) Value { return list[i] }, int64(len(list))
	}
	if n.resumes {
		from = min(r.ends[n.key], length)
		length -= from
	}
	for _, bound := range []struct {
		by    expression
		limit bool
	}{{n.offset, false}, {n.limit, true}} {
		if bound.by == nil {
			continue
		}
		v, err := bound.by.eval(r)
		if err != nil {
			return nil, 0, err
		}
		switch by := max(0, wholeOf(v)); {
		case v == nil:
		case bound.limit:
			length = min(length, by)
		default:
			by = min(by, length)
			from, length = by, length-by
		}
	}
	if r.ends == nil {
		r.ends = make(map[string]int64)
	}
	r.ends[n.key] = from + length
	if n.reversed {
		return func(i int64) Value { return at(from + length - 1 - i) }, length, nil
	}
	return func(i int64) Value { return at(from + i) }, length, nil
}

// listOf is a list as it is, an object as a list of names and values, nothing as an empty list. Everything else is alone.
func listOf(v Value) []Value {
	switch v := v.(type) {
	case nil:
		return nil
	case []Value:
		return v
	case Object:
		var pairs []Value
		for name, member := range v.Members() {
			pairs = append(pairs, []Value{name, member})
		}
		return slices.Clip(pairs)
	}
	return []Value{v}
}
