package twin

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"time"
)

// parting is what one step lets go: a qualification, or one whose wait is over.
type parting struct {
	campaign Campaign
	q        qualification
	left     int64
	waited   *wait // nil: it has just qualified
}

// wait is a trigger held by `delay` or `quiet_hours`.
type wait struct {
	q   qualification
	due int64
}

// sent is a trigger that has left.
type sent struct {
	left int64
	name string
}

// pursuit is a trigger that may still convert.
type pursuit struct {
	left  int64
	group string
}

// qualify notes what has qualified, once for each instance.
func (u *user) qualify(c Campaign, q qualification, left int64) {
	m := u.memories[c.Name]
	if !m.left[q.instance] {
		m.left[q.instance] = true
		if c.Actions != nil || c.Inaction != nil || c.InactionWithinTime != nil && c.InactionWithinTime.OnRepeat == "ignore" {
			m.passed = append(m.passed, c.judged(q))
		}
		if c.late() && m.before[c.judged(q)] {
			return
		}
		u.letGo = append(u.letGo, parting{campaign: c, q: q, left: left})
	}
}

// decide: "Of what one step lets go for a user …, larger `priority` (default 0) goes first, then the campaign's name."
func (u *user) decide() {
	slices.SortStableFunc(u.letGo, func(a, b parting) int {
		if order := cmp.Or(b.campaign.Priority-a.campaign.Priority, strings.Compare(a.campaign.Name, b.campaign.Name), cmp.Compare(a.q.moment, b.q.moment)); order != 0 {
			return order
		}
		if len(a.q.events) == 0 || len(b.q.events) == 0 {
			return 0
		}
		x, y := a.q.events[len(a.q.events)-1], b.q.events[len(b.q.events)-1]
		return sign(x.before(y), y.before(x))
	})
	list := u.letGo
	u.letGo = nil
	for _, p := range list {
		u.judge(p)
	}
}

// judge ends a qualification in a trigger, a suppressed decision or a wait.
func (u *user) judge(p parting) {
	c, m := p.campaign, u.memories[p.campaign.Name]
	m.waiting = slices.DeleteFunc(m.waiting, func(w *wait) bool { return w == p.waited })
	reason, until := u.stopped(p)
	if p.waited == nil && (until > 0 || reason == "" || reason == "control_group") {
		c.Reentry.take(m, p.q.moment)
	}
	if until > 0 {
		m.waiting = append(m.waiting, &wait{q: p.q, due: until})
		return
	}
	u.tell(c, p.q, p.left, reason)
	group := "treated"
	switch reason {
	case "":
		u.sent = append(u.sent, sent{left: p.left, name: c.Name})
	case "control_group":
		group = "control"
	default:
		if p.waited != nil {
			m.giveBack(p.q.moment)
		}
		return
	}
	if c.Goal != nil {
		m.goals = slices.DeleteFunc(m.goals, func(g pursuit) bool { return c.lapsed(g, p.left, u.rules.AllowedLateness) })
		m.goals = append(m.goals, pursuit{left: p.left, group: group})
	}
}

func (u *user) tell(c Campaign, q qualification, left int64, reason string) {
	out := Outcome{Campaign: c.Name, Time: q.moment, Left: left, Reason: reason}
	for _, e := range q.events {
		out.Events = append(out.Events, Seen{e.Name, e.Time})
	}
	u.outcomes = append(u.outcomes, out)
}

// stopped goes through the controls in their order: "the first that stops a qualification gives its reason". until is
// when a wait is over.
func (u *user) stopped(p parting) (reason string, until int64) {
	c, q, m := p.campaign, p.q, u.memories[p.campaign.Name]
	out := func(t int64) bool { return c.Start != 0 && t < c.Start || c.End != 0 && t >= c.End }
	switch {
	case c.Paused:
		return "paused", 0
	case out(p.left) || p.waited == nil && out(q.moment): // "outside it nothing qualifies or leaves"
		return "outside_schedule", 0
	}
	if p.waited != nil {
		return u.leaving(p)
	}
	// "Found is the arrival of the event that reveals it (plus `settle` where it settles), for any other timer its due
	// moment": in each case it is when it leaves, or begins to wait.
	found, staleAfter := p.left, cmp.Or(c.StaleAfter, day)
	switch {
	case c.Audience != nil && !holds(c.Audience, u.scopeAt(q, q.moment)):
		return "not_in_audience", 0
	case c.Reentry.stops(m.triggers, q.moment):
		return "reentry", 0
	case !q.past && found-(q.moment+u.rules.AllowedLateness) > staleAfter:
		return "stale", 0
	case slices.ContainsFunc(u.seen(m), func(e event) bool { return c.exits(q, e) }):
		return "exited", 0
	}
	// "wait, counted from the moment"; "`allowed_lateness` makes every timer wait that much longer".
	if over := q.moment + c.Delay + u.rules.AllowedLateness; c.Delay > 0 && over > p.left {
		return "", over
	}
	return u.leaving(p)
}

// leaving: "When it leaves after a wait, `enabled`, `schedule`, quiet hours, `audience` and `caps` are judged again, in
// this order"; `control_group` is "last of all".
func (u *user) leaving(p parting) (reason string, until int64) {
	c := p.campaign
	if c.Quiet != nil {
		if end, quiet := c.Quiet.around(p.left, u.zone()); quiet && c.Quiet.Drop {
			return "quiet_hours", 0
		} else if quiet {
			leaves := end + u.rules.AllowedLateness
			for again, quiet := c.Quiet.around(leaves, u.zone()); quiet; again, quiet = c.Quiet.around(leaves, u.zone()) {
				leaves = again // what has waited long enough leaves when these end, too
			}
			return "", leaves
		}
	}
	if p.waited != nil && c.Audience != nil && !holds(c.Audience, u.scopeAt(p.q, p.left)) {
		return "not_in_audience", 0
	}
	for _, limit := range u.rules.Caps {
		if limit.concerns(c.Tags) && u.counted(limit, p.left) >= limit.Max {
			return "capped", 0
		}
	}
	sum := sha256.Sum256([]byte(c.Name + "\x00" + u.rules.User))
	if float64(binary.BigEndian.Uint64(sum[:8])) < c.ControlGroup/100*math.Exp2(64) {
		return "control_group", 0
	}
	return "", 0
}

// concerns: "over all campaigns or those with a tag"; "A cap with tags counts and stops only campaigns that have one of
// them."
func (l Cap) concerns(tags []string) bool {
	return len(l.Tags) == 0 || slices.ContainsFunc(l.Tags, func(tag string) bool { return slices.Contains(tags, tag) })
}

// counted: "(leaving − per, leaving]".
func (u *user) counted(l Cap, leaving int64) (n int) {
	for _, t := range u.sent {
		i := slices.IndexFunc(u.campaigns, func(c Campaign) bool { return c.Name == t.name })
		if (len(l.Tags) == 0 || i >= 0 && l.concerns(u.campaigns[i].Tags)) && leaving-l.Per < t.left && t.left <= leaving {
			n++
		}
	}
	return n
}

// around: "in the user's zone …; `days` are those on which a period begins; `from` is in it, `to` is not".
func (k Quiet) around(t int64, zone *time.Location) (end int64, quiet bool) {
	y, m, d := time.UnixMilli(t).In(zone).Date()
	for back := -2; back <= 2; back++ {
		begins := time.Date(y, m, d+back, 0, 0, 0, 0, time.UTC)
		if len(k.Days) > 0 && !slices.Contains(k.Days, strings.ToLower(begins.Weekday().String()[:3])) {
			continue
		}
		last := d + back
		if k.To < k.From {
			last++
		}
		from, to := clock(zone, y, m, d+back, k.From), clock(zone, y, m, last, k.To)
		if from <= t && t < to {
			end, quiet = max(end, to), true
		}
	}
	return end, quiet
}

// exits: "an exit event after the qualifying one, or at or after a timer's moment".
func (c Campaign) exits(q qualification, e event) bool {
	if !slices.ContainsFunc(c.Exit, func(p Pattern) bool { return p.matches(e) }) {
		return false
	}
	if !q.timer {
		return q.events[len(q.events)-1].before(e)
	}
	return e.Time >= q.moment
}

// follow lets an arrived event end waits and reach goals.
func (u *user) follow(e event) {
	for _, c := range u.campaigns {
		m := u.memories[c.Name]
		m.goals = slices.DeleteFunc(m.goals, func(p pursuit) bool {
			if !c.reached(p, e, u.rules.AllowedLateness) {
				return false
			}
			u.outcomes = append(u.outcomes, Outcome{Campaign: c.Name, Time: e.Time, Left: u.now, Group: p.group, Value: e.Properties[c.Goal.Value]})
			return true
		})
		m.waiting = slices.DeleteFunc(m.waiting, func(w *wait) bool {
			if !c.exits(w.q, e) {
				return false
			}
			m.giveBack(w.q.moment)
			u.tell(c, w.q, u.now, "exited")
			return true
		})
	}
}

// reached: "the first matching event within that time after a trigger left …; only events that arrive afterwards count".
func (c Campaign) reached(p pursuit, e event, lateness int64) bool {
	until := p.left + c.Goal.Within
	return p.left <= e.Time && e.Time <= until && !c.lapsed(p, e.Arrival, lateness) && c.Goal.Pattern.matches(e)
}

// lapsed says that no event that arrives now or later reaches a goal.
func (c Campaign) lapsed(p pursuit, now, lateness int64) bool {
	return now > p.left+c.Goal.Within+lateness+cmp.Or(c.StaleAfter, day)
}

// take notes a trigger's moment: "the moments of the user's earlier triggers of this campaign that have left or still wait, and of those
// held out". They are known from when the campaign has reentry; under `once` one is enough.
func (r Reentry) take(m *memory, moment int64) {
	switch {
	case r.Once:
		m.triggers = []int64{moment}
	case r != Reentry{}:
		m.triggers = append(m.triggers, moment)
	}
}

// giveBack: "one that was dropped after all gives its place back".
func (m *memory) giveBack(moment int64) {
	if i := slices.Index(m.triggers, moment); i >= 0 {
		m.triggers = slices.Delete(m.triggers, i, i+1)
	}
}
