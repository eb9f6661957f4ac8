package lane

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/tripline/tripline/state"
)

// following is the phase of a warm copy that only waits for what comes new.
const following = "following"

const (
	// followPause lets what comes new gather, so that it is written in batches.
	followPause = 250 * time.Millisecond
	// followWait is how long a fetch stays at the broker when there is nothing.
	followWait = 2 * time.Second
	// lagEvery is how often a copy asks for the changelog's end.
	lagEvery = 5 * time.Second
	// freshEvery is how often, at least, a copy to which nothing comes notes that
	// it has missed nothing: what is older than delete.retention.ms is wiped.
	freshEvery = 10 * time.Minute
	// trimEvery is how far stream time goes between two looks at used up timers.
	trimEvery = 10_000 // ms
	// followRetry is how long a copy waits after what will not pass soon.
	followRetry = time.Minute
)

// StandbyStatus is one of the process's warm copies as an operator wants to see it.
type StandbyStatus struct {
	Lane  int32
	Phase string // "restoring", "following" or "stopped"
	Err   error  // why it is stopped, or what it is being tried again after
	// Lag is how many changelog records it has still to read, as of some seconds ago.
	Lag int64
	Progress
}

// standby is a warm copy of one lane that another member has: its changelog is
// read, read-committed, into the lane's partitions. It reads and nothing else: it
// has no transactional id, calls no Loop, and writes nothing to Kafka. The lane's
// next owner, if that is this process, ends it first and then takes the lane as
// any other: fence, the changelog's tail, loop.
type standby struct {
	group  *Group
	number int32
	cancel context.CancelFunc
	done   chan struct{}
	replay replay
	phase  phase

	mu     sync.Mutex
	status StandbyStatus
}

// followed is a partition of a standby.
type followed struct {
	*Partition
	next    int64     // offset of the next changelog record to read
	fresh   time.Time // when its position was last written
	trimmed int64     // stream time at the last look at its timers
}

// Standbys are the warm copies that this process keeps now, in order of lane.
func (g *Group) Standbys() (all []StandbyStatus) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.copies {
		s.mu.Lock()
		status := s.status
		s.mu.Unlock()
		status.Phase, status.Err = s.phase.now()
		all = append(all, status)
	}
	slices.SortFunc(all, func(a, b StandbyStatus) int { return cmp.Compare(a.Lane, b.Lane) })
	return all
}

// told takes in what the plan wants of this member beside its lanes.
func (g *Group) told(d duty) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wanted = d.Follows
	// The plan was made before the others, or this one, were asked for another
	// number: once is enough to have it made anew.
	if d.Standbys != g.cfg.Standbys && g.asked == 0 {
		g.asked++
	}
}

// follow starts and ends copies as the plan wants them.
func (g *Group) follow() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopping {
		return
	}
	for n, s := range g.copies {
		if g.runs[n] != nil || !slices.Contains(g.wanted, n) {
			s.cancel()
		}
	}
	for _, n := range g.wanted {
		if n >= 0 && n < g.layout.lanes && g.runs[n] == nil && g.copies[n] == nil {
			g.copies[n] = g.copy(n, g.last[n])
		}
	}
}

// ask has the group make another plan if that is needed.
func (g *Group) ask() {
	g.mu.Lock()
	due := g.asked == 1
	if due {
		g.asked++
	}
	g.mu.Unlock()
	if due {
		g.log.Info("the group is asked for another plan", zap.Int("standbys", g.cfg.Standbys))
		g.member.ForceRebalance()
	}
}

// copy starts a warm copy, once the lane's last run here has ended.
func (g *Group) copy(number int32, last *run) *standby {
	ctx, cancel := context.WithCancel(context.Background())
	s := &standby{group: g, number: number, cancel: cancel, done: make(chan struct{}),
		phase: phase{counted: g.metrics.standbys}, status: StandbyStatus{Lane: number}}
	s.phase.enter(restoring, nil)
	s.replay = replay{group: g, lane: number, standby: true, places: g.copying, told: s.restored}
	go func() {
		if last != nil {
			<-last.done
		}
		s.live(ctx)
		cancel()
		s.phase.enter("", nil)
		g.metrics.lag.DeleteLabelValues(strconv.Itoa(int(number)))
		close(s.done)
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.copies[number] == s {
			delete(g.copies, number)
		}
	}()
	return s
}

func (s *standby) restored(now Progress) {
	s.mu.Lock()
	s.status.Progress = now
	s.mu.Unlock()
	s.lag(now.Left)
}

func (s *standby) lag(records int64) {
	s.group.metrics.lag.WithLabelValues(strconv.Itoa(int(s.number))).Set(float64(records))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Lag = records
}

// live follows until ctx ends. A copy is never a reason to end the process: what
// is wrong with it is said, and it is tried again.
func (s *standby) live(ctx context.Context) {
	log := s.group.log.With(zap.Int32("lane", s.number))
	for failures := 0; ctx.Err() == nil; failures++ {
		err := s.life(ctx, &failures)
		if ctx.Err() != nil {
			return
		}
		wait, phase := backoff(failures+1), restoring
		var trouble *troubleError
		switch {
		case errors.Is(err, errHole):
			log.Warn("warm copy is restored anew", zap.Error(err))
			err = s.wipe()
		case errors.Is(err, state.ErrDamaged):
			err = s.group.wipeDamaged(s.number, err)
		case errors.As(err, &trouble):
			log.Warn("warm copy is tried again", zap.Error(err))
		case errors.Is(err, state.ErrFull):
			log.Error("warm copy waits for room on the disk", zap.Error(err))
		default:
			log.Error("warm copy cannot be kept up to date and is tried again in a minute", zap.Error(err))
			wait, phase = followRetry, stopped
		}
		s.phase.enter(phase, err)
		if !pause(ctx, wait) {
			return
		}
	}
}

func (s *standby) wipe() error {
	for _, number := range partitionsOf([]int32{s.number}, s.group.layout.lanes, s.group.layout.partitions) {
		if err := s.group.cfg.Store.Wipe(number); err != nil {
			return err
		}
		s.group.metrics.wipes.WithLabelValues("hole").Inc()
	}
	return nil
}

// life restores the copy and follows the changelog until that fails.
func (s *standby) life(ctx context.Context, failures *int) error {
	client, err := s.group.cfg.followClient(s.group.layout.lanes)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	defer client.Close()
	s.phase.enter(restoring, nil)
	var partitions []*Partition
	for _, number := range partitionsOf([]int32{s.number}, s.group.layout.lanes, s.group.layout.partitions) {
		p, err := s.group.cfg.Store.Partition(number)
		if err != nil {
			return err
		}
		partitions = append(partitions, &Partition{Number: number, State: p})
	}
	if err := s.replay.restore(ctx, client, partitions); err != nil {
		return err
	}
	parts := make(map[int32]*followed, len(partitions))
	offsets := make(map[int32]kgo.Offset, len(partitions))
	for _, p := range partitions {
		next := s.replay.ends[p.Number] // nothing was ever committed, where there is no position
		if position := p.State.Position(); !position.IsZero() {
			next = position.Changelog
		}
		parts[p.Number] = &followed{Partition: p, next: next, fresh: time.Now()}
		offsets[p.Number] = kgo.NewOffset().At(next)
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{s.group.cfg.Changelog: offsets})
	s.phase.enter(following, nil)
	*failures = 0
	return s.follow(ctx, client, parts)
}

// follow applies what comes new.
func (s *standby) follow(ctx context.Context, client *kgo.Client, parts map[int32]*followed) error {
	for measured := time.Now(); ; {
		for _, p := range parts {
			if err := trusted([]*Partition{p.Partition}); err != nil {
				return err
			}
		}
		within, cancel := context.WithTimeout(ctx, lagEvery)
		fetches := client.PollFetches(within)
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		if err := fetchFailure(fetches, func(number int32) int64 { return parts[number].next }); err != nil {
			return err
		}
		var failed error
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if len(p.Records) > 0 && failed == nil {
				failed = s.apply(parts[p.Partition], p.Records)
			}
		})
		if failed != nil {
			return failed
		}
		if now := time.Now(); now.Sub(measured) >= lagEvery {
			measured = now
			if err := s.measure(ctx, client, parts); err != nil {
				return err
			}
		}
		if !pause(ctx, followPause) {
			return nil
		}
	}
}

// apply writes records over what is there. They may end within a transaction,
// which the next ones complete: nobody looks at a copy before it is an owner's,
// who reads on to the changelog's end.
func (s *standby) apply(p *followed, records []*kgo.Record) error {
	r := p.State.Restore()
	for _, record := range records {
		if record.Attrs.IsControl() {
			continue
		}
		if err := r.Add(record.Key, record.Value, record.Offset); err != nil {
			return errors.Join(err, r.Abandon())
		}
	}
	p.next = records[len(records)-1].Offset + 1
	position := r.Position()
	if err := s.finish(p, r, position); err != nil || position.Stream < p.trimmed+trimEvery {
		return err
	}
	// Entries of the timer index that rows have left behind would gather for as
	// long as nobody fires: a look at what is due uses them up.
	p.trimmed = position.Stream
	_, err := p.State.Due(position.Stream, 1, nil)
	return err
}

func (s *standby) finish(p *followed, r *state.Restorer, position state.Position) error {
	now := time.Now()
	if position.IsZero() {
		position = p.State.Position()
	}
	if position.IsZero() {
		position = s.group.layout.stamp(position, position, now)
	}
	position.Changelog, position.WrittenAt = p.next, max(1, now.UnixMilli())
	p.fresh = now
	return r.Finish(position)
}

// measure asks how far the changelog is.
func (s *standby) measure(ctx context.Context, client *kgo.Client, parts map[int32]*followed) error {
	var asks []ask
	for number := range parts {
		asks = append(asks, ask{spot{s.group.cfg.Changelog, number}, atEnd})
	}
	lag := int64(0)
	for _, a := range list(ctx, client, asStable, asks) {
		p := parts[a.partition]
		switch {
		case a.err != nil: // the next time
		case a.offset < p.next:
			return fmt.Errorf("%w: partition %d was read up to offset %d and ends at %d", errHole, p.Number, p.next, a.offset)
		case a.offset > p.next:
			lag += a.offset - p.next
		case time.Since(p.fresh) >= min(freshEvery, s.group.layout.retention/4) && !p.State.Position().IsZero():
			if err := s.finish(p, p.State.Restore(), state.Position{}); err != nil {
				return err
			}
		}
	}
	s.lag(lag)
	return nil
}
