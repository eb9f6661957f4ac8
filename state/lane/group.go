package lane

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/tripline/tripline/state"
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
	copying  chan struct{} // one for each restore of a warm copy at a time
	joined   chan struct{} // closed when member is set
	offsets  offsets

	placed atomic.Bool // the group has said what this member has

	mu       sync.Mutex
	runs     map[int32]*run
	last     map[int32]*run      // of each lane, also one that has ended or is ending
	copies   map[int32]*standby  // also those that are ending
	wanted   []int32             // lanes to keep copies of, as the plan has it
	asked    int                 // whether another plan is needed (1), and was asked for (2)
	idle     map[int32]time.Time // partitions on disk of lanes that others have: since when
	stopping bool
	failed   error
	cancel   context.CancelFunc
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
		cfg: cfg, loop: loop, runs: make(map[int32]*run), last: make(map[int32]*run), copies: make(map[int32]*standby), idle: make(map[int32]time.Time), joined: make(chan struct{}),
		log:      cfg.Log.With(zap.String("group", cfg.Group)),
		metrics:  newMetrics(cfg.Group),
		restores: make(chan struct{}, max(1, runtime.GOMAXPROCS(0))),
		copying:  make(chan struct{}, 1),
	}, nil
}

// Status is one of the process's lanes as an operator wants to see it.
type Status struct {
	Lane  int32
	Phase string // "fencing", "restoring", "running" or "stopped"
	Err   error  // why it is stopped, or what it is being tried again after
	Progress
}

// Placed says whether the group has told this process since its start which lanes it has; that may be none.
func (g *Group) Placed() bool { return g.placed.Load() }

// Status of the lanes that this process has now, in order of lane. It may be
// called at any time, also before and after Run.
func (g *Group) Status() []Status {
	var all []Status
	for _, r := range g.all() {
		r.mu.Lock()
		status := r.status
		r.mu.Unlock()
		status.Phase, status.Err = r.phase.now()
		all = append(all, status)
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
	ctx, g.cancel = context.WithCancel(ctx)
	defer g.cancel()
	// The member's client is closed by cutting its requests off after a while:
	// a join may wait for other members for as long as the rebalance takes.
	alive, cut := context.WithCancel(context.Background())
	defer cut()
	var err error
	if g.member, err = g.memberClient(alive); err != nil {
		return fmt.Errorf("lanes: make a client: %w", err)
	}
	close(g.joined)
	var wg sync.WaitGroup
	wg.Go(func() { g.watch(ctx) })
	wg.Go(func() {
		for pause(ctx, offsetsEvery) {
			g.offsets.commit(g)
			g.tidy(time.Now())
			g.follow()
			g.ask()
			// Nothing passes where the folder may not be written any more, and idle
			// lanes would not notice.
			if err := g.cfg.Store.Err(); errors.Is(err, state.ErrReadOnly) {
				g.fail(err)
			}
		}
	})
	<-ctx.Done()

	g.stopAll()
	wg.Wait()
	timer := time.AfterFunc(closeTimeout, cut)
	g.member.Close()
	timer.Stop()
	if g.cfg.Leave {
		g.leave(admin)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failed
}

// fail ends Run with err.
func (g *Group) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed == nil {
		g.failed = err
	}
	g.cancel()
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
	<-g.joined
	g.placed.Store(true)
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
			g.runs[n] = g.start(n, g.copies[n])
			g.last[n] = g.runs[n]
		}
	}
	if g.cfg.Assigned != nil {
		g.cfg.Assigned(len(g.runs))
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
	copies := slices.Collect(maps.Values(g.copies))
	g.mu.Unlock()
	for _, s := range copies {
		s.cancel()
	}
	each(g.all(), func(r *run) { r.stop(g.cfg.StopTimeout) })
	for _, s := range copies {
		<-s.done
	}
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

// tidy wipes the partitions of lanes that others have had, and of which no copy is
// kept here, for as long as what they left here is kept.
func (g *Group) tidy(now time.Time) {
	numbers, err := g.cfg.Store.Partitions()
	damaged := g.cfg.Store.Damaged()
	if err != nil && len(damaged) == 0 {
		g.log.Warn("state of lost lanes is not tidied away", zap.Error(err))
		return
	}
	numbers = append(numbers, damaged...)
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, number := range numbers {
		if n := number % g.layout.lanes; g.runs[n] != nil || g.copies[n] != nil {
			delete(g.idle, number)
			continue
		}
		since, known := g.idle[number]
		if !known {
			since, g.idle[number] = now, now
		}
		reason := "unused"
		if slices.Contains(damaged, number) {
			reason = "damaged"
		} else if !known || now.Sub(since) < g.cfg.Keep {
			continue
		}
		if err := g.cfg.Store.Wipe(number); err != nil {
			g.log.Warn("state of a lost lane could not be wiped", zap.Int32("partition", number), zap.Error(err))
			continue
		}
		delete(g.idle, number)
		g.metrics.wipes.WithLabelValues(reason).Inc()
		g.log.Info("state of a lost lane wiped", zap.Int32("partition", number), zap.String("reason", reason), zap.Duration("unused", now.Sub(since)))
	}
}
