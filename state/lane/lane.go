package lane

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/tripline/tripline/state"
)

// Loop runs one restored lane until ctx ends, which says that the lane is
// revoked, lost, or the process stops: it ends its cycle, by Commit or by
// forgetting it, within Config.StopTimeout, and returns nil.
//
// An error of Poll, Commit or Ends is to be returned, wrapped or not; what
// becomes of the lane is then the lane's own decision: after [ErrAborted] and
// other passing troubles it is fenced and restored and Loop is called again
// with a new Lane; after a [*GapError] it stays stopped while other lanes go
// on. Any other error of the caller ends Group.Run with it.
//
// Loop is called on a goroutine per lane, so several run at once.
type Loop func(ctx context.Context, l *Lane) error

// Lane is what a Loop has from its start to its return. It is of no use
// afterwards. One goroutine uses it, except that Poll may run while Commit does,
// and Ends and Ahead may at any time.
type Lane struct {
	number     int32
	partitions []*Partition
	group      *Group
	client     *kgo.Client
	clock      clock
	holds      holds
	broken     bool // a Commit failed
	commits    int

	mu   sync.Mutex
	next map[spot]int64 // offset behind what Poll has returned
}

// Partition is one partition number of a lane, over all input topics.
type Partition struct {
	Number int32
	// State holds rows and position as of the last committed cycle; when Loop
	// is called its Position has an offset for each input topic. Loop reads
	// from it and leaves writing to Commit.
	State *state.Partition
}

// Batch is what Poll returns of one partition of one topic.
type Batch struct {
	Topic     string
	Partition int32
	Records   []*kgo.Record // in order of offset; may be empty
	// Next is the position reached when all of Records are applied: behind
	// commit markers, aborted and compacted records. A batch without records
	// says that the position moved only over such.
	Next int64
}

// End is the log end of one partition of one topic, as its leader had it at
// some moment after Ends was called.
type End struct {
	Topic     string
	Partition int32
	Offset    int64 // the offset that the next appended record will get
	// Exact is false where the broker refuses to tell its log end and Offset
	// is the high watermark, which may be seconds behind.
	Exact bool
}

// Number of the lane, from 0.
func (l *Lane) Number() int32 { return l.number }

// Partitions of the lane, in order of number.
func (l *Lane) Partitions() []*Partition { return l.partitions }

func (l *Lane) partition(number int32) *Partition {
	for _, p := range l.partitions {
		if p.Number == number {
			return p
		}
	}
	return nil
}

// Poll returns fetched input records, at most max, as soon as there are any
// and so many as are there; without any it waits for one or for ctx. It
// returns ctx's error when ctx ends, so a Loop that bounds its wait by a
// timer gives Poll a context with that deadline.
//
// Each partition's batches continue one another from its committed position
// on. The next records are fetched in the background, also during Commit.
func (l *Lane) Poll(ctx context.Context, max int) ([]Batch, error) {
	fetches := l.client.PollRecords(ctx, max)
	var (
		batches []Batch
		failed  error
	)
	l.mu.Lock()
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		switch {
		case p.Err != nil && failed == nil && ctx.Err() == nil:
			failed = l.explain(ctx, spot{p.Topic, p.Partition}, p.Err)
		case len(p.Records) > 0:
			b := batchOf(p)
			l.next[spot{b.Topic, b.Partition}] = b.Next
			batches = append(batches, b)
		}
	})
	l.mu.Unlock()
	if failed != nil {
		return nil, failed
	}
	if len(batches) == 0 {
		return nil, ctx.Err()
	}
	return batches, nil
}

// batchOf hides the control records that were fetched so that the position
// moves over them.
func batchOf(p kgo.FetchTopicPartition) Batch {
	b := Batch{Topic: p.Topic, Partition: p.Partition, Next: p.Records[len(p.Records)-1].Offset + 1}
	kept := p.Records[:0]
	for _, r := range p.Records {
		if !r.Attrs.IsControl() {
			kept = append(kept, r)
		}
	}
	b.Records = kept
	return b
}

// explain makes of a fetch error what becomes of the lane.
func (l *Lane) explain(ctx context.Context, at spot, err error) error {
	var lost *kgo.ErrDataLoss
	switch {
	case errors.As(err, &lost):
		return &GapError{Topic: at.topic, Partition: at.partition, Position: lost.ConsumedTo, Last: lost.ResetTo}
	case errors.Is(err, kerr.OffsetOutOfRange):
		firsts, lasts, listErr := l.bounds(ctx, []spot{at})
		if listErr != nil {
			return listErr
		}
		return &GapError{Topic: at.topic, Partition: at.partition, Position: l.next[at], First: firsts[at], Last: lasts[at]}
	}
	return &troubleError{fmt.Errorf("fetch %s: %w", at, err)}
}

// Pause keeps Poll from returning records of a topic's partition, and lets
// it go on from the same record after Resume. It bounds what is held while
// another topic of the same partition number has to catch up. What is fetched
// and not polled is fetched again, and a resumed partition may wait for half a
// second: it is for when much is held, not for taking turns.
func (l *Lane) Pause(topic string, partition int32) {
	l.client.PauseFetchPartitions(map[string][]int32{topic: {partition}})
}

// Resume ends Pause.
func (l *Lane) Resume(topic string, partition int32) {
	l.client.ResumeFetchPartitions(map[string][]int32{topic: {partition}})
}

// begin finds where each input partition goes on, makes that its position where
// it has none, and starts to fetch.
func (l *Lane) begin(ctx context.Context) error {
	inputs := l.inputs()
	firsts, lasts, err := l.bounds(ctx, inputs)
	if err != nil {
		return err
	}
	moved := make(map[int32]map[string]int64)
	move := func(at spot, to int64) {
		if moved[at.partition] == nil {
			moved[at.partition] = make(map[string]int64)
		}
		moved[at.partition][at.topic] = to
		l.next[at] = to
	}
	var fresh []spot
	for _, at := range inputs {
		position, known := l.partition(at.partition).State.Position().Inputs[at.topic]
		gap := &GapError{Topic: at.topic, Partition: at.partition, Position: position, First: firsts[at], Last: lasts[at]}
		switch {
		case !known:
			fresh = append(fresh, at)
		case firsts[at] <= position && position <= lasts[at]:
			l.next[at] = position
		case l.group.cfg.OnGapSkip:
			l.group.log.Warn("going on behind a gap", zap.Int32("lane", l.number), zap.Error(gap))
			move(at, min(max(position, firsts[at]), lasts[at]))
		default:
			return gap
		}
	}
	starts, err := l.starts(ctx, fresh, firsts, lasts)
	if err != nil {
		return err
	}
	for at, offset := range starts {
		move(at, offset)
	}
	return l.consume(moved)
}

// consume commits the positions that were not there, so that a crash before the
// first cycle does not choose others, and starts to fetch.
func (l *Lane) consume(moved map[int32]map[string]int64) error {
	var c Cycle
	for number, inputs := range moved {
		position := l.partition(number).State.Position()
		position.Inputs = inputs
		c.Changes = append(c.Changes, Change{Partition: number, Position: position})
	}
	if err := l.Commit(c); err != nil {
		return err
	}
	offsets := make(map[string]map[int32]kgo.Offset)
	for at, offset := range l.next {
		if offsets[at.topic] == nil {
			offsets[at.topic] = make(map[int32]kgo.Offset)
		}
		offsets[at.topic][at.partition] = kgo.NewOffset().At(offset)
	}
	l.client.AddConsumePartitions(offsets)
	return nil
}

// starts answers Config.Start for partitions without a position.
func (l *Lane) starts(ctx context.Context, fresh []spot, firsts, lasts map[spot]int64) (map[spot]int64, error) {
	at, err := startAt(l.group.cfg.Start)
	switch {
	case err != nil:
		return nil, err
	case at == atStart:
		return pick(firsts, fresh), nil
	case at == atEnd:
		return pick(lasts, fresh), nil
	}
	found, err := l.group.listAll(ctx, l.client, asConsumer, fresh, at)
	if err != nil {
		return nil, err
	}
	starts := make(map[spot]int64, len(found))
	for s, a := range found {
		starts[s] = a.offset
		if a.offset < 0 { // nothing is that young
			starts[s] = lasts[s]
		}
	}
	return starts, nil
}

func pick(from map[spot]int64, spots []spot) map[spot]int64 {
	picked := make(map[spot]int64, len(spots))
	for _, s := range spots {
		picked[s] = from[s]
	}
	return picked
}

// bounds lists where partitions begin and end.
func (l *Lane) bounds(ctx context.Context, spots []spot) (firsts, lasts map[spot]int64, err error) {
	starts, err := l.group.listAll(ctx, l.client, asConsumer, spots, atStart)
	if err != nil {
		return nil, nil, err
	}
	ends, err := l.group.listAll(ctx, l.client, asDebugging, spots, atEnd)
	if err != nil {
		return nil, nil, err
	}
	firsts, lasts = make(map[spot]int64, len(spots)), make(map[spot]int64, len(spots))
	for _, s := range spots {
		firsts[s], lasts[s] = starts[s].offset, ends[s].offset
	}
	return firsts, lasts, nil
}

// clock compares the machine's clock with the broker's. The zero clock knows
// nothing.
type clock struct {
	mu       sync.Mutex
	measured time.Time
	seen     [8]sighting // the latest, in a ring
	n        int
}

// sighting is one append time and when, at the latest, it was given.
type sighting struct {
	broker int64 // ms since the epoch
	at     time.Time
}

// measureEvery is how often a commit asks for the time that it was stamped with.
const measureEvery = 5 * time.Second

func (c *clock) due(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n == 0 || now.Sub(c.measured) >= measureEvery
}

func (c *clock) add(s sighting) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[c.n%len(c.seen)] = s
	c.n++
	c.measured = s.at
}

// Ahead is how far, in ms, this machine's clock is ahead of the broker's
// (negative: behind), from the append times of the changelog's last cycles and
// a few ms too large rather than too small. It is unknown before the lane's
// first Commit, and where the changelog has no append times. What must not
// happen early is judged at the machine's time less a positive Ahead.
func (l *Lane) Ahead() (ms int64, known bool) {
	now := time.Now()
	c := &l.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range min(c.n, len(c.seen)) {
		// Elapsed time is the monotonic clock's, so that a step of the wall
		// clock shows at once.
		s := c.seen[i]
		ahead := now.UnixMilli() - (s.broker + now.Sub(s.at).Milliseconds())
		if !known || ahead < ms {
			ms, known = ahead, true
		}
	}
	return ms, known
}
