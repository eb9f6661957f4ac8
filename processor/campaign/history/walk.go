package history

import "math"

// Ascend visits the events with from < position <= to in order, until visit returns false. visit must not Add.
func (l *Log) Ascend(from, to Position, visit func(*Event) bool) {
	l.walk(walk{from: from, to: to, step: 1, all: true}, visit)
}

// Descend visits what Ascend visits, the last one first.
func (l *Log) Descend(from, to Position, visit func(*Event) bool) {
	l.walk(walk{from: from, to: to, step: -1, all: true}, visit)
}

// AscendOf is Ascend over the events of one name; it passes by chunks that have none, and decodes no others.
func (l *Log) AscendOf(event string, from, to Position, visit func(*Event) bool) {
	l.walk(walk{from: from, to: to, step: 1, event: event}, visit)
}

// DescendOf is Descend over the events of one name; it passes by chunks that have none, and decodes no others.
func (l *Log) DescendOf(event string, from, to Position, visit func(*Event) bool) {
	l.walk(walk{from: from, to: to, step: -1, event: event}, visit)
}

// Twins is how many events of e's time and name arrived before it.
func (l *Log) Twins(e *Event) (n int) {
	count := walk{from: Position{e.Time - 1, math.MaxUint64}, to: Position{e.Time, e.Seq - 1}, step: 1, event: e.Name}
	if l.inline.table == nil && count.from.Compare(l.floor()) >= 0 && (l.tail == nil || l.tail.last.Compare(count.from) <= 0) {
		return l.inline.count(count.from, count.to, e.Name) // the head as it is encoded answers sooner than one put in order
	}
	l.walk(count, func(*Event) bool {
		n++
		return true
	})
	return n
}

// walk merges the head and the chunks in order, or against it. A chunk is opened when its turn comes.
type walk struct {
	from, to Position
	step     int // 1 or -1
	event    string
	all      bool // events of any name
	cursors  []cursor
	ahead    []*ref
}

// cursor walks over a table.
type cursor struct {
	*table
	at, end int
	name    uint32 // unless all
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
	for c.at != c.end && !w.all && c.names[c.at] != c.name {
		c.at += w.step
	}
	return c.at != c.end
}

// cursor is set on a table's first event; false: it has none in the range.
func (w *walk) cursor(t *table) (c cursor, ok bool) {
	c = cursor{table: t, at: t.behind(w.from), end: t.behind(w.to)}
	if !w.all {
		if c.name, ok = t.words.find(w.event); !ok {
			return c, false
		}
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
	n, exact := t.count(r, w.event)
	return w.all || !exact || n > 0
}

func (l *Log) walk(w walk, visit func(*Event) bool) {
	if floor := l.floor(); w.from.Compare(floor) < 0 {
		w.from = floor
	}
	if w.to.Compare(w.from) <= 0 {
		return
	}
	chunks := 0
	if l.tail != nil {
		for i := range l.tail.refs {
			if w.touchesChunk(l.tail, &l.tail.refs[i]) {
				chunks++
			}
		}
	}
	var head cursor
	ok := l.inline.n > 0 && w.touches(l.inline.min, l.inline.max)
	if ok {
		head, ok = w.cursor(l.inline.index())
	}
	switch {
	case chunks > 0:
		w.ahead = make([]*ref, 0, chunks)
		for i := range l.tail.refs {
			if r := &l.tail.refs[i]; w.touchesChunk(l.tail, r) {
				w.ahead = append(w.ahead, r)
			}
		}
		if ok {
			w.cursors = append(w.cursors, head)
		}
		w.merge(l.tail, visit)
	case ok:
		for more := true; more && visit(head.event(head.at)); {
			head.at += w.step
			more = w.pass(&head)
		}
	}
}

// merge visits what the cursors are set on and the chunks ahead have.
func (w *walk) merge(t *tail, visit func(*Event) bool) {
	for {
		c, bound, bounded := w.next(t)
		if c == nil {
			return
		}
		for more := true; more && (!bounded || w.before(c.places[c.at], bound)); {
			if !visit(c.event(c.at)) {
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
		if c, ok := w.cursor(&t.open(r).table); ok {
			w.cursors = append(w.cursors, c)
		}
	}
}
