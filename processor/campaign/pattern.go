package campaign

import (
	"fmt"
	"math"
	"slices"

	"github.com/tripline/tripline/processor/campaign/expr"
	"github.com/tripline/tripline/processor/campaign/history"
	"github.com/tripline/tripline/processor/campaign/value"
)

// pattern is a compiled event pattern. Its key is the list of properties that tie events together, under the names
// that they have on this pattern's events.
type pattern struct {
	event   string
	where   *expr.Program
	atLeast int
	key     []string
	alone   [1]string // event: whom a scan for it asks
}

// names are those of the properties that history keeps.
type names struct {
	all   map[string]bool
	list  []string // the same
	sizes uint64   // bit n: one has n bytes, modulo 64. Most others do not, and need not be looked up
}

func newNames(all map[string]bool) *names {
	n := &names{all: all}
	for name := range all {
		n.list = append(n.list, name)
		n.sizes |= 1 << (len(name) % 64)
	}
	return n
}

// of appends those of the properties that are kept.
func (n *names) of(dst, properties value.Properties) value.Properties {
	for i := range properties {
		if p := &properties[i]; n.has(p.Name) {
			dst = append(dst, *p)
		}
	}
	return dst
}

func (n *names) has(name string) bool {
	if n.sizes&(1<<(len(name)%64)) == 0 {
		return false
	}
	if len(n.list) <= 8 { // to compare takes less than a hash
		return slices.Contains(n.list, name)
	}
	return n.all[name]
}

// usage collects what history must keep for a set of campaigns.
type usage struct {
	remember map[string]bool
	keep     map[string]bool // names of properties
	all      bool            // every property may be asked for
	longest  int64           // the longest look-back in ms
	stale    int64           // the longest stale_after in ms
}

func newUsage(rules Rules) *usage {
	u := &usage{remember: map[string]bool{}, keep: map[string]bool{}}
	u.names(rules.Keep...)
	return u
}

func (u *usage) names(names ...string) {
	for _, n := range names {
		u.keep[n] = true
	}
}

func (u *usage) program(p *expr.Program) {
	names, all := p.EventProperties()
	u.all = u.all || all
	u.names(names...)
	for _, l := range p.Lookups() {
		u.longest = max(u.longest, l.Window)
		switch l.Function {
		case expr.First, expr.Last, expr.Since:
			u.remember[l.Event] = true
		}
		u.names(l.Members...)
		u.all = u.all || l.All
		if l.Property != "" {
			u.names(l.Property)
		}
		if l.Predicate != nil {
			u.program(l.Predicate)
		}
	}
}

// Sparing is the set for users whose state ends with its input: their history keeps, of the properties of events, only what a
// campaign may still ask for, or show in a trigger. Nothing that is decided differs. All properties are kept of the events
// that the campaigns listen to for which whole says so: whoever looks at a user (see View) sees them.
func (s *Set) Sparing(whole func(campaign string) bool) *Set {
	if s.asked == nil || s.keep != nil {
		return s
	}
	spared := *s
	spared.spare = map[string]bool{}
	for _, c := range s.campaigns {
		shown := c.kind.shown()
		if whole(c.def.Name) {
			shown = c.kind.names()
		}
		for _, name := range shown {
			spared.spare[name] = true
		}
	}
	return &spared
}

// Telling is the set with every not_in_audience written as a decision, whatever its rules say: for who runs it, and sorts them out.
func (s *Set) Telling() *Set {
	telling := *s
	telling.rules.NotInAudience = true
	return &telling
}

// clone is a copy of an event with these properties that outlives the record that it was read from.
func (s *step) clone(e *history.Event, properties value.Properties) *history.Event {
	return s.user.room.Copy(e, properties, s.set.names)
}

// Spare puts the user under a Sparing of their set, or of the set that this is one of.
func (u *User) Spare(s *Set) { u.set = s }

// pattern compiles p; counts says whether at_least may stand there.
func (c *compiler) pattern(path string, p *Pattern, same []string, counts bool) pattern {
	if p == nil {
		c.problem(path, "is required: an event pattern such as {event: Charged}")
		return pattern{atLeast: 1}
	}
	out := pattern{event: p.Event, atLeast: 1, alone: [1]string{p.Event}}
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
	if e.Name != p.event || !s.user.sees(c, e.Seq) {
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

// matchEntry is match for an event on a scan for some names. It is read only where the pattern looks into it; the one that is just being
// decided is looked at with all its properties.
func (p *pattern) matchEntry(s *step, c *campaign, names []string, e *history.Entry) (key string, ok bool) {
	switch {
	case names[e.Name] != p.event:
		return "", false
	case p.where == nil && len(p.key) == 0:
		return "", s.user.sees(c, e.Seq)
	case e.Position == position(&s.event):
		return p.match(s, c, &s.event)
	}
	return p.match(s, c, e.Event())
}

// sets is those of a key, and what matches them.
type sets struct {
	all   []candidate
	k     *actions
	c     *campaign
	key   string
	visit func(*history.Entry) bool // made once for all steps in one memory
}

func (f *sets) see(s *step, e *history.Entry) {
	c := candidate{Position: e.Position}
	for i := range f.k.all {
		if got, ok := f.k.all[i].matchEntry(s, f.c, f.k.asks, e); ok && got == f.key {
			c.fits |= 1 << i
		}
	}
	if c.fits != 0 {
		f.all = append(f.all, c)
	}
}

// events gives a qualification those at some positions: the one that is just being decided with all its properties, the others as history
// has them, of which outlines do at first. They hold until the end of the step.
func (s *step) events(q qualification, at []history.Position) qualification {
	n := len(s.alone)
	for _, p := range at {
		e := &s.event
		if p != position(e) {
			if e = s.outline(p); e != nil {
				q.outlined = true
			} else {
				e = s.user.did(p)
			}
		}
		s.alone = append(s.alone, e)
	}
	q.events = s.alone[n:len(s.alone):len(s.alone)]
	return q
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

// asked is of whom, and as of when, an audience asks.
type asked struct {
	c      *campaign
	moment int64
	look   func(*expr.Lookup) expr.Answer // answers; made once for all steps in one memory
}

// inAudience judges who the user is and what they had done up to a moment: the qualification's, or that of its leaving.
func (s *step) inAudience(c *campaign, q *qualification, moment int64) bool {
	if s.asked.c, s.asked.moment = c, moment; s.asked.look == nil {
		s.asked.look = func(l *expr.Lookup) expr.Answer { return s.look(s.asked.c, l, s.asked.moment) }
	}
	s.env = expr.Env{Profile: s.user.profile, User: s.user.id, Now: moment, Look: s.asked.look}
	if c.asksEvent {
		s.whole(q)
	}
	if e := q.newest(); e != nil {
		s.env.Event, s.env.HasEvent = e.Properties, true
	}
	ok, err := c.audience.True(&s.env)
	if err != nil {
		s.out.Counts.campaign(c).ExpressionErrors++
	}
	return ok
}

// look answers a history function as of a moment.
func (s *step) look(c *campaign, l *expr.Lookup, moment int64) expr.Answer {
	switch l.Function {
	case expr.First, expr.Last, expr.Since:
		e := s.user.edge(l.Event, moment, l.Function == expr.First)
		if e == nil {
			return expr.Answer{}
		}
		return expr.Answer{OK: true, Event: e.Properties, Time: e.Time, Number: float64(moment - e.Time)}
	}
	var where func(*history.Event) bool
	if l.Predicate != nil {
		where = func(e *history.Event) bool {
			env := expr.Env{Event: e.Properties, HasEvent: true, User: s.user.id, Now: moment}
			ok, err := l.Predicate.True(&env)
			if err != nil {
				s.out.Counts.campaign(c).ExpressionErrors++
			}
			return ok
		}
	}
	if where != nil && l.Predicate.Timeless() {
		return expr.Answer{OK: true, Number: float64(s.user.log.Count(l.Event, moment-l.Window, moment, l.Predicate, where))}
	}
	n, sum, least, most := s.user.log.Aggregate(l.Event, l.Property, moment-l.Window, moment, where)
	answer := expr.Answer{OK: n > 0 || l.Function == expr.Count || l.Function == expr.Sum}
	switch l.Function {
	case expr.Count:
		answer.Number = float64(n)
	case expr.Sum:
		answer.Number = sum
	case expr.Avg:
		answer.Number = sum / float64(max(n, 1))
	case expr.Min:
		answer.Number = least
	case expr.Max:
		answer.Number = most
	}
	return answer
}

func position(e *history.Event) history.Position { return history.Position{Time: e.Time, Seq: e.Seq} }

// after is behind everything of time t in the user's order, before ahead of it.
func after(t int64) history.Position { return history.Position{Time: t, Seq: math.MaxUint64} }

func before(t int64) history.Position { return history.Position{Time: t - 1, Seq: math.MaxUint64} }

func less(a, b history.Position) bool {
	return a.Time < b.Time || a.Time == b.Time && a.Seq < b.Seq
}

// KeyOf is a text that is equal for two events exactly if the named properties have equal values of equal type; ok is false where
// one is missing.
func KeyOf(e *history.Event, names []string) (key string, ok bool) { return keyOf(e, names) }

// forget lets go of the last step's event, whose texts may be those of a record in a large piece of memory.
func (s *step) forget() {
	clear(s.room[:cap(s.room)])
	s.event, s.lean, s.copied, s.fired, s.env = history.Event{}, history.Event{}, nil, timer{}, expr.Env{}
}
