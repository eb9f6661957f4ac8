//go:build synctests

package sink

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tripline/tripline/sink/control"
)

// warnings are the percentages that processes have warned of.
func warnings(processes ...*process) (percents []int64) {
	for _, p := range processes {
		for _, entry := range p.logs.FilterMessageSnippet("endpoint fails").All() {
			percents = append(percents, entry.ContextMap()["percent"].(int64))
		}
	}
	slices.Sort(percents)
	return percents
}

// failing is an endpoint that is disabled after forty minutes, and triggers of several users, in both partitions, that are retried.
func (w *world) failing(r *receiver) *Plan {
	e := r.endpoint()
	e.DisableAfter, e.Retry.Schedule = 40*60_000, slices.Repeat([]int64{100_000}, 60)
	return w.plan([]Endpoint{e}, delivers("c", to(r)))
}

// TestDisableAfter holds that an endpoint without a success for disable_after is disabled for all sinks, what waits and what comes
// fails with a dead letter, there is one warning each at 50, 70 and 90 percent, and the clock outlives crashes.
func TestDisableAfter(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", status(500))
		plan := w.failing(ops)
		p, q := w.launch(nil, plan), w.launch(nil, plan)
		time.Sleep(10 * time.Second)
		w.send(many(8, "a", "ops")...)
		w.until("a first attempt", func() bool { return len(ops.requests()) > 0 })
		began := time.Now()
		time.Sleep(13 * time.Minute)
		p2 := w.launch(p.crash(), plan)
		time.Sleep(10 * time.Minute)
		q2 := w.launch(q.crash(), plan)
		w.until("all fail", func() bool { time.Sleep(30 * time.Second); return w.finals()["failed"] == 8 })
		if after := time.Since(began); after < 40*time.Minute || after > 43*time.Minute {
			t.Errorf("disabled after %s", after)
		}
		for _, sink := range []*process{p, q, p2, q2} { // two that attempt in the same millisecond both warn
			if got := warnings(sink); len(slices.Compact(slices.Clone(got))) != len(got) {
				t.Errorf("warned of %v", got)
			}
		}
		if got := slices.Compact(warnings(p, q, p2, q2)); fmt.Sprint(got) != "[50 70 90]" {
			t.Errorf("warned of %v", got)
		}
		w.send(trigger("trg_next", "u", "ops"))
		w.expect("trg_next", "0 failed disabled")
		for id, records := range w.deliveries() {
			if last := records[len(records)-1]; last.Reason != "disabled" {
				t.Errorf("%s: %s", id, short(records))
			}
		}
		if letters := w.read("dead-letters"); len(letters) != 9 {
			t.Errorf("%d dead letters", len(letters))
		}
		said := ""
		for _, r := range w.read("g-sink-control") {
			if s, err := control.Parse(r); err == nil && s.State == control.Disabled {
				said += s.Cause + " "
			}
		}
		if n := strings.Count(said, "disable_after "); n < 1 || n > 2 || len(said) != n*len("disable_after ") {
			t.Errorf("the control topic says: %s", said)
		}
		// Resumed, it has all of its time again.
		ops.change(nil)
		w.send(control.State{Endpoint: "ops", State: control.Active, Time: time.Now().UTC().Format(time.RFC3339)}.Record("g-sink-control"))
		time.Sleep(2 * time.Second)
		w.send(trigger("trg_resumed", "u", "ops"))
		w.expect("trg_resumed", "1 delivered 200")
		p2.stop()
		q2.stop()
	})
}

// TestDisableAfterSuccess holds that one success, at whichever sink, begins the time anew for all.
func TestDisableAfterSuccess(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", func(_ int, g got, rw http.ResponseWriter) {
			if g.id != "trg_good" {
				rw.WriteHeader(500)
			}
		})
		plan := w.failing(ops)
		p, q := w.launch(nil, plan), w.launch(nil, plan)
		time.Sleep(10 * time.Second)
		w.send(many(8, "a", "ops")...)
		time.Sleep(37 * time.Minute)
		w.send(trigger("trg_good", "u", "ops"))
		w.expect("trg_good", "1 delivered 200")
		time.Sleep(37 * time.Minute)
		if n := w.finals()["failed"]; n != 0 {
			t.Errorf("%d have failed", n)
		}
		for _, sink := range []*process{p, q} {
			if got := warnings(sink); len(got) > 6 {
				t.Errorf("warned of %v", got)
			}
		}
		if got := slices.Compact(warnings(p, q)); fmt.Sprint(got) != "[50 70 90]" {
			t.Errorf("warned of %v", got)
		}
		w.until("all fail", func() bool { time.Sleep(30 * time.Second); return w.finals()["failed"] == 8 })
		p.stop()
		q.stop()
	})
}

// TestRetryAfterForAll holds that what an endpoint asked of one sink holds for the others, and for one that starts on an empty disk, first
// attempts included; not for the endpoint as it is configured anew, and that a short wait is not told.
func TestRetryAfterForAll(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		asks := func(wait string) func(int, got, http.ResponseWriter) {
			return func(_ int, _ got, rw http.ResponseWriter) {
				rw.Header().Set("Retry-After", wait)
				rw.WriteHeader(429)
			}
		}
		ops := w.receive("ops", asks("3"))
		plan := w.simple(ops)
		p, q := w.launch(nil, plan), w.launch(nil, plan)
		time.Sleep(30 * time.Second)
		w.send(trigger("trg_short", "u", "ops"))
		w.until("a request", func() bool { return len(ops.requests()) == 1 })
		time.Sleep(time.Second)
		if records := w.read("g-sink-control"); len(records) != 0 {
			t.Errorf("%s is told", records[0].Value)
		}
		ops.change(asks("1800"))
		w.until("another one", func() bool { return len(ops.requests()) == 2 })
		asked := ops.requests()[1].at
		time.Sleep(time.Second)
		ops.change(nil)
		w.send(many(10, "a", "ops")...) // to both
		time.Sleep(time.Minute)
		q.crash()
		q = w.launch(nil, plan)
		w.send(many(10, "b", "ops")...)
		w.until("all are delivered", func() bool { return w.finals()["delivered"] == 21 })
		for _, g := range ops.requests()[2:] {
			if gap := g.at.Sub(asked); gap < 1799*time.Second {
				t.Errorf("%s came %s after the answer", g.id, gap)
			}
		}
		if records := w.read("g-sink-control"); len(records) != 1 {
			t.Errorf("%d records", len(records))
		}

		ops.change(asks("3600"))
		n := len(ops.requests())
		w.send(trigger("trg_long", "u", "ops"))
		w.until("a request", func() bool { return len(ops.requests()) == n+1 })
		ops.change(nil)
		time.Sleep(time.Second)
		e := ops.endpoint()
		e.URL += "/elsewhere"
		p.stop()
		p = w.launch(nil, w.plan([]Endpoint{e}, delivers("c", to(ops))))
		q.stop()
		w.send(trigger("trg_new", "v", "ops"))
		w.expect("trg_new", "1 delivered 200")
		p.stop()
	})
}
