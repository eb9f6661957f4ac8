package lane

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Timestamps with a meaning of their own in ListOffsets.
const (
	atEnd    = -1
	atStart  = -2
	atNewest = -3 // the record with the largest timestamp (KIP-734)
)

// Whom a broker takes the asker of ListOffsets for, as its replica id: a
// consumer is told the high watermark, a debugging consumer the log end. asStable
// stands for a consumer that reads committed records only, which is told the
// last stable offset.
const (
	asConsumer  = -1
	asDebugging = -2
	asStable    = -3
)

const listTimeout = 2 * time.Second

// spot is one partition of one topic.
type spot struct {
	topic     string
	partition int32
}

func (s spot) String() string { return fmt.Sprintf("%s/%d", s.topic, s.partition) }

// ask is one question of a ListOffsets request.
type ask struct {
	spot
	at int64 // ms since the epoch, or one of the at… constants
}

// answer is what became of an ask. offset and timestamp are -1 where there is
// no such record.
type answer struct {
	ask
	offset, timestamp int64
	err               error
}

// leader is where a partition's leader was when metadata was last read.
type leader struct{ node, epoch int32 }

// list sends asks to the leaders of their partitions and returns an answer for
// each, in any order. Each request carries the leader's epoch, so that a broker
// that is no longer leader refuses; metadata is then read anew for the next
// call. It does not try again.
func list(ctx context.Context, client *kgo.Client, replica int32, asks []ask) []answer {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	leaders, err := findLeaders(ctx, client, asks)
	if err != nil {
		return failAll(asks, err)
	}
	byNode := make(map[int32][]ask)
	var answers []answer
	for _, a := range asks {
		at, ok := leaders[a.spot]
		if !ok {
			answers = append(answers, answer{ask: a, err: kerr.LeaderNotAvailable})
			continue
		}
		byNode[at.node] = append(byNode[at.node], a)
	}
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	for node, asks := range byNode {
		wg.Go(func() {
			got := listOn(ctx, client.Broker(int(node)), replica, asks, leaders)
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, got...)
		})
	}
	wg.Wait()
	for i, a := range answers {
		if _, epoch, err := client.PartitionLeader(a.topic, a.partition); err == nil && epoch > leaders[a.spot].epoch {
			answers[i].err = kerr.FencedLeaderEpoch // it moved meanwhile: the answer may be of the old leader
		}
	}
	for _, a := range answers {
		if a.err != nil && !errors.Is(a.err, kerr.UnsupportedVersion) {
			client.ForceMetadataRefresh()
			break
		}
	}
	return answers
}

func listOn(ctx context.Context, broker *kgo.Broker, replica int32, asks []ask, leaders map[spot]leader) []answer {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = replica
	if replica == asStable {
		req.ReplicaID, req.IsolationLevel = asConsumer, 1
	}
	byTopic := make(map[string]int)
	for _, a := range asks {
		i, ok := byTopic[a.topic]
		if !ok {
			i = len(req.Topics)
			byTopic[a.topic] = i
			topic := kmsg.NewListOffsetsRequestTopic()
			topic.Topic = a.topic
			req.Topics = append(req.Topics, topic)
		}
		partition := kmsg.NewListOffsetsRequestTopicPartition()
		partition.Partition = a.partition
		partition.CurrentLeaderEpoch = leaders[a.spot].epoch
		partition.Timestamp = a.at
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, partition)
	}
	resp, err := req.RequestWith(ctx, broker)
	if err != nil {
		return failAll(asks, err)
	}
	got := make(map[spot]answer, len(asks))
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			s := spot{topic.Topic, p.Partition}
			got[s] = answer{offset: p.Offset, timestamp: p.Timestamp, err: kerr.ErrorForCode(p.ErrorCode)}
		}
	}
	answers := make([]answer, len(asks))
	for i, a := range asks {
		found, ok := got[a.spot]
		if !ok {
			found.err = kerr.UnknownServerError
		}
		found.ask = a
		answers[i] = found
	}
	return answers
}

func failAll(asks []ask, err error) []answer {
	answers := make([]answer, len(asks))
	for i, a := range asks {
		answers[i] = answer{ask: a, err: err}
	}
	return answers
}

// findLeaders reads leaders and their epochs from the client's metadata where it
// has it, and asks for it otherwise.
func findLeaders(ctx context.Context, client *kgo.Client, asks []ask) (map[spot]leader, error) {
	leaders := make(map[spot]leader, len(asks))
	unknown := make(map[string]bool)
	for _, a := range asks {
		node, epoch, err := client.PartitionLeader(a.topic, a.partition)
		if err != nil || node < 0 {
			unknown[a.topic] = true
			continue
		}
		leaders[a.spot] = leader{node, epoch}
	}
	if len(unknown) == 0 {
		return leaders, nil
	}
	req := kmsg.NewPtrMetadataRequest()
	for topic := range unknown {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(topic)
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("find leaders: %w", err)
	}
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			if topic.Topic != nil && p.ErrorCode == 0 && p.Leader >= 0 {
				leaders[spot{*topic.Topic, p.Partition}] = leader{p.Leader, p.LeaderEpoch}
			}
		}
	}
	return leaders, nil
}

// listAll asks the same of all spots and asks again what was not answered, until
// all is or listing has failed for long.
func (g *Group) listAll(ctx context.Context, client *kgo.Client, replica int32, spots []spot, at int64) (map[spot]answer, error) {
	found := make(map[spot]answer, len(spots))
	for began := time.Now(); ; {
		var asks []ask
		for _, s := range spots {
			if _, ok := found[s]; !ok {
				asks = append(asks, ask{s, at})
			}
		}
		if len(asks) == 0 {
			return found, nil
		}
		var failed error
		for _, a := range list(ctx, client, replica, asks) {
			if a.err == nil {
				found[a.spot] = a
				continue
			}
			failed = fmt.Errorf("list offsets of %s: %w", a.spot, a.err)
			if replica == asDebugging && refusesLogEnd(a.err) {
				replica = asConsumer
			}
		}
		if failed != nil && (ctx.Err() != nil || time.Since(began) > 5*listTimeout) {
			return nil, &troubleError{failed}
		}
		if failed != nil && !pause(ctx, 100*time.Millisecond) {
			return nil, &troubleError{failed}
		}
	}
}

// pause waits, and says whether ctx is still alive afterwards.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Ends asks the leader of each partition of each input topic for its log end,
// which is not the high watermark: what was appended but is not yet readable
// counts. A partition whose leader did not answer within 2 s, or whose answer is
// of an older leader epoch, is left out. When the position of a partition has
// reached its End, everything appended before the call is applied.
func (l *Lane) Ends(ctx context.Context) ([]End, error) {
	inputs := l.inputs()
	asks := make([]ask, len(inputs))
	for i, s := range inputs {
		asks[i] = ask{s, atEnd}
	}
	answers, exact := list(ctx, l.client, asDebugging, asks), true
	for _, a := range answers {
		if refusesLogEnd(a.err) {
			answers, exact = list(ctx, l.client, asConsumer, asks), false
			break
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ends := make([]End, 0, len(answers))
	for _, a := range answers {
		if a.err == nil {
			ends = append(ends, End{Topic: a.topic, Partition: a.partition, Offset: a.offset, Exact: exact})
		}
	}
	l.group.metrics.exact(exact)
	l.watchHolds(ctx, ends)
	return ends, nil
}

// holds remembers which partitions stand still below their ends.
type holds struct {
	mu    sync.Mutex
	since map[spot]hold
}

type hold struct {
	position int64
	since    time.Time
}

// holdSuspect is how long a position stands still before it is asked why.
const holdSuspect = time.Second

// watchHolds exports how long each partition has been held by a transaction that
// another producer has left open: its readers have read all that is stable, and
// the log goes on behind.
func (l *Lane) watchHolds(ctx context.Context, ends []End) {
	now := time.Now()
	var suspects []ask
	l.holds.mu.Lock()
	defer l.holds.mu.Unlock()
	if l.holds.since == nil {
		l.holds.since = make(map[spot]hold)
	}
	for _, end := range ends {
		at := spot{end.Topic, end.Partition}
		l.mu.Lock()
		position := l.next[at]
		l.mu.Unlock()
		h, known := l.holds.since[at]
		switch {
		case position >= end.Offset:
			if known {
				delete(l.holds.since, at)
				l.group.metrics.heldFor(at, 0)
			}
		case !known || h.position != position:
			l.holds.since[at] = hold{position, now}
			l.group.metrics.heldFor(at, 0)
		case now.Sub(h.since) >= holdSuspect:
			suspects = append(suspects, ask{at, atEnd})
		}
	}
	if len(suspects) == 0 {
		return
	}
	for _, a := range list(ctx, l.client, asStable, suspects) {
		if h := l.holds.since[a.spot]; a.err == nil && a.offset <= h.position {
			l.group.metrics.heldFor(a.spot, now.Sub(h.since).Seconds())
		}
	}
}

func refusesLogEnd(err error) bool {
	for _, refusal := range []error{
		kerr.UnsupportedVersion, kerr.InvalidRequest, kerr.ClusterAuthorizationFailed, kerr.ReplicaNotAvailable,
	} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// inputs lists the lane's partitions of all input topics.
func (l *Lane) inputs() (spots []spot) {
	for _, p := range l.partitions {
		for _, topic := range l.group.cfg.Topics {
			spots = append(spots, spot{topic, p.Number})
		}
	}
	return spots
}
