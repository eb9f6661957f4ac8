//go:build synctests

package processor

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// What waits leaves when its delay has passed, though nothing happens any more. What an outage's backlog has dropped does not,
// and the goal of a trigger is known after the outage as before.
func TestDelayOverAnOutage(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		p := w.launch(vfs.NewCrashableMem())
		w.send(event("events", "dan", "Order"))
		began := time.Now()
		time.Sleep(time.Minute - time.Since(began))
		w.expect("dan")
		time.Sleep(time.Second)
		w.expect("dan", "order 0")
		for _, user := range people[:3] {
			w.send(at(event("events", user, "Order"), began.Add(61*time.Second)))
		}
		time.Sleep(10 * time.Second)
		disk := p.stop()
		w.send(event("events", "ann", "Refund"))
		time.Sleep(time.Hour)
		w.send(event("events", "bob", "Refund"), event("events", "dan", "Review")) // the refund is too late
		p = w.launch(disk)
		time.Sleep(10 * time.Second)
		w.expect("ann")
		w.expect("bob", "order 61000")
		w.expect("cid", "order 61000")
		if n := len(w.read("decisions")); n != 2 {
			t.Errorf("%d decisions, expected that ann's order was exited and dan's converted", n)
		}
		w.send(event("events", "bob", "Review"))
		time.Sleep(10 * time.Second)
		if n := len(w.read("decisions")); n != 3 {
			t.Errorf("%d decisions after the next conversion, expected 3", n)
		}
		w.whole()
		p.stop()
	})
}
