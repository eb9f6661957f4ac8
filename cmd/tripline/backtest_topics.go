package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign/record"
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
	r.shown = newProgress(progressTo, total, true)
	defer r.shown.done()
	for _, number := range numbers {
		if err := r.partition(ctx, number, ends, starts, until); err != nil {
			return err
		}
	}
	return nil
}

// partition runs over one partition number of all topics.
func (r *rehearsal) partition(ctx context.Context, number int32, ends map[spot]int64, starts map[string]map[int32]kgo.Offset, until int64) (err error) {
	st := r.begin(ctx)
	defer func() { err = errors.Join(err, st.close()) }()
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
	b := &block{}
	for ended := false; !ended; {
		b.reset()
		b.last = st.arrival
		for len(b.placed) < topicInputs && !ended {
			next, err := earliest(ctx, readers)
			if err != nil {
				return err
			}
			if ended = next == nil || max(b.last, next.Timestamp.UnixMilli()) > until; ended {
				break
			}
			r.shown.read(1)
			st.size++
			b.last = max(b.last, next.Timestamp.UnixMilli())
			in := input{arrival: b.last, number: b.lines}
			b.lines++
			ok, err := r.read(ctx, next, &in)
			if err != nil {
				return err
			}
			if ok {
				b.add(&in)
			}
		}
		if err := st.take(b); err != nil {
			return err
		}
	}
	return st.end(max(st.arrival, until))
}

// topicInputs is how many inputs from topics make a block.
const topicInputs = 1000

// read takes one record as the processor does; what it would make a dead letter is counted.
func (r *rehearsal) read(ctx context.Context, k *kgo.Record, in *input) (ok bool, err error) {
	if err := r.plan.records.Await(ctx, k); err != nil {
		return false, err
	}
	var bad *record.Rejection
	if k.Topic == r.plan.cfg.Topics.Profiles {
		var profile record.Profile
		var erase bool
		profile, erase, bad, err = r.plan.records.Profile(k)
		in.kind, in.event = aProfile, record.Event{User: profile.User, Profile: profile.Properties}
		if erase {
			in.kind = aTombstone
		}
	} else {
		in.event, bad, err = r.plan.records.Event(k)
	}
	if err == nil && bad != nil {
		r.sums.unreadable(place(k), bad)
	}
	return bad == nil, err
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
