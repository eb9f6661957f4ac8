package history

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/tripline/tripline/processor/campaign/value"
)

func amount(f float64) value.Properties {
	return value.Properties{{Name: "amount", Value: value.OfNumber(f)}}
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

// TestCount gives what Aggregate gives, and asks its where of few events again, however often it is counted.
func TestCount(t *testing.T) {
	l, disk, rnd := &Log{}, newStore(), rand.New(rand.NewPCG(2, 1))
	asked := 0
	keys := []any{new(int), new(int)}
	wheres := []func(*Event) bool{
		func(e *Event) bool { asked++; f, _ := e.Properties.Get("amount").Float(); return f < 3 },
		func(e *Event) bool { asked++; f, _ := e.Properties.Get("amount").Float(); return f > 7 },
	}
	for i := range 4000 {
		l.Add(Event{Time: int64(i) - rnd.Int64N(100), Name: string(rune('A' + rnd.IntN(2))), Properties: amount(float64(rnd.IntN(10)))}, Limits{MaxEvents: 3000})
		if i == 1000 || i == 3500 {
			l = disk.reopen(t, l)
		}
		for k := range keys {
			from, upTo := int64(rnd.IntN(i+1)), int64(i-rnd.IntN(200))
			if i%2 == 0 {
				from, upTo = -200, always
			}
			got := l.Count("A", from, upTo, keys[k], wheres[k])
			before := asked
			if want, _, _, _ := l.Aggregate("A", "", from, upTo, wheres[k]); got != want {
				t.Fatalf("event %d, from %d up to %d: %d, want %d", i, from, upTo, got, want)
			}
			asked = before
		}
	}
	if asked > 4000*200 { // one after the other they would be 7 million
		t.Errorf("asked %d times", asked)
	}
}
