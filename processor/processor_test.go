//go:build synctests

package processor

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A watch fires when its moment has passed, though nothing happens any more, and not before.
func TestTimerWithoutEvents(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		p := w.launch(vfs.NewCrashableMem())
		w.send(event("events", "ann", "Cart"), event("events", "bob", "Cart"), event("events", "bob", "Paid"))
		began := time.Now()
		time.Sleep(time.Minute - time.Since(began))
		w.expect("ann")
		time.Sleep(time.Second)
		w.expect("ann", "cart 60000")
		w.expect("bob")
		time.Sleep(5 * time.Minute)
		w.expect("ann", "cart 60000")
		w.whole()
		p.stop()
	})
}
