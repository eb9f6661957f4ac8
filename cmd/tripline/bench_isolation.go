package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	rowFirst    = benchRow{name: "sink, trigger to receiver, 100 endpoints, p99", unit: "ms"}
	rowIsolated = benchRow{name: "sink, the same p99 while 10 of the 100 hang, against without", unit: "×", bar: 1.2}
)

const (
	isolationEndpoints = 100
	isolationHanging   = 10
	isolationRate      = 1000 // triggers a second
	isolationSeconds   = 20
)

// benchIsolation measures how long first attempts to endpoints that answer take: without any that hangs, and beside some that do.
func benchIsolation(ctx context.Context, o *benchOptions, t *benchTable, progress io.Writer) error {
	alone, err := isolationRun(ctx, o, t, 0)
	if err != nil {
		return err
	}
	beside, err := isolationRun(ctx, o, t, isolationHanging)
	if err != nil {
		return err
	}
	load := strconv.Itoa(isolationRate) + "/s"
	t.add(rowFirst, "embedded", load, alone.Seconds()*1000)
	t.add(rowIsolated, "embedded", load, beside.Seconds()/alone.Seconds())
	fmt.Fprintf(progress, "sink: trigger to receiver p99 %s, %s while %d of %d endpoints hang\n",
		alone.Round(10*time.Microsecond), beside.Round(10*time.Microsecond), isolationHanging, isolationEndpoints)
	return nil
}

// isolationRun is a sink with a hundred endpoints, of which the first ones hang. It returns the 99th percentile of the time from a
// trigger's commit to the first byte at an endpoint that answers.
func isolationRun(ctx context.Context, o *benchOptions, t *benchTable, hanging int) (time.Duration, error) {
	n := isolationRate * isolationSeconds
	arrived := &arrivals{at: make([]time.Time, n)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	receiver := &benchReceiver{seen: arrived.saw}
	go receiver.serve(listener)
	defer listener.Close()
	address, broker, err := said(ctx, nil, "bench", "broker")
	defer kill(broker)
	if err != nil {
		return 0, err
	}
	b := &benched{o: o, t: t, broker: "embedded", dir: filepath.Join(o.dir, fmt.Sprintf("isolation-%d", hanging)), brokers: []string{address}}
	urls := make([]string, isolationEndpoints)
	for i := range urls {
		urls[i] = fmt.Sprintf("http://%s/%s", listener.Addr(), map[bool]string{true: "hang", false: "hook"}[i < hanging])
	}
	file, pages, err := b.sinkFiles(urls)
	if err != nil {
		return 0, err
	}
	cfg, err := b.sinkTopics(ctx, file)
	if err != nil {
		return 0, err
	}
	p, err := b.startSink(ctx, file, pages)
	if err != nil {
		return 0, err
	}
	defer p.end()
	if _, err := p.until(ctx, 50*time.Millisecond, func(sample) bool { return p.ready() }); err != nil {
		return 0, err
	}
	committed, err := b.triggersInTime(ctx, cfg.Topics.Triggers, n)
	if err != nil {
		return 0, err
	}
	answered := float64(n - n/isolationEndpoints*hanging)
	if _, err := p.until(ctx, 50*time.Millisecond, func(m sample) bool { return m["tripline_sink_deliveries_total"] >= answered }); err != nil {
		return 0, err
	}
	if o.profile != "" {
		if err := p.stop(); err != nil {
			return 0, err
		}
	}
	return arrived.p99(committed, hanging), nil
}

// arrivals are when the receiver first saw each trigger, by number.
type arrivals struct {
	mu sync.Mutex
	at []time.Time
}

func (a *arrivals) saw(id string) {
	now := time.Now()
	if i, err := strconv.Atoi(strings.TrimPrefix(id, "trg_")); err == nil && i < len(a.at) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.at[i].IsZero() {
			a.at[i] = now
		}
	}
}

// p99 is from when triggers were committed, over those for endpoints that do not hang, once all is warm.
func (a *arrivals) p99(committed []time.Time, hanging int) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	var took []time.Duration
	for i := len(a.at) / 4; i < len(a.at); i++ {
		if i%isolationEndpoints >= hanging {
			took = append(took, a.at[i].Sub(committed[i]))
		}
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// triggersInTime writes triggers at a steady rate, to one endpoint after the other, and returns when each was acknowledged.
func (b *benched) triggersInTime(ctx context.Context, topic string, n int) (committed []time.Time, err error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerLinger(0))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	committed = make([]time.Time, n)
	var failed error // promises are kept one after the other
	began := time.Now()
	for i := range n {
		if ahead := time.Until(began.Add(time.Duration(i) * time.Second / isolationRate)); ahead > 0 {
			time.Sleep(ahead)
		}
		client.Produce(ctx, benchTrigger(topic, i, fmt.Sprintf("user-%d", i), i%isolationEndpoints), func(_ *kgo.Record, err error) {
			committed[i] = time.Now()
			if err != nil {
				failed = err
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return nil, err
	}
	return committed, failed
}
