package campaign

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/history"
	"github.com/tripline/tripline/processor/campaign/record"
)

// The reasons for which a qualification does not become a trigger, in the order in which they are tried.
const (
	paused = iota
	outsideSchedule
	notInAudience
	reentered
	stale
	exited
	quiet
	capped
	controlGroup
)

var reasons = [...]string{"paused", "outside_schedule", "not_in_audience", "reentry", "stale", "exited", "quiet_hours", "capped", "control_group"}

// Reasons lists the reasons of CampaignCounts.Suppressed.
func Reasons() []string { return reasons[:] }

// qualification says that a campaign's condition became true.
type qualification struct {
	c              *campaign
	moment         int64            // when, in event time
	left           int64            // when it was found, and where it has waited, when its wait is over: an event's arrival, a timer's due moment
	key            string           // the values of same
	events         []*history.Event // those that qualified the user, oldest first
	passed         bool             // if_past: fire let it through: never stale
	waited         []byte           // its identity, where it has waited: only what may have changed since is judged again
	outlined, lean bool             // see whole
}

// newest is the last of the events; nil where a profile set the timer.
func (q *qualification) newest() *history.Event {
	if len(q.events) == 0 {
		return nil
	}
	return q.events[len(q.events)-1]
}

// qualify notes a qualification, which the end of the step judges.
func (s *step) qualify(st *standing, q qualification) {
	q.c = st.c
	if judged := s.user.apart; judged != nil {
		*judged = append(*judged, q.judgment())
		return
	}
	if st.hasJudged(&q) {
		return
	}
	s.out.Counts.campaign(q.c).Qualified++
	s.pending = append(s.pending, q)
}

// only is what an event that qualifies by itself gives a qualification. It holds until the end of the step.
func (s *step) only(e *history.Event) []*history.Event {
	n := len(s.alone)
	s.alone = append(s.alone, e)
	return s.alone[n : n+1 : n+1]
}

// goesBefore orders what one step lets go: what has priority, then by campaign's name; of one campaign by moment, then by
// the newest event.
func goesBefore(a, b qualification) int {
	if order := cmp.Or(cmp.Compare(b.c.def.Priority, a.c.def.Priority), a.c.index-b.c.index, cmp.Compare(a.moment, b.moment)); order != 0 {
		return order
	}
	if x, y := a.newest(), b.newest(); x != nil && y != nil {
		return cmp.Or(cmp.Compare(x.Time, y.Time), cmp.Compare(x.Seq, y.Seq))
	}
	return 0
}

// decide judges what the step lets go.
func (s *step) decide() {
	if len(s.pending) > 1 {
		slices.SortStableFunc(s.pending, goesBefore)
	}
	for i := range s.pending {
		q := &s.pending[i]
		st, known := s.user.standing(q.c)
		if !known {
			st = s.stranger(q.c)
		}
		s.judge(st, q)
		if !known && !st.empty() {
			s.user.settle(st)
		}
	}
	clear(s.pending)
	clear(s.alone)
	clear(s.drawn)
	s.pending, s.alone, s.drawn = s.pending[:0], s.alone[:0], s.drawn[:0]
}

// judge turns a qualification into triggers, one for each endpoint, into a suppressed decision, or has it wait.
func (s *step) judge(st *standing, q *qualification) {
	why := s.verdict(st, q)
	identity := q.waited
	if identity == nil {
		identity = s.identity(q.c, q)
	}
	switch {
	case why.until > 0:
		if q.waited == nil {
			st.takesPlace(s, q.moment)
		}
		s.whole(q)
		st.hold(s, q, identity, why.until)
	case why.reason == leaves || why.reason == controlGroup:
		if q.waited == nil {
			st.takesPlace(s, q.moment)
		}
		if why.reason == controlGroup {
			s.suppress(q.c, q.moment, q.left, identity, why)
			st.watchGoal(s, digest("trg_", identity, ""), q.left, true)
			return
		}
		s.whole(q)
		s.leave(st, q, identity)
	default:
		if q.waited != nil {
			st.givesBack(s, q.moment)
		}
		s.suppress(q.c, q.moment, q.left, identity, why)
	}
}

// leave emits the triggers.
func (s *step) leave(st *standing, q *qualification, identity []byte) {
	d := q.c.def
	s.out.Counts.campaign(q.c).Triggered++
	s.user.countForCaps(q.c, q.left)
	events := make([]record.Happening, len(q.events))
	for i, e := range q.events {
		events[i] = record.Happening{Name: e.Name, Time: e.Time, Properties: e.Properties}
	}
	for _, to := range d.Deliver {
		endpoint := ""
		if len(d.Deliver) > 1 {
			endpoint = to.Endpoint
		}
		id := digest("trg_", identity, endpoint)
		s.out.Triggers = append(s.out.Triggers, record.Trigger{ID: id, Campaign: d.Name, Version: d.Version,
			Category: q.c.category, User: s.user.id, Time: q.moment, Left: max(q.left, q.moment), Profile: s.user.profile,
			Events: events, Endpoint: to.Endpoint})
		st.watchGoal(s, id, q.left, false)
	}
}

func (s *step) suppress(c *campaign, moment, left int64, identity []byte, why verdict) {
	s.out.Counts.campaign(c).Suppressed[why.reason]++
	if why.reason == notInAudience && !s.set.rules.NotInAudience {
		return
	}
	s.out.Decisions = append(s.out.Decisions, record.Decision{ID: digest("dec_", identity, ""), Campaign: c.def.Name, Version: c.def.Version,
		User: s.user.id, Time: moment, Left: left, Decision: "suppressed", Reason: reasons[why.reason], Detail: why.detail})
}

// verdict is what becomes of a qualification: a reason that stops it, with its detail, or until when it waits, or neither.
type verdict struct {
	reason int
	detail string
	until  int64 // ms; the due moment of the wait
}

// leaves is the reason of what nothing stops.
const leaves = -1

// verdict tries the controls in their order; the first that stops the qualification gives its reason. Of one that has
// waited it tries again those that may have changed.
func (s *step) verdict(st *standing, q *qualification) verdict {
	c, d := q.c, q.c.def
	if d.Enabled != nil && !*d.Enabled {
		return verdict{reason: paused}
	}
	if d.Schedule != nil {
		for _, m := range [2]int64{q.moment, q.left} {
			if (m == q.left || q.waited == nil) && !d.Schedule.contains(m) {
				return verdict{reason: outsideSchedule, detail: "at " + calendar.FormatTime(m)}
			}
		}
	}
	if q.waited != nil {
		return s.atLeaving(q)
	}
	if c.audience != nil && !s.inAudience(c, q, q.moment) {
		return verdict{reason: notInAudience}
	}
	if d.Reentry != nil {
		if other, ok := d.Reentry.stops(st.left, q.moment); ok {
			return verdict{reason: reentered, detail: d.Reentry.String() + ", and one triggered at " + calendar.FormatTime(other)}
		}
	}
	if late := q.left - (q.moment + s.set.rules.AllowedLateness); !q.passed && late > c.stale {
		return verdict{reason: stale, detail: "found " + calendar.FormatDuration(late) + " late"}
	}
	if e := s.exit(c, q); e != nil {
		return verdict{reason: exited, detail: e.Name + " at " + calendar.FormatTime(e.Time)}
	}
	if c.delay > 0 {
		if due := q.moment + c.delay + s.set.rules.AllowedLateness; due > q.left {
			return verdict{until: due}
		}
	}
	return s.atLeaving(q)
}

// atLeaving tries the controls of the moment at which a trigger would leave.
func (s *step) atLeaving(q *qualification) verdict {
	c, d := q.c, q.c.def
	if d.QuietHours != nil {
		if end, ok := c.quiet.Holds(q.left, s.user.zone); ok {
			if d.QuietHours.Then != drop {
				return verdict{until: s.afterQuiet(c, end)}
			}
			return verdict{reason: quiet, detail: "until " + calendar.FormatTime(end) + " (" + s.user.zone.String() + ")"}
		}
	}
	if q.waited != nil && c.audience != nil && !s.inAudience(c, q, q.left) {
		return verdict{reason: notInAudience, detail: "at " + calendar.FormatTime(q.left)}
	}
	for i, limit := range c.caps {
		if s.user.counted(limit, q.left) >= limit.Max {
			return verdict{reason: capped, detail: c.cappedBy[i]}
		}
	}
	if d.ControlGroup != nil && d.ControlGroup.holds(d.Name, s.user.id) {
		return verdict{reason: controlGroup, detail: d.ControlGroup.String()}
	}
	return verdict{reason: leaves}
}

// afterQuiet is when a trigger leaves that quiet hours hold until end: allowed_lateness later, and where that lies in quiet hours again,
// with those.
func (s *step) afterQuiet(c *campaign, end int64) (due int64) {
	due = end + s.set.rules.AllowedLateness
	for on := true; on; end, on = c.quiet.Holds(due, s.user.zone) {
		due = max(due, end)
	}
	return due
}

func (d *Schedule) contains(ms int64) bool {
	return (d.Start == nil || ms >= int64(*d.Start)) && (d.End == nil || ms < int64(*d.End))
}

// stops judges a moment by those of the user's earlier triggers, and names the last of those that stand in its way.
func (r *Reentry) stops(left []int64, moment int64) (other int64, ok bool) {
	n, most := 0, 1
	if r.Max != nil {
		most = *r.Max
	}
	for _, m := range left {
		switch {
		case r.MinGap != nil && (m-moment >= int64(*r.MinGap) || moment-m >= int64(*r.MinGap)):
		case r.Max != nil && (m <= moment-int64(*r.Per) || m > moment):
		default:
			other = m
			n++
		}
	}
	return other, n >= most
}

// String is the rule as a decision's detail tells it.
func (r *Reentry) String() string {
	switch {
	case r.Once:
		return "once"
	case r.MinGap != nil:
		return "at least " + calendar.FormatDuration(int64(*r.MinGap)) + " between two"
	}
	return fmt.Sprintf("at most %d per %s", *r.Max, calendar.FormatDuration(int64(*r.Per)))
}

// takesPlace notes a trigger's moment as long as reentry can ask for it: for ever under once, else the rule's length and
// as long again as a moment can be found late, which has no end where if_past fires.
func (st *standing) takesPlace(s *step, moment int64) {
	r := st.c.def.Reentry
	if r == nil {
		return
	}
	s.user.dirty = true
	if r.Once {
		st.left = append(st.left[:0], moment)
		return
	}
	length := int64(0)
	if r.MinGap != nil {
		length = int64(*r.MinGap)
	} else {
		length = int64(*r.Per)
	}
	rules := &s.set.rules
	oldest := s.arrival - length - max(rules.MaxAge, st.c.stale+rules.AllowedLateness)
	if k, ok := st.c.kind.(*dateTimeProperty); ok && k.ifPast {
		oldest = math.MinInt64
	}
	kept := st.left[:0]
	for _, m := range st.left {
		if m >= oldest {
			kept = append(kept, m)
		}
	}
	st.left = append(kept[max(0, len(kept)-maxLeft+1):], moment)
}

// maxLeft bounds how many triggers of a user one campaign's reentry knows.
const maxLeft = 10_000

// givesBack forgets the moment of a trigger that was dropped after all.
func (st *standing) givesBack(s *step, moment int64) {
	if i := slices.Index(st.left, moment); i >= 0 {
		s.user.dirty = true
		st.left = slices.Delete(st.left, i, i+1)
	}
}

func (c *compiler) schedule(s *Schedule) {
	if s != nil && s.Start != nil && s.End != nil && *s.Start >= *s.End {
		c.problem("schedule.end", "expected an end after the start")
	}
}

func (c *compiler) reentry(r *Reentry) {
	if r == nil {
		return
	}
	forms := 0
	if r.Once {
		forms++
	}
	if r.MinGap != nil {
		forms++
		c.positive("reentry.min_gap", r.MinGap)
	}
	if r.Max != nil || r.Per != nil {
		forms++
		if r.Max == nil || r.Per == nil {
			c.problem("reentry", "max and per belong together: {max: 3, per: 7d}")
		} else if *r.Max < 1 {
			c.problem("reentry.max", "expected at least 1; to stop a campaign write enabled: false")
		}
		c.positive("reentry.per", r.Per)
	}
	if forms != 1 {
		c.problem("reentry", "expected exactly one of {once: true}, {min_gap: 1d}, {max: 3, per: 7d}")
	}
}

const (
	hold = "hold"
	drop = "drop"
)

// waiting compiles what may hold a trigger up.
func (c *compiler) waiting(d *Definition, out *campaign) {
	out.delay = c.positive("delay", d.Delay)
	if q := d.QuietHours; q != nil {
		out.quiet.Days = calendar.EveryDay
		if q.From == nil || q.To == nil {
			c.problem("quiet_hours", "expected a beginning and an end: {from: \"22:00\", to: \"08:00\"}")
		} else if out.quiet.From, out.quiet.To = calendar.TimeOfDay(*q.From), calendar.TimeOfDay(*q.To); *q.From == *q.To {
			c.problem("quiet_hours.to", "expected another time of day than from: to stop a campaign write enabled: false")
		}
		if q.Days != nil {
			out.quiet.Days = [7]bool{}
		}
		if q.Days != nil && len(q.Days) == 0 {
			c.problem("quiet_hours.days", "expected at least one day, as in [sat, sun]; left out, every day begins a period")
		}
		for i, name := range q.Days {
			c.choice(fmt.Sprintf("quiet_hours.days[%d]", i), name, "mon", "tue", "wed", "thu", "fri", "sat", "sun")
			out.quiet.Days[weekdays[name]] = true
		}
		if q.Then != "" {
			c.choice("quiet_hours.then", q.Then, hold, drop)
		}
	}
	if len(d.Exit) > 0 && d.Delay == nil && (d.QuietHours == nil || d.QuietHours.Then == drop) {
		c.problem("exit", "drops what waits, and nothing can wait here: give a delay, or quiet_hours that hold")
	}
	for i := range d.Exit {
		out.exits = append(out.exits, c.pattern(fmt.Sprintf("exit[%d]", i), &d.Exit[i], nil, false))
		c.used.longest = max(c.used.longest, 1) // exits are looked for from the moment on, however late it is found
	}
}
