//go:build synctests

package lane

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/state"
)

// TestLoopErrors ends Run with what a Loop returns of its own, and with the news
// that one ended too early.
func TestLoopErrors(t *testing.T) {
	own := errors.New("the disk is made of paper")
	for text, loop := range map[string]Loop{
		"lane 0: " + own.Error():             func(context.Context, *Lane) error { return own },
		"lane 0: its loop ended too early":   func(context.Context, *Lane) error { return nil },
		"lane 0: commit: partition 7 is not": func(_ context.Context, l *Lane) error { return l.Commit(Cycle{Changes: []Change{{Partition: 7}}}) },
		"lane 0: commit: partition 0 is ch":  func(_ context.Context, l *Lane) error { return l.Commit(Cycle{Changes: make([]Change, 2)}) },
	} {
		inWorld(t, 1, func(t *testing.T, w *bubble) {
			err := w.refusal(func(p *process, _ *Config) { p.override = loop })
			if err == nil || !strings.HasPrefix(err.Error(), text) {
				t.Errorf("%v, expected %s", err, text)
			}
		})
	}
}

// TestStopCutsOff stops a process whose loop does not end its cycle in time. The
// cycle is dropped, and done again.
func TestStopCutsOff(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *bubble) {
		first, reached := true, make(chan struct{})
		p := w.launch(vfs.NewCrashableMem(), func(p *process, _ *Config) {
			p.beforeCommit = func(_ *Lane, c Cycle) {
				if first && len(c.Records) > 0 {
					first = false
					close(reached)
					time.Sleep(4500 * time.Millisecond)
				}
			}
		})
		p.lanes(1)
		w.send(5, users...)
		<-reached
		p.mustStop()
		if p.logged("lane cut off within a cycle, which is aborted") != 1 {
			t.Error("it was not cut off")
		}
		if out := w.written(); len(out) != 0 {
			t.Errorf("written %v", out)
		}
		p = w.launch(p.disk)
		w.settle()
		p.mustStop()
	})
}

// TestStopEndsTheCycle stops a process in the middle of a cycle that it has time to
// commit.
func TestStopEndsTheCycle(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *bubble) {
		reached := make(chan int, 1)
		p := w.launch(vfs.NewCrashableMem(), func(p *process, _ *Config) {
			p.beforeCommit = func(_ *Lane, c Cycle) { reached <- len(c.Records); time.Sleep(time.Second) }
		})
		p.lanes(1)
		w.send(5, users...)
		n := <-reached
		p.mustStop()
		if out := w.written()[0]; len(out) != n || n == 0 {
			t.Errorf("%d records written, of a cycle with %d", len(out), n)
		}
	})
}

// TestPlaced has more members than lanes: also one that gets none has its place, and nobody has one before the group says so.
func TestPlaced(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *bubble) {
		a := w.launch(vfs.NewCrashableMem())
		if a.group.Placed() {
			t.Error("placed at once")
		}
		a.lanes(1)
		b := w.launch(vfs.NewCrashableMem())
		time.Sleep(20 * time.Second)
		if !a.group.Placed() || !b.group.Placed() || len(b.group.Status()) != 0 {
			t.Errorf("placed: %t, %t; the second has %+v", a.group.Placed(), b.group.Placed(), b.group.Status())
		}
		b.mustStop()
		a.mustStop()
	})
}

// TestLeave gives the place up: the other has all lanes long before the session
// ends.
func TestLeave(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *bubble) {
		patient := func(_ *process, cfg *Config) { cfg.SessionTimeout = 5 * time.Minute; cfg.Leave = true }
		a, b := w.launch(vfs.NewCrashableMem(), patient), w.launch(vfs.NewCrashableMem(), patient)
		a.lanes(2)
		b.lanes(2)
		b.mustStop()
		a.lanes(4)
		a.mustStop()
		if owners, err := Owners(context.Background(), w.client, w.group); err != nil || len(owners) != 0 {
			t.Errorf("owners %v, %v", owners, err)
		}
	})
}

// TestCopiedFolder starts a second process on a copy of the first's folder. One of
// the two says so and ends.
func TestCopiedFolder(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *bubble) {
		a := w.launch(vfs.NewCrashableMem())
		a.lanes(2)
		b := w.launch(copyOf(a.disk))
		b.lanes(2)
		err := <-a.ended
		a.ended <- err
		if err == nil || !strings.Contains(err.Error(), "is its state folder a copy?") {
			t.Errorf("the first ended with %v", err)
		}
		a.stop()
		w.send(5, users...)
		w.settle()
		b.checkState()
		b.mustStop()
	})
}

// TestKeep wipes the state of lanes that went to another an hour ago.
func TestKeep(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *bubble) {
		a := w.launch(vfs.NewCrashableMem())
		w.send(5, users...)
		w.settle()
		b := w.launch(vfs.NewCrashableMem())
		a.lanes(1)
		gone := b.lanes(1)[0]
		for _, after := range []struct {
			wait time.Duration
			kept bool
		}{{50 * time.Minute, true}, {15 * time.Minute, false}} {
			time.Sleep(after.wait)
			if rows := a.counts()[gone]; len(rows) > 0 != after.kept {
				t.Errorf("kept of the other's lane: %v", rows)
			}
		}
		b.mustStop()
		a.lanes(2)
		w.settle()
		a.checkState()
		a.mustStop()
	})
}

// TestDamage lets a read from the disk fail in the way that damage does.
func TestDamage(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *bubble) {
		w.send(5, users...)
		damaged := 0
		p := w.launch(vfs.NewCrashableMem(), func(p *process, _ *Config) {
			p.override = func(ctx context.Context, l *Lane) error {
				if damaged++; damaged == 2 {
					return fmt.Errorf("read a row: %w", state.ErrDamaged)
				}
				return p.loop(ctx, l)
			}
		})
		w.settle()
		w.client.ForceMetadataRefresh()
		p.mustStop()
		p = w.launch(p.disk, func(q *process, _ *Config) { q.override = p.override })
		w.send(5, users...)
		w.settle()
		p.checkState()
		if p.logged("state on disk is damaged: wiped, to be restored from the changelog") != 1 || p.logged("partition restored") == 0 {
			t.Error("damage was not met")
		}
		p.mustStop()
	})
}

// TestMetrics looks at what a registry shows after a foreign transaction has held
// the input for a while.
func TestMetrics(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *bubble) {
		registry := prometheus.NewRegistry()
		var lane *Lane
		p := w.launch(vfs.NewCrashableMem(), func(p *process, cfg *Config) {
			cfg.Metrics = registry
			p.beforeCommit = func(l *Lane, _ Cycle) { lane = l }
		})
		w.send(1, users...)
		w.settle()
		foreign, err := kgo.NewClient(append(w.options(w.dial), kgo.TransactionalID("foreign"))...)
		if err != nil {
			t.Fatal(err)
		}
		if err := foreign.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := foreign.ProduceSync(context.Background(), &kgo.Record{Topic: w.in, Key: []byte("ann")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if _, err := lane.Ends(context.Background()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if held := gathered(t, registry, "tripline_lane_input_held_seconds"); held != 9 {
			t.Errorf("held for %g s, expected 9", held)
		}
		if err := foreign.EndTransaction(context.Background(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
		w.settle()
		if _, err := lane.Ends(context.Background()); err != nil {
			t.Fatal(err)
		}
		for name, expected := range map[string]float64{
			"tripline_lane_input_held_seconds":  0,
			"tripline_lane_lanes":               1,
			"tripline_lane_log_end_refused":     0,
			"tripline_lane_clock_ahead_seconds": 0,
			"tripline_lane_taken_total":         1,
			"tripline_lane_restored_total":      0,
		} {
			if got := gathered(t, registry, name); got != expected {
				t.Errorf("%s is %g, expected %g", name, got, expected)
			}
		}
		foreign.Close()
		p.mustStop()
		if families, err := registry.Gather(); err != nil || len(families) != 0 {
			t.Errorf("%d metrics left behind, %v", len(families), err)
		}
	})
}

// gathered is the sum of a metric over its labels.
func gathered(t *testing.T, registry *prometheus.Registry, name string) (sum float64) {
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			for _, m := range family.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// TestAhead gives the lane append times of a broker whose clock is an hour behind.
func TestAhead(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *bubble) {
		l := &Lane{}
		if ms, known := l.Ahead(); known {
			t.Errorf("%d ms without a sighting", ms)
		}
		for _, late := range []time.Duration{70 * time.Millisecond, 20 * time.Millisecond, 90 * time.Millisecond} {
			stamped := time.Now().Add(-time.Hour).UnixMilli()
			time.Sleep(late)
			l.clock.add(sighting{stamped, time.Now()})
		}
		time.Sleep(time.Minute)
		if ms, known := l.Ahead(); !known || ms != time.Hour.Milliseconds()+20 {
			t.Errorf("ahead %d ms, %t, expected an hour and the 20 ms of the quickest answer", ms, known)
		}
	})
}
