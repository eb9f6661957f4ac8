package sink

import (
	"fmt"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tripline/tripline/sink/delivery"
	"github.com/tripline/tripline/sink/policy"
)

// metrics are the sink's numbers. Their labels are names of the configuration and of records.md, never what a record brings.
type metrics struct {
	attempts   *prometheus.CounterVec   // by endpoint, outcome, reason
	seconds    *prometheus.HistogramVec // by endpoint
	ended      *prometheus.CounterVec   // by endpoint, outcome, reason
	flying     *prometheus.GaugeVec     // by endpoint
	waiting    *prometheus.GaugeVec     // by endpoint
	gone       *prometheus.GaugeVec     // by endpoint
	failing    *prometheus.GaugeVec     // by endpoint
	warnings   *prometheus.CounterVec   // by endpoint, percent
	phases     *prometheus.GaugeVec     // by endpoint
	rates      *prometheus.GaugeVec     // by endpoint
	duplicates prometheus.Counter
	bad        prometheus.Counter
	erasures   prometheus.Counter
	behind     *prometheus.HistogramVec // by endpoint: from emitted_at to the first attempt
	all        []prometheus.Collector
}

func newMetrics() *metrics {
	counter := func(name, help string, by ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "tripline", Subsystem: "sink", Name: name, Help: help}, by)
	}
	gauge := func(name, help string, by ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "tripline", Subsystem: "sink", Name: name, Help: help}, by)
	}
	histogram := func(name, help string, by ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "tripline", Subsystem: "sink", Name: name, Help: help,
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 14)}, by)
	}
	duplicates := counter("duplicates_total", "Triggers that came again within `dedupe` without a replay header, and were skipped.")
	bad := counter("bad_triggers_total", "Records in `triggers` that are none, and became dead letters.")
	erasures := counter("erasures_total", "Users whose erasure was taken from `triggers`.")
	m := &metrics{
		attempts:   counter("attempts_total", "Requests, by how they ended.", "endpoint", "outcome", "reason"),
		seconds:    histogram("attempt_seconds", "How long requests took.", "endpoint"),
		ended:      counter("deliveries_total", "Deliveries that have ended, by how.", "endpoint", "outcome", "reason"),
		flying:     gauge("in_flight", "Requests that are being made.", "endpoint"),
		waiting:    gauge("waiting", "Deliveries that wait in state.", "endpoint"),
		gone:       gauge("endpoint_disabled", "1 where an endpoint answered that it has gone (410), or has failed for all of disable_after.", "endpoint"),
		failing:    gauge("endpoint_failing_ratio", "Share of disable_after for which no attempt has succeeded.", "endpoint"),
		warnings:   counter("endpoint_warnings_total", "Warnings that an endpoint fails, by the percentage of disable_after that had passed.", "endpoint", "percent"),
		phases:     gauge("breaker_state", "0 closed, 1 open, 2 half-open.", "endpoint"),
		rates:      gauge("rate_limit_per_second", "Requests per second that this process may make, by its share of rate_limit and by what the endpoint complained of; 0: any number.", "endpoint"),
		behind:     histogram("first_attempt_lag_seconds", "From a trigger's emitted_at to its first request.", "endpoint"),
		duplicates: duplicates.WithLabelValues(),
		bad:        bad.WithLabelValues(),
		erasures:   erasures.WithLabelValues(),
	}
	m.all = []prometheus.Collector{m.attempts, m.seconds, m.ended, m.flying, m.waiting, m.gone, m.failing, m.warnings, m.phases, m.rates, m.behind, duplicates, bad, erasures}
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
	m.attempts.WithLabelValues(r.Endpoint, r.Outcome, r.Reason).Inc()
	m.seconds.WithLabelValues(r.Endpoint).Observe(float64(r.Latency) / 1000)
}

func (m *metrics) firstAttempt(endpoint string, behind int64) {
	m.behind.WithLabelValues(endpoint).Observe(float64(max(0, behind)) / 1000)
}

func (m *metrics) inFlight(endpoint string, by float64) { m.flying.WithLabelValues(endpoint).Add(by) }

func (m *metrics) wait(endpoint string, n float64) { m.waiting.WithLabelValues(endpoint).Set(n) }

func (m *metrics) phase(endpoint string, p policy.Phase) {
	m.phases.WithLabelValues(endpoint).Set(float64(p))
}

func (m *metrics) rate(endpoint string, perSecond float64) {
	m.rates.WithLabelValues(endpoint).Set(perSecond)
}

func (m *metrics) disabled(endpoint string, is bool) {
	n := 0.0
	if is {
		n = 1
	}
	m.gone.WithLabelValues(endpoint).Set(n)
}

// fails says for how much of disable_after, from 0 to 1, an endpoint has failed.
func (m *metrics) fails(endpoint string, share float64) {
	m.failing.WithLabelValues(endpoint).Set(share)
}

func (m *metrics) warned(endpoint string, percent int) {
	m.warnings.WithLabelValues(endpoint, strconv.Itoa(percent)).Inc()
}
