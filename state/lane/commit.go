package lane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/tripline/tripline/state"
)

// ErrAborted says that a cycle was aborted, or that nobody can tell whether
// it was committed. Whatever the cycle decided must be forgotten.
var ErrAborted = errors.New("transaction aborted or its outcome unknown")

// Cycle is all that one transaction makes true.
type Cycle struct {
	// Records to produce, those of one partition in this order. A record goes
	// to the partition of its key, as Java clients choose it (murmur2).
	Records []*kgo.Record
	// Changes has at most one entry per partition number of the lane.
	Changes []Change
}

// Change is what a cycle makes of one partition's state.
type Change struct {
	Partition int32
	Rows      []state.Row // no key twice
	// Position after the cycle. The caller sets Inputs, Arrival and Stream;
	// an input topic left out of Inputs keeps its offset. The lane sets the
	// other fields.
	Position state.Position
}

// transaction gathers what became of a transaction's records. Promises come
// from the client's own goroutines.
type transaction struct {
	changelog string

	mu    sync.Mutex
	wrote map[int32]span // by changelog partition
	err   error
}

// span is first <= offset < next.
type span struct{ first, next int64 }

func (t *transaction) promise(r *kgo.Record, err error) {
	if err == nil && r.Topic != t.changelog {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		if t.err == nil {
			t.err = fmt.Errorf("produce to %s: %w", r.Topic, err)
		}
		return
	}
	wrote, ok := t.wrote[r.Partition]
	if !ok {
		wrote.first = r.Offset
	}
	t.wrote[r.Partition] = span{min(wrote.first, r.Offset), max(wrote.next, r.Offset+1)}
}

// Commit makes a cycle true: it produces c.Records, the changelog's records
// of the rows and the positions in one transaction, ends it, and applies rows
// and positions to the store. An empty cycle is nothing.
//
// On an error nothing of the cycle is in the store; [ErrAborted] says that it
// may still be in the topics, which only fencing and restoring can tell. A
// Lane is of no use after an error. Commit is not cut short when the Loop's
// context ends, and takes no longer than Config.TransactionTimeout.
func (l *Lane) Commit(c Cycle) error {
	if len(c.Records) == 0 && len(c.Changes) == 0 {
		return nil
	}
	began := time.Now()
	changes, err := l.complete(c.Changes, began)
	if err != nil {
		return err
	}
	t := &transaction{changelog: l.group.cfg.Changelog, wrote: make(map[int32]span, len(changes))}
	if err := l.transact(c.Records, changes, t); err != nil {
		l.broken = true
		l.group.metrics.cycles.WithLabelValues("aborted").Inc()
		return &troubleError{fmt.Errorf("%w: %w", ErrAborted, err)}
	}
	// From here on the cycle is committed. Whatever keeps it from the store, the
	// changelog has it.
	for i, change := range changes {
		// The commit marker takes the offset behind the last record: only this
		// lane writes to the partition.
		change.Position.Changelog = t.wrote[change.Partition].next + 1
		if err := l.partition(change.Partition).State.Apply(change.Rows, change.Position); err != nil {
			return fmt.Errorf("apply a committed cycle to partition %d: %w", change.Partition, err)
		}
		changes[i] = change
	}
	l.commits++
	l.group.offsets.note(changes)
	l.group.metrics.cycles.WithLabelValues("committed").Inc()
	l.group.metrics.commit.Observe(time.Since(began).Seconds())
	return nil
}

// complete fills in what the lane knows of the positions, on a copy.
func (l *Lane) complete(changes []Change, now time.Time) ([]Change, error) {
	changes = slices.Clone(changes)
	for i := range changes {
		p := l.partition(changes[i].Partition)
		if p == nil {
			return nil, fmt.Errorf("commit: partition %d is not in lane %d", changes[i].Partition, l.number)
		}
		if slices.ContainsFunc(changes[:i], func(c Change) bool { return c.Partition == p.Number }) {
			return nil, fmt.Errorf("commit: partition %d is changed twice", p.Number)
		}
		changes[i].Position = l.group.layout.stamp(changes[i].Position, p.State.Position(), now)
		changes[i].Position.InputIDs = l.inputIDs
	}
	return changes, nil
}

// transact runs one transaction to its end.
func (l *Lane) transact(records []*kgo.Record, changes []Change, t *transaction) error {
	ctx, cancel := context.WithTimeout(context.Background(), l.group.cfg.TransactionTimeout)
	defer cancel()
	if err := l.client.BeginTransaction(); err != nil {
		return err
	}
	promise := t.promise
	for _, r := range records {
		l.client.Produce(ctx, r, promise)
	}
	rows := l.changelog(changes, t.changelog)
	for i := range rows {
		l.client.Produce(ctx, &rows[i], promise)
	}
	if err := l.client.Flush(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	acked := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return t.err
	}
	for _, r := range records {
		l.load(ctx, r.Topic, r.Partition)
	}
	for _, change := range changes {
		l.load(ctx, t.changelog, change.Partition)
	}
	if len(changes) > 0 && l.group.layout.appendTime && l.clock.due(acked) {
		l.measure(ctx, spot{t.changelog, changes[0].Partition}, t.wrote[changes[0].Partition].first, acked)
	}
	// End must not be cancelled: a client whose End was cut off is of no use,
	// and neither is what it would say.
	if err := l.client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("end: %w", err)
	}
	l.keep(rows)
	return nil
}

// load waits, for a topic that the client has just produced to for the first time, until it has stored the topic's partitions: it
// sends what was held back for them before it stores them. Where a transaction ends in between, the producer's new epoch (KIP-890)
// does not begin its sequence numbers anew there, and the broker refuses the next transaction as out of order.
func (l *Lane) load(ctx context.Context, topic string, partition int32) {
	if slices.Contains(l.loaded, topic) {
		return
	}
	for leader, _, err := l.client.PartitionLeader(topic, partition); leader < 0 && err == nil && ctx.Err() == nil; {
		time.Sleep(time.Millisecond)
		leader, _, err = l.client.PartitionLeader(topic, partition)
	}
	l.loaded = append(l.loaded, topic)
}

// changelog makes the records of rows and positions, in what the cycle before
// has left where that is large enough.
func (l *Lane) changelog(changes []Change, topic string) []kgo.Record {
	size, count := 0, len(changes)
	for _, change := range changes {
		count += len(change.Rows)
		for i := range change.Rows {
			size += change.Rows[i].ChangelogSize()
		}
	}
	if cap(l.room) < size {
		l.room = make([]byte, 0, size+size/4)
	}
	if cap(l.records) < count {
		l.records = make([]kgo.Record, 0, count+count/4)
	}
	room, records := l.room[:0], l.records[:0]
	for _, change := range changes {
		emit := func(key, value []byte) {
			records = append(records, kgo.Record{Topic: topic, Partition: change.Partition, Key: key, Value: value})
		}
		p := l.partition(change.Partition).State
		for _, row := range change.Rows {
			room = p.AppendChangelog(room, row, emit)
		}
		emit(change.Position.Record())
	}
	return records
}

const (
	keptRoom    = 1 << 20 // bytes
	keptRecords = 4096
)

// keep keeps the memory of a committed cycle's records for the next one: the
// client has let go of all of them. After a cycle that was not committed it may
// not have, and the lane is of no use.
func (l *Lane) keep(records []kgo.Record) {
	clear(records)
	if l.records = records[:0]; cap(records) > keptRecords {
		l.records = nil
	}
	if cap(l.room) > keptRoom {
		l.room = nil
	}
}

// measure reads which time the broker has given to the newest record of a
// changelog partition, which is the transaction's while that is open. The
// newest by time may be an older one, where the broker's clock was set back: no
// answer then.
func (l *Lane) measure(ctx context.Context, at spot, first int64, acked time.Time) {
	for _, a := range list(ctx, l.client, asDebugging, []ask{{at, atNewest}}) {
		if a.err == nil && a.timestamp > 0 && a.offset >= first {
			l.clock.add(sighting{a.timestamp, acked})
		}
	}
	if ms, known := l.Ahead(); known {
		l.group.metrics.ahead.Set(float64(ms) / 1000)
	}
}

// abandon tries to abort what a failed Commit left open, so that readers need not
// wait for a new owner or the transaction's timeout.
func (l *Lane) abandon() {
	if !l.broken {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := errors.Join(l.client.AbortBufferedRecords(ctx), l.client.EndTransaction(ctx, kgo.TryAbort))
	if err != nil {
		l.group.log.Info("transaction left to its timeout", zap.Int32("lane", l.number), zap.Error(err))
	}
}

// stamp gives a caller's position what the lane knows, and the offsets that the
// caller left out.
func (lay *layout) stamp(pos, before state.Position, now time.Time) state.Position {
	inputs := make(map[string]int64, len(before.Inputs))
	for topic, offset := range before.Inputs {
		inputs[topic] = offset
	}
	for topic, offset := range pos.Inputs {
		inputs[topic] = offset
	}
	pos.Inputs = inputs
	pos.TopicID, pos.Partitions, pos.Lanes = lay.changelogID, lay.partitions, lay.lanes
	pos.WrittenAt = max(1, now.UnixMilli())
	return pos
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
// a few ms too large rather than too small. It is known from the start of the
// Loop on, except where the changelog has no append times or the broker does not
// tell them. What must not happen early is judged at the machine's time less a
// positive Ahead.
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
