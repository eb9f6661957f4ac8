//go:build synctests

package sink

import (
	"fmt"
	"net/http"
	"testing"
	"time"
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
		for i, wait := range []time.Duration{5 * time.Second, time.Minute, time.Hour} {
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
