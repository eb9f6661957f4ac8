package state

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// crashes takes copies of a file system as a crash would leave it, before
// operations of the store, its background work's too.
type crashes struct {
	mem *vfs.MemFS

	mu     sync.Mutex
	rng    *rand.Rand
	every  int
	sure   map[int32]int64 // by partition: the offset that a flush had made durable
	copies []crashed
}

type crashed struct {
	fs   *vfs.MemFS
	sure map[int32]int64
}

// mark says that partition n is durable up to offset.
func (c *crashes) mark(n int32, offset int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sure[n] = offset
}

func (c *crashes) MaybeError(op errorfs.Op) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && c.rng.IntN(c.every) == 0 {
		cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[c.rng.IntN(3)], RNG: c.rng}
		c.copies = append(c.copies, crashed{c.mem.CrashClone(cfg), maps.Clone(c.sure)})
	}
	return nil
}

func (c *crashes) String() string { return "crashes" }

// history is what a partition was after each Apply, by Position.Changelog.
type history struct {
	model *model
	was   map[int64]*model
}

// batches is in which order batches went to Pebble: which partition, and the
// offset of its position in it.
type batches []batch

type batch struct {
	number int32
	offset int64
}

// note adds p's newest position when it is not only buffered.
func (b *batches) note(p *Partition) {
	last := batch{p.number, p.Position().Changelog}
	if !p.applied && !slices.Contains(*b, last) && last.offset > 0 {
		*b = append(*b, last)
	}
}

// prefix says whether positions are what some first part of the batches leaves.
func (b batches) prefix(positions map[int32]int64) bool {
	left := map[int32]int64{0: 0, 1: 0, 7: 0}
	for i := 0; ; i++ {
		if maps.Equal(left, positions) {
			return true
		}
		if i == len(b) {
			return false
		}
		left[b[i].number] = b[i].offset
	}
}

// TestCrash crashes at random writes. Then every partition must be what it was
// after some Apply that was no older than its last flush, with that position,
// those rows and those timers, and the rest of its changelog brings it up to
// date.
func TestCrash(t *testing.T) {
	copies := 0
	for seed := range *seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if seed%2 > 0 {
				smallIndex(t)
			}
			mem := vfs.NewCrashableMem()
			c := &crashes{mem: mem, rng: rand.New(rand.NewPCG(seed, 1)), every: 150, sure: map[int32]int64{}}
			partitions, order := crashLoad(t, seed, errorfs.Wrap(mem, c), c)
			c.mu.Lock()
			defer c.mu.Unlock()
			copies += len(c.copies)
			for _, crash := range c.copies {
				positions := checkCrashed(t, crash, partitions)
				// A wipe and a restore are durable at once, all else is in order.
				if seed%3 == 1 && !order.prefix(positions) {
					t.Fatalf("positions %v are of no first part of %v", positions, order)
				}
			}
		})
	}
	if copies == 0 {
		t.Error("no crash")
	}
}

func crashLoad(t *testing.T, seed uint64, fs vfs.FS, crashes *crashes) (partitions map[int32]*history, order batches) {
	s := open(t, fs, 1<<20)
	numbers := []int32{0, 1, 7}
	partitions = map[int32]*history{}
	for _, n := range numbers {
		m := &model{rows: map[Key]Row{}}
		partitions[n] = &history{model: m, was: map[int64]*model{0: m.clone()}}
	}
	c := newCycle(seed, 300)
	c.big, c.sure = seed%3 == 0, true
	for range 250 {
		n := numbers[c.rng.IntN(3)]
		p, h := partition(t, s, n), partitions[n]
		switch k := c.rng.IntN(100); {
		case k < 75:
			rows := c.rows(h.model)
			h.apply(t, p, rows, c)
		case k < 90:
			var rows []Row
			for _, timer := range h.model.checkDue(t, p, c, c.now) {
				rows = append(rows, Row{Key: Key{ID: timer.ID}, Content: []byte("fired"), OldDue: timer.Due})
			}
			h.apply(t, p, rows, c)
		case k < 97 || k == 99 && seed%3 == 1:
			if err := p.Flush(); err != nil {
				t.Fatal(err)
			}
		case k < 99:
			for _, n := range numbers {
				if err := partition(t, s, n).Flush(); err != nil {
					t.Fatal(err)
				}
				order.note(partition(t, s, n))
			}
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			for n, h := range partitions {
				crashes.mark(n, h.model.position.Changelog)
			}
		default:
			crashes.mark(n, 0) // until the restore is done
			if err := p.Wipe(); err != nil {
				t.Fatal(err)
			}
			h.model.restore(t, p, true)
			crashes.mark(n, h.model.position.Changelog)
		}
		order.note(p)
	}
	for _, n := range numbers {
		if err := partition(t, s, n).Flush(); err != nil {
			t.Fatal(err)
		}
		order.note(partition(t, s, n))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return partitions, order
}

func (h *history) apply(t *testing.T, p *Partition, rows []Row, c *cycle) {
	t.Helper()
	pos := h.model.apply(p, rows, c.position())
	h.was[pos.Changelog] = h.model.clone()
	if err := p.Apply(rows, pos); err != nil {
		t.Fatal(err)
	}
}

func checkCrashed(t *testing.T, crash crashed, partitions map[int32]*history) (positions map[int32]int64) {
	t.Helper()
	s := open(t, crash.fs, 1<<20)
	positions = map[int32]int64{}
	for n, h := range partitions {
		p := partition(t, s, n)
		positions[n] = p.Position().Changelog
		was := h.was[positions[n]]
		if was == nil || positions[n] < crash.sure[n] {
			t.Fatalf("partition %d is at %d, it was flushed at %d", n, positions[n], crash.sure[n])
		}
		was.compare(t, p)
		due, err := p.Due(1<<60, 1<<20, nil)
		if want := was.due(1 << 60); err != nil || fmt.Sprint(due) != fmt.Sprint(want) {
			t.Fatalf("partition %d: due %v, %v, want %v", n, due, err, want)
		}
		h.model.restore(t, p, false)
		h.model.compare(t, p)
		if due, err = p.Due(1<<60, 1<<20, nil); err != nil || fmt.Sprint(due) != fmt.Sprint(h.model.due(1<<60)) {
			t.Fatalf("partition %d restored: due %v, %v, want %v", n, due, err, h.model.due(1<<60))
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return positions
}

// TestOneBatch stalls a flush of the partition in Pebble, where a small batch has room and a large one has not: as long as the rows are not
// there, neither is their position. TestCrash meets a position that went ahead by chance only.
func TestOneBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gate atomic.Pointer[chan struct{}]
		fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if wait := gate.Load(); wait != nil && op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".sst") {
				<-*wait
			}
			return nil
		}))
		s := open(t, fs, 1<<20)
		p := partition(t, s, 0)
		write := func(content byte, at int64) error {
			row := Row{Key: Key{ID: "ann"}, Due: at, Content: bytes.Repeat([]byte{content}, pieceSize)}
			return errors.Join(p.Apply([]Row{row}, Position{WrittenAt: at}), p.Flush())
		}
		if err := errors.Join(write('a', 1), s.Flush()); err != nil {
			t.Fatal(err)
		}
		room := make(chan struct{})
		gate.Store(&room)
		most := uint64(s.cfg.shares().memtable) * 4 // MemTableStopWritesThreshold
		for junk := appendPrefix(nil, 7, kindRow); s.db.Metrics().MemTable.Size < most; {
			if err := s.db.Set(junk, make([]byte, most/40), pebble.NoSync); err != nil {
				t.Fatal(err)
			}
		}
		var done atomic.Bool
		go func() {
			if err := write('b', 2); err != nil {
				t.Error(err)
			}
			done.Store(true)
		}()
		synctest.Wait()
		on := func() (content byte, at int64) {
			t.Helper()
			row, closer, err := s.db.Get(appendRowKey(appendPrefix(nil, 0, kindRow), Key{ID: "ann"}, 0))
			if err != nil {
				t.Fatal(err)
			}
			defer closer.Close()
			meta, other, err := s.db.Get(appendPrefix(nil, 0, kindMeta))
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			pos, err := DecodePosition(meta)
			if err != nil {
				t.Fatal(err)
			}
			return row[len(row)-1], pos.WrittenAt
		}
		if content, at := on(); done.Load() || content != 'a' || at != 1 {
			t.Errorf("while rows cannot be written: %c at %d, done: %t", content, at, done.Load())
		}
		gate.Store(nil)
		close(room)
		synctest.Wait()
		if content, at := on(); !done.Load() || content != 'b' || at != 2 {
			t.Errorf("and then: %c at %d, done: %t", content, at, done.Load())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
