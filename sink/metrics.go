package sink

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tripline/tripline/sink/delivery"
)

// metrics are the sink's numbers. Their labels are names of the configuration and of records.md, never what a record brings.
type metrics struct {
	attempts   *prometheus.CounterVec   // by endpoint, status class, outcome, reason
	seconds    *prometheus.HistogramVec // by endpoint
	ended      *prometheus.CounterVec   // by endpoint, outcome, reason
	failing    *prometheus.GaugeVec     // by endpoint
	warnings   *prometheus.CounterVec   // by endpoint, percent
	duplicates prometheus.Counter
	bad        prometheus.Counter
	erasures   prometheus.Counter
	behind     *prometheus.HistogramVec // by endpoint: from emitted_at to the first attempt
	all        []prometheus.Collector
}

func newMetrics(standing prometheus.Collector) *metrics {
	counter := func(name, help string, by ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "tripline", Subsystem: "sink", Name: name, Help: help}, by)
	}
	histogram := func(name, help string, by ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "tripline", Subsystem: "sink", Name: name, Help: help,
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 14)}, by)
	}
	duplicates := counter("duplicates_total", "Triggers that came again within `dedupe` without a replay header, and were skipped.")
	bad := counter("bad_triggers_total", "Records in `triggers` that are none, and became dead letters.")
	erasures := counter("erasures_total", "Users whose erasure was taken from `triggers`.")
	m := &metrics{
		attempts:   counter("attempts_total", "Requests, by the class of the status that answered them (none: no answer) and by how they ended.", "endpoint", "status", "outcome", "reason"),
		seconds:    histogram("attempt_seconds", "How long requests took.", "endpoint"),
		ended:      counter("deliveries_total", "Deliveries that have ended, by how.", "endpoint", "outcome", "reason"),
		warnings:   counter("endpoint_warnings_total", "Warnings that an endpoint fails, by the percentage of disable_after that had passed.", "endpoint", "percent"),
		behind:     histogram("first_attempt_lag_seconds", "From a trigger's emitted_at to its first request.", "endpoint"),
		duplicates: duplicates.WithLabelValues(),
		bad:        bad.WithLabelValues(),
		erasures:   erasures.WithLabelValues(),
	}
	m.failing = prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "tripline", Subsystem: "sink", Name: "endpoint_failing_ratio",
		Help: "Share of disable_after for which no attempt has succeeded."}, []string{"endpoint"})
	m.all = []prometheus.Collector{m.attempts, m.seconds, m.ended, m.failing, m.warnings, m.behind, duplicates, bad, erasures, standing}
	return m
}

// register adds the metrics to a registry, and returns how to take them out.
func (m *metrics) register(to prometheus.Registerer) (remove func(), err error) {
	if to == nil {
		return func() {}, nil
	}
	remove = func() {
		for _, c := range m.all {
			to.Unregister(c)
		}
	}
	for _, c := range m.all {
		if err := to.Register(c); err != nil {
			remove()
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return remove, nil
}

func (m *metrics) attempt(r *delivery.Record) {
	class := "none"
	if r.Status >= 100 && r.Status < 600 {
		class = string('0'+byte(r.Status/100)) + "xx"
	}
	m.attempts.WithLabelValues(r.Endpoint, class, r.Outcome, r.Reason).Inc()
	m.seconds.WithLabelValues(r.Endpoint).Observe(float64(r.Latency) / 1000)
}

func (m *metrics) firstAttempt(endpoint string, behind int64) {
	m.behind.WithLabelValues(endpoint).Observe(float64(max(0, behind)) / 1000)
}

// fails says for how much of disable_after, from 0 to 1, an endpoint has failed.
func (m *metrics) fails(endpoint string, share float64) {
	m.failing.WithLabelValues(endpoint).Set(share)
}

func (m *metrics) warned(endpoint string, percent int) {
	m.warnings.WithLabelValues(endpoint, strconv.Itoa(percent)).Inc()
}

// standing shows, when it is asked, where the endpoints of the plan stand in this process.
type standing struct{ sink *Sink }

// gauge is one number of an endpoint.
type gauge struct {
	desc *prometheus.Desc
	of   func(o *outlet, now int64) float64 // the outlet's lock is held
}

var gauges = []gauge{
	gaugeOf("in_flight", "Requests that are being made.",
		func(o *outlet, _ int64) float64 { return float64(o.flying[first] + o.flying[again]) }),
	gaugeOf("queued", "Deliveries that wait in memory for a place among those in flight. What does so for half a second waits in state, too.",
		func(o *outlet, _ int64) float64 { return float64(len(o.queues[first]) + len(o.queues[again])) }),
	gaugeOf("waiting", "Deliveries that wait in state.",
		func(o *outlet, _ int64) float64 { return float64(o.waiting.Load()) }),
	gaugeOf("oldest_waiting_seconds", "For how long that delivery has waited in state that has waited longest. Looked for every ten seconds; where very many wait, less often.",
		func(o *outlet, now int64) float64 { return float64(o.longest(now)) / 1000 }),
	gaugeOf("breaker_state", "0 closed, 1 open, 2 half-open.",
		func(o *outlet, now int64) float64 { return float64(o.gate.Stands(now).Phase) }),
	gaugeOf("rate_limit_per_second", "Requests per second that this process may make, by its share of rate_limit and by what the endpoint complained of; 0: any number.",
		func(o *outlet, now int64) float64 { return o.gate.Stands(now).Rate }),
	gaugeOf("endpoint_paused", "1 where `tripline endpoint pause` holds an endpoint.",
		func(o *outlet, now int64) float64 { return oneIf(o.gate.Stands(now).Paused) }),
	gaugeOf("endpoint_disabled", "1 where an endpoint answered that it has gone (410), or has failed for all of disable_after.",
		func(o *outlet, _ int64) float64 { return oneIf(o.gone()) }),
}

func gaugeOf(name, help string, of func(*outlet, int64) float64) gauge {
	return gauge{prometheus.NewDesc(prometheus.BuildFQName("tripline", "sink", name), help, []string{"endpoint"}, nil), of}
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// Describe is prometheus.Collector's.
func (standing) Describe(to chan<- *prometheus.Desc) {
	for _, g := range gauges {
		to <- g.desc
	}
}

// Collect is prometheus.Collector's.
func (s standing) Collect(to chan<- prometheus.Metric) {
	now := time.Now().UnixMilli()
	for _, o := range s.sink.all() {
		if s.sink.plan.Load().endpoints[o.name] == nil {
			continue
		}
		o.mu.Lock()
		for _, g := range gauges {
			to <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, g.of(o, now), o.name)
		}
		o.mu.Unlock()
	}
}

// longest is for how long, in ms, that has waited which has waited longest. The lock is held.
func (o *outlet) longest(now int64) int64 {
	since := now
	for _, at := range o.since {
		since = min(since, at)
	}
	if o.waiting.Load() == 0 {
		return 0
	}
	return now - since
}

// waitsSince takes what a walk over a partition has found: by endpoint, since when (ms) what has waited longest waits. nil: the partition
// is another's now.
func (s *Sink) waitsSince(p *part, since map[string]int64) {
	for _, o := range s.all() {
		o.mu.Lock()
		if at, ok := since[o.name]; ok {
			o.since[p] = at
		} else {
			delete(o.since, p)
		}
		o.mu.Unlock()
	}
}
