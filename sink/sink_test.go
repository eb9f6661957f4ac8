//go:build synctests

package sink

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/sink/delivery"
)

func TestDelivered(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", nil)
		p := w.launch(nil, w.simple(ops))
		w.send(trigger("trg_1", "u", "ops"))
		w.expect("trg_1", "1 delivered 200")
		all := ops.requests()
		if len(all) != 1 || all[0].id != "trg_1" || all[0].path != "/hook" || all[0].header.Get("User-Agent") != "tripline/test" ||
			all[0].header.Get("Accept-Encoding") != "identity" || all[0].header.Get("Content-Type") != "application/json" {
			t.Errorf("%+v", all)
		}
		d := w.deliveries()["trg_1"][0]
		if d.URL != fmt.Sprintf("http://ops.example:%d/hook", ops.port) || d.Campaign != "c" || d.Version != "v1" || d.User != "u" || d.Endpoint != "ops" || !d.Sent {
			t.Errorf("%+v", d)
		}
		p.stop()
	})
}

// TestSchedule holds that a delivery is tried again as its schedule says, the waits counted from the ends of attempts, each
// attempt with its record.
func TestSchedule(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", func(n int, _ got, rw http.ResponseWriter) {
			time.Sleep(2 * time.Second)
			if n < 4 {
				rw.WriteHeader(500)
			}
		})
		p := w.launch(nil, w.simple(ops))
		w.send(trigger("trg_1", "u", "ops"))
		w.expect("trg_1", "1 retry 500, 2 retry 500, 3 retry 500, 4 delivered 200")
		all := ops.requests()
		for i, wait := range []time.Duration{5 * time.Second, time.Minute, 10 * time.Minute} {
			gap := all[i+1].at.Sub(all[i].at) - 2*time.Second
			if gap < wait || gap > wait+time.Second {
				t.Errorf("wait %d: %s, want %s", i, gap, wait)
			}
			if all[i+1].body != all[0].body || all[i+1].id != "trg_1" || all[i+1].header.Get("webhook-timestamp") == all[i].header.Get("webhook-timestamp") {
				t.Errorf("attempt %d: %+v", i+2, all[i+1])
			}
		}
		if d := w.deliveries()["trg_1"][0]; d.NextAttempt-d.Time != 5000 || d.Latency < 2000 || d.Reason != "status" {
			t.Errorf("%+v", d)
		}
		if n := p.rows('w'); n != 0 {
			t.Errorf("%d rows still wait", n)
		}
		p.stop()
	})
}

// TestQuick holds that tries in place follow a first attempt that met no server, and are not part of the schedule.
func TestQuick(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", func(n int, _ got, rw http.ResponseWriter) { rw.WriteHeader([]int{502, 503, 504, 200}[n-1]) })
		e := ops.endpoint()
		e.Retry.Quick = 2
		p := w.launch(nil, w.plan([]Endpoint{e}, delivers("c", to(ops))))
		w.send(trigger("trg_1", "u", "ops"))
		w.expect("trg_1", "1 retry 502, 2 retry 503, 3 retry 504, 4 delivered 200")
		all := ops.requests()
		for i, wait := range []time.Duration{100 * time.Millisecond, 400 * time.Millisecond, 5 * time.Second} {
			if gap := all[i+1].at.Sub(all[i].at); gap < wait || gap > wait+200*time.Millisecond {
				t.Errorf("wait %d: %s, want %s", i, gap, wait)
			}
		}
		p.stop()
	})
}

// TestFailed holds that the last attempt's record is final, and that a dead letter holds the trigger and that record.
func TestFailed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", status(500))
		p := w.launch(nil, w.simple(ops))
		r := trigger("trg_1", "u", "ops")
		w.send(r)
		w.expect("trg_1", "1 retry 500, 2 retry 500, 3 retry 500, 4 failed 500")
		letters := w.read("dead-letters")
		if len(letters) != 1 || string(letters[0].Value) != string(r.Value) || string(letters[0].Key) != "u" || header(letters[0], "tripline-reason") != "undelivered" {
			t.Fatalf("%+v", letters)
		}
		final, err := delivery.Parse([]byte(header(letters[0], "tripline-delivery")))
		if err != nil || final != w.deliveries()["trg_1"][3] {
			t.Errorf("%+v %v", final, err)
		}
		// A status of the final ones ends it at once.
		ops.change(status(422))
		w.send(trigger("trg_2", "u", "ops"))
		w.expect("trg_2", "1 failed 422")
		p.stop()
	})
}

// TestLarge holds that the largest trigger that there can be is kept, tried again, and set aside whole.
func TestLarge(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", func(n int, _ got, rw http.ResponseWriter) {
			rw.WriteHeader([]int{500, 422}[n-1])
			rw.Write([]byte(strings.Repeat("\x01", 2000))) // six bytes each in JSON
		})
		p := w.launch(nil, w.simple(ops))
		r := padded("trg_1", "u", "ops", 0)
		r = padded("trg_1", "u", "ops", record.MaxBytes-len(r.Value))
		w.send(r)
		w.expect("trg_1", "1 retry 500, 2 failed 422")
		if letters := w.read("dead-letters"); len(letters) != 1 || string(letters[0].Value) != string(r.Value) || len(r.Value) != record.MaxBytes {
			t.Errorf("%d dead letters of %d bytes", len(letters), len(r.Value))
		}
		p.stop()
	})
}

func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// TestCrashInMidRetry holds that a delivery that waits is where it was after a crash: on its disk, and on a new machine.
func TestCrashInMidRetry(t *testing.T) {
	for _, fresh := range []bool{false, true} {
		inWorld(t, func(t *testing.T, w *world) {
			ops := w.receive("ops", func(n int, _ got, rw http.ResponseWriter) {
				if n < 3 {
					rw.WriteHeader(500)
				}
			})
			p := w.launch(nil, w.simple(ops))
			w.send(trigger("trg_1", "u", "ops"), trigger("trg_2", "v", "ops"))
			w.until("a first record", func() bool { return len(w.deliveries()["trg_1"]) == 1 && len(w.deliveries()["trg_2"]) == 1 })
			disk := p.crash()
			if fresh {
				disk = nil
			}
			p = w.launch(disk, w.simple(ops))
			w.expect("trg_1", "1 retry 500, 2 retry 500, 3 delivered 200")
			w.expect("trg_2", "1 retry 500, 2 retry 500, 3 delivered 200")
			p.stop()
		})
	}
}

// TestCrashInFlight holds that an attempt whose outcome was not committed is made again, with the same id.
func TestCrashInFlight(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", func(int, got, http.ResponseWriter) { time.Sleep(3 * time.Second) })
		p := w.launch(nil, w.simple(ops))
		w.send(trigger("trg_1", "u", "ops"))
		w.until("a request", func() bool { return len(ops.requests()) == 1 })
		time.Sleep(time.Second)
		p = w.launch(p.crash(), w.simple(ops))
		w.expect("trg_1", "1 delivered 200")
		if n := len(ops.requests()); n != 2 {
			t.Errorf("%d requests", n)
		}
		p.stop()
	})
}

// TestShutdown holds that attempts in flight may end within 4 s of SIGTERM, and that one that is cut off leaves no record.
func TestShutdown(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", func(n int, g got, rw http.ResponseWriter) {
			if g.id == "trg_slow" && n == 1 {
				time.Sleep(14 * time.Second)
			} else {
				time.Sleep(2 * time.Second)
			}
		})
		p := w.launch(nil, w.simple(ops))
		w.send(trigger("trg_slow", "u", "ops"), trigger("trg_quick", "u", "ops"))
		w.until("both requests", func() bool { return len(ops.requests()) == 2 })
		disk := p.stop()
		if all := w.deliveries(); short(all["trg_quick"]) != "1 delivered 200" || len(all["trg_slow"]) != 0 {
			t.Errorf("%v", all)
		}
		p = w.launch(disk, w.simple(ops))
		w.expect("trg_slow", "1 delivered 200")
		w.expect("trg_quick", "1 delivered 200")
		p.stop()
	})
}

// TestIsolation holds that an endpoint that hangs delays no other, whatever comes for it, that what does not fit into memory waits
// in state, and that all of it is delivered when the endpoint is back.
func TestIsolation(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		back := make(chan struct{})
		bad := w.receive("bad", func(_ int, _ got, rw http.ResponseWriter) { <-back })
		good := w.receive("good", nil)
		const n = 3000
		plan := w.simple(bad, good)
		p := w.launch(nil, plan)
		var records []*kgo.Record
		for i := range n {
			records = append(records, trigger(fmt.Sprintf("trg_bad_%d", i), fmt.Sprint(i%7), "bad"))
		}
		for i := range 50 {
			records = append(records, trigger(fmt.Sprintf("trg_good_%d", i), fmt.Sprint(i%7), "good"))
		}
		w.send(records...)
		began := time.Now()
		w.until("the good ones are delivered", func() bool { return len(good.requests()) == 50 })
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the good endpoint waited %s for the bad one", took)
		}
		w.until("what does not fit waits in state", func() bool { return p.rows('w') > n-2*firstRoom-100 })
		if len(bad.requests()) > 32 {
			t.Errorf("%d requests at a time", len(bad.requests()))
		}
		disk := p.crash()
		close(back)
		p = w.launch(disk, plan)
		w.until("all is delivered", func() bool { return w.finals()["delivered"] == n+50 })
		time.Sleep(time.Minute)
		if finals := w.finals(); finals["delivered"] != n+50 || len(finals) != 1 {
			t.Errorf("%v", finals)
		}
		if rows := p.rows('w') + p.rows('q'); rows != 0 {
			t.Errorf("%d rows are left", rows)
		}
		p.stop()
	})
}

// finals counts final records by outcome. Two of one trigger are an error.
func (w *world) finals() map[string]int {
	w.t.Helper()
	counts := map[string]int{}
	for id, records := range w.deliveries() {
		ended := 0
		for _, r := range records {
			if r.Final() {
				ended++
				counts[r.Outcome]++
			}
		}
		if ended > 1 {
			w.t.Errorf("%s has %d final records: %s", id, ended, short(records))
		}
	}
	return counts
}

// TestFirstAttemptsBeforeRetries holds that half of the places are not for retries.
func TestFirstAttemptsBeforeRetries(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", func(n int, g got, rw http.ResponseWriter) {
			if n > 1 {
				time.Sleep(10 * time.Second)
			} else if g.header.Get("X-User") == "old" {
				rw.WriteHeader(500)
			}
		})
		e := ops.endpoint()
		e.MaxInFlight, e.Headers = 4, map[string]string{"X-User": "{{ User.id }}"}
		p := w.launch(nil, w.plan([]Endpoint{e}, delivers("c", to(ops))))
		for i := range 40 {
			w.send(trigger(fmt.Sprintf("trg_old_%d", i), "old", "ops"))
		}
		time.Sleep(6 * time.Second) // retries are due, and each takes 10 s
		w.send(trigger("trg_new", "new", "ops"))
		sent := time.Now()
		w.until("the new one", func() bool {
			return slices.ContainsFunc(ops.requests(), func(g got) bool { return g.id == "trg_new" })
		})
		if took := time.Since(sent); took > time.Second {
			t.Errorf("a first attempt waited %s behind retries", took)
		}
		w.until("the old ones", func() bool { time.Sleep(5 * time.Second); return w.finals()["delivered"] == 41 })
		p.stop()
	})
}
