package campaign

import (
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
// Its timers are ranges of check moments [from, moment]: the next check is a range of one, flagged next; a late event
// opens the range of past checks that it would have been in time for, due when the event's backlog has settled. Each
// qualification leaves a mark: its moment and the newest `did` event that it saw.
type inaction struct {
	did, didNot pattern
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

func (k *inaction) event(s *step, st *standing, e *history.Event) {
	if _, ok := k.did.match(s, st.c, e); !ok {
		return
	}
	if st.newest == (history.Position{}) || less(st.newest, position(e)) {
		st.newest = position(e)
	}
	s.user.dirty = true
	for i := range st.marks { // what was in time for a look that has qualified makes nobody eligible again
		if m := &st.marks[i]; e.Time <= m.moment && e.Time > m.moment-k.inLast && less(m.newest, position(e)) {
			m.newest = position(e)
		}
	}
	if k.first(s, e) < s.arrival {
		last := min(e.Time+k.inLast-1, s.arrival-1)
		st.open1(s, timer{from: e.Time, moment: last, due: s.arrival + s.set.rules.Settle})
	}
	if k.delay > 0 {
		if m := e.Time + k.delay; m >= s.arrival {
			st.add(s, timer{from: m, moment: m})
		}
		return
	}
	if m := k.grid.AtOrAfter(max(e.Time, s.arrival), s.user.zone); m < e.Time+k.inLast {
		k.next(s, st, m)
	}
}

// first is the earliest check that could see e.
func (k *inaction) first(s *step, e *history.Event) int64 {
	if k.delay == 0 {
		return k.grid.AtOrAfter(e.Time, s.user.zone)
	}
	if e.Time < s.arrival {
		return e.Time // the checks of other events may lie anywhere behind it
	}
	return s.arrival
}

// next makes m the next check on the grid, unless an earlier one is set.
func (k *inaction) next(s *step, st *standing, m int64) {
	for i := range st.open {
		if t := &st.open[i]; t.next {
			if t.moment <= m {
				return
			}
			st.remove(s, i)
			break
		}
	}
	st.open1(s, timer{from: m, moment: m, due: m + s.set.rules.AllowedLateness, next: true})
}

func (k *inaction) zoneChanged(s *step, st *standing) {
	if k.delay > 0 {
		return
	}
	for i := range st.open {
		if t := &st.open[i]; t.next && t.moment >= s.arrival {
			m := k.grid.AtOrAfter(max(s.arrival, st.newest.Time), s.user.zone)
			if m != t.moment {
				st.remove(s, i)
				k.next(s, st, m)
			}
			return
		}
	}
}

func (k *inaction) profileChanged(*step, *standing, value.Properties) {}

func (k *inaction) fire(s *step, st *standing, t *timer) {
	for _, m := range k.moments(s, st, t.from, t.moment) {
		if due := m + s.set.rules.AllowedLateness; due > t.due {
			st.open1(s, timer{from: m, moment: t.moment, due: due, next: t.next})
			return
		}
		k.judge(s, st, m, t.due)
	}
	if !t.next {
		return
	}
	m := k.grid.AtOrAfter(t.moment+1, s.user.zone)
	if less(st.lastMark(maxTime), st.newest) && m < st.newest.Time+k.inLast {
		k.next(s, st, m)
	}
}

// moments lists the checks in [from, to].
func (k *inaction) moments(s *step, st *standing, from, to int64) (list []int64) {
	if k.delay == 0 {
		for m := k.grid.AtOrAfter(from, s.user.zone); m <= to; m = k.grid.AtOrAfter(m+1, s.user.zone) {
			list = append(list, m)
		}
		return list
	}
	s.user.log.AscendOf(k.did.event, before(from-k.delay), after(to-k.delay), func(e *history.Event) bool {
		if _, ok := k.did.match(s, st.c, e); ok {
			list = append(list, e.Time+k.delay)
		}
		return true
	})
	return slices.Compact(list)
}

// judge looks at check moment m.
func (k *inaction) judge(s *step, st *standing, m, due int64) {
	for i := range st.marks {
		if st.marks[i].moment == m {
			return
		}
	}
	did := k.look(s, st, m)
	if did == nil {
		return
	}
	newest := position(did[len(did)-1])
	if !less(st.lastMark(m), newest) {
		return
	}
	if wait, ok := k.pending(s, st, m, newest); ok {
		st.open1(s, timer{from: m, moment: m, due: max(wait, due)})
		return
	}
	st.remember(mark{moment: m, newest: newest}, s.horizon().Time-k.inLast)
	s.user.dirty = true
	s.qualify(st, qualification{moment: m, left: due, events: did[len(did)-k.did.atLeast:]})
}

// look returns the did events in the window at m if the condition holds there, else nil.
func (k *inaction) look(s *step, st *standing, m int64) (did []*history.Event) {
	others := 0
	s.user.log.Ascend(after(m-k.inLast), after(m), func(e *history.Event) bool {
		if _, ok := k.didNot.match(s, st.c, e); ok {
			if others++; others == k.didNot.atLeast {
				return false
			}
		}
		if _, ok := k.did.match(s, st.c, e); ok {
			did = append(did, e)
		}
		return true
	})
	if others == k.didNot.atLeast || len(did) < k.did.atLeast {
		return nil
	}
	return did
}

// pending says whether an earlier check that still settles would, as things stand, qualify with the same events; and
// until when.
func (k *inaction) pending(s *step, st *standing, m int64, newest history.Position) (due int64, ok bool) {
	for i := range st.open {
		t := &st.open[i]
		if t.next || t.from >= m {
			continue
		}
		for _, earlier := range k.moments(s, st, t.from, min(t.moment, m-1)) {
			if did := k.look(s, st, earlier); did != nil && !less(position(did[len(did)-1]), newest) {
				return t.due, true
			}
		}
	}
	return 0, false
}

// lastMark is the newest event of the last qualification before m.
func (st *standing) lastMark(m int64) (newest history.Position) {
	for _, k := range st.marks {
		if k.moment < m && less(newest, k.newest) {
			newest = k.newest
		}
	}
	return newest
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
	at, _ := slices.BinarySearchFunc(kept, m.moment, func(have mark, moment int64) int {
		if have.moment < moment {
			return -1
		}
		return 1
	})
	st.marks = slices.Insert(kept, at, m)
}

const maxTime = math.MaxInt64
