//go:build synctests

package sink

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tripline/tripline/sink/outbox"
)

// kept is how many deliveries have ever been written into rows.
func (w *world) kept() int {
	kept := map[string]bool{}
	for _, r := range w.read("g-sink-changelog") {
		if key, err := outbox.Waits(r.Key); err == nil && key != "" {
			kept[key] = true
		}
	}
	return len(kept)
}

// TestSwift holds that the backlog of an endpoint that takes it quickly waits in `triggers` and not in rows, and that when it does not take
// it any more all is read nevertheless: what comes for others, and what then waits in rows.
func TestSwift(t *testing.T) {
	const n = 4000
	inWorld(t, func(t *testing.T, w *world) {
		var hangs atomic.Bool
		ops, other := w.receive("ops", nil), w.receive("other", nil)
		p := w.launch(nil, w.simple(ops, other), func(c *Config) { c.Memory = 1 }) // room for some hundreds
		w.send(many(n, "swift", "ops")...)
		w.until("all", func() bool { return w.finals()["delivered"] == n })
		if kept := w.kept(); kept > n/4 {
			t.Errorf("%d of %d were written into rows", kept, n)
		}
		ops.change(func(_ int, _ got, rw http.ResponseWriter) {
			if hangs.Load() {
				time.Sleep(30 * time.Second)
			}
		})
		w.send(many(n, "again", "ops")...) // it is swift when the first that hangs come
		hangs.Store(true)
		w.send(append(many(n, "hangs", "ops"), trigger("trg_a", "a", "other"), trigger("trg_b", "b", "other"))...)
		w.until("the other one's", func() bool { return len(other.requests()) == 2 })
		for _, g := range other.requests() {
			if took := g.at.Sub(ops.requests()[len(ops.requests())-1].at); took > 2*time.Second {
				t.Errorf("%s came %s after the last that the one that hangs got", g.id, took)
			}
		}
		w.until("what waits has rows", func() bool { return p.sink.outlet("ops").waiting.Load() >= n })
		p.stop()
	})
}
