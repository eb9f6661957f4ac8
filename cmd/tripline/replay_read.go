package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/sink/delivery"
)

// replay is a run of `tripline replay`. It reads one partition of all topics after the other: a user's records are in the partitions of
// one number, where the topics have equally many.
type replay struct {
	cfg   *loaded
	asked *asked
	now   time.Time
	told  told

	changelog string
	noSink    bool
	parts     [][]int32 // partition numbers that are read together; one nil: all
	total     int64     // records, about
	shown     *progress
	client    *kgo.Client // writes

	mu     sync.Mutex
	failed error // of a write
}

// open looks at the topics.
func (r *replay) open(ctx context.Context) error {
	client, err := kgo.NewClient(append(r.cfg.client(), kgo.RecordDeliveryTimeout(30*time.Second))...)
	if err != nil {
		return err
	}
	r.client, r.changelog = client, r.cfg.Group+"-sink-changelog"
	within, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	topics, err := kadm.NewClient(client).ListTopics(within)
	if err != nil {
		client.Close()
		return r.cfg.explain("list the topics", err)
	}
	r.noSink = !topics.Has(r.changelog)
	of := &r.cfg.Topics
	count, same := len(topics[of.Triggers].Partitions), true
	for _, topic := range []string{of.Triggers, of.Deliveries, of.DeadLetters} {
		if !topics.Has(topic) {
			client.Close()
			return fmt.Errorf("the topic %s does not exist; `tripline topics create` makes what tripline.yaml names", topic)
		}
		same = same && len(topics[topic].Partitions) == count
	}
	if !same {
		r.parts = [][]int32{nil}
	}
	for p := range int32(count) {
		if same {
			r.parts = append(r.parts, []int32{p})
		}
	}
	for _, topic := range r.topics() {
		ends, starts, err := scan{topics: []string{topic}, since: time.UnixMilli(0)}.bounds(ctx, r.cfg)
		if err != nil {
			client.Close()
			return err
		}
		for at, end := range ends {
			r.total += end - starts[at.topic][at.partition].EpochOffset().Offset
		}
	}
	return nil
}

// topics are those that are always read.
func (r *replay) topics() []string {
	topics := []string{r.cfg.Topics.Deliveries, r.cfg.Topics.Triggers}
	if !r.noSink {
		topics = append(topics, r.changelog)
	}
	return topics
}

func (r *replay) close() { r.client.Close() }

// all replays all that is asked for.
func (r *replay) all(ctx context.Context) error {
	for _, part := range r.parts {
		if err := r.part(ctx, part); err != nil {
			return err
		}
	}
	if err := r.client.Flush(ctx); err != nil {
		return fmt.Errorf("write to %s: %w", r.cfg.Topics.Triggers, err)
	}
	return r.trouble()
}

func (r *replay) part(ctx context.Context, numbers []int32) error {
	l, err := r.read(ctx, numbers)
	if err != nil {
		return err
	}
	want, skipped := l.wants()
	for why, n := range skipped {
		r.told.skip(why, n)
	}
	fails := false
	for _, s := range want {
		fails = fails || s.end == endFailed
	}
	// A dead letter is written with the final record: it is no older. Triggers may be of any age.
	for _, from := range []struct {
		topic string
		since time.Time
		look  bool
	}{{r.cfg.Topics.DeadLetters, r.since(), fails}, {r.cfg.Topics.Triggers, time.UnixMilli(0), true}} {
		if !from.look || len(want) == 0 {
			continue
		}
		err := r.scan(from.topic, numbers, from.since).each(ctx, r.cfg, func(k *kgo.Record) error { return r.again(ctx, l, want, k) })
		if err != nil && !errors.Is(err, errAllFound) {
			return err
		}
	}
	r.told.lost(len(want))
	return nil
}

func (r *replay) scan(topic string, numbers []int32, since time.Time) scan {
	return scan{topics: []string{topic}, partitions: numbers, since: since}
}

// since is from when on deliveries are read. What ended before was asked for by nobody, and longer ago than the sink keeps in mind it
// takes no number away from a replay. The hour is for clocks that differ.
func (r *replay) since() time.Time {
	if r.asked.since == 0 {
		return time.UnixMilli(0)
	}
	return time.UnixMilli(min(r.asked.since, r.now.UnixMilli()-int64(r.cfg.Dedupe)) - 3_600_000)
}

// read reads where triggers stand. The sink's state comes first: what has left it since has its final record by now, of which
// deliveries may show the transaction as open for a moment longer.
func (r *replay) read(ctx context.Context, numbers []int32) (*ledger, error) {
	l := newLedger(r.asked)
	if l.noSink = r.noSink; !l.noSink {
		err := r.scan(r.changelog, numbers, time.UnixMilli(0)).each(ctx, r.cfg, func(k *kgo.Record) error {
			r.shown.read(1)
			if err := l.row(k, r.cfg.Topics.Triggers); err != nil {
				return fmt.Errorf("%s: %w", place(k), err)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	deliveries := r.scan(r.cfg.Topics.Deliveries, numbers, r.since())
	deliveries.appended = true
	err := deliveries.each(ctx, r.cfg, func(k *kgo.Record) error {
		r.shown.read(1)
		if d, err := delivery.Parse(k.Value); err == nil { // what others write there is none of ours
			l.delivery(&d)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return l, r.scan(r.cfg.Topics.Triggers, numbers, time.UnixMilli(0)).each(ctx, r.cfg, func(k *kgo.Record) error {
		r.shown.read(1)
		l.trigger(k)
		return nil
	})
}

// errAllFound ends a scan.
var errAllFound = errors.New("all found")

// again writes the trigger of a record, of either topic, once more if it is wanted.
func (r *replay) again(ctx context.Context, l *ledger, want map[mark]standing, k *kgo.Record) error {
	if len(k.Value) == 0 || k.Topic == r.cfg.Topics.DeadLetters && header(k, "tripline-reason") != "undelivered" {
		return nil
	}
	id := idOf(k)
	s, wanted := want[markOf(id)]
	if !wanted || id == "" {
		return nil
	}
	t, err := record.ParseTrigger(k.Value)
	if err != nil || t.ID != id {
		return nil
	}
	delete(want, markOf(id))
	offset := k.Offset
	if k.Topic == r.cfg.Topics.DeadLetters {
		offset, _ = strconv.ParseInt(header(k, "tripline-source-offset"), 10, 64) // 0, where it does not say: before any tombstone
	}
	if l.erased(t.User, offset) {
		r.told.skip(erased, 1)
	} else if err := r.write(ctx, k, &t, &s); err != nil {
		return err
	}
	if len(want) == 0 {
		return errAllFound
	}
	return nil
}

func (r *replay) write(ctx context.Context, k *kgo.Record, t *record.Trigger, s *standing) error {
	line := replayed{Trigger: t.ID, Replay: int64(s.replay) + 1, Campaign: t.Campaign, Endpoint: t.Endpoint, User: t.User,
		Time: calendar.FormatTime(t.Time), Outcome: s.end.String(), From: place(k)}
	if r.told.dry {
		r.told.sent(&line)
		return nil
	}
	r.client.Produce(ctx, replayRecord(r.cfg.Topics.Triggers, k, t, line.Replay), func(_ *kgo.Record, err error) {
		if err == nil {
			r.told.sent(&line)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.failed == nil {
			r.failed = err
		}
	})
	return r.trouble()
}

func (r *replay) trouble() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil {
		return nil
	}
	return r.cfg.explain("write to "+r.cfg.Topics.Triggers, r.failed)
}

// replayRecord is the record that sends a trigger again.
func replayRecord(topic string, k *kgo.Record, t *record.Trigger, number int64) *kgo.Record {
	r := &kgo.Record{Topic: topic, Key: []byte(t.User), Value: k.Value, Headers: []kgo.RecordHeader{
		{Key: "tripline-id", Value: []byte(t.ID)}, {Key: "tripline-campaign", Value: []byte(t.Campaign)}, {Key: "tripline-version", Value: []byte(t.Version)},
		{Key: "tripline-replay", Value: strconv.AppendInt(nil, number, 10)}, {Key: "content-type", Value: []byte("application/json")}}}
	var trace record.Trace
	for _, h := range k.Headers {
		trace.Add(h.Key, h.Value)
	}
	for name, value := range trace.Headers() {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	return r
}

// idOf is the id of the trigger in a record of triggers or dead letters, "" if there is none.
func idOf(r *kgo.Record) string {
	if id := header(r, "tripline-id"); id != "" {
		return id
	}
	t, err := record.ParseTrigger(r.Value)
	if err != nil {
		return ""
	}
	return t.ID
}

// replayOf is the number of a replay, 0 of the original.
func replayOf(r *kgo.Record) int32 {
	n, err := strconv.ParseInt(header(r, "tripline-replay"), 10, 32)
	if err != nil {
		return 0
	}
	return int32(n)
}
