//go:build synctests

package sink

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/sink/control"
	"github.com/tripline/tripline/sink/delivery"
	"github.com/tripline/tripline/sink/policy"
)

// inOrder is a plan with one endpoint that keeps an order.
func (w *world) inOrder(r *receiver, change ...func(*Endpoint)) *Plan {
	e := r.endpoint()
	e.InOrder = true
	for _, c := range change {
		c(&e)
	}
	return w.plan([]Endpoint{e}, delivers("c", to(r)))
}

// overtaken are the triggers, of a user's in the order in which they were sent, that were tried while one before them had no final
// record, unless their records say so.
func (w *world) overtaken(sent map[string][]string) (wrong []string) {
	w.t.Helper()
	all := w.deliveries()
	for _, ids := range sent {
		ended := int64(0)
		for _, id := range ids {
			records := all[id]
			for _, d := range records {
				if began := d.Time - d.Latency; d.Sent && began < ended != d.OutOfOrder {
					wrong = append(wrong, fmt.Sprintf("%s: attempt %d began at %d, the last before it ended at %d, out of order: %t", id, d.Attempt, began, ended, d.OutOfOrder))
				}
			}
			if len(records) == 0 || !records[len(records)-1].Final() {
				wrong = append(wrong, id+" has not ended")
				continue
			}
			ended = max(ended, records[len(records)-1].Time)
		}
	}
	return wrong
}

// several are n triggers of each of some users, by turns; sent are their ids by user.
func several(users, n int, endpoint string, sent map[string][]string, padding int) (records []*kgo.Record) {
	for range n {
		for u := range users {
			user := fmt.Sprint("user", u)
			id := fmt.Sprintf("trg_%d_%d", u, len(sent[user]))
			sent[user] = append(sent[user], id)
			records = append(records, padded(id, user, endpoint, padding))
		}
	}
	return records
}

// TestOrder holds that a user's triggers go one after another, in their order, over retries, and that no user waits for another.
func TestOrder(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", func(n int, g got, rw http.ResponseWriter) {
			time.Sleep(50 * time.Millisecond)
			if strings.HasPrefix(g.id, "trg_0_") && n < 3 {
				rw.WriteHeader(500)
			}
		})
		p := w.launch(nil, w.inOrder(ops))
		sent := map[string][]string{}
		w.send(several(20, 5, "ops", sent, 0)...)
		w.until("all but one user's", func() bool { return w.finals()["delivered"] >= 95 })
		if w.finals()["delivered"] != 95 {
			t.Error("the others waited for the user whose triggers fail")
		}
		w.until("all", func() bool { time.Sleep(10 * time.Second); return w.finals()["delivered"] == 100 })
		if wrong := w.overtaken(sent); wrong != nil {
			t.Errorf("out of order:\n%s", strings.Join(wrong, "\n"))
		}
		for id, records := range w.deliveries() {
			if want := map[bool]string{true: "1 retry 500, 2 retry 500, 3 delivered 200", false: "1 delivered 200"}[strings.HasPrefix(id, "trg_0_")]; short(records) != want {
				t.Errorf("%s: %s", id, short(records))
			}
		}
		if n := p.rows('t') + p.rows('w'); n != 0 {
			t.Errorf("%d rows are left", n)
		}
		p.stop()
	})
}

// TestOrderHolds holds that the order outlives crashes, another sink that joins, a breaker that opens, a pause, and queues in state.
func TestOrderHolds(t *testing.T) {
	for _, padding := range []int{0, 20_000} {
		inWorld(t, func(t *testing.T, w *world) {
			ops := w.receive("ops", status(503))
			plan := w.inOrder(ops, func(e *Endpoint) {
				e.Breaker = policy.Breaking{FailureRate: 0.5, MinSamples: 4, Window: 30_000, Open: 30_000}
				e.Retry = policy.Backoff{Schedule: slices.Repeat([]int64{7_000}, 50), Jitter: 0.2}
				e.OrderTimeout = 24 * 3600_000
				e.MaxInFlight = 3
			})
			little := func(c *Config) { c.Memory = 1 }
			p, q := w.launch(nil, plan, little), w.launch(nil, plan, little)
			sent := map[string][]string{}
			disk := func() *vfs.MemFS { return nil }
			for i := range 6 {
				w.send(several(6, 4, "ops", sent, padding)...)
				time.Sleep(20 * time.Second)
				settled(w, []*process{p, q})
				switch i {
				case 0:
					disk := p.crash()
					p = w.launch(disk, plan, little)
				case 1:
					q.crash()
					q = w.launch(disk(), plan, little)
				case 2:
					ops.change(func(n int, _ got, rw http.ResponseWriter) {
						if time.Sleep(20 * time.Millisecond); n == 1 {
							rw.WriteHeader(500)
						}
					})
				case 3:
					w.send(control.State{Endpoint: "ops", State: control.Paused}.Record("g-sink-control"))
					disk := q.stop()
					q = w.launch(disk, plan, little)
				case 4:
					w.send(control.State{Endpoint: "ops", State: control.Active}.Record("g-sink-control"))
				}
			}
			w.until("all", func() bool { time.Sleep(20 * time.Second); return w.finals()["delivered"] == 6*6*4 })
			if wrong := w.overtaken(sent); wrong != nil {
				t.Errorf("out of order:\n%s", strings.Join(wrong, "\n"))
			}
			p.stop()
			q.stop()
		})
	}
}

// TestOrderTimeout holds that what could have been sent for ten minutes goes ahead of what keeps failing, says so, and keeps its
// own order; that its clock outlives a crash and stands while the endpoint is paused.
func TestOrderTimeout(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", func(_ int, g got, rw http.ResponseWriter) {
			if g.id == "trg_1" || g.id == "trg_2" {
				rw.WriteHeader(500)
			}
		})
		plan := w.inOrder(ops, func(e *Endpoint) { e.Retry.Schedule = slices.Repeat([]int64{4 * 60_000}, 20) })
		p := w.launch(nil, plan)
		w.send(trigger("trg_1", "u", "ops"))
		time.Sleep(time.Second)
		began := time.Now()
		w.send(trigger("trg_2", "u", "ops"), trigger("trg_3", "u", "ops"))
		time.Sleep(5 * time.Minute)
		w.send(trigger("trg_4", "u", "ops"))
		w.send(control.State{Endpoint: "ops", State: control.Paused}.Record("g-sink-control"))
		time.Sleep(30 * time.Minute)
		p = w.launch(p.crash(), plan)
		time.Sleep(30 * time.Minute)
		if n := len(ops.requests()); n != 2 {
			t.Errorf("%d requests before the endpoint is resumed", n)
		}
		w.send(control.State{Endpoint: "ops", State: control.Active}.Record("g-sink-control"))
		w.until("the second", func() bool { time.Sleep(5 * time.Second); return len(w.deliveries()["trg_2"]) == 1 })
		if after := time.Since(began); after < 69*time.Minute || after > 72*time.Minute {
			t.Errorf("it went ahead after %s, an hour of which was a pause", after)
		}
		w.until("the fourth", func() bool { time.Sleep(5 * time.Second); return len(w.deliveries()["trg_4"]) == 1 })
		if after := time.Since(began); after < 74*time.Minute || after > 77*time.Minute {
			t.Errorf("the fourth went ahead after %s", after)
		}
		ops.change(nil)
		w.until("all", func() bool { time.Sleep(5 * time.Second); return w.finals()["delivered"] == 4 })
		all := w.deliveries()
		for id, ahead := range map[string]bool{"trg_2": true, "trg_3": true, "trg_4": true} {
			if all[id][0].OutOfOrder != ahead {
				t.Errorf("%s: %+v", id, all[id][0])
			}
		}
		for _, d := range all["trg_1"] {
			if d.OutOfOrder {
				t.Errorf("the first is said to be out of order: %+v", d)
			}
		}
		if second, third := all["trg_2"][0], all["trg_3"][0]; third.Time < second.Time {
			t.Error("the third went before the second")
		}
		p.stop()
	})
}

// TestOrderEnds holds that any final outcome lets the next one go.
func TestOrderEnds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", func(_ int, g got, rw http.ResponseWriter) {
			switch g.id {
			case "trg_final":
				rw.WriteHeader(422)
			case "trg_retried", "trg_erased_1", "trg_erased_2":
				rw.WriteHeader(500)
			}
		})
		d := to(ops)
		d.Body = `{% if Trigger.id == "trg_aborted" %}{% abort "no" %}{% endif %}{}`
		expires := campaign.Duration(20 * 60_000)
		d.Expires = &expires
		e := ops.endpoint()
		e.InOrder = true
		p := w.launch(nil, w.plan([]Endpoint{e}, delivers("c", d)))
		w.send(trigger("trg_final", "u", "ops"), trigger("trg_aborted", "u", "ops"), trigger("trg_ok", "u", "ops"), trigger("trg_retried", "u", "ops"), trigger("trg_last", "u", "ops"))
		w.send(trigger("trg_erased_1", "v", "ops"), trigger("trg_erased_2", "v", "ops"))
		time.Sleep(3 * time.Second)
		w.send(&kgo.Record{Topic: "triggers", Key: []byte("v")}, trigger("trg_after", "v", "ops"))
		w.expect("trg_final", "1 failed 422")
		w.expect("trg_aborted", "0 dropped aborted")
		w.expect("trg_ok", "1 delivered 200")
		w.expect("trg_erased_1", "1 retry 500, 1 dropped erased")
		w.expect("trg_erased_2", "0 dropped erased")
		w.expect("trg_after", "1 delivered 200")
		w.expect("trg_retried", "1 retry 500, 2 retry 500, 3 retry 500, 4 failed 500")
		w.expect("trg_last", "1 delivered 200")
		var last delivery.Record
		if last = w.deliveries()["trg_last"][0]; last.OutOfOrder != (last.Time < w.deliveries()["trg_retried"][3].Time) {
			t.Errorf("%+v", last)
		}
		if n := p.rows('t') + p.rows('w'); n != 0 {
			t.Errorf("%d rows are left", n)
		}
		p.stop()
	})
}
