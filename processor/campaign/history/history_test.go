package history

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tripline/tripline/processor/campaign/value"
)

// always lies behind all events.
const always = int64(1) << 60

// question is asked of shopLog(9000), and reads at most so many chunks and indexes of a log just opened. Two of its
// chunks are of the first level, which has no sums in its index.
type question struct {
	name            string
	chunks, indexes int
	ask             func(l *Log) (right bool)
}

func countOf(l *Log, event, property string, after, upTo int64) int {
	n, _, _, _ := l.Aggregate(event, property, after, upTo, nil)
	return n
}

var reads = []question{
	{"count all", 0, 0, func(l *Log) bool { return countOf(l, "Charged", "", 0, always) == 1800 }},
	{"count none", 0, 0, func(l *Log) bool { return countOf(l, "Other", "", 0, always) == 0 }},
	{"count until", 1, 0, func(l *Log) bool { return countOf(l, "Charged", "", 0, shop(4_999).Time) == 1000 }},
	{"sum all", 2 + fanout - 1, 4, func(l *Log) bool { return countOf(l, "Charged", "amount", 0, always) == 1800 }},
	{"sum since", 3 + fanout - 1, 4, func(l *Log) bool { return countOf(l, "Charged", "amount", shop(1000).Time, always) == 1600 }},
	{"new id", 0, 4, func(l *Log) bool { return !l.HasID("2f1c4b1e-1111-4000-8000-000000000000") }},
	{"old id", 1, 4, func(l *Log) bool { return l.HasID(shop(77).ID) }},
	{"last", 1, 0, func(l *Log) bool {
		seen := 0
		l.Descend(Position{}, After(always), func(e *Event) bool { seen++; return e.Time == shop(9_000-seen).Time && seen < 3 })
		return seen == 3
	}},
	{"last of a name", 1, 0, func(l *Log) bool {
		seen := 0
		l.DescendOf("Charged", Position{}, After(always), func(*Event) bool { seen++; return false })
		return seen == 1
	}},
	{"first", 1, 0, func(l *Log) (right bool) {
		l.Ascend(Position{}, After(always), func(e *Event) bool { right = e.Seq == 1; return false })
		return right
	}},
	{"no such name", 0, 0, func(l *Log) bool {
		right := true
		l.AscendOf("Other", Position{}, After(always), func(*Event) bool { right = false; return false })
		return right
	}},
	{"before all", 0, 0, func(l *Log) bool {
		right := true
		l.Ascend(Position{}, Before(shop(0).Time), func(*Event) bool { right = false; return false })
		return right
	}},
	{"Len", 0, 0, func(l *Log) bool { return l.Len() == 9_000 }},
	{"Add", 0, 0, func(l *Log) bool { seq, dropped := l.Add(shop(9_000), shopLimits); return seq > 9_000 && dropped == 0 }},
}

// TestReads tells which parts each question reads, and that none is read twice.
func TestReads(t *testing.T) {
	l, disk := shopLog(t, 9_000)
	head, chunks := l.AppendHead(nil), map[uint32]bool{}
	for i := range l.refs() {
		chunks[l.refs()[i].part] = true
	}
	for _, q := range reads {
		l, _, err := Decode(head, disk.part)
		if err != nil {
			t.Fatal(err)
		}
		clear(disk.reads)
		for range 2 {
			if !q.ask(l) || l.Err() != nil {
				t.Errorf("%s: wrong answer, or %v", q.name, l.Err())
			}
		}
		readChunks, readIndexes := 0, 0
		for part, times := range disk.reads {
			if times > 1 {
				t.Errorf("%s: part %d was read %d times", q.name, part, times)
			}
			if chunks[part] {
				readChunks++
			} else {
				readIndexes++
			}
		}
		if readChunks > q.chunks || readIndexes > q.indexes {
			t.Errorf("%s: %d chunks and %d indexes were read, want at most %d and %d", q.name, readChunks, readIndexes,
				q.chunks, q.indexes)
		}
	}
}

// TestGrowth holds the head and what an Add writes to the logarithm of the length.
func TestGrowth(t *testing.T) {
	l := &Log{}
	var short, long, written int // the longest head of 9,000 to 10,000 events and of 10 times as many
	for i := range 100_000 {
		l.Add(shop(i), Limits{})
		l.Parts(func(_ uint32, content []byte) { written += len(content) })
		switch {
		case i >= 9_000 && i < 10_000:
			short = max(short, len(l.AppendHead(nil)))
		case i >= 90_000 && i%10 == 0:
			long = max(long, len(l.AppendHead(nil)))
		}
	}
	if 2*long > 3*short || short > 4<<10 {
		t.Errorf("the head of 10,000 events has %d bytes, of 100,000 %d", short, long)
	}
	if per := written / 100_000; per > 600 {
		t.Errorf("%d bytes of parts were written for an event", per)
	}
	if n := len(l.refs()); n > 60 {
		t.Errorf("%d chunks", n)
	}
	if l.Size() < 10*len(l.AppendHead(nil)) {
		t.Errorf("a log of 100,000 events whose chunks are in memory takes %d bytes", l.Size())
	}
}

// TestWithoutIDs has no index written for what nobody can ask for.
func TestWithoutIDs(t *testing.T) {
	l := &Log{}
	for i := range inlineEvents * (fanout - 1) {
		l.Add(Event{Time: int64(i), Name: "A"}, Limits{})
	}
	parts := 0
	l.Parts(func(uint32, []byte) { parts++ })
	if parts != fanout-1 {
		t.Errorf("%d parts, want %d chunks", parts, fanout-1)
	}
}

// TestManyNames sees names come, fill the table of the head, and go with their chunks.
func TestManyNames(t *testing.T) {
	l, disk := &Log{}, newStore()
	for round := range 30 {
		for i := range 400 {
			l.Add(Event{Time: int64(400*round + i), Name: fmt.Sprint("name ", round, " ", i%10)}, Limits{MaxEvents: 1000})
		}
		l = disk.reopen(t, l)
		for _, back := range []int{0, 1} {
			if n, _, _, _ := l.Aggregate(fmt.Sprint("name ", round-back, " 3"), "", -1, always, nil); n != 40 && round > 0 {
				t.Fatalf("round %d: %d events of name %d", round, n, round-back)
			}
		}
	}
	if n := l.tail.names.n; n > tailNames {
		t.Errorf("%d names in the head", n)
	}
}

// TestCut drops late events of every age once the log is full, and keeps what lies on the disk bounded.
func TestCut(t *testing.T) {
	l, disk, rnd := &Log{}, newStore(), rand.New(rand.NewPCG(1, 1))
	w := &twin{}
	lim := Limits{MaxEvents: 200}
	for i := range 6000 {
		e := Event{Time: int64(i) - rnd.Int64N(250), Name: "A", ID: fmt.Sprint(i)}
		want := w.add(e, lim)
		if _, dropped := l.Add(e, lim); dropped != want || l.Len() != len(w.events) {
			t.Fatalf("event %d: dropped %d, want %d; %d are left, want %d", i, dropped, want, l.Len(), len(w.events))
		}
		if i%100 == 0 {
			l = disk.reopen(t, l)
		}
		if l.tail != nil && l.tail.n > 2*lim.MaxEvents+3*inlineEvents {
			t.Fatalf("the chunks hold %d events", l.tail.n)
		}
	}
	i := 0
	l.Ascend(Position{}, After(always), func(e *Event) bool {
		if !sameEvent(e, &w.events[i]) {
			t.Fatalf("%d. is %v, want %v", i, e, w.events[i])
		}
		i++
		return true
	})
}

// TestLeftovers has an event of the far future in every chunk, so that none is ever wholly behind the floor. Both what
// is left and what it takes on the disk are bounded.
func TestLeftovers(t *testing.T) {
	l, disk, most := &Log{}, newStore(), 0
	for i := range 1500 {
		e := Event{Time: int64(i), Name: "A", ID: fmt.Sprint(i)}
		if i%10 == 0 {
			e.Time += 1_000_000
		}
		if l.Add(e, Limits{MaxEvents: 200}); l.tail != nil {
			most = max(most, l.tail.n)
		}
		if i%70 == 0 {
			l = disk.reopen(t, l)
		}
		if i >= 300 && (l.Len() != 200 || !l.HasID("10") || l.HasID("3")) {
			t.Fatalf("event %d: %d are left, %v, %v", i, l.Len(), l.HasID("10"), l.HasID("3"))
		}
	}
	if most > 2*200+3*inlineEvents || most <= 2*200 {
		t.Errorf("the chunks held up to %d events", most)
	}
}

// TestLimitsChange lowers the limits, which drops at once, and raises them, which brings nothing back.
func TestLimitsChange(t *testing.T) {
	l, disk := &Log{}, newStore()
	for i := range 3000 {
		l.Add(Event{Time: int64(1000 + i), Name: "A"}, Limits{MaxEvents: 5000})
	}
	l = disk.reopen(t, l)
	if _, dropped := l.Add(Event{Time: 4000, Name: "A"}, Limits{MaxEvents: 100}); dropped != 2901 || l.Len() != 100 {
		t.Fatalf("dropped %d, %d are left", dropped, l.Len())
	}
	l = disk.reopen(t, l)
	if seq, dropped := l.Add(Event{Time: 3899, Name: "A"}, Limits{MaxEvents: 5000}); seq != 3002 || dropped != 1 || l.Len() != 100 {
		t.Fatalf("an event behind those dropped: number %d, dropped %d, %d are left", seq, dropped, l.Len())
	}
	if _, dropped := l.Add(Event{Time: 3901, Name: "A"}, Limits{MaxAge: 50}); dropped != 0 || l.Len() != 51 {
		t.Fatalf("an event too old: dropped %d, %d are left", dropped, l.Len())
	}
	if _, dropped := l.Add(Event{Time: math.MaxInt64, Name: "A"}, Limits{MaxAge: math.MaxInt64}); dropped != 0 || l.Len() != 52 {
		t.Fatalf("after the end of time: dropped %d, %d are left", dropped, l.Len())
	}
	if _, dropped := l.Add(Event{Time: math.MinInt64, Name: "A"}, Limits{MaxAge: math.MaxInt64}); dropped != 0 || l.Len() != 52 {
		t.Fatalf("before its beginning: dropped %d, %d are left", dropped, l.Len())
	}
}

// TestClear has every part deleted, and begins anew.
func TestClear(t *testing.T) {
	l, disk := shopLog(t, 2000)
	l.Add(shop(2000), Limits{})
	l.Clear()
	for i := range 50 {
		if seq, _ := l.Add(shop(i), Limits{}); seq != uint64(i+1) {
			t.Fatalf("number %d is %d", i+1, seq)
		}
	}
	l = disk.reopen(t, l)
	if l.Len() != 50 || l.HasID(shop(1000).ID) || !l.HasID(shop(49).ID) {
		t.Errorf("%d events", l.Len())
	}
	l.Clear()
	l = disk.reopen(t, l)
	if l.Len() != 0 || len(disk.parts) != 0 {
		t.Errorf("%d events, %d parts", l.Len(), len(disk.parts))
	}
	new(Log).Clear()
}

// TestHashes are on disk.
func TestHashes(t *testing.T) {
	for id, want := range map[string]uint32{"": 0, "a": 0x71f5c9e7, "12345678": 0xe1dfc241, "2f1c4b1e-0000-4000-8000-000000000001": 0xeba6f33d} {
		if got := hash(id); got != want || hash([]byte(id)) != got {
			t.Errorf("hash(%q) = %#x, want %#x", id, got, want)
		}
	}
}

// TestCollision keeps apart two ids of one hash.
func TestCollision(t *testing.T) {
	seen := map[uint32]string{}
	var a, b string
	for i := 0; a == ""; i++ {
		id := fmt.Sprint("id ", i)
		h := hash(id)
		if a = seen[h]; a != "" {
			b = id
		}
		seen[h] = id
	}
	l, disk := &Log{}, newStore()
	for range 2 {
		l.Add(Event{Time: 1, Name: "A", ID: a}, Limits{})
		if !l.HasID(a) || l.HasID(b) {
			t.Errorf("%v and %v of %q and %q", l.HasID(a), l.HasID(b), a, b)
		}
		for range inlineEvents {
			l.Add(Event{Time: 2, Name: "A"}, Limits{})
		}
		l = disk.reopen(t, l)
	}
}

// TestEventsStay holds on to an event while the log goes on.
func TestEventsStay(t *testing.T) {
	l := &Log{}
	var held []*Event
	for i := range 500 {
		l.Add(shop(i), Limits{MaxEvents: 100})
		l.Descend(Position{}, After(always), func(e *Event) bool { held = append(held, e); return false })
	}
	for i, e := range held {
		want := shop(i)
		want.Seq = uint64(i + 1)
		if !sameEvent(e, &want) {
			t.Fatalf("event %d has become %v", i, e)
		}
	}
}

// TestCallerBytes lets the caller change an event's properties after Add, and what AppendHead gave after the next one.
func TestCallerBytes(t *testing.T) {
	l := &Log{}
	e := Event{Time: 1, Name: "A", Properties: amount(1)}
	l.Add(e, Limits{})
	e.Properties[0].Value = value.OfNumber(2)
	head := l.AppendHead(nil)
	before := slices.Clone(head)
	back, _, err := Decode(slices.Clip(head), nil)
	if err != nil {
		t.Fatal(err)
	}
	back.Add(e, Limits{})
	if !bytes.Equal(head, before) {
		t.Error("an Add has written into the head that the log was read from")
	}
	if _, sum, _, _ := back.Aggregate("A", "amount", 0, always, nil); sum != 3 {
		t.Errorf("sum is %v", sum)
	}
}
