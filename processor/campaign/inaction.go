package campaign

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/history"
	"github.com/tripline/tripline/processor/campaign/value"
)

const day = 24 * 3600_000

// inaction qualifies at check moments at which one event lies in the window and another does not.
//
// Its timers are looks. Those flagged next are to come: on the grid the next one, else one for each `did` event. When a
// look's moment has passed and its condition holds it stands, and waits to leave; a late event may end it, or make past
// looks stand. Each qualification leaves a mark: its moment and the newest `did` event that it saw.
type inaction struct {
	did, didNot pattern
	asks        []string // names of their events
	inLast      int64
	delay       int64         // check after each did event; 0: on the grid
	grid        calendar.Grid // check every
}

// mark is a qualification that stands: of inaction, or of a watch under ignore.
type mark struct {
	moment int64
	newest history.Position
}

var weekdays = map[string]time.Weekday{"sun": time.Sunday, "mon": time.Monday, "tue": time.Tuesday, "wed": time.Wednesday,
	"thu": time.Thursday, "fri": time.Friday, "sat": time.Saturday}

func (c *compiler) inaction(d *Inaction) kind {
	const path = "trigger.inaction"
	k := &inaction{inLast: c.lookBack(path+".in_last", d.InLast)}
	k.did = c.pattern(path+".did", d.Did, nil, true)
	k.didNot = c.pattern(path+".did_not", d.DidNot, nil, true)
	k.asks = k.names()
	switch {
	case d.Check == nil || d.Check.Every == nil && d.Check.After == nil:
		c.problem(path+".check", "is required, in one of two forms: {every: 1d, at: \"09:00\"} or {after: 2h}")
		return k
	case d.Check.Every != nil && d.Check.After != nil:
		c.problem(path+".check", "has two forms, {every: 1d, at: \"09:00\"} and {after: 2h}: leave one of them out")
		return k
	}
	if d.Check.After != nil {
		k.delay = c.positive(path+".check.after", d.Check.After)
		if d.Check.At != nil || d.Check.On != "" {
			c.problem(path+".check", "at and on belong to every, not to after")
		}
		if k.delay >= k.inLast && k.inLast > 0 {
			c.problem(path+".in_last", "must be longer than check.after, or the check could not see the event that set it")
		}
		return k
	}
	k.grid = c.grid(path+".check", d.Check)
	return k
}

func (c *compiler) grid(path string, d *Check) calendar.Grid {
	g := calendar.Grid{Every: c.positive(path+".every", d.Every)}
	if d.At != nil {
		g.At = calendar.TimeOfDay(*d.At)
	}
	if d.On != "" {
		c.choice(path+".on", d.On, "mon", "tue", "wed", "thu", "fri", "sat", "sun")
		g.Weekly, g.Weekday = true, weekdays[d.On]
		if g.Every != 7*day {
			c.problem(path+".on", "belongs to every: 7d")
			return g
		}
	} else if g.Every == 7*day {
		c.problem(path+".every", "7d needs the day of the week: on: mon")
		return g
	}
	if g.Every > 0 {
		if err := g.Validate(); err != nil {
			c.problem(path+".every", err.Error())
		}
	}
	return g
}

func (k *inaction) names() []string { return []string{k.did.event, k.didNot.event} }

func (k *inaction) shown() []string { return []string{k.did.event} }

func (k *inaction) event(s *step, st *standing, e *history.Event) {
	_, did := k.did.match(s, st.c, e)
	if did {
		k.saw(s, st, e)
	}
	if _, not := k.didNot.match(s, st.c, e); did || not {
		k.review(s, st, e.Time)
	}
	switch {
	case !did:
	case k.delay == 0:
		if m := k.grid.AtOrAfter(max(e.Time, s.arrival), s.user.zone); k.reaches(m, e.Time) {
			k.next(s, st, m)
		}
	case e.Time+k.delay >= s.arrival:
		m := e.Time + k.delay
		if !slices.ContainsFunc(st.open, func(t timer) bool { return t.next && t.moment == m }) {
			st.openDue(s, timer{moment: m, due: m, next: true})
		}
	}
}

// saw notes a did event.
func (k *inaction) saw(s *step, st *standing, e *history.Event) {
	s.user.dirty = true
	if st.newest == (history.Position{}) || less(st.newest, position(e)) {
		st.newest = position(e)
	}
	for i := range st.marks { // what was in time for a look that has qualified makes nobody eligible again
		if m := &st.marks[i]; e.Time <= m.moment && k.reaches(m.moment, e.Time) && less(m.newest, position(e)) {
			m.newest = position(e)
		}
	}
}

// next makes m the next look on the grid, unless an earlier one is set.
func (k *inaction) next(s *step, st *standing, m int64) {
	for i := range st.open {
		if t := &st.open[i]; t.next {
			s.user.dirty = true
			t.moment = min(t.moment, m)
			t.due = t.moment
			return
		}
	}
	st.openDue(s, timer{moment: m, due: m, next: true})
}

func (k *inaction) zoneChanged(s *step, st *standing) {
	if k.delay > 0 {
		return
	}
	st.drop(s, func(t *timer) bool { return t.next })
	k.goOn(s, st, s.arrival)
}

// goOn sets the next look from a moment on, as long as it could see what no look that has left has seen.
func (k *inaction) goOn(s *step, st *standing, from int64) {
	if !less(st.lastMark(maxTime), st.newest) {
		return
	}
	if m := k.grid.AtOrAfter(from, s.user.zone); k.reaches(m, st.newest.Time) {
		k.next(s, st, m)
	}
}

// reaches says whether a look at m sees back to a moment.
func (k *inaction) reaches(m, moment int64) bool { return m-k.inLast < moment }

func (k *inaction) profileChanged(*step, *standing, value.Properties) {}

func (k *inaction) fire(s *step, st *standing, t *timer) {
	if t.next {
		if did := k.look(s, st, t.moment); did != nil {
			if newest := did[len(did)-1]; less(k.seen(s, st, t.moment), newest) {
				st.openDue(s, timer{moment: t.moment, due: t.moment + s.set.rules.AllowedLateness})
			}
		}
		if k.delay == 0 {
			k.goOn(s, st, t.moment+1)
		}
		return
	}
	did := k.look(s, st, t.moment)
	if did == nil {
		return
	}
	s.user.dirty = true
	st.remember(mark{moment: t.moment, newest: did[len(did)-1]}, s.horizon().Time-k.inLast)
	if k.delay == 0 && !less(st.lastMark(maxTime), st.newest) {
		st.drop(s, func(t *timer) bool { return t.next })
	}
	s.qualify(st, s.events(qualification{moment: t.moment, left: t.due}, did))
}

// review goes again through the looks of the past from a late event's time on: some do not stand any more, others
// have begun to, and settle.
func (k *inaction) review(s *step, st *standing, from int64) {
	if from >= s.arrival {
		return
	}
	past := k.moments(s, st, from, s.arrival-1)
	if len(past) == 0 {
		return
	}
	seen, marks := k.seen(s, st, from), st.marks
	var stand []int64
	k.looks(s, st, past, func(m int64, did []history.Position) {
		for len(marks) > 0 && marks[0].moment < m {
			seen, marks = later(seen, marks[0].newest), marks[1:]
		}
		if newest := did[len(did)-1]; less(seen, newest) && (len(marks) == 0 || marks[0].moment != m) {
			seen, stand = newest, append(stand, m)
		}
	})
	st.drop(s, func(t *timer) bool {
		if t.next || t.moment < from {
			return false
		}
		i, ok := slices.BinarySearch(stand, t.moment)
		if ok {
			stand = slices.Delete(stand, i, i+1)
		}
		return !ok
	})
	for _, m := range stand {
		st.add(s, timer{moment: m})
	}
}

// seen is the newest did event of the looks before m that have qualified or stand.
func (k *inaction) seen(s *step, st *standing, m int64) history.Position {
	newest := st.lastMark(m)
	for i := range st.open {
		if t := &st.open[i]; !t.next && t.moment < m {
			if did := k.look(s, st, t.moment); did != nil {
				newest = later(newest, did[len(did)-1])
			}
		}
	}
	return newest
}

// moments lists the looks in [from, to]; on the grid each in the zone that the user had then.
func (k *inaction) moments(s *step, st *standing, from, to int64) (list []int64) {
	if k.delay == 0 {
		for from <= to {
			zone, until := s.user.zoneAt(from)
			m := k.grid.AtOrAfter(from, zone)
			if m < until && m <= to {
				list = append(list, m)
			}
			from = min(m+1, until)
		}
		return list
	}
	s.user.log.Scan(k.did.alone[:], before(from-k.delay), after(to-k.delay), func(e *history.Entry) bool {
		if _, ok := k.did.matchEntry(s, st.c, k.did.alone[:], e); ok {
			list = append(list, e.Time+k.delay)
		}
		return true
	})
	return slices.Compact(list)
}

// look is looks for one moment. It answers with only the newest at_least did events, or nil where the condition does not hold: what lies
// behind them is not read, however long the history is. The answer holds until the next one.
func (k *inaction) look(s *step, st *standing, m int64) []history.Position {
	if len(k.newest(s, st, &k.didNot, m)) == k.didNot.atLeast {
		return nil
	}
	did := k.newest(s, st, &k.did, m)
	if len(did) < k.did.atLeast {
		return nil
	}
	slices.Reverse(did)
	return did
}

// fitting is the events that a look finds, and what it looks for.
type fitting struct {
	list    []history.Position
	pattern *pattern
	c       *campaign
	visit   func(*history.Entry) bool // made once for all steps in one memory
}

// newest lists the events of a pattern in the window of a look, the newest first and at most as many as it takes. The list holds until
// the next one.
func (k *inaction) newest(s *step, st *standing, p *pattern, m int64) (list []history.Position) {
	if n, _, _, _ := s.user.log.Aggregate(p.event, "", m-k.inLast, m, nil); n < p.atLeast {
		return nil
	}
	f := &s.fitting
	f.list, f.pattern, f.c = f.list[:0], p, st.c
	if f.visit == nil {
		f.visit = func(e *history.Entry) bool {
			if _, ok := f.pattern.matchEntry(s, f.c, f.pattern.alone[:], e); ok {
				f.list = append(f.list, e.Position)
			}
			return len(f.list) < f.pattern.atLeast
		}
	}
	s.user.log.ScanBack(p.alone[:], after(m-k.inLast), after(m), f.visit)
	return f.list
}

// looks visits, of some moments in order, those at which the condition holds, with the did events in the window.
func (k *inaction) looks(s *step, st *standing, moments []int64, visit func(m int64, did []history.Position)) {
	var did []history.Position
	var not []int64
	s.user.log.Scan(k.asks, after(moments[0]-k.inLast), after(moments[len(moments)-1]), func(e *history.Entry) bool {
		if _, ok := k.did.matchEntry(s, st.c, k.asks, e); ok {
			did = append(did, e.Position)
		}
		if _, ok := k.didNot.matchEntry(s, st.c, k.asks, e); ok {
			not = append(not, e.Time)
		}
		return true
	})
	var d, d0, n, n0 int // did[d0:d] and not[n0:n] are in the window
	for _, m := range moments {
		for ; d < len(did) && did[d].Time <= m; d++ {
		}
		for ; d0 < d && !k.reaches(m, did[d0].Time); d0++ {
		}
		for ; n < len(not) && not[n] <= m; n++ {
		}
		for ; n0 < n && !k.reaches(m, not[n0]); n0++ {
		}
		if d-d0 >= k.did.atLeast && n-n0 < k.didNot.atLeast {
			visit(m, did[d0:d])
		}
	}
}

func later(a, b history.Position) history.Position {
	if less(a, b) {
		return b
	}
	return a
}

// lastMark is the newest event of the last qualification before m.
func (st *standing) lastMark(m int64) (newest history.Position) {
	for _, k := range st.marks {
		if k.moment < m {
			newest = later(newest, k.newest)
		}
	}
	return newest
}

// Qualified is a moment that has qualified, and the newest event that it saw.
type Qualified struct {
	Moment int64 // ms
	Newest history.Position
}

func (st *standing) stands() (list []Qualified) {
	for _, m := range st.marks {
		list = append(list, Qualified{m.moment, m.newest})
	}
	return list
}

func (st *standing) hasMark(newest history.Position) bool {
	return slices.ContainsFunc(st.marks, func(m mark) bool { return m.newest == newest })
}

// remember adds a mark in order of moment and forgets those older than the horizon.
func (st *standing) remember(m mark, horizon int64) {
	kept := st.marks[:0]
	for _, have := range st.marks {
		if have.moment >= horizon {
			kept = append(kept, have)
		}
	}
	at, _ := slices.BinarySearchFunc(kept, m.moment, func(have mark, moment int64) int { return cmp.Compare(have.moment, moment) })
	st.marks = slices.Insert(kept, at, m)
}

const maxTime = math.MaxInt64
