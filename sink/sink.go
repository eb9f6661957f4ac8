package sink

import (
	"context"
	"errors"

	"github.com/tripline/tripline/sink/call"
	"github.com/tripline/tripline/state/lane"
)

// Config says what a sink reads and writes. All but Dedupe, Version and Network is required.
type Config struct {
	Group string // `group:` of tripline.yaml; the consumer group is <group>-sink

	Triggers, Deliveries, DeadLetters string // topics

	Dedupe  int64  // ms: how long a trigger that has ended is known as such; 24 h
	Version string // of Tripline, for the user-agent

	// Lane has what the sink leaves to its lanes: Client, Store, Log, Metrics, Lanes, timeouts. Its Group, Topics, Changelog
	// and StopTimeout are set by New.
	Lane lane.Config

	// Network is what calls go over; the zero Network is the machine's.
	Network call.Network
}

const (
	maxName = 512 // bytes of an endpoint's name or a trigger's id

	unknownEndpoint = "unknown_endpoint"
	unknownCampaign = "unknown_campaign"
)

// Sink sends webhooks.
type Sink struct {
	cfg  Config
	plan *Plan
}

// New checks cfg. It opens nothing.
func New(cfg Config, plan *Plan) (*Sink, error) {
	return &Sink{cfg: cfg, plan: plan}, nil
}

// Follow makes another plan the one by which everything is sent from now on. It may be called at any time.
func (s *Sink) Follow(plan *Plan) { s.plan = plan }

// Run sends until ctx ends, then lets attempts in flight end for up to 4 s, and returns nil. It closes all that it opened, and
// leaves Config.Lane.Store open. It is called once. Its errors are those of lane.Group.Run.
func (s *Sink) Run(ctx context.Context) error { return errors.ErrUnsupported }
