package processor

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tripline/tripline/processor/campaign"
)

// metrics are the processor's numbers. Campaigns are labelled by name. What is counted is counted when it is committed.
type metrics struct {
	log         *zap.Logger
	records     prometheus.Counter
	triggers    *prometheus.CounterVec
	suppressed  *prometheus.CounterVec
	converted   *prometheus.CounterVec
	deadLetters *prometheus.CounterVec
	oddities    *prometheus.CounterVec
	trouble     *prometheus.CounterVec
	behind      *prometheus.GaugeVec
	oldest      *prometheus.GaugeVec
	ahead       prometheus.Gauge
	version     *prometheus.GaugeVec
	differ      prometheus.Gauge
	rebuilding  prometheus.Gauge
	rebuilt     prometheus.Counter
	setsMu      sync.Mutex
	warned      sync.Map // what was logged once per campaign
}

func newMetrics(to prometheus.Registerer, log *zap.Logger) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "tripline", Subsystem: "processor", Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "tripline", Subsystem: "processor", Name: name, Help: help}, labels)
	}
	ahead := gauge("clock_ahead_seconds", "How far this machine's clock is ahead of the broker's.")
	m := &metrics{
		log:         log,
		version:     gauge("campaigns_info", "1 for the version of each set of campaigns in force: the process's own, where it has no lane.", "version"),
		differ:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "tripline_processor_campaigns_differ_lanes", Help: "Lanes in which another set of campaigns is in force than this process's files make."}),
		rebuilding:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "tripline_processor_rebuilding_lanes", Help: "Lanes of which not all users have been rebuilt from their history since a trigger changed."}),
		rebuilt:     prometheus.NewCounter(prometheus.CounterOpts{Name: "tripline_processor_rebuild_users_total", Help: "Users looked at to be rebuilt from their history since a trigger changed."}),
		records:     prometheus.NewCounter(prometheus.CounterOpts{Name: "tripline_processor_records_total", Help: "Input records applied."}),
		triggers:    counter("triggers_total", "Qualifications that triggered.", "campaign"),
		suppressed:  counter("suppressed_total", "Qualifications that did not trigger.", "campaign", "reason"),
		converted:   counter("converted_total", "Triggers, and those held out, that have reached their goal.", "campaign"),
		deadLetters: counter("dead_letters_total", "Records that could not be read.", "reason"),
		oddities:    counter("input_oddities_total", "Events dropped as duplicates, times too far ahead, unknown zones, history above its cap.", "what"),
		trouble:     counter("campaign_trouble_total", "Dates that are none, expressions that failed, timers above max_open.", "campaign", "what"),
		behind:      gauge("stream_time_behind_seconds", "Wall clock less stream time.", "partition"),
		oldest:      gauge("oldest_due_timer_seconds", "How long ago the oldest timer was due that has not fired; 0: there is none.", "partition"),
		ahead:       ahead.WithLabelValues(),
	}
	if to != nil {
		to.MustRegister(m.records, m.triggers, m.suppressed, m.converted, m.deadLetters, m.oddities, m.trouble, m.behind, m.oldest, ahead, m.version, m.differ, m.rebuilding, m.rebuilt)
	}
	return m
}

// sets shows which sets are in force.
func (m *metrics) sets(lanes map[int32]LaneSet, own string) {
	m.setsMu.Lock()
	defer m.setsMu.Unlock()
	m.version.Reset()
	differ, rebuilding := 0, 0
	for _, set := range lanes {
		m.version.WithLabelValues(set.Version).Set(1)
		if set.Differs {
			differ++
		}
		if set.Rebuilding {
			rebuilding++
		}
	}
	if len(lanes) == 0 {
		m.version.WithLabelValues(own).Set(1)
	}
	m.differ.Set(float64(differ))
	m.rebuilding.Set(float64(rebuilding))
}

// show sets the gauges of a lane's partitions, once a second: also, and above all, while nothing moves.
func (m *metrics) show(c *cycle) error {
	now := c.clock.now
	if now.machine.Sub(c.shown) < time.Second {
		return nil
	}
	c.shown = now.machine
	for _, in := range c.inputs {
		label := strconv.Itoa(int(in.part.Number))
		if in.stream > 0 {
			m.behind.WithLabelValues(label).Set(float64(now.wall-in.stream) / 1000)
		}
		first, err := in.part.State.Due(now.wall, 1, nil)
		if err != nil {
			return err
		}
		age := 0.0
		if len(first) > 0 {
			age = float64(now.wall-first[0].Due) / 1000
		}
		m.oldest.WithLabelValues(label).Set(age)
	}
	return nil
}

// forget takes a lane's partitions out of the gauges.
func (m *metrics) forget(c *cycle) {
	for _, in := range c.inputs {
		label := strconv.Itoa(int(in.part.Number))
		m.behind.DeleteLabelValues(label)
		m.oldest.DeleteLabelValues(label)
	}
}

// committed adds what a cycle counted, and logs what an author should see, once per campaign.
func (m *metrics) committed(c *cycle) {
	m.records.Add(float64(c.count))
	for reason, n := range c.letters {
		m.deadLetters.WithLabelValues(reason).Add(float64(n))
	}
	n := &c.out.Counts
	m.odd("duplicate", n.Duplicates)
	m.odd("future", n.Future)
	m.odd("unknown_zone", n.UnknownZones)
	m.odd("history_dropped", n.HistoryDropped)
	names := c.set.Names()
	for i := range n.Campaigns {
		one := &n.Campaigns[i]
		if one.Triggered > 0 {
			m.triggers.WithLabelValues(names[i]).Add(float64(one.Triggered))
		}
		for r, count := range one.Suppressed {
			if count > 0 {
				m.suppressed.WithLabelValues(names[i], campaign.Reasons()[r]).Add(float64(count))
			}
		}
		m.odd1(names[i], "bad_value", one.BadValues, "a date property has a value that is no date; such events set no timer")
		m.odd1(names[i], "expression", one.ExpressionErrors, "an expression failed on an event and counted as false")
		if one.Converted > 0 {
			m.converted.WithLabelValues(names[i]).Add(float64(one.Converted))
		}
		m.odd1(names[i], "dropped_open", one.DroppedOpen, "a user has more open watches, or triggers that wait, than history.max_open; the one due last was dropped")
	}
}

func (m *metrics) odd(what string, n int) {
	if n > 0 {
		m.oddities.WithLabelValues(what).Add(float64(n))
	}
}

func (m *metrics) odd1(name, what string, n int, text string) {
	if n == 0 {
		return
	}
	m.trouble.WithLabelValues(name, what).Add(float64(n))
	if _, known := m.warned.LoadOrStore(name+" "+what, true); !known {
		m.log.Warn(text, zap.String("campaign", name))
	}
}
