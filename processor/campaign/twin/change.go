package twin

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// judged is a moment that has qualified, and the newest event that it saw; of a look it is the moment that counts.
type judged struct {
	moment int64
	seq    int
}

func (c Campaign) judged(q qualification) judged {
	j := judged{moment: q.moment}
	if n := len(q.events); n > 0 && c.Inaction == nil {
		j.seq = q.events[n-1].seq
	}
	return j
}

// change puts other campaigns in force.
func (u *user) change(ch Change) {
	if !ch.Left {
		u.fire(ch.Stream)
	}
	at := ch.Stream
	if due, ok := u.due(); ok {
		at = min(at, due) // nothing that was due then, or later, has left
	}
	at = max(at, u.known)
	old, memories := u.campaigns, u.memories
	u.campaigns, u.memories = byName(ch.Campaigns), map[string]*memory{}
	for _, c := range u.campaigns {
		i := slices.IndexFunc(old, func(o Campaign) bool { return o.Name == c.Name })
		m := newMemory()
		switch {
		case i < 0 && c.Backfill:
			u.rebuild(c, m, nil, at) // "is new: `backfill: true` rebuilds from history in the same way"
		case i < 0: // "it sees only what comes"
			m.from = u.seq
		case old[i].bare().YAML() != c.bare().YAML():
			was := memories[c.Name]
			m.triggers, m.waiting, m.goals = was.triggers, was.waiting, was.goals
			m.before = old[i].allJudged(was)
			u.rebuild(c, m, u.timers(old[i], was), at)
		default:
			m = memories[c.Name]
		}
		if c.Goal == nil {
			m.goals = nil
		}
		u.memories[c.Name] = m
	}
}

// allJudged is what is known of what has qualified.
func (c Campaign) allJudged(m *memory) map[judged]bool {
	all := maps.Clone(m.before)
	if all == nil {
		all = map[judged]bool{}
	}
	for _, j := range m.passed {
		all[j] = true
	}
	for _, w := range m.waiting {
		if n := len(w.q.events); n > 0 {
			all[judged{w.q.moment, w.q.events[n-1].seq}] = true
		}
	}
	return all
}

// rebuild: "open watches, timers and partial matches are rebuilt from the user's history under the new text, as if it had always stood
// there". Another user goes through what is known of events that the trigger speaks of, with the profile as it is, each coming with the
// largest time of them so far, or at the change; what of theirs leaves before the change is nobody's.
func (u *user) rebuild(c Campaign, m *memory, open []qualification, at int64) {
	if len(u.zones) == 0 {
		return // nothing is known of the user
	}
	alone := c.bare()
	names := named(alone)
	v := &user{rules: u.rules, campaigns: []Campaign{alone}, profile: u.profile, zones: u.zones[:1:1], memories: map[string]*memory{c.Name: newMemory()}}
	v.rules.Caps = nil
	v.now = -1 << 60
	v.take(nil, nil, false)
	move := func(now int64) {
		for len(v.zones) < len(u.zones) && u.zones[len(v.zones)].arrival <= now {
			z := u.zones[len(v.zones)]
			v.now = max(v.now, z.arrival)
			v.fire(v.now)
			v.zones = append(v.zones, z)
			v.take(nil, v.profile, true)
		}
	}
	for _, e := range slices.SortedFunc(slices.Values(u.events), func(a, b event) int { return cmp.Compare(a.seq, b.seq) }) {
		if !slices.Contains(names, e.Name) {
			continue
		}
		now := max(v.now, min(e.Time, at))
		move(now)
		v.now = now
		e.Arrival = v.now
		v.fire(v.now)
		v.insert(e)
		v.take(&e, v.profile, false)
	}
	move(at)
	v.fire(at)
	own := v.memories[c.Name]
	for {
		q, ok := v.expired(alone, own, open, at)
		if !ok {
			break
		}
		if alone.DateTimeProperty != nil {
			alone.DateTimeProperty.fired(own, q.instance)
		}
		v.qualify(alone, q, at)
	}
	m.left, m.revealed, m.used, m.matches, m.aims = own.left, own.revealed, own.used, own.matches, own.aims
	if c.Actions == nil {
		m.passed = own.passed
	}
}

// expired is the next timer whose moment is past, and that has not left only as it settles. What was open before, too, may leave.
func (u *user) expired(c Campaign, m *memory, open []qualification, at int64) (first qualification, ok bool) {
	for _, q := range u.timers(c, m) {
		was := slices.ContainsFunc(open, func(o qualification) bool { return o.moment == q.moment })
		if q.moment+u.rules.AllowedLateness < at && !was && (!ok || q.firesBefore(first)) {
			first, ok = q, true
		}
	}
	return first, ok
}

// GenerateChanging makes a case whose campaigns change once or twice on the way.
func GenerateChanging(seed uint64, kind string) Case {
	c := Generate(seed, kind)
	d := dice{Rand: rand.New(rand.NewPCG(seed, 31)), step: minute, origin: c.Inputs[0].Arrival}
	for i := 1; i < len(c.Inputs); i++ {
		if gap := c.Inputs[i].Arrival - c.Inputs[i-1].Arrival; gap >= minute {
			d.step = min(gap, hour)
		}
	}
	crowded := kind == "actions" && d.chance(50)
	if crowded {
		d.crowded(&c)
	}
	campaigns, all := c.Campaigns, slices.Clone(c.Campaigns)
	stream := int64(0)
	at := 0
	for range 1 + d.IntN(2) {
		at += d.IntN(len(c.Inputs) + 1 - at)
		until := c.Until
		if at < len(c.Inputs) {
			until = c.Inputs[at].Arrival
		}
		stream = max(stream, until-int64(d.IntN(4))*d.step)
		// Of looks the core does not know before their moment whether they will qualify; that they are open is not seen here.
		looks := slices.ContainsFunc(campaigns, func(c Campaign) bool { return c.Inaction != nil })
		if crowded && d.chance(80) {
			campaigns = []Campaign{{Name: "c-1", Actions: d.edited(*cmp.Or(campaigns[0].Actions, c.Campaigns[0].Actions))}}
		} else {
			campaigns = d.changed(campaigns, all)
		}
		all = append(all, campaigns...)
		c.Changes = append(c.Changes, Change{Before: at, Stream: stream, Left: !looks && d.chance(20), Campaigns: campaigns})
	}
	d.delay(c.Inputs, c.Changes[0].Before)
	return c
}

// crowded has a case's events complete many sets of one campaign.
func (d dice) crowded(c *Case) {
	c.Campaigns = []Campaign{{Name: "c-1", Actions: &Actions{All: []Pattern{{Event: "A"}, {Event: "B"}}, Within: d.steps(12), InOrder: d.chance(40), Reuse: d.chance(60)}}}
	for i := range c.Inputs {
		if in := &c.Inputs[i]; in.Kind == "event" {
			in.Name = pick(d, "A", "B")
		}
	}
}

// delay has events after a change take their place among those before.
func (d dice) delay(inputs []Input, change int) {
	for i := change; i < len(inputs) && i > 0; i++ {
		if in, of := &inputs[i], inputs[d.IntN(i)]; in.Kind == "event" && of.Kind == "event" && d.chance(50) {
			in.Time = min(in.Time, of.Time+int64(d.IntN(3)-1)*d.step)
		}
	}
}

// changed makes other campaigns of some.
func (d dice) changed(campaigns, all []Campaign) (list []Campaign) {
	for _, c := range campaigns {
		kind := pick(d, Kinds...)
		for i, has := range []bool{c.SingleAction != nil, c.Actions != nil, c.InactionWithinTime != nil, c.Inaction != nil, c.DateTimeProperty != nil} {
			if has && d.chance(70) {
				kind = Kinds[i]
			}
		}
		roll := d.IntN(100)
		switch {
		case roll < 10:
			continue // it is gone
		case roll < 30 && c.Actions != nil:
			c.Actions = d.edited(*c.Actions)
		case roll < 60:
			other := Campaign{}
			d.trigger(&other, kind)
			c.SingleAction, c.Actions, c.InactionWithinTime, c.Inaction, c.DateTimeProperty = other.SingleAction, other.Actions, other.InactionWithinTime, other.Inaction, other.DateTimeProperty
		}
		if d.chance(30) {
			other := Campaign{}
			d.controls(&other)
			d.waiting(&other)
			tags, goal := c.Tags, c.Goal
			other.Name, other.SingleAction, other.Actions, other.InactionWithinTime, other.Inaction, other.DateTimeProperty = c.Name, c.SingleAction, c.Actions, c.InactionWithinTime, c.Inaction, c.DateTimeProperty
			c, c.Tags, c.Goal = other, tags, goal
		}
		if d.chance(10) {
			c.Goal = nil
		}
		list = append(list, c)
	}
	for _, c := range all { // one that had gone comes back
		if !slices.ContainsFunc(list, func(o Campaign) bool { return o.Name == c.Name }) && d.chance(30) {
			c.Backfill = d.chance(50)
			list = append(list, c)
		}
	}
	if len(list) == 0 || d.chance(30) {
		c := Campaign{Name: fmt.Sprintf("c-%d", 10+len(all)), Backfill: d.chance(60)}
		d.trigger(&c, pick(d, Kinds...))
		d.controls(&c)
		list = append(list, c)
	}
	return list
}

// edited is much the same trigger: what qualified under the one may do so under the other, for a late event that comes to it.
func (d dice) edited(k Actions) *Actions {
	k.All = slices.Clone(k.All)
	p := &k.All[d.IntN(len(k.All))]
	switch d.IntN(4) {
	case 0:
		k.Within = d.steps(12)
	case 1:
		k.InOrder = !k.InOrder
	default:
		p.AtLeast = pick(d, 2, 3)
	}
	k.Reuse = d.chance(60)
	return &k
}

func (ch Change) String() string {
	text := fmt.Sprintf("-- campaigns change at %s, left %v\n", timeText(ch.Stream), ch.Left)
	for _, c := range ch.Campaigns {
		text += "   " + strings.ReplaceAll(strings.TrimSpace(c.YAML()), "\n", "\n   ") + "\n   ---\n"
	}
	return text
}
