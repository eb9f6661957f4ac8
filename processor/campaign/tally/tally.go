// Package tally counts which of a user's events fit the patterns of a set, so that one that cannot be whole is not looked for among
// all the events that came under other keys, or do not match.
package tally

// Tally is how many events since some time fit each pattern under each key. It may be too many, as where history has dropped some or a
// set has used them up, and is never too few.
type Tally struct {
	since int64 // ms; events of later times count
	fit   map[fitting]int
}

type fitting struct {
	pattern int
	key     string
}

// Add counts an event. A Tally that is nil, or that nobody has asked yet, counts none.
func (t *Tally) Add(pattern int, key string, at int64) {
	if t != nil && t.fit != nil && at > t.since {
		t.fit[fitting{pattern, key}]++
	}
}

// Spend forgets a key: all its events, of each of so many patterns, have been used up.
func (t *Tally) Spend(patterns int, key string) {
	for i := range patterns {
		if t != nil {
			delete(t.fit, fitting{i, key})
		}
	}
}

// Begin says whether the events of later times than since are to be counted anew, all that there are: none have been, or the
// time lies so far back that as much again, beyond a window of length within, has been counted that nobody asks for.
func (t *Tally) Begin(since, within int64) bool {
	if t.fit != nil && since-within <= t.since {
		return false
	}
	t.since, t.fit = since, map[fitting]int{}
	return true
}

// Scarce says whether fewer events than needed fit the pattern under the key, of those later than since. Of such as it has
// not counted it says nothing.
func (t *Tally) Scarce(pattern int, key string, since int64, needed int) bool {
	return since >= t.since && t.fit[fitting{pattern, key}] < needed
}

// Size is about how many bytes of memory it takes.
func (t *Tally) Size() int { return 64 + 128*len(t.fit) }
