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

// reportEvery is how often a restore that goes on says how far it is.
const reportEvery = 5 * time.Second

// restore brings one partition's state up to the changelog's end as it is now,
// after fencing: from then on only this lane writes to it.
func (r *run) restore(ctx context.Context, client *kgo.Client, p *Partition) error {
	g := r.group
	at := []spot{{g.cfg.Changelog, p.Number}}
	starts, err := g.listAll(ctx, client, asConsumer, at, atStart)
	if err != nil {
		return err
	}
	ends, err := g.listAll(ctx, client, asDebugging, at, atEnd)
	if err != nil {
		return err
	}
	reach := span{starts[at[0]].offset, ends[at[0]].offset}
	position := p.State.Position()
	if reason, text := g.layout.unusable(position, reach, time.Now()); reason != "" {
		if err := r.forget(p, reason, text); err != nil {
			return err
		}
	}
	err = r.catchUp(ctx, p, reach)
	if errors.Is(err, errHole) {
		if err := r.forget(p, "hole", err.Error()); err != nil {
			return err
		}
		err = r.catchUp(ctx, p, reach)
	}
	if errors.Is(err, errHole) {
		return &troubleError{err}
	}
	if err != nil {
		return err
	}
	return g.layout.sameShape(p.State.Position(), g.cfg.Topics)
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

func (r *run) forget(p *Partition, reason, text string) error {
	r.group.log.Warn("local state wiped, to be restored from the changelog",
		zap.Int32("lane", r.number), zap.Int32("partition", p.Number), zap.String("why", text))
	r.group.metrics.wipes.WithLabelValues(reason).Inc()
	return p.State.Wipe()
}

// errHole says that records between the position and the changelog's end are
// gone.
var errHole = errors.New("records of the changelog are missing")

// catchUp reads the changelog from the local position, or from its start where
// there is none, up to its end.
func (r *run) catchUp(ctx context.Context, p *Partition, changelog span) error {
	position := p.State.Position()
	from := position.Changelog
	if position.IsZero() {
		from = changelog.first
	}
	if from >= changelog.next {
		return nil
	}
	select {
	case r.group.restores <- struct{}{}:
		defer func() { <-r.group.restores }()
	case <-ctx.Done():
		return ctx.Err()
	}
	client, err := r.group.cfg.restoreClient(p.Number, from)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	defer client.Close()
	restorer := p.State.Restore()
	t := tail{run: r, client: client, restorer: restorer, number: p.Number, from: from, next: from, end: changelog.next, began: time.Now()}
	if err := t.read(ctx); err != nil {
		return errors.Join(err, restorer.Abandon())
	}
	if newest := restorer.Position(); !newest.IsZero() {
		position = newest
	}
	if position.IsZero() {
		return restorer.Abandon() // nothing was ever committed
	}
	position.Changelog = changelog.next
	position.WrittenAt = max(1, time.Now().UnixMilli())
	if err := restorer.Finish(position); err != nil {
		return fmt.Errorf("finish the restore of partition %d: %w", p.Number, err)
	}
	r.group.log.Info("partition restored", zap.Int32("lane", r.number), zap.Int32("partition", p.Number),
		zap.Int64("records", t.records), zap.Int64("bytes", t.bytes), zap.Int64("from", from), zap.Int64("end", changelog.next),
		zap.Duration("took", time.Since(t.began)))
	return nil
}

// tail is a changelog partition being read from an offset to an end.
type tail struct {
	run             *run
	client          *kgo.Client
	restorer        *state.Restorer
	number          int32
	from, next, end int64
	records, bytes  int64
	began, reported time.Time
}

// read reads to the end. The end is reached by offset, and commit markers, which
// take offsets, are among what the client returns: the last record of a
// changelog is one.
func (t *tail) read(ctx context.Context) error {
	t.reported = t.began
	for t.next < t.end {
		// The bound is for the report: without news nothing else would come.
		within, cancel := context.WithTimeout(ctx, reportEvery)
		fetches := t.client.PollFetches(within)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, failed := range fetches.Errors() {
			var lost *kgo.ErrDataLoss
			switch {
			case errors.Is(failed.Err, context.DeadlineExceeded):
			case errors.Is(failed.Err, kerr.OffsetOutOfRange), errors.As(failed.Err, &lost):
				return fmt.Errorf("%w: partition %d at offset %d: %w", errHole, t.number, t.next, failed.Err)
			default:
				return &troubleError{fmt.Errorf("read the changelog: %w", failed.Err)}
			}
		}
		if err := t.add(fetches); err != nil {
			return err
		}
		t.report()
	}
	return nil
}

func (t *tail) add(fetches kgo.Fetches) (err error) {
	before, bytes := t.records, t.bytes
	fetches.EachRecord(func(record *kgo.Record) {
		t.next = min(record.Offset+1, t.end)
		if err != nil || record.Offset >= t.end || record.Attrs.IsControl() {
			return
		}
		t.records++
		t.bytes += int64(len(record.Key) + len(record.Value))
		err = t.restorer.Add(record.Key, record.Value, record.Offset)
	})
	t.run.progress(t.records-before, t.end-t.next)
	t.run.group.metrics.restored.WithLabelValues("records").Add(float64(t.records - before))
	t.run.group.metrics.restored.WithLabelValues("bytes").Add(float64(t.bytes - bytes))
	return err
}

func (t *tail) report() {
	now := time.Now()
	left := t.end - t.next
	if now.Sub(t.reported) < reportEvery || left == 0 {
		return
	}
	t.reported = now
	done := t.next - t.from
	var estimate time.Duration
	if done > 0 {
		estimate = time.Duration(float64(now.Sub(t.began)) / float64(done) * float64(left))
	}
	t.run.group.log.Info("restoring", zap.Int32("lane", t.run.number), zap.Int32("partition", t.number),
		zap.Int64("records", t.records), zap.Int64("bytes", t.bytes), zap.Int64("left", left), zap.Duration("estimate", estimate.Round(time.Second)))
}
