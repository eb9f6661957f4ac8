package config

import (
	"reflect"

	"github.com/tripline/tripline/processor/campaign"
)

// Breaker says when the sink lets an endpoint rest: where FailureRate of at least MinSamples attempts within Window failed, for Open.
// The zero Breaker is `none`.
type Breaker struct {
	FailureRate Percent           `yaml:"failure_rate"`
	MinSamples  int               `yaml:"min_samples"`
	Window      campaign.Duration `yaml:"window"`
	Open        campaign.Duration `yaml:"open"`
}

func (b *Breaker) decodeNode(d *document, n *node, path string) {
	if n.kind == scalar && n.text == "none" {
		*b = Breaker{}
		return
	}
	if n.kind != mapping {
		d.problem(n, path, "", "%s: expected a mapping or none, not %s", keyName(path), n.describe())
		return
	}
	d.decodeStruct(n, path, reflect.ValueOf(b).Elem())
	if b.FailureRate == 0 {
		d.wrong(path+".failure_rate", "", "`failure_rate`: expected a share above 0%%; `breaker: none` turns it off")
	}
	d.between(path+".min_samples", b.MinSamples, 1, 1_000_000)
	d.duration(path+".window", b.Window, 10, 3600*second)
	d.duration(path+".open", b.Open, 1, 24*3600*second)
}

// RateLimit bounds the attempts of the whole group. A Burst of 0 is what comes in one second, at least 1.
type RateLimit struct {
	PerSecond float64 `yaml:"per_second"`
	Burst     int     `yaml:"burst"`
}

func (r *RateLimit) check(d *document, at string) {
	if r.PerSecond < 0.001 || r.PerSecond > 1_000_000 {
		d.wrong(at+".per_second", "", "`per_second`: expected a number from 0.001 to 1000000")
	}
	d.between(at+".burst", r.Burst, 0, 1_000_000)
}
