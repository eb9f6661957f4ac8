//go:build synctests

package sink

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/sink/request"
)

// together is a plan with one endpoint whose deliveries go together.
func (w *world) together(r *receiver, b Batch, change ...func(*Endpoint, *campaign.Delivery)) *Plan {
	e, d := r.endpoint(), to(r)
	e.Batch = b
	for _, c := range change {
		c(&e, &d)
	}
	return w.plan([]Endpoint{e}, delivers("c", d))
}

// membersOf are the triggers of a request with the standard payload.
func membersOf(t *testing.T, g got) (ids []string) {
	t.Helper()
	var bodies []struct {
		Type string
		Data struct{ ID string }
	}
	if err := json.Unmarshal([]byte(g.body), &bodies); err != nil {
		t.Fatalf("%s: %v", g.body, err)
	}
	for _, b := range bodies {
		ids = append(ids, b.Data.ID)
	}
	return ids
}

// one is n triggers of one user, so that they are of one partition.
func one(n int, name string) (records []*kgo.Record) {
	for i := range n {
		records = append(records, trigger(fmt.Sprintf("trg_%s_%d", name, i), "u", "ops"))
	}
	return records
}

// TestBatch holds that triggers go together, up to as many as may and no longer than the first may wait, each with records of its own.
func TestBatch(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", nil)
		p := w.launch(nil, w.together(ops, Batch{Max: 3, Linger: 10_000}))
		time.Sleep(5 * time.Second)
		began := time.Now()
		w.send(one(7, "a")...)
		w.until("all", func() bool { return w.finals()["delivered"] == 7 })
		if after := time.Since(began); after < 10*time.Second || after > 11*time.Second {
			t.Errorf("the last waited %s for others", after)
		}
		var sizes []int
		all := w.deliveries()
		for _, g := range ops.requests() {
			ids := membersOf(t, g)
			sizes = append(sizes, len(ids))
			if g.id != request.BatchID(ids) || !strings.HasPrefix(g.id, "bat_") {
				t.Errorf("%s is the id of %v", g.id, ids)
			}
			for _, id := range ids {
				if d := all[id]; len(d) != 1 || d[0].Batch != g.id || short(d) != "1 delivered 200" {
					t.Errorf("%s: %+v", id, d)
				}
			}
		}
		if slices.Sort(sizes); fmt.Sprint(sizes) != "[1 3 3]" {
			t.Errorf("requests with %v", sizes)
		}
		if n := p.rows('s') + p.rows('w'); n != 0 {
			t.Errorf("%d rows are left", n)
		}
		p.stop()
	})
}

// TestBatchOfEquals holds that what has another url, and what is said to be sent again, goes by itself.
func TestBatchOfEquals(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", nil)
		p := w.launch(nil, w.together(ops, Batch{Max: 100, Linger: 1_000}, func(e *Endpoint, _ *campaign.Delivery) { e.URL += "/{{ User.id }}" }))
		records := append(several(3, 4, "ops", map[string][]string{}, 0), trigger("trg_again", "user0", "ops"))
		records[len(records)-1].Headers = []kgo.RecordHeader{{Key: "tripline-replay", Value: []byte("1")}}
		w.send(records...)
		w.until("all", func() bool { return w.finals()["delivered"] == 13 })
		for _, g := range ops.requests() {
			for _, id := range membersOf(t, g) {
				if id == "trg_again" != (g.header.Get("webhook-replay") == "1") || id != "trg_again" && !strings.HasSuffix(g.path, "/user"+id[4:5]) {
					t.Errorf("%s is in a request to %s", id, g.path)
				}
			}
		}
		if n := len(ops.requests()); n != 4 {
			t.Errorf("%d requests", n)
		}
		p.stop()
	})
}

// TestBatchKeepsItsMembers holds that a batch has the same members and the same id on every attempt, over crashes in mid attempt and
// while it waits, whatever comes beside it, and that all have the same outcome.
func TestBatchKeepsItsMembers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", func(_ int, _ got, rw http.ResponseWriter) { time.Sleep(20 * time.Second); rw.WriteHeader(500) })
		plan := w.together(ops, Batch{Max: 4, Linger: 2_000}, func(e *Endpoint, _ *campaign.Delivery) { e.Timeout = 60_000 })
		p := w.launch(nil, plan)
		time.Sleep(5 * time.Second)
		w.send(one(3, "a")...)
		w.until("it is sent", func() bool { return len(ops.requests()) == 1 })
		p = w.launch(p.crash(), plan)
		w.send(one(3, "b")...)
		w.until("both are retried", func() bool { time.Sleep(10 * time.Second); return len(w.deliveries()) == 6 })
		ops.change(status(500))
		p.crash()
		p = w.launch(nil, plan)
		w.until("all", func() bool { time.Sleep(10 * time.Second); return w.finals()["failed"] == 6 })
		ids := map[string]string{}
		for _, g := range ops.requests() {
			if body, ok := ids[g.id]; ok && body != g.body {
				t.Errorf("%s is\n%s\nand\n%s", g.id, body, g.body)
			}
			ids[g.id] = g.body
		}
		if len(ids) != 2 {
			t.Errorf("%d batches: %v", len(ids), ids)
		}
		for id, records := range w.deliveries() {
			if short(records) != "1 retry 500, 2 retry 500, 3 retry 500, 4 failed 500" {
				t.Errorf("%s: %s", id, short(records))
			}
			for _, d := range records {
				if ids[d.Batch] == "" || d.Batch != records[0].Batch {
					t.Errorf("%s was in %s", id, d.Batch)
				}
			}
		}
		if letters := w.read("dead-letters"); len(letters) != 6 {
			t.Errorf("%d dead letters", len(letters))
		}
		if n := p.rows('s') + p.rows('w'); n != 0 {
			t.Errorf("%d rows are left", n)
		}
		p.stop()
	})
}

// TestBatchLosesMembers holds that who is erased, expires or is dropped by a template is not sent with the others, which are another
// batch then.
func TestBatchLosesMembers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", func(_ int, g got, rw http.ResponseWriter) {
			if g.id != request.BatchID([]string{"trg_1"}) {
				rw.WriteHeader(500)
			}
		})
		expires := campaign.Duration(4 * 60_000)
		plan := w.together(ops, Batch{Max: 100, Linger: 1_000}, func(e *Endpoint, d *campaign.Delivery) {
			e.Retry.Schedule = []int64{60_000, 300_000}
			d.Expires = &expires
			d.Body = `{% if Trigger.id == "trg_aborted" %}{% abort "no" %}{% endif %}{"data":{"id":{{ Trigger.id | json }}}}`
		})
		p := w.launch(nil, plan)
		time.Sleep(5 * time.Second)
		old := trigger("trg_old", "u", "ops")
		time.Sleep(3 * time.Minute)
		w.send(old, trigger("trg_erased", "v", "ops"), trigger("trg_aborted", "u", "ops"), trigger("trg_1", "u", "ops"), trigger("trg_2", "v", "ops"))
		w.expect("trg_aborted", "0 dropped aborted")
		w.until("a first attempt", func() bool { return len(w.deliveries()["trg_erased"]) == 1 })
		w.send(&kgo.Record{Topic: "triggers", Key: []byte("v")})
		w.expect("trg_erased", "1 retry 500, 1 dropped erased")
		w.expect("trg_2", "1 retry 500, 1 dropped erased")
		w.expect("trg_old", "1 retry 500, 1 dropped expired")
		w.until("the last", func() bool { time.Sleep(time.Second); return w.finals()["delivered"] == 1 })
		requests := ops.requests()
		if last := requests[len(requests)-1]; fmt.Sprint(membersOf(t, last)) != "[trg_1]" || last.id != request.BatchID([]string{"trg_1"}) {
			t.Errorf("%s: %s", last.id, last.body)
		}
		for _, g := range requests[:len(requests)-1] {
			if strings.Contains(g.body, "trg_aborted") {
				t.Errorf("sent: %s", g.body)
			}
		}
		if n := p.rows('s') + p.rows('w'); n != 0 {
			t.Errorf("%d rows are left", n)
		}
		p.stop()
	})
}

// TestBatchBytes holds that bodies that are large together are sent apart.
func TestBatchBytes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", nil)
		p := w.launch(nil, w.together(ops, Batch{Max: 100, Linger: 1_000}))
		for i := range 8 {
			w.send(padded(fmt.Sprint("trg_", i), "u", "ops", 300_000))
		}
		w.until("all", func() bool { return w.finals()["delivered"] == 8 })
		for _, g := range ops.requests() {
			if len(g.body) > maxBatchBytes+1000 {
				t.Errorf("%d bytes", len(g.body))
			}
		}
		if n := len(ops.requests()); n < 3 || n > 7 {
			t.Errorf("%d requests", n)
		}
		p.stop()
	})
}
