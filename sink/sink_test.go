//go:build synctests

package sink

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign"
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
		w.until("the new one", func() bool { return len(w.deliveries()["trg_new"]) == 1 })
		if took := time.Since(sent); took > time.Second {
			t.Errorf("a first attempt waited %s behind retries", took)
		}
		w.until("the old ones", func() bool { time.Sleep(5 * time.Second); return w.finals()["delivered"] == 41 })
		p.stop()
	})
}

// TestGone holds that a 410 disables an endpoint: what waits and what comes fails with a dead letter, in every process, until its
// url changes or the control topic says otherwise.
func TestGone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", func(_ int, g got, rw http.ResponseWriter) {
			if g.id == "trg_gone" {
				rw.WriteHeader(410)
			} else {
				rw.WriteHeader(500)
			}
		})
		other := w.receive("other", nil)
		plan := w.simple(ops, other)
		p := w.launch(nil, plan)
		for i := range 20 {
			w.send(trigger(fmt.Sprintf("trg_wait_%d", i), fmt.Sprint(i), "ops"))
		}
		w.until("twenty wait", func() bool { return p.rows('w') == 20 })
		w.send(trigger("trg_gone", "u", "ops"))
		w.expect("trg_gone", "1 failed 410")
		for i := range 20 {
			w.expect(fmt.Sprintf("trg_wait_%d", i), "1 retry 500, 1 failed disabled")
		}
		w.send(trigger("trg_next", "u", "ops"), trigger("trg_other", "u", "other"))
		w.expect("trg_next", "0 failed disabled")
		w.expect("trg_other", "1 delivered 200")
		if letters := w.read("dead-letters"); len(letters) != 22 {
			t.Errorf("%d dead letters", len(letters))
		}
		requests := len(ops.requests())
		// A new process knows it from the control topic.
		p.stop()
		p = w.launch(nil, plan)
		w.send(trigger("trg_later", "u", "ops"))
		w.expect("trg_later", "0 failed disabled")
		if n := len(ops.requests()); n != requests {
			t.Errorf("%d requests to an endpoint that has gone", n-requests)
		}
		// Another url is another endpoint.
		ops.change(nil)
		moved := ops.endpoint()
		moved.URL += "/moved"
		p.sink.Follow(w.plan([]Endpoint{moved, other.endpoint()}, delivers("c", to(ops), to(other))))
		w.send(trigger("trg_moved", "u", "ops"))
		w.expect("trg_moved", "1 delivered 200")
		p.sink.Follow(plan)
		w.send(trigger("trg_back", "u", "ops"))
		w.expect("trg_back", "0 failed disabled")
		// And so is what somebody has resumed.
		w.send(&kgo.Record{Topic: "g-sink-control", Key: []byte("ops")})
		time.Sleep(2 * time.Second)
		w.send(trigger("trg_resumed", "u", "ops"))
		w.expect("trg_resumed", "1 delivered 200")
		p.stop()
	})
}

// TestErased holds that what waits of an erased user is dropped, wherever it waits, and what comes after it is not.
func TestErased(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		release := make(chan struct{})
		ops := w.receive("ops", func(_ int, g got, rw http.ResponseWriter) {
			switch g.id {
			case "trg_flying":
				<-release
				rw.WriteHeader(500)
			case "trg_waits", "trg_stays":
				rw.WriteHeader(500)
			}
		})
		e := ops.endpoint()
		p := w.launch(nil, w.plan([]Endpoint{e}, delivers("c", to(ops))))
		w.send(trigger("trg_waits", "u", "ops"), trigger("trg_stays", "v", "ops"), trigger("trg_flying", "u", "ops"))
		w.until("one is tried", func() bool { return len(w.deliveries()["trg_waits"]) == 1 && len(ops.requests()) == 3 })
		w.send(&kgo.Record{Topic: "triggers", Key: []byte("u")}, trigger("trg_after", "u", "ops"))
		w.expect("trg_waits", "1 retry 500, 1 dropped erased")
		w.expect("trg_after", "1 delivered 200")
		close(release)
		w.until("the one in flight", func() bool { return len(w.deliveries()["trg_flying"]) == 1 })
		if d := w.deliveries()["trg_flying"][0]; d.Outcome != "dropped" || d.Reason != "erased" || d.Status != 500 {
			t.Errorf("%+v", d)
		}
		w.until("the note of the erasure ends", func() bool { return p.rows('e') == 0 })
		ops.change(nil)
		w.expect("trg_stays", "1 retry 500, 2 delivered 200")
		if letters := w.read("dead-letters"); len(letters) != 0 {
			t.Errorf("%d dead letters", len(letters))
		}
		p.stop()
	})
}

// TestErasedAcrossCrash holds that an erasure that was taken is not forgotten by a crash.
func TestErasedAcrossCrash(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", func(_ int, g got, rw http.ResponseWriter) { time.Sleep(10 * time.Second); rw.WriteHeader(500) })
		plan := w.simple(ops)
		p := w.launch(nil, plan)
		w.send(trigger("trg_1", "u", "ops"))
		w.until("a request", func() bool { return len(ops.requests()) == 1 })
		time.Sleep(2 * time.Second) // it has a row
		w.send(&kgo.Record{Topic: "triggers", Key: []byte("u")})
		time.Sleep(time.Second)
		p = w.launch(p.crash(), plan)
		w.expect("trg_1", "0 dropped erased")
		w.until("the note of the erasure ends", func() bool { return p.rows('e') == 0 })
		p.stop()
	})
}

// TestExpires holds that what is older than its campaign's expires is dropped, when that is so and not only at its next attempt.
func TestExpires(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", status(500))
		d := to(ops)
		expires := campaign.Duration(2 * 60_000)
		d.Expires = &expires
		p := w.launch(nil, w.plan([]Endpoint{ops.endpoint()}, delivers("c", d)))
		w.send(trigger("trg_1", "u", "ops"))
		w.expect("trg_1", "1 retry 500, 2 retry 500, 3 retry 500, 3 dropped expired")
		all := w.deliveries()["trg_1"]
		if late := all[3].Time - all[0].Time; late > 125_000 {
			t.Errorf("dropped %d ms after the first attempt", late)
		}
		old := trigger("trg_old", "u", "ops")
		time.Sleep(3 * time.Minute)
		w.send(old)
		w.expect("trg_old", "0 dropped expired")
		p.stop()
	})
}

// TestUnknown holds that a trigger for what the configuration does not know waits ten minutes for one that does.
func TestUnknown(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", nil)
		next := w.receive("next", nil)
		p := w.launch(nil, w.simple(ops))
		w.send(trigger("trg_next", "u", "next"), trigger("trg_never", "u", "never"))
		time.Sleep(5 * time.Minute)
		if len(w.deliveries()) != 0 {
			t.Errorf("%v", w.deliveries())
		}
		p.sink.Follow(w.simple(ops, next))
		w.expect("trg_next", "1 delivered 200")
		w.expect("trg_never", "0 failed unknown_endpoint")
		d := w.deliveries()["trg_never"][0]
		if letters := w.read("dead-letters"); len(letters) != 1 || header(letters[0], "tripline-id") != "trg_never" || d.Endpoint != "never" {
			t.Errorf("%+v", letters)
		}
		p.sink.Follow(w.plan([]Endpoint{ops.endpoint()}, delivers("d", to(ops))))
		w.send(trigger("trg_campaign", "u", "ops"))
		w.expect("trg_campaign", "0 failed unknown_campaign")
		p.stop()
	})
}

// TestDuplicates holds that a trigger that has ended or waits is not sent once more, but as a replay.
func TestDuplicates(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", func(_ int, g got, rw http.ResponseWriter) {
			if g.id == "trg_waits" {
				rw.WriteHeader(500)
			}
		})
		e := ops.endpoint()
		e.Retry.Schedule = []int64{5_000}
		p := w.launch(nil, w.plan([]Endpoint{e}, delivers("c", to(ops))), func(c *Config) { c.Dedupe = 60_000 })
		r := trigger("trg_1", "u", "ops")
		w.send(r, trigger("trg_waits", "u", "ops"))
		w.expect("trg_1", "1 delivered 200")
		again := &kgo.Record{Topic: "triggers", Key: r.Key, Value: r.Value}
		w.send(again, trigger("trg_waits", "u", "ops"))
		w.expect("trg_1", "1 delivered 200")
		replay := &kgo.Record{Topic: "triggers", Key: r.Key, Value: r.Value, Headers: []kgo.RecordHeader{{Key: "tripline-replay", Value: []byte("2")}}}
		w.send(replay)
		w.expect("trg_1", "1 delivered 200, replay 2: 1 delivered 200")
		replays := 0
		for _, g := range ops.requests() {
			if g.header.Get("webhook-replay") == "2" && g.id == "trg_1" {
				replays++
			}
		}
		if replays != 1 {
			t.Errorf("%d replays", replays)
		}
		w.expect("trg_waits", "1 retry 500, 2 failed 500")
		time.Sleep(2 * time.Minute)
		if n := p.rows('x'); n != 0 {
			t.Errorf("%d ids are still known as ended", n)
		}
		p.stop()
	})
}

// TestBadTriggers holds that what is no trigger is set aside once, even where a crash reads it twice.
func TestBadTriggers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", func(int, got, http.ResponseWriter) { time.Sleep(10 * time.Second) })
		plan := w.simple(ops)
		p := w.launch(nil, plan)
		good := trigger("trg_1", "u", "ops") // holds the position back
		bad := []*kgo.Record{good}
		for _, value := range []string{`{`, `{"id":"trg_2"}`, `[]`, `{"id":"a.b","campaign":"c","user_id":"u","endpoint":"ops","time":"2026-01-01T00:00:00Z"}`,
			`{"id":"","campaign":"c","user_id":"u","endpoint":"ops","time":"2026-01-01T00:00:00Z"}`, strings.Repeat("x", 950<<10)} {
			bad = append(bad, &kgo.Record{Topic: "triggers", Key: []byte("u"), Value: []byte(value), Headers: []kgo.RecordHeader{{Key: "mine", Value: []byte("x")}}})
		}
		w.send(bad...)
		time.Sleep(100 * time.Millisecond)
		p = w.launch(p.crash(), plan)
		w.expect("trg_1", "1 delivered 200")
		letters := w.read("dead-letters")
		if len(letters) != 6 {
			t.Fatalf("%d dead letters", len(letters))
		}
		for i, l := range letters {
			want := bad[i+1].Value
			if string(l.Value) != string(want[:min(len(want), 512<<10)]) || header(l, "tripline-reason") != "bad_trigger" || header(l, "mine") != "x" ||
				header(l, "tripline-source-topic") != "triggers" || header(l, "tripline-detail") == "" || header(l, "tripline-size") != fmt.Sprint(len(want)) {
				t.Errorf("%d: %d bytes, %v", i, len(l.Value), l.Headers)
			}
		}
		p.stop()
	})
}

// TestMaxWaiting holds that of more deliveries than may wait, those fail that have waited longest.
func TestMaxWaiting(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", status(500))
		e := ops.endpoint()
		e.MaxWaiting = 10
		e.Retry.Schedule = []int64{86_400_000}
		p := w.launch(nil, w.plan([]Endpoint{e}, delivers("c", to(ops))))
		for i := range 30 {
			w.send(trigger(fmt.Sprintf("trg_%02d", i), "u", "ops"))
			time.Sleep(time.Second)
		}
		time.Sleep(5 * time.Second)
		all := w.deliveries()
		for i := range 30 {
			want := "1 retry 500"
			if i < 20 {
				want = "1 retry 500, 1 failed waited_too_long"
			}
			if got := short(all[fmt.Sprintf("trg_%02d", i)]); got != want {
				t.Errorf("trg_%02d: %s, want %s", i, got, want)
			}
		}
		if n := p.rows('w'); n != 10 {
			t.Errorf("%d wait", n)
		}
		p.stop()
	})
}

// TestRetryAfter holds that an endpoint that asks for a pause gets nothing in it, first attempts neither.
func TestRetryAfter(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", func(n int, g got, rw http.ResponseWriter) {
			if g.id == "trg_1" && n == 1 {
				rw.Header().Set("Retry-After", "120")
				rw.WriteHeader(429)
			}
		})
		p := w.launch(nil, w.simple(ops))
		w.send(trigger("trg_1", "u", "ops"))
		w.until("a request", func() bool { return len(ops.requests()) == 1 })
		asked := time.Now()
		w.send(trigger("trg_2", "v", "ops"))
		w.expect("trg_1", "1 retry 429, 2 delivered 200")
		w.expect("trg_2", "1 delivered 200")
		for _, g := range ops.requests()[1:] {
			if gap := g.at.Sub(asked); gap < 119*time.Second || gap > 122*time.Second {
				t.Errorf("%s came %s after the answer", g.id, gap)
			}
		}
		p.stop()
	})
}

// TestDropped holds that what a template drops ends without a request and without a dead letter.
func TestDropped(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", nil)
		d := to(ops)
		d.Body = `{% if User.id == "ann" %}{% abort "not Ann, s3cret" %}{% endif %}{"name":"{{ Profile.name }}"}`
		d.Strict = true
		e := ops.endpoint()
		e.Secrets = []string{"s3cret"}
		p := w.launch(nil, w.plan([]Endpoint{e}, delivers("c", d)))
		w.send(trigger("trg_1", "ann", "ops"), trigger("trg_2", "bob", "ops"))
		w.expect("trg_1", "0 dropped aborted")
		w.expect("trg_2", "0 dropped missing")
		all := w.deliveries()
		if all["trg_1"][0].Error != "not Ann, ***" || all["trg_2"][0].Error != "Profile.name" {
			t.Errorf("%+v", all)
		}
		if len(ops.requests()) != 0 || len(w.read("dead-letters")) != 0 {
			t.Error("a request, or a dead letter")
		}
		p.stop()
	})
}

// TestSecrets holds that no secret reaches a record or a log line, wherever an endpoint puts it.
func TestSecrets(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		signing := "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("S", 32)))
		ops := w.receive("ops", func(_ int, g got, rw http.ResponseWriter) {
			rw.WriteHeader(400)
			fmt.Fprintf(rw, "%s %s %s", g.path, g.header.Get("Authorization"), signing)
		})
		e := ops.endpoint()
		e.URL += "/p4th-t0ken?key=qu3ry-t0ken"
		e.Headers = map[string]string{"Authorization": "Bearer h3ader-t0ken"}
		e.Secrets = []string{"p4th-t0ken", "qu3ry-t0ken"}
		e.Signing = []string{signing}
		p := w.launch(nil, w.plan([]Endpoint{e}, delivers("c", to(ops))))
		w.send(trigger("trg_1", "u", "ops"))
		w.expect("trg_1", "1 failed 400")
		d := w.deliveries()["trg_1"][0]
		if d.URL != fmt.Sprintf("http://ops.example:%d/hook/***", ops.port) || d.Response != "/hook/*** *** ***" {
			t.Errorf("%+v", d)
		}
		text := fmt.Sprint(p.logs.All())
		for _, r := range append(w.read("deliveries"), w.read("dead-letters")...) {
			text += string(r.Value) + fmt.Sprint(r.Headers)
		}
		for _, secret := range []string{"p4th-t0ken", "qu3ry-t0ken", "h3ader-t0ken", signing} {
			if strings.Contains(text, secret) {
				t.Errorf("%s is in a record or a log line", secret)
			}
		}
		if n := p.logs.FilterMessage("attempt").Len(); n != 1 {
			t.Errorf("%d log lines of one attempt", n)
		}
		verifier, err := standardwebhooks.NewWebhook(signing)
		if err != nil {
			t.Fatal(err)
		}
		g := ops.requests()[0]
		if err := verifier.Verify([]byte(g.body), g.header); err != nil {
			t.Errorf("signature: %v", err)
		}
		p.stop()
	})
}

// TestMissingTopics holds that topics that are not there are named at the start.
func TestMissingTopics(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", nil)
		p := w.launch(nil, w.simple(ops), func(c *Config) { c.Deliveries = "nowhere" })
		if err := <-p.ended; err == nil || !strings.Contains(err.Error(), "nowhere") || !strings.Contains(err.Error(), "topics create") {
			t.Errorf("%v", err)
		}
		p.cancel()
		p.store.Close()
	})
}
