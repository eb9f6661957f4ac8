package lane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/tripline/tripline/state"
)

// Phases of a lane's life.
const (
	fencing   = "fencing"
	restoring = "restoring"
	running   = "running"
	stopped   = "stopped"
)

// run is one lane from its assignment to its end, over any number of lives.
type run struct {
	group  *Group
	number int32
	cancel context.CancelFunc
	done   chan struct{}
	replay replay // counts over all lives
	phase  phase

	mu     sync.Mutex
	status Status
	client *kgo.Client // of the present life
	killed bool
}

// start runs a lane in a goroutine of its own, once the warm copy of it that was
// kept here, if there was one, has ended. stop or kill ends it.
func (g *Group) start(number int32, copy *standby) *run {
	ctx, cancel := context.WithCancel(context.Background())
	r := &run{group: g, number: number, cancel: cancel, done: make(chan struct{}),
		phase: phase{counted: g.metrics.lanes}, status: Status{Lane: number}}
	r.phase.enter(fencing, nil)
	go func() {
		defer close(r.done)
		if copy != nil {
			copy.cancel()
			<-copy.done
		}
		r.live(ctx)
		r.phase.enter("", nil)
		for _, of := range []*prometheus.GaugeVec{g.metrics.left, g.metrics.rate, g.metrics.estimate} {
			of.DeleteLabelValues(strconv.Itoa(int(number)))
		}
	}()
	return r
}

// stop ends a lane after its cycle, or without it when that takes too long, and
// returns when it has ended.
func (r *run) stop(within time.Duration) {
	r.cancel()
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-r.done:
		return
	case <-timer.C:
		r.group.log.Warn("lane cut off within a cycle, which is aborted", zap.Int32("lane", r.number))
	}
	r.kill()
}

// kill ends a lane without its cycle and returns when it has ended.
func (r *run) kill() {
	r.cancel()
	r.mu.Lock()
	r.killed = true
	client := r.client
	r.client = nil
	r.mu.Unlock()
	if client != nil {
		client.Close()
	}
	<-r.done
}

// progress tells how far the restore is.
func (r *run) progress(now Progress) {
	lane := strconv.Itoa(int(r.number))
	r.group.metrics.left.WithLabelValues(lane).Set(float64(now.Left))
	r.group.metrics.rate.WithLabelValues(lane).Set(now.Rate)
	r.group.metrics.estimate.WithLabelValues(lane).Set(now.Estimate.Seconds())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Progress = now
}

// live leads lives until ctx ends or the lane can't go on.
func (r *run) live(ctx context.Context) {
	log := r.group.log.With(zap.Int32("lane", r.number))
	damages, failures := 0, 0
	for cause := "assigned"; ; {
		r.group.metrics.taken.WithLabelValues(cause).Inc()
		committed, err := r.life(ctx)
		if committed > 0 {
			damages, failures = 0, 0
		}
		var gap *GapError
		var trouble *troubleError
		switch {
		case ctx.Err() != nil:
			switch {
			case err == nil || errors.Is(err, context.Canceled):
			case errors.Is(err, ErrAborted):
				log.Warn("the lane's last cycle was aborted; its next owner makes it again", zap.Error(err))
			case !errors.As(err, &trouble):
				log.Error("lane ended with an error", zap.Error(err))
			}
			return
		case errors.As(err, &gap):
			if !r.group.cfg.OnGapSkip {
				log.Error("lane stopped", zap.Error(err))
				r.phase.enter(stopped, err)
				<-ctx.Done()
				return
			}
			cause = "gap"
		case errors.As(err, &trouble):
			cause = "trouble"
			if errors.Is(err, ErrAborted) {
				cause = "aborted"
			}
			log.Warn("lane is taken anew", zap.Error(err))
		case errors.Is(err, state.ErrFull):
			cause = "full"
			log.Error("lane waits for room on the disk", zap.Error(err))
		case errors.Is(err, state.ErrDamaged) && damages < 2:
			cause = "damaged"
			damages++
			if err := r.group.wipeDamaged(r.number, err); err != nil {
				r.group.fail(fmt.Errorf("lane %d: %w", r.number, err))
				return
			}
		default:
			if err == nil {
				err = errors.New("its loop ended too early")
			}
			r.group.fail(fmt.Errorf("lane %d: %w", r.number, err))
			return
		}
		r.phase.enter(fencing, err)
		if !pause(ctx, backoff(failures)) || !r.group.confirmed(ctx, log) {
			return
		}
		failures++
	}
}

// backoff is nothing at first, then from 100 ms to 5 s.
func backoff(failures int) time.Duration {
	if failures == 0 {
		return 0
	}
	return min(5*time.Second, 100*time.Millisecond<<min(failures-1, 6))
}

// trusted returns why one of the partitions is to be wiped and restored. What
// finds damage may be a read, or work in the background that nobody waits for.
func trusted(partitions []*Partition) error {
	for _, p := range partitions {
		if err := p.State.Err(); err != nil {
			return err
		}
	}
	return nil
}

// wipeDamaged wipes those of a lane's partitions that are damaged, or all where it
// is not known which.
func (g *Group) wipeDamaged(lane int32, cause error) error {
	numbers := partitionsOf([]int32{lane}, g.layout.lanes, g.layout.partitions)
	known := g.cfg.Store.Damaged()
	if slices.ContainsFunc(numbers, func(n int32) bool { return slices.Contains(known, n) }) {
		numbers = slices.DeleteFunc(numbers, func(n int32) bool { return !slices.Contains(known, n) })
	}
	g.log.Warn("state on disk is damaged: wiped, to be restored from the changelog",
		zap.Int32("lane", lane), zap.Int32s("partitions", numbers), zap.Error(cause))
	for _, n := range numbers {
		if err := g.cfg.Store.Wipe(n); err != nil {
			return err
		}
		g.metrics.wipes.WithLabelValues("damaged").Inc()
	}
	return nil
}

// life is one life of a lane: fence, restore, loop. It returns how many cycles
// were committed.
func (r *run) life(ctx context.Context) (committed int, err error) {
	g := r.group
	client, fetches, err := g.cfg.laneClient(r.number, g.layout.lanes)
	if err != nil {
		return 0, fmt.Errorf("make a client: %w", err)
	}
	defer r.release(client)
	defer fetches.Close()
	if !r.adopt(client) {
		return 0, context.Canceled
	}
	if err := fence(ctx, client); err != nil {
		return 0, err
	}
	if err := g.sweep(ctx, client, r.number); err != nil {
		return 0, err
	}
	l := &Lane{number: r.number, group: g, client: client, fetches: fetches, next: make(map[spot]int64)}
	for _, number := range partitionsOf([]int32{r.number}, g.layout.lanes, g.layout.partitions) {
		p, err := g.cfg.Store.Partition(number)
		if err != nil {
			return 0, err
		}
		l.partitions = append(l.partitions, &Partition{Number: number, State: p})
	}
	r.phase.enter(restoring, nil)
	r.replay.group, r.replay.lane, r.replay.places, r.replay.told = g, r.number, g.restores, r.progress
	r.replay.stalled = func(ctx context.Context) error { return g.sweep(ctx, client, r.number) }
	if err := r.replay.restore(ctx, client, l.partitions); err != nil {
		return 0, err
	}
	if err := l.begin(ctx); err != nil {
		l.abandon()
		return 0, err
	}
	r.phase.enter(running, nil)
	began := l.commits
	err = g.loop(ctx, l)
	if ctx.Err() != nil || err == nil {
		l.abandon()
		for _, p := range l.partitions { // nobody else would for a long time
			err = errors.Join(err, p.State.Flush())
		}
	}
	return l.commits - began, err
}

// adopt makes client the one that kill closes.
func (r *run) adopt(client *kgo.Client) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.killed {
		client.Close()
		return false
	}
	r.client = client
	return true
}

// release closes a life's client, unless kill did: a client must not be closed
// by two at once.
func (r *run) release(client *kgo.Client) {
	r.mu.Lock()
	mine := r.client == client
	r.client = nil
	r.mu.Unlock()
	if mine {
		client.Close()
	}
}

// fence takes the lane's transactional id over: what its old owner left open is
// ended, and what it still sends is refused. The coordinator answers only when
// that is so, and the transaction's markers are written, but for those that sweep
// looks for.
func fence(ctx context.Context, client *kgo.Client) error {
	within, cancel := context.WithTimeout(ctx, fenceTimeout)
	defer cancel()
	id, _, err := client.ProducerID(within)
	switch {
	case err == nil && id >= 0:
		return nil
	case err == nil:
		return errors.New("the brokers do not know transactions: Kafka 2.5 or later is needed")
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed), errors.Is(err, kerr.InvalidTransactionTimeout),
		errors.Is(err, kerr.ClusterAuthorizationFailed):
		return fmt.Errorf("take the transactional id over: %w", err)
	}
	return &troubleError{fmt.Errorf("take the transactional id over: %w", err)}
}

// sweep ends what fencing has left open of the lane's own transactions. Where a
// partition has no leader for the moment in which a transaction ends, the
// coordinator takes it for deleted and writes no marker there (seen of Kafka
// 4.3.1 after a pause of its only broker): whoever reads what is committed would
// stand still in front of it for good. Only a marker of the same producer ends
// it, so a transaction of one record for each such place is begun and aborted.
// That fences the lane, which is trouble: it is taken anew. Where the broker does
// not tell what is open (before 2.8, or without the right to read), nothing is.
func (g *Group) sweep(ctx context.Context, client *kgo.Client, lane int32) error {
	ctx, cancel := context.WithTimeout(ctx, fenceTimeout)
	defer cancel()
	id, _, err := client.ProducerID(ctx)
	if err != nil {
		return &troubleError{err}
	}
	asked := make(kadm.TopicsSet)
	for _, topic := range append([]string{g.cfg.Changelog}, g.cfg.Outputs...) {
		if topic != "" { // as far as they have the lane's numbers: there its users are
			asked.Add(topic, partitionsOf([]int32{lane}, g.layout.lanes, g.layout.partitions)...)
		}
	}
	told, _ := kadm.NewClient(client).DescribeProducers(ctx, asked) // what is not told is asked for again when the restore stalls
	var open []*kgo.Record
	told.EachProducer(func(p kadm.DescribedProducer) {
		if p.ProducerID == id && p.CurrentTxnStartOffset >= 0 {
			open = append(open, &kgo.Record{Topic: p.Topic, Partition: p.Partition, Key: []byte("aborted")})
		}
	})
	if len(open) == 0 {
		return nil
	}
	writer, err := g.cfg.writer(lane, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	defer writer.Close()
	if err = writer.BeginTransaction(); err == nil {
		err = errors.Join(writer.ProduceSync(ctx, open...).FirstErr(), writer.EndTransaction(ctx, kgo.TryAbort))
	}
	if err != nil {
		return &troubleError{fmt.Errorf("end a transaction that was left open: %w", err)}
	}
	return &troubleError{fmt.Errorf("a transaction was left open, and is ended, in %s-%d", open[0].Topic, open[0].Partition)}
}

// troubleError is what Poll, Commit and Ends return for what may pass: the lane
// is fenced and restored and tries again.
type troubleError struct{ err error }

func (e *troubleError) Error() string { return e.err.Error() }
func (e *troubleError) Unwrap() error { return e.err }
