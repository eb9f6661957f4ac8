package sink

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/sink/call"
	"github.com/tripline/tripline/sink/control"
	"github.com/tripline/tripline/sink/policy"
	"github.com/tripline/tripline/state/lane"
)

// Config says what a sink reads and writes. All but Dedupe, Version, Memory and Network is required.
type Config struct {
	Group string // `group:` of tripline.yaml; the consumer group is <group>-sink

	Triggers, Deliveries, DeadLetters string // topics
	Events                            string // topic to which the ends of deliveries go as events, in Tripline's own form; "": they do not

	Dedupe  int64  // ms: how long a trigger that has ended is known as such; 24 h
	Version string // of Tripline, for the user-agent
	Memory  int64  // bytes of triggers that wait in memory, over all endpoints, about; 64 MiB

	// Lane has what the sink leaves to its lanes: Client, Store, Log, Metrics, Lanes, timeouts. Its Group, Topics, Outputs, Changelog
	// and StopTimeout are set by New.
	Lane lane.Config

	// Network is what calls go over; the zero Network is the machine's.
	Network call.Network
}

const (
	dayMS    = 86_400_000
	memory   = 64 << 20
	minBytes = 256 << 10 // of one endpoint
	maxBytes = 8 << 20
)

// Sink sends webhooks.
type Sink struct {
	cfg     Config
	log     *zap.Logger
	agent   string
	group   *lane.Group
	metrics *metrics
	control *control.Follower
	plan    atomic.Pointer[Plan]
	flights sync.WaitGroup // goroutines of outlets

	mu      sync.Mutex
	outlets map[string]*outlet
	lanes   map[*laneRun]bool
	known   map[string]string // what the control topic says: endpoint -> print of the configuration that is disabled
}

// New checks cfg. It opens nothing.
func New(cfg Config, plan *Plan) (*Sink, error) {
	if cfg.Group == "" || cfg.Triggers == "" || cfg.Deliveries == "" || cfg.DeadLetters == "" || plan == nil {
		return nil, errors.New("sink: a group, the topics of triggers, deliveries and dead letters, and a plan are required")
	}
	if cfg.Dedupe == 0 {
		cfg.Dedupe = dayMS
	}
	if cfg.Memory == 0 {
		cfg.Memory = memory
	}
	if cfg.Lane.Log == nil {
		cfg.Lane.Log = zap.NewNop()
	}
	cfg.Lane.Group = cfg.Group + "-sink"
	cfg.Lane.Changelog = cfg.Group + "-sink-changelog"
	cfg.Lane.Topics, cfg.Lane.Outputs = []string{cfg.Triggers}, []string{cfg.Deliveries, cfg.DeadLetters, cfg.Events}
	cfg.Lane.StopTimeout = stopTime
	s := &Sink{cfg: cfg, log: cfg.Lane.Log.Named("sink"), agent: "tripline/" + cfg.Version,
		outlets: map[string]*outlet{}, lanes: map[*laneRun]bool{}, known: map[string]string{}}
	s.metrics = newMetrics(standing{s})
	group, err := lane.New(cfg.Lane, s.loop)
	if err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	s.group = group
	s.control = control.NewFollower(s.controlTopic(), cfg.Lane.Client, s.log, s.apply)
	s.Follow(plan)
	return s, nil
}

func (s *Sink) controlTopic() string { return ControlTopic(s.cfg.Group) }

// ControlTopic is the control topic of a group.
func ControlTopic(group string) string { return group + "-sink-control" }

// Follow makes another plan the one by which everything is sent from now on, whole. It may be called at any time.
func (s *Sink) Follow(plan *Plan) {
	s.mu.Lock()
	s.plan.Store(plan)
	each := max(minBytes, min(maxBytes, int(s.cfg.Memory)/max(1, len(plan.endpoints))))
	for name := range plan.endpoints {
		s.ensure(name)
	}
	for name, o := range s.outlets {
		e := plan.endpoints[name]
		if old := o.configure(e, s.client(o, e), each); old != nil {
			old.Close()
		}
	}
	s.mu.Unlock()
	s.inform()
}

// client is a client for an endpoint; the outlet's own where that is as good.
func (s *Sink) client(o *outlet, e *endpoint) *call.Client {
	now, client, _ := o.current()
	switch {
	case e == nil:
		return nil
	case now != nil && now.Timeout == e.Timeout && now.AllowPrivate == e.AllowPrivate && now.MaxInFlight == e.MaxInFlight && now.TLS == e.TLS && now.Proxy == e.Proxy &&
		reflect.DeepEqual(now.Auth, e.Auth) &&
		slices.Equal(now.Secrets, e.Secrets) && slices.Equal(now.target.Secrets(), e.target.Secrets()):
		return client
	}
	return e.client(s.cfg.Network, e.MaxInFlight)
}

// ensure returns the outlet of that name. The lock is held.
func (s *Sink) ensure(name string) *outlet {
	o := s.outlets[name]
	if o == nil {
		o = &outlet{name: name, wait: &s.flights, metrics: s.metrics, log: s.log, share: s.share(), lanes: map[*laneRun]*[2]int{}, since: map[*part]int64{}}
		o.attempt = func(f *flight) { s.attempt(o, f) }
		s.outlets[name] = o
	}
	return o
}

func (s *Sink) outlet(name string) *outlet {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.outlets[name]
}

func (s *Sink) all() []*outlet {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.outlets))
}

// apply takes what the control topic says of an endpoint.
func (s *Sink) apply(state control.State) {
	switch o := s.outlet(state.Endpoint); {
	case state.State == control.Held && o != nil:
		o.heed(state)
	case state.State == control.Failing && o != nil && o.hear(state):
		s.inform()
	}
	if state.State == control.Held || state.State == control.Failing {
		return
	}
	print := ""
	if state.State == control.Disabled {
		print = state.Print
	}
	s.mu.Lock()
	s.known[state.Endpoint] = print
	o := s.ensure(state.Endpoint)
	s.mu.Unlock()
	if o.pause(state.State == control.Paused) {
		s.log.Info("endpoint is "+state.State, zap.String("endpoint", state.Endpoint), zap.String("cause", state.Cause), zap.String("since", state.Time))
	}
	if state.State != control.Disabled {
		o.forgive(state.At())
	}
	if !o.disable(print, state.Cause) {
		return
	}
	if o.isGone() {
		s.log.Warn("endpoint is disabled", zap.String("endpoint", state.Endpoint), zap.String("cause", state.Cause), zap.String("since", state.Time))
	} else {
		s.log.Info("endpoint is tried again", zap.String("endpoint", state.Endpoint))
	}
	s.inform()
}

// worthTelling is how long (ms) a hold is at least, or lasts longer than the group knows, for others to be told of it.
const worthTelling = 5_000

// hold keeps the endpoint from getting anything before a moment. It returns what others have to know of that.
func (o *outlet) hold(e *endpoint, until, now int64) []*control.State {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gate.Hold(until, now)
	if until-max(now, o.heldUntil) < worthTelling {
		return nil
	}
	o.heldUntil = until
	return []*control.State{{Endpoint: o.name, State: control.Held, Print: e.print, Time: calendar.FormatTime(now), Until: calendar.FormatTime(until)}}
}

// heed holds the endpoint as another process, or this one before it started anew, was asked to.
func (o *outlet) heed(s control.State) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.endpoint == nil || o.endpoint.print != s.Print {
		return
	}
	until := min(s.Ends(), s.At()+policy.MaxRetryAfter)
	o.heldUntil = max(o.heldUntil, until)
	o.gate.Hold(until, time.Now().UnixMilli())
}

// gone are the endpoints that are disabled as they are configured.
func (s *Sink) gone() map[string]bool {
	gone := map[string]bool{}
	for _, o := range s.all() {
		if o.isGone() {
			gone[o.name] = true
		}
	}
	return gone
}

// unconfirmed are the records of endpoints of which this process knows that they have gone, and the control topic does not: the
// transaction that should have told it was aborted.
func (s *Sink) unconfirmed(now int64) (records []*kgo.Record) {
	for name := range s.gone() {
		e, o := s.plan.Load().endpoints[name], s.outlet(name)
		s.mu.Lock()
		if e != nil && s.known[name] != e.print {
			records = append(records, control.Record(s.controlTopic(), name, o.why(), e.print, "", now))
		}
		s.mu.Unlock()
	}
	return records
}

// inform tells every lane that something is new.
func (s *Sink) inform() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.lanes {
		l.inform()
	}
}

func (s *Sink) enter(l *laneRun) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lanes[l] = true
	s.assign()
}

func (s *Sink) leave(l *laneRun) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lanes, l)
	s.assign()
}

// share is the part of the group's partitions that this process has. The lock is held.
func (s *Sink) share() float64 {
	mine, all := 0, int32(1)
	for l := range s.lanes {
		for _, p := range l.parts {
			mine, all = mine+1, max(all, p.of)
		}
	}
	return min(1, float64(mine)/float64(all))
}

// assign tells the outlets of another share of the partitions. The lock is held.
func (s *Sink) assign() {
	share := s.share()
	for _, o := range s.outlets {
		o.assign(share)
	}
}

// waits counts the rows of an endpoint's deliveries, over all lanes.
func (s *Sink) waits(endpoint string, by int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.ensure(endpoint)
	now := o.waiting.Add(by)
	if now == 0 && s.plan.Load().endpoints[endpoint] == nil && s.known[endpoint] == "" {
		delete(s.outlets, endpoint) // only records name it
	}
}

// count counts the deliveries that a commit has ended. A name that the plan does not have is not shown: a record could bring any.
func (s *Sink) count(ended map[ending]int) {
	for e, n := range ended {
		if s.plan.Load().endpoints[e.endpoint] == nil {
			e.endpoint = "unknown"
		}
		s.metrics.ended.WithLabelValues(e.endpoint, e.outcome, e.reason).Add(float64(n))
	}
}

// excess is how many more deliveries wait for an endpoint than may.
func (s *Sink) excess(endpoint string) int64 {
	o, e := s.outlet(endpoint), s.plan.Load().endpoints[endpoint]
	if o == nil || e == nil {
		return 0
	}
	return o.waiting.Load() - int64(e.MaxWaiting)
}

// Status tells what this process's lanes are doing.
func (s *Sink) Status() []lane.Status { return s.group.Status() }

// Standbys tells of the warm copies that this process keeps of lanes that others have.
func (s *Sink) Standbys() []lane.StandbyStatus { return s.group.Standbys() }

// Placed says whether the group has told this process which lanes it has; that may be none.
func (s *Sink) Placed() bool { return s.group.Placed() }

// Run sends until ctx ends, then lets attempts in flight end for up to 4 s, and returns nil. It closes all that it opened, and
// leaves Config.Lane.Store open. It is called once. Its errors are those of lane.Group.Run.
func (s *Sink) Run(ctx context.Context) error {
	remove, err := s.metrics.register(s.cfg.Lane.Metrics)
	if err != nil {
		return fmt.Errorf("sink: %w", err)
	}
	defer remove()
	if err := s.missing(ctx); err != nil {
		return err
	}
	following, stop := context.WithCancel(ctx)
	var follower sync.WaitGroup
	follower.Go(func() { s.control.Run(following) })
	err = s.group.Run(ctx)
	stop()
	follower.Wait()
	s.flights.Wait()
	for _, o := range s.all() {
		o.stop()
	}
	return err
}

// missing says which output topics are not there. Whether Kafka answers at all, the lanes find out.
func (s *Sink) missing(ctx context.Context) error {
	client, err := kgo.NewClient(append(slices.Clone(s.cfg.Lane.Client), kgo.DisableClientMetrics())...)
	if err != nil {
		return fmt.Errorf("sink: make a client: %w", err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	topics, err := kadm.NewClient(client).ListTopics(ctx)
	if err != nil {
		return nil
	}
	missing := map[string]int{}
	for _, name := range []string{s.cfg.Deliveries, s.cfg.DeadLetters, s.cfg.Events} {
		if name != "" && !topics.Has(name) {
			missing[name] = 0
		}
	}
	if len(missing) > 0 {
		return &lane.TopicsError{Counts: missing}
	}
	return nil
}
