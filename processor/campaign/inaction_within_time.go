package campaign

import (
	"encoding/binary"
	"slices"
	"sort"

	"github.com/tripline/tripline/processor/campaign/history"
	"github.com/tripline/tripline/processor/campaign/row"
)

// What another `after` does to a running watch.
const (
	restart  = "restart"
	ignore   = "ignore"
	separate = "separate"
)

// inactionWithinTime qualifies when a watch's deadline has passed and nothing has ended it.
//
// Under restart and separate an event decides alone: a watch runs to its deadline exactly if no event in (after,
// deadline] ends or moves it. Under ignore the watches of one key form a chain, in which each depends on those before.
type inactionWithinTime struct {
	after, without pattern
	within         int64
	repeat         string
}

func (c *compiler) inactionWithinTime(d *InactionWithinTime) kind {
	const path = "trigger.inaction_within_time"
	k := &inactionWithinTime{within: c.lookBack(path+".within", d.Within), repeat: d.OnRepeat}
	c.same(path+".same", d.Same)
	k.after = c.pattern(path+".after", d.After, d.Same, false)
	k.without = c.pattern(path+".without", d.Without, d.Same, false)
	if k.repeat == "" {
		k.repeat = restart
	}
	c.choice(path+".on_repeat", k.repeat, restart, ignore, separate)
	return k
}

func (k *inactionWithinTime) names() []string { return []string{k.after.event, k.without.event} }

func (k *inactionWithinTime) shown() []string {
	if k.repeat == ignore { // a late event may begin a watch anew at one that history has
		return []string{k.after.event}
	}
	return nil
}

func (k *inactionWithinTime) event(s *step, st *standing, e *history.Event) {
	begins, isAfter := k.after.match(s, st.c, e)
	ends, isWithout := k.without.match(s, st.c, e)
	if k.repeat == ignore {
		if isAfter {
			k.follow(s, st, e, begins)
		}
		if isWithout && !(isAfter && begins == ends) {
			k.follow(s, st, e, ends)
		}
		return
	}
	if isWithout {
		k.end(s, st, e, ends)
	}
	if !isAfter {
		return
	}
	if k.repeat == restart {
		k.end(s, st, e, begins)
	}
	if s.user.log.Ends(position(e)) || !k.endedLater(s, st, e, begins) {
		k.start(s, st, e, begins)
	}
}

// end drops the watches that run when e comes.
func (k *inactionWithinTime) end(s *step, st *standing, e *history.Event, key string) {
	st.drop(s, func(t *timer) bool {
		return t.key == key && less(t.at, position(e)) && e.Time <= t.moment
	})
}

// endedLater says whether what came after e in the user's order, but arrived before it, ends or moves its watch.
func (k *inactionWithinTime) endedLater(s *step, st *standing, e *history.Event, key string) (ended bool) {
	s.user.log.Ascend(position(e), after(e.Time+k.within), func(x *history.Event) bool {
		ended = k.without.fits(s, st.c, x, key) || k.repeat == restart && k.after.fits(s, st.c, x, key)
		return !ended
	})
	return ended
}

func (k *inactionWithinTime) start(s *step, st *standing, e *history.Event, key string) {
	st.add(s, by(e, e.Time+k.within, key))
}

func (k *inactionWithinTime) fire(s *step, st *standing, t *timer) {
	if k.repeat == ignore {
		st.remember(mark{moment: t.moment, newest: t.at}, s.horizon().Time-k.within)
	}
	q := qualification{moment: t.moment, left: t.due, key: t.key}
	s.cause(&q, t)
	s.qualify(st, q)
}

// follow applies e to the chain of one key under ignore.
func (k *inactionWithinTime) follow(s *step, st *standing, e *history.Event, key string) {
	if k.inOrder(s, st, e) {
		running := false
		st.each(func(t *timer) { running = running || t.key == key && e.Time <= t.moment })
		if running && k.without.fits(s, st.c, e, key) {
			k.end(s, st, e, key)
			running = false
		}
		if !running && k.after.fits(s, st.c, e, key) {
			k.start(s, st, e, key)
		}
		return
	}
	before, now := k.chain(s, st, key, e), k.chain(s, st, key, nil)
	st.drop(s, func(t *timer) bool { return t.key == key && !hasWatch(now, t.at) })
	for _, w := range now {
		if !hasWatch(before, position(w)) && !st.hasMark(position(w)) {
			k.start(s, st, w, key)
		}
	}
}

// inOrder says whether e is the newest of all and no watch that has fired ran beyond it, so that the open watches
// alone tell what e does.
func (k *inactionWithinTime) inOrder(s *step, st *standing, e *history.Event) bool {
	newest := true
	s.user.log.Descend(position(e), after(maxTime), func(*history.Event) bool { newest = false; return false })
	return newest && (len(st.marks) == 0 || st.marks[len(st.marks)-1].moment < e.Time)
}

// chain replays the key's events in order, one left out if given, and returns the `after` events whose watches nothing ended.
func (k *inactionWithinTime) chain(s *step, st *standing, key string, but *history.Event) (whole []*history.Event) {
	var running *history.Event
	s.user.log.Ascend(history.Position{}, after(maxTime), func(x *history.Event) bool {
		if but != nil && x.Seq == but.Seq {
			return true
		}
		if running != nil && x.Time > running.Time+k.within {
			whole, running = append(whole, running), nil
		}
		if running != nil && k.without.fits(s, st.c, x, key) {
			running = nil
		}
		if running == nil && k.after.fits(s, st.c, x, key) {
			copied := *x
			running = &copied
		}
		return true
	})
	if running != nil {
		whole = append(whole, running)
	}
	return whole
}

func hasWatch(watches []*history.Event, at history.Position) bool {
	for _, w := range watches {
		if w.Seq == at.Seq {
			return true
		}
	}
	return false
}

// lateKind is a kind whose moments may become true when they are past, by what comes late.
type lateKind interface{ mayBeLate() }

func (k *actions) mayBeLate()            {}
func (k *inaction) mayBeLate()           {}
func (k *inactionWithinTime) mayBeLate() {}

// source is the event that has set a timer; nil: the profile, or a check.
func (u *User) source(t *timer) *history.Event {
	if t.event != nil || !t.caused() {
		return t.event
	}
	return u.set.kept(u.did(t.at))
}

// did is an event that history has. Where it cannot be read it is an empty one, and Err tells.
func (u *User) did(at history.Position) *history.Event {
	e := u.log.At(at)
	if e == nil {
		u.lost = true
		return &history.Event{Time: at.Time, Seq: at.Seq}
	}
	return e
}

// refer notes which events history has for a timer.
func (u *User) refer(t *timer) {
	if t.event == nil && t.caused() && (u.oldest == history.Position{} || less(t.at, u.oldest)) {
		u.oldest = t.at
	}
}

func (u *User) refers(st *standing) {
	for i := range st.open {
		u.refer(&st.open[i])
	}
}

func (t *timer) append(dst []byte, f row.Form) []byte {
	dst = append(dst, row.Flag[byte](row.TimerNext, t.next)|row.Flag[byte](row.TimerPassed, t.passed)|row.Flag[byte](row.TimerEvent, t.event != nil)|
		row.Flag[byte](row.TimerAt, t.event == nil && t.caused())|row.Flag[byte](row.TimerLate, t.due != t.moment)|row.Flag[byte](row.TimerYear, t.year > 0)|
		row.Flag[byte](row.TimerKey, t.key != ""))
	dst = f.AppendMoment(dst, t.moment)
	if t.due != t.moment {
		dst = binary.AppendVarint(dst, t.due-t.moment)
	}
	if t.year > 0 {
		dst = binary.AppendUvarint(dst, uint64(t.year))
	}
	if t.key != "" {
		dst = row.AppendText(dst, t.key)
	}
	switch {
	case t.event != nil:
		return row.AppendEvent(dst, t.event)
	case t.caused():
		return f.AppendPlace(dst, t.at)
	}
	return dst
}

func (r *reader) timer() timer {
	flags := r.Byte()
	t := timer{next: flags&row.TimerNext > 0, passed: flags&row.TimerPassed > 0, moment: r.Moment()}
	t.due = t.moment
	if flags&row.TimerLate > 0 {
		t.due += r.Signed()
	}
	if flags&row.TimerYear > 0 {
		t.year = int(r.Unsigned())
	}
	if flags&row.TimerKey > 0 {
		t.key = r.Text()
	}
	switch {
	case flags&row.TimerEvent > 0:
		t.event = r.Event(&r.room.Room, r.set.names)
		t.at = position(t.event)
	case flags&row.TimerAt > 0:
		t.at = r.Place()
	}
	return t
}

// losing has timers keep the events themselves that history is about to drop.
func (u *User) losing(upTo history.Position) {
	if (u.oldest == history.Position{}) || less(upTo, u.oldest) {
		return
	}
	u.oldest = history.Position{}
	for _, st := range u.standings {
		for i := range st.open {
			t := &st.open[i]
			if t.event == nil && t.caused() && !less(upTo, t.at) {
				e := u.source(t)
				t.event = u.room.Copy(e, e.Properties, u.set.names)
			}
			u.refer(t)
		}
	}
}

// cause gives a qualification the event that set a timer, or its outline.
func (s *step) cause(q *qualification, t *timer) {
	if t.event == nil && t.caused() {
		if e := s.outline(t.at); e != nil {
			q.events, q.outlined, q.lean = s.only(e), true, true
			return
		}
	}
	if e := s.user.source(t); e != nil { // of a row that nobody wrote so, there may be none
		q.events = s.only(e)
	}
}

// outline is an event as far as it is known without reading a part of history; nil: that is not enough to say which one it is.
func (s *step) outline(at history.Position) *history.Event {
	e, ok := s.user.log.Outline(at)
	if !ok {
		return nil
	}
	if len(s.drawn) == cap(s.drawn) { // what is in use stays where it is
		s.drawn = make([]history.Event, 0, max(8, 2*cap(s.drawn)))
	}
	s.drawn = append(s.drawn, e)
	return &s.drawn[len(s.drawn)-1]
}

// whole reads the events of which a qualification has outlines, all but the step's, and of a lean one leaves to them only what history keeps.
// What is suppressed mostly does without.
func (s *step) whole(q *qualification) {
	if !q.outlined {
		return
	}
	q.outlined = false
	for i, e := range q.events {
		if e == &s.event {
			continue
		}
		if e = s.user.did(position(e)); q.lean {
			e = s.set.kept(e)
		}
		q.events[i] = e
	}
}

// remember keeps the first and the last event of a name, in the user's order. Of a name that no campaign asked for until now, history
// may know some.
func (u *User) remember(e *history.Event) {
	i := sort.Search(len(u.ever), func(i int) bool { return u.ever[i].name >= e.Name })
	if i == len(u.ever) || u.ever[i].name != e.Name {
		m := memory{name: e.Name, first: e, last: e}
		for _, first := range []bool{true, false} {
			if other := u.edge(e.Name, maxTime, first); other != nil && other.Seq != e.Seq {
				copied := *other
				m.put(&copied)
			}
		}
		u.ever = slices.Insert(u.ever, i, m)
		return
	}
	u.ever[i].put(e)
}

func (m *memory) put(e *history.Event) {
	if less(position(e), position(m.first)) {
		m.first = e
	}
	if less(position(m.last), position(e)) {
		m.last = e
	}
}

// forget drops what is kept of an event name: one of these comes that is not kept any more, as no campaign asks for it.
func (u *User) forget(name string) {
	u.ever = slices.DeleteFunc(u.ever, func(m memory) bool { return m.name == name })
}

func (u *User) memory(name string) *memory {
	i := sort.Search(len(u.ever), func(i int) bool { return u.ever[i].name >= name })
	if i == len(u.ever) || u.ever[i].name != name {
		return nil
	}
	return &u.ever[i]
}

// edge is the user's first or last event of a name up to a moment, as far back as anything is known.
func (u *User) edge(name string, moment int64, first bool) (found *history.Event) {
	known := u.memory(name)
	if known != nil {
		if known.first.Time > moment {
			return nil
		}
		if first {
			return known.first
		}
		if known.last.Time <= moment {
			return known.last
		}
	}
	visit := func(e *history.Event) bool {
		found = e
		return false
	}
	if first {
		u.log.AscendOf(name, history.Position{}, after(moment), visit)
	} else {
		u.log.DescendOf(name, history.Position{}, after(moment), visit)
	}
	if found == nil && known != nil {
		return known.first
	}
	return found
}
