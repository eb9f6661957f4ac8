package history

import (
	"math"
	"slices"
)

// Ascend visits the events with from < position <= to in order, until visit returns false. visit must not Add.
func (l *Log) Ascend(from, to Position, visit func(*Event) bool) {
	l.walk(walk{from: from, to: to, step: 1, visit: visit})
}

// Descend visits what Ascend visits, the last one first.
func (l *Log) Descend(from, to Position, visit func(*Event) bool) {
	l.walk(walk{from: from, to: to, step: -1, visit: visit})
}

// AscendOf is Ascend over the events of one name; it passes by chunks that have none, and decodes no others.
func (l *Log) AscendOf(event string, from, to Position, visit func(*Event) bool) {
	l.walk(walk{from: from, to: to, step: 1, one: true, name: [1]string{event}, visit: visit})
}

// DescendOf is Descend over the events of one name; it passes by chunks that have none, and decodes no others.
func (l *Log) DescendOf(event string, from, to Position, visit func(*Event) bool) {
	l.walk(walk{from: from, to: to, step: -1, one: true, name: [1]string{event}, visit: visit})
}

// MostNames is of how many names of events Scan may be asked for.
const MostNames = 10

// Entry is an event on a Scan.
type Entry struct {
	Position
	Name   int     // its place in the names that were asked for
	cursor *cursor // nil: it is one of a short chunk,
	ref    *ref    // which that is,
	at     int     // and which of its events
	tail   *tail
}

// Event is the event itself; of those that nobody asks for, no more than place and name is read or decoded.
func (e *Entry) Event() *Event {
	if e.cursor == nil {
		return e.tail.event(e.ref, e.at)
	}
	return e.cursor.event(e.tail)
}

// Scan visits the events of some names with from < position <= to in order, until visit returns false. visit must not Add, nor keep the
// entry.
func (l *Log) Scan(names []string, from, to Position, visit func(*Entry) bool) {
	l.walk(walk{from: from, to: to, step: 1, names: names, scan: visit})
}

// ScanBack visits what Scan visits, the last one first.
func (l *Log) ScanBack(names []string, from, to Position, visit func(*Entry) bool) {
	l.walk(walk{from: from, to: to, step: -1, names: names, scan: visit})
}

// At is the event of a position. It is nil where the log has none there, or cannot read it.
func (l *Log) At(p Position) *Event {
	if p.Compare(l.floor()) <= 0 {
		return nil
	}
	if e := l.inline.at(p); e != nil || l.tail == nil {
		return e
	}
	for i := range l.tail.refs {
		r := &l.tail.refs[i]
		if p.Compare(r.min) < 0 || p.Compare(r.max) > 0 {
			continue
		}
		if r.short == nil {
			if e := l.tail.open(r).at(p); e != nil {
				return e
			}
		} else if i := r.short.behind(p) - 1; i >= 0 && r.short.places[i] == p {
			return l.tail.event(r, i)
		}
	}
	return nil
}

// walk merges the head and the chunks in order, or against it. A chunk is opened when its turn comes.
type walk struct {
	from, to Position
	step     int  // 1 or -1
	one      bool // events of one name
	name     [1]string
	names    []string // of events; none: any
	visit    func(*Event) bool
	scan     func(*Entry) bool // in place of visit
	counts   bool              // in place of both
	n        int               // events counted
	head     cursor
	cursors  []cursor
	ahead    []*ref
	entry    Entry
	few      []Entry
}

// cursor walks over a table.
type cursor struct {
	*table
	at, end int
	which   int               // of the walk's names is that of the event
	ids     [MostNames]uint32 // of these names
	short   *ref              // whose table it is; nil: one with records
}

// event is the one that the cursor is set on.
func (c *cursor) event(t *tail) *Event {
	if c.short != nil {
		return t.event(c.short, c.at)
	}
	return c.table.event(c.at)
}

// before tells whether p comes first.
func (w *walk) before(p, q Position) bool { return p.Compare(q)*w.step < 0 }

// edge is where the walk meets a chunk first.
func (w *walk) edge(r *ref) Position {
	if w.step > 0 {
		return r.min
	}
	return r.max
}

// pass moves the cursor to the next event of the right name; false: there is none.
func (w *walk) pass(c *cursor) bool {
	for ; c.at != c.end; c.at += w.step {
		if len(w.names) == 0 {
			return true
		}
		for i := range w.names {
			if c.ids[i] == c.names[c.at] {
				c.which = i
				return true
			}
		}
	}
	return false
}

// show has the event visited that a cursor is set on.
func (w *walk) show(c *cursor, t *tail) bool {
	if w.counts {
		w.n++
		return true
	}
	if w.scan == nil {
		return w.visit(c.event(t))
	}
	w.entry = Entry{Position: c.places[c.at], Name: c.which, cursor: c, tail: t}
	return w.scan(&w.entry)
}

// cursor is set on a table's first event; false: it has none in the range.
func (w *walk) cursor(t *table) (c cursor, ok bool) {
	c = cursor{table: t, at: t.behind(w.from), end: t.behind(w.to)}
	for i, name := range w.names {
		if id, known := t.words.find(name); known {
			c.ids[i], ok = id, true
		} else {
			c.ids[i] = math.MaxUint32
		}
	}
	if !ok && len(w.names) > 0 {
		return c, false
	}
	if w.step < 0 {
		c.at, c.end = c.end-1, c.at-1
	}
	return c, w.pass(&c)
}

// touches tells whether a run of events from min to max has some in the range.
func (w *walk) touches(min, max Position) bool {
	return max.Compare(w.from) > 0 && min.Compare(w.to) <= 0
}

// touchesChunk tells whether a chunk has, as far as its reference tells.
func (w *walk) touchesChunk(t *tail, r *ref) bool {
	if !w.touches(r.min, r.max) {
		return false
	}
	for _, name := range w.names {
		if n, exact := t.count(r, name); n > 0 || !exact {
			return true
		}
	}
	return len(w.names) == 0
}

// walk walks, and tells how many events it has counted.
func (l *Log) walk(what walk) int {
	if floor := l.floor(); what.from.Compare(floor) < 0 {
		what.from = floor
	}
	if what.to.Compare(what.from) <= 0 {
		return 0
	}
	if l.room == nil {
		l.room = new(room)
	}
	m := l.room
	w := &m.walk
	if m.walking { // one within another
		w = new(walk)
	}
	what.cursors, what.ahead, what.few = w.cursors[:0], w.ahead[:0], w.few[:0]
	if *w = what; w.one {
		w.names = w.name[:]
	}
	was := m.walking
	m.walking = true
	w.run(l)
	m.walking = was
	w.visit, w.scan, w.entry, w.names, w.name = nil, nil, Entry{}, nil, [1]string{} // a name may be that of a record in a large piece of memory
	return w.n
}

func (w *walk) run(l *Log) {
	ok := l.inline.n > 0 && w.touches(l.inline.min, l.inline.max)
	if !ok && w.fewIn(l.tail) {
		for i := 0; i < len(w.few) && w.showFew(&w.few[i]); i++ {
		}
		return
	}
	if ok {
		w.head, ok = w.cursor(l.inline.index())
	}
	if t := l.tail; t != nil {
		for i := range t.refs {
			if r := &t.refs[i]; w.touchesChunk(t, r) {
				w.ahead = append(w.ahead, r)
			}
		}
	}
	switch {
	case len(w.ahead) > 0:
		if ok {
			w.cursors = append(w.cursors, w.head)
		}
		w.merge(l.tail)
	case ok:
		for more := true; more && w.show(&w.head, nil); {
			w.head.at += w.step
			more = w.pass(&w.head)
		}
	}
}

// mostFew is how many events are put in order sooner than chunks are merged.
const mostFew = 32

// fewIn puts the walk's events in order, where they are few and all in short chunks: false otherwise.
func (w *walk) fewIn(t *tail) bool {
	if t == nil {
		return false
	}
	n := 0
	for i := range t.refs {
		if r := &t.refs[i]; w.touches(r.min, r.max) {
			if n += r.n; r.short == nil || n > mostFew {
				return false
			}
		}
	}
	var ids [MostNames]uint32
	for i, name := range w.names {
		id, ok := t.names.find(name)
		if ids[i] = id; !ok {
			ids[i] = math.MaxUint32
		}
	}
	for i := range t.refs {
		if w.step < 0 {
			i = len(t.refs) - 1 - i
		}
		if r := &t.refs[i]; w.touches(r.min, r.max) {
			w.take(t, r, ids[:len(w.names)])
		}
	}
	return true
}

// take puts a short chunk's events of some names among the few.
func (w *walk) take(t *tail, r *ref, ids []uint32) {
	for i, p := range r.short.places {
		which := slices.Index(ids, r.short.names[i])
		if len(ids) > 0 && which < 0 || p.Compare(w.from) <= 0 || p.Compare(w.to) > 0 {
			continue
		}
		at := len(w.few)
		w.few = append(w.few, Entry{})
		for ; at > 0 && w.before(p, w.few[at-1].Position); at-- {
			w.few[at] = w.few[at-1]
		}
		w.few[at] = Entry{Position: p, Name: max(which, 0), ref: r, at: i, tail: t}
	}
}

// showFew has one of the few visited.
func (w *walk) showFew(e *Entry) bool {
	switch {
	case w.counts:
		w.n++
		return true
	case w.scan != nil:
		return w.scan(e)
	}
	return w.visit(e.Event())
}

// merge visits what the cursors are set on and the chunks ahead have.
func (w *walk) merge(t *tail) {
	for {
		c, bound, bounded := w.next(t)
		if c == nil {
			return
		}
		for more := true; more && (!bounded || w.before(c.places[c.at], bound)); {
			if !w.show(c, t) {
				return
			}
			c.at += w.step
			more = w.pass(c)
		}
		if c.at == c.end {
			*c = w.cursors[len(w.cursors)-1]
			w.cursors = w.cursors[:len(w.cursors)-1]
		}
	}
}

// next is the cursor whose event comes next, and the position at which another one's turn comes.
func (w *walk) next(t *tail) (first *cursor, bound Position, bounded bool) {
	for {
		first, bounded = nil, false
		limit := func(p Position) {
			if !bounded || w.before(p, bound) {
				bound, bounded = p, true
			}
		}
		for i := range w.cursors {
			c := &w.cursors[i]
			switch {
			case first == nil:
				first = c
			case w.before(c.places[c.at], first.places[first.at]):
				limit(first.places[first.at])
				first = c
			default:
				limit(c.places[c.at])
			}
		}
		nearest := -1
		for i, r := range w.ahead {
			if nearest < 0 || w.before(w.edge(r), w.edge(w.ahead[nearest])) {
				nearest = i
			}
		}
		if nearest < 0 {
			return first, bound, bounded
		}
		r := w.ahead[nearest]
		if first != nil && w.before(first.places[first.at], w.edge(r)) {
			limit(w.edge(r))
			return first, bound, bounded
		}
		w.ahead[nearest] = w.ahead[len(w.ahead)-1]
		w.ahead = w.ahead[:len(w.ahead)-1]
		if c, ok := w.cursor(t.places(r)); ok {
			if r.short != nil {
				c.short = r
			}
			w.cursors = append(w.cursors, c)
		}
	}
}
