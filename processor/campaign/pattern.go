package campaign

import (
	"fmt"
	"slices"

	"github.com/tripline/tripline/processor/campaign/expr"
	"github.com/tripline/tripline/processor/campaign/history"
)

// pattern is a compiled event pattern. Its key is the list of properties that tie events together, under the names
// that they have on this pattern's events.
type pattern struct {
	event   string
	where   *expr.Program
	atLeast int
	key     []string
}

// pattern compiles p; counts says whether at_least may stand there.
func (c *compiler) pattern(path string, p *Pattern, same []string, counts bool) pattern {
	if p == nil {
		c.problem(path, "is required: an event pattern such as {event: Charged}")
		return pattern{atLeast: 1}
	}
	out := pattern{event: p.Event, atLeast: 1}
	if p.Event == "" {
		c.problem(path+".event", "is required: the name of an event")
	}
	if p.Where != "" {
		out.where = c.expression(path+".where", p.Where, expr.Where)
	}
	if p.AtLeast != nil {
		switch {
		case !counts:
			c.problem(path+".at_least", "belongs to actions and inaction; it has no meaning here")
		case *p.AtLeast < 1:
			c.problem(path+".at_least", "expected at least 1")
		default:
			out.atLeast = *p.AtLeast
		}
	}
	for from := range p.Alias {
		if !slices.Contains(same, from) {
			c.problem(path+".alias", fmt.Sprintf("%s is not one of the properties under same", from))
		}
	}
	for _, name := range same {
		if other, ok := p.Alias[name]; ok {
			name = other
		}
		out.key = append(out.key, name)
	}
	c.used.names(out.key...)
	return out
}

func (c *compiler) same(path string, same []string) {
	for i, name := range same {
		if name == "" || slices.Contains(same[:i], name) {
			c.problem(path, "expected names of properties, each once")
			return
		}
	}
}

// match says whether e fits the pattern, and with which key. The key is the empty text where nothing ties events
// together; an event that lacks one of the properties does not match.
func (p *pattern) match(s *step, c *campaign, e *history.Event) (key string, ok bool) {
	if e.Name != p.event {
		return "", false
	}
	if key, ok = keyOf(e, p.key); !ok {
		return "", false
	}
	if p.where != nil && !s.holds(c, p.where, e) {
		return "", false
	}
	return key, true
}

// fits is match for a given key.
func (p *pattern) fits(s *step, c *campaign, e *history.Event, key string) bool {
	got, ok := p.match(s, c, e)
	return ok && got == key
}

// keyOf is a text that is equal for two events exactly if the named properties have equal values of equal type.
func keyOf(e *history.Event, names []string) (string, bool) {
	if len(names) == 0 {
		return "", true
	}
	var key []byte
	for _, name := range names {
		v := e.Properties.Get(name)
		if v.IsNil() {
			return "", false
		}
		key = v.AppendKey(key)
	}
	return string(key), true
}

// holds evaluates a where on an event; what fails at run time is false, and counted.
func (s *step) holds(c *campaign, p *expr.Program, e *history.Event) bool {
	s.env = expr.Env{Event: e.Properties, HasEvent: true, User: s.user.id, Now: e.Time}
	ok, err := p.True(&s.env)
	if err != nil {
		s.out.Counts.campaign(c).ExpressionErrors++
	}
	return ok
}
