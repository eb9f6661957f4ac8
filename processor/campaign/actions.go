package campaign

import (
	"fmt"
	"math"
	"slices"

	"github.com/tripline/tripline/processor/campaign/history"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/tally"
)

// actions qualifies at the event that completes a set. It keeps no partial sets: a user's history holds the events, and
// a floor per key says up to where, in the user's order, they have been used up.
type actions struct {
	all     []pattern
	asks    []string // names of their events, each once
	within  int64
	inOrder bool
	reuse   bool
}

// floor is the newest event of the last set with this key: what stands up to it counts no more.
type floor struct {
	key string
	at  history.Position
}

func (c *compiler) actions(d *Actions) kind {
	const path = "trigger.actions"
	k := &actions{inOrder: d.InOrder, reuse: d.Reuse, within: c.lookBack(path+".within", d.Within)}
	c.same(path+".same", d.Same)
	if len(d.All) < 1 || len(d.All) > 10 {
		c.problem(path+".all", "expected 1 to 10 event patterns")
	}
	for i := range d.All {
		k.all = append(k.all, c.pattern(fmt.Sprintf("%s.all[%d]", path, i), &d.All[i], d.Same, true))
	}
	k.asks = slices.Compact(slices.Sorted(slices.Values(k.names())))
	if len(k.all) == 1 && k.all[0].atLeast < 2 {
		c.problem(path+".all", "a single pattern needs at_least: 2 or more; for every single event use single_action")
	}
	return k
}

func (k *actions) names() []string { return namesOf(k.all) }

func (k *actions) shown() []string { return k.names() }

func (k *actions) fire(*step, *standing, *timer) {}

// candidate is an event that matches some of the patterns under one key.
type candidate struct {
	history.Position
	fits uint16 // bit i: pattern i
}

func (k *actions) event(s *step, st *standing, e *history.Event) {
	var keys []string
	t := s.user.tally(st.c)
	for i := range k.all {
		key, ok := k.all[i].match(s, st.c, e)
		if !ok {
			continue
		}
		t.Add(i, key, e.Time)
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	for _, key := range keys {
		k.complete(s, st, e, key)
	}
}

// complete looks for sets that e, just arrived, makes whole: those whose newest event is e or, where e is late, one of
// the events up to `within` after it.
func (k *actions) complete(s *step, st *standing, e *history.Event, key string) {
	at := position(e)
	from := history.Position{Time: e.Time - k.within - 1, Seq: math.MaxUint64}
	if !k.reuse {
		if f := st.floorOf(key); f != nil {
			if !less(f.at, at) {
				return
			}
			if less(from, f.at) {
				from = f.at
			}
		}
	}
	if s.user.log.Long() && (k.lacks(s, from.Time-1, e.Time+k.within) || k.scarce(s, st, e, key)) {
		return
	}
	all := k.candidates(s, st, from, after(e.Time+k.within), key)
	for n := range all {
		newest := all[n].Position
		if newest.Time < e.Time || less(newest, at) && !(k.reuse && k.inOrder) {
			continue
		}
		upTo := n + 1
		if k.reuse && k.inOrder { // events of one time are in any order
			for upTo < len(all) && all[upTo].Time == newest.Time {
				upTo++
			}
		}
		set := k.window(all[:upTo], newest.Time)
		if !k.holds(set, 0) || k.reuse && (!k.mayEnd(all[n]) || newest.Seq != e.Seq && k.holds(set, e.Seq)) {
			continue
		}
		if !k.reuse {
			st.setFloor(key, newest, s.horizon())
			if n == len(all)-1 && e.Time+k.within >= s.user.log.Newest() { // nothing with this key stands behind it
				s.user.tally(st.c).Spend(len(k.all), key)
			}
			s.user.dirty = true
		}
		s.qualify(st, s.events(qualification{moment: newest.Time, left: s.arrival, key: key}, k.chosen(s, set, newest)))
		if !k.reuse {
			return
		}
	}
}

// lacks says whether a pattern has too few events of its name in a span for any set, be their keys and properties what they may. To
// count them costs little, however many there are.
func (k *actions) lacks(s *step, since, upTo int64) bool {
	for i := range k.all {
		if n, _, _, _ := s.user.log.Aggregate(k.all[i].event, "", since, upTo, nil); n < k.all[i].atLeast {
			return true
		}
	}
	return false
}

// tallied is what a user has in memory of a campaign whose sets have been looked for in a long history.
type tallied struct {
	c *campaign
	tally.Tally
}

func (u *User) tally(c *campaign) *tally.Tally {
	for i := range u.tallies {
		if u.tallies[i].c == c {
			return &u.tallies[i].Tally
		}
	}
	return nil
}

// scarce says whether a pattern has too few events under the key for any set that e may be in. The first time it does not know: to
// count costs as much as to look, and who is read anew for each event would gain nothing.
func (k *actions) scarce(s *step, st *standing, e *history.Event, key string) bool {
	t, since := s.user.tally(st.c), e.Time-k.within-1
	if t == nil {
		s.user.tallies = append(s.user.tallies, tallied{c: st.c})
		return false
	}
	if t.Begin(since, k.within) {
		s.user.log.Scan(k.asks, history.After(since), history.After(max(e.Time, s.user.log.Newest())), func(e *history.Entry) bool {
			for i := range k.all {
				if key, ok := k.all[i].matchEntry(s, st.c, k.asks, e); ok {
					t.Add(i, key, e.Time)
				}
			}
			return true
		})
	}
	for i := range k.all {
		if t.Scarce(i, key, since, k.all[i].atLeast) {
			return true
		}
	}
	return false
}

// mayEnd says whether this event may be the newest of a set under reuse.
func (k *actions) mayEnd(c candidate) bool { return !k.inOrder || c.fits&(1<<(len(k.all)-1)) != 0 }

// candidates lists what matches under key in (from, to].
func (k *actions) candidates(s *step, st *standing, from, to history.Position, key string) []candidate {
	f := &s.sets
	f.all, f.k, f.c, f.key = f.all[:0], k, st.c, key
	if f.visit == nil {
		f.visit = func(e *history.Entry) bool { f.see(s, e); return true }
	}
	s.user.log.Scan(k.asks, from, to, f.visit)
	return f.all
}

// window is the part of the candidates that lies no more than `within` before the newest.
func (k *actions) window(all []candidate, newest int64) []candidate {
	first := 0
	for all[first].Time < newest-k.within {
		first++
	}
	return all[first:]
}

// holds says whether the candidates but the one of a Seq contain a whole set.
func (k *actions) holds(set []candidate, but uint64) bool {
	since := int64(math.MinInt64)
	for i := range k.all {
		n := 0
		for _, c := range set {
			if c.fits&(1<<i) == 0 || c.Seq == but || k.inOrder && c.Time < since {
				continue
			}
			if n++; n == k.all[i].atLeast {
				since = c.Time
				break
			}
		}
		if n < k.all[i].atLeast {
			return false
		}
	}
	return true
}

// chosen are the events that a trigger shows, in the user's order and newest last: of each pattern the newest at_least;
// with in_order the patterns are served from the last one backwards.
func (k *actions) chosen(s *step, set []candidate, newest history.Position) []history.Position {
	s.taken = slices.Grow(s.taken[:0], len(set))[:len(set)]
	taken, events := s.taken, s.places[:0]
	clear(taken)
	limit := int64(math.MaxInt64)
	for i := len(k.all) - 1; i >= 0; i-- {
		n, oldest := 0, limit
		own := k.reuse && k.inOrder && i == len(k.all)-1
		if own { // newest stands here, also where others of its time stand after it
			n, oldest = 1, newest.Time
		}
		for j := len(set) - 1; j >= 0 && n < k.all[i].atLeast; j-- {
			if set[j].fits&(1<<i) != 0 && !(own && set[j].Seq == newest.Seq) && (!k.inOrder || set[j].Time <= limit) {
				taken[j], oldest = true, set[j].Time
				n++
			}
		}
		limit = oldest
	}
	for j := range set {
		if taken[j] && set[j].Seq != newest.Seq {
			events = append(events, set[j].Position)
		}
	}
	s.places = append(events, newest)
	return s.places
}

func (st *standing) floorOf(key string) *floor {
	for i := range st.floors {
		if st.floors[i].key == key {
			return &st.floors[i]
		}
	}
	return nil
}

// setFloor raises a key's floor and forgets those that lie before all of history.
func (st *standing) setFloor(key string, at, oldest history.Position) {
	kept := st.floors[:0]
	for _, f := range st.floors {
		if f.key != key && !less(f.at, oldest) {
			kept = append(kept, f)
		}
	}
	st.floors = append(kept, floor{key: key, at: at})
}

// singleAction qualifies at each matching event, at the first, or at the n-th.
type singleAction struct {
	any        []pattern
	occurrence int64 // 0: every
}

func (c *compiler) singleAction(d *SingleAction) kind {
	const path = "trigger.single_action"
	k := &singleAction{occurrence: int64(d.Occurrence)}
	if len(d.Any) == 0 {
		k.any = []pattern{c.pattern(path, &d.Pattern, nil, false)}
		return k
	}
	if d.Event != "" || d.Where != "" {
		c.problem(path+".any", "stands in place of event and where, not beside them")
	}
	if d.AtLeast != nil {
		c.problem(path+".at_least", "belongs to actions and inaction; it has no meaning here")
	}
	if len(d.Alias) > 0 {
		c.problem(path+".alias", "belongs to kinds that have same; it has no meaning here")
	}
	if len(d.Any) < 2 || len(d.Any) > 10 {
		c.problem(path+".any", "expected 2 to 10 event patterns")
	}
	for i := range d.Any {
		k.any = append(k.any, c.pattern(fmt.Sprintf("%s.any[%d]", path, i), &d.Any[i], nil, false))
	}
	return k
}

func (k *singleAction) names() []string { return namesOf(k.any) }

func (k *singleAction) shown() []string { return nil }

func namesOf(patterns []pattern) []string {
	var names []string
	for i := range patterns {
		names = append(names, patterns[i].event)
	}
	return names
}

func (k *singleAction) event(s *step, st *standing, e *history.Event) {
	for i := range k.any {
		if _, ok := k.any[i].match(s, st.c, e); !ok {
			continue
		}
		if k.occurrence > 0 {
			if st.count >= k.occurrence {
				return
			}
			st.count++
			s.user.dirty = true
			if st.count < k.occurrence {
				return
			}
		}
		s.qualify(st, qualification{moment: e.Time, left: s.arrival, events: s.only(e)})
		return
	}
}

func (k *singleAction) fire(*step, *standing, *timer) {}

// What has qualified under a trigger that is changed. A set of actions leaves no trace, or only the last of each combination does; so a
// ledger has the trigger itself, and who is rebuilt goes once more through their history under it.

// Former is a trigger in whose place another one stands.
type Former struct {
	Number  uint64   `json:"number,omitempty"` // of the set that brought it
	Blind   bool     `json:"blind,omitempty"`  // it saw only what came since
	Actions *Actions `json:"actions"`
}

// passes is the trigger of an entry for that of the next one; nil: it is of another kind, or not known.
func (e *Entry) passes() *Former {
	if e.Actions == nil {
		return nil
	}
	return &Former{Number: max(e.Born, e.Rebuilt), Blind: e.Rebuilt == 0 && e.Born > 0, Actions: e.Actions}
}

// formerOf is the set with only c as it was under its former trigger; nil: that is not known.
func (s *Set) formerOf(c *campaign, f *Former) *Set {
	if f == nil {
		return nil
	}
	d := *c.def
	d.Trigger = Trigger{Actions: f.Actions}
	had := *c
	of := &compiler{def: &d, used: newUsage(s.rules)}
	had.def, had.kind = &d, of.actions(f.Actions)
	if len(of.problems) > 0 {
		return nil // an expression of another version of Tripline
	}
	return s.only(&had)
}

// completed are the sets that the trigger before has completed for a user whose row was written under the set of a number: those of
// events that came after it.
func (u *User) completed(e *Entry, number uint64) (sets []judgment) {
	if e.former == nil || number < e.Former.Number {
		return nil
	}
	events, since := u.arrivals(e.former.campaigns[0].kind.names()), u.upTo(e.Former.Number)
	if len(events) == 0 || events[len(events)-1].Seq <= since {
		return nil
	}
	v := &User{set: e.former, id: u.id, log: &history.Log{}, zone: u.zone, apart: &sets}
	var out Output
	for _, ev := range events {
		if ev.Seq <= since && e.Former.Blind {
			continue
		}
		v.log.Resume(ev.Seq)
		v.Event(&record.Event{ID: ev.ID, User: u.id, Name: ev.Name, Time: ev.Time, Properties: ev.Properties}, max(v.now, ev.Time), &out)
		if ev.Seq <= since {
			sets = sets[:0]
		}
	}
	return sets
}
