package campaign

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"sort"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/expr"
	"github.com/tripline/tripline/processor/campaign/history"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/value"
)

// User is one user's state: who they are, what they did, and where they stand in each campaign. It is changed in place;
// whoever must be able to go back opens the user again from its rows. Not safe for concurrent use.
type User struct {
	set       *Set
	id        string
	profile   value.Properties
	zone      calendar.Zone
	moved     []moved // in order of time
	sent      []sent  // in the order in which they left
	log       *history.Log
	ever      []memory    // in order of name
	standings []*standing // in order of campaign; only those that hold something
	now       int64       // ms; what was due before has fired
	unseen    []unseen    // for each set of which it is asked what came before
	apart     *[]judgment // if not nil: the user only tells where another one stands, and what qualifies only goes there
	dirty     bool        // the head differs from what Rows gave last
	written   int         // bytes of that head
	next      int64       // what Due answers, if aimed: no step has begun since it was asked
	aimed     bool
	room      room
	tallies   []tallied
	oldest    history.Position // no event that history has for a timer lies before it; zero: there is none
	lost      bool             // one of them was not there
}

// moved is a zone that the user had until an arrival.
type moved struct {
	until int64
	zone  calendar.Zone
}

// sent is a trigger that caps count: when it left, and the hash of its campaign, or of one that is gone what the row has of it.
type sent struct {
	left     int64
	campaign uint64
	c        *campaign // nil: it is gone
}

// memory is what is kept of an event name for ever.
type memory struct {
	name        string
	first, last *history.Event
}

// Output collects what steps decide. The caller resets it between cycles.
type Output struct {
	Triggers  []record.Trigger
	Decisions []record.Decision
	Counts    Counts
	room      step // of the step that is being decided
}

// Reset empties the output and keeps its memory.
func (o *Output) Reset() {
	clear(o.Triggers)
	clear(o.Decisions)
	if o.Counts.changed {
		clear(o.Counts.Campaigns)
	}
	o.Triggers, o.Decisions, o.Counts = o.Triggers[:0], o.Decisions[:0], Counts{Campaigns: o.Counts.Campaigns}
	o.room.forget()
}

// Counts are what happened apart from the records.
type Counts struct {
	Duplicates     int // events dropped because their id was seen before
	Future         int // times more than max_future ahead, replaced by the arrival
	UnknownZones   int // profiles that named a zone nobody knows
	HistoryDropped int // events that history's cap dropped
	Campaigns      []CampaignCounts
	changed        bool // one of them may have been
}

// Decided says whether something may have been counted for a campaign, as is where there is a trigger or a decision.
func (n *Counts) Decided() bool { return n.changed }

// CampaignCounts are one campaign's, at its index in Set.Names.
type CampaignCounts struct {
	Qualified, Triggered int               // those that wait, or waited when the user was erased, are in neither
	Suppressed           [len(reasons)]int // by reason, in the order of Reasons
	BadValues            int               // dates that are none
	ExpressionErrors     int               // evaluations that failed and counted as false
	Converted            int               // conversions, of those held out too
	DroppedOpen          int               // watches, timers and triggers that wait above max_open
}

func (n *Counts) campaign(c *campaign) *CampaignCounts {
	n.changed = true
	for len(n.Campaigns) <= c.index {
		n.Campaigns = append(n.Campaigns, CampaignCounts{})
	}
	return &n.Campaigns[c.index]
}

// step is one event, profile or passed moment of one user being decided. The next one is decided in the same memory: what
// outlives a step must not point into it.
type step struct {
	set     *Set
	user    *User
	out     *Output
	arrival int64 // of the record, or the due moment of the timer that fires
	env     expr.Env
	event   history.Event    // of the step, if it is one's
	lean    history.Event    // with only the properties that history keeps
	copied  *history.Event   // lean, for what outlives the step; nil until something does
	room    value.Properties // of lean
	fired   timer
	blank   standing // where the user does not stand yet
	text    []byte   // of an identity
	asked   asked
	fitting fitting
	pending []qualification
	alone   []*history.Event // those of pending that qualified by themselves
	drawn   []history.Event  // outlines of those of pending

	sets   sets
	taken  []bool
	places []history.Position
}

// begin is a new step. It stands in the output's memory.
func (u *User) begin(arrival int64, out *Output) *step {
	s := &out.room
	s.set, s.user, s.out, s.arrival, s.event, s.copied = u.set, u, out, arrival, history.Event{}, nil
	return s
}

// Event applies an event that arrived at arrival (ms; never before an earlier record's). What was due before the
// arrival fires first, also where the event is then refused whole, because its profile has no room.
func (u *User) Event(ev *record.Event, arrival int64, out *Output) *record.Rejection {
	s := u.begin(arrival, out)
	s.passed(arrival)
	if ev.ID != "" && u.log.HasID(ev.ID) {
		out.Counts.Duplicates++
		return nil
	}
	profile := u.profile
	if len(ev.Profile) > 0 {
		var bad *record.Rejection
		if profile, bad = record.MergeProfile(u.profile, ev.Profile); bad != nil {
			return bad
		}
	}
	e := &s.event
	*e = history.Event{Time: ev.Time, Name: ev.Name, ID: ev.ID, Properties: ev.Properties}
	if e.Time > arrival+u.set.rules.MaxFuture {
		e.Time = arrival
		out.Counts.Future++
	}
	if len(ev.Profile) > 0 {
		s.profile(profile)
	}
	u.dirty, u.now = true, max(u.now, arrival)
	var dropped int
	s.thin()
	e.Seq, dropped = u.log.Add(s.lean, history.Limits{MaxAge: u.set.rules.MaxAge, MaxEvents: u.set.rules.MaxEvents})
	s.lean.Seq = e.Seq
	out.Counts.HistoryDropped += dropped
	of := u.set.concerns[e.Name]
	if of != nil && of.remember {
		u.remember(s.kept(e))
	} else if len(u.ever) > 0 {
		u.forget(e.Name)
	}
	if of != nil {
		s.tell(of, e)
	}
	s.decide()
	return nil
}

// Profile applies a record of the profile topic: its properties are merged key by key, nil removes. One for which the user's profile
// has no room is refused, after what was due before the arrival has fired.
func (u *User) Profile(p *record.Profile, arrival int64, out *Output) *record.Rejection {
	s := u.begin(arrival, out)
	s.passed(arrival)
	merged, bad := record.MergeProfile(u.profile, p.Properties)
	if bad != nil {
		return bad
	}
	u.now = max(u.now, arrival)
	s.profile(merged)
	return nil
}

// Erase forgets the user, after what was due before the arrival has fired.
func (u *User) Erase(arrival int64, out *Output) {
	s := u.begin(arrival, out)
	s.passed(arrival)
	u.log.Clear() // and has its parts deleted
	u.log.Losing(u.room.losing)
	*u = User{set: u.set, id: u.id, zone: u.set.rules.Zone, log: u.log, room: u.room, dirty: true}
}

// profile makes merged the user's profile.
func (s *step) profile(merged value.Properties) {
	u := s.user
	was, zone := u.profile, u.zone
	u.profile = merged
	u.dirty = true
	u.zone = s.set.zoneOf(u.profile)
	changed := u.zone != zone && u.zone.String() != zone.String()
	if changed && !s.set.zoned {
		u.moved = nil // what is kept of zones is kept whole, or not at all
	}
	if changed && s.set.zoned && (len(was) > 0 || !u.log.Empty()) {
		kept := slices.DeleteFunc(u.moved, func(m moved) bool { return m.until < s.horizon().Time })
		u.moved = append(kept[max(0, len(kept)-maxMoved+1):], moved{until: s.arrival, zone: zone})
	}
	name := u.profile.Get(s.set.rules.TimezoneProperty)
	if !name.IsNil() && !value.Equal(name, was.Get(s.set.rules.TimezoneProperty)) {
		if _, ok := calendar.LoadZone(name.Text()); !ok || name.Kind() != value.String {
			s.out.Counts.UnknownZones++
		}
	}
	for _, c := range s.set.campaigns {
		k, ok := c.kind.(profileKind)
		if !ok {
			continue
		}
		st, known := u.standing(c)
		if !known {
			st = s.stranger(c)
		}
		k.profileChanged(s, st, was)
		if changed {
			k.zoneChanged(s, st)
		}
		if !known && !st.empty() {
			u.settle(st)
		}
	}
}

// maxMoved bounds how many earlier zones of a user are known.
const maxMoved = 16

// zoneAt is the zone that the user had, or has, at a moment, and until when (not including it).
func (u *User) zoneAt(moment int64) (zone calendar.Zone, until int64) {
	for _, m := range u.moved {
		if moment < m.until {
			return m.zone, m.until
		}
	}
	return u.zone, maxTime
}

// zoneOf is the zone of a user with this profile.
func (s *Set) zoneOf(profile value.Properties) calendar.Zone {
	if name := profile.Get(s.rules.TimezoneProperty); name.Kind() == value.String {
		if zone, ok := calendar.LoadZone(name.Text()); ok {
			return zone
		}
	}
	return s.rules.Zone
}

// thin makes s.lean of s.event.
func (s *step) thin() {
	s.lean = s.event
	keep := s.set.keep
	if s.set.spare != nil && !s.set.spare[s.event.Name] {
		keep = s.set.asked
	}
	if keep != nil {
		s.room = keep.of(s.room[:0], s.event.Properties)
		s.lean.Properties = s.room
	}
}

// kept is e with only the properties that history keeps, for what outlives the step.
func (s *step) kept(e *history.Event) *history.Event {
	if e == nil || e != &s.event {
		return s.set.kept(e)
	}
	if s.copied == nil {
		properties := s.event.Properties
		if s.set.keep != nil {
			properties = s.room
		}
		s.copied = s.clone(&s.event, properties)
	}
	return s.copied
}

// kept is e with only the properties that history keeps.
func (s *Set) kept(e *history.Event) *history.Event {
	if s.keep == nil || e == nil {
		return e
	}
	for i := range e.Properties {
		if !s.keep.has(e.Properties[i].Name) {
			lean := *e
			lean.Properties = s.keep.of(nil, e.Properties)
			return &lean
		}
	}
	return e
}

func (u *User) place(c *campaign) int {
	return sort.Search(len(u.standings), func(i int) bool { return u.standings[i].c.index >= c.index })
}

// standing finds where the user stands in c.
func (u *User) standing(c *campaign) (st *standing, known bool) {
	if i := u.place(c); i < len(u.standings) && u.standings[i].c == c {
		return u.standings[i], true
	}
	return nil, false
}

// stranger is a blank standing, not yet among the user's, until the next one is asked for.
func (s *step) stranger(c *campaign) *standing {
	s.blank.reset(c)
	return &s.blank
}

// settle adds what was a stranger's.
func (u *User) settle(st *standing) {
	settled := u.room.standing()
	settled.take(st)
	u.standings = slices.Insert(u.standings, u.place(st.c), settled)
}

// Size is about how many bytes of memory the user takes, without the row that it was read from.
func (u *User) Size() int {
	size := userSize + u.room.Size() + cap(u.sent)*24 + len(u.profile)*propertySize + u.log.Size() + cap(u.ever)*markSize
	size += len(u.room.standings) * standingSize
	for i := range u.tallies {
		size += u.tallies[i].Size()
	}
	for _, st := range u.standings {
		size += standingSize + timerSize*cap(st.open) + markSize*(cap(st.floors)+cap(st.marks)+cap(st.left)+cap(st.goals)+cap(st.judged))
		for i := range st.held {
			size += 3*markSize + len(st.held[i].identity) + 8*len(st.held[i].events)
		}
	}
	return size
}

// What parts of a user take in memory, about, bytes.
const (
	userSize, standingSize, timerSize, markSize, propertySize = 320, 200, 160, 32, 48
)

// horizon is the position before which history need not reach.
func (s *step) horizon() history.Position { return before(s.arrival - s.set.rules.MaxAge) }

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
			h = binary.AppendVarint(h, int64(s.user.log.Twins(e)))
		}
	}
	s.text = h
	return h
}

func digest(prefix string, identity []byte, endpoint string) string {
	sum := sha256.Sum256(append(binary.AppendUvarint(identity, uint64(len(endpoint))), endpoint...))
	id := make([]byte, 0, 36)
	return string(hex.AppendEncode(append(id, prefix...), sum[:16]))
}
