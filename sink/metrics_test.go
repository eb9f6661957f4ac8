//go:build synctests

package sink

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tripline/tripline/sink/control"
	"github.com/tripline/tripline/sink/policy"
)

// numbers gathers what a registry shows, by name and label values, as in waiting{ops}. Of a histogram it is the count.
func numbers(t *testing.T, from *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetValue())
			}
			name := strings.TrimPrefix(f.GetName(), "tripline_sink_") + "{" + strings.Join(labels, ",") + "}"
			all[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

// TestMetrics holds what is shown of each endpoint: attempts by class of status, latency, what waits and for how long, breaker, pause and
// rate; also of one that nothing was sent to, and not of names that only records bring.
func TestMetrics(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", func(_ int, g got, rw http.ResponseWriter) {
			if g.id == "trg_hangs" {
				time.Sleep(10 * time.Second)
			}
			rw.WriteHeader(503)
		})
		good := w.receive("good", nil)
		e, f := ops.endpoint(), good.endpoint()
		e.Retry = policy.Backoff{Schedule: []int64{3_600_000}}
		e.Breaker = policy.Breaking{FailureRate: 0.5, MinSamples: 3, Window: 30_000, Open: 100_000}
		f.Limit = policy.Limit{PerSecond: 8, Burst: 4}
		registry := prometheus.NewRegistry()
		plan := w.plan([]Endpoint{e, f}, delivers("c", to(ops), to(good)))
		p := w.launch(nil, plan, func(c *Config) { c.Lane.Metrics = registry })
		expect := func(when string, want map[string]float64) {
			t.Helper()
			now := numbers(t, registry)
			for name, n := range want {
				if got, ok := now[name]; !ok || got < n-0.0001 || got > n+0.0001 {
					t.Errorf("%s: %s is %v, want %v", when, name, got, n)
				}
			}
		}
		time.Sleep(30 * time.Second)
		expect("at first", map[string]float64{"waiting{ops}": 0, "oldest_waiting_seconds{ops}": 0, "breaker_state{ops}": 0, "in_flight{ops}": 0,
			"rate_limit_per_second{good}": 8, "rate_limit_per_second{ops}": 0, "endpoint_paused{good}": 0, "endpoint_disabled{ops}": 0})
		w.send(trigger("trg_hangs", "u", "ops"), trigger("trg_1", "u", "good"), trigger("trg_nowhere", "u", "nowhere"))
		time.Sleep(5 * time.Second)
		expect("while one hangs", map[string]float64{"in_flight{ops}": 1, "waiting{ops}": 1, "waiting{good}": 0, "attempts_total{good,delivered,,2xx}": 1,
			"attempt_seconds{good}": 1, "deliveries_total{good,delivered,}": 1})
		w.send(trigger("trg_2", "u", "ops"), trigger("trg_3", "u", "ops"))
		time.Sleep(25 * time.Second)
		expect("when three have failed", map[string]float64{"in_flight{ops}": 0, "waiting{ops}": 3, "attempts_total{ops,retry,status,5xx}": 3, "breaker_state{ops}": 1})
		if waits := numbers(t, registry)["oldest_waiting_seconds{ops}"]; waits < 29 || waits > 31 {
			t.Errorf("the oldest waits for %v s, not for 30", waits)
		}
		w.send(control.State{Endpoint: "good", State: control.Paused}.Record("g-sink-control"))
		time.Sleep(5 * time.Second)
		w.send(trigger("trg_4", "u", "good"))
		time.Sleep(15 * time.Second)
		expect("while it is paused", map[string]float64{"endpoint_paused{good}": 1, "waiting{good}": 1, "queued{good}": 1})
		w.send(control.State{Endpoint: "good", State: control.Active}.Record("g-sink-control"))
		time.Sleep(5 * time.Second)
		expect("afterwards", map[string]float64{"endpoint_paused{good}": 0, "waiting{good}": 0, "oldest_waiting_seconds{good}": 0, "queued{good}": 0})
		for name := range numbers(t, registry) {
			if strings.Contains(name, "nowhere") {
				t.Errorf("%s is of a name that only a record brings", name)
			}
		}
		p.stop()
	})
}

// TestCountedOnce holds that a delivery whose end was not committed, and that ends again, is one that has ended.
func TestCountedOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", nil)
		registry := prometheus.NewRegistry()
		p := w.launch(nil, w.simple(ops), func(c *Config) { c.Lane.Metrics = registry })
		time.Sleep(30 * time.Second)
		w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "deliveries", Err: kerr.MessageTooLarge, Count: 1})
		w.send(trigger("trg_1", "u", "ops"))
		w.expect("trg_1", "1 delivered 200")
		if n := len(ops.requests()); n != 2 {
			t.Errorf("%d requests: no commit was refused", n)
		}
		if n := numbers(t, registry)["deliveries_total{ops,delivered,}"]; n != 1 {
			t.Errorf("%v have ended", n)
		}
		p.stop()
	})
}

// TestAttemptLog holds that an attempt is one line with all that its record has.
func TestAttemptLog(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ops := w.receive("ops", func(n int, _ got, rw http.ResponseWriter) {
			if n == 1 {
				http.Error(rw, "not now", http.StatusServiceUnavailable)
			}
		})
		p := w.launch(nil, w.simple(ops))
		r := trigger("trg_1", "u", "ops")
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: "tripline-replay", Value: []byte("2")})
		w.send(r)
		w.expect("trg_1", "replay 2: 1 retry 503, replay 2: 2 delivered 200")
		lines := p.logs.FilterMessage("attempt").All()
		if len(lines) != 2 {
			t.Fatalf("%d lines of 2 attempts", len(lines))
		}
		first, second := lines[0].ContextMap(), lines[1].ContextMap()
		for name, want := range map[string]any{"trigger": "trg_1", "campaign": "c", "version": "v1", "user": "u", "endpoint": "ops", "replay": int64(2), "attempt": int64(1),
			"outcome": "retry", "reason": "status", "status": int64(503), "latency_ms": int64(0), "response": "not now\n"} {
			if first[name] != want {
				t.Errorf("%s is %v, want %v", name, first[name], want)
			}
		}
		for _, name := range []string{"url", "next_attempt", "since_emitted_ms"} {
			if _, ok := first[name]; !ok {
				t.Errorf("no %s in %v", name, first)
			}
		}
		if second["outcome"] != "delivered" || second["attempt"] != int64(2) {
			t.Errorf("%v", second)
		}
		p.stop()
	})
}
