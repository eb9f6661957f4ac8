package state

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestShelf holds a shelf against a map: what is dirty is there, what is there is the newest, and it keeps to its limit,
// also where all keys have few hashes.
func TestShelf(t *testing.T) {
	mask := hashMask
	t.Cleanup(func() { hashMask = mask })
	for seed := range *seeds {
		hashMask = []uint64{mask, 0, 7}[seed%3]
		rng := rand.New(rand.NewPCG(seed, 3))
		s := shelf{limit: 64 << 10}
		s.clear()
		rows, dirty := map[Key]shelved{}, map[Key]bool{}
		for range 20_000 {
			k := Key{ID: fmt.Sprintf("user-%d", rng.IntN(400)), Part: uint32(rng.IntN(3))}
			switch n := rng.IntN(100); {
			case n < 50:
				row := shelved{due: rng.Int64N(1000), content: bytes.Repeat([]byte{byte(rng.Uint32())}, rng.IntN(200))}
				if n < 5 {
					row.content = nil
				} else if n == 5 {
					row.content = make([]byte, 9<<10)
				}
				rows[k], dirty[k] = row, true
				s.put(k, row, true)
			case n < 55:
				if !dirty[k] { // as if read
					s.put(k, rows[k], false)
				}
			case n == 55:
				written(t, &s, rows, dirty)
			case n == 56 && rng.IntN(50) == 0:
				written(t, &s, rows, dirty)
				s.clear()
			default:
				checkShelved(t, &s, k, rows[k], dirty[k])
			}
			if most := 3*s.limit + 3*s.dirt; s.bytes > most {
				t.Fatalf("seed %d: %d bytes in %d chunks, %d of them dirty, the limit is %d", seed, s.bytes, len(s.chunks), s.dirt, s.limit)
			}
		}
		for k := range dirty {
			checkShelved(t, &s, k, rows[k], true)
		}
		written(t, &s, rows, dirty)
		if s.bytes > s.limit {
			t.Fatalf("seed %d: %d bytes with nothing dirty, the limit is %d", seed, s.bytes, s.limit)
		}
	}
}

func checkShelved(t *testing.T, s *shelf, k Key, want shelved, must bool) {
	t.Helper()
	got, ok := s.find(k)
	if !ok && must {
		t.Fatalf("%v is dirty and not there", k)
	}
	if ok && (got.due != want.due || !bytes.Equal(got.content, want.content) || (got.content == nil) != (want.content == nil)) {
		t.Fatalf("%v: due %d, %d bytes, want due %d, %d bytes", k, got.due, len(got.content), want.due, len(want.content))
	}
}

// written takes what is dirty off, which must be all of it, in order, the newest of each.
func written(t *testing.T, s *shelf, rows map[Key]shelved, dirty map[Key]bool) {
	t.Helper()
	var keys []Key
	for _, ref := range s.unwritten() {
		k, row := s.row(ref)
		if !dirty[k] || row.due != rows[k].due || !bytes.Equal(row.content, rows[k].content) {
			t.Fatalf("%v is not what was put last, or not dirty", k)
		}
		keys = append(keys, k)
	}
	if !slices.IsSortedFunc(keys, compareKeys) || len(keys) != len(dirty) {
		t.Fatalf("%d rows are not in Pebble, want %d in order", len(keys), len(dirty))
	}
	clear(dirty)
	if s.written(); s.dirt != 0 {
		t.Fatalf("%d bytes dirty after all were written", s.dirt)
	}
}

// TestShelves has parts leave heads their room, and take what these leave.
func TestShelves(t *testing.T) {
	s := shelves{limit: 256 << 10}
	s.clear()
	content := make([]byte, 300)
	put := func(n, part int) {
		s.put(Key{ID: fmt.Sprintf("user-%d", n), Part: uint32(part)}, shelved{content: content}, true)
		s.written()
	}
	here := func(part int) (n int) {
		for i := range 10_000 {
			if _, ok := s.find(Key{ID: fmt.Sprintf("user-%d", i), Part: uint32(part)}); ok {
				n++
			}
		}
		return n
	}
	for i := range 10_000 {
		put(i, 1)
	}
	if n := here(1); n < 400 {
		t.Errorf("%d parts are there, with all of the room", n)
	}
	for i := range 400 {
		put(i, 0)
	}
	for i := range 10_000 {
		put(i, 2)
	}
	if n := here(0); n != 400 {
		t.Errorf("%d heads are there, want all 400", n)
	}
	if n := here(2); n < 100 {
		t.Errorf("%d parts are there, with their share of the room", n)
	}
	if size := s.heads.size() + s.parts.size(); size > s.limit+s.limit/8 {
		t.Errorf("%d bytes, the limit is %d", size, s.limit)
	}
}
