package processor

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tripline/tripline/processor/campaign"
)

// metrics are the processor's numbers. Campaigns are labelled by name.
type metrics struct {
	names       []string
	records     prometheus.Counter
	triggers    *prometheus.CounterVec
	suppressed  *prometheus.CounterVec
	deadLetters *prometheus.CounterVec
	oddities    *prometheus.CounterVec
	trouble     *prometheus.CounterVec
	behind      *prometheus.GaugeVec
	ahead       prometheus.Gauge
}

func newMetrics(to prometheus.Registerer, set *campaign.Set) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "tripline", Subsystem: "processor", Name: name, Help: help}, labels)
	}
	m := &metrics{
		names:       set.Names(),
		records:     prometheus.NewCounter(prometheus.CounterOpts{Name: "tripline_processor_records_total", Help: "Input records applied in committed cycles."}),
		triggers:    counter("triggers_total", "Triggers decided.", "campaign"),
		suppressed:  counter("suppressed_total", "Qualifications that did not trigger.", "campaign", "reason"),
		deadLetters: counter("dead_letters_total", "Records that could not be read.", "reason"),
		oddities:    counter("input_oddities_total", "Events dropped as duplicates, times too far ahead, unknown zones, history above its cap.", "what"),
		trouble:     counter("campaign_trouble_total", "Dates that are none, expressions that failed, timers above max_open.", "campaign", "what"),
		behind: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tripline_processor_stream_time_behind_seconds",
			Help: "Wall clock less stream time."}, []string{"partition"}),
		ahead: prometheus.NewGauge(prometheus.GaugeOpts{Name: "tripline_processor_clock_ahead_seconds", Help: "How far this clock is ahead of the broker's."}),
	}
	if to != nil {
		to.MustRegister(m.records, m.triggers, m.suppressed, m.deadLetters, m.oddities, m.trouble, m.behind, m.ahead)
	}
	return m
}

func (m *metrics) skew(ahead time.Duration) { m.ahead.Set(ahead.Seconds()) }

func (m *metrics) deadLetter(reason string) { m.deadLetters.WithLabelValues(reason).Inc() }

func (m *metrics) cycle(c *cycle) {
	m.records.Add(float64(c.count))
	wall := c.clock.wall(c.clock.now())
	for _, in := range c.inputs {
		if in.stream > 0 {
			m.behind.WithLabelValues(strconv.Itoa(int(in.part.Number))).Set(float64(wall-in.stream) / 1000)
		}
	}
}

// counted adds what a step counted apart from its records, and logs what an author should see, once per campaign.
func (m *metrics) counted(c *cycle, in *input) {
	n := &c.out.Counts
	m.odd("duplicate", n.Duplicates)
	m.odd("future", n.Future)
	m.odd("unknown_zone", n.UnknownZones)
	m.odd("history_dropped", n.HistoryDropped)
	for i := range n.Campaigns {
		one := &n.Campaigns[i]
		if one.Triggered > 0 {
			m.triggers.WithLabelValues(m.names[i]).Add(float64(one.Triggered))
		}
		for r, count := range one.Suppressed {
			if count > 0 {
				m.suppressed.WithLabelValues(m.names[i], campaign.Reasons()[r]).Add(float64(count))
			}
		}
		m.trouble1(c, m.names[i], "bad_value", one.BadValues, "a date property has a value that is no date; such events set no timer")
		m.trouble1(c, m.names[i], "expression", one.ExpressionErrors, "an expression failed on an event and counted as false")
		m.trouble1(c, m.names[i], "dropped_open", one.DroppedOpen, "a user has more open watches than history.max_open; the one due last was dropped")
	}
}

func (m *metrics) odd(what string, n int) {
	if n > 0 {
		m.oddities.WithLabelValues(what).Add(float64(n))
	}
}

func (m *metrics) trouble1(c *cycle, name, what string, n int, text string) {
	if n == 0 {
		return
	}
	m.trouble.WithLabelValues(name, what).Add(float64(n))
	if c.warned == nil {
		c.warned = map[string]bool{}
	}
	if key := name + " " + what; !c.warned[key] {
		c.warned[key] = true
		c.p.cfg.Log.Warn(text, zap.String("campaign", name))
	}
}
