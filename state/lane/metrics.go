package lane

import (
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the group's numbers. Without a registry they are counted and
// never shown.
type metrics struct {
	cycles   *prometheus.CounterVec // by outcome: committed, aborted
	commit   prometheus.Histogram   // seconds from Commit to applied
	taken    *prometheus.CounterVec // lives of lanes begun, by cause
	wipes    *prometheus.CounterVec // by reason
	restored *prometheus.CounterVec // by unit: records, bytes
	left     *prometheus.GaugeVec   // changelog records still to restore, by lane
	rate     *prometheus.GaugeVec   // changelog records a second, by lane
	estimate *prometheus.GaugeVec   // seconds until a lane is restored, by lane
	lanes    *prometheus.GaugeVec   // by phase
	standbys *prometheus.GaugeVec   // by phase
	lag      *prometheus.GaugeVec   // changelog records that a copy has still to read, by lane
	held     *prometheus.GaugeVec   // seconds, by topic and partition
	refused  prometheus.Gauge       // 1: the broker does not tell its log end
	ahead    prometheus.Gauge       // seconds
	offsets  *prometheus.CounterVec // commits of group offsets, by outcome
	all      []prometheus.Collector
}

func newMetrics(group string) *metrics {
	labels := prometheus.Labels{"group": group}
	counter := func(name, help string, by ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "tripline", Subsystem: "lane", Name: name, Help: help, ConstLabels: labels}, by)
	}
	gauge := func(name, help string, by ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "tripline", Subsystem: "lane", Name: name, Help: help, ConstLabels: labels}, by)
	}
	refused := gauge("log_end_refused", "1 where a broker does not tell its log end, so that stream time keeps watermark_slack behind.")
	ahead := gauge("clock_ahead_seconds", "How far this machine's clock is ahead of the broker's.")
	m := &metrics{
		cycles: counter("cycles_total", "Cycles by outcome.", "outcome"),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "tripline", Subsystem: "lane", Name: "commit_seconds",
			Help: "Time from the end of a cycle's decisions to its rows being applied.", ConstLabels: labels,
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)}),
		taken:    counter("taken_total", "Times that a lane was fenced and restored, by cause.", "cause"),
		wipes:    counter("wipes_total", "Partitions whose local state could not be continued, by reason.", "reason"),
		restored: counter("restored_total", "What was read from the changelog, by unit.", "unit"),
		left:     gauge("restore_left_records", "Changelog records that a lane has still to read.", "lane"),
		rate:     gauge("restore_records_per_second", "How fast a lane is being restored.", "lane"),
		estimate: gauge("restore_estimate_seconds", "How long a lane's restore will still take; 0 where there is none.", "lane"),
		standbys: gauge("standbys", "Warm copies that this process keeps of lanes that others have, by phase.", "phase"),
		lag:      gauge("standby_lag_records", "Changelog records that a warm copy has still to read.", "lane"),
		lanes:    gauge("lanes", "Lanes that this process has, by phase.", "phase"),
		held: gauge("input_held_seconds", "How long an open transaction of another producer has held a partition's readers, and stream time, back.",
			"topic", "partition"),
		refused: refused.WithLabelValues(),
		ahead:   ahead.WithLabelValues(),
		offsets: counter("group_offsets_total", "Commits of the group's offsets, which only lag tools read, by outcome.", "outcome"),
	}
	m.all = []prometheus.Collector{m.cycles, m.commit, m.taken, m.wipes, m.restored, m.left, m.rate, m.estimate, m.standbys, m.lag, m.lanes, m.held, refused, ahead, m.offsets}
	return m
}

// register adds the metrics to a registry, and returns how to take them out.
func (m *metrics) register(to prometheus.Registerer) (remove func(), err error) {
	if to == nil {
		return func() {}, nil
	}
	for i, c := range m.all {
		if err := to.Register(c); err != nil {
			for _, c := range m.all[:i] {
				to.Unregister(c)
			}
			return nil, err
		}
	}
	return func() {
		for _, c := range m.all {
			to.Unregister(c)
		}
	}, nil
}

func (m *metrics) exact(is bool) {
	if is {
		m.refused.Set(0)
	} else {
		m.refused.Set(1)
	}
}

func (m *metrics) heldFor(s spot, seconds float64) {
	m.held.WithLabelValues(s.topic, strconv.Itoa(int(s.partition))).Set(seconds)
}

// phase is where a lane, or a warm copy of one, is in its life, which a gauge counts.
type phase struct {
	counted *prometheus.GaugeVec // by phase

	mu   sync.Mutex
	name string // "": it has not begun, or is over
	err  error  // why it is stopped, or what it is being tried again after
}

// enter goes on to another phase.
func (p *phase) enter(name string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.name != "" {
		p.counted.WithLabelValues(p.name).Dec()
	}
	if name != "" {
		p.counted.WithLabelValues(name).Inc()
	}
	p.name, p.err = name, err
}

func (p *phase) now() (name string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.name, p.err
}
