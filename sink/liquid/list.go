package liquid

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tripline/tripline/processor/campaign/value"
)

var listFilters = map[string]*filter{
	"compact":      onList(compact, 0, 1),
	"concat":       onList(concat, 1, 1),
	"find":         onList(find, 1, 2),
	"find_index":   onList(findIndex, 1, 2),
	"first":        onList(func(_ *call, list []Value) (Value, error) { return endOf(list, "first"), nil }, 0, 0),
	"has":          onList(has, 1, 2),
	"join":         onList(join, 0, 1),
	"last":         onList(func(_ *call, list []Value) (Value, error) { return endOf(list, "last"), nil }, 0, 0),
	"map":          onList(mapped, 1, 1),
	"reject":       onList(reject, 1, 2),
	"reverse":      onList(reverse, 0, 0),
	"sort":         onList(sorted(func(s string) string { return s }), 0, 1),
	"sort_natural": onList(sorted(strings.ToLower), 0, 1),
	"sum":          onList(sum, 0, 1),
	"uniq":         onList(uniq, 0, 1),
	"where":        onList(where, 1, 2),
}

// of is an element itself or, where the filter's first argument names a property, that of the element.
func (c *call) of(element Value) (Value, error) {
	if len(c.args) == 0 {
		return element, nil
	}
	if _, ok := element.(Object); !ok {
		return nil, nil
	}
	return c.r.member(element, text(c.args[0]), c.at)
}

// each calls visit with every element and its property.
func (c *call) each(list []Value, visit func(element, property Value)) error {
	for _, element := range list {
		property, err := c.of(element)
		if err != nil {
			return err
		}
		visit(element, property)
	}
	return nil
}

// matches reports whether a property is what the second argument says, or without one, whether it is true.
func (c *call) matches(property Value) bool {
	if len(c.args) > 1 {
		return equal(property, c.args[1])
	}
	return truthy(property)
}

func where(c *call, list []Value) (Value, error) {
	var kept []Value
	err := c.each(list, func(element, property Value) {
		if c.matches(property) {
			kept = append(kept, element)
		}
	})
	return kept, err
}

func reject(c *call, list []Value) (Value, error) {
	var kept []Value
	err := c.each(list, func(element, property Value) {
		if !c.matches(property) {
			kept = append(kept, element)
		}
	})
	return kept, err
}

func (c *call) index(list []Value) (found int, err error) {
	i := 0
	found = -1
	err = c.each(list, func(_, property Value) {
		if found < 0 && c.matches(property) {
			found = i
		}
		i++
	})
	return found, err
}

func find(c *call, list []Value) (Value, error) {
	i, err := c.index(list)
	if i < 0 || err != nil {
		return nil, err
	}
	return list[i], nil
}

func findIndex(c *call, list []Value) (Value, error) {
	i, err := c.index(list)
	if i < 0 || err != nil {
		return nil, err
	}
	return whole(int64(i)), nil
}

func has(c *call, list []Value) (Value, error) {
	i, err := c.index(list)
	return i >= 0, err
}

func mapped(c *call, list []Value) (Value, error) {
	out := make([]Value, 0, len(list))
	err := c.each(list, func(_, property Value) { out = append(out, property) })
	return out, err
}

func compact(c *call, list []Value) (Value, error) {
	out := make([]Value, 0, len(list))
	err := c.each(list, func(element, property Value) {
		if property != nil {
			out = append(out, element)
		}
	})
	return out, err
}

func concat(c *call, list []Value) (Value, error) {
	more, err := c.listFrom(c.arg(0))
	if err != nil {
		return nil, err
	}
	return slices.Concat(list, more), nil
}

func reverse(_ *call, list []Value) (Value, error) {
	out := slices.Clone(list)
	slices.Reverse(out)
	return out, nil
}

func join(c *call, list []Value) (Value, error) {
	by := " "
	if len(c.args) > 0 {
		by = text(c.args[0])
	}
	var out []byte
	for i, element := range list {
		if i > 0 {
			out = append(out, by...)
		}
		if out = appendText(out, element); len(out) > MaxOutput {
			return nil, c.bound("more than %d bytes of text", MaxOutput)
		}
	}
	return string(out), nil
}

// sorted orders numbers, then texts, then everything else as it stands; what is missing comes last.
func sorted(key func(string) string) func(c *call, list []Value) (Value, error) {
	type entry struct {
		rank    int
		text    string
		by, has Value
	}
	return func(c *call, list []Value) (Value, error) {
		entries := make([]entry, 0, len(list))
		err := c.each(list, func(element, property Value) {
			e := entry{rank: 2, by: property, has: element}
			switch p := property.(type) {
			case nil:
				e.rank = 3
			case value.Value:
				e.rank = 0
			case string:
				e.rank, e.text = 1, key(p)
			}
			entries = append(entries, e)
		})
		slices.SortStableFunc(entries, func(a, b entry) int {
			if a.rank == 0 && b.rank == 0 {
				order, _ := compare(a.by, b.by)
				return order
			}
			return cmp.Or(a.rank-b.rank, strings.Compare(a.text, b.text))
		})
		out := make([]Value, len(entries))
		for i, e := range entries {
			out[i] = e.has
		}
		return out, err
	}
}

func sum(c *call, list []Value) (Value, error) {
	var total Value = whole(0)
	plus := numberFilters["plus"].apply
	var failed error
	err := c.each(list, func(_, property Value) {
		if failed == nil {
			total, failed = plus(&call{r: c.r, at: c.at, in: total, args: []Value{property}})
		}
	})
	return total, cmp.Or(err, failed)
}

func uniq(c *call, list []Value) (Value, error) {
	seen := make(map[string]bool, len(list))
	out := make([]Value, 0, len(list))
	err := c.each(list, func(element, property Value) {
		var key string
		if n, ok := property.(value.Value); ok {
			key = string(n.AppendKey(nil))
		} else {
			key = "\x00" + string(appendJSON(nil, property))
		}
		if !seen[key] {
			seen[key] = true
			out = append(out, element)
		}
	})
	return out, err
}
