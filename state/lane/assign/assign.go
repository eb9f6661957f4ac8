// Package assign decides which member of a group has which lanes, and who keeps
// warm copies of which. It is a pure function of what the members say of
// themselves.
//
//   - Lanes and copies are each spread evenly: nobody has more than one more than
//     another (copies: as far as a lane's copies on distinct members allow).
//   - A lane stays with its owner within that. One that is free goes to a member
//     that has its state, the furthest first. Where all of these are full, one of
//     them takes it and hands a lane of its own to a member that has the state of
//     that: a lane changes hands in seconds, a restore may take long.
//   - A copy stays with its member, else is kept by one that has the state
//     already, else by the one that has the fewest copies of the owner's lanes:
//     so the lanes of a process that is lost go to many.
package assign

import (
	"cmp"
	"slices"
)

// Member is a member of the group.
type Member struct {
	ID      string
	Owned   []int32         // lanes that it runs now
	Follows []int32         // lanes of which it keeps a warm copy now
	Held    map[int32]int64 // lanes whose state it has, and how far: changelog offsets
}

// Share is what a member gets, both in order of lane.
type Share struct {
	Lanes    []int32
	Standbys []int32 // lanes of others of which it keeps a copy
}

// warmLag is how many changelog records a state may be behind the furthest and
// still be taken over in seconds.
const warmLag = 10_000

// Plan gives each lane from 0 to lanes-1 to one member and, as far as there are
// others, to standbys others a copy. The answer depends on nothing but the
// arguments, in whatever order.
func Plan(members []Member, lanes int32, standbys int) map[string]Share {
	if len(members) == 0 {
		return nil
	}
	p := &plan{lanes: lanes, members: make([]*member, len(members)), owner: make([]*member, lanes), furthest: make([]int64, lanes)}
	for i := range members {
		p.members[i] = &member{Member: &members[i]}
		for n, far := range members[i].Held {
			if n >= 0 && n < lanes {
				p.furthest[n] = max(p.furthest[n], far)
			}
		}
	}
	p.own()
	p.follow(min(standbys, len(members)-1))
	shares := make(map[string]Share, len(members))
	for _, m := range p.members {
		slices.Sort(m.lanes)
		slices.Sort(m.copies)
		shares[m.ID] = Share{m.lanes, m.copies}
	}
	return shares
}

// plan is a plan being made.
type plan struct {
	lanes    int32
	members  []*member
	owner    []*member // by lane
	furthest []int64   // by lane: the furthest state of it
	quota    quota     // of what is being given out
}

type member struct {
	*Member
	lanes, copies []int32
}

// quota spreads n evenly: everybody gets least, and extra of them one more.
type quota struct{ least, extra int }

// room says that somebody who has n may get one more.
func (q quota) room(n int) bool { return n < q.least || n == q.least && q.extra > 0 }

// take notes that somebody who has n gets one more.
func (q *quota) take(n int) {
	if n == q.least {
		q.extra--
	}
}

// warm says that m can take a lane over in seconds.
func (p *plan) warm(m *member, n int32) bool {
	if n < 0 || n >= p.lanes {
		return false
	}
	return m.Held[n] > 0 && m.Held[n] >= p.furthest[n]-warmLag
}

// own gives out the lanes.
func (p *plan) own() {
	p.quota = quota{int(p.lanes) / len(p.members), int(p.lanes) % len(p.members)}
	// First what stays. Those with most have first call on one more than others;
	// of these, those whose lanes nobody waits for.
	wanted := make(map[*member]int)
	for _, m := range p.members {
		for _, n := range m.Owned {
			if slices.ContainsFunc(p.members, func(o *member) bool { return o != m && len(o.Owned) < p.quota.least && p.warm(o, n) }) {
				wanted[m]++
			}
		}
	}
	slices.SortFunc(p.members, func(a, b *member) int {
		return cmp.Or(cmp.Compare(len(b.Owned), len(a.Owned)), cmp.Compare(wanted[a], wanted[b]), cmp.Compare(a.ID, b.ID))
	})
	spare := p.quota
	for _, m := range p.members {
		if len(m.Owned) > spare.least {
			spare.extra = max(0, spare.extra-1)
		}
	}
	for _, m := range p.members {
		for _, n := range p.staying(m, spare) {
			if p.owner[n] == nil && p.quota.room(len(m.lanes)) {
				p.give(n, m)
			}
		}
	}
	free := p.free()
	for _, n := range free {
		if m := p.best(n, func(m *member) bool { return p.warm(m, n) && p.quota.room(len(m.lanes)) }); m != nil {
			p.give(n, m)
		}
	}
	for _, n := range p.free() {
		p.exchange(n)
	}
	for _, n := range p.free() {
		p.give(n, p.best(n, func(m *member) bool { return p.quota.room(len(m.lanes)) }))
	}
}

// staying are a member's lanes, those first that it should keep: what is over its
// quota should go where state of it waits. spare is what others may still get.
func (p *plan) staying(m *member, spare quota) []int32 {
	wanted := make(map[int32]int64, len(m.Owned))
	for _, other := range p.members {
		if other != m && spare.room(len(other.Owned)) {
			for _, n := range m.Owned {
				wanted[n] = max(wanted[n], other.Held[n])
			}
		}
	}
	kept := slices.DeleteFunc(slices.Clone(m.Owned), func(n int32) bool { return n < 0 || n >= p.lanes })
	slices.SortFunc(kept, func(a, b int32) int {
		return cmp.Or(cmp.Compare(wanted[a], wanted[b]), cmp.Compare(a, b))
	})
	return kept
}

func (p *plan) free() (lanes []int32) {
	for n := range p.lanes {
		if p.owner[n] == nil {
			lanes = append(lanes, n)
		}
	}
	return lanes
}

func (p *plan) give(n int32, m *member) {
	p.quota.take(len(m.lanes))
	m.lanes = append(m.lanes, n)
	p.owner[n] = m
}

// best is who should get a lane among those that may: the one whose state is
// furthest, then the one with the fewest.
func (p *plan) best(n int32, may func(*member) bool) (best *member) {
	for _, m := range p.members {
		if may(m) && (best == nil || cmp.Or(cmp.Compare(best.Held[n], m.Held[n]),
			cmp.Compare(len(m.lanes), len(best.lanes)), cmp.Compare(m.ID, best.ID)) < 0) {
			best = m
		}
	}
	return best
}

// exchange gives a lane to a full member that has its state, by handing on one
// lane, or a chain of them, from one that has the state to the next. It looks
// for the shortest such chain, and does nothing where there is none.
func (p *plan) exchange(n int32) {
	type step struct {
		lane int32
		from *step // whose lane the member of this one's gets
		at   *member
	}
	seen := make(map[*member]bool)
	for queue := []*step{{lane: n}}; len(queue) > 0; queue = queue[1:] {
		s := queue[0]
		if end := p.best(s.lane, func(m *member) bool { return p.warm(m, s.lane) && p.quota.room(len(m.lanes)) }); end != nil {
			for p.give(s.lane, end); s.from != nil; s = s.from {
				s.at.lanes = slices.DeleteFunc(s.at.lanes, func(lane int32) bool { return lane == s.lane })
				s.at.lanes = append(s.at.lanes, s.from.lane)
				p.owner[s.from.lane] = s.at
			}
			return
		}
		for _, m := range p.members {
			if seen[m] || !p.warm(m, s.lane) {
				continue
			}
			seen[m] = true
			for _, runs := range []bool{false, true} { // what it does not run yet moves for nothing
				for _, lane := range m.lanes {
					if slices.Contains(m.Owned, lane) == runs {
						queue = append(queue, &step{lane: lane, from: s, at: m})
					}
				}
			}
		}
	}
}

// follow gives out want copies of each lane.
func (p *plan) follow(want int) {
	if want <= 0 {
		return
	}
	total := want * int(p.lanes)
	p.quota = quota{total / len(p.members), total % len(p.members)}
	had := make(map[int32]int, p.lanes) // copies by lane
	for n, followers := range p.followers() {
		slices.SortFunc(followers, func(a, b *member) int {
			return cmp.Or(cmp.Compare(b.Held[n], a.Held[n]), cmp.Compare(a.ID, b.ID))
		})
		for _, m := range followers[:min(want, len(followers))] {
			m.copies = append(m.copies, n)
		}
	}
	byCopies := slices.Clone(p.members)
	slices.SortFunc(byCopies, func(a, b *member) int {
		return cmp.Or(cmp.Compare(len(b.copies), len(a.copies)), cmp.Compare(a.ID, b.ID))
	})
	for _, m := range byCopies {
		offered := m.copies
		slices.Sort(offered)
		m.copies = nil
		for _, n := range offered {
			if p.quota.room(len(m.copies)) {
				p.quota.take(len(m.copies))
				m.copies = append(m.copies, n)
				had[n]++
			}
		}
	}
	beside := p.beside()
	for n := range p.lanes {
		for ; had[n] < want; had[n]++ {
			m := p.follower(n, beside)
			p.quota.take(len(m.copies))
			m.copies = append(m.copies, n)
			beside[pair{p.owner[n], m}]++
		}
	}
	p.spread(beside)
}

// begun is a copy of a lane that its keeper has nothing of yet.
type begun struct {
	lane   int32
	keeper *member
}

// spread lets keepers of copies that are begun anew exchange them where a keeper
// would have several of one owner's.
func (p *plan) spread(beside map[pair]int) {
	var all []begun
	for _, m := range p.members {
		for _, n := range m.copies {
			if m.Held[n] == 0 && !slices.Contains(m.Follows, n) {
				all = append(all, begun{n, m})
			}
		}
	}
	for i := range all {
		for j := range all {
			a, b := &all[i], &all[j]
			has := pair{p.owner[a.lane], a.keeper}
			if beside[has] < 2 {
				break
			}
			gets, had, got := pair{has.owner, b.keeper}, pair{p.owner[b.lane], b.keeper}, pair{p.owner[b.lane], a.keeper}
			if a.keeper == b.keeper || has.owner == had.owner || gets.owner == gets.keeper || got.owner == got.keeper ||
				slices.Contains(b.keeper.copies, a.lane) || slices.Contains(a.keeper.copies, b.lane) ||
				beside[gets]+beside[got]+2 > beside[has]+beside[had]-1 {
				continue
			}
			for _, change := range []struct {
				at pair
				by int
			}{{has, -1}, {had, -1}, {gets, 1}, {got, 1}} {
				beside[change.at] += change.by
			}
			a.keeper.copies[slices.Index(a.keeper.copies, a.lane)] = b.lane
			b.keeper.copies[slices.Index(b.keeper.copies, b.lane)] = a.lane
			a.keeper, b.keeper = b.keeper, a.keeper
		}
	}
}

// followers are, by lane, those who keep a copy of it now and do not own it.
func (p *plan) followers() map[int32][]*member {
	all := make(map[int32][]*member)
	for _, m := range p.members {
		for _, n := range m.Follows {
			if n >= 0 && n < p.lanes && p.owner[n] != m && !slices.Contains(all[n], m) {
				all[n] = append(all[n], m)
			}
		}
	}
	return all
}

// pair counts copies by the owner of their lane and who keeps them.
type pair struct{ owner, keeper *member }

func (p *plan) beside() map[pair]int {
	counts := make(map[pair]int)
	for _, m := range p.members {
		for _, n := range m.copies {
			counts[pair{p.owner[n], m}]++
		}
	}
	return counts
}

// follower chooses who keeps a copy of a lane that has too few. Where all that
// may are full, one of them lets another take one of its copies.
func (p *plan) follower(n int32, beside map[pair]int) *member {
	may := func(m *member) bool { return p.owner[n] != m && !slices.Contains(m.copies, n) }
	first := func(ok func(*member) bool) (best *member) {
		owner := p.owner[n]
		for _, m := range p.members {
			if ok(m) && (best == nil || cmp.Or(cmp.Compare(best.Held[n], m.Held[n]),
				cmp.Compare(beside[pair{owner, m}], beside[pair{owner, best}]),
				cmp.Compare(len(m.copies), len(best.copies)),
				cmp.Compare(len(m.lanes), len(best.lanes)), cmp.Compare(m.ID, best.ID)) < 0) {
				best = m
			}
		}
		return best
	}
	if m := first(func(m *member) bool { return may(m) && p.quota.room(len(m.copies)) }); m != nil {
		return m
	}
	for _, taker := range p.members {
		if !p.quota.room(len(taker.copies)) {
			continue
		}
		for _, m := range p.members {
			if !may(m) {
				continue
			}
			for i, other := range m.copies {
				if p.owner[other] == taker || slices.Contains(taker.copies, other) {
					continue
				}
				p.quota.take(len(taker.copies))
				taker.copies = append(taker.copies, other)
				beside[pair{p.owner[other], taker}]++
				beside[pair{p.owner[other], m}]--
				m.copies = slices.Delete(m.copies, i, i+1)
				if len(m.copies) == p.quota.least {
					p.quota.extra++
				}
				return m
			}
		}
	}
	return first(may)
}
