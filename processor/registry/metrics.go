package registry

import "github.com/prometheus/client_golang/prometheus"

// metrics are the numbers of what is asked of the registry.
type metrics struct {
	fetches *prometheus.CounterVec
	waiting prometheus.Gauge
}

func newMetrics(to prometheus.Registerer) *metrics {
	m := &metrics{
		fetches: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tripline_registry_fetches_total",
			Help: "Schemas asked for, by what came of it: fetched, unknown to the registry, unusable, failed."}, []string{"outcome"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{Name: "tripline_registry_waiting",
			Help: "Schemas that the registry does not answer for; the records that need them wait."}),
	}
	if to != nil {
		to.MustRegister(m.fetches, m.waiting)
	}
	return m
}
