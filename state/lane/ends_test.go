//go:build synctests

package lane

import (
	"context"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// running starts a process and returns the lane of its first cycle.
func (w *bubble) running(t *testing.T) (*process, *Lane) {
	t.Helper()
	lanes := make(chan *Lane, 100)
	p := w.launch(vfs.NewCrashableMem(), func(p *process, _ *Config) {
		p.override = func(ctx context.Context, l *Lane) error {
			lanes <- l
			return p.loop(ctx, l)
		}
	})
	return p, <-lanes
}

// TestEndsRefused has a broker that does not know replica id -2.
func TestEndsRefused(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *bubble) {
		w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: w.in, Err: kerr.UnsupportedVersion, Count: -1,
			When: func(req kmsg.Request) bool { return req.(*kmsg.ListOffsetsRequest).ReplicaID == asDebugging }})
		p, lane := w.running(t)
		w.send(1, users...)
		ends, err := lane.Ends(context.Background())
		if err != nil || len(ends) != 1 || ends[0].Exact || ends[0].Offset != 8 {
			t.Errorf("%v, %v, expected the high watermark 8", ends, err)
		}
		w.settle()
		p.mustStop()
	})
}

// TestEndsOfMovedLeaders asks brokers that are no longer the leaders. What they
// would say is left out until the new ones are found, which is soon.
func TestEndsOfMovedLeaders(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *bubble) {
		// One that has not heard of its successor would answer a question without an epoch.
		open := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: w.in, Observe: true, Count: -1,
			When: func(req kmsg.Request) bool {
				asked := req.(*kmsg.ListOffsetsRequest)
				return asked.ReplicaID == asDebugging && asked.Topics[0].Partitions[0].CurrentLeaderEpoch < 0
			}})
		p, lane := w.running(t)
		w.send(1, users...)
		w.settle()
		at := lane.Partitions()[0].Number
		for node := range int32(3) {
			if err := w.cluster.MoveTopicPartition(w.in, at, node); err != nil {
				t.Fatal(err)
			}
			var ends []End
			for range 10 {
				var err error
				if ends, err = lane.Ends(context.Background()); err != nil {
					t.Fatal(err)
				}
				if len(ends) > 0 {
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
			if high := w.cluster.PartitionInfo(w.in, at).HighWatermark; len(ends) != 1 || ends[0].Offset != high || !ends[0].Exact {
				t.Errorf("ends %v with the leader on node %d, expected %d", ends, node, high)
			}
		}
		w.settle()
		p.mustStop()
		if open.Hits() > 0 {
			t.Errorf("%d questions were without a leader epoch", open.Hits())
		}
	})
}

// TestEndsOfALeaderThatMovesMeanwhile: what a leader has said counts for nothing when another one is known by then.
func TestEndsOfALeaderThatMovesMeanwhile(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *bubble) {
		p, lane := w.running(t)
		w.send(1, users...)
		w.settle()
		heard := false // of the new one, before the answer: metadata may be asked for over the connection that waits
		for tries := 0; !heard && tries < 20; tries++ {
			w.cluster.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
				w.cluster.KeepControl()
				asked := req.(*kmsg.ListOffsetsRequest)
				if asked.ReplicaID != asDebugging || asked.Topics[0].Topic != w.in {
					return nil, nil, false
				}
				w.cluster.DropControl()
				w.cluster.SleepControl(func() {
					_, before, _ := lane.client.PartitionLeader(w.in, 0)
					if err := w.cluster.MoveTopicPartition(w.in, 0, (w.cluster.PartitionInfo(w.in, 0).Leader+1)%3); err != nil {
						t.Error(err)
					}
					lane.client.ForceMetadataRefresh()
					time.Sleep(1500 * time.Millisecond)
					_, now, err := lane.client.PartitionLeader(w.in, 0)
					heard = err == nil && now > before
				})
				return listed(asked, 8), nil, true
			})
			if ends, err := lane.Ends(context.Background()); heard && len(ends) != 0 || err != nil {
				t.Errorf("ends %v, %v", ends, err)
			}
			time.Sleep(5 * time.Second)
		}
		if !heard {
			t.Error("the new leader was never heard of")
		}
		p.mustStop()
	})
}

// TestPause takes a partition out of Poll and back, without loss.
func TestPause(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *bubble) {
		p, lane := w.running(t)
		lane.Pause(w.in, 0)
		w.send(3, users...)
		time.Sleep(5 * time.Second)
		if n := len(w.written()[0]); n != 0 {
			t.Errorf("%d records written of a paused partition", n)
		}
		lane.Resume(w.in, 0)
		time.Sleep(time.Second)
		if n := len(w.written()[0]); n != 24 {
			t.Errorf("%d records written a second after it was resumed, expected 24", n)
		}
		w.settle()
		p.mustStop()
	})
}
