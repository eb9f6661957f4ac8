package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// backtestTopics runs over what the topics of tripline.yaml hold. Partition numbers share no users: one after the other is read,
// its topics merged as the processor does it, so that memory holds the users of one.
func backtestTopics(ctx context.Context, p *backtestPlan, o *backtestOptions, r *rehearsal, progressTo io.Writer) error {
	now := time.Now()
	since, err := sinceWhen(o.since, now)
	if err != nil {
		return err
	}
	until := p.until
	if until == 0 {
		until = now.UnixMilli()
	}
	ends, starts, err := scan{topics: p.cfg.Topics.Events, since: since}.bounds(ctx, p.cfg)
	if err != nil {
		return err
	}
	if profiles := p.cfg.Topics.Profiles; profiles != "" { // who users were before counts, too
		more, from, err := scan{topics: []string{profiles}, since: time.UnixMilli(0)}.bounds(ctx, p.cfg)
		if err != nil {
			return err
		}
		for at, end := range more {
			ends[at] = end
		}
		starts[profiles] = from[profiles]
	}
	numbers, total := []int32{}, int64(0)
	for at, end := range ends {
		if !slices.Contains(numbers, at.partition) {
			numbers = append(numbers, at.partition)
		}
		total += end - starts[at.topic][at.partition].EpochOffset().Offset
	}
	slices.Sort(numbers)
	shown := newProgress(progressTo, total, true)
	defer shown.done()
	for _, number := range numbers {
		if err := r.partition(ctx, number, ends, starts, until, shown); err != nil {
			return err
		}
	}
	return nil
}

// partition runs over one partition number of all topics.
func (r *rehearsal) partition(ctx context.Context, number int32, ends map[spot]int64, starts map[string]map[int32]kgo.Offset, until int64, shown *progress) error {
	if err := r.begin(); err != nil {
		return err
	}
	var readers []*reader
	defer func() {
		for _, one := range readers {
			one.client.Close()
		}
	}()
	for _, topic := range append(slices.Clone(r.plan.cfg.Topics.Events), r.plan.cfg.Topics.Profiles) {
		end, ok := ends[spot{topic, number}]
		if !ok {
			continue
		}
		one, err := newReader(r.plan.cfg, topic, number, starts[topic][number], end)
		if err != nil {
			return err
		}
		readers = append(readers, one)
	}
	arrival := int64(0)
	for {
		next, err := earliest(ctx, readers)
		if err != nil {
			return err
		}
		if next == nil || max(arrival, next.Timestamp.UnixMilli()) > until {
			return r.end(max(arrival, until))
		}
		shown.read(1)
		arrival = max(arrival, next.Timestamp.UnixMilli())
		if err := r.record(ctx, next, arrival); err != nil {
			return err
		}
	}
}

// record applies one record as the processor does; what it would make a dead letter is counted.
func (r *rehearsal) record(ctx context.Context, k *kgo.Record, arrival int64) error {
	if err := r.plan.records.Registry.Await(ctx, k.Value); err != nil {
		return err
	}
	if k.Topic == r.plan.cfg.Topics.Profiles {
		profile, erase, bad, err := r.plan.records.Profile(k)
		switch {
		case err != nil:
			return err
		case bad != nil:
			r.sums.unreadable(place(k), bad)
		case erase:
			r.erase(profile.User, arrival)
		default:
			r.profile(&profile, arrival)
		}
		return nil
	}
	e, bad, err := r.plan.records.Event(k)
	if err != nil {
		return err
	}
	if bad != nil {
		r.sums.unreadable(place(k), bad)
		return nil
	}
	return r.event(&e, arrival)
}

// earliest takes the record of the smallest timestamp; of equal ones, that of the topic that stands first. It is nil at the end.
func earliest(ctx context.Context, readers []*reader) (*kgo.Record, error) {
	var best *reader
	for _, r := range readers {
		head, err := r.peek(ctx)
		if err != nil {
			return nil, err
		}
		if head != nil && (best == nil || head.Timestamp.Before(best.head().Timestamp)) {
			best = r
		}
	}
	if best == nil {
		return nil, nil
	}
	head := best.head()
	best.records = best.records[1:]
	return head, nil
}

// reader reads one partition up to an end.
type reader struct {
	cfg     *loaded
	client  *kgo.Client
	topic   string
	end     int64
	records []*kgo.Record
	done    bool
}

func newReader(cfg *loaded, topic string, partition int32, from kgo.Offset, end int64) (*reader, error) {
	client, err := kgo.NewClient(append(cfg.client(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: from}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxPartitionBytes(4<<20))...)
	return &reader{cfg: cfg, client: client, topic: topic, end: end}, err
}

func (r *reader) head() *kgo.Record { return r.records[0] }

// peek is the next record, nil at the end.
func (r *reader) peek(ctx context.Context) (*kgo.Record, error) {
	for len(r.records) == 0 && !r.done {
		wait, cancel := context.WithTimeout(ctx, stall)
		fetches := r.client.PollRecords(wait, 10_000)
		cancel()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("interrupted in %s", r.topic)
		}
		for _, e := range fetches.Errors() {
			return nil, r.cfg.explain("read "+r.topic, e.Err)
		}
		for _, k := range fetches.Records() {
			if r.done = r.done || k.Offset >= r.end-1; k.Offset < r.end && !k.Attrs.IsControl() {
				r.records = append(r.records, k)
			}
		}
	}
	if len(r.records) == 0 {
		return nil, nil
	}
	return r.records[0], nil
}
