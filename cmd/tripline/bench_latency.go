package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	latencyRate  = 5000 // events/s
	latencyEvery = 20   // one of so many becomes a trigger, and is looked for
	latencySpan  = 10 * time.Second
	latencyMark  = "at-"
)

// latency measures from the moment before an event is produced to the moment its trigger can be read, at a steady rate.
func (b *benched) latency(ctx context.Context) error {
	p, err := b.start(ctx, "keep", "")
	if err != nil {
		return err
	}
	defer p.end()
	var ready time.Time
	if _, err := p.restored(ctx, &ready); err != nil {
		return err
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.ConsumeTopics(b.group+"-triggers"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(time.Second))
	if err != nil {
		return err
	}
	defer reader.Close()
	warm, cancel := context.WithTimeout(ctx, 3*time.Second)
	reader.PollFetches(warm) // finds the ends
	cancel()
	want := int(latencySpan.Seconds()) * latencyRate / latencyEvery
	read := make(chan []time.Duration, 1)
	ctx, cancel = context.WithTimeout(ctx, 2*latencySpan+20*time.Second)
	defer cancel()
	go func() { read <- latencies(ctx, reader, want) }()
	if err := b.pace(ctx); err != nil {
		return err
	}
	took := <-read
	if len(took) < want {
		return fmt.Errorf("%d of %d triggers were seen", len(took), want)
	}
	slices.Sort(took)
	b.add(rowLatency, took[len(took)*99/100].Seconds()*1000)
	fmt.Fprintf(b.progress, "  event to trigger: p50 %s, p99 %s, worst %s\n", took[len(took)/2].Round(100*time.Microsecond), took[len(took)*99/100].Round(100*time.Microsecond), took[len(took)-1].Round(time.Millisecond))
	return p.stop()
}

// pace produces at latencyRate, a hundredth of a second's at a time.
func (b *benched) pace(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer client.Close()
	ticks := time.NewTicker(10 * time.Millisecond)
	defer ticks.Stop()
	var failed error
	for n, total := 0, int(latencySpan.Seconds())*latencyRate; n < total; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticks.C:
		}
		for range min(latencyRate/100, total-n) {
			now, mark := time.Now(), ""
			if n%latencyEvery == 0 {
				mark = latencyMark + strconv.FormatInt(now.UnixNano(), 10)
			}
			client.Produce(ctx, b.load.event(now.UnixMilli(), mark), func(_ *kgo.Record, err error) {
				if err != nil {
					failed = err
				}
			})
			n++
		}
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	return failed
}

// latencies reads triggers until it has found so many that are marked.
func latencies(ctx context.Context, reader *kgo.Client, want int) (took []time.Duration) {
	for len(took) < want && ctx.Err() == nil {
		fetches := reader.PollFetches(ctx)
		now := time.Now()
		fetches.EachRecord(func(r *kgo.Record) {
			_, rest, found := bytes.Cut(r.Value, []byte(`"`+latencyMark))
			if !found {
				return
			}
			digits, _, _ := bytes.Cut(rest, []byte(`"`))
			if ns, err := strconv.ParseInt(string(digits), 10, 64); err == nil {
				took = append(took, now.Sub(time.Unix(0, ns)))
			}
		})
	}
	return took
}
