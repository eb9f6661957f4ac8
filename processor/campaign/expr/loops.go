package expr

import (
	"sort"

	"github.com/expr-lang/expr/ast"
)

// loop is a function over a list with a predicate: the slots of #, #index and #acc.
type loop struct{ element, index, acc int }

// walk is one run of a loop.
type walk struct {
	loop
	f        *frame
	at       int
	elements []operand
	body     eval // nil: the element itself
	extra    eval // sortBy: the order; reduce: the initial value; or nil
}

// loops run the functions with a predicate, over a list that is not nil.
var loops = map[string]func(w *walk) operand{
	"all":           func(w *walk) operand { return ofBool(w.next(0, 1, false) < 0) },
	"none":          func(w *walk) operand { return ofBool(w.next(0, 1, true) < 0) },
	"any":           func(w *walk) operand { return ofBool(w.next(0, 1, true) >= 0) },
	"one":           func(w *walk) operand { return ofBool(len(w.matching()) == 1) },
	"count":         func(w *walk) operand { return ofInt(int64(len(w.matching()))) },
	"filter":        func(w *walk) operand { return ofList(w.matching()) },
	"find":          func(w *walk) operand { return w.elementAt(w.next(0, 1, true)) },
	"findLast":      func(w *walk) operand { return w.elementAt(w.next(len(w.elements)-1, -1, true)) },
	"findIndex":     func(w *walk) operand { return w.indexAt(w.next(0, 1, true)) },
	"findLastIndex": func(w *walk) operand { return w.indexAt(w.next(len(w.elements)-1, -1, true)) },
	"map":           func(w *walk) operand { return ofList(w.values()) },
	"sum":           (*walk).sum,
	"reduce":        (*walk).reduce,
	"groupBy":       (*walk).groupBy,
	"sortBy":        (*walk).sortBy,
}

// loop compiles a call of one of loops. A list that is nil makes the result nil.
func (c *compiler) loop(n *ast.BuiltinNode, run func(*walk) operand) eval {
	at, list := n.Location().From, c.eval(n.Arguments[0])
	l := loop{c.slot(), c.slot(), c.slot()}
	var body, extra eval
	if len(n.Arguments) > 1 {
		c.loops = append(c.loops, l)
		body = c.eval(n.Arguments[1].(*ast.PredicateNode).Node)
		c.loops = c.loops[:len(c.loops)-1]
	}
	if len(n.Arguments) > 2 {
		extra = c.eval(n.Arguments[2])
	}
	name := n.Name
	return func(f *frame) operand {
		o := list(f)
		if o.kind == kindNil {
			return operand{}
		}
		elements, ok := f.sequence(o)
		if !ok {
			return f.fail(at, "%s is not defined on %s", name, o.kind)
		}
		return run(&walk{loop: l, f: f, at: at, elements: elements, body: body, extra: extra})
	}
}

// sequence is the elements of a list, the values of a map or the bytes of a string.
func (f *frame) sequence(o operand) (all []operand, ok bool) {
	if d, isMap := f.dictionary(o); isMap {
		return d.values, true
	}
	if o.kind != kindString {
		return f.elements(o)
	}
	if !f.spend(len(o.text)) {
		return nil, false
	}
	all = make([]operand, len(o.text))
	for i := range all {
		all[i] = ofInt(int64(o.text[i]))
	}
	return all, true
}

func (c *compiler) pointer(n *ast.PointerNode) eval {
	if len(c.loops) == 0 {
		c.problem(n, "# has a meaning only in the predicate of a function such as filter()", "")
		return nil
	}
	slot := c.loops[len(c.loops)-1].element
	switch n.Name {
	case "index":
		slot = c.loops[len(c.loops)-1].index
	case "acc":
		slot = c.loops[len(c.loops)-1].acc
	}
	return func(f *frame) operand { return f.slots[slot] }
}

// step evaluates the predicate on element i; it is false once something has failed.
func (w *walk) step(i int) (result operand, ok bool) {
	if !w.f.spend(1) {
		return operand{}, false
	}
	if w.body == nil {
		return w.elements[i], true
	}
	w.f.slots[w.element], w.f.slots[w.index] = w.elements[i], ofInt(int64(i))
	result = w.body(w.f)
	return result, w.f.err == nil
}

// next is the first index from i, in steps of by, of which the predicate says wanted; -1: there is none.
func (w *walk) next(i, by int, wanted bool) int {
	for ; i >= 0 && i < len(w.elements); i += by {
		result, ok := w.step(i)
		if !ok {
			return -1
		}
		if result.isTrue() == wanted {
			return i
		}
	}
	return -1
}

func (w *walk) elementAt(i int) operand {
	if i < 0 {
		return operand{}
	}
	return w.elements[i]
}

func (w *walk) indexAt(i int) operand {
	if i < 0 {
		return operand{}
	}
	return ofInt(int64(i))
}

// matching are the elements of which the predicate is true.
func (w *walk) matching() (kept []operand) {
	for i := range w.elements {
		result, ok := w.step(i)
		if !ok {
			return nil
		}
		if result.isTrue() {
			kept = append(kept, w.elements[i])
		}
	}
	return kept
}

// values are what the predicate gives for each element; nil after a failure.
func (w *walk) values() []operand {
	values := make([]operand, len(w.elements))
	for i := range w.elements {
		result, ok := w.step(i)
		if !ok {
			return nil
		}
		values[i] = result
	}
	return values
}

func (w *walk) sum() operand {
	total := ofInt(0)
	for _, v := range w.values() {
		total = w.f.calculate(w.at, '+', v, total)
	}
	return total
}

func (w *walk) reduce() operand {
	i := 0
	var acc operand
	switch {
	case w.extra != nil:
		acc = w.extra(w.f)
	case len(w.elements) == 0:
		return w.f.fail(w.at, "reduce of an empty list without an initial value")
	default:
		i, acc = 1, w.elements[0]
	}
	for ; i < len(w.elements); i++ {
		w.f.slots[w.acc] = acc
		var ok bool
		if acc, ok = w.step(i); !ok {
			return operand{}
		}
	}
	return acc
}

// groupBy keeps the groups in the order in which their keys come.
func (w *walk) groupBy() operand {
	groups := map[any][]operand{}
	d := &dictionary{absent: nilList}
	for i, key := range w.values() {
		hash, ok := key.hashed()
		if !ok {
			return w.f.fail(w.at, "%s cannot be a key", key.kind)
		}
		groups[hash] = append(groups[hash], w.elements[i])
		d.set(hash, key, operand{})
	}
	for i, key := range d.keys {
		hash, _ := key.hashed()
		d.values[i] = ofList(groups[hash])
	}
	return operand{kind: kindMap, ref: d}
}

// ranking sorts elements by their keys as expr-lang does: with sort.Sort, so that equal ones end in the same places.
type ranking struct {
	elements, keys []operand
	descending     bool
	unlike         bool // two keys had no order
}

func (r *ranking) Len() int { return len(r.elements) }

func (r *ranking) Swap(i, j int) {
	r.elements[i], r.elements[j] = r.elements[j], r.elements[i]
	r.keys[i], r.keys[j] = r.keys[j], r.keys[i]
}

func (r *ranking) Less(i, j int) bool {
	if r.descending {
		i, j = j, i
	}
	o, ok := order(r.keys[i], r.keys[j])
	r.unlike = r.unlike || !ok && !(r.keys[i].isNumber() && r.keys[j].isNumber()) // NaN is not less than any
	return ok && o < 0
}

func (w *walk) sortBy() operand {
	r := ranking{elements: append([]operand(nil), w.elements...)}
	if w.extra != nil {
		direction := w.extra(w.f)
		if direction.text != "asc" && direction.text != "desc" {
			return w.f.fail(w.at, `sortBy: the order is "asc" or "desc"`)
		}
		r.descending = direction.text == "desc"
	}
	if r.keys = w.values(); w.f.err != nil {
		return operand{}
	}
	if sort.Sort(&r); r.unlike {
		return w.f.fail(w.at, "sortBy: the keys have no order")
	}
	return ofList(r.elements)
}
