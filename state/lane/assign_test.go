package lane

import (
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
