//go:build synctests

package sink

import (
	"net/http"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestTraceparent holds that every attempt has the trace that came with the trigger, across a crash too, and so has the dead letter, from
// which a replay takes it; that an endpoint's own header goes before; and that without one there is none.
func TestTraceparent(t *testing.T) {
	const trace, state = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "rojo=00f067aa0ba902b7,congo=t61"
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", func(n int, g got, rw http.ResponseWriter) {
			if g.id == "trg_traced" {
				rw.WriteHeader(503)
			}
		})
		own := w.receive("own", nil)
		e, f := ops.endpoint(), own.endpoint()
		e.Retry.Schedule = []int64{5_000, 60_000}
		f.Headers = map[string]string{"traceparent": "mine"}
		plan := w.plan([]Endpoint{e, f}, delivers("c", to(ops), to(own)))
		p := w.launch(nil, plan)
		traced := func(r *kgo.Record) *kgo.Record {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: "traceparent", Value: []byte(trace)}, kgo.RecordHeader{Key: "tracestate", Value: []byte(state)})
			return r
		}
		w.send(traced(trigger("trg_traced", "u", "ops")), traced(trigger("trg_own", "u", "own")), trigger("trg_none", "u", "ops"))
		w.until("two attempts", func() bool { return len(w.deliveries()["trg_traced"]) == 2 })
		time.Sleep(time.Second)
		p = w.launch(p.crash(), plan)
		w.expect("trg_traced", "1 retry 503, 2 retry 503, 3 failed 503")
		for _, g := range append(ops.requests(), own.requests()...) {
			want := map[string]string{"trg_traced": trace, "trg_own": "mine"}[g.id]
			if got := g.header.Get("traceparent"); got != want {
				t.Errorf("%s came with the trace %q, want %q", g.id, got, want)
			}
			if got := g.header.Get("tracestate"); (got == state) != (want == trace) {
				t.Errorf("%s came with the trace %q and the state %q", g.id, want, got)
			}
		}
		letters := w.read("dead-letters")
		if len(letters) != 1 || header(letters[0], "traceparent") != trace || header(letters[0], "tracestate") != state {
			t.Errorf("%+v", letters)
		}
		p.stop()
	})
}
