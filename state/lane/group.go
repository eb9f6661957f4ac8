package lane

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

// Group is a process's membership in a consumer group and the lanes it has.
type Group struct {
	cfg     Config
	loop    Loop
	log     *zap.Logger
	metrics *metrics

	// Set once by Run before anything else uses them.
	layout   *layout
	member   *kgo.Client // of the group; it fetches nothing
	instance string
	restores chan struct{} // one place for each restore at a time
	fail     context.CancelCauseFunc
	offsets  offsets

	mu       sync.Mutex
	runs     map[int32]*run
	stopping bool
}

// New checks cfg and fills in its defaults. It opens nothing.
func New(cfg Config, loop Loop) (*Group, error) {
	cfg, err := cfg.check()
	if err != nil {
		return nil, err
	}
	if loop == nil {
		return nil, errors.New("lanes: a loop is needed")
	}
	return &Group{
		cfg: cfg, loop: loop, runs: make(map[int32]*run),
		log:      cfg.Log.With(zap.String("group", cfg.Group)),
		metrics:  newMetrics(cfg.Group),
		restores: make(chan struct{}, max(1, runtime.GOMAXPROCS(0))),
	}, nil
}

// Status is one of the process's lanes as an operator wants to see it.
type Status struct {
	Lane  int32
	Phase string // "fencing", "restoring", "running" or "stopped"
	Err   error  // why it is stopped, or what it is being tried again after
	// Restored counts changelog records read since the lane was taken; Left
	// those of the partition being read that are still to come.
	Restored, Left int64
}

// Status of the lanes that this process has now, in order of lane. It may be
// called at any time, also before and after Run.
func (g *Group) Status() []Status {
	var all []Status
	for _, r := range g.all() {
		r.mu.Lock()
		all = append(all, r.status)
		r.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b Status) int { return cmp.Compare(a.Lane, b.Lane) })
	return all
}

func (g *Group) all() (runs []*run) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.runs {
		runs = append(runs, r)
	}
	return runs
}

// Run checks the topics, makes the changelog where it is missing, joins the
// group and runs the lanes that it is assigned until ctx ends. Then each lane
// ends its cycle, and Run returns nil when all of them have, within
// Config.StopTimeout and a second. It closes all that it opened, and leaves
// Config.Store open. It is called once.
//
// It returns [*UnreachableError] when Kafka does not answer at the start,
// [*TopicsError] when the input is missing or its partition counts differ,
// [*LanesError] when the state was made with another number of lanes, and the
// first error of a Loop that is not the lane's.
func (g *Group) Run(ctx context.Context) error {
	remove, err := g.metrics.register(g.cfg.Metrics)
	if err != nil {
		return fmt.Errorf("lanes: register metrics: %w", err)
	}
	defer remove()
	admin, err := g.cfg.client()
	if err != nil {
		return fmt.Errorf("lanes: make a client: %w", err)
	}
	defer admin.Close()
	if g.layout, err = g.cfg.survey(ctx, admin); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	if g.instance, err = g.cfg.Store.InstanceID(); err != nil {
		return err
	}
	return g.join(ctx, admin)
}

// join is Run from the group's start to its end.
func (g *Group) join(ctx context.Context, admin *kgo.Client) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	g.fail = fail
	// The member's client is closed by cutting its requests off after a while:
	// a join may wait for other members for as long as the rebalance takes.
	alive, cut := context.WithCancel(context.Background())
	defer cut()
	var err error
	if g.member, err = g.memberClient(alive); err != nil {
		return fmt.Errorf("lanes: make a client: %w", err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { g.watch(ctx) })
	wg.Go(func() { g.offsets.keep(ctx, g) })
	<-ctx.Done()

	g.stopAll()
	wg.Wait()
	timer := time.AfterFunc(500*time.Millisecond, cut)
	g.member.Close()
	timer.Stop()
	if g.cfg.Leave {
		g.leave(admin)
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return nil
}

// memberClient joins the group. The client subscribes to the input topics so that
// tools see who has what, and fetches nothing of them.
func (g *Group) memberClient(ctx context.Context) (*kgo.Client, error) {
	client, err := g.cfg.client(
		kgo.WithContext(ctx),
		kgo.ConsumerGroup(g.cfg.Group),
		kgo.ConsumeTopics(g.cfg.Topics...),
		kgo.Balancers(&balancer{topics: g.cfg.Topics, counts: g.layout.partitions, lanes: g.layout.lanes,
			self: g.self, refuse: func(err error) { g.fail(err) }, log: g.log}),
		kgo.InstanceID(g.instance),
		kgo.SessionTimeout(g.cfg.SessionTimeout),
		kgo.HeartbeatInterval(min(3*time.Second, g.cfg.SessionTimeout/3)),
		kgo.RebalanceTimeout(max(rebalanceTimeout, g.cfg.StopTimeout+5*time.Second)),
		kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, got map[string][]int32) { g.assigned(got) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { g.revoked(gone) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { g.lost(gone) }),
	)
	if err == nil {
		client.PauseFetchTopics(g.cfg.Topics...)
	}
	return client, err
}

// self is what this member says when it joins. What it holds is a hint: state
// that cannot be read is not held.
func (g *Group) self() metadata {
	said := metadata{Address: g.cfg.Address, Lanes: g.layout.lanes, Held: make(map[int32]int64)}
	numbers, err := g.cfg.Store.Partitions()
	if err != nil {
		g.log.Warn("what is held is not known", zap.Error(err))
	}
	for _, number := range numbers {
		if p, err := g.cfg.Store.Partition(number); err == nil && p.Position().TopicID == g.layout.changelogID {
			said.Held[number%g.layout.lanes] += p.Position().Changelog
		}
	}
	return said
}

// watch waits for what the group's client has to say until ctx ends.
func (g *Group) watch(ctx context.Context) {
	for ctx.Err() == nil {
		for _, failed := range g.member.PollFetches(ctx).Errors() {
			if ctx.Err() != nil || errors.Is(failed.Err, kgo.ErrClientClosed) {
				return
			}
			switch err := failed.Err; {
			case errors.Is(err, kerr.FencedInstanceID):
				g.fail(fmt.Errorf("group %s: another process has this one's instance id: is its state folder a copy? "+
					"Each process needs a folder of its own: %w", g.cfg.Group, err))
			case errors.Is(err, kerr.InconsistentGroupProtocol):
				g.fail(fmt.Errorf("group %s: its other members are not of this version or kind of tripline; "+
					"stop them, or set another group: %w", g.cfg.Group, err))
			case errors.Is(err, kerr.InvalidSessionTimeout):
				g.fail(fmt.Errorf("group %s: session_timeout %s is outside the broker's group.min/max.session.timeout.ms: %w",
					g.cfg.Group, g.cfg.SessionTimeout, err))
			case errors.Is(err, kerr.GroupAuthorizationFailed), errors.Is(err, kerr.GroupMaxSizeReached):
				g.fail(fmt.Errorf("join group %s: %w", g.cfg.Group, err))
			default:
				g.log.Warn("membership in the group failed and is tried again", zap.Error(err))
			}
		}
	}
}

// lanesOf lists the lanes of assigned or revoked partitions.
func (g *Group) lanesOf(partitions map[string][]int32) (lanes []int32) {
	for _, numbers := range partitions {
		for _, number := range numbers {
			if n := number % g.layout.lanes; !slices.Contains(lanes, n) {
				lanes = append(lanes, n)
			}
		}
	}
	slices.Sort(lanes)
	return lanes
}

func (g *Group) assigned(got map[string][]int32) {
	lanes := g.lanesOf(got)
	if len(lanes) == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopping {
		return
	}
	g.log.Info("lanes assigned", zap.Int32s("lanes", lanes))
	for _, n := range lanes {
		if g.runs[n] == nil {
			g.runs[n] = g.start(n)
		}
	}
}

// take removes lanes from those that this process has.
func (g *Group) take(lanes []int32) (runs []*run) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, n := range lanes {
		if r := g.runs[n]; r != nil {
			runs = append(runs, r)
			delete(g.runs, n)
		}
	}
	return runs
}

// revoked gives lanes up after their cycles. The group goes on when it returns.
func (g *Group) revoked(gone map[string][]int32) {
	if runs := g.take(g.lanesOf(gone)); len(runs) > 0 {
		g.log.Info("lanes revoked", zap.Int32s("lanes", g.lanesOf(gone)))
		each(runs, func(r *run) { r.stop(g.cfg.StopTimeout) })
		g.offsets.commit(g)
	}
}

// lost drops lanes that the group has already given to others.
func (g *Group) lost(gone map[string][]int32) {
	if runs := g.take(g.lanesOf(gone)); len(runs) > 0 {
		g.log.Warn("lanes lost", zap.Int32s("lanes", g.lanesOf(gone)))
		each(runs, (*run).kill)
	}
}

// stopAll ends the lanes for good.
func (g *Group) stopAll() {
	g.mu.Lock()
	g.stopping = true
	g.mu.Unlock()
	each(g.all(), func(r *run) { r.stop(g.cfg.StopTimeout) })
	g.mu.Lock()
	clear(g.runs)
	g.mu.Unlock()
	g.offsets.commit(g)
}

func each(runs []*run, do func(*run)) {
	var wg sync.WaitGroup
	for _, r := range runs {
		wg.Go(func() { do(r) })
	}
	wg.Wait()
}

// confirmed waits until the coordinator says that this process is still a member,
// before a lane that lost its transactional id takes it back: it may have lost it
// to the lane's new owner, and the two would fence each other. It returns false
// when ctx ends.
func (g *Group) confirmed(ctx context.Context, log *zap.Logger) bool {
	for tries := 0; ctx.Err() == nil; tries++ {
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group = g.cfg.Group
		req.MemberID, req.Generation = g.member.GroupMetadata()
		req.InstanceID = &g.instance
		within, cancel := context.WithTimeout(ctx, 5*time.Second)
		resp, err := req.RequestWith(within, g.member)
		cancel()
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		if err == nil || errors.Is(err, kerr.RebalanceInProgress) {
			return true
		}
		log.Info("lane waits for its membership", zap.Error(err))
		if !pause(ctx, backoff(tries+1)) {
			return false
		}
	}
	return false
}

// leave gives the member's place up, so that others need not wait for its
// session to end.
func (g *Group) leave(admin *kgo.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := kadm.NewClient(admin).LeaveGroup(ctx, kadm.LeaveGroup(g.cfg.Group).InstanceIDs(g.instance).Reason("on_stop: leave"))
	if err != nil {
		g.log.Warn("the group could not be left; it waits for the session to end", zap.Error(err))
	}
}

// offsets are the input positions that the group has still to be told.
type offsets struct {
	mu    sync.Mutex
	dirty map[string]map[int32]kgo.EpochOffset
}

// offsetsEvery is how often lag tools see the positions move.
const offsetsEvery = time.Second

func (o *offsets) note(changes []Change) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dirty == nil {
		o.dirty = make(map[string]map[int32]kgo.EpochOffset)
	}
	for _, change := range changes {
		for topic, offset := range change.Position.Inputs {
			if o.dirty[topic] == nil {
				o.dirty[topic] = make(map[int32]kgo.EpochOffset)
			}
			o.dirty[topic][change.Partition] = kgo.EpochOffset{Epoch: -1, Offset: offset}
		}
	}
}

// keep tells the group the positions now and then until ctx ends.
func (o *offsets) keep(ctx context.Context, g *Group) {
	for pause(ctx, offsetsEvery) {
		o.commit(g)
	}
}

// commit tells the group the positions. It is for lag tools alone, so that what
// fails is counted and left at that.
func (o *offsets) commit(g *Group) {
	o.mu.Lock()
	dirty := o.dirty
	o.dirty = nil
	o.mu.Unlock()
	if len(dirty) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	outcome := "committed"
	g.member.CommitOffsetsSync(ctx, dirty, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			outcome = "failed"
			return
		}
		for _, topic := range resp.Topics {
			for _, p := range topic.Partitions {
				if p.ErrorCode != 0 {
					outcome = "failed"
				}
			}
		}
	})
	g.metrics.offsets.WithLabelValues(outcome).Inc()
}
