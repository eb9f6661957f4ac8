package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Wall time says little on a machine that is shared: every benchmark also
// reports the CPU time of the process, flushes and compactions included, per row.

func cpuNow() int64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

func measure(b *testing.B, rows int, run func()) {
	b.Helper()
	b.ResetTimer()
	before := cpuNow()
	run()
	b.StopTimer()
	b.ReportMetric(float64(cpuNow()-before)/float64(rows), "cpu-ns/row")
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

func benchStore(b *testing.B) *Store {
	s, err := Open(Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

// content is size bytes, half of them random.
func benchContent(rng *rand.Rand, size int) []byte {
	content := make([]byte, size)
	for i := 0; i < size/2; i += 8 {
		binary.LittleEndian.PutUint64(content[i:], rng.Uint64())
	}
	return content
}

const benchPartitions = 12

// BenchmarkApply is the writes of quality.md's R1: 300,000 users evenly, rows of
// 300 bytes, timers that mostly move later, cycles of 500 rows.
func BenchmarkApply(b *testing.B) {
	const users, cycle = 300_000, 500
	s := benchStore(b)
	rng := rand.New(rand.NewPCG(1, 2))
	due := make([]int64, users)
	ids := make([]string, users)
	for i := range ids {
		ids[i] = fmt.Sprintf("user-%07d", i)
	}
	content := benchContent(rng, 1<<20)
	now := int64(1_700_000_000_000)
	run := func(rows int) {
		for done := 0; done < rows; done += cycle {
			n := rng.IntN(benchPartitions)
			p := partition(b, s, int32(n))
			batch, seen := make([]Row, 0, cycle), map[int]bool{}
			for len(batch) < cycle {
				u := rng.IntN(users/benchPartitions)*benchPartitions + n
				if seen[u] {
					continue
				}
				seen[u] = true
				r := Row{Key: Key{ID: ids[u]}, OldDue: due[u], Due: now + 1_800_000}
				if rng.IntN(10) == 0 {
					r.Due = 0
				}
				due[u] = r.Due
				at := rng.IntN(len(content) - 300)
				r.Content = append([]byte(nil), content[at:at+300]...)
				batch = append(batch, r)
			}
			now += cycle * 7
			if err := p.Apply(batch, Position{WrittenAt: 1 + int64(done)/120, Inputs: map[string]int64{"events": now}}); err != nil {
				b.Fatal(err)
			}
		}
	}
	run(users)
	measure(b, b.N, func() { run(b.N) })
}

// filled is a store with rows of size bytes in one partition, flushed.
func filled(b *testing.B, rows, size int) (*Store, *Partition, []string) {
	s := benchStore(b)
	p := partition(b, s, 0)
	return s, p, fill(b, p, rows, size)
}

// fill gives a partition rows of size bytes, all with a timer.
func fill(b *testing.B, p *Partition, rows, size int) (ids []string) {
	rng := rand.New(rand.NewPCG(1, 2))
	ids = make([]string, rows)
	var log benchLog
	for i := range ids {
		ids[i] = fmt.Sprintf("user-%07d", i)
		p.Changelog(Row{Key: Key{ID: ids[i]}, Due: int64(1 + rng.IntN(rows)), Content: benchContent(rng, size)}, log.add)
	}
	log.restore(b, p, Position{WrittenAt: 1})
	return ids
}

func BenchmarkGet(b *testing.B) {
	for _, rows := range []int{100_000, 2_000_000} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			_, p, ids := filled(b, rows, 300)
			rng := rand.New(rand.NewPCG(1, 2))
			measure(b, b.N, func() {
				for range b.N {
					if _, found, err := p.Get(Key{ID: ids[rng.IntN(rows)]}); !found || err != nil {
						b.Fatal(found, err)
					}
				}
			})
		})
	}
}

// BenchmarkDue fires timers in bursts, on all lanes: find them, read their rows,
// write them back due later. p99-look-ms is of finding a burst's first timer,
// whatever has fired before. As many lanes are at it at a time as there are cores:
// to wait for a core behind other lanes is not the index's doing.
func BenchmarkDue(b *testing.B) {
	for _, rows := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) { benchDue(b, rows) })
	}
}

func benchDue(b *testing.B, rows int) {
	const burst = 1000
	s, err := Open(Config{Dir: b.TempDir(), Rows: defaultMemory / 5}) // as the processor opens it
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	content := make([]byte, 100)
	var lanes [benchPartitions]*Partition
	for n := range lanes {
		lanes[n] = partition(b, s, int32(n))
		fill(b, lanes[n], rows/benchPartitions, 100)
	}
	var mu sync.Mutex
	var looks []time.Duration
	var fired atomic.Int64
	fire := func(p *Partition) error {
		began := time.Now()
		_, err := p.Due(1<<60, 1, nil)
		took := time.Since(began)
		mu.Lock()
		looks = append(looks, took)
		mu.Unlock()
		timers, failed := p.Due(1<<60, burst, nil)
		batch := make([]Row, len(timers))
		for i, t := range timers {
			if _, found, err := p.Get(Key{ID: t.ID}); !found || err != nil {
				return fmt.Errorf("%v: %w", found, err)
			}
			batch[i] = Row{Key: Key{ID: t.ID}, OldDue: t.Due, Due: t.Due + int64(rows), Content: content}
		}
		return errors.Join(err, failed, p.Apply(batch, Position{WrittenAt: 1 + fired.Add(burst)/300}))
	}
	for _, p := range lanes { // all use their share of memory
		if err := fire(p); err != nil {
			b.Fatal(err)
		}
	}
	measure(b, b.N, func() {
		fired.Store(0)
		var wg sync.WaitGroup
		cores := min(len(lanes), runtime.GOMAXPROCS(0))
		for core := range cores {
			wg.Go(func() {
				for n := core; fired.Load() < int64(b.N) && !b.Failed(); {
					if err := fire(lanes[n]); err != nil {
						b.Error(err)
					}
					if n += cores; n >= len(lanes) {
						n = core
					}
				}
			})
		}
		wg.Wait()
	})
	slices.Sort(looks)
	b.ReportMetric(looks[len(looks)*99/100].Seconds()*1000, "p99-look-ms")
}

// benchLog is a changelog in memory, in few objects.
type benchLog struct {
	bytes []byte
	ends  []int32 // of keys and values in turn
}

func (l *benchLog) add(key, value []byte) {
	l.bytes = append(l.bytes, key...)
	l.ends = append(l.ends, int32(len(l.bytes)))
	l.bytes = append(l.bytes, value...)
	l.ends = append(l.ends, int32(len(l.bytes)))
}

func (l *benchLog) restore(b *testing.B, p *Partition, pos Position) {
	r, start := p.Restore(), int32(0)
	for i := 0; i < len(l.ends); i += 2 {
		if err := r.Add(l.bytes[start:l.ends[i]], l.bytes[l.ends[i]:l.ends[i+1]], int64(i/2)); err != nil {
			b.Fatal(err)
		}
		start = l.ends[i+1]
	}
	if err := r.Finish(pos); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkRestore is a restore of rows of 100 bytes, of which a third are there
// in older versions too. The ID of one begins otherwise than all others.
func BenchmarkRestore(b *testing.B) {
	for _, rows := range []int{100_000, 2_000_000} {
		for _, timers := range []bool{false, true} {
			b.Run(fmt.Sprintf("rows=%d,timers=%v", rows, timers), func(b *testing.B) {
				p := partition(b, benchStore(b), 0)
				rng := rand.New(rand.NewPCG(1, 2))
				var log benchLog
				p.Changelog(Row{Key: Key{ID: "\x00"}, Content: []byte("x")}, log.add)
				for i := range rows {
					r := Row{Key: Key{ID: fmt.Sprintf("user-%07d", rng.IntN(rows))}, Content: benchContent(rng, 100)}
					if timers {
						r.Due = int64(1_700_000_000_000 + i)
					}
					p.Changelog(r, log.add)
				}
				measure(b, b.N*rows, func() {
					for range b.N {
						log.restore(b, p, Position{}) // the next one is from nothing too
					}
				})
			})
		}
	}
}

// BenchmarkRestoreTail is a restore of what a crash took, over what is there.
func BenchmarkRestoreTail(b *testing.B) {
	const rows, tail = 1_000_000, 100_000
	_, p, ids := filled(b, rows, 100)
	rng := rand.New(rand.NewPCG(1, 2))
	var log benchLog
	for range tail {
		p.Changelog(Row{Key: Key{ID: ids[rng.IntN(rows)]}, Due: int64(1 + rng.IntN(rows)), Content: benchContent(rng, 100)}, log.add)
	}
	measure(b, b.N*tail, func() {
		for range b.N {
			log.restore(b, p, Position{WrittenAt: 2})
		}
	})
}
