package state

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestFirstLook: a look at the index takes the same few steps whatever has fired
// before, in memory, on disk, and after a restart.
func TestFirstLook(t *testing.T) {
	const timers, cycle = 50_000, 1000
	defer func(used int) { usedTimers = used }(usedTimers)
	usedTimers = timers/5 + cycle // so that in the end some are used up and not deleted
	mem := vfs.NewMem()
	s := open(t, mem, 0)
	p := partition(t, s, 0)
	at := func(n int) Position { return Position{WrittenAt: int64(1 + n)} }
	for i := 0; i < timers; i += cycle {
		rows := make([]Row, cycle)
		for j := range rows {
			rows[j] = Row{Key: Key{ID: fmt.Sprintf("user-%06d", i+j)}, Due: int64(1 + (i+j)/7), Content: []byte("x")}
		}
		if err := p.Apply(rows, at(0)); err != nil {
			t.Fatal(err)
		}
	}
	last := Row{Key: Key{ID: "later"}, Due: 1 << 40, Content: []byte("x")}
	if err := p.Apply([]Row{last}, at(0)); err != nil {
		t.Fatal(err)
	}
	look := func(when string, live int) {
		t.Helper()
		it, err := p.timerIter(p.timers.bound)
		if err != nil {
			t.Fatal(err)
		}
		if !it.First() {
			t.Fatalf("%s: there is no timer", when)
		}
		stats := it.Stats()
		steps := stats.ForwardSeekCount[pebble.InternalIterCall] + stats.ForwardStepCount[pebble.InternalIterCall] + int(stats.InternalStats.PointCount)
		entries := 1
		for it.Next() {
			entries++
		}
		if err := it.Close(); err != nil || steps > 10 || entries != live {
			t.Errorf("%s: the first look takes %d steps, at %d entries for %d timers, %v: %+v", when, steps, entries, live, err, stats)
		}
	}
	fired := 0
	for {
		due, err := p.Due(1<<30, cycle, nil)
		if err != nil {
			t.Fatal(err)
		}
		rows := make([]Row, len(due))
		for i, d := range due {
			rows[i] = Row{Key: Key{ID: d.ID}, OldDue: d.Due}
		}
		if err := p.Apply(rows, at(fired)); err != nil {
			t.Fatal(err)
		}
		if len(due) == 0 {
			break
		}
		if fired += len(due); fired%(10*cycle) == 0 {
			if err := p.Flush(); err != nil {
				t.Fatal(err)
			}
			look(fmt.Sprintf("%d fired", fired), timers-fired+1)
		}
	}
	if fired != timers {
		t.Fatalf("%d of %d fired", fired, timers)
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	look("on disk", 1)
	// What is used up is deleted, in a few ranges.
	left := 0
	it, err := p.timerIter(newTimerIndex().bound)
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		left++
	}
	if err := it.Close(); err != nil || left > timers/5+cycle || left < cycle {
		t.Errorf("%d entries are left of %d, %v", left, timers, err)
	}
	// One that is set below all these does not bring them back.
	if err := errors.Join(p.Apply([]Row{{Key: Key{ID: "early"}, Due: 3, Content: []byte("x")}}, at(0)), s.Flush()); err != nil {
		t.Fatal(err)
	}
	look("with an early one", 2)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, mem, 0)
	defer s.Close()
	p = partition(t, s, 0)
	look("after a restart", 2)
	if due, err := p.Due(math.MaxInt64, 10, nil); err != nil || !slices.Equal(due, []Timer{{3, "early"}, {last.Due, last.ID}}) {
		t.Fatalf("due %v, %v", due, err)
	}
}

// A timer that is set below what has fired is found, with and without a restart.
func TestEarlyTimer(t *testing.T) {
	mem := vfs.NewMem()
	s := open(t, mem, 0)
	p := partition(t, s, 0)
	n := int64(0)
	apply := func(rows ...Row) {
		t.Helper()
		n++
		if err := p.Apply(rows, Position{WrittenAt: n}); err != nil {
			t.Fatal(err)
		}
	}
	head := func(id string, due, old int64) Row {
		return Row{Key: Key{ID: id}, Due: due, OldDue: old, Content: []byte(id)}
	}
	due := func(before int64, want ...Timer) {
		t.Helper()
		if got, err := p.Due(before, 10, nil); err != nil || !slices.Equal(got, want) {
			t.Fatalf("due before %d: %v, %v, want %v", before, got, err, want)
		}
	}
	apply(head("m", 100, 0), head("z", 200, 0))
	due(101, Timer{100, "m"})
	apply(head("m", 0, 100))
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	due(101)
	apply(head("a", 50, 0), head("z", 100, 200))
	due(101, Timer{50, "a"}, Timer{100, "z"})
	due(60, Timer{50, "a"})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, mem, 0)
	defer s.Close()
	p = partition(t, s, 0)
	due(60, Timer{50, "a"})
	due(101, Timer{50, "a"}, Timer{100, "z"})
	apply(head("a", 0, 50))
	due(101, Timer{100, "z"})
}

// A timer that moves later writes nothing to the index.
func TestLazyTimer(t *testing.T) {
	s := open(t, vfs.NewMem(), 0)
	defer s.Close()
	p := partition(t, s, 0)
	old := int64(0)
	for due := int64(1000); due < 2000; due++ {
		if err := p.Apply([]Row{{Key: Key{ID: "ann"}, Due: due, OldDue: old, Content: []byte("x")}}, Position{WrittenAt: due}); err != nil {
			t.Fatal(err)
		}
		old = due
	}
	if len(p.timers.puts) != 0 && p.timers.puts[0].t.Due != 1000 || len(p.timers.puts) > 1 {
		t.Fatalf("written: %v", p.timers.puts)
	}
	for _, before := range []int64{1000, 1001, 1999} {
		if due, err := p.Due(before, 10, nil); err != nil || len(due) > 0 {
			t.Fatalf("due before %d: %v, %v", before, due, err)
		}
	}
	if due, err := p.Due(2000, 10, nil); err != nil || !slices.Equal(due, []Timer{{1999, "ann"}}) {
		t.Fatalf("due %v, %v", due, err)
	}
}

// A restore that takes many runs and tables gives what the newest records say.
func TestRestoreRuns(t *testing.T) {
	table := tableSize
	tableSize = 300 << 10
	t.Cleanup(func() { tableSize = table })
	s := open(t, vfs.NewMem(), 1<<20)
	defer s.Close()
	p := partition(t, s, 4)
	rng := rand.New(rand.NewPCG(4, 4))
	m := &model{rows: map[Key]Row{}}
	for i := range 60_000 {
		r := Row{Key: Key{ID: fmt.Sprintf("user-%05d", rng.IntN(20_000)), Part: uint32(rng.IntN(2))}}
		if rng.IntN(5) > 0 {
			r.Content = fmt.Appendf(nil, "content %d of some length", i)
		}
		if i%5000 == 0 {
			r = Row{Key: Key{ID: fmt.Sprintf("big-%d", i%3)}, Content: bytes.Repeat([]byte{byte(i)}, pieceSize*rng.IntN(4)+i)}
		}
		if r.Part == 0 && r.Content != nil {
			r.Due = int64(rng.IntN(1000))
		}
		p.Changelog(r, func(key, value []byte) { m.log = append(m.log, record{key, value}) })
		delete(m.rows, r.Key)
		if delete(p.split, r.Key); r.Content != nil {
			m.rows[r.Key] = r
			if n := pieces(len(r.Content)); n > 1 {
				p.split[r.Key] = n // as Apply would note
			}
		}
	}
	clear(p.split)
	m.position = Position{WrittenAt: 77}
	r := p.Restore()
	for i, rec := range m.log {
		if err := r.Add(rec.key, rec.value, int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.rows.runs) < 3 {
		t.Fatalf("%d runs", len(r.rows.runs))
	}
	if err := r.Finish(m.position); err != nil {
		t.Fatal(err)
	}
	m.compare(t, p)
	due, err := p.Due(math.MaxInt64, 1<<20, nil)
	if want := m.due(math.MaxInt64); err != nil || !slices.Equal(due, want) {
		t.Fatalf("%d due, %v, want %d", len(due), err, len(want))
	}
	if n := len(p.split); n == 0 || n > 3 {
		t.Fatalf("%d rows in pieces", n)
	}
}

// However large a row is, each of its records goes into a topic with max.message.bytes of 1 MB: none is above 900 KiB.
func TestRecordsAreBounded(t *testing.T) {
	s := open(t, vfs.NewMem(), 1<<20)
	defer s.Close()
	for _, size := range []int{1, 900 << 10, 5 << 20} {
		whole := 0
		partition(t, s, 0).Changelog(Row{Key: Key{ID: strings.Repeat("u", 64<<10)}, Content: make([]byte, size)}, func(key, value []byte) {
			if n := len(key) + len(value); n > 900<<10 {
				t.Errorf("a record of %d bytes", n)
			}
			whole += len(value)
		})
		if whole < size {
			t.Errorf("%d bytes of %d", whole, size)
		}
	}
}

// A changelog that lacks a piece of a row is not taken for a shorter row.
func TestRestoreHole(t *testing.T) {
	s := open(t, vfs.NewMem(), 1<<20)
	defer s.Close()
	p := partition(t, s, 0)
	for lost := range 4 {
		r, i := p.Restore(), 0
		p.Changelog(Row{Key: Key{ID: "ann"}, Content: make([]byte, 4*pieceSize-1)}, func(key, value []byte) {
			if i++; i-1 == lost {
				return
			}
			if err := r.Add(key, value, int64(i)); err != nil {
				t.Fatal(err)
			}
		})
		err := r.Finish(Position{WrittenAt: 1})
		if lost == 0 { // what is left belongs to no row
			if _, found, getErr := p.Get(Key{ID: "ann"}); err != nil || found || getErr != nil {
				t.Fatalf("%v, found %v %v", err, found, getErr)
			}
			if err := p.Wipe(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		mustBe(t, err, ErrDamaged, fmt.Sprintf("piece %d of 4", lost))
		if !p.Position().IsZero() {
			t.Fatal("it was taken")
		}
	}
}

func TestPartitions(t *testing.T) {
	mem := vfs.NewMem()
	s := open(t, mem, 0)
	for _, n := range []int32{300, 2, 0} {
		p := partition(t, s, n)
		if p != partition(t, s, n) || p.Number() != n {
			t.Fatal("not the same partition")
		}
		if err := p.Apply(nil, Position{WrittenAt: int64(n) + 1}); err != nil {
			t.Fatal(err)
		}
	}
	partition(t, s, 5) // which has nothing
	if _, err := s.Partition(-1); err == nil {
		t.Fatal("partition -1")
	}
	s.Close()
	s = open(t, mem, 0)
	defer s.Close()
	if got, err := s.Partitions(); err != nil || !slices.Equal(got, []int32{0, 2, 300}) {
		t.Fatalf("partitions %v, %v", got, err)
	}
	if at := partition(t, s, 300).Position().WrittenAt; at != 301 {
		t.Fatalf("last used at %d", at)
	}
	if err := partition(t, s, 2).Wipe(); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Partitions(); err != nil || !slices.Equal(got, []int32{0, 300}) {
		t.Fatalf("partitions %v, %v", got, err)
	}
}

// TestLook opens a store to look at it: rows are there, nothing can be written, no byte of the folder changes, and it is
// an error where another process has it or where there is none.
func TestLook(t *testing.T) {
	mem := vfs.NewMem()
	look := Config{Dir: "state", FS: mem, ReadOnly: true}
	if _, err := Open(look); err == nil || !strings.Contains(err.Error(), "there is none") {
		t.Fatal(err)
	}
	if names, err := mem.List(""); err != nil || len(names) != 0 {
		t.Fatalf("looking made %v, %v", names, err)
	}
	s := open(t, mem, 0)
	rows := []Row{{Key: Key{ID: "ann"}, Content: []byte("x"), Due: 9}, {Key: Key{ID: "bob", Part: 1}, Content: make([]byte, pieceSize+1)}}
	if err := partition(t, s, 3).Apply(rows, Position{WrittenAt: 1, Changelog: 7}); err != nil {
		t.Fatal(err)
	}
	_, err := Open(look)
	mustBe(t, err, ErrLocked)
	s.Close()
	before, err := mem.List("state")
	if err != nil {
		t.Fatal(err)
	}
	if s, err = Open(look); err != nil {
		t.Fatal(err)
	}
	p := partition(t, s, 3)
	var found, pieces []string
	if err := p.Scan(func(r Row) error { found = append(found, r.ID); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := p.Records(func(k Key, piece uint32, _ []byte) error {
		pieces = append(pieces, fmt.Sprint(k.ID, k.Part, piece))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(found, []string{"ann", "bob"}) || !slices.Equal(pieces, []string{"ann0 0", "bob1 0", "bob1 1"}) || p.Position().Changelog != 7 {
		t.Errorf("%v, %v, %+v", found, pieces, p.Position())
	}
	mustBe(t, errors.Join(p.Apply(rows, Position{WrittenAt: 2}), p.Flush()), ErrReadOnly)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	after, err := mem.List("state")
	slices.Sort(before)
	slices.Sort(after)
	if err != nil || !slices.Equal(before, after) {
		t.Errorf("%v became %v, %v", before, after, err)
	}
}

// Readers beside the loop see rows as they were after some Apply. (-race)
func TestConcurrentReads(t *testing.T) {
	s := open(t, vfs.NewMem(), 1<<20)
	defer s.Close()
	p := partition(t, s, 0)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				content, found, err := p.Get(Key{ID: "ann"})
				if err != nil || found && len(content) != 100 {
					t.Errorf("%q %v %v", content, found, err)
				}
				for i := range content {
					content[i] = 0
				}
				if _, err := p.Due(math.MaxInt64, 10, nil); err != nil {
					t.Error(err)
				}
				if err := p.Scan(func(r Row) error { return nil }); err != nil {
					t.Error(err)
				}
				if _, err := s.Partitions(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range int64(2000) {
		rows := []Row{{Key: Key{ID: "ann"}, Due: i + 1, Content: bytes.Repeat([]byte{byte(i)}, 100)}}
		if err := p.Apply(rows, Position{WrittenAt: i}); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	readers.Wait()
}

func TestOffHeap(t *testing.T) {
	for memory := int64(64 << 20); memory <= 64<<30; memory *= 2 {
		cfg := Config{Memory: memory}
		share := cfg.shares()
		if all := cfg.OffHeap() + share.rows + share.restore; all > memory*5/8 {
			t.Errorf("memory %d: a store may take %d", memory, all)
		}
	}
}

// A position of the previous format has no topic ids.
func TestPreviousPosition(t *testing.T) {
	was := Position{Inputs: map[string]int64{"events": 7}, Arrival: 1, Stream: 2, Partitions: 3, Lanes: 4, WrittenAt: 5}
	_, value := was.Record()
	value = value[:len(value)-len(ID{})]
	value[0] = 1
	if got, err := DecodePosition(value); err != nil || !reflect.DeepEqual(got, was) {
		t.Errorf("%+v, %v", got, err)
	}
}

// A warm copy takes what the changelog says as it comes, for long, and nobody fires. A look at what is due now and then keeps
// the timer index small, and whoever takes the partition over finds what is due.
func TestFollow(t *testing.T) {
	smallIndex(t)
	s := open(t, vfs.NewMem(), 0)
	defer s.Close()
	p := partition(t, s, 0)
	if err := p.Apply(nil, Position{WrittenAt: 1}); err != nil {
		t.Fatal(err)
	}
	users := []string{"ann", "bob", "cid", "dan", "eve"}
	entries := func() (n int) {
		it, err := p.timerIter(p.timers.bound)
		if err != nil {
			t.Fatal(err)
		}
		for ok := it.First(); ok; ok = it.Next() {
			n++
		}
		if err := it.Close(); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for now := int64(1000); now < 100_000; now += 100 {
		r := p.Restore()
		for i, user := range users {
			row := Row{Key: Key{ID: user}, Due: now + 500 + int64(i), Content: []byte("x")}
			p.Changelog(row, func(key, value []byte) {
				if err := r.Add(key, value, now); err != nil {
					t.Fatal(err)
				}
			})
		}
		if err := r.Finish(Position{WrittenAt: now, Stream: now, Changelog: now}); err != nil {
			t.Fatal(err)
		}
		if due, err := p.Due(now, 1, nil); err != nil || len(due) > 0 {
			t.Fatalf("due at %d: %v, %v", now, due, err)
		}
	}
	if at := s.flushed.Load(); at < 100_000-flushInterval-100 {
		t.Errorf("written to disk last at %d: a crash would leave the rest to the changelog", at)
	}
	if n := entries(); n > 20*len(users) {
		t.Errorf("%d entries of %d timers", n, len(users))
	}
	want := []Timer{{100_400, "ann"}, {100_401, "bob"}, {100_402, "cid"}, {100_403, "dan"}, {100_404, "eve"}}
	if due, err := p.Due(200_000, 10, nil); err != nil || !slices.Equal(due, want) {
		t.Errorf("due %v, %v", due, err)
	}
}

// Heads walks over users without their parts and pieces, from behind one of them, whatever bytes their IDs have.
func TestHeads(t *testing.T) {
	s := open(t, vfs.NewMem(), 0)
	defer s.Close()
	p := partition(t, s, 3)
	ids := []string{"a", "a\x00", "a\x00b", "a\x01", "b", "b\xff", "\xffcampaigns"}
	var rows []Row
	for _, id := range ids {
		rows = append(rows, Row{Key: Key{ID: id}, Content: []byte("head of " + id)}, Row{Key: Key{ID: id, Part: 1}, Content: make([]byte, 2*pieceSize)},
			Row{Key: Key{ID: id, Part: 0xFFFFFFFF}, Content: []byte("part")})
	}
	rows = append(rows, Row{Key: Key{ID: "c"}, Content: bytes.Repeat([]byte("long"), pieceSize)})
	if err := errors.Join(p.Apply(rows, Position{WrittenAt: 1}), partition(t, s, 4).Apply(rows[:1], Position{WrittenAt: 1}), s.Flush()); err != nil {
		t.Fatal(err)
	}
	after, found := "", []string{}
	for range 20 { // two at a time
		n := 0
		if err := p.Heads(after, func(id string, content []byte) (wanted, more bool) {
			if id == "c" && len(content) != pieceSize || id != "c" && string(content) != "head of "+id {
				t.Errorf("%q has %.20q, %d bytes", id, content, len(content))
			}
			after, found, n = id, append(found, id), n+1
			return false, n < 2
		}); err != nil {
			t.Fatal(err)
		}
	}
	if want := append(slices.Clone(ids[:6]), "c", ids[6]); !slices.Equal(found, want) {
		t.Errorf("%q, expected %q", found, want)
	}
}

// A head that is wanted is in memory when it is read; one that is there already stays what it is.
func TestWantedHeads(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs, 0)
	old := []Row{{Key: Key{ID: "a"}, Content: []byte("old")}, {Key: Key{ID: "b"}, Content: []byte("old"), Due: 7}, {Key: Key{ID: "c"}, Content: []byte("old")}}
	if err := errors.Join(partition(t, s, 3).Apply(old, Position{WrittenAt: 1}), s.Close()); err != nil {
		t.Fatal(err)
	}
	s = open(t, fs, 0)
	defer s.Close()
	p := partition(t, s, 3)
	if err := p.Apply([]Row{{Key: Key{ID: "a"}, Content: []byte("new")}}, Position{WrittenAt: 2}); err != nil {
		t.Fatal(err)
	}
	if err := p.Heads("", func(id string, content []byte) (wanted, more bool) { return id != "c", true }); err != nil {
		t.Fatal(err)
	}
	for id, known := range map[string]bool{"a": true, "b": true, "c": false} {
		if _, ok := p.rows.find(Key{ID: id}); ok != known {
			t.Errorf("%s is in memory: %v", id, ok)
		}
	}
	if content, _, _, err := p.Head("a"); string(content) != "new" || err != nil {
		t.Errorf("a is %q, %v", content, err)
	}
	if content, due, _, err := p.Head("b"); string(content) != "old" || due != 7 || err != nil {
		t.Errorf("b is %q, due %d, %v", content, due, err)
	}
}

// Memory for rows is for partitions that are applied to, not for copies that only follow.
func TestShares(t *testing.T) {
	s := open(t, vfs.NewMem(), 0)
	defer s.Close()
	limits := func() (list []int64) {
		for n := range int32(3) {
			list = append(list, s.cfg.shares().rows/partition(t, s, n).rowsLimit.Load())
		}
		return list
	}
	if got := limits(); !slices.Equal(got, []int64{1, 1, 1}) {
		t.Errorf("unused: %v", got)
	}
	for n := range int32(3) {
		if err := partition(t, s, n).Apply(nil, Position{WrittenAt: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if got := limits(); !slices.Equal(got, []int64{3, 3, 3}) {
		t.Errorf("three that are used: %v", got)
	}
	if err := partition(t, s, 1).Restore().Finish(Position{WrittenAt: 2}); err != nil {
		t.Fatal(err)
	}
	if err := s.Wipe(7); err != nil {
		t.Fatal(err)
	}
	if got := limits(); !slices.Equal(got, []int64{2, 3, 2}) || partition(t, s, 7).rowsLimit.Load() == 0 {
		t.Errorf("two that are used, and one that follows: %v", got)
	}
}

// Keys that begin alike are put in order without much looking at them, also beside some that begin otherwise.
func TestSortRefs(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	keys := []string{"", "\x00", "\x00\x00", "\x00set", "user", "user-00", "user-000", "user-00\x00", "user-00\x00\x00", strings.Repeat("user-", 50)}
	for range 10_000 {
		keys = append(keys, fmt.Sprintf("user-%07d", rng.IntN(1e7)), string(benchContent(rng, 8))[:rng.IntN(8)])
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	refs, looked := make([]recordRef, len(keys)), 0
	for i, at := range rng.Perm(len(keys)) {
		refs[i].at = uint32(at)
	}
	sortRefs(refs, func(ref recordRef) []byte { looked++; return []byte(keys[ref.at]) })
	for i, ref := range refs {
		if int(ref.at) != i {
			t.Fatalf("%q at %d in place of %q", keys[ref.at], i, keys[i])
		}
	}
	if looked > 6*len(keys) {
		t.Fatalf("%d keys were looked at %d times", len(keys), looked)
	}
}

// A restore keeps the newest version of a row alone: what older ones took is used again.
func TestRestoreVersions(t *testing.T) {
	s := open(t, vfs.NewMem(), 1<<20)
	defer s.Close()
	p := partition(t, s, 0)
	m := &model{rows: map[Key]Row{}, position: Position{WrittenAt: 1}}
	r, added := p.Restore(), 0
	for i := range 40_000 {
		row := Row{Key: Key{ID: fmt.Sprintf("user-%d", i%1000)}, Content: bytes.Repeat([]byte{byte(i)}, 300+i*7919%200)}
		if i%11 == 0 {
			row.Content = nil
		}
		if m.rows[row.Key] = row; row.Content == nil {
			delete(m.rows, row.Key)
		}
		p.Changelog(row, func(key, value []byte) {
			added += len(key) + len(value)
			if err := r.Add(key, value, int64(i)); err != nil {
				t.Fatal(err)
			}
		})
	}
	if added < 4*r.rows.limit || len(r.rows.runs) > 0 {
		t.Fatalf("%d bytes with a limit of %d: %d runs", added, r.rows.limit, len(r.rows.runs))
	}
	if err := r.Finish(m.position); err != nil {
		t.Fatal(err)
	}
	m.compare(t, p)
}
