package lane

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/tripline/tripline/state"
)

const (
	// reportEvery is how often a restore that goes on says how far it is.
	reportEvery = 5 * time.Second
	// stalledAfter is how long a restore may read nothing before it warns.
	stalledAfter = 30 * time.Second
)

// Progress is how far a restore is: a lane's, or that of a warm copy.
type Progress struct {
	Records, Bytes int64         // read from the changelog since the lane was taken
	Left           int64         // changelog records still to read, at most
	Rate           float64       // records a second; 0 while nothing is read
	Estimate       time.Duration // until nothing is left; 0: not known
}

// replay brings the state of a lane's partitions up to the changelog.
type replay struct {
	group   *Group
	lane    int32
	standby bool
	places  chan struct{}                   // one for each partition that is read at a time
	told    func(now Progress)              // called as it goes on
	stalled func(ctx context.Context) error // called when it has not gone on for stalledAfter; nil: nothing is

	progress Progress
	left     map[int32]int64 // by partition
	ends     map[int32]int64 // by partition: the changelog's, as it was asked for
}

// restore brings each partition's state up to the changelog's end as it is now:
// its log end for an owner, after fencing, as from then on only this lane writes
// to it; for a copy what readers may see.
func (re *replay) restore(ctx context.Context, client *kgo.Client, partitions []*Partition) error {
	g, replica := re.group, int32(asDebugging)
	if re.standby {
		replica = asStable
	}
	spots := make([]spot, len(partitions))
	for i, p := range partitions {
		spots[i] = spot{g.cfg.Changelog, p.Number}
	}
	starts, err := g.listAll(ctx, client, asConsumer, spots, atStart)
	if err != nil {
		return err
	}
	ends, err := g.listAll(ctx, client, replica, spots, atEnd)
	if err != nil {
		return err
	}
	re.left, re.ends = make(map[int32]int64, len(partitions)), make(map[int32]int64, len(partitions))
	reach := func(p *Partition) span {
		at := spot{g.cfg.Changelog, p.Number}
		return span{starts[at].offset, ends[at].offset}
	}
	for _, p := range partitions {
		if reason, text := g.layout.unusable(p.State.Position(), reach(p), time.Now()); reason != "" {
			if err := re.forget(p, reason, text); err != nil {
				return err
			}
		}
		re.ends[p.Number] = reach(p).next
		re.left[p.Number] = max(0, reach(p).next-begins(p, reach(p)))
	}
	for _, p := range partitions {
		if err := re.partition(ctx, p, reach(p)); err != nil {
			return err
		}
	}
	return nil
}

// partition restores one partition, from nothing where records are gone.
func (re *replay) partition(ctx context.Context, p *Partition, reach span) error {
	err := re.catchUp(ctx, p, reach)
	if errors.Is(err, errHole) {
		if err := re.forget(p, "hole", err.Error()); err != nil {
			return err
		}
		err = re.catchUp(ctx, p, reach)
	}
	if errors.Is(err, errHole) {
		return &troubleError{err}
	}
	if err != nil {
		return err
	}
	return re.group.layout.sameShape(p.State.Position(), re.group.cfg.Topics)
}

// begins is where a partition's state goes on in the changelog.
func begins(p *Partition, changelog span) int64 {
	if position := p.State.Position(); !position.IsZero() {
		return position.Changelog
	}
	return changelog.first
}

// note takes in how far the partition being read is.
func (re *replay) note(partition int32, records, bytes, left int64) {
	re.progress.Records += records
	re.progress.Bytes += bytes
	re.left[partition] = left
	re.progress.Left = 0
	for _, n := range re.left {
		re.progress.Left += n
	}
	re.told(re.progress)
}

// unusable says why a local position cannot be continued from, and gives the
// reason a name; "" if it can. A position at the changelog's end has missed
// nothing, however old it is.
func (lay *layout) unusable(pos state.Position, changelog span, now time.Time) (reason, text string) {
	age := now.Sub(time.UnixMilli(pos.WrittenAt))
	switch {
	case pos.IsZero():
	case pos.TopicID != lay.changelogID:
		return "topic", "it belongs to another topic of that name"
	case pos.Changelog < changelog.first:
		return "hole", fmt.Sprintf("it ends at offset %d and the changelog begins at %d", pos.Changelog, changelog.first)
	case pos.Changelog > changelog.next:
		return "hole", fmt.Sprintf("it ends at offset %d and the changelog at %d", pos.Changelog, changelog.next)
	case pos.Changelog < changelog.next && age > lay.retention:
		return "age", fmt.Sprintf("it is %s old, and the changelog tells for %s what was deleted", age.Round(time.Second), lay.retention)
	}
	return "", ""
}

// sameShape refuses state whose users are in other partitions, or whose
// partitions may be in use under other transactional ids.
func (lay *layout) sameShape(pos state.Position, topics []string) error {
	switch {
	case pos.IsZero():
		return nil
	case pos.Partitions != lay.partitions:
		counts := make(map[string]int, len(topics))
		for _, topic := range topics {
			counts[topic] = int(lay.partitions)
		}
		return &TopicsError{Counts: counts, Recorded: int(pos.Partitions)}
	case pos.Lanes != lay.lanes:
		return &LanesError{Recorded: int(pos.Lanes), Configured: int(lay.lanes)}
	}
	return nil
}

func (re *replay) forget(p *Partition, reason, text string) error {
	re.group.log.Warn("local state wiped, to be restored from the changelog", zap.Int32("lane", re.lane),
		zap.Int32("partition", p.Number), zap.String("reason", reason), zap.String("why", text), zap.Bool("standby", re.standby))
	re.group.metrics.wipes.WithLabelValues(reason).Inc()
	return p.State.Wipe()
}

// errHole says that records between the position and the changelog's end are
// gone.
var errHole = errors.New("records of the changelog are missing")

// catchUp reads the changelog from the local position, or from its start where
// there is none, up to its end.
func (re *replay) catchUp(ctx context.Context, p *Partition, changelog span) error {
	position, from := p.State.Position(), begins(p, changelog)
	if from >= changelog.next {
		return nil
	}
	select {
	case re.places <- struct{}{}:
		defer func() { <-re.places }()
	case <-ctx.Done():
		return ctx.Err()
	}
	client, err := re.group.cfg.restoreClient(p.Number, from)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	defer client.Close()
	restorer := p.State.Restore()
	now := time.Now()
	t := tail{replay: re, client: client, restorer: restorer, number: p.Number, from: from, next: from, end: changelog.next,
		began: now, reported: now, moved: now}
	if err := t.read(ctx); err != nil {
		return errors.Join(err, restorer.Abandon())
	}
	if newest := restorer.Position(); !newest.IsZero() {
		position = newest
	}
	switch {
	case !position.IsZero():
	case t.records == 0: // nothing was ever committed
		return restorer.Abandon()
	case !re.standby:
		return errors.Join(fmt.Errorf("partition %d: %w: the changelog has rows, and no position that says up to where "+
			"the input is in them: it was cut, or copied in part; use a new group, whose state begins anew", p.Number, state.ErrDamaged), restorer.Abandon())
	default: // a newer one has come behind the end, and compaction has taken the one that was before it
		position = re.group.layout.stamp(position, position, now)
	}
	position.Changelog = changelog.next
	position.WrittenAt = max(1, time.Now().UnixMilli())
	if err := restorer.Finish(position); err != nil {
		return fmt.Errorf("finish the restore of partition %d: %w", p.Number, err)
	}
	took := time.Since(t.began)
	re.group.log.Info("partition restored", zap.Int32("lane", re.lane), zap.Int32("partition", p.Number), zap.Bool("standby", re.standby),
		zap.Int64("records", t.records), zap.Int64("bytes", t.bytes), zap.Int64("from", from), zap.Int64("end", changelog.next),
		zap.Duration("took", took), zap.Float64("records_per_second", perSecond(t.records, took)))
	return nil
}

// perSecond is a rate; 0 where no time has passed.
func perSecond(n int64, in time.Duration) float64 {
	if in <= 0 {
		return 0
	}
	return float64(n) / in.Seconds()
}

// tail is a changelog partition being read from an offset to an end.
type tail struct {
	*replay
	client          *kgo.Client
	restorer        *state.Restorer
	number          int32
	from, next, end int64
	records, bytes  int64
	began, reported time.Time
	moved           time.Time // when something was read last, or that it was not was said
}

// read reads to the end. The end is reached by offset, and commit markers, which
// take offsets, are among what the client returns: the last record of a
// changelog is one.
func (t *tail) read(ctx context.Context) error {
	for t.next < t.end {
		// The bound is for the report: without news nothing else would come.
		within, cancel := context.WithTimeout(ctx, reportEvery)
		fetches := t.client.PollFetches(within)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := fetchFailure(fetches, func(int32) int64 { return t.next }); err != nil {
			return err
		}
		if err := t.add(fetches); err != nil {
			return err
		}
		if stalled := t.report(time.Now()); stalled && t.stalled != nil {
			if err := t.stalled(ctx); err != nil {
				return err
			}
		}
	}
	t.progress.Rate, t.progress.Estimate = 0, 0
	t.told(t.progress)
	return nil
}

// fetchFailure is what a changelog's fetches failed with. That nothing came in
// time is no failure.
func fetchFailure(fetches kgo.Fetches, next func(partition int32) int64) error {
	for _, failed := range fetches.Errors() {
		var lost *kgo.ErrDataLoss
		switch {
		case errors.Is(failed.Err, context.DeadlineExceeded):
		case errors.Is(failed.Err, kerr.OffsetOutOfRange), errors.As(failed.Err, &lost):
			return fmt.Errorf("%w: partition %d at offset %d: %w", errHole, failed.Partition, next(failed.Partition), failed.Err)
		default:
			return &troubleError{fmt.Errorf("read the changelog: %w", failed.Err)}
		}
	}
	return nil
}

func (t *tail) add(fetches kgo.Fetches) (err error) {
	before, records, bytes := t.next, t.records, t.bytes
	fetches.EachRecord(func(record *kgo.Record) {
		t.next = min(record.Offset+1, t.end)
		if err != nil || record.Offset >= t.end || record.Attrs.IsControl() {
			return
		}
		t.records++
		t.bytes += int64(len(record.Key) + len(record.Value))
		err = t.restorer.Add(record.Key, record.Value, record.Offset)
	})
	if now := time.Now(); t.next > before {
		t.moved = now
		took := now.Sub(t.began)
		t.progress.Rate = perSecond(t.records, took)
		// What is left takes as long by offset: of aborted and compacted records there are only these.
		if pace := perSecond(t.next-t.from, took); pace > 0 {
			t.progress.Estimate = time.Duration(float64(t.end-t.next+t.others()) / pace * float64(time.Second)).Round(time.Millisecond)
		}
	}
	t.note(t.number, t.records-records, t.bytes-bytes, t.end-t.next)
	t.group.metrics.restored.WithLabelValues("records").Add(float64(t.records - records))
	t.group.metrics.restored.WithLabelValues("bytes").Add(float64(t.bytes - bytes))
	return err
}

// others is how much is left of the lane's other partitions.
func (t *tail) others() (left int64) {
	for number, n := range t.left {
		if number != t.number {
			left += n
		}
	}
	return left
}

// report says how far it is, and whether that has not changed for long.
func (t *tail) report(now time.Time) (stalled bool) {
	if t.next == t.end {
		return false
	}
	place := []zap.Field{zap.Int32("lane", t.lane), zap.Int32("partition", t.number), zap.Bool("standby", t.standby)}
	if stalled = now.Sub(t.moved) >= stalledAfter; stalled {
		t.group.log.Warn("the changelog's end cannot be reached: nothing has come for a while; is a broker down, or a transaction open?",
			append(place, zap.Int64("offset", t.next), zap.Int64("end", t.end), zap.Duration("waited", now.Sub(t.moved)))...)
		t.moved, t.reported = now, now
		t.progress.Rate, t.progress.Estimate = 0, 0
		t.told(t.progress)
	}
	if now.Sub(t.reported) < reportEvery {
		return stalled
	}
	t.reported = now
	t.group.log.Info("restoring", append(place, zap.Int64("records", t.records), zap.Int64("bytes", t.bytes), zap.Int64("left", t.end-t.next),
		zap.Float64("records_per_second", t.progress.Rate), zap.Duration("estimate", t.progress.Estimate))...)
	return stalled
}
