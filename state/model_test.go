package state

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// model is what a partition has to be: a map, and records in the order written.
type model struct {
	rows     map[Key]Row
	position Position
	log      []record // the changelog: offset is the index
}

type record struct{ key, value []byte }

func (m *model) clone() *model {
	return &model{rows: maps.Clone(m.rows), position: m.position, log: m.log}
}

func (m *model) due(before int64) []Timer {
	var due []Timer
	for k, r := range m.rows {
		if k.Part == 0 && r.Due != 0 && r.Due < before {
			due = append(due, Timer{Due: r.Due, ID: k.ID})
		}
	}
	slices.SortFunc(due, Timer.compare)
	return due
}

// apply makes the rows random changes stand for, in the model and its log.
func (m *model) apply(p *Partition, rows []Row, pos Position) Position {
	emit := func(key, value []byte) { m.log = append(m.log, record{bytes.Clone(key), bytes.Clone(value)}) }
	for _, r := range rows {
		p.Changelog(r, emit)
		if r.Content == nil {
			delete(m.rows, r.Key)
		} else {
			r.OldDue = 0
			m.rows[r.Key] = r
		}
	}
	emit(pos.Record())
	pos.Changelog = int64(len(m.log))
	m.position = pos
	return pos
}

// cycle is a random cycle on m.
type cycle struct {
	rng  *rand.Rand
	ids  []string
	now  int64
	big  bool // contents in pieces too
	sure bool // OldDue is always given
}

func newCycle(seed uint64, users int) *cycle {
	c := &cycle{rng: rand.New(rand.NewPCG(seed, 7)), now: 1000}
	for i := range users {
		c.ids = append(c.ids, fmt.Sprintf("user-%03d", i))
	}
	c.ids = append(c.ids, "\x00", "a\x00", "a\x00\x01", "a", "a\xff", "ünï", strings.Repeat("x", 512))
	return c
}

func (c *cycle) rows(m *model) (rows []Row) {
	seen := map[Key]bool{}
	for range 1 + c.rng.IntN(8) {
		k := Key{ID: c.ids[c.rng.IntN(len(c.ids))]}
		if c.rng.IntN(4) == 0 {
			k.Part = 1 + uint32(c.rng.IntN(3))
		}
		if seen[k] {
			continue
		}
		seen[k] = true
		r := Row{Key: k, Content: c.content()}
		if k.Part == 0 && r.Content != nil && c.rng.IntN(3) > 0 {
			r.Due = c.now + int64(c.rng.IntN(300)) - 50
		}
		if c.sure || c.rng.IntN(4) > 0 {
			r.OldDue = m.rows[k].Due
		}
		rows = append(rows, r)
	}
	return rows
}

func (c *cycle) content() []byte {
	switch n := c.rng.IntN(40); {
	case n < 5:
		return nil
	case n < 8:
		return []byte{}
	case n == 8 && c.big:
		return bytes.Repeat([]byte{byte(c.rng.Uint32())}, pieceSize/2*c.rng.IntN(7))
	}
	return fmt.Appendf(nil, "content %d", c.rng.Uint64())
}

func (c *cycle) position() Position {
	c.now += int64(c.rng.IntN(40))
	return Position{Inputs: map[string]int64{"events": c.now * 2, "profiles": 5}, InputIDs: map[string]ID{"events": {1, 2, 3}}, Arrival: c.now, Stream: c.now - 3,
		Partitions: 12, Lanes: 12, WrittenAt: 1_700_000_000_000 + c.now, TopicID: [16]byte{1, 2, 15: 3}}
}

func open(t testing.TB, fs vfs.FS, memory int64) *Store {
	t.Helper()
	s, err := Open(Config{Dir: "state", FS: fs, Memory: memory})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func partition(t testing.TB, s *Store, n int32) *Partition {
	t.Helper()
	p, err := s.Partition(n)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// compare holds a partition's rows and position against the model's.
func (m *model) compare(t testing.TB, p *Partition) {
	t.Helper()
	if got, want := fmt.Sprint(p.Position()), fmt.Sprint(m.position); got != want {
		t.Fatalf("position %s, want %s", got, want)
	}
	got := map[Key]Row{}
	var last *Key
	err := p.Scan(func(r Row) error {
		if last != nil && compareKeys(*last, r.Key) >= 0 {
			return fmt.Errorf("%q %d after %q %d", r.ID, r.Part, last.ID, last.Part)
		}
		last = &Key{r.ID, r.Part}
		r.Content = bytes.Clone(r.Content)
		got[r.Key] = r
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := sameRows(got, m.rows); err != nil {
		t.Fatal(err)
	}
}

func compareKeys(a, b Key) int {
	if c := strings.Compare(a.ID, b.ID); c != 0 {
		return c
	}
	return cmp.Compare(a.Part, b.Part)
}

func sameRows(got, want map[Key]Row) error {
	var err error
	for k, r := range want {
		if g, ok := got[k]; !ok || g.Due != r.Due || !bytes.Equal(g.Content, r.Content) {
			err = errors.Join(err, fmt.Errorf("row %q %d: got %v due %d, %d bytes, want due %d, %d bytes", k.ID, k.Part, ok, g.Due, len(g.Content), r.Due, len(r.Content)))
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			err = errors.Join(err, fmt.Errorf("row %q %d is not in the model", k.ID, k.Part))
		}
	}
	return err
}

// restore brings p up to the model's changelog as a lane would.
func (m *model) restore(t testing.TB, p *Partition, compacted bool) {
	t.Helper()
	from := p.Position().Changelog
	newest := map[string]int{}
	for i, rec := range m.log {
		newest[string(rec.key)] = i
	}
	r := p.Restore()
	for i := int(from); i < len(m.log); i++ {
		rec := m.log[i]
		if compacted && newest[string(rec.key)] != i {
			continue
		}
		if err := r.Add(rec.key, rec.value, int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	pos := r.Position()
	if pos.IsZero() {
		pos = p.Position()
	}
	if err := r.Finish(pos); err != nil {
		t.Fatal(err)
	}
}

// checkDue holds the timers against the model's, at random limits.
func (m *model) checkDue(t testing.TB, p *Partition, c *cycle, before int64) []Timer {
	t.Helper()
	want := m.due(before)
	limit := c.rng.IntN(2*len(want) + 2)
	want = want[:min(limit, len(want))]
	got, err := p.Due(before, limit, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("due before %d, at most %d: %v\nwant %v\nindex %+v", before, limit, got, want, p.timers)
	}
	next, ok, err := p.NextDue()
	if err != nil {
		t.Fatal(err)
	}
	all := m.due(1 << 60)
	if len(all) > 0 && (!ok || next > all[0].Due) {
		t.Fatalf("next due %d %v, but there is %v", next, ok, all[0])
	}
	if len(all) > 0 {
		m.checkDueAfter(t, p, all[c.rng.IntN(len(all))], before, limit)
	}
	return got
}

// checkDueAfter holds those behind a timer against the model's.
func (m *model) checkDueAfter(t testing.TB, p *Partition, after Timer, before int64, limit int) {
	t.Helper()
	behind := func(u Timer) bool { return !after.less(u) }
	want := slices.DeleteFunc(m.due(before), behind)
	want = want[:min(limit, len(want))]
	got, err := p.DueAfter(after, before, limit, nil)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("due after %v before %d, at most %d: %v, %v\nwant %v\nindex %+v", after, before, limit, got, err, want, p.timers)
	}
	next, ok, err := p.NextDueAfter(after)
	if all := slices.DeleteFunc(m.due(1<<60), behind); err != nil || len(all) > 0 && (!ok || next > all[0].Due) {
		t.Fatalf("next due after %v: %d %v, %v, but there are %v", after, next, ok, err, all)
	}
	if len(want) == 0 && limit > 0 && ok && next < before {
		t.Fatalf("next due after %v: %d, which is before %d", after, next, before)
	}
}

// seeds is how many random runs a test makes; more at leisure: -seeds 1000.
var seeds = flag.Uint64("seeds", 8, "random runs of a test")

func TestModel(t *testing.T) {
	for seed := range *seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { runModel(t, seed, 300) })
	}
}

// smallIndex makes the timer index work as if there were millions of timers.
func smallIndex(t *testing.T) {
	near, used, least := nearTimers, usedTimers, leastAhead
	nearTimers, usedTimers, leastAhead = 4, 20, 1
	t.Cleanup(func() { nearTimers, usedTimers, leastAhead = near, used, least })
}

func runModel(t *testing.T, seed uint64, steps int) {
	if seed%4 > 0 {
		smallIndex(t)
	}
	fs := vfs.NewMem()
	s := open(t, fs, 1<<20)
	defer func() { s.Close() }()
	const number = 3
	p := partition(t, s, number)
	m := &model{rows: map[Key]Row{}}
	c := newCycle(seed, 20+int(seed%3)*400)
	c.big, c.sure = seed%10 == 0, seed%2 == 0
	for range steps {
		switch n := c.rng.IntN(100); {
		case n < 60:
			rows := c.rows(m)
			if err := p.Apply(rows, m.apply(p, rows, c.position())); err != nil {
				t.Fatal(err)
			}
		case n < 75:
			m.fire(t, p, c)
		case n < 80:
			for range 20 {
				m.checkGet(t, p, c)
			}
		case n < 83:
			if err := p.Flush(); err != nil {
				t.Fatal(err)
			}
		case n < 85:
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, fs, 1<<20)
			p = partition(t, s, number)
		case n < 87:
			if err := p.Wipe(); err != nil {
				t.Fatal(err)
			}
			if !p.Position().IsZero() {
				t.Fatal("a position after a wipe")
			}
			m.restore(t, p, c.rng.IntN(2) == 0)
		case n < 89:
			m.compare(t, p)
		case n < 91:
			p.rowsLimit.Store(int64(c.rng.IntN(3) * 20_000))
		default:
			m.checkDue(t, p, c, c.now+int64(c.rng.IntN(100))-50)
		}
	}
	m.compare(t, p)
}

// fire lets what is due go, as a loop would: some are done with, some move on.
func (m *model) fire(t testing.TB, p *Partition, c *cycle) {
	t.Helper()
	var rows []Row
	for _, timer := range m.checkDue(t, p, c, c.now) {
		r := Row{Key: Key{ID: timer.ID}, Content: c.content(), OldDue: timer.Due}
		if r.Content != nil && c.rng.IntN(3) == 0 {
			r.Due = c.now + int64(c.rng.IntN(300))
		}
		if c.rng.IntN(10) > 0 {
			rows = append(rows, r)
		}
	}
	if err := p.Apply(rows, m.apply(p, rows, c.position())); err != nil {
		t.Fatal(err)
	}
}

func (m *model) checkGet(t testing.TB, p *Partition, c *cycle) {
	t.Helper()
	k := Key{ID: c.ids[c.rng.IntN(len(c.ids))], Part: uint32(c.rng.IntN(3))}
	content, found, err := p.Get(k)
	want, ok := m.rows[k]
	if err != nil || found != ok || !bytes.Equal(content, want.Content) {
		t.Fatalf("get %v: %q %v %v, want %q %v", k, content, found, err, want.Content, ok)
	}
	for i := range content {
		content[i] = '!' // it is ours
	}
	if k.Part == 0 {
		if _, due, _, err := p.Head(k.ID); err != nil || due != want.Due {
			t.Fatalf("head %q: due %d %v, want %d", k.ID, due, err, want.Due)
		}
	}
}
