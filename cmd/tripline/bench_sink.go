package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/config"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/value"
)

var (
	rowDeliveries = benchRow{name: "sink, local receiver, signed, broker on the same cores", unit: "k/s", bar: 20, more: true}
	rowSinkCPU    = benchRow{name: "sink, CPU of the sink", unit: "s/M"}
	rowHookCPU    = benchRow{name: "sink, CPU of its receiver", unit: "s/M"}
	rowBrokerCPU  = benchRow{name: "sink, CPU of its broker", unit: "s/M"}
	rowWaiting    = benchRow{name: "sink, peak memory while all wait for an endpoint that hangs", unit: "MiB", bar: 512}
)

// said is a process of this program that prints one line when it is ready.
func said(ctx context.Context, in io.Reader, args ...string) (line string, cmd *exec.Cmd, err error) {
	cmd = exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Stdin, cmd.Stderr = in, os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	line, err = bufio.NewReader(stdout).ReadString('\n')
	return strings.TrimSpace(line), cmd, err
}

func kill(cmd *exec.Cmd) {
	if cmd != nil && cmd.Process != nil {
		_ = cmd.Process.Kill() // nothing of it is needed any more
		_ = cmd.Wait()         // and so it ends with an error
	}
}

// benchSink measures a sink that is a process of its own: n deliveries to a receiver on this machine, or n that wait for one that hangs.
func benchSink(ctx context.Context, o *benchOptions, t *benchTable, hang bool, progress io.Writer) error {
	n, page := o.events/10, "/hook"
	if hang {
		n, page = o.events/2, "/hang"
	}
	address, broker, err := said(ctx, nil, "bench", "broker")
	defer kill(broker)
	if err != nil {
		return err
	}
	to, receiver, err := said(ctx, nil, "bench", "receiver")
	defer kill(receiver)
	if err != nil {
		return err
	}
	b := &benched{o: o, t: t, broker: "embedded", dir: filepath.Join(o.dir, "sink"+strings.TrimPrefix(page, "/")), brokers: []string{address}}
	file, pages, err := b.sinkFiles([]string{"http://" + to + page})
	if err != nil {
		return err
	}
	cfg, err := b.sinkTopics(ctx, file)
	if err != nil {
		return err
	}
	if err := b.triggers(ctx, cfg.Topics.Triggers, n); err != nil {
		return err
	}
	brokerBefore := cpuOf(broker)
	p, err := b.startSink(ctx, file, pages)
	if err != nil {
		return err
	}
	defer p.end()
	done, began := "tripline_sink_deliveries_total", time.Time{}
	if hang {
		done = "tripline_sink_waiting"
	}
	before := 0.0
	m, err := p.until(ctx, 100*time.Millisecond, func(m sample) bool {
		if began.IsZero() && m[done] > 0 {
			began, before = time.Now(), m[done]
		}
		return m[done] >= float64(n)
	})
	if err != nil {
		return err
	}
	if hang {
		t.add(rowWaiting, "embedded", strconv.Itoa(n), p.peak()/(1<<20))
		fmt.Fprintf(progress, "sink: %d wait after %s, %.0f MiB\n", n, time.Since(began).Round(time.Millisecond), p.peak()/(1<<20))
	} else {
		took := time.Since(began)
		t.add(rowDeliveries, "embedded", strconv.Itoa(n), (float64(n)-before)/took.Seconds())
		shares(t, n, m["process_cpu_seconds_total"], cpuOf(receiver), cpuOf(broker)-brokerBefore)
		fmt.Fprintf(progress, "sink: %d deliveries in %s\n", n, took.Round(time.Millisecond))
	}
	if o.profile != "" {
		return p.stop()
	}
	return nil
}

// shares adds whose CPU time n deliveries took, in seconds.
func shares(t *benchTable, n int, cpu ...float64) {
	for i, row := range [...]benchRow{rowSinkCPU, rowHookCPU, rowBrokerCPU} {
		t.add(row, "embedded", strconv.Itoa(n), cpu[i]*1e6/float64(n))
	}
}

// startSink starts a sink as a process of its own.
func (b *benched) startSink(ctx context.Context, file, pages string) (*benchProcess, error) {
	args := []string{"sink", "--config", file}
	if b.o.profile != "" {
		folder := filepath.Join(b.o.profile, filepath.Base(b.dir))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
		args = []string{"bench", "sink", "--config", file, "--profile", folder}
	}
	p := &benchProcess{b: b, cmd: exec.CommandContext(ctx, os.Args[0], args...), pages: "http://" + pages,
		log: filepath.Join(b.dir, "log"), ended: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = p.cmd.Wait(); close(p.ended) }() // how it ended, until says
	return p, nil
}

// sinkFiles writes a tripline.yaml with the shipped defaults, but for endpoints, which sign: hook0 and so on, each with a campaign of
// its own, bench0 and so on. pages is the address of the sink's pages.
func (b *benched) sinkFiles(urls []string) (file, pages string, err error) {
	port, err := freePort()
	if err != nil {
		return "", "", err
	}
	pages = fmt.Sprintf("127.0.0.1:%d", port)
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return "", "", err
	}
	var campaigns []byte
	out := fmt.Appendf(nil, "kafka: {brokers: [%q]}\ncampaigns: [campaigns.yaml]\nstate: {dir: state}\nhttp: {listen: %q}\nendpoints:\n", b.brokers[0], pages)
	for i, url := range urls {
		campaigns = fmt.Appendf(campaigns, "---\nname: bench%d\ntrigger: {single_action: {event: A}}\ndeliver: {endpoint: hook%d}\n", i, i)
		out = fmt.Appendf(out, "- {name: hook%d, url: %q, allow_private: true, signing: {secrets: [whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=]}}\n", i, url)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "campaigns.yaml"), campaigns, 0o644); err != nil {
		return "", "", err
	}
	file = filepath.Join(b.dir, "tripline.yaml")
	return file, pages, os.WriteFile(file, out, 0o644)
}

// sinkTopics makes the topics of a configuration.
func (b *benched) sinkTopics(ctx context.Context, file string) (*config.Config, error) {
	cfg, _, problems := config.Load(file, options())
	if err := problems.Err(); err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(ctx, benchPartitions, -1, nil, cfg.Topics.Events[0]); err != nil {
		return nil, err
	}
	return cfg, createTopics(ctx, admin, &loaded{Config: cfg}, benchPartitions, -1, io.Discard)
}

// benchTrigger is a trigger of 400 bytes, the i-th, for an endpoint by its number.
func benchTrigger(topic string, i int, user string, endpoint int) *kgo.Record {
	properties := value.Properties{{Name: "sku", Value: value.OfString("A-17")}, {Name: "name", Value: value.OfString(strings.Repeat("n", 90))}}
	now := time.Now().UnixMilli()
	trigger := record.Trigger{ID: fmt.Sprintf("trg_%027d", i), Campaign: "bench" + strconv.Itoa(endpoint), Version: "0123456789ab", Category: "single_action", User: user,
		Time: now, Endpoint: "hook" + strconv.Itoa(endpoint), Events: []record.Happening{{Name: "A", Time: now, Properties: properties}}}
	return &kgo.Record{Topic: topic, Key: []byte(user), Value: trigger.Append(nil, now)}
}

// triggers fills a topic with n triggers, of as many users as R1 has for so many events.
func (b *benched) triggers(ctx context.Context, topic string, n int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.MaxBufferedRecords(100_000))
	if err != nil {
		return err
	}
	defer client.Close()
	var failed error
	for i := range n {
		client.Produce(ctx, benchTrigger(topic, i, fmt.Sprintf("user-%d", i*7919%max(1, n*15/100)), 0), func(_ *kgo.Record, err error) {
			if err != nil {
				failed = err
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	return failed
}

// cpuOf is what a process has used, in seconds, as Linux tells it; 0 elsewhere.
func cpuOf(cmd *exec.Cmd) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	return (user + system) / 100 // ticks: 100 a second for all that is shown
}
