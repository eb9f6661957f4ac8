//go:build synctests

package processor

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tripline/tripline/state/lane"
)

// brokerOff makes the broker's clock differ from this machine's, as its append times tell.
func (w *world) brokerOff(by time.Duration) {
	w.cluster.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		r := req.(*kmsg.ListOffsetsRequest)
		if r.Topics[0].Topic != "g-processor-changelog" || r.Topics[0].Partitions[0].Timestamp != -3 {
			return nil, nil, false
		}
		return listed(r, 1<<40, time.Now().Add(by).UnixMilli()), nil, true
	})
}

// A machine whose clock is an hour ahead fires nothing early: the broker's clock counts.
func TestClockAhead(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.brokerOff(-time.Hour)
		broker := func() time.Time { return time.Now().Add(-time.Hour) }
		p := w.launch(vfs.NewCrashableMem())
		w.send(at(event("events", "ann", "Cart"), broker()), at(event("events", "bob", "Cart"), broker().Add(30*time.Minute)))
		time.Sleep(30 * time.Second)
		p = w.launch(p.stop()) // which must know the broker's clock before it looks at a timer
		time.Sleep(29 * time.Second)
		w.expect("ann")
		time.Sleep(2 * time.Second)
		w.expect("ann", fmt.Sprintf("cart %d", 60_000-time.Hour.Milliseconds()))
		if ahead, _ := p.metric("tripline_processor_clock_ahead_seconds"); ahead < 3600 || ahead > 3601 {
			t.Errorf("ahead by %v s", ahead)
		}
		if p.logs.FilterMessageSnippet("clock").Len() != 1 {
			t.Errorf("lines about the clock: %v", p.logs.FilterMessageSnippet("clock").All())
		}
		p.stop()
	})
}

// One whose clock is an hour behind goes by its own: nothing fires early there either.
func TestClockBehind(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.brokerOff(time.Hour)
		p := w.launch(vfs.NewCrashableMem())
		w.send(event("events", "ann", "Cart"))
		time.Sleep(58 * time.Second)
		w.expect("ann")
		time.Sleep(4 * time.Second)
		w.expect("ann", "cart 60000")
		if ahead, _ := p.metric("tripline_processor_clock_ahead_seconds"); ahead > -3599 || ahead < -3600 {
			t.Errorf("ahead by %v s", ahead)
		}
		p.stop()
	})
}

// traffic sends a mixture, the same in every run, over a time.
func (w *world) traffic(seconds int, topics ...string) {
	names := []string{"Cart", "Other", "Paid", "Launch", "Cart"}
	for range seconds * 2 {
		for range 2 {
			w.send(event(topics[w.rng.IntN(len(topics))], people[w.rng.IntN(len(people))], names[w.rng.IntN(len(names))]))
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// Cycles that are aborted, or of which nobody knows, leave nothing twice and nothing out.
func TestAborted(t *testing.T) {
	for _, applied := range []bool{false, true} {
		t.Run(fmt.Sprintf("applied=%v", applied), func(t *testing.T) {
			inWorld(t, 2, func(t *testing.T, w *world) {
				// No user stays in memory after its cycle, or few do but for their rows.
				room := map[bool]int64{false: 1, true: 8 << 10}[applied]
				p := w.launch(vfs.NewCrashableMem(), merged, func(cfg *Config) { cfg.Users = room })
				time.Sleep(5 * time.Second)
				var n atomic.Int32
				w.cluster.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
					w.cluster.KeepControl()
					if n := n.Add(1); n%7 != 0 || n > 70 {
						return nil, nil, false
					}
					if applied {
						p.wire.drop()
						return nil, nil, false
					}
					return nil, errors.New("cut"), true
				})
				fault := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Count: 3})
				w.traffic(150, "events", "payments")
				time.Sleep(90 * time.Second)
				if n.Load() < 70 || fault.Hits() != 3 || p.logs.FilterMessage("lane is taken anew").Len() == 0 {
					t.Errorf("%d ends, %d refused", n.Load(), fault.Hits())
				}
				w.whole()
				p.stop()
			})
		})
	}
}

// A crash between cycles, or in one, with or without the disk, goes on as if it had not been.
func TestCrash(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		disk := vfs.NewCrashableMem()
		for i := range 8 {
			p := w.launch(disk, merged)
			w.traffic(12, "events", "payments")
			time.Sleep(time.Duration(i*137) * time.Millisecond)
			if disk = p.crash(); i%3 == 2 {
				disk = vfs.NewCrashableMem()
			}
			w.traffic(3, "events", "payments")
		}
		p := w.launch(disk, merged)
		time.Sleep(2 * time.Minute)
		w.whole()
		if got := w.triggers(); len(got) != len(people) {
			t.Errorf("triggers of %d users", len(got))
		}
		p.stop()
	})
}

// Where the broker does not tell its log end, stream time keeps the slack behind.
func TestRefusedLogEnd(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.ClusterAuthorizationFailed, Count: -1,
			When: func(req kmsg.Request) bool { return req.(*kmsg.ListOffsetsRequest).ReplicaID == -2 }})
		p := w.launch(vfs.NewCrashableMem())
		w.send(event("events", "ann", "Cart"))
		time.Sleep(90 * time.Second)
		w.expect("ann")
		time.Sleep(2 * time.Second)
		w.expect("ann", "cart 60000")
		w.whole()
		p.stop()
	})
}

// A position that is gone from its topic while the lane runs stops it with an error that names the gap, or is skipped.
func TestGap(t *testing.T) {
	for _, skip := range []bool{false, true} {
		t.Run(fmt.Sprintf("skip=%v", skip), func(t *testing.T) {
			inWorld(t, 1, func(t *testing.T, w *world) {
				p := w.launch(vfs.NewCrashableMem(), func(cfg *Config) { cfg.Lane.OnGapSkip = skip })
				w.send(event("events", "ann", "Launch"))
				time.Sleep(5 * time.Second)
				on := w.slow("events")
				time.Sleep(time.Second)
				w.send(event("events", "bob", "Launch"), event("events", "cid", "Launch"))
				if err := w.cluster.DeleteRecords("events", 0, 2); err != nil {
					t.Fatal(err)
				}
				on()
				time.Sleep(20 * time.Second)
				w.expect("ann", "launch 0")
				w.expect("bob")
				var gap *lane.GapError
				status := p.Status()
				if stopped := len(status) == 1 && status[0].Phase == "stopped" && errors.As(status[0].Err, &gap); stopped == skip {
					t.Errorf("status %+v", status)
				}
				if skip {
					w.expect("cid", "launch 6000")
				} else if gap == nil || gap.Position != 1 || gap.First != 2 || gap.Topic != "events" {
					t.Errorf("gap %+v", gap)
				}
				p.stop()
			})
		})
	}
}

// Stream time is kept with the state: a restart goes on from it where it cannot move.
func TestStreamTimeIsKept(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		p := w.launch(vfs.NewCrashableMem())
		w.send(event("events", "ann", "Other"))
		time.Sleep(20 * time.Second)
		foreign := w.foreign(event("events", "ann", "Other"))
		time.Sleep(20 * time.Second)
		before := p.position(0).Stream
		if behind := time.Since(time.UnixMilli(before)); behind < 20*time.Second || behind > 22*time.Second {
			t.Errorf("stream time is %s behind", behind)
		}
		p = w.launch(p.stop())
		time.Sleep(20 * time.Second)
		if at := p.position(0); at.Inputs["events"] != 1 || at.Stream != before {
			t.Errorf("position %+v, stream time was %d", at, before)
		}
		if behind, _ := p.metric("tripline_processor_stream_time_behind_seconds"); behind < 40 || behind > 42 {
			t.Errorf("stream time is %v s behind", behind)
		}
		foreign.Close()
		p.stop()
	})
}

// The running arrival is kept with the state: a record that its producer has dated back does not take it back after a restart either.
func TestArrivalIsKept(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		p := w.launch(vfs.NewCrashableMem())
		time.Sleep(2 * time.Minute)
		w.send(event("events", "ann", "Other"))
		time.Sleep(5 * time.Second)
		before := p.position(0).Arrival
		for range 2 {
			p = w.launch(p.stop())
			w.send(at(event("events", "ann", "Other"), epoch.Add(time.Minute)))
			time.Sleep(5 * time.Second)
			if now := p.position(0).Arrival; now != before || now != epoch.Add(2*time.Minute).UnixMilli() {
				t.Errorf("arrival %s, before %s", since(now), since(before))
			}
		}
		p.stop()
	})
}
