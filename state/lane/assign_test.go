package lane

import (
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// TestPlanHolds tries random groups: each lane has one owner, nobody has more than
// one more than another, a second plan from the first's outcome changes nothing,
// and the order of the members does not matter.
func TestPlanHolds(t *testing.T) {
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		lanes := int32(1 + rng.IntN(20))
		candidates := randomCandidates(rng, lanes)
		got := plan(candidates, lanes)
		check := func() {
			t.Helper()
			owners := make(map[int32]int)
			least, most := int(lanes), 0
			for _, c := range candidates {
				least, most = min(least, len(got[c.id])), max(most, len(got[c.id]))
				for _, n := range got[c.id] {
					owners[n]++
				}
			}
			for n := range lanes {
				if owners[n] != 1 {
					t.Fatalf("seed %d: lane %d has %d owners: %v", seed, n, owners[n], got)
				}
			}
			if most-least > 1 {
				t.Fatalf("seed %d: from %d to %d lanes: %v", seed, least, most, got)
			}
		}
		check()
		shuffled := slices.Clone(candidates)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if again := plan(shuffled, lanes); !reflect.DeepEqual(got, again) {
			t.Fatalf("seed %d: %v, in another order %v", seed, got, again)
		}
		for i := range candidates {
			candidates[i].owned = got[candidates[i].id]
		}
		if again := plan(candidates, lanes); !reflect.DeepEqual(got, again) {
			t.Fatalf("seed %d: %v became %v for no reason", seed, got, again)
		}
		got = plan(candidates, lanes)
		check()
	}
}

// TestPlanMovesLittle lets a member join, and one leave, a balanced group: no lane
// moves between two members that were there and stay.
func TestPlanMovesLittle(t *testing.T) {
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 2))
		lanes := int32(1 + rng.IntN(20))
		candidates := randomCandidates(rng, lanes)
		before := plan(candidates, lanes)
		for i := range candidates {
			candidates[i].owned = before[candidates[i].id]
		}
		changed := append(slices.Clone(candidates), candidate{id: "new"})
		if rng.IntN(2) == 0 && len(candidates) > 1 {
			changed = candidates[1:]
		}
		after := plan(changed, lanes)
		for _, c := range changed {
			for _, n := range after[c.id] {
				for _, other := range changed {
					if other.id != c.id && c.id != "new" && slices.Contains(other.owned, n) {
						t.Fatalf("seed %d: lane %d moved from %s to %s: %v, %v", seed, n, other.id, c.id, before, after)
					}
				}
			}
		}
	}
}

// TestPlanAtScale takes a group of 100 members with 1,000 lanes through joins, leaves and returns, and counts the lanes that
// move between members that stay: none beyond those that the new shares ask for. One that comes back gets lanes
// whose state it still holds, where those who have too many have such.
func TestPlanAtScale(t *testing.T) {
	const lanes = 1000
	rng := rand.New(rand.NewPCG(5, 5))
	var members, away []candidate
	for i := range 100 {
		members = append(members, candidate{id: string(rune('A'+i/26)) + string(rune('a'+i%26)), held: map[int32]int64{}})
	}
	apply := func() (moved int) {
		after := plan(members, lanes)
		was := map[int32]string{}
		for _, m := range members {
			for _, n := range m.owned {
				was[n] = m.id
			}
		}
		for i := range members {
			m := &members[i]
			m.owned = after[m.id]
			if share := len(m.owned); share < lanes/len(members) || share > lanes/len(members)+1 {
				t.Fatalf("%s has %d lanes of %d among %d members", m.id, share, lanes, len(members))
			}
			for _, n := range m.owned {
				if was[n] != "" && was[n] != m.id {
					moved++
				}
				m.held[n] += 1 + rng.Int64N(9)
			}
		}
		return moved
	}
	apply()
	got, cold := 0, 0 // lanes that a member got on its return, and those of which it held no state
	for round := range 60 {
		if gone := rng.IntN(len(members)); len(away) == 0 || len(members) > 50 && rng.IntN(2) == 0 {
			away = append(away, members[gone])
			members = slices.Delete(members, gone, gone+1)
			if moved := apply(); moved != 0 {
				t.Fatalf("round %d: %d lanes moved between members that stayed when one left", round, moved)
			}
			continue
		}
		back := away[0]
		away = away[1:]
		before := maps.Clone(back.held)
		back.owned = nil
		members = append(members, back)
		moved, share := apply(), lanes/len(members)
		if moved > share+1 {
			t.Fatalf("round %d: %d lanes moved when one joined, whose share is %d", round, moved, share)
		}
		for _, n := range members[len(members)-1].owned {
			got++
			if _, held := before[n]; !held {
				cold++
			}
		}
	}
	if 4*(got-cold) < got { // it held a hundredth of all: those who have one too many may have none of these
		t.Errorf("of %d lanes %d went to members without their state", got, cold)
	}
}

func randomCandidates(rng *rand.Rand, lanes int32) (candidates []candidate) {
	for i := range 1 + rng.IntN(6) {
		c := candidate{id: string(rune('a' + i)), held: make(map[int32]int64)}
		for n := range lanes {
			if rng.IntN(3) == 0 {
				c.owned = append(c.owned, n) // also what others claim
			}
			if rng.IntN(2) == 0 {
				c.held[n] = rng.Int64N(5)
			}
		}
		candidates = append(candidates, c)
	}
	return candidates
}

func TestPlanPrefersTheStateHolder(t *testing.T) {
	for _, test := range []struct {
		name       string
		candidates []candidate
		want       map[string][]int32
	}{
		{"after a restart of all", []candidate{
			{id: "a", held: map[int32]int64{2: 9, 3: 9}},
			{id: "b", held: map[int32]int64{0: 9, 1: 9, 2: 5}},
		}, map[string][]int32{"a": {2, 3}, "b": {0, 1}}},
		{"one comes back to a lane that it had", []candidate{
			{id: "a", owned: []int32{0, 1, 2, 3}},
			{id: "b", held: map[int32]int64{0: 7, 2: 8}},
		}, map[string][]int32{"a": {1, 3}, "b": {0, 2}}},
		{"the owner is preferred to the holder", []candidate{
			{id: "a", owned: []int32{0, 1}},
			{id: "b", owned: []int32{2, 3}, held: map[int32]int64{0: 100, 1: 100}},
		}, map[string][]int32{"a": {0, 1}, "b": {2, 3}}},
		{"more members than lanes", []candidate{
			{id: "a"}, {id: "b"}, {id: "c"}, {id: "d"}, {id: "e", owned: []int32{1}},
		}, map[string][]int32{"a": {0}, "b": {2}, "c": {3}, "e": {1}}},
	} {
		if got := plan(test.candidates, 4); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %v, expected %v", test.name, got, test.want)
		}
	}
}

func TestPartitionsOf(t *testing.T) {
	if got := partitionsOf([]int32{0, 2}, 3, 8); !slices.Equal(got, []int32{0, 2, 3, 5, 6}) {
		t.Error(got)
	}
}
