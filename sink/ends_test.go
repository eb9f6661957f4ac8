//go:build synctests

package sink

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/sink/control"
)

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

// TestHeldIsDropped holds that what waits in memory for its turn at an endpoint that is paused ends when its user is erased, and when it
// expires, and not only when the pause does; the one behind it in the user's order, too.
func TestHeldIsDropped(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", nil)
		e, d := ops.endpoint(), to(ops)
		e.InOrder, e.OrderTimeout = true, 600_000
		expires := campaign.Duration(5 * 60_000)
		d.Expires = &expires
		p := w.launch(nil, w.plan([]Endpoint{e}, delivers("c", d)))
		w.send(control.State{Endpoint: "ops", State: control.Paused, Cause: "test"}.Record("g-sink-control"))
		time.Sleep(10 * time.Second)
		w.send(trigger("trg_erased", "u", "ops"), trigger("trg_behind", "u", "ops"), trigger("trg_expires", "v", "ops"), trigger("trg_expires_too", "v", "ops"))
		time.Sleep(10 * time.Second)
		w.send(&kgo.Record{Topic: "triggers", Key: []byte("u")}, trigger("trg_after", "u", "ops"))
		time.Sleep(time.Minute)
		all := w.deliveries()
		for id, want := range map[string]string{"trg_erased": "0 dropped erased", "trg_behind": "0 dropped erased", "trg_expires": "", "trg_after": ""} {
			if got := short(all[id]); got != want {
				t.Errorf("%s: %s, want %s", id, got, want)
			}
		}
		for _, id := range []string{"trg_expires", "trg_expires_too", "trg_after"} {
			w.expect(id, "0 dropped expired")
		}
		w.send(control.State{Endpoint: "ops", State: control.Active}.Record("g-sink-control"))
		w.send(trigger("trg_last", "u", "ops"))
		w.expect("trg_last", "1 delivered 200")
		if len(ops.requests()) != 1 {
			t.Errorf("%d requests", len(ops.requests()))
		}
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
