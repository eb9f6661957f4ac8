//go:build synctests

package processor

import (
	"bytes"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A set that comes while the cycle is committed which has set timers and passed them waits until these have fired: they were due before it.
func TestFollowBehindDue(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.make("first", watch("cart", "Cart", "Paid", 10), watch("gone", "Cart", "Paid", 12))
		w.make("second", watch("cart", "Cart", "Paid", 60), each("new", "Launch"))
		p := w.launch(vfs.NewCrashableMem(), with(w, "first"))
		time.Sleep(5 * time.Second)
		on := w.slow("events")
		w.send(event("events", "ann", "Cart"))
		time.Sleep(15 * time.Second) // the log end is known, and not what is before it
		var came atomic.Bool
		w.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			for _, topic := range req.(*kmsg.ProduceRequest).Topics {
				for _, part := range topic.Partitions {
					if bytes.Contains(part.Records, []byte("ann")) && !came.Swap(true) {
						p.follow("second")
					}
				}
			}
			return nil, nil, false
		})
		on()
		time.Sleep(time.Minute)
		if list := w.triggers()["ann"]; !came.Load() || !slices.Equal(list, []string{"cart 15000", "gone 17000", "cart 65000"}) {
			t.Errorf("the set came: %t; %v", came.Load(), list)
		}
		if set := p.Sets()[0]; set.Version != w.texts["second"].Version() {
			t.Errorf("%+v", set)
		}
		p.stop()
	})
}
