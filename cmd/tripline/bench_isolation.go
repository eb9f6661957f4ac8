package main

import (
	"cmp"
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
	rowFirst       = benchRow{name: "sink, trigger to receiver, 100 endpoints, p99", unit: "ms"}
	rowIsolated    = benchRow{name: "sink, the same p99 while 10 of the 100 hang, against without", unit: "×", bar: 1.2}
	rowIsolatedCPU = benchRow{name: "sink, its CPU while 10 of the 100 hang, against without", unit: "×"}
)

const (
	isolationEndpoints = 100
	isolationHanging   = 10
	isolationRate      = 1000 // triggers a second
	isolationSeconds   = 30   // of a phase: an endpoint that hangs runs into its timeout, its breaker opens, and its first retries are due
)

// isolationPhases is how many endpoints hang in each phase of a run. Both kinds take turns, and which is first changes too, so that what else
// the machine does meanwhile is in both.
var isolationPhases = [...]int{0, isolationHanging, isolationHanging, 0, 0, isolationHanging}

// isolated is what one phase has come to.
type isolated struct {
	p99 time.Duration // from a trigger's commit to the first byte at an endpoint that answers
	cpu float64       // of the sink, in seconds
}

// benchIsolation measures how long first attempts to endpoints that answer take, and what the sink costs: without any endpoint that hangs,
// and beside some that do. The medians of the phases are compared.
func benchIsolation(ctx context.Context, o *benchOptions, t *benchTable, progress io.Writer) error {
	measured := map[int][]isolated{}
	for i, hanging := range isolationPhases {
		phase, err := isolationRun(ctx, o, t, i, hanging)
		if err != nil {
			return err
		}
		measured[hanging] = append(measured[hanging], phase)
		fmt.Fprintf(progress, "sink: trigger to receiver p99 %s, %.2f s of CPU while %d of %d endpoints hang\n",
			phase.p99.Round(10*time.Microsecond), phase.cpu, hanging, isolationEndpoints)
	}
	alone, beside := medians(measured[0]), medians(measured[isolationHanging])
	load := strconv.Itoa(isolationRate) + "/s"
	t.add(rowFirst, "embedded", load, alone.p99.Seconds()*1000)
	t.add(rowIsolated, "embedded", load, beside.p99.Seconds()/alone.p99.Seconds())
	t.add(rowIsolatedCPU, "embedded", load, beside.cpu/alone.cpu)
	return nil
}

// medians are those of what phases have come to.
func medians(phases []isolated) (m isolated) {
	slices.SortFunc(phases, func(a, b isolated) int { return cmp.Compare(a.p99, b.p99) })
	m.p99 = phases[len(phases)/2].p99
	slices.SortFunc(phases, func(a, b isolated) int { return cmp.Compare(a.cpu, b.cpu) })
	m.cpu = phases[len(phases)/2].cpu
	return m
}

// isolationRun is one phase: a broker and a sink of its own with a hundred endpoints, of which the first ones hang.
func isolationRun(ctx context.Context, o *benchOptions, t *benchTable, phase, hanging int) (got isolated, err error) {
	n := isolationRate * isolationSeconds
	arrived := &arrivals{at: make([]time.Time, n)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return got, err
	}
	receiver := &benchReceiver{seen: arrived.saw}
	go receiver.serve(listener)
	defer listener.Close()
	address, broker, err := said(ctx, nil, "bench", "broker")
	defer kill(broker)
	if err != nil {
		return got, err
	}
	b := &benched{o: o, t: t, broker: "embedded", dir: filepath.Join(o.dir, fmt.Sprintf("isolation-%d-%d", phase, hanging)), brokers: []string{address}}
	urls := make([]string, isolationEndpoints)
	for i := range urls {
		urls[i] = fmt.Sprintf("http://%s/%s", listener.Addr(), map[bool]string{true: "hang", false: "hook"}[i < hanging])
	}
	file, pages, err := b.sinkFiles(urls)
	if err != nil {
		return got, err
	}
	cfg, err := b.sinkTopics(ctx, file)
	if err != nil {
		return got, err
	}
	p, err := b.startSink(ctx, file, pages)
	if err != nil {
		return got, err
	}
	defer p.end()
	before, err := p.until(ctx, 50*time.Millisecond, func(sample) bool { return p.ready() })
	if err != nil {
		return got, err
	}
	committed, err := b.triggersInTime(ctx, cfg.Topics.Triggers, n)
	if err != nil {
		return got, err
	}
	answered := float64(n - n/isolationEndpoints*hanging)
	after, err := p.until(ctx, 50*time.Millisecond, func(m sample) bool { return m["tripline_sink_deliveries_total"] >= answered })
	if err != nil {
		return got, err
	}
	const cpu = "process_cpu_seconds_total"
	got = isolated{p99: arrived.p99(committed, hanging), cpu: after[cpu] - before[cpu]}
	if o.profile != "" {
		if err := p.stop(); err != nil {
			return got, err
		}
	}
	return got, nil
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
