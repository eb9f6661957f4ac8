package history

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/tripline/tripline/processor/campaign/value"
)

// shops are events made beforehand.
var shops = func() (events []Event) {
	for i := range 1 << 14 {
		events = append(events, makeShop(i))
	}
	return events
}()

// shop is event i of a user who buys a lot: one a minute.
func shop(i int) Event {
	e := shops[i%len(shops)]
	e.Time = 1_700_000_000_000 + int64(i)*60_000
	return e
}

// makeShop is event i of a user who buys a lot: one a minute.
func makeShop(i int) Event {
	name := []string{"Added To Cart", "Added To Cart", "Added To Cart", "Product Viewed", "Charged"}[i%5]
	return Event{Time: 1_700_000_000_000 + int64(i)*60_000, Name: name, ID: fmt.Sprintf("2f1c4b1e-0000-4000-8000-%012d", i),
		Properties: value.Properties{
			{Name: "amount", Value: value.OfNumber(float64(i%900) + 0.25)},
			{Name: "cart_id", Value: value.OfString(fmt.Sprintf("cart-%d", i/7))},
			{Name: "source", Value: value.OfString("push")},
		}}
}

var shopLimits = Limits{MaxAge: 90 * 24 * 3600_000, MaxEvents: 10_000}

func shopLog(tb testing.TB, n int) (*Log, *store) {
	l, disk := &Log{}, newStore()
	for i := range n {
		l.Add(shop(i), shopLimits)
	}
	return disk.reopen(tb, l), disk
}

func eachLength(b *testing.B, run func(b *testing.B, n int)) {
	for _, n := range []int{10, 1000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			run(b, n)
		})
	}
}

// clock reports the processor time of the loop, which holds on a busy machine too.
type clock struct{ start, paused int64 }

func startClock() clock { return clock{start: processorTime()} }

// pause leaves out what do takes.
func (c *clock) pause(do func()) {
	start := processorTime()
	do()
	c.paused += processorTime() - start
}

func (c *clock) stop(b *testing.B) {
	b.ReportMetric(float64(processorTime()-c.start-c.paused)/float64(b.N), "cpu-ns/op")
}

// users are some that all have as many events; they begin anew before that has changed much.
type users struct {
	tb   testing.TB
	n    int
	logs []*Log
	head []byte
	disk *store
	adds int
}

func makeUsers(tb testing.TB, n int) *users {
	l, disk := shopLog(tb, n)
	u := &users{tb: tb, n: n, head: l.AppendHead(nil), disk: disk, logs: []*Log{l}}
	if n < 1000 {
		u.logs = make([]*Log, 64)
		u.renew()
	}
	return u
}

func (u *users) renew() {
	for i := range u.logs {
		u.logs[i], _, _ = Decode(u.head, u.disk.part)
	}
}

// next is the user whose turn it is, and the next event.
func (u *users) next(c *clock) (*Log, Event) {
	u.adds++
	if len(u.logs) > 1 && u.adds%(4*len(u.logs)) == 0 {
		c.pause(u.renew)
	}
	return u.logs[u.adds%len(u.logs)], shop(u.n + u.adds/len(u.logs))
}

func processorTime() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkAdd is an event of a user who is kept in memory, and the head written for it.
func BenchmarkAdd(b *testing.B) {
	eachLength(b, func(b *testing.B, n int) {
		users, bytes := makeUsers(b, n), 0
		var row []byte
		clock := startClock()
		for b.Loop() {
			l, e := users.next(&clock)
			l.Add(e, shopLimits)
			row = l.AppendHead(row[:0])
			bytes += len(row)
			l.Parts(func(_ uint32, content []byte) { bytes += len(content) })
		}
		clock.stop(b)
		b.ReportMetric(float64(bytes)/float64(b.N), "bytes/op")
	})
}

// BenchmarkColdAdd is an event of a user who is read from his rows for it.
func BenchmarkColdAdd(b *testing.B) {
	eachLength(b, func(b *testing.B, n int) {
		l, disk := shopLog(b, n)
		heads := make([][]byte, 1)
		for i := range 64 {
			heads = append(heads, l.AppendHead(nil))
			if n >= 1000 {
				l.Add(shop(n+i), shopLimits)
			}
		}
		disk.save(b, l)
		var row []byte
		i := 0
		clock := startClock()
		for b.Loop() {
			i++
			l, _, _ := Decode(heads[1+i%64], disk.part)
			l.Add(shop(n+i%64), shopLimits)
			row = l.AppendHead(row[:0])
		}
		clock.stop(b)
	})
}

func BenchmarkHasID(b *testing.B) {
	eachLength(b, func(b *testing.B, n int) {
		l, _ := shopLog(b, n)
		i := 0
		clock := startClock()
		for b.Loop() {
			if i++; l.HasID(shop(n + i%1000).ID) {
				b.Fatal("found")
			}
		}
		clock.stop(b)
	})
}

func BenchmarkAggregate(b *testing.B) {
	for name, age := range map[string]int64{"all": 1 << 40, "part": 3 * 24 * 3600_000} {
		for _, property := range []string{"", "amount"} {
			b.Run(fmt.Sprintf("%s%s", name, property), func(b *testing.B) {
				eachLength(b, func(b *testing.B, n int) {
					l, _ := shopLog(b, n)
					now := shop(n).Time
					clock := startClock()
					for b.Loop() {
						l.Aggregate("Charged", property, now-age, now, nil)
					}
					clock.stop(b)
				})
			})
		}
	}
}

// BenchmarkStep is what R1's history costs an event of a user in memory: an id looked up, a count, a sum, an Add.
func BenchmarkStep(b *testing.B) {
	eachLength(b, func(b *testing.B, n int) {
		users := makeUsers(b, n)
		var row []byte
		clock := startClock()
		for b.Loop() {
			l, e := users.next(&clock)
			l.HasID(e.ID)
			l.Add(e, shopLimits)
			l.Aggregate("Charged", "", e.Time-shopLimits.MaxAge, e.Time, nil)
			l.Aggregate("Charged", "amount", e.Time-shopLimits.MaxAge, e.Time, nil)
			row = l.AppendHead(row[:0])
			l.Parts(func(uint32, []byte) {})
		}
		clock.stop(b)
	})
}

func BenchmarkDescend(b *testing.B) {
	eachLength(b, func(b *testing.B, n int) {
		l, _ := shopLog(b, n)
		clock := startClock()
		for b.Loop() {
			seen := 0
			l.Descend(Position{}, After(1<<60), func(*Event) bool { seen++; return seen < 10 })
		}
		clock.stop(b)
	})
}
