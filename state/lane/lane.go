// Package lane is the Kafka half of state: it gives a process its share of the
// input's partitions, takes each share over from whoever had it, restores its
// state, and commits what the caller decided in one transaction.
//
// A lane is every partition, over all input topics, whose number modulo the
// number of lanes is the lane's. It is the unit of assignment, has one
// transactional id, one cycle at a time, and runs beside the process's other
// lanes in a goroutine of its own.
//
// The life of a lane, in the order that its guarantees rest on:
//
//  1. The group (classic protocol, static membership, cooperative) assigns it.
//     The group only assigns: its offsets are written for lag tools and never
//     read, and its generation fences nothing.
//  2. Fence. InitProducerID under "<group>-<lane>" ends the old owner's open
//     transaction and makes each later write of it fail.
//  3. Restore. The changelog is read, read-committed, up to its end as seen
//     after fencing: its tail from the local position, or all of it into a
//     wiped partition when the local state cannot be continued. A commit of
//     the position follows, so that the lane can write, and knows the time.
//  4. Loop. The caller polls records from the position in the changelog, steps
//     them, and commits. Commit produces records, rows and position in one
//     transaction, and only when it is known to be committed applies the rows
//     to the store, in one batch with the position.
//  5. An aborted transaction or an unknown outcome ends the loop with
//     [ErrAborted]. The caller forgets what it has in memory and returns; the
//     lane goes back to step 2 with a new client and calls Loop again. What the
//     transaction came to is read from the changelog, not guessed.
//
// Others may keep a warm copy of the lane (standby.go): they read its changelog,
// and do nothing else. An owner that had a copy ends it and begins at step 2.
//
// So a committed cycle is in the changelog, and after a crash the changelog's
// tail brings the store up to it; an aborted one is nowhere.
package lane

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/tripline/tripline/state"
	"github.com/tripline/tripline/state/lane/fetched"
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
// Loop is called on a goroutine per lane, so several run at once. Each call is
// after a restore: what a caller keeps beside the store begins anew.
type Loop func(ctx context.Context, l *Lane) error

// Lane is what a Loop has from its start to its return. It is of no use
// afterwards. One goroutine uses it, except that Poll may run while Commit does,
// and Ends and Ahead may at any time.
type Lane struct {
	number     int32
	partitions []*Partition
	group      *Group
	client     *kgo.Client
	fetches    *fetched.Fetches
	clock      clock
	holds      holds
	broken     bool // a Commit failed
	commits    int
	inputIDs   map[string]state.ID // of the input topics as begin found them
	loaded     []string            // the topics whose partitions the client has stored (commit.go, load)

	// Room for a cycle's changelog.
	room    []byte
	records []kgo.Record

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
	Records   []*kgo.Record // in order of offset; may be empty. Each may be recycled when nothing of it is in use
	// Next is the position reached when all of Records are applied: behind commit markers, aborted and compacted
	// records. A batch without records says that the position moved only over such.
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
	if err := trusted(l.partitions); err != nil {
		return nil, err
	}
	if l.client.BufferedFetchRecords() == 0 { // all was polled before, and is done with when more is asked for
		l.fetches.Done()
	}
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
	l.fetches.Polled()
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

// begin finds where each input partition goes on, makes that the position of the
// lane, and starts to fetch. The commit is made in any case: a crash before the
// first cycle must not choose other offsets, and it tells the broker's time.
func (l *Lane) begin(ctx context.Context) error {
	inputs := l.inputs()
	firsts, lasts, err := l.bounds(ctx, inputs)
	if err != nil {
		return err
	}
	if l.inputIDs, err = l.identify(ctx); err != nil {
		return err
	}
	var fresh []spot
	for _, at := range inputs {
		was := l.partition(at.partition).State.Position()
		position, known := was.Inputs[at.topic]
		gap := &GapError{Topic: at.topic, Partition: at.partition, Position: position, First: firsts[at], Last: lasts[at]}
		id, now := was.InputIDs[at.topic], l.inputIDs[at.topic]
		gap.Recreated = id != state.ID{} && now != state.ID{} && id != now
		switch {
		case !known:
			fresh = append(fresh, at)
		case gap.Recreated && l.group.cfg.OnGapSkip:
			l.group.log.Warn("going on at the start of a new topic", zap.Int32("lane", l.number), zap.Error(gap))
			l.next[at] = firsts[at]
		case gap.Recreated:
			return gap
		case firsts[at] <= position && position <= lasts[at]:
			l.next[at] = position
		case l.group.cfg.OnGapSkip:
			l.group.log.Warn("going on behind a gap", zap.Int32("lane", l.number), zap.Error(gap))
			l.next[at] = min(max(position, firsts[at]), lasts[at])
		default:
			return gap
		}
	}
	starts, err := l.starts(ctx, fresh, firsts, lasts)
	if err != nil {
		return err
	}
	maps.Copy(l.next, starts)
	var c Cycle
	offsets := make(map[string]map[int32]kgo.Offset)
	for _, p := range l.partitions {
		position := p.State.Position()
		position.Inputs = make(map[string]int64)
		for _, topic := range l.group.cfg.Topics {
			offset := l.next[spot{topic, p.Number}]
			position.Inputs[topic] = offset
			if offsets[topic] == nil {
				offsets[topic] = make(map[int32]kgo.Offset)
			}
			offsets[topic][p.Number] = kgo.NewOffset().At(offset)
		}
		c.Changes = append(c.Changes, Change{Partition: p.Number, Position: position})
	}
	if err := l.Commit(c); err != nil {
		return err
	}
	l.client.AddConsumePartitions(offsets)
	return nil
}

// identify asks for the ids of the input topics. Brokers before 2.8 have none.
func (l *Lane) identify(ctx context.Context) (map[string]state.ID, error) {
	within, cancel := context.WithTimeout(ctx, fenceTimeout)
	defer cancel()
	topics, err := kadm.NewClient(l.client).ListTopics(within, l.group.cfg.Topics...)
	if err == nil {
		err = topics.Error()
	}
	if err != nil {
		return nil, &troubleError{fmt.Errorf("ask for the ids of the input topics: %w", err)}
	}
	ids := make(map[string]state.ID, len(topics))
	for name, topic := range topics {
		ids[name] = topic.ID
	}
	return ids, nil
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
