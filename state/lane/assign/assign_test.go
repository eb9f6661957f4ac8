package assign

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// check expects of a plan what must hold of each: every lane has one owner and
// as many copies as were asked for, on others, and all are spread evenly.
func check(t *testing.T, members []Member, got map[string]Share, lanes int32, standbys int) {
	t.Helper()
	owners, copies := make(map[int32]string), make(map[int32]int)
	least, most, fewest, largest := int(lanes), 0, int(lanes), 0
	for _, m := range members {
		share := got[m.ID]
		least, most = min(least, len(share.Lanes)), max(most, len(share.Lanes))
		fewest, largest = min(fewest, len(share.Standbys)), max(largest, len(share.Standbys))
		for _, n := range share.Lanes {
			if owners[n] != "" {
				t.Fatalf("lane %d has two owners: %v", n, got)
			}
			owners[n] = m.ID
		}
		for _, n := range share.Standbys {
			copies[n]++
		}
		if both := slices.ContainsFunc(share.Standbys, func(n int32) bool { return slices.Contains(share.Lanes, n) }); both ||
			len(slices.Compact(slices.Clone(share.Standbys))) != len(share.Standbys) {
			t.Fatalf("%s owns %v and keeps copies of %v", m.ID, share.Lanes, share.Standbys)
		}
	}
	want := min(standbys, len(members)-1)
	for n := range lanes {
		if owners[n] == "" || copies[n] != want {
			t.Fatalf("lane %d is owned by %q and has %d copies, not %d: %v", n, owners[n], copies[n], want, got)
		}
	}
	// With two members the copies of one are the lanes of the other.
	if most-least > 1 || largest-fewest > 1 {
		t.Fatalf("%d to %d lanes, %d to %d copies: %v", least, most, fewest, largest, got)
	}
}

// settled is what members say of themselves when a plan has come true.
func settled(members []Member, got map[string]Share) []Member {
	members = slices.Clone(members)
	for i := range members {
		members[i].Owned, members[i].Follows = got[members[i].ID].Lanes, got[members[i].ID].Standbys
	}
	return members
}

// TestPlanHolds tries random groups: the plan is right, a second plan from the
// first's outcome changes nothing, and the order of the members does not matter.
func TestPlanHolds(t *testing.T) {
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		lanes, standbys := int32(1+rng.IntN(20)), rng.IntN(3)
		members := random(rng, lanes)
		got := Plan(members, lanes, standbys)
		check(t, members, got, lanes, standbys)
		shuffled := slices.Clone(members)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if again := Plan(shuffled, lanes, standbys); !reflect.DeepEqual(got, again) {
			t.Fatalf("seed %d: %v, in another order %v", seed, got, again)
		}
		if again := Plan(settled(members, got), lanes, standbys); !reflect.DeepEqual(got, again) {
			t.Fatalf("seed %d: %v became %v for no reason", seed, got, again)
		}
	}
}

// TestPlanSettles plays what a cooperative group does: a lane that moves is given
// up first and then planned anew. It ends, and soon.
func TestPlanSettles(t *testing.T) {
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 3))
		lanes := int32(1 + rng.IntN(20))
		members := settled(random(rng, lanes), nil)
		members = settled(members, Plan(members, lanes, 1))
		members = append(members, Member{ID: "new"})
		if rng.IntN(2) == 0 {
			members = members[1:]
		}
		for round := 0; ; round++ {
			got := Plan(members, lanes, 1)
			check(t, members, got, lanes, 1)
			moves := false
			next := settled(members, got)
			for i, m := range members {
				next[i].Held = maps.Clone(m.Held)
				if next[i].Held == nil {
					next[i].Held = map[int32]int64{}
				}
				next[i].Owned = slices.DeleteFunc(slices.Clone(next[i].Owned), func(n int32) bool {
					for _, other := range members {
						if other.ID != m.ID && slices.Contains(other.Owned, n) {
							moves = true
							return true
						}
					}
					return false
				})
				for _, n := range next[i].Owned {
					next[i].Held[n] += 1000
				}
			}
			if members = next; !moves {
				break
			}
			if round == 3 {
				t.Fatalf("seed %d: lanes still move: %v", seed, got)
			}
		}
	}
}

// TestPlanMovesLittle lets a member join, and one leave, a balanced group: no lane
// moves between two members that were there and stay.
func TestPlanMovesLittle(t *testing.T) {
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 2))
		lanes := int32(1 + rng.IntN(20))
		members := random(rng, lanes)
		members = settled(members, Plan(members, lanes, 0))
		for i := range members {
			members[i].Held = nil // nobody has what could make a move worth it
		}
		changed := append(slices.Clone(members), Member{ID: "new"})
		if rng.IntN(2) == 0 && len(members) > 1 {
			changed = members[1:]
		}
		after := Plan(changed, lanes, 0)
		for _, m := range changed {
			for _, n := range after[m.ID].Lanes {
				for _, other := range changed {
					if other.ID != m.ID && m.ID != "new" && slices.Contains(other.Owned, n) {
						t.Fatalf("seed %d: lane %d moved from %s to %s: %v", seed, n, other.ID, m.ID, after)
					}
				}
			}
		}
	}
}

// group is members with what they hold, as time goes on.
type group struct {
	t        *testing.T
	rng      *rand.Rand
	lanes    int32
	standbys int
	keeps    bool // what is left behind is kept
	members  []Member
	// What the last plan came to.
	moved, cold, copied int // lanes of members that stay; lanes and copies without state before
}

func (g *group) apply() {
	g.t.Helper()
	got := Plan(g.members, g.lanes, g.standbys)
	check(g.t, g.members, got, g.lanes, g.standbys)
	was := map[int32]string{}
	for _, m := range g.members {
		for _, n := range m.Owned {
			was[n] = m.ID
		}
	}
	g.moved, g.cold, g.copied = 0, 0, 0
	for i := range g.members {
		m := &g.members[i]
		m.Owned, m.Follows = got[m.ID].Lanes, got[m.ID].Standbys
		for _, n := range m.Owned {
			if was[n] != "" && was[n] != m.ID {
				g.moved++
			}
			if m.Held[n] == 0 {
				g.cold++
			}
		}
		for _, n := range m.Follows {
			if m.Held[n] == 0 {
				g.copied++
			}
		}
	}
	g.timePasses()
}

// timePasses brings owners and copies to the changelog's end. What is only left
// behind falls behind, and is wiped in the end.
func (g *group) timePasses() {
	ends := make([]int64, g.lanes)
	for i := range g.members {
		m := &g.members[i]
		for _, n := range slices.Sorted(maps.Keys(m.Held)) {
			ends[n] = max(ends[n], m.Held[n])
			if used := slices.Contains(m.Owned, n) || slices.Contains(m.Follows, n); !used && !g.keeps && g.rng.IntN(10) == 0 {
				delete(m.Held, n)
			}
		}
	}
	for n := range ends {
		ends[n] += 1 + g.rng.Int64N(100_000)
	}
	for i := range g.members {
		m := &g.members[i]
		for _, n := range slices.Concat(m.Owned, m.Follows) {
			m.Held[n] = ends[n]
		}
	}
}

func newGroup(t *testing.T, members int, lanes int32, standbys int) *group {
	g := &group{t: t, rng: rand.New(rand.NewPCG(5, 5)), lanes: lanes, standbys: standbys}
	for i := range members {
		g.members = append(g.members, Member{ID: fmt.Sprintf("m%03d", i), Held: map[int32]int64{}})
	}
	g.apply()
	return g
}

func (g *group) leave(i int) Member {
	gone := g.members[i]
	g.members = slices.Delete(slices.Clone(g.members), i, i+1)
	g.apply()
	return gone
}

func (g *group) join(m Member) {
	m.Owned, m.Follows = nil, nil
	g.members = append(slices.Clone(g.members), m)
	g.apply()
}

// TestPlanAtScale takes a group of 100 members with 1,000 lanes through joins,
// leaves and returns, and counts what moves. With standbys, each lane of a member
// that is lost goes to one that has its state.
func TestPlanAtScale(t *testing.T) {
	for standbys := range 3 {
		t.Run(fmt.Sprintf("standbys=%d", standbys), func(t *testing.T) {
			g := newGroup(t, 100, 1000, standbys)
			g.keeps = standbys == 0
			var away []Member
			left, handed, copied, rounds := 0, 0, 0, 0
			got, cold := 0, 0 // lanes of members that came back
			for round := range 24 {
				share := int(g.lanes) / len(g.members)
				if gone := g.rng.IntN(len(g.members)); len(away) == 0 || len(g.members) > 50 && g.rng.IntN(2) == 0 {
					away = append(away, g.leave(gone))
					left += len(away[len(away)-1].Owned)
					handed += g.moved
					if standbys > 0 && g.cold > 0 {
						t.Fatalf("round %d: %d lanes of one that left went to members without their state", round, g.cold)
					}
					if standbys == 0 && g.moved > share {
						t.Fatalf("round %d: %d lanes moved between members that stayed when one left", round, g.moved)
					}
				} else {
					g.join(away[0])
					away = away[1:]
					if g.moved > 2*(share+1) { // its share, and what is handed on so that it gets what it has
						t.Fatalf("round %d: %d lanes moved when one joined, whose share is %d", round, g.moved, share)
					}
					got += len(g.members[len(g.members)-1].Owned)
					cold += g.cold
				}
				// One member's lanes and copies, each with its copies, and no more.
				if most := (2*standbys + 1) * (share + 2) * 2; g.copied > most {
					t.Fatalf("round %d: %d copies were begun anew, of %d", round, g.copied, standbys*int(g.lanes))
				}
				copied += g.copied
				rounds++
			}
			t.Logf("%d lanes of members that left, %d handed on for them; of %d lanes of members that came back %d without state; %.1f copies begun anew a change, of %d",
				left, handed, got, cold, float64(copied)/float64(rounds), standbys*int(g.lanes))
			if 4*(got-cold) < got { // it held a few hundredths of all: those who have one too many may have none of these
				t.Errorf("of %d lanes %d went to members without their state", got, cold)
			}
		})
	}
}

// TestPlanInSmallGroups loses any one member of small groups with one standby:
// nothing is restored.
func TestPlanInSmallGroups(t *testing.T) {
	for size := 2; size <= 6; size++ {
		for lanes := int32(1); lanes <= 24; lanes++ {
			for gone := range size {
				g := newGroup(t, size, lanes, 1)
				g.keeps = true
				before := g.leave(gone)
				if g.cold > 0 {
					t.Errorf("%d members, %d lanes: %d of the %d lanes of %s went to members without their state", size, lanes, g.cold, len(before.Owned), before.ID)
				}
				g.join(before)
			}
		}
	}
}

func random(rng *rand.Rand, lanes int32) (members []Member) {
	for i := range 1 + rng.IntN(6) {
		m := Member{ID: string(rune('a' + i)), Held: make(map[int32]int64)}
		for n := range lanes {
			if rng.IntN(3) == 0 {
				m.Owned = append(m.Owned, n) // also what others claim
			}
			if rng.IntN(2) == 0 {
				m.Held[n] = rng.Int64N(5)
			}
			if rng.IntN(3) == 0 {
				m.Follows = append(m.Follows, n)
			}
		}
		members = append(members, m)
	}
	return members
}

func TestPlanPrefersTheStateHolder(t *testing.T) {
	for _, test := range []struct {
		name    string
		members []Member
		want    map[string][]int32
	}{
		{"after a restart of all", []Member{
			{ID: "a", Held: map[int32]int64{2: 9, 3: 9}},
			{ID: "b", Held: map[int32]int64{0: 9, 1: 9, 2: 5}},
		}, map[string][]int32{"a": {2, 3}, "b": {0, 1}}},
		{"one comes back to a lane that it had", []Member{
			{ID: "a", Owned: []int32{0, 1, 2, 3}},
			{ID: "b", Held: map[int32]int64{0: 7, 2: 8}},
		}, map[string][]int32{"a": {1, 3}, "b": {0, 2}}},
		{"the owner is preferred to the holder", []Member{
			{ID: "a", Owned: []int32{0, 1}},
			{ID: "b", Owned: []int32{2, 3}, Held: map[int32]int64{0: 100, 1: 100}},
		}, map[string][]int32{"a": {0, 1}, "b": {2, 3}}},
		{"more members than lanes", []Member{
			{ID: "a"}, {ID: "b"}, {ID: "c"}, {ID: "d"}, {ID: "e", Owned: []int32{1}},
		}, map[string][]int32{"a": {0}, "b": {2}, "c": {3}, "d": nil, "e": {1}}},
		{"the only holder is full and hands on what another holds", []Member{
			{ID: "a", Owned: []int32{0, 1}, Held: map[int32]int64{0: 50_000, 1: 50_000, 3: 50_000}},
			{ID: "b", Owned: []int32{2}, Held: map[int32]int64{1: 49_000, 2: 50_000}},
		}, map[string][]int32{"a": {0, 3}, "b": {1, 2}}},
		{"but not to one that is far behind", []Member{
			{ID: "a", Owned: []int32{0, 1}, Held: map[int32]int64{0: 50_000, 1: 50_000, 3: 50_000}},
			{ID: "b", Owned: []int32{2}, Held: map[int32]int64{1: 39_000, 2: 50_000}},
		}, map[string][]int32{"a": {0, 1}, "b": {2, 3}}},
	} {
		got := Plan(test.members, 4, 0)
		for id, want := range test.want {
			if !slices.Equal(got[id].Lanes, want) {
				t.Errorf("%s: %s has %v, expected %v", test.name, id, got[id].Lanes, want)
			}
		}
	}
	got := Plan([]Member{
		{ID: "a", Owned: []int32{0, 1}},
		{ID: "b", Owned: []int32{2, 3}, Held: map[int32]int64{2: 9, 3: 9}},
		{ID: "c", Held: map[int32]int64{0: 5, 1: 5}},
		{ID: "d", Owned: nil, Follows: []int32{0}, Held: map[int32]int64{0: 1, 2: 9}},
	}, 4, 1)
	if c, d := got["c"], got["d"]; !slices.Contains(c.Lanes, 1) || !slices.Contains(d.Standbys, 0) {
		t.Errorf("one that follows goes on, and a lane goes to who has it: %v", got)
	}
}

// TestPlanPrefersTheFurthest has two members that could take each lane over in seconds: it goes to the one that has less to read.
func TestPlanPrefersTheFurthest(t *testing.T) {
	members := []Member{
		{ID: "a", Held: map[int32]int64{0: 5000, 1: 5001, 2: 5000}},
		{ID: "b", Held: map[int32]int64{0: 5001, 1: 5000, 2: 4000}},
		{ID: "c", Held: map[int32]int64{0: 4000, 1: 4000, 2: 5001}},
	}
	for id, lane := range map[string]int32{"a": 1, "b": 0, "c": 2} {
		if got := Plan(members, 3, 0)[id].Lanes; !slices.Equal(got, []int32{lane}) {
			t.Errorf("%s gets %v, expected %d", id, got, lane)
		}
	}
}
