package campaign

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/tripline/tripline/processor/campaign/history"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/row"
	"github.com/tripline/tripline/processor/campaign/value"
)

// How a changed trigger is put under what is known. Non-obvious:
//
//   - Of the past only history is known: no properties that were not kept, no events that were dropped, no earlier profile. Events are
//     taken to have come with the largest time so far. A profile's date counts as known before all events, so that any cancel in
//     history has ended it.
//   - occurrence counts the matches that history holds.
//   - What was past when it came and is still settling at the change is past, unless the former trigger had that moment open, too: it
//     may have fired.
//   - A late event can make a moment true that an earlier trigger has judged. Of looks, of watches under ignore, of sets (see actions.go)
//     and of what waits it is known that they were; they do not qualify again.
//   - A campaign that came without backfill does not see, in its trigger, what came before it; its audience does.

// Ledger tells which sets of campaigns have been in force one after the other, as far as users that were written under an earlier one
// are concerned. Whoever changes sets keeps it beside the users' rows: with it, and in the same order of steps, they decide the same.
type Ledger struct {
	Number    uint64  `json:"number"` // of the set in force, the first is 0; a user's row says under which it was written
	Campaigns []Entry `json:"campaigns"`
}

// Entry is what a ledger tells of one campaign.
type Entry struct {
	Name    string `json:"name"`
	Trigger uint64 `json:"trigger,string"`    // tells the trigger's text from others
	Born    uint64 `json:"born,omitempty"`    // the number of the set that brought the campaign; 0: it has been there from the first
	Rebuilt uint64 `json:"rebuilt,omitempty"` // of the last set for which what is open is made from history; 0: there is none
	At      int64  `json:"at,omitempty"`      // stream time when that set came, ms: what was due before is not made up for

	Actions *Actions `json:"actions,omitempty"` // the trigger, where it is of this kind
	Former  *Former  `json:"former,omitempty"`  // what stood in its place until that set; nil: no such trigger

	blind   uint64 // the set that brought a campaign that sees only what comes; 0: it sees all
	brought uint64 // the set that brought the trigger
	alone   *Set   // of the campaign, and
	former  *Set   // of what had the former trigger
}

// unseen says which events came before a set.
type unseen struct {
	number uint64 // of that set
	seq    uint64 // of the last of them
}

// Succeed is the ledger of s after that of another set; nil: s is the first. stream is the stream time of the change, in ms.
func (s *Set) Succeed(before *Ledger, stream int64) *Ledger {
	next := &Ledger{}
	if before != nil {
		next.Number = before.Number + 1
	}
	for _, c := range s.campaigns {
		e := Entry{Name: c.def.Name, Trigger: c.trigger, Actions: c.def.Trigger.Actions}
		old, known := before.entry(e.Name)
		switch {
		case before == nil:
		case !known:
			e.Born = next.Number
			if c.def.Backfill {
				e.Rebuilt, e.At = next.Number, stream
			}
		default:
			e.Born, e.Rebuilt, e.At, e.Former = old.Born, old.Rebuilt, old.At, old.Former
			if old.Trigger != c.trigger {
				e.Rebuilt, e.At, e.Former = next.Number, stream, old.passes()
			}
		}
		next.Campaigns = append(next.Campaigns, e)
	}
	return next
}

func (l *Ledger) entry(name string) (e Entry, ok bool) {
	if l == nil {
		return e, false
	}
	i := slices.IndexFunc(l.Campaigns, func(e Entry) bool { return e.Name == name })
	if i < 0 {
		return e, false
	}
	return l.Campaigns[i], true
}

// Rebuilt is the number of the last set for which users have something made from their history; 0: there is none.
func (l *Ledger) Rebuilt() (number uint64) {
	for _, e := range l.Campaigns {
		number = max(number, e.Rebuilt)
	}
	return number
}

// Under is the set as it opens users by a ledger that has it in force. What was rebuilt for sets up to the number rebuilt needs no
// look any more: every user that it concerned has been written since.
func (s *Set) Under(l *Ledger, rebuilt uint64) *Set {
	under := *s
	under.number, under.entries = l.Number, make([]Entry, len(s.campaigns))
	for i, c := range s.campaigns {
		e, _ := l.entry(c.def.Name)
		under.entries[i] = e
		if e.Rebuilt <= rebuilt {
			under.entries[i].Rebuilt = 0
		}
		if e.Rebuilt > 0 { // as if it had always stood there
			under.entries[i].blind = 0
		} else {
			under.entries[i].blind = e.Born
		}
		under.entries[i].brought = max(e.Born, e.Rebuilt)
		if at := &under.entries[i]; at.Rebuilt > 0 {
			at.alone, at.former = under.only(c), under.formerOf(c, e.Former)
		}
	}
	return &under
}

// Behind says of a user's head whether opening it may rebuild something.
func (s *Set) Behind(head []byte) bool {
	number := numberOf(head)
	return slices.ContainsFunc(s.entries, func(e Entry) bool { return e.Rebuilt > number })
}

// numberOf is that of the set under which a head was written.
func numberOf(head []byte) uint64 {
	if v := version(head); v != row.Version && v != row.Version-1 {
		return 0
	}
	r := row.Reader{Rest: head[1:]}
	return r.Unsigned()
}

// sees says whether an event of the user's counts for a campaign's trigger.
func (u *User) sees(c *campaign, seq uint64) bool {
	if len(u.unseen) == 0 || u.set.entries == nil {
		return true
	}
	return seq > u.upTo(u.set.entries[c.index].blind)
}

// upTo is the last event that came before the set of a number; 0: none, or it is not asked for.
func (u *User) upTo(number uint64) (seq uint64) {
	for _, n := range u.unseen {
		if n.number == number {
			return n.seq
		}
	}
	return 0
}

// overlook notes of sets after that of a number which events came before, where a campaign does not see them, or its next trigger will
// ask.
func (u *User) overlook(number uint64) {
	u.unseen = slices.DeleteFunc(u.unseen, func(n unseen) bool {
		return !slices.ContainsFunc(u.set.entries, func(e Entry) bool { return e.asks(n.number) || e.former != nil && e.Former.Number == n.number })
	})
	for _, e := range u.set.entries {
		n := unseen{number: e.brought, seq: u.log.Arrivals()}
		if n.number > number && n.seq > 0 && e.asks(n.number) && !slices.Contains(u.unseen, n) {
			u.unseen = append(u.unseen, n)
		}
	}
}

func (e *Entry) asks(number uint64) bool {
	return e.blind == number || e.Actions != nil && e.brought == number
}

// catchUp brings a user, written under the set of a number, to the set in force: of the campaigns whose trigger has changed, and of
// those that are new and ask for it, what is open is rebuilt. due is when the first of all that was open was due: nothing that
// was due then, or later, has fired.
func (u *User) catchUp(number uint64, due int64) {
	if u.set.entries != nil {
		u.overlook(number)
	}
	for _, c := range u.set.campaigns {
		st, known := u.standing(c)
		var e Entry
		if u.set.entries != nil {
			e = u.set.entries[c.index]
		}
		if e.Rebuilt > number || known && st.under != uint32(c.trigger) {
			u.rebuild(c, max(u.now, min(e.At, due)), u.completed(&e, number))
		}
	}
}

// rebuild makes what is open in a campaign as if its trigger had always stood there: the user's history is gone through in the order in
// which it came. What was due before a moment is past and does not qualify any more; what has left, or waits, is kept. sets have qualified
// under the trigger before.
func (u *User) rebuild(c *campaign, at int64, sets []judgment) {
	was, known := u.standing(c)
	if !known {
		was = &standing{c: c}
	}
	now := standing{c: c, left: was.left, held: was.held, goals: was.goals}
	if again := u.again(c, was, at); again != nil {
		now.count, now.newest, now.open, now.floors, now.marks = again.count, again.newest, again.open, again.floors, again.marks
	}
	now.judged = was.allJudged(sets, at-u.set.rules.MaxAge)
	if known && was.under == uint32(c.trigger) && bytes.Equal(was.append(nil, row.Form{}), now.append(nil, row.Form{})) || !known && now.empty() {
		return
	}
	u.dirty = true
	u.refers(&now)
	switch i := u.place(c); {
	case !known:
		u.settle(&now)
	case now.empty():
		u.standings = slices.Delete(u.standings, i, i+1)
	default:
		u.standings[i] = &now
	}
}

// again is where a user stands in a campaign after all that is known of them; nil: nowhere. When their events came is not kept, but in
// which order: each that the trigger listens to is taken to have come with the largest time of them so far, or at the change, and the
// profile to have been there before.
func (u *User) again(c *campaign, was *standing, at int64) *standing {
	events := u.arrivals(c.kind.names())
	if _, ok := c.kind.(profileKind); len(events) == 0 && !ok {
		return nil
	}
	v := &User{set: u.set.alone(c), id: u.id, profile: u.profile, log: &history.Log{}, apart: new([]judgment)}
	v.log.Losing(v.losing)
	v.zone, _ = u.zoneAt(beginning)
	var out Output
	if k, ok := c.kind.(profileKind); ok {
		s := v.begin(beginning, &out)
		st := s.stranger(c)
		if k.profileChanged(s, st, value.Properties{}); !st.empty() {
			v.settle(st)
		}
	}
	arrival := int64(math.MinInt64)
	for _, e := range events {
		arrival = max(arrival, min(e.Time, at))
		v.move(c, u, arrival, &out)
		v.log.Resume(e.Seq)
		v.Event(&record.Event{ID: e.ID, User: u.id, Name: e.Name, Time: e.Time, Properties: e.Properties}, arrival, &out)
	}
	v.move(c, u, at, &out)
	v.Passed(at, &out)
	st, ok := v.standing(c)
	if !ok {
		return nil
	}
	v.begin(at, &out).expire(st, was, at)
	return st
}

// move gives v the zones that u had up to an arrival, each when it came.
func (v *User) move(c *campaign, u *User, arrival int64, out *Output) {
	for len(v.moved) < len(u.moved) && u.moved[len(v.moved)].until <= arrival {
		until := u.moved[len(v.moved)].until
		s := v.begin(until, out)
		s.passed(until)
		v.moved = u.moved[:len(v.moved)+1]
		v.zone, _ = u.zoneAt(until)
		if k, ok := c.kind.(profileKind); ok {
			st, known := v.standing(c)
			if !known {
				st = s.stranger(c)
			}
			if k.zoneChanged(s, st); !known && !st.empty() {
				v.settle(st)
			}
		}
	}
}

// beginning is before every moment.
const beginning = math.MinInt64 / 4

// alone is the set with only c.
func (s *Set) alone(c *campaign) *Set {
	if s.entries != nil && s.entries[c.index].alone != nil {
		return s.entries[c.index].alone
	}
	return s.only(c)
}

// only is the set with one campaign, of which nothing but the trigger counts.
func (s *Set) only(c *campaign) *Set {
	alone := *s
	alone.rules.MaxFuture = maxTime / 4 // times are what they are
	alone.campaigns, alone.concerns, alone.entries = []*campaign{c}, map[string]*concern{}, nil
	for _, name := range c.kind.names() {
		listen(&alone.concern(name).listeners, c)
	}
	return &alone
}

// arrivals are the user's events of some names, in the order in which they came.
func (u *User) arrivals(names []string) (list []history.Event) {
	seen := map[string]bool{}
	for _, name := range names {
		if seen[name] {
			continue
		}
		seen[name] = true
		u.log.AscendOf(name, history.Position{Time: math.MinInt64}, after(maxTime), func(e *history.Event) bool {
			list = append(list, *e)
			return true
		})
	}
	slices.SortFunc(list, func(a, b history.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	return list
}

// expire has those timers fire whose moment is past, and that are open only because it was past when it was known, unless the same
// moment was open before the change: it may have qualified.
func (s *step) expire(st, was *standing, at int64) {
	for {
		found := -1
		for i := range st.open {
			t := &st.open[i]
			if t.moment+s.set.rules.AllowedLateness >= at || slices.ContainsFunc(was.open, func(o timer) bool { return !o.next && o.moment == t.moment }) {
				continue
			}
			if found < 0 || t.due < st.open[found].due || t.due == st.open[found].due && t.firesBefore(&st.open[found]) {
				found = i
			}
		}
		if found < 0 {
			return
		}
		s.fired = st.open[found]
		s.arrival = s.fired.due
		st.remove(s, found)
		st.c.kind.fire(s, st, &s.fired)
	}
}

// judgment is a moment that has qualified under an earlier trigger, and the newest event that it saw; 0: whatever that was.
type judgment struct {
	moment int64
	seq    uint64
}

// allJudged is what is known of the moments that have qualified: by sets, by looks, by watches of which others depend, and what waits.
func (st *standing) allJudged(sets []judgment, oldest int64) []judgment {
	list := append(slices.Clone(st.judged), sets...)
	for _, m := range st.marks {
		list = append(list, judgment{m.moment, m.newest.Seq}, judgment{m.moment, 0})
	}
	for i := range st.held {
		if events := st.held[i].events; len(events) > 0 {
			list = append(list, judgment{st.held[i].moment, events[len(events)-1].Seq})
		}
	}
	list = slices.DeleteFunc(list, func(j judgment) bool { return j.moment < oldest })
	slices.SortFunc(list, func(a, b judgment) int { return cmp.Or(cmp.Compare(a.moment, b.moment), cmp.Compare(a.seq, b.seq)) })
	return slices.Compact(list)
}

// hasJudged says whether a qualification is one of those.
func (st *standing) hasJudged(q *qualification) bool {
	if len(st.judged) == 0 {
		return false
	}
	_, late := st.c.kind.(lateKind)
	return late && slices.Contains(st.judged, q.judgment())
}

func (q *qualification) judgment() judgment {
	j := judgment{moment: q.moment}
	if _, looks := q.c.kind.(*inaction); !looks && q.newest() != nil {
		j.seq = q.newest().Seq
	}
	return j
}

func appendJudged(dst []byte, list []judgment, f row.Form) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, j := range list {
		dst = binary.AppendUvarint(f.AppendMoment(dst, j.moment), j.seq)
	}
	return dst
}

func (r *reader) judged(st *standing, now int64) {
	oldest := now - r.set.rules.MaxAge // of older ones, there is no history
	for n := r.Count(); n > 0 && r.Err == nil; n-- {
		if j := (judgment{moment: r.Moment(), seq: r.Unsigned()}); j.moment >= oldest {
			st.judged = append(st.judged, j)
		}
	}
}
