package lane

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/state"
)

// BenchmarkCycles copies records of 400 bytes through 12 lanes: each is a row, and
// every third a record to another topic. It reports CPU seconds of this process
// and wall-clock records.
func BenchmarkCycles(b *testing.B) {
	w := onKafka(b, 12)
	value := make([]byte, 400)
	for i := range b.N {
		w.client.Produce(context.Background(), &kgo.Record{Topic: w.in, Key: fmt.Appendf(nil, "u-%d", i*7919%300000), Value: value}, nil)
	}
	if err := w.client.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
	var applied atomic.Int64
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	cpu, wall := usage(), time.Now()
	b.ResetTimer()
	go func() {
		<-done
		b.ReportMetric((usage()-cpu).Seconds()*1e6/float64(b.N), "cpu-s/M")
		b.ReportMetric(float64(b.N)/time.Since(wall).Seconds(), "records/s")
		cancel()
	}()
	w.bench(b, ctx, func(ctx context.Context, l *Lane) error {
		for ctx.Err() == nil {
			batches, err := l.Poll(ctx, 5000)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return err
			}
			n, c := copyCycle(l, batches, w.out)
			if err := l.Commit(c); err != nil {
				return err
			}
			if applied.Add(n) == int64(b.N) {
				close(done)
			}
		}
		return nil
	})
	b.StopTimer()

	// The same changelog to an empty disk.
	ctx, cancel = context.WithCancel(context.Background())
	var ready atomic.Int64
	cpu, wall = usage(), time.Now()
	w.bench(b, ctx, func(ctx context.Context, l *Lane) error {
		if ready.Add(1) == 12 {
			b.ReportMetric(float64(b.N)/time.Since(wall).Seconds(), "restored/s")
			b.ReportMetric((usage()-cpu).Seconds()*1e6/float64(b.N), "restore-cpu-s/M")
			cancel()
		}
		<-ctx.Done()
		return nil
	})
}

// bench runs a group on a new folder until ctx ends.
func (w *world) bench(b *testing.B, ctx context.Context, loop Loop) {
	store, err := state.Open(state.Config{Dir: b.TempDir(), Memory: 512 << 20})
	if err != nil {
		b.Fatal(err)
	}
	g, err := New(Config{Group: w.group, Topics: []string{w.in}, Changelog: w.changelog, Client: w.options(w.dial), Store: store}, loop)
	if err != nil {
		b.Fatal(err)
	}
	if err := errors.Join(g.Run(ctx), store.Close()); err != nil {
		b.Fatal(err)
	}
}

func copyCycle(l *Lane, batches []Batch, out string) (n int64, c Cycle) {
	for _, b := range batches {
		n += int64(len(b.Records))
		change := Change{Partition: b.Partition, Position: l.partition(b.Partition).State.Position()}
		change.Position.Inputs = map[string]int64{b.Topic: b.Next}
		rows := make(map[string]bool, len(b.Records))
		for i, r := range b.Records {
			if user := string(r.Key); !rows[user] {
				rows[user] = true
				change.Rows = append(change.Rows, state.Row{Key: state.Key{ID: user}, Due: r.Timestamp.UnixMilli(), Content: r.Value[:200]})
			}
			if i%3 == 0 {
				c.Records = append(c.Records, &kgo.Record{Topic: out, Key: r.Key, Value: r.Value[:300]})
			}
		}
		c.Changes = append(c.Changes, change)
	}
	return n, c
}

func usage() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
