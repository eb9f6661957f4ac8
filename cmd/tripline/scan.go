package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// scan reads what topics hold now, from a time on.
type scan struct {
	topics []string
	key    string // only the partitions where records of this key are; "": all
	since  time.Time

	partitions []int32 // only these; nil: all
	appended   bool    // up to the end of what was appended: an open transaction is waited for
}

// spot is a partition of a topic.
type spot struct {
	topic     string
	partition int32
}

// stall is how long a scan waits for records that a topic says to have.
const stall = 30 * time.Second

// each visits the committed records, those of one partition in order, up to where the topics ended when it began. A topic that does
// not exist is an error.
func (s scan) each(ctx context.Context, cfg *loaded, visit func(*kgo.Record) error) error {
	left, starts, err := s.bounds(ctx, cfg)
	if err != nil || len(left) == 0 {
		return err
	}
	return drain(ctx, cfg, left, starts, visit)
}

// drain reads each partition from its start up to the offset before its end, and empties ends.
func drain(ctx context.Context, cfg *loaded, left map[spot]int64, starts map[string]map[int32]kgo.Offset, visit func(*kgo.Record) error) error {
	client, err := kgo.NewClient(append(cfg.client(), kgo.ConsumePartitions(starts), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.FetchMaxBytes(16<<20))...)
	if err != nil {
		return err
	}
	defer client.Close()
	for len(left) > 0 {
		wait, cancel := context.WithTimeout(ctx, stall)
		fetches := client.PollRecords(wait, 10_000)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, e := range fetches.Errors() {
			if errors.Is(e.Err, context.DeadlineExceeded) {
				return fmt.Errorf("read: nothing has come for %s, though %s should have more; is a broker down?", stall, plural(len(left), "partition"))
			}
			return cfg.explain("read "+e.Topic, e.Err)
		}
		var failed error
		fetches.EachRecord(func(r *kgo.Record) {
			at := spot{r.Topic, r.Partition}
			end, wanted := left[at]
			if !wanted || failed != nil {
				return
			}
			if r.Offset >= end-1 {
				delete(left, at)
				client.PauseFetchPartitions(map[string][]int32{r.Topic: {r.Partition}})
			}
			if r.Offset < end && !r.Attrs.IsControl() {
				failed = visit(r)
			}
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}

// bounds are where each partition ends that holds something, and where to begin.
func (s scan) bounds(ctx context.Context, cfg *loaded) (ends map[spot]int64, starts map[string]map[int32]kgo.Offset, err error) {
	client, err := kgo.NewClient(cfg.client()...)
	if err != nil {
		return nil, nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	admin := kadm.NewClient(client)
	first, err := admin.ListOffsetsAfterMilli(ctx, s.since.UnixMilli(), s.topics...)
	if err == nil {
		err = first.Error()
	}
	if err != nil {
		return nil, nil, cfg.explain(fmt.Sprintf("read %v", s.topics), err)
	}
	list := admin.ListCommittedOffsets
	if s.appended {
		list = admin.ListEndOffsets
	}
	last, err := list(ctx, s.topics...)
	if err == nil {
		err = last.Error()
	}
	if err != nil {
		return nil, nil, cfg.explain(fmt.Sprintf("read %v", s.topics), err)
	}
	counts := map[string]int{}
	last.Each(func(o kadm.ListedOffset) { counts[o.Topic]++ })
	ends, starts = map[spot]int64{}, map[string]map[int32]kgo.Offset{}
	last.Each(func(o kadm.ListedOffset) {
		from, ok := first.Lookup(o.Topic, o.Partition)
		if !ok || from.Offset >= o.Offset || s.key != "" && partitionOf(s.key, counts[o.Topic]) != o.Partition ||
			s.partitions != nil && !slices.Contains(s.partitions, o.Partition) {
			return
		}
		ends[spot{o.Topic, o.Partition}] = o.Offset
		if starts[o.Topic] == nil {
			starts[o.Topic] = map[int32]kgo.Offset{}
		}
		starts[o.Topic][o.Partition] = kgo.NewOffset().At(from.Offset)
	})
	return ends, starts, nil
}

// partitionOf is where the records of a key are.
func partitionOf(key string, partitions int) int32 {
	p := kgo.StickyKeyPartitioner(nil).ForTopic("")
	return int32(p.Partition(&kgo.Record{Key: []byte(key)}, partitions))
}
