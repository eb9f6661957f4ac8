package history

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tripline/tripline/processor/campaign/value"
)

// twin is a log without a single idea: all events that are kept, in order.
type twin struct {
	seq    uint64
	newest int64
	events []Event
}

func (w *twin) add(e Event, lim Limits) (dropped int) {
	w.seq++
	e.Seq = w.seq
	if w.seq == 1 || e.Time > w.newest {
		w.newest = e.Time
	}
	at := len(w.events)
	for at > 0 && w.events[at-1].Position().Compare(e.Position()) > 0 {
		at--
	}
	w.events = slices.Insert(w.events, at, e)
	if lim.MaxAge > 0 {
		w.events = slices.DeleteFunc(w.events, func(e Event) bool { return e.Time < w.newest-lim.MaxAge })
	}
	if over := len(w.events) - lim.MaxEvents; lim.MaxEvents > 0 && over > 0 {
		w.events, dropped = slices.Clone(w.events[over:]), over
	}
	return dropped
}

func (w *twin) between(from, to Position) (found []Event) {
	for _, e := range w.events {
		if e.Position().Compare(from) > 0 && e.Position().Compare(to) <= 0 {
			found = append(found, e)
		}
	}
	return found
}

func (w *twin) aggregate(event, property string, after, upTo int64, where func(*Event) bool) (n int, sum, low, high float64) {
	for _, e := range w.between(After(after), After(upTo)) {
		if e.Name != event || where != nil && !where(&e) {
			continue
		}
		f, ok := e.Properties.Get(property).Float()
		switch {
		case property == "":
			n++
			continue
		case !ok:
			continue
		case n == 0:
			low, high = f, f
		}
		n, sum, low, high = n+1, sum+f, min(low, f), max(high, f)
	}
	return n, sum, low, high
}

// store is where a log's parts are kept; reads counts how often each was asked for.
type store struct {
	parts map[uint32][]byte
	reads map[uint32]int
}

func newStore() *store { return &store{map[uint32][]byte{}, map[uint32]int{}} }

func (s *store) part(n uint32) []byte {
	s.reads[n]++
	return s.parts[n]
}

func (s *store) save(t testing.TB, l *Log) {
	l.Parts(func(n uint32, content []byte) {
		switch {
		case n == 0:
			t.Fatal("part 0 was written")
		case content != nil:
			s.parts[n] = content
		case s.parts[n] == nil:
			t.Fatalf("part %d was deleted, but there is none", n)
		default:
			delete(s.parts, n)
		}
	})
}

// reopen is the log as it comes back from its parts.
func (s *store) reopen(t testing.TB, l *Log) *Log {
	t.Helper()
	s.save(t, l)
	head := append(l.AppendHead(nil), "rest"...)
	back, rest, err := Decode(head, s.part)
	if err != nil || string(rest) != "rest" {
		t.Fatalf("Decode: %v, rest %q", err, rest)
	}
	return back
}

// traffic is what a random user does.
type traffic struct {
	rand    *rand.Rand
	now     int64
	names   int
	late    int   // one of so many events is late
	latest  int64 // by up to so much, ms
	ids     int   // of so many different ones; 0: none
	size    int   // of a text property, bytes
	strange int   // one of so many events has a property of a name of its own; 0: none
}

func (tr *traffic) event() Event {
	if tr.rand.IntN(4) > 0 {
		tr.now += tr.rand.Int64N(2000)
	}
	e := Event{Time: tr.now, Name: fmt.Sprintf("Event %d", min(tr.rand.IntN(tr.names), tr.rand.IntN(tr.names)))}
	if tr.rand.IntN(tr.late) == 0 {
		e.Time -= tr.rand.Int64N(tr.latest)
	}
	if tr.ids > 0 && tr.rand.IntN(10) > 0 {
		e.ID = fmt.Sprintf("id-%d", tr.rand.IntN(tr.ids))
	}
	if tr.rand.IntN(3) > 0 {
		e.Properties = append(e.Properties, value.Property{Name: "amount", Value: value.OfNumber(float64(tr.rand.IntN(2000) - 1000))})
	}
	if tr.rand.IntN(3) > 0 {
		e.Properties = append(e.Properties, value.Property{Name: "note", Value: value.OfString(strings.Repeat("x", tr.rand.IntN(tr.size+1)))})
	}
	if tr.rand.IntN(5) == 0 {
		v, err := value.Parse([]byte([]string{`null`, `"12"`, `true`, `1.50`, `[1,{"a":2}]`, `12345678901234567890`}[tr.rand.IntN(6)]))
		if err != nil {
			panic(err)
		}
		e.Properties = append(e.Properties, value.Property{Name: "odd", Value: v})
	}
	if tr.strange > 0 && tr.rand.IntN(tr.strange) == 0 {
		name := fmt.Sprintf("strange %d", tr.rand.IntN(1000))
		e.Properties = append(e.Properties, value.Property{Name: name, Value: value.OfNumber(1)})
	}
	return e
}

func sameEvent(a, b *Event) bool {
	return a.Seq == b.Seq && a.Time == b.Time && a.Name == b.Name && a.ID == b.ID &&
		bytes.Equal(a.Properties.Append(nil), b.Properties.Append(nil))
}

// compare asks both the same questions.
func compare(t *testing.T, rnd *rand.Rand, tr *traffic, w *twin, l *Log) {
	t.Helper()
	if l.Len() != len(w.events) {
		t.Fatalf("Len is %d, want %d", l.Len(), len(w.events))
	}
	moment := func() int64 {
		if len(w.events) == 0 || rnd.IntN(10) == 0 {
			return rnd.Int64N(tr.now + 1)
		}
		return w.events[rnd.IntN(len(w.events))].Time
	}
	for range 3 {
		from, to := After(moment()), After(moment())
		switch rnd.IntN(4) {
		case 0:
			from, to = Position{}, After(tr.now)
		case 1:
			from, to = Before(from.Time), Before(to.Time)
		case 2:
			from.Seq, to.Seq = rnd.Uint64N(w.seq+1), rnd.Uint64N(w.seq+1)
		}
		compareWalks(t, rnd, tr, w, l, from, to)
		event, property := fmt.Sprintf("Event %d", rnd.IntN(tr.names+1)), []string{"", "amount", "odd", "none", "strange 1"}[rnd.IntN(5)]
		var where func(*Event) bool
		if rnd.IntN(3) == 0 {
			where = func(e *Event) bool { return e.Properties.Has("note") }
		}
		n, sum, low, high := l.Aggregate(event, property, from.Time, to.Time, where)
		wn, wsum, wlow, whigh := w.aggregate(event, property, from.Time, to.Time, where)
		if n != wn || sum != wsum || low != wlow || high != whigh {
			t.Fatalf("%q of %q in (%d, %d]: %d, %v, %v, %v, want %d, %v, %v, %v", property, event, from.Time, to.Time,
				n, sum, low, high, wn, wsum, wlow, whigh)
		}
		compareEntries(t, rnd, tr, w, l, from, to)
		id := fmt.Sprintf("id-%d", rnd.IntN(tr.ids+1))
		if got, want := l.HasID(id), slices.ContainsFunc(w.events, func(e Event) bool { return e.ID == id }); got != want {
			t.Fatalf("HasID(%q) is %v", id, got)
		}
	}
	if l.HasID("") {
		t.Fatal("the empty id was found")
	}
	if l.Err() != nil {
		t.Fatal(l.Err())
	}
}

// compareEntries asks for the events of two names, and for one by its place.
func compareEntries(t *testing.T, rnd *rand.Rand, tr *traffic, w *twin, l *Log, from, to Position) {
	t.Helper()
	names := []string{"none", fmt.Sprintf("Event %d", rnd.IntN(tr.names)), fmt.Sprintf("Event %d", rnd.IntN(tr.names))}
	want := slices.DeleteFunc(w.between(from, to), func(e Event) bool { return !slices.Contains(names, e.Name) })
	l.Scan(names, from, to, func(e *Entry) bool {
		if len(want) == 0 || e.Position != want[0].Position() || names[e.Name] != want[0].Name || rnd.IntN(3) == 0 && !sameEvent(e.Event(), &want[0]) {
			t.Fatalf("%v %q in (%v, %v], of what is left of %v", e.Position, names[e.Name], from, to, want)
		}
		want = want[1:]
		return true
	})
	if len(want) > 0 {
		t.Fatalf("%v were not visited", want)
	}
	if len(w.events) > 0 {
		e := &w.events[rnd.IntN(len(w.events))]
		if got := l.At(e.Position()); got == nil || !sameEvent(got, e) {
			t.Fatalf("at %v is %v, want %v", e.Position(), got, e)
		}
		p := Position{e.Time, e.Seq + 1}
		if known := slices.ContainsFunc(w.events, func(e Event) bool { return e.Position() == p }); !known && l.At(p) != nil {
			t.Fatalf("at %v is %v", p, l.At(p))
		}
	}
}

func compareWalks(t *testing.T, rnd *rand.Rand, tr *traffic, w *twin, l *Log, from, to Position) {
	t.Helper()
	want, name := w.between(from, to), ""
	if rnd.IntN(2) == 0 {
		name = fmt.Sprintf("Event %d", rnd.IntN(tr.names))
		want = slices.DeleteFunc(want, func(e Event) bool { return e.Name != name })
	}
	down := rnd.IntN(2) == 0
	if down {
		slices.Reverse(want)
	}
	want = want[:min(len(want), 1+rnd.IntN(1+rnd.IntN(len(want)+1)))]
	i := 0
	visit := func(e *Event) bool {
		if !sameEvent(e, &want[i]) {
			t.Fatalf("%d. in (%v, %v] is %v, want %v", i, from, to, e, want[i])
		}
		i++
		return i < len(want)
	}
	if len(want) == 0 {
		visit = func(e *Event) bool { t.Fatalf("%v in (%v, %v]", e, from, to); return false }
	}
	switch {
	case name == "" && down:
		l.Descend(from, to, visit)
	case name == "":
		l.Ascend(from, to, visit)
	case down:
		l.DescendOf(name, from, to, visit)
	default:
		l.AscendOf(name, from, to, visit)
	}
	if i < len(want) {
		t.Fatalf("%d events in (%v, %v], want %d", i, from, to, len(want))
	}
}

// TestTwin has a log and its twin do the same. A second log is read back from its parts now and then; it is the same
// to the byte.
func TestTwin(t *testing.T) {
	for name, tr := range map[string]traffic{
		"in order":    {names: 3, late: 1 << 30, latest: 1, ids: 5000, size: 20},
		"late":        {names: 3, late: 4, latest: 600_000, ids: 5000, size: 20},
		"very late":   {names: 40, late: 2, latest: 20_000_000, ids: 100, size: 20, strange: 3},
		"without ids": {names: 60, late: 10, latest: 50_000, size: 20},
		"large":       {names: 3, late: 10, latest: 600_000, ids: 5000, size: 20_000},
	} {
		for _, lim := range []Limits{{}, {MaxEvents: 1}, {MaxEvents: 20}, {MaxEvents: 40}, {MaxEvents: 700},
			{MaxAge: 100_000}, {MaxAge: 1_500_000}, {MaxAge: 500_000, MaxEvents: 300}} {
			t.Run(fmt.Sprintf("%s %d %d", name, lim.MaxAge, lim.MaxEvents), func(t *testing.T) {
				t.Parallel()
				tr := tr
				tr.rand = rand.New(rand.NewPCG(1, uint64(lim.MaxAge)+uint64(lim.MaxEvents)))
				runTwin(t, tr, lim, 1500)
			})
		}
	}
}

func runTwin(t *testing.T, tr traffic, lim Limits, events int) {
	tr.now = 1_700_000_000_000
	rnd := rand.New(rand.NewPCG(2, tr.rand.Uint64()))
	w, l, kept, disk, other := &twin{}, &Log{}, &Log{}, newStore(), newStore()
	for range events {
		e := tr.event()
		dropped := w.add(e, lim)
		for _, log := range []*Log{l, kept} {
			if seq, n := log.Add(e, lim); seq != w.seq || n != dropped {
				t.Fatalf("Add is %d, %d, want %d, %d", seq, n, w.seq, dropped)
			}
			e.Seq = w.seq
			for _, looked := range []bool{false, true} { // what At notes on its way must be true
				if looked {
					log.At(e.Position())
				}
				if n, want := log.Twins(&e), w.twins(&e); n != want {
					t.Fatalf("%v has %d twins before it, want %d", e.Position(), n, want)
				}
			}
		}
		if rnd.IntN(20) == 0 {
			compare(t, rnd, &tr, w, l)
		}
		if rnd.IntN(40) == 0 {
			other.save(t, kept)
			l = disk.reopen(t, l)
		}
		if rnd.IntN(100) == 0 {
			compare(t, rnd, &tr, w, l)
		}
	}
	disk.save(t, l)
	other.save(t, kept)
	if !bytes.Equal(l.AppendHead(nil), kept.AppendHead(nil)) || !maps.EqualFunc(disk.parts, other.parts, bytes.Equal) {
		t.Fatal("a log that was read back now and then has become another one")
	}
	for i := range l.refs() {
		delete(disk.parts, l.refs()[i].part)
		delete(disk.parts, l.refs()[i].index)
	}
	if len(disk.parts) > 0 {
		t.Fatalf("%d parts are left over", len(disk.parts))
	}
}

func (w *twin) twins(e *Event) (n int) {
	for i := range w.events {
		if x := &w.events[i]; x.Name == e.Name && x.Time == e.Time && x.Seq < e.Seq {
			n++
		}
	}
	return n
}

func (l *Log) refs() []ref {
	if l.tail == nil {
		return nil
	}
	return l.tail.refs
}
