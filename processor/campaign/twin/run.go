package twin

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"
)

// qualification is what a kind says: at this moment, because of these events. instance tells it from the campaign's
// others; what has left under one instance never leaves again.
type qualification struct {
	instance string
	key      string // actions: the combination
	moment   int64
	events   []event // in the user's order; the newest is the last
	due      int64   // of a timer
	timer    bool    // it is one's
	past     bool    // what `if_past: fire` lets through
}

// memory is what cannot be read off the list of events: what has left, and when things became known.
type memory struct {
	left     map[string]bool
	revealed map[string]int64 // timers: the arrival since which the instance stands
	used     map[string]event // actions: the last completing event per combination
	matches  int              // occurrence, "as the events arrive"
	aims     []*aim           // date_time_property
	triggers []int64          // moments of what has left as a trigger, waits, or was held out, while the campaign had reentry
	waiting  []*wait
	goals    []pursuit
	passed   []judged        // qualifications of looks, and of watches under ignore
	from     int             // events up to this place in the order of arrival came before the campaign, and it does not see them
	before   map[judged]bool // qualifications under an earlier trigger, as far as they are known
}

// zoneSince is the user's zone from an arrival on.
type zoneSince struct {
	arrival int64
	zone    *time.Location
}

// user is everything known about the user so far.
type user struct {
	rules     Rules
	campaigns []Campaign // by name
	now       int64
	events    []event // in the user's order, without duplicates
	profile   map[string]any
	zones     []zoneSince
	memories  map[string]*memory
	seq       int
	letGo     []parting // by the step under way
	sent      []sent
	outcomes  []Outcome
	known     int64 // everything that was due before has left
}

// Run tells what the campaigns mean for one user: inputs in the order of arrival; at the end the timers with a due
// moment below until fire.
func Run(rules Rules, campaigns []Campaign, inputs []Input, until int64, changes ...Change) []Outcome {
	u := &user{rules: rules, campaigns: byName(campaigns)}
	u.forget()
	for i, in := range inputs {
		for _, change := range changes {
			if change.Before == i {
				u.change(change)
			}
		}
		u.now = max(u.now, in.Arrival)
		in.Arrival = u.now
		u.fire(in.Arrival) // "Before any record of a user is applied … timers that were due before its arrival (strictly) fire"
		u.apply(in)
	}
	for _, change := range changes {
		if change.Before == len(inputs) {
			u.change(change)
		}
	}
	u.fire(until)
	return u.outcomes
}

func byName(campaigns []Campaign) []Campaign {
	return slices.SortedFunc(slices.Values(campaigns), func(a, b Campaign) int { return cmp.Compare(a.Name, b.Name) })
}

// forget: "An erased user who comes back is a new user."
func (u *user) forget() {
	u.events, u.profile, u.zones, u.sent, u.known = nil, map[string]any{}, nil, nil, 0
	u.memories = map[string]*memory{}
	for _, c := range u.campaigns {
		u.memories[c.Name] = newMemory()
	}
}

func newMemory() *memory {
	return &memory{left: map[string]bool{}, revealed: map[string]int64{}, used: map[string]event{}}
}

func (u *user) apply(in Input) {
	if in.Kind == "erase" {
		u.forget()
		return
	}
	if in.Kind == "event" && u.duplicate(in.ID) {
		return // "the second is dropped whole, its `profile` too"
	}
	u.known = max(u.known, in.Arrival)
	before := maps.Clone(u.profile)
	for key, v := range in.Profile {
		if v == nil {
			delete(u.profile, key)
		} else {
			u.profile[key] = v
		}
	}
	if len(u.events) == 0 && len(before) == 0 {
		u.zones = nil // nothing is known of the user yet
	}
	zoneChanged := u.noteZone()
	var arrived *event
	if in.Kind == "event" {
		if in.Time > in.Arrival+u.rules.MaxFuture {
			in.Time = in.Arrival // "is replaced by the arrival"
		}
		u.seq++
		arrived = &event{Input: in, seq: u.seq}
		u.insert(*arrived)
		u.follow(*arrived)
	}
	u.take(arrived, before, zoneChanged)
	if zoneChanged && !slices.ContainsFunc(u.campaigns, func(c Campaign) bool {
		return c.DateTimeProperty != nil || c.Inaction != nil && c.Inaction.After == 0
	}) {
		u.zones = u.zones[len(u.zones)-1:] // nothing asks for earlier ones
	}
}

func (u *user) insert(e event) {
	at, _ := slices.BinarySearchFunc(u.events, e, func(a, b event) int { return sign(a.before(b), b.before(a)) })
	u.events = slices.Insert(u.events, at, e)
}

// take has every campaign look at what has arrived.
func (u *user) take(arrived *event, before map[string]any, zoneChanged bool) {
	for _, c := range u.campaigns {
		m := u.memories[c.Name]
		switch {
		case c.DateTimeProperty != nil:
			c.DateTimeProperty.aim(u, m, arrived, before, zoneChanged)
		case c.SingleAction != nil && arrived != nil:
			for _, q := range c.SingleAction.qualifies(m, *arrived) {
				u.qualify(c, q, u.now)
			}
		case c.Actions != nil && arrived != nil:
			for _, q := range c.Actions.qualifies(m, u.seen(m)) {
				u.qualify(c, q, u.now)
			}
		}
		u.reveal(c, m)
	}
	u.decide()
}

// seen are the events that a campaign's trigger sees.
func (u *user) seen(m *memory) []event {
	return slices.DeleteFunc(slices.Clone(u.events), func(e event) bool { return e.seq <= m.from })
}

// duplicate: "Two events with one `id` for one user … are one event".
func (u *user) duplicate(id string) bool {
	return id != "" && slices.ContainsFunc(u.events, func(e event) bool { return e.ID == id })
}

// noteZone keeps which zone held from which arrival. "The user's zone is the profile property `timezone` (… an unknown
// name is counted and ignored), else `timezone:` of tripline.yaml, else UTC."
func (u *user) noteZone() (changed bool) {
	zone := load(u.rules.Zone)
	if zone == nil {
		zone = time.UTC
	}
	if name, ok := u.profile["timezone"].(string); ok && load(name) != nil {
		zone = load(name)
	}
	if n := len(u.zones); n > 0 && u.zones[n-1].zone.String() == zone.String() {
		return false
	}
	u.zones = append(u.zones, zoneSince{u.now, zone})
	return len(u.zones) > 1
}

// loaded keeps zones by name, nil for what is none.
var loaded sync.Map

func load(name string) *time.Location {
	if zone, ok := loaded.Load(name); ok {
		return zone.(*time.Location)
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		zone = nil
	}
	loaded.Store(name, zone)
	return zone
}

func (u *user) zone() *time.Location { return u.zones[len(u.zones)-1].zone }

// reveal notes for each timer that stands now the arrival since which it stands. "a watch or check whose deadline is
// already past when the event that sets it arrives is due only at that arrival + `settle`".
func (u *user) reveal(c Campaign, m *memory) {
	standing := map[string]bool{}
	for _, q := range u.standing(c, m) {
		standing[q.instance] = true
		if _, ok := m.revealed[q.instance]; !ok {
			m.revealed[q.instance] = u.now
		}
	}
	maps.DeleteFunc(m.revealed, func(instance string, _ int64) bool { return !standing[instance] })
}

// standing is everything that the watches and checks over the whole known list imply.
func (u *user) standing(c Campaign, m *memory) []qualification {
	switch {
	case c.InactionWithinTime != nil:
		return c.InactionWithinTime.standing(u.seen(m))
	case c.Inaction != nil:
		return c.Inaction.standing(u.seen(m), u.zones, m.left)
	}
	return nil
}

// timers are the open timers of a campaign with their due moments: "the due moment of a timer be its deadline +
// `allowed_lateness`, and no earlier than `settle` after the arrival that set it late".
func (u *user) timers(c Campaign, m *memory) []qualification {
	var list []qualification
	for _, q := range u.standing(c, m) {
		if m.left[q.instance] {
			continue
		}
		q.due, q.timer = q.moment+u.rules.AllowedLateness, true
		if arrival := m.revealed[q.instance]; q.moment < arrival {
			q.due = max(q.due, arrival+u.rules.Settle)
		}
		list = append(list, q)
	}
	if c.DateTimeProperty != nil {
		list = c.DateTimeProperty.timers(u, m)
	}
	return list
}

// fire lets go, "in order of due moment", the timers that were due strictly before t, and what waited until then.
func (u *user) fire(t int64) {
	for {
		due, ok := u.due()
		if !ok || due >= t {
			return
		}
		for first, of := u.firstAt(due); first != nil; first, of = u.firstAt(due) {
			if of.DateTimeProperty != nil {
				of.DateTimeProperty.fired(u.memories[of.Name], first.instance)
			}
			u.qualify(of, *first, due)
		}
		u.known = max(u.known, due+1)
		for _, c := range u.campaigns {
			for _, w := range u.memories[c.Name].waiting {
				if w.due == due {
					u.letGo = append(u.letGo, parting{campaign: c, q: w.q, left: due, waited: w})
				}
			}
		}
		u.decide()
	}
}

// due is the earliest due moment of all that is open.
func (u *user) due() (earliest int64, ok bool) {
	note := func(due int64) {
		if !ok || due < earliest {
			earliest, ok = due, true
		}
	}
	for _, c := range u.campaigns {
		for _, q := range u.timers(c, u.memories[c.Name]) {
			note(q.due)
		}
		for _, w := range u.memories[c.Name].waiting {
			note(w.due)
		}
	}
	return earliest, ok
}

// firstAt is the timer of a due moment that fires next.
func (u *user) firstAt(due int64) (first *qualification, of Campaign) {
	for _, c := range u.campaigns {
		for _, q := range u.timers(c, u.memories[c.Name]) {
			if q.due == due && (first == nil || c.Name == of.Name && q.firesBefore(*first)) {
				first, of = &q, c
			}
		}
	}
	return first, of
}

// firesBefore orders one campaign's timers: by due moment, then moment, then newest event.
func (q qualification) firesBefore(o qualification) bool {
	if q.due != o.due || q.moment != o.moment {
		return q.due < o.due || q.due == o.due && q.moment < o.moment
	}
	if len(q.events) == 0 || len(o.events) == 0 {
		return q.instance < o.instance
	}
	return q.events[len(q.events)-1].before(o.events[len(o.events)-1])
}

// scopeAt: "with the profile as it is and the history up to that moment"; "`event` in an audience is the newest of the
// trigger's events".
func (u *user) scopeAt(q qualification, moment int64) *scope {
	s := &scope{user: u.rules.User, profile: u.profile, moment: moment}
	if n := len(q.events); n > 0 {
		s.event = &q.events[n-1]
	}
	for _, e := range u.events {
		if e.Time <= moment {
			s.history = append(s.history, e)
		}
	}
	return s
}

// stops: "`reentry` looks at the moments of the user's earlier triggers … `min_gap` holds in both directions (a late
// moment too); `max/per`: fewer than `max` in (moment − per, moment]".
func (r Reentry) stops(triggers []int64, moment int64) bool {
	near, within := false, 0
	for _, t := range triggers {
		near = near || max(t-moment, moment-t) < r.MinGap
		if moment-r.Per < t && t <= moment {
			within++
		}
	}
	return r.Once && len(triggers) > 0 || near || r.Max > 0 && within >= r.Max
}
