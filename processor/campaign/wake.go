package campaign

import (
	"cmp"
	"math"
	"slices"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/expr"
	"github.com/tripline/tripline/processor/campaign/history"
	"github.com/tripline/tripline/processor/campaign/value"
)

// timer is something of a campaign that is open for a user until a moment: a watch, a date, checks.
type timer struct {
	due    int64          // fires once time is strictly beyond it
	moment int64          // the deadline
	key    string         // the values of same
	event  *history.Event // what set it; nil: the profile, or a check
	year   int            // of a yearly repetition
	next   bool           // a check that is to come
	passed bool           // was past when it was set, and if_past lets it fire
}

// standing is where a user stands in one campaign.
type standing struct {
	c      *campaign
	count  int64            // matches so far, where occurrence counts them
	newest history.Position // inaction: the newest did event
	open   []timer
	floors []floor
	marks  []mark
	left   []int64 // moments of triggers that have left, where reentry asks for them
}

func (st *standing) empty() bool {
	return st.count == 0 && st.newest == (history.Position{}) && len(st.open) == 0 && len(st.floors) == 0 && len(st.marks) == 0 && len(st.left) == 0
}

// add opens a timer. Its due moment is the deadline plus the allowed lateness, and not before the arrival has settled
// where the deadline was already past at the arrival.
func (st *standing) add(s *step, t timer) {
	r := &s.set.rules
	t.due = t.moment + r.AllowedLateness
	if t.moment < s.arrival {
		t.due = max(t.due, s.arrival+r.Settle)
	}
	st.openDue(s, t)
}

func withDue(t timer, due int64) timer {
	t.due = due
	return t
}

// openDue opens a timer whose due moment is known. Above max_open the one due last is dropped.
func (st *standing) openDue(s *step, t timer) {
	s.user.dirty = true
	t.event = s.kept(t.event)
	st.open = append(st.open, t)
	if len(st.open) <= s.set.rules.MaxOpen || s.set.rules.MaxOpen == 0 {
		return
	}
	worst := 0
	for i := range st.open {
		if st.open[i].due >= st.open[worst].due {
			worst = i
		}
	}
	st.open = slices.Delete(st.open, worst, worst+1)
	s.out.Counts.campaign(st.c).DroppedOpen++
}

func (st *standing) remove(s *step, i int) {
	s.user.dirty = true
	st.open = slices.Delete(st.open, i, i+1)
}

// drop removes the chosen timers; chosen may change those that stay.
func (st *standing) drop(s *step, chosen func(*timer) bool) {
	kept := st.open[:0]
	for i := range st.open {
		if !chosen(&st.open[i]) {
			kept = append(kept, st.open[i])
		}
	}
	if len(kept) != len(st.open) {
		s.user.dirty = true
	}
	clear(st.open[len(kept):])
	st.open = kept
}

func (st *standing) each(visit func(*timer)) {
	for i := range st.open {
		visit(&st.open[i])
	}
}

// firesBefore orders timers of one campaign and due moment: by moment, then by what set them.
func (t *timer) firesBefore(o *timer) bool {
	if t.moment != o.moment || t.event == nil || o.event == nil {
		return t.moment < o.moment
	}
	return less(position(t.event), position(o.event))
}

// earliest finds the timer that is due first; of one due moment the campaign's name decides, then firesBefore.
func (u *User) earliest() (st *standing, index int) {
	for _, s := range u.standings {
		for i := range s.open {
			t := &s.open[i]
			if st == nil || t.due < st.open[index].due || t.due == st.open[index].due && s == st && t.firesBefore(&st.open[index]) {
				st, index = s, i
			}
		}
	}
	return st, index
}

// Due is the earliest due moment of the user's timers: call Passed once stream time is strictly beyond it.
func (u *User) Due() (ms int64, ok bool) {
	st, i := u.earliest()
	if st == nil {
		return 0, false
	}
	return st.open[i].due, true
}

// Passed fires, in order of due moment, every timer that is due strictly before now.
func (u *User) Passed(now int64, out *Output) {
	u.begin(0, out).passed(now)
}

func (s *step) passed(now int64) {
	arrival := s.arrival
	for {
		st, i := s.user.earliest()
		if st == nil || st.open[i].due >= now {
			s.arrival = arrival
			return
		}
		t := st.open[i]
		st.remove(s, i)
		s.arrival = t.due
		st.c.kind.fire(s, st, &t)
	}
}

func position(e *history.Event) history.Position { return history.Position{Time: e.Time, Seq: e.Seq} }

// after is behind everything of time t in the user's order, before ahead of it.
func after(t int64) history.Position { return history.Position{Time: t, Seq: math.MaxUint64} }

func before(t int64) history.Position { return history.Position{Time: t - 1, Seq: math.MaxUint64} }

func less(a, b history.Position) bool {
	return a.Time < b.Time || a.Time == b.Time && a.Seq < b.Seq
}

// View is where a user stands in a campaign, for whoever explains it. Nothing in it is to be changed, and it holds until the
// user's next step.
type View struct {
	Definition *Definition
	Rules      Rules
	User       string
	Profile    value.Properties
	Zone       calendar.Zone
	Events     []*history.Event            // those that the trigger listens to, in the user's order; the newest most
	Cut        bool                        // there are older ones
	Matches    int64                       // so far, where occurrence counts them
	Open       []Open                      // in order of due moment
	Used       map[string]history.Position // actions: by key, up to where events have been used up
	Left       []int64                     // moments of the user's triggers, where reentry asks for them

	Look    func(l *expr.Lookup, moment int64) expr.Answer // a history function as of a moment
	Reenter func(moment int64) bool                        // whether reentry lets a moment through
}

// Open is what waits for a user in a campaign.
type Open struct {
	Moment, Due int64          // ms; once time is beyond Due, the campaign decides as of Moment
	Key         string         // see KeyOf
	Event       *history.Event // what set it; nil: the profile, or a check
	Check       bool           // of inaction: a look that is to come
}

// mostViewed bounds how many events a view holds.
const mostViewed = 1000

// View looks at the user in the campaign of a name; ok is false if there is none.
func (u *User) View(name string) (v View, ok bool) {
	i := slices.IndexFunc(u.set.campaigns, func(c *campaign) bool { return c.def.Name == name })
	if i < 0 {
		return v, false
	}
	c := u.set.campaigns[i]
	v = View{Definition: c.def, Rules: u.set.rules, User: u.id, Profile: u.profile, Zone: u.zone, Used: map[string]history.Position{}}
	listens := c.kind.names()
	u.log.Descend(history.Position{}, after(maxTime), func(e *history.Event) bool {
		if v.Cut = len(v.Events) == mostViewed; v.Cut {
			return false
		}
		if slices.Contains(listens, e.Name) {
			copied := *e
			v.Events = append(v.Events, &copied)
		}
		return true
	})
	slices.Reverse(v.Events)
	v.Look = func(l *expr.Lookup, moment int64) expr.Answer { return u.begin(moment, &Output{}).look(c, l, moment) }
	st, known := u.standing(c)
	if !known {
		st = &standing{c: c}
	}
	v.Matches, v.Left = st.count, slices.Clone(st.left)
	v.Reenter = func(moment int64) bool { return c.def.Reentry == nil || c.def.Reentry.allows(v.Left, moment) }
	for _, f := range st.floors {
		v.Used[f.key] = f.at
	}
	for i := range st.open {
		t := &st.open[i]
		v.Open = append(v.Open, Open{Moment: t.moment, Due: t.due, Key: t.key, Event: t.event, Check: t.next})
	}
	slices.SortStableFunc(v.Open, func(a, b Open) int { return cmp.Compare(a.Due, b.Due) })
	return v, true
}

// KeyOf is a text that is equal for two events exactly if the named properties have equal values of equal type; ok is false where
// one is missing.
func KeyOf(e *history.Event, names []string) (key string, ok bool) { return keyOf(e, names) }
