package config

import "github.com/tripline/tripline/processor/campaign"

// Endpoint is where the sink calls, and how. Name and URL are required, the rest has the defaults of sink.md.
type Endpoint struct {
	Name         string               `yaml:"name"`
	URL          Text                 `yaml:"url"` // a template
	Method       string               `yaml:"method"`
	Headers      map[string]Text      `yaml:"headers"` // templates, but for the names that carry credentials
	Query        map[string]Text      `yaml:"query"`   // templates
	Auth         campaign.Unavailable `yaml:"auth"`
	Signing      *Signing             `yaml:"signing"` // nil: unsigned
	Timeout      campaign.Duration    `yaml:"timeout"`
	Retry        Retry                `yaml:"retry"`
	Success      []Statuses           `yaml:"success"`
	RateLimit    campaign.Unavailable `yaml:"rate_limit"`
	MaxInFlight  int                  `yaml:"max_in_flight"`
	Order        campaign.Unavailable `yaml:"order" neutral:"none"`
	OrderTimeout campaign.Unavailable `yaml:"order_timeout"`
	Batch        Batch                `yaml:"batch"`
	Breaker      campaign.Unavailable `yaml:"breaker" neutral:"none"`
	DisableAfter campaign.Unavailable `yaml:"disable_after"`
	MaxWaiting   int                  `yaml:"max_waiting"`
	AllowPrivate bool                 `yaml:"allow_private"`
	Proxy        campaign.Unavailable `yaml:"proxy"`
	TLS          campaign.Unavailable `yaml:"tls"`
}

// Signing holds the secrets that sign a request, one signature each (Standard Webhooks).
type Signing struct {
	Secrets []SigningSecret `yaml:"secrets"`
}

// Retry says when a failed attempt is made again: Schedule are the waits from the end of an attempt, each times (1 ± Jitter).
type Retry struct {
	Schedule []campaign.Duration `yaml:"schedule"`
	Jitter   Percent             `yaml:"jitter"`
	Quick    int                 `yaml:"quick"`
	On       []Statuses          `yaml:"on"`
	Final    []Statuses          `yaml:"final"`
}

// Batch takes only the values that ask for no batches.
type Batch struct {
	Max    campaign.Unavailable `yaml:"max" neutral:"1"`
	Linger campaign.Unavailable `yaml:"linger" neutral:"0s"`
}

// DefaultEndpoint is what an endpoint is that gives a name and a url only.
func DefaultEndpoint() Endpoint {
	const second, minute, hour = 1000, 60_000, 3_600_000
	return Endpoint{
		Method:  "POST",
		Timeout: 15 * second,
		Retry: Retry{
			Schedule: []campaign.Duration{5 * second, 5 * minute, 30 * minute, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour},
			Jitter:   0.2,
			Quick:    2,
		},
		Success:     []Statuses{{Low: 200, High: 299}},
		MaxInFlight: 32,
		MaxWaiting:  1_000_000,
	}
}
