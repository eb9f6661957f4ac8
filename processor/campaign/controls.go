package campaign

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"

	"github.com/tripline/tripline/processor/campaign/expr"
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
)

var reasons = [...]string{"paused", "outside_schedule", "not_in_audience", "reentry", "stale"}

// Reasons lists the reasons of CampaignCounts.Suppressed.
func Reasons() []string { return reasons[:] }

// qualification says that a campaign's condition became true.
type qualification struct {
	moment int64            // when, in event time
	left   int64            // when it was found: an event's arrival, a timer's due moment
	key    string           // the values of same
	events []*history.Event // those that qualified the user, oldest first
	passed bool             // if_past: fire let it through: never stale
}

// newest is the last of the events; nil where a profile set the timer.
func (q *qualification) newest() *history.Event {
	if len(q.events) == 0 {
		return nil
	}
	return q.events[len(q.events)-1]
}

// qualify turns a qualification into triggers, one for each endpoint, or into a suppressed decision.
func (s *step) qualify(st *standing, q qualification) {
	counts := s.out.Counts.campaign(st.c)
	counts.Qualified++
	d := st.c.def
	hash := s.identity(st.c, &q)
	if reason, ok := s.stopped(st, &q); ok {
		s.out.Counts.campaign(st.c).Suppressed[reason]++
		if reason != notInAudience || s.set.rules.NotInAudience {
			s.out.Decisions = append(s.out.Decisions, record.Decision{ID: digest("dec_", hash, ""), Campaign: d.Name, Version: d.Version,
				User: s.user.id, Time: q.moment, Left: q.left, Decision: "suppressed", Reason: reasons[reason]})
		}
		return
	}
	s.out.Counts.campaign(st.c).Triggered++
	if r := d.Reentry; r != nil {
		st.leaves(s, q.moment)
	}
	events := make([]record.Happening, len(q.events))
	for i, e := range q.events {
		events[i] = record.Happening{Name: e.Name, Time: e.Time, Properties: e.Properties}
	}
	for _, to := range d.Deliver {
		endpoint := ""
		if len(d.Deliver) > 1 {
			endpoint = to.Endpoint
		}
		s.out.Triggers = append(s.out.Triggers, record.Trigger{ID: digest("trg_", hash, endpoint), Campaign: d.Name, Version: d.Version,
			Category: st.c.category, User: s.user.id, Time: q.moment, Left: max(q.left, q.moment), Profile: s.user.profile,
			Events: events, Endpoint: to.Endpoint})
	}
}

// stopped tries the controls in their order; the first that stops the qualification gives its reason.
func (s *step) stopped(st *standing, q *qualification) (reason int, ok bool) {
	d := st.c.def
	switch {
	case d.Enabled != nil && !*d.Enabled:
		return paused, true
	case d.Schedule != nil && !(d.Schedule.contains(q.moment) && d.Schedule.contains(q.left)):
		return outsideSchedule, true
	case st.c.audience != nil && !s.inAudience(st.c, q):
		return notInAudience, true
	case d.Reentry != nil && !d.Reentry.allows(st.left, q.moment):
		return reentered, true
	case !q.passed && q.left-(q.moment+s.set.rules.AllowedLateness) > st.c.stale:
		return stale, true
	}
	return 0, false
}

func (d *Schedule) contains(ms int64) bool {
	return (d.Start == nil || ms >= int64(*d.Start)) && (d.End == nil || ms < int64(*d.End))
}

// allows judges a moment by those of the user's earlier triggers.
func (r *Reentry) allows(left []int64, moment int64) bool {
	switch {
	case r.Once:
		return len(left) == 0
	case r.MinGap != nil:
		for _, m := range left {
			if m-moment < int64(*r.MinGap) && moment-m < int64(*r.MinGap) {
				return false
			}
		}
		return true
	}
	n := 0
	for _, m := range left {
		if m > moment-int64(*r.Per) && m <= moment {
			n++
		}
	}
	return n < *r.Max
}

// leaves notes a trigger's moment as long as reentry can ask for it: for ever under once, else the rule's length and
// as long again as a moment can be found late, which has no end where if_past fires.
func (st *standing) leaves(s *step, moment int64) {
	s.user.dirty = true
	r := st.c.def.Reentry
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

// inAudience judges who the user is and what they had done up to the moment.
func (s *step) inAudience(c *campaign, q *qualification) bool {
	s.env = expr.Env{Profile: s.user.profile, User: s.user.id, Now: q.moment, Look: func(l *expr.Lookup) expr.Answer { return s.look(c, l, q.moment) }}
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

// identity hashes what makes a qualification this one: campaign, user, moment and instance.
func (s *step) identity(c *campaign, q *qualification) []byte {
	h := s.text[:0]
	field := func(text string) {
		h = binary.AppendUvarint(h, uint64(len(text)))
		h = append(h, text...)
	}
	field(c.def.Name)
	field(s.user.id)
	h = binary.AppendVarint(h, q.moment)
	field(q.key)
	if e := q.newest(); e != nil {
		field(e.ID)
		if e.ID == "" {
			h = binary.AppendVarint(h, e.Time)
			field(e.Name)
			h = binary.AppendVarint(h, s.user.ordinal(e))
		}
	}
	s.text = h
	return h
}

// ordinal counts the user's earlier arrivals of e's time and name.
func (u *User) ordinal(e *history.Event) (n int64) {
	u.log.AscendOf(e.Name, before(e.Time), history.Position{Time: e.Time, Seq: e.Seq - 1}, func(*history.Event) bool {
		n++
		return true
	})
	return n
}

func digest(prefix string, identity []byte, endpoint string) string {
	sum := sha256.Sum256(append(binary.AppendUvarint(identity, uint64(len(endpoint))), endpoint...))
	id := make([]byte, 0, 36)
	return string(hex.AppendEncode(append(id, prefix...), sum[:16]))
}
