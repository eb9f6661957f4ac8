package outbox

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tripline/tripline/state"
)

// TestTurnsAgainstModel lets deliveries of two users join, be let go ahead, and end, in any order and over reopened stores, and compares
// who is first, who is next and who is freed with a list of what is open.
func TestTurnsAgainstModel(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 9))
		store, err := state.Open(state.Config{Dir: "s", FS: vfs.NewMem(), Memory: 32 << 20})
		if err != nil {
			t.Fatal(err)
		}
		part, err := store.Partition(0)
		if err != nil {
			t.Fatal(err)
		}
		expiry := func(d *Delivery) int64 { return 1_000 + d.Free }
		book := opened(t, part)
		book.Expiry = expiry
		type open struct {
			Delivery
			gone bool // let go
		}
		lines, made := map[string][]*open{}, int64(0)
		check := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		for step := range 400 {
			user := []string{"u", "v"}[r.IntN(2)]
			line := lines[user]
			switch kind := r.IntN(10); {
			case kind < 4:
				made++
				d := Delivery{Key: fmt.Sprint("d", made), Endpoint: "e", User: user, Free: made, Stage: Behind}
				if len(line) == 0 {
					d.Stage, d.Due = Timed, 5
				}
				check(book.Join(&d))
				book.Save(&d, []byte("{}"))
				lines[user] = append(line, &open{d, d.Stage == Timed})
			case kind < 6 && len(line) > 0: // the first that is behind goes ahead
				d, found, err := book.Next("e", user)
				check(err)
				i := slices.IndexFunc(line, func(o *open) bool { return !o.gone })
				if found != (i >= 0) || found && d.Key != line[i].Key {
					t.Fatalf("seed %d step %d: next of %s is %v %s, want %d", seed, step, user, found, d.Key, i)
				}
				if found {
					if d.Due != expiry(&d) {
						t.Fatalf("seed %d step %d: the next is due at %d", seed, step, d.Due)
					}
					d.Stage, d.Due = Timed, 7
					book.Save(&d, nil)
					check(book.Passed(d))
					line[i].gone = true
				}
			case kind < 8 && len(line) > 0:
				i := r.IntN(len(line))
				d, found, err := book.Delivery(line[i].Key)
				check(err)
				first, err := book.IsFirst(d)
				check(err)
				if !found || first != (i == 0) {
					t.Fatalf("seed %d step %d: %s is there: %v, first: %v; it is number %d", seed, step, line[i].Key, found, first, i)
				}
				freed, err := book.End(d, true, 1<<40)
				check(err)
				line = slices.Delete(line, i, i+1)
				if lines[user] = line; i == 0 && len(line) > 0 && !line[0].gone {
					if freed == nil || freed.Key != line[0].Key || freed.Stage != Timed {
						t.Fatalf("seed %d step %d: freed %+v, want %s", seed, step, freed, line[0].Key)
					}
					line[0].gone = true
				} else if freed != nil {
					t.Fatalf("seed %d step %d: freed %s", seed, step, freed.Key)
				}
			case kind == 8:
				check(part.Apply(book.Changes(), state.Position{WrittenAt: int64(step) + 1}))
				book.Committed()
				if r.IntN(2) == 0 {
					book = opened(t, part)
					book.Expiry = expiry
				}
			}
		}
		for _, line := range lines {
			for _, o := range line {
				d, _, err := book.Delivery(o.Key)
				check(err)
				_, err = book.End(d, true, 1<<40)
				check(err)
			}
		}
		for _, row := range book.Changes() {
			if row.ID[0] == turnRow && row.Content != nil {
				t.Errorf("seed %d: a row is left: %q", seed, row.ID)
			}
		}
		check(store.Close())
	}
}

func opened(t *testing.T, p *state.Partition) *Book {
	t.Helper()
	b, err := Open(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
