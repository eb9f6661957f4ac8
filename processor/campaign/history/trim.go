package history

import "math"

// floor is the position up to which events are gone.
func (l *Log) floor() Position {
	if !l.floored {
		return Position{Time: math.MinInt64}
	}
	return l.passed
}

// raise moves the floor, and forgets the chunks that it passes.
func (l *Log) raise(to Position) {
	if to.Compare(l.floor()) <= 0 {
		return
	}
	l.floored, l.passed = true, to
	if l.inline.n > 0 && l.inline.max.Compare(to) <= 0 {
		l.inline.clear()
	}
	if t := l.tail; t != nil && len(t.refs) > 0 && t.end.Compare(to) <= 0 && l.Err() == nil {
		t.drop(func(r *ref) bool { return r.max.Compare(to) <= 0 })
	}
}

// trim raises the floor until at most this many events are left, and tells how many that took.
func (l *Log) trim(most int) (dropped int) {
	n := l.inline.n - l.inline.dead
	if l.tail != nil {
		n += l.tail.n - l.tail.dead
	}
	if n <= most {
		return 0
	}
	n = l.count()
	to := l.floor()
	for ; n > most; n-- {
		p, ok := l.first()
		if !ok {
			break
		}
		to = p
		dropped++
	}
	l.raise(to)
	if l.tail != nil {
		l.tail.review()
	}
	return dropped
}

// count settles how many events of each chunk and of the head the floor has passed, and tells how many are left.
func (l *Log) count() (n int) {
	floor := l.floor()
	if in := &l.inline; in.n > 0 && in.min.Compare(floor) <= 0 {
		in.dead = in.index().behind(floor)
	}
	n = l.inline.n - l.inline.dead
	if l.tail == nil {
		return n
	}
	for i := range l.tail.refs {
		r := &l.tail.refs[i]
		if r.min.Compare(floor) <= 0 {
			r.dead = l.tail.open(r).behind(floor)
		}
		n += r.n - r.dead
	}
	return n
}

// first takes the first event that is left after count. It is false if chunks cannot be read.
func (l *Log) first() (p Position, ok bool) {
	var dead *int
	if in := &l.inline; in.dead < in.n {
		p, dead = in.min, &in.dead
		if in.dead > 0 {
			p = in.index().places[in.dead]
		}
	}
	if l.tail != nil {
		for i := range l.tail.refs {
			r := &l.tail.refs[i]
			q := r.min
			if r.dead > 0 {
				places := l.tail.open(r).places
				if r.dead >= len(places) {
					continue
				}
				q = places[r.dead]
			}
			if dead == nil || q.Compare(p) < 0 {
				p, dead = q, &r.dead
			}
		}
	}
	if dead == nil {
		return Position{}, false
	}
	*dead++
	return p, true
}

// seal makes a chunk of the events in the head, and merges the levels that this fills.
func (l *Log) seal(most int) {
	if l.Err() != nil {
		return
	}
	events := l.inline.index()
	from := events.behind(l.floor())
	if live := l.inline.n - from; 2*live <= l.inline.n {
		if l.inline.compact(l.floor()); !l.inline.full() {
			return
		}
		events, from = l.inline.index(), 0
	}
	chunks, ok := build([]source{{table: events, at: from}}, false)
	if l.tail == nil {
		l.tail = &tail{}
	}
	if !ok {
		l.tail.fail(errCorrupt)
		return
	}
	l.inline.clear()
	for i := range chunks {
		l.tail.put(&chunks[i], 0)
	}
	for level := uint8(0); level < maxLevel; level++ {
		of := func(r *ref) bool { return r.level == level && !r.full }
		if l.tail.several(of) < fanout {
			break
		}
		l.tail.merge(of, level+1, l.floor())
	}
	if most > 0 && l.tail.n > 2*most+2*inlineEvents {
		l.tail.merge(func(*ref) bool { return true }, l.tail.top(), l.floor())
	}
}

// several is how many chunks of holds for.
func (t *tail) several(of func(*ref) bool) (n int) {
	for i := range t.refs {
		if of(&t.refs[i]) {
			n++
		}
	}
	return n
}

// top is the highest level of all.
func (t *tail) top() (level uint8) {
	for i := range t.refs {
		level = max(level, t.refs[i].level)
	}
	return level
}

// merge makes one chunk of a level, or several if they become full, out of those that of holds for. Events that the
// floor has passed are left out.
func (t *tail) merge(of func(*ref) bool, level uint8, floor Position) {
	var sources []source
	var summaries []*summary
	size := 0
	for i := range t.refs {
		r := &t.refs[i]
		if !of(r) {
			continue
		}
		c := t.open(r)
		s := source{table: &c.table, at: c.behind(floor)}
		sources = append(sources, s)
		size += len(c.body)
		if s.at > 0 || r.index == 0 {
			summaries = append(summaries, nil)
		} else {
			summaries = append(summaries, t.summary(r))
		}
	}
	if t.err != nil {
		return
	}
	var merged *summary
	if size < fullBytes {
		merged = mergeSummaries(summaries)
	}
	chunks, ok := build(sources, merged == nil)
	if !ok {
		t.fail(errCorrupt)
		return
	}
	if merged != nil && len(chunks) == 1 {
		chunks[0].summary = merged
	}
	t.drop(of)
	for i := range chunks {
		t.put(&chunks[i], level)
	}
}
