package liquid

import (
	"fmt"

	"github.com/tripline/tripline/processor/campaign/value"
)

// flow is how a node ended: go on, or a break or continue of the loop around it.
type flow uint8

const (
	goOn flow = iota
	breakLoop
	nextTurn
)

// node is a piece of a template.
type node interface {
	render(r *renderer) (flow, error)
}

// renderer is one rendering.
type renderer struct {
	source  string
	env     Env
	out     []byte
	vars    map[string]Value
	counts  map[string]int64 // of increment and decrement
	cycles  map[string]int   // turns of cycle
	ends    map[string]int64 // where loops have ended, for offset: continue
	loop    *forloop         // the innermost
	turns   int              // of all loops so far
	work    int              // bytes of work so far
	asked   bool             // a name was looked up
	missing string           // the first path without a value in the output at hand
}

func (r *renderer) all(nodes []node) (flow, error) {
	for _, n := range nodes {
		if f, err := n.render(r); f != goOn || err != nil {
			return f, err
		}
	}
	return goOn, nil
}

func (r *renderer) fault(at int, format string, a ...any) *Error {
	line, column := place(r.source, at)
	return &Error{Line: line, Column: column, Message: fmt.Sprintf(format, a...), Certain: !r.asked}
}

// bound is the fault of a bound that was passed.
func (r *renderer) bound(at int, format string, a ...any) *Error {
	err := r.fault(at, format, a...)
	err.Certain = true
	return err
}

// charge counts work, in bytes.
func (r *renderer) charge(bytes, at int) error {
	if r.work += bytes; r.work > maxWork || bytes > maxWork {
		return r.bound(at, "more than %d MiB of work", maxWork>>20)
	}
	return nil
}

// cost is how many bytes of work it is to look at all of a value.
func cost(v Value) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case []Value:
		n := 16
		for _, e := range v {
			n += 16
			switch e := e.(type) {
			case string:
				n += len(e)
			case []Value, nested:
				n += cost(e)
			}
		}
		return n
	case nested:
		return len(v.v.Text())
	case Object:
		return 1024
	}
	return 16
}

func (r *renderer) write(s string, at int) error {
	if len(r.out)+len(s) > MaxOutput {
		return r.bound(at, "more than %d bytes of output", MaxOutput)
	}
	r.out = append(r.out, s...)
	return r.charge(len(s), at)
}

func (r *renderer) lookup(name string) Value {
	r.asked = true
	if v, ok := r.vars[name]; ok {
		return v
	}
	if n, ok := r.counts[name]; ok {
		return whole(n)
	}
	if r.env.Look == nil {
		return nil
	}
	return r.env.Look(name)
}

func (r *renderer) set(name string, v Value) {
	if r.vars == nil {
		r.vars = make(map[string]Value)
	}
	r.vars[name] = v
}

// member is the member of v that key names: of a list by number or first, last, size, of an object by name.
func (r *renderer) member(v, key Value, at int) (Value, error) {
	switch v := v.(type) {
	case nested:
		if err := r.charge(len(v.v.Text()), at); err != nil {
			return nil, err
		}
		return r.found(memberOf(properties(v.v.Fields()), key), at)
	case Object:
		return r.found(memberOf(v, key), at)
	case []Value:
		if n, ok := key.(value.Value); ok {
			i := wholeOf(n)
			if i < 0 {
				i += int64(len(v))
			}
			if i < 0 || i >= int64(len(v)) {
				return nil, nil
			}
			return v[i], nil
		}
		return endOf(v, key), nil
	case string, span:
		if key == "size" {
			return whole(size(v)), nil
		}
	}
	return nil, nil
}

// found charges for a list, which was taken apart to be looked at.
func (r *renderer) found(v Value, at int) (Value, error) {
	if list, ok := v.([]Value); ok {
		return v, r.charge(cost(list), at)
	}
	return v, r.charge(64, at)
}

func memberOf(o Object, key Value) Value {
	name, ok := key.(string)
	if !ok {
		name = text(key)
	}
	v := o.Member(name)
	if v == nil && name == "size" {
		return whole(size(o))
	}
	return v
}

func endOf(list []Value, key Value) Value {
	switch {
	case key == "size":
		return whole(int64(len(list)))
	case key == "first" && len(list) > 0:
		return list[0]
	case key == "last" && len(list) > 0:
		return list[len(list)-1]
	}
	return nil
}

// apply calls a filter.
func (r *renderer) apply(a *application, in Value) (Value, error) {
	args := make([]Value, len(a.args))
	work := cost(in)
	for i, arg := range a.args {
		v, err := arg.eval(r)
		if err != nil {
			return nil, err
		}
		args[i] = v
		work += cost(v)
	}
	if err := r.charge(work, a.at); err != nil {
		return nil, err
	}
	out, err := a.filter.apply(&call{r: r, at: a.at, in: in, args: args, named: len(a.names) > 0})
	if err != nil {
		return nil, err
	}
	if s, ok := out.(string); ok && len(s) > MaxOutput {
		return nil, r.bound(a.at, "more than %d bytes of text", MaxOutput)
	}
	return out, r.charge(cost(out), a.at)
}

// output evaluates what {{ }} and echo show. Strict lets no missing value through.
func (r *renderer) output(p *pipeline, at int) error {
	r.missing = ""
	v, err := p.eval(r)
	if err != nil {
		return err
	}
	if r.env.Strict && r.missing != "" && !p.lenient {
		return &MissingError{Path: r.missing}
	}
	if s, ok := v.(string); ok {
		return r.write(s, at)
	}
	if err := r.charge(cost(v), at); err != nil {
		return err
	}
	return r.write(text(v), at)
}

// tableNode is tablerow: a loop whose turns are the cells of a table.
type tableNode struct {
	forNode
	cols expression // nil: all are in one row
}

// tablerowloop is what it says of itself.
type tablerowloop struct {
	forloop
	cols int64
}

func (t *tablerowloop) Member(name string) Value {
	col := t.index % t.cols
	switch name {
	case "col":
		return whole(col + 1)
	case "col0":
		return whole(col)
	case "row":
		return whole(t.index/t.cols + 1)
	case "col_first":
		return col == 0
	case "col_last":
		return col == t.cols-1
	}
	return t.forloop.Member(name)
}

func (n *tableNode) render(r *renderer) (flow, error) {
	at, length, err := n.elements(r)
	if err != nil || at == nil {
		return goOn, err
	}
	loop := &tablerowloop{forloop{length: length}, max(1, length)}
	if n.cols != nil {
		v, err := n.cols.eval(r)
		if err != nil {
			return goOn, err
		}
		if cols := wholeOf(v); cols > 0 {
			loop.cols = cols
		}
	}
	outer, had := r.vars[n.variable]
	outerLoop, hadLoop := r.vars["tablerowloop"]
	defer func() {
		r.restore(n.variable, outer, had)
		r.restore("tablerowloop", outerLoop, hadLoop)
	}()
	r.set("tablerowloop", loop)
	text := "<tr class=\"row1\">\n"
	for i := range length {
		if r.turns++; r.turns > MaxTurns {
			return goOn, r.bound(n.at, "more than %d turns of loops", MaxTurns)
		}
		loop.index = i
		r.set(n.variable, at(i))
		col, row := i%loop.cols, i/loop.cols
		if err := r.write(text+fmt.Sprintf("<td class=\"col%d\">", col+1), n.at); err != nil {
			return goOn, err
		}
		f, err := r.all(n.body)
		if err != nil {
			return goOn, err
		}
		if text = "</td>"; f == breakLoop {
			break
		}
		if col == loop.cols-1 && i < length-1 {
			text += fmt.Sprintf("</tr>\n<tr class=\"row%d\">", row+2)
		}
	}
	return goOn, r.write(text+"</tr>\n", n.at)
}
