//go:build synctests

package lane

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// copyOf is a disk with all that was written to another.
func copyOf(disk *vfs.MemFS) *vfs.MemFS {
	return disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
}

// atEndTxn arranges that the nth request to end a transaction from now on meets
// what do says, and returns a channel that is closed then. The request is applied
// if do returns true; otherwise its connection is closed.
func (w *bubble) atEndTxn(nth int, do func() bool) <-chan struct{} {
	met := make(chan struct{})
	w.cluster.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		if nth--; nth > 0 {
			w.cluster.KeepControl()
			return nil, nil, false
		}
		w.cluster.DropControl()
		close(met)
		if do() {
			return nil, nil, false
		}
		return nil, errors.New("cut"), true
	})
	return met
}

// TestCrashAroundEnd kills the process when its records are written and the
// transaction is not ended, and when it is and nobody has heard of it.
func TestCrashAroundEnd(t *testing.T) {
	for _, applied := range []bool{false, true} {
		t.Run(fmt.Sprintf("ended=%v", applied), func(t *testing.T) {
			inWorld(t, 2, func(t *testing.T, w *bubble) {
				w.send(5, users...)
				p := w.launch(vfs.NewCrashableMem())
				w.settle()
				met := w.atEndTxn(2, func() bool { p.wire.cut(); return applied })
				w.send(5, users...)
				<-met
				w.send(5, users...)
				disk := p.crash()
				p = w.launch(disk)
				w.settle()
				p.checkState()
				p.mustStop()
			})
		})
	}
}

// TestUnknownOutcome keeps the process alive while nobody can tell it what became
// of its transaction.
func TestUnknownOutcome(t *testing.T) {
	for _, applied := range []bool{false, true} {
		t.Run(fmt.Sprintf("ended=%v", applied), func(t *testing.T) {
			inWorld(t, 2, func(t *testing.T, w *bubble) {
				p := w.launch(vfs.NewCrashableMem(), func(_ *process, cfg *Config) { cfg.SessionTimeout = time.Minute })
				p.lanes(2)
				met := w.atEndTxn(1, func() bool { p.wire.cut(); return applied })
				w.send(5, users...)
				<-met
				time.Sleep(20 * time.Second)
				p.wire.heal()
				w.send(5, users...)
				w.settle()
				p.checkState()
				if p.logged("lane is taken anew") == 0 {
					t.Error("no lane was taken anew")
				}
				p.mustStop()
			})
		})
	}
}

// TestAbortDropsAll lets the broker refuse one record of a cycle whose others it
// has taken.
func TestAbortDropsAll(t *testing.T) {
	for topic, refusal := range map[string]*kerr.Error{"out": kerr.MessageTooLarge, "g-processor-changelog": kerr.InvalidRecord} {
		t.Run(topic, func(t *testing.T) {
			inWorld(t, 2, func(t *testing.T, w *bubble) {
				p := w.launch(vfs.NewCrashableMem())
				p.lanes(2)
				fault := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: refusal, Count: 3})
				w.send(20, users...)
				w.settle()
				p.checkState()
				if fault.Hits() != 3 {
					t.Errorf("%d refusals met", fault.Hits())
				}
				p.mustStop()
			})
		})
	}
}

// TestZombie lets a process miss its session in the middle of a cycle without its
// noticing, and commit that cycle when another has its lanes.
func TestZombie(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *bubble) {
		reached, resume := make(chan struct{}), make(chan struct{})
		first := true
		a := w.launch(vfs.NewCrashableMem(), func(p *process, cfg *Config) {
			cfg.Lanes = 1
			p.beforeCommit = func(_ *Lane, c Cycle) {
				if first && len(c.Records) > 0 {
					first = false
					close(reached)
					<-resume
				}
			}
		})
		a.lanes(1)
		w.send(5, users...)
		<-reached
		var silent atomic.Bool // not cut off: it would drop its lanes at once
		silent.Store(true)
		w.cluster.ControlKey(int16(kmsg.Heartbeat), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			return nil, nil, silent.Load() && *req.(*kmsg.HeartbeatRequest).InstanceID == a.group.instance
		})
		b := w.launch(vfs.NewCrashableMem(), func(_ *process, cfg *Config) { cfg.Lanes = 1 })
		b.lanes(1)
		if len(a.group.Status()) != 1 {
			t.Error("the zombie knows that it is one")
		}
		close(resume)
		time.Sleep(time.Second)
		silent.Store(false)
		w.settle()
		time.Sleep(10 * time.Second)
		w.send(5, users...)
		w.settle()
		b.checkState()
		if b.starts[0] != 1 {
			t.Errorf("the zombie took the lane from its owner: %d starts", b.starts[0])
		}
		a.mustStop()
		b.mustStop()
	})
}

// TestTakenInACycle gives a lane to a new owner while the old one, which has not
// heard of it, is about to commit. It does so just before the new owner fences it,
// who restores that cycle then, or when the new owner has restored.
func TestTakenInACycle(t *testing.T) {
	// The group's client asks for the input as any consumer.
	restored := func(req kmsg.Request, in string) bool {
		asked, ok := req.(*kmsg.ListOffsetsRequest)
		return ok && asked.Topics[0].Topic == in && asked.ReplicaID == asDebugging
	}
	fencing := func(req kmsg.Request, _ string) bool { return req.Key() == int16(kmsg.InitProducerID) }
	for name, when := range map[string]func(kmsg.Request, string) bool{"restored": restored, "fencing": fencing} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 1, func(t *testing.T, w *bubble) {
				reached, resume, resumed := make(chan struct{}), make(chan struct{}), make(chan struct{})
				calls := 0
				a := w.launch(vfs.NewCrashableMem(), func(p *process, _ *Config) {
					p.beforeCommit = func(_ *Lane, c Cycle) {
						if calls++; calls == 1 {
							close(reached)
							<-resume
							time.AfterFunc(time.Second, func() { close(resumed) })
						}
					}
				})
				a.lanes(1)
				w.send(5, users...)
				<-reached
				met := false
				w.cluster.Control(func(req kmsg.Request) (kmsg.Response, error, bool) {
					w.cluster.KeepControl()
					if !met && when(req, w.in) {
						met = true
						close(resume)
						w.cluster.SleepControl(func() { <-resumed })
					}
					return nil, nil, false
				})
				b := w.launch(copyOf(a.disk)) // of the same name, so that it gets the place at once
				b.lanes(1)
				w.settle()
				b.checkState()
				if b.starts[0] != 1 || calls != 1 {
					t.Errorf("the old owner took the lane back: %d cycles of it, %d starts of the new one", calls, b.starts[0])
				}
				a.stop()
				b.mustStop()
			})
		})
	}
}

// TestDisks restarts a process with the disk it had, without one, and with one
// that is older than the changelog's end.
func TestDisks(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *bubble) {
		w.send(50, users...)
		p := w.launch(vfs.NewCrashableMem())
		w.settle()
		warm := p.disk
		p.mustStop()
		stale := copyOf(warm)

		p = w.launch(warm)
		p.lanes(2)
		if n := p.logged("partition restored"); n != 0 {
			t.Errorf("a disk that is at the changelog's end was restored: %d partitions", n)
		}
		w.send(1, users...)
		w.settle()
		p.checkState()
		p.mustStop()

		p = w.launch(vfs.NewCrashableMem())
		p.lanes(2)
		p.checkState()
		if n := p.logged("partition restored"); n != 2 {
			t.Errorf("%d partitions restored to an empty disk", n)
		}
		p.mustStop()

		p = w.launch(stale)
		p.lanes(2)
		p.checkState()
		for _, line := range p.logs.FilterMessage("partition restored").All() {
			if records := line.ContextMap()["records"].(int64); records > 20 {
				t.Errorf("%d records read where the tail was enough", records)
			}
		}
		if n := p.logged("local state wiped, to be restored from the changelog"); n != 0 {
			t.Errorf("%d partitions wiped", n)
		}
		p.mustStop()
	})
}

// TestUnusableDisk covers the reasons for not going on from what is on disk.
func TestUnusableDisk(t *testing.T) {
	const wiped = "local state wiped, to be restored from the changelog"
	inWorld(t, 1, func(t *testing.T, w *bubble) {
		w.send(5, users...)
		p := w.launch(vfs.NewCrashableMem())
		w.settle()
		old := p.disk
		p.mustStop()
		atFirst := copyOf(old)
		hole, hidden := copyOf(old), copyOf(old)

		p = w.launch(old)
		w.send(5, users...)
		w.settle()
		p.mustStop()
		time.Sleep(25 * time.Hour)

		expect := func(disk *vfs.MemFS, of string, reasons []string, change ...func(*process, *Config)) *process {
			p := w.launch(disk, change...)
			p.lanes(1)
			var said []string
			for _, line := range p.logs.FilterMessage(wiped).All() {
				said = append(said, line.ContextMap()["reason"].(string))
			}
			if !slices.Equal(said, reasons) {
				t.Errorf("%s: wiped for %q, expected %q", of, said, reasons)
			}
			return p
		}
		expect(old, "an old disk that has missed nothing", nil).mustStop()
		p = expect(atFirst, "a disk older than delete.retention.ms", []string{"age"})
		p.checkState()
		part, err := p.store.Partition(0)
		if err != nil {
			t.Fatal(err)
		}
		at := part.Position().Changelog
		p.mustStop()

		// What is gone from the changelog is gone; the rest is all there is.
		if err := w.cluster.DeleteRecords(w.changelog, 0, at-2); err != nil {
			t.Fatal(err)
		}
		expect(hole, "a disk that ends before the changelog begins", []string{"hole"}).mustStop()
		w.cluster.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			asked := req.(*kmsg.ListOffsetsRequest)
			if asked.Topics[0].Topic != w.changelog || asked.Topics[0].Partitions[0].Timestamp != atStart {
				return nil, nil, false
			}
			w.cluster.DropControl()
			return listed(asked, 0), nil, true
		})
		expect(hidden, "a disk of that age, and a changelog whose beginning is gone when it is read", []string{"age", "hole"}).mustStop()

		if err := w.cluster.DeleteTopic(w.changelog); err != nil {
			t.Fatal(err)
		}
		p = expect(old, "the disk of another changelog", []string{"topic"}, func(_ *process, cfg *Config) { cfg.Start = "latest" })
		if got := p.counts()[0]; len(got) != 0 {
			t.Errorf("state %v without a changelog", got)
		}
		p.mustStop()
	})
}

// TestAbortAtTheEnd restores a changelog whose end is an aborted transaction.
func TestAbortAtTheEnd(t *testing.T) {
	for _, warm := range []bool{true, false} {
		t.Run(fmt.Sprintf("warm=%v", warm), func(t *testing.T) {
			inWorld(t, 1, func(t *testing.T, w *bubble) {
				w.send(5, users...)
				p := w.launch(vfs.NewCrashableMem())
				w.settle()
				met := w.atEndTxn(1, func() bool { p.wire.cut(); return false })
				w.send(1, users...)
				<-met
				disk := p.crash()
				if !warm {
					disk = vfs.NewCrashableMem()
				}
				p = w.launch(disk, func(p *process, cfg *Config) {
					p.beforeCommit = func(l *Lane, _ Cycle) { <-time.After(3 * time.Second) }
				})
				p.lanes(1)
				for user, n := range p.counts()[0] {
					if n != 5 {
						t.Errorf("%s has %d, and 5 were committed", user, n)
					}
				}
				w.settle()
				p.checkState()
				p.mustStop()
			})
		})
	}
}

// TestForeignTransaction has another producer leave a transaction open in the
// input.
func TestForeignTransaction(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *bubble) {
		var lane *Lane
		p := w.launch(vfs.NewCrashableMem(), func(p *process, cfg *Config) {
			p.beforeCommit = func(l *Lane, _ Cycle) { lane = l }
		})
		w.send(1, users...)
		w.settle()
		foreign, err := kgo.NewClient(append(w.options(w.dial), kgo.TransactionalID("foreign"), kgo.TransactionTimeout(20*time.Second))...)
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		if err := foreign.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := foreign.ProduceSync(ctx, &kgo.Record{Topic: "in", Key: []byte("ann"), Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		w.send(1, users...)
		position := func() int64 { return lane.Partitions()[0].State.Position().Inputs["in"] }
		time.Sleep(2 * time.Second)
		for range 2 {
			ends, err := lane.Ends(ctx)
			if err != nil || len(ends) != 1 || !ends[0].Exact {
				t.Fatal(ends, err)
			}
			if ends[0].Offset != 17 || position() != 8 {
				t.Errorf("end %d, position %d, where 9 records wait for a transaction behind 8", ends[0].Offset, position())
			}
			time.Sleep(2 * time.Second)
		}
		// The broker ends it after its timeout. Its record is nobody's, and the
		// position is behind its marker.
		time.Sleep(25 * time.Second)
		w.settle()
		ends, err := lane.Ends(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if ends[0].Offset != 18 || position() != 18 {
			t.Errorf("end %d, position %d, where the last record is a marker at 17", ends[0].Offset, position())
		}
		foreign.Close()
		p.checkState()
		p.mustStop()
	})
}
