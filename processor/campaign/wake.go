package campaign

import (
	"cmp"
	"slices"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/expr"
	"github.com/tripline/tripline/processor/campaign/history"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/value"
)

// timer is something of a campaign that is open for a user until a moment: a watch, a date, checks.
type timer struct {
	due    int64            // fires once time is strictly beyond it
	moment int64            // the deadline
	key    string           // the values of same
	at     history.Position // of the event that set it; zero: the profile, or a check
	event  *history.Event   // itself, where history does not have it; see User.source
	year   int              // of a yearly repetition
	next   bool             // a check that is to come
	passed bool             // was past when it was set, and if_past lets it fire
}

// held is a trigger that waits: for its delay, or for the end of quiet hours.
type held struct {
	due      int64 // leaves once time is strictly beyond it
	moment   int64
	from     history.Position // exit events stand after it
	identity []byte
	events   []*history.Event
}

// standing is where a user stands in one campaign.
type standing struct {
	c      *campaign
	count  int64            // matches so far, where occurrence counts them
	newest history.Position // inaction: the newest did event
	open   []timer
	floors []floor
	marks  []mark
	left   []int64 // moments of triggers that have left, wait or were held out, where reentry asks for them
	held   []held
	goals  []watched
	judged []judgment
	under  uint32 // lower half of the trigger under which the row was written
}

func (st *standing) empty() bool {
	return st.count == 0 && st.newest == (history.Position{}) && len(st.open) == 0 && len(st.floors) == 0 && len(st.marks) == 0 && len(st.left) == 0 &&
		len(st.held) == 0 && len(st.goals) == 0 && len(st.judged) == 0
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

// openDue opens a timer whose due moment is known. Above max_open the one due last is dropped.
func (st *standing) openDue(s *step, t timer) {
	s.user.dirty = true
	if t.event != nil {
		if spare := s.set.spare; s.user.log.Has(t.event) && (spare == nil || spare[t.event.Name]) {
			t.event = nil
		} else {
			t.event = s.kept(t.event)
		}
	}
	s.user.refer(&t)
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
	if t.moment != o.moment || !t.caused() || !o.caused() {
		return t.moment < o.moment
	}
	return less(t.at, o.at)
}

// by is a timer that an event sets.
func by(e *history.Event, moment int64, key string) timer {
	return timer{moment: moment, key: key, at: position(e), event: e}
}

// caused says whether an event has set the timer.
func (t *timer) caused() bool { return t.at != history.Position{} }

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
	if !u.aimed {
		u.next, u.aimed = maxTime, true
		for _, st := range u.standings {
			u.next = min(u.next, st.firstDue())
		}
	}
	if u.next == maxTime {
		return 0, false
	}
	return u.next, true
}

// firstDue is the earliest due moment in a campaign; maxTime: there is none.
func (st *standing) firstDue() int64 {
	ms := int64(maxTime)
	for i := range st.open {
		ms = min(ms, st.open[i].due)
	}
	for i := range st.held {
		ms = min(ms, st.held[i].due)
	}
	return ms
}

// Passed fires, in order of due moment, every timer that is due strictly before now.
func (u *User) Passed(now int64, out *Output) {
	u.begin(0, out).passed(now)
}

func (s *step) passed(now int64) {
	arrival := s.arrival
	for {
		due, ok := s.user.Due()
		if !ok || due >= now {
			s.arrival, s.user.aimed = arrival, false // what follows may set others
			return
		}
		s.arrival, s.user.aimed, s.user.now = due, false, max(s.user.now, due+1)
		s.release(due)
		for {
			st, i := s.user.earliest()
			if st == nil || st.open[i].due != due {
				break
			}
			s.fired = st.open[i]
			st.remove(s, i)
			st.c.kind.fire(s, st, &s.fired)
		}
		s.decide()
	}
}

// hold has a trigger wait until a due moment. Above max_open the one due last is dropped, and its place given back.
func (st *standing) hold(s *step, q *qualification, identity []byte, due int64) {
	s.user.dirty = true
	h := held{due: due, moment: q.moment, from: q.c.exitsFrom(q), identity: slices.Clone(identity), events: slices.Clone(q.events)}
	for i, e := range h.events {
		if e == &s.event { // whole, unlike what kept gives
			h.events[i] = s.clone(e, e.Properties)
		}
	}
	if extra := len(h.events) - record.MaxEvents - 1; extra > 0 { // one more than a trigger shows tells it that some are left out
		h.events = h.events[extra:]
	}
	at := len(st.held)
	for at > 0 && st.held[at-1].due > due {
		at--
	}
	st.held = slices.Insert(st.held, at, h)
	if last := len(st.held) - 1; s.set.rules.MaxOpen > 0 && last >= s.set.rules.MaxOpen {
		st.givesBack(s, st.held[last].moment)
		st.held = st.held[:last]
		s.out.Counts.campaign(st.c).DroppedOpen++
	}
}

// release takes from those that wait what is due at a moment, to be judged once more.
func (s *step) release(due int64) {
	for _, st := range s.user.standings {
		st.held = slices.DeleteFunc(st.held, func(h held) bool {
			if h.due != due {
				return false
			}
			s.user.dirty = true
			s.pending = append(s.pending, qualification{c: st.c, moment: h.moment, left: due, events: h.events, waited: h.identity})
			return true
		})
	}
}

// exitsFrom is the position after which an exit event ends a wait: that of the qualifying event, or for a timer the one
// before all of its moment.
func (c *campaign) exitsFrom(q *qualification) history.Position {
	switch c.kind.(type) {
	case *singleAction, *actions:
		return position(q.newest())
	}
	return before(q.moment)
}

// exit finds what had ended a wait before it begins.
func (s *step) exit(c *campaign, q *qualification) *history.Event {
	if len(c.exits) == 0 {
		return nil
	}
	return s.firstExit(c, q)
}

func (s *step) firstExit(c *campaign, q *qualification) (found *history.Event) {
	for i := range c.exits {
		s.user.log.AscendOf(c.exits[i].event, c.exitsFrom(q), after(maxTime), func(e *history.Event) bool {
			if found != nil && !less(position(e), position(found)) {
				return false
			}
			_, ends := c.exits[i].match(s, c, e)
			if ends {
				copied := *e
				found = &copied
			}
			return !ends
		})
	}
	return found
}

// ends drops those that wait and stand before e, an exit event that has just arrived.
func (st *standing) ends(s *step, e *history.Event) {
	kept := st.held[:0]
	for i := range st.held {
		h := st.held[i]
		if !less(h.from, position(e)) {
			kept = append(kept, h)
			continue
		}
		s.user.dirty = true
		st.givesBack(s, h.moment)
		s.suppress(st.c, h.moment, s.arrival, h.identity, verdict{reason: exited, detail: e.Name + " at " + calendar.FormatTime(e.Time)})
	}
	clear(st.held[len(kept):])
	st.held = kept
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
	Unseen     int                         // of those names, that came before a campaign without backfill, and do not count
	Kept       int                         // events of all names in history
	Now        int64                       // ms; what was due before has fired
	Matches    int64                       // so far, where occurrence counts them
	Open       []Open                      // in order of due moment
	Held       []Open                      // triggers that wait for their delay, or for the end of quiet hours
	Used       map[string]history.Position // actions: by key, up to where events have been used up
	Left       []int64                     // moments of the user's triggers, where reentry asks for them
	Stands     []Qualified                 // inaction: the looks that have qualified
	HeldOut    bool                        // in the control group

	Look    func(l *expr.Lookup, moment int64) expr.Answer               // a history function as of a moment
	Reenter func(moment int64) (other int64, ok bool)                    // whether reentry, if there is any, lets a moment through, else which one stops it
	Quiet   func(moment int64) (end int64, ok bool)                      // whether quiet hours are on at a moment, and until when
	Counts  func(moment int64) []Counted                                 // what the campaign's caps count at a moment
	Exit    func(moment int64, newest *history.Event) (e *history.Event) // the first event that ends the wait of what qualified then; nil: none
}

// Counted is how many of the user's triggers a cap counts.
type Counted struct {
	Cap      *Cap
	Triggers int
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
	v = View{Definition: c.def, Rules: u.set.rules, User: u.id, Profile: u.profile, Zone: u.zone, Kept: u.log.Len(), Now: u.now, Used: map[string]history.Position{}}
	listens := c.kind.names()
	u.log.Descend(history.Position{}, after(maxTime), func(e *history.Event) bool {
		v.Cut = len(v.Events) == mostViewed
		switch copied := *e; {
		case v.Cut || !slices.Contains(listens, e.Name):
		case u.sees(c, e.Seq):
			v.Events = append(v.Events, &copied)
		default:
			v.Unseen++
		}
		return !v.Cut
	})
	slices.Reverse(v.Events)
	v.Look = func(l *expr.Lookup, moment int64) expr.Answer { return u.begin(moment, &Output{}).look(c, l, moment) }
	st, known := u.standing(c)
	if !known {
		st = &standing{c: c}
	}
	v.Matches, v.Left, v.Stands = st.count, slices.Clone(st.left), st.stands()
	for _, f := range st.floors {
		v.Used[f.key] = f.at
	}
	for i := range st.open {
		t := &st.open[i]
		v.Open = append(v.Open, Open{Moment: t.moment, Due: t.due, Key: t.key, Event: u.source(t), Check: t.next})
	}
	for i := range st.held {
		v.Held = append(v.Held, Open{Moment: st.held[i].moment, Due: st.held[i].due})
	}
	slices.SortStableFunc(v.Open, func(a, b Open) int { return cmp.Compare(a.Due, b.Due) })
	v.HeldOut = c.def.ControlGroup != nil && c.def.ControlGroup.holds(c.def.Name, u.id)
	v.controls(u, c)
	return v, true
}

// controls lets a view ask what stops a trigger.
func (v *View) controls(u *User, c *campaign) {
	v.Reenter = func(moment int64) (other int64, ok bool) {
		other, stopped := c.def.Reentry.stops(v.Left, moment)
		return other, !stopped
	}
	v.Quiet = func(moment int64) (int64, bool) {
		if c.def.QuietHours == nil {
			return 0, false
		}
		return c.quiet.Holds(moment, u.zone)
	}
	v.Counts = func(moment int64) (list []Counted) {
		for _, limit := range c.caps {
			list = append(list, Counted{limit, u.counted(limit, moment)})
		}
		return list
	}
	v.Exit = func(moment int64, newest *history.Event) *history.Event {
		return u.begin(moment, &Output{}).exit(c, &qualification{c: c, moment: moment, events: []*history.Event{newest}})
	}
}
