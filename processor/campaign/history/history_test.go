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

// span covers all time.
const always = int64(1) << 60

func amount(f float64) value.Properties {
	return value.Properties{{Name: "amount", Value: value.OfNumber(f)}}
}

// TestReads tells which parts each question reads of a long log that has just been opened.
func TestReads(t *testing.T) {
	_, disk := shopLog(t, 9_000)
	l, _ := shopLog(t, 9_000)
	head, now := l.AppendHead(nil), shop(8_999).Time
	chunks := map[uint32]bool{}
	for i := range l.refs() {
		chunks[l.refs()[i].part] = true
	}
	for _, question := range []struct {
		name            string
		chunks, indexes int // at most
		ask             func(l *Log) bool
	}{
		{"Add", 0, 0, func(l *Log) bool { _, dropped := l.Add(shop(9_000), shopLimits); return dropped == 0 }},
		{"count all", 0, 0, func(l *Log) bool { n, _, _, _ := l.Aggregate("Charged", "", 0, always, nil); return n == 1800 }},
		{"count none", 0, 0, func(l *Log) bool { n, _, _, _ := l.Aggregate("Other", "", 0, always, nil); return n == 0 }},
		{"sum all", fanout, 4, func(l *Log) bool { n, _, _, _ := l.Aggregate("Charged", "amount", 0, always, nil); return n == 1800 }},
		{"sum since", fanout + 1, 4, func(l *Log) bool {
			n, _, _, _ := l.Aggregate("Charged", "amount", shop(1000).Time, now, nil)
			return n == 1600
		}},
		{"count until", 1, 0, func(l *Log) bool {
			n, _, _, _ := l.Aggregate("Charged", "", 0, shop(4_999).Time, nil)
			return n == 1000
		}},
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
		{"first", 1, 0, func(l *Log) bool {
			seen := 0
			l.Ascend(Position{}, After(always), func(e *Event) bool { seen++; return e.Seq == 1 && seen < 1 })
			return seen == 1
		}},
		{"no such name", 0, 0, func(l *Log) bool {
			l.AscendOf("Other", Position{}, After(always), func(*Event) bool { t.Error("visited"); return true })
			return true
		}},
		{"before all", 0, 0, func(l *Log) bool {
			l.Ascend(Position{}, Before(shop(0).Time), func(*Event) bool { t.Error("visited"); return true })
			return true
		}},
		{"Len", 0, 0, func(l *Log) bool { return l.Len() == 9_000 }},
	} {
		l, _, err := Decode(head, disk.part)
		if err != nil {
			t.Fatal(err)
		}
		clear(disk.reads)
		if !question.ask(l) || !question.ask(l) && question.name != "Add" {
			t.Errorf("%s: wrong answer", question.name)
		}
		read := [2]int{}
		for part, times := range disk.reads {
			if times > 1 {
				t.Errorf("%s: part %d was read %d times", question.name, part, times)
			}
			if chunks[part] {
				read[0]++
			} else {
				read[1]++
			}
		}
		if read[0] > question.chunks || read[1] > question.indexes {
			t.Errorf("%s: %d chunks and %d indexes were read, want at most %d and %d", question.name, read[0], read[1],
				question.chunks, question.indexes)
		}
		if l.Err() != nil {
			t.Errorf("%s: %v", question.name, l.Err())
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

// TestWholeSums is exact for whole numbers whatever came in which order.
func TestWholeSums(t *testing.T) {
	l, rnd, want := &Log{}, rand.New(rand.NewPCG(1, 1)), int64(0)
	for range 3000 {
		n := rnd.Int64N(1<<41) - 1<<40
		want += n
		l.Add(Event{Time: rnd.Int64N(1000), Name: "A", Properties: amount(float64(n))}, Limits{})
	}
	if n, sum, _, _ := l.Aggregate("A", "amount", -1, always, nil); n != 3000 || sum != float64(want) {
		t.Errorf("sum of %d is %v, want %d", n, sum, want)
	}
}

// TestFractions gives the decimal that a shop would expect, and the same one after a log was read back.
func TestFractions(t *testing.T) {
	l, disk := &Log{}, newStore()
	for range 10_000 {
		l.Add(Event{Time: 5, Name: "A", Properties: amount(0.1)}, Limits{})
	}
	for _, l := range []*Log{l, disk.reopen(t, l)} {
		if _, sum, low, high := l.Aggregate("A", "amount", 0, always, nil); sum != 1000 || low != 0.1 || high != 0.1 {
			t.Errorf("10,000 times 0.1 is %v, from %v to %v", sum, low, high)
		}
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	l, disk = &Log{}, newStore()
	again := &Log{}
	for i := range 4000 {
		e := Event{Time: int64(i) - rnd.Int64N(100), Name: "A", Properties: amount(rnd.NormFloat64() * math.Pow(10, float64(rnd.IntN(30))))}
		l.Add(e, Limits{})
		again.Add(e, Limits{})
		if i%57 == 0 {
			again = disk.reopen(t, again)
		}
		from := int64(rnd.IntN(i + 1))
		_, a, _, _ := l.Aggregate("A", "amount", from, always, nil)
		_, b, _, _ := again.Aggregate("A", "amount", from, always, nil)
		if a != b {
			t.Fatalf("the sum after %d of %d events is %v, read back %v", from, i, a, b)
		}
	}
}

// TestHugeSums does not turn an overflow into something that is no number.
func TestHugeSums(t *testing.T) {
	l := &Log{}
	for range 3 {
		l.Add(Event{Time: 5, Name: "A", Properties: amount(math.MaxFloat64)}, Limits{})
	}
	l.Add(Event{Time: 5, Name: "A", Properties: amount(-1)}, Limits{})
	if _, sum, low, _ := l.Aggregate("A", "amount", 0, always, nil); !math.IsInf(sum, 1) || low != -1 {
		t.Errorf("sum is %v, min %v", sum, low)
	}
}

// TestManyProperties asks for more pairs than a summary holds.
func TestManyProperties(t *testing.T) {
	l, disk := &Log{}, newStore()
	for i := range 3000 {
		e := Event{Time: int64(i), Name: "A"}
		for j := range 5 {
			e.Properties = append(e.Properties, value.Property{Name: fmt.Sprint("p", (5*i+j)%200), Value: value.OfNumber(1)})
		}
		l.Add(e, Limits{})
	}
	l = disk.reopen(t, l)
	for i := range 200 {
		if n, sum, _, _ := l.Aggregate("A", fmt.Sprint("p", i), -1, always, nil); n != 75 || sum != 75 {
			t.Errorf("p%d: %d, %v", i, n, sum)
		}
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
