package processor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/registry"
	"github.com/tripline/tripline/state/lane"
)

// Config is what a Processor needs. Topics and Outputs of Lane follow from the topics here.
type Config struct {
	Lane         lane.Config
	Set          *campaign.Set // of this process's files; Follow gives another
	Text         []byte        // from which Compile makes Set, wherever
	Earlier      []string      // versions of the sets that this process's files made before, as far as it knows
	Compile      func(text []byte) (*campaign.Set, error)
	Envelope     record.Envelope
	Registry     *registry.Registry // of the records' schemas; nil: records are plain JSON
	EventTopics  []string
	ProfileTopic string // "": none
	Triggers     string
	Decisions    string
	DeadLetters  string
	// Slack is how far stream time stays behind the clock where a broker does not tell its log end.
	Slack time.Duration
	// Users bounds, in bytes, the users that are kept in memory between cycles, over all lanes.
	Users int64
	// Cycles bounds, in bytes, what is decided and not yet committed, over all lanes: records and rows. 0: 1 MiB each.
	Cycles  int64
	Log     *zap.Logger
	Metrics prometheus.Registerer // nil: none
}

const (
	cycleRecords = 10_000                 // a cycle ends at so many records,
	cycleTime    = 100 * time.Millisecond // after so long,
	cycleBytes   = 1 << 20                // or at so many bytes of records and rows, or fewer where there is little memory for many lanes
	leastBytes   = 64 << 10
	pollRecords  = 1_000
	dueUsers     = 4_000 // timers fire for so many users a cycle
)

// Processor reads event topics and writes triggers and decisions.
type Processor struct {
	cfg     Config
	group   *lane.Group
	metrics *metrics
	reader  registry.Reader
	own     atomic.Pointer[own]
	running atomic.Int64 // lanes
	apart   atomic.Bool  // this machine's clock differs from the broker's, and that is logged

	mu    sync.Mutex
	parts map[int32]running // of the lanes that run, by number
	force map[int32]LaneSet // of the lanes that run
	taken map[int32]*own    // see known
}

// New checks cfg. It opens nothing.
func New(cfg Config) (*Processor, error) {
	if cfg.Set == nil || cfg.Compile == nil || len(cfg.EventTopics) == 0 || cfg.Triggers == "" || cfg.Decisions == "" || cfg.DeadLetters == "" {
		return nil, errors.New("processor: campaigns, event topics, triggers, decisions and dead letters are required")
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.Users == 0 {
		cfg.Users = 32 << 20
	}
	cfg.Lane.Topics, cfg.Lane.Outputs = cfg.EventTopics, []string{cfg.Triggers, cfg.Decisions, cfg.DeadLetters}
	if cfg.ProfileTopic != "" {
		cfg.Lane.Topics = append(append([]string{}, cfg.EventTopics...), cfg.ProfileTopic)
	}
	p := &Processor{cfg: cfg, parts: map[int32]running{}, force: map[int32]LaneSet{}, taken: map[int32]*own{}, metrics: newMetrics(cfg.Metrics, cfg.Log),
		reader: registry.Reader{Envelope: cfg.Envelope, Registry: cfg.Registry}}
	p.own.Store(&own{cfg.Set, cfg.Text, cfg.Earlier})
	p.metrics.sets(p.Sets(), cfg.Set.Version())
	group, err := lane.New(cfg.Lane, p.loop)
	if err != nil {
		return nil, fmt.Errorf("processor: %w", err)
	}
	p.group = group
	return p, nil
}

// Run processes until ctx ends, and returns nil when every lane has ended its cycle.
func (p *Processor) Run(ctx context.Context) error { return p.group.Run(ctx) }

// Follow gives the process another set of its own, with its text. Each lane takes it up between two cycles, so that a cycle is decided by one
// set. It may be called at any time, by one at a time.
func (p *Processor) Follow(set *campaign.Set, text []byte) {
	before := p.own.Load()
	earlier := before.earlier
	if !slices.Contains(earlier, before.Version()) {
		earlier = append(slices.Clip(earlier), before.Version())
	}
	p.own.Store(&own{set, text, earlier})
	p.metrics.sets(p.Sets(), set.Version())
}

// Version is that of the process's own set. What is in force in its lanes is that, or what Sets tells.
func (p *Processor) Version() string { return p.own.Load().Version() }

// Status tells what this process's lanes are doing.
func (p *Processor) Status() []lane.Status { return p.group.Status() }

// Standbys tells of the warm copies that this process keeps of lanes that others have.
func (p *Processor) Standbys() []lane.StandbyStatus { return p.group.Standbys() }

// Placed says whether the group has told this process which lanes it has; that may be none.
func (p *Processor) Placed() bool { return p.group.Placed() }

// loop runs one lane: poll, step, commit. The lane has made its first commit, of its positions, before: that has told the
// broker's clock before any timer fires.
func (p *Processor) loop(ctx context.Context, l *lane.Lane) error {
	p.running.Add(1)
	defer p.running.Add(-1)
	c := newCycle(p, l)
	defer c.close()
	defer func() {
		if ctx.Err() != nil {
			p.note(l.Number(), nil)
		}
		p.lost(c.inputs)
		p.tell(l.Number(), nil)
	}()
	if err := c.recall(); err != nil {
		return err
	}
	for {
		if err := c.follow(); err != nil {
			return err
		}
		err := c.fill(ctx)
		if ctx.Err() != nil {
			return nil // without the cycle
		}
		if err != nil {
			return err
		}
		if err := c.fire(); err != nil {
			return err
		}
		if err := c.rebuild(); err != nil {
			return err
		}
		if err := p.metrics.show(c); err != nil {
			return err
		}
		if !c.worthwhile() {
			continue
		}
		if err := c.commit(); err != nil {
			return err
		}
	}
}
