//go:build synctests

package sink

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

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

// TestReadAhead holds that what is behind the backlog of a swift endpoint does not wait for that to be sent, in a sink that crashes meanwhile
// too: each trigger ends once, and one that came behind an erasure is not erased by it.
func TestReadAhead(t *testing.T) {
	const n = 4000
	for _, crashes := range []bool{false, true} {
		t.Run(fmt.Sprint(crashes), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				swift := w.receive("swift", func(int, got, http.ResponseWriter) { time.Sleep(7 * time.Millisecond) }) // 4,500 a second
				other := w.receive("other", func(n int, g got, rw http.ResponseWriter) {
					if g.id == "trg_back" && n == 1 {
						time.Sleep(5 * time.Second) // until the position is behind the erasure
						rw.WriteHeader(503)
					}
				})
				plan, little := w.simple(swift, other), func(c *Config) {
					if c.Memory = 1; !crashes {
						c.Dedupe = 200 // ms: less than the position takes to what was read ahead of it
					}
				}
				p := w.launch(nil, plan, little)
				w.send(many(n, "first", "swift")...)
				w.send(&kgo.Record{Topic: "triggers", Key: []byte("back")})
				w.send(append(many(n, "second", "swift"), trigger("trg_back", "back", "other"))...)
				w.send(many(50, "other", "other")...)
				w.until("the other one's", func() bool { return len(other.requests()) >= 51 })
				if sent := len(swift.requests()); sent > n {
					t.Errorf("the other one's came when %d of %d were sent that stood before them", sent, 2*n)
				}
				back := "1 retry 503, 2 delivered 200"
				if crashes {
					time.Sleep(200 * time.Millisecond) // for what has ended to be committed
					p, back = w.launch(p.crash(), plan, little), "1 delivered 200"
				}
				w.until("all", func() bool { return w.finals()["delivered"] == 2*n+51 })
				if kept := w.kept(); kept > n {
					t.Errorf("%d of %d were written into rows", kept, 2*n)
				}
				all := w.deliveries()
				for _, g := range other.requests() {
					if got := short(all[g.id]); got != "1 delivered 200" && (g.id != "trg_back" || got != back) {
						t.Errorf("%s: %s", g.id, got)
					}
				}
				if sent := len(other.requests()); sent != 52 {
					t.Errorf("%d requests", sent)
				}
				p.stop()
			})
		})
	}
}
