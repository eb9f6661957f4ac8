//go:build synctests

package sink

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/sink/control"
	"github.com/tripline/tripline/sink/policy"
)

// many are n triggers of as many users.
func many(n int, name, endpoint string) (records []*kgo.Record) {
	for i := range n {
		records = append(records, trigger(fmt.Sprintf("trg_%s_%d", name, i), fmt.Sprint(name, i), endpoint))
	}
	return records
}

// TestBreaker holds that an endpoint that fails gets one attempt per look while its breaker is open, of the oldest that waits, that
// this is not one of its schedule, that nothing becomes a dead letter however long it lasts, and that all is delivered when it is back.
func TestBreaker(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops, other := w.receive("ops", status(503)), w.receive("other", nil)
		e := ops.endpoint()
		e.Retry = policy.Backoff{Schedule: []int64{20_000}}
		e.Breaker = policy.Breaking{FailureRate: 0.5, MinSamples: 20, Window: 30_000, Open: 30_000}
		p := w.launch(nil, w.plan([]Endpoint{e, other.endpoint()}, delivers("c", to(ops), to(other))))
		w.send(many(20, "old", "ops")...)
		w.until("twenty failed", func() bool { return len(ops.requests()) == 20 })
		time.Sleep(time.Second)
		w.send(many(30, "new", "ops")...)
		w.send(many(30, "other", "other")...)
		w.until("the other one's are delivered", func() bool { return len(other.requests()) == 30 })
		time.Sleep(10 * time.Minute)
		looks := ops.requests()[20:]
		if n := len(looks); n < 18 || n > 21 {
			t.Errorf("%d looks in 10 minutes", n)
		}
		for i, g := range looks {
			if i > 0 && g.at.Sub(looks[i-1].at) < 30*time.Second {
				t.Errorf("look %d came %s after the one before", i, g.at.Sub(looks[i-1].at))
			}
			if len(g.id) < 7 || g.id[:7] != "trg_old" {
				t.Errorf("look %d is of %s, which is not the oldest", i, g.id)
			}
		}
		if letters := w.read("dead-letters"); len(letters) != 0 {
			t.Errorf("%d dead letters of an open breaker", len(letters))
		}
		ops.change(nil)
		w.until("all is delivered", func() bool { return w.finals()["delivered"] == 80 })
		p.stop()
	})
}

// TestBreakerNone holds that without a breaker every delivery keeps to its schedule.
func TestBreakerNone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", status(503))
		e := ops.endpoint()
		e.Retry = policy.Backoff{Schedule: []int64{20_000}}
		p := w.launch(nil, w.plan([]Endpoint{e}, delivers("c", to(ops))))
		w.send(many(50, "a", "ops")...)
		w.until("all have failed", func() bool { return w.finals()["failed"] == 50 })
		if n := len(ops.requests()); n != 100 {
			t.Errorf("%d requests", n)
		}
		p.stop()
	})
}

// TestRateLimit holds that two sinks together keep to the rate, whoever has the partitions.
func TestRateLimit(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", nil)
		e := ops.endpoint()
		e.Limit = policy.Limit{PerSecond: 10, Burst: 5}
		plan := w.plan([]Endpoint{e}, delivers("c", to(ops)))
		p, q := w.launch(nil, plan), w.launch(nil, plan)
		time.Sleep(30 * time.Second)
		w.send(many(300, "a", "ops")...)
		time.Sleep(10 * time.Second)
		q.stop()
		w.until("all are delivered", func() bool { return w.finals()["delivered"] == 300 })
		all := ops.requests()
		for i := range all {
			for j := i + 1; j < len(all); j++ {
				if most := 5 + 10*all[j].at.Sub(all[i].at).Seconds(); float64(j-i) > most+2 {
					t.Fatalf("%d requests in %s", j-i+1, all[j].at.Sub(all[i].at))
				}
			}
		}
		if took := all[len(all)-1].at.Sub(all[0].at); took > 2*time.Minute {
			t.Errorf("300 requests at 10/s took %s", took)
		}
		p.stop()
	})
}

// TestSlowing holds that an endpoint that complains gets half, and what it got before when it has not for a while.
func TestSlowing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		busy := true
		ops := w.receive("ops", nil)
		p := w.launch(nil, w.simple(ops))
		count := func(seconds int) int {
			n := len(ops.requests())
			time.Sleep(time.Duration(seconds) * time.Second)
			return len(ops.requests()) - n
		}
		for i := range 100 { // 10 a second
			w.send(trigger(fmt.Sprintf("trg_warm_%d", i), "u", "ops"))
			time.Sleep(100 * time.Millisecond)
		}
		ops.change(func(_ int, g got, rw http.ResponseWriter) {
			if busy {
				busy = false
				rw.WriteHeader(429)
			}
		})
		w.send(trigger("trg_complains", "u", "ops"))
		time.Sleep(time.Second)
		w.send(many(1000, "a", "ops")...)
		if n := count(8); n < 35 || n > 45 {
			t.Errorf("%d requests in 8 s of half of 10/s", n)
		}
		w.until("it has come back", func() bool { return w.finals()["delivered"] == 1101 })
		w.send(many(300, "b", "ops")...)
		time.Sleep(5 * time.Second)
		if n := len(ops.requests()); n != 1402 { // one of them twice
			t.Errorf("%d requests 5 s after the limit ended", n)
		}
		p.stop()
	})
}

// TestHeldIdle holds that what is held at its endpoint gets a row and lets the position go on, though nothing else happens: so it
// counts as waiting, and a crash does not read the topic again from there.
func TestHeldIdle(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", nil)
		p := w.launch(nil, w.simple(ops))
		time.Sleep(30 * time.Second)
		w.send(control.State{Endpoint: "ops", State: control.Paused}.Record("g-sink-control"))
		time.Sleep(5 * time.Second)
		w.send(trigger("trg_1", "u", "ops"))
		time.Sleep(3 * time.Second)
		if n, waiting := p.rows('w'), p.sink.outlet("ops").waiting.Load(); n != 1 || waiting != 1 {
			t.Errorf("%d rows, %d waiting", n, waiting)
		}
		w.send(trigger("trg_2", "u", "ops")) // beside a flight that has a row
		time.Sleep(3 * time.Second)
		if n := p.rows('w'); n != 2 {
			t.Errorf("%d rows", n)
		}
		w.send(control.State{Endpoint: "ops", State: control.Active}.Record("g-sink-control"))
		w.expect("trg_1", "1 delivered 200")
		w.expect("trg_2", "1 delivered 200")
		p.stop()
	})
}

// TestPaused holds that what is for an endpoint that somebody has paused waits, in a sink that runs and in one that starts, and goes
// on when that ends.
func TestPaused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops, other := w.receive("ops", nil), w.receive("other", nil)
		p := w.launch(nil, w.simple(ops, other))
		w.send(trigger("trg_before", "u", "ops"))
		w.expect("trg_before", "1 delivered 200")
		w.send(control.State{Endpoint: "ops", State: control.Paused, Cause: "test"}.Record("g-sink-control"))
		time.Sleep(5 * time.Second)
		w.send(trigger("trg_paused", "u", "ops"), trigger("trg_other", "u", "other"))
		w.expect("trg_other", "1 delivered 200")
		p = w.launch(p.crash(), w.simple(ops, other))
		time.Sleep(time.Hour)
		if n := len(ops.requests()); n != 1 {
			t.Errorf("%d requests", n)
		}
		w.send(control.State{Endpoint: "ops", State: control.Active}.Record("g-sink-control"))
		w.expect("trg_paused", "1 delivered 200")
		p.stop()
	})
}

// TestQueueIsTakenInOrder holds that what has no room in memory is taken out of its queue when there is some, in the order in which it
// came, and is not written again for that.
func TestQueueIsTakenInOrder(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", func(_ int, _ got, rw http.ResponseWriter) { time.Sleep(10 * time.Millisecond) })
		e := ops.endpoint()
		e.MaxInFlight = 1
		p := w.launch(nil, w.plan([]Endpoint{e}, delivers("c", to(ops))), func(c *Config) { c.Memory = 1 })
		var records []*kgo.Record
		for i := range 600 {
			records = append(records, padded(fmt.Sprintf("trg_%03d", i), "u", "ops", 5_000))
		}
		w.send(records...)
		w.until("all", func() bool { time.Sleep(time.Second); return w.finals()["delivered"] == 600 })
		for i, g := range ops.requests() {
			if want := fmt.Sprintf("trg_%03d", i); g.id != want {
				t.Fatalf("request %d is of %s", i, g.id)
			}
		}
		// Of each delivery: its row and its record, both deleted again, and that it has ended.
		if n := len(w.read("g-sink-changelog")); n > 6*600+400 {
			t.Errorf("%d records in the changelog", n)
		}
		p.stop()
	})
}
