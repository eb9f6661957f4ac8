package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/config"
)

const benchPartitions = 12

// benched is one run: its topics, its folder and what it has measured.
type benched struct {
	o        *benchOptions
	t        *benchTable
	broker   string // which kind
	kind     string // of the load
	group    string
	dir      string
	brokers  []string
	client   *kgo.Client
	load     *benchLoad
	progress io.Writer
}

// benchRun measures one load against one broker.
func benchRun(ctx context.Context, o *benchOptions, t *benchTable, broker, brokers, kind string, progress io.Writer) error {
	b, err := newBenched(ctx, o, t, broker, brokers, kind, progress)
	if err != nil {
		return err
	}
	defer b.client.Close()
	if kind != timersLoad {
		if err := b.load.produce(ctx, b.client, o.events); err != nil {
			return err
		}
	}
	if err := b.stages(ctx); err != nil {
		return err
	}
	return b.drop(ctx)
}

// newBenched makes a run's topics and its folder.
func newBenched(ctx context.Context, o *benchOptions, t *benchTable, broker, brokers, kind string, progress io.Writer) (*benched, error) {
	b := &benched{o: o, t: t, broker: broker, kind: kind, group: fmt.Sprintf("bench%x", rand.Uint32()), brokers: strings.Split(brokers, ","), progress: progress}
	b.dir = filepath.Join(o.dir, b.group)
	b.load = newBenchLoad(o, kind, b.group+"-events")
	client, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.MaxBufferedRecords(100_000), kgo.ProducerLinger(5*time.Millisecond), kgo.ProducerBatchMaxBytes(900_000))
	if err != nil {
		return nil, err
	}
	b.client = client
	if err := b.prepare(ctx); err != nil {
		client.Close()
		return nil, err
	}
	t.version(ctx, broker, client)
	fmt.Fprintf(progress, "%s, %s: %d events of %d users\n", broker, kind, o.events, b.load.users)
	return b, nil
}

// stages runs what follows the load, each on the state that the one before has left.
func (b *benched) stages(ctx context.Context) error {
	switch b.kind {
	case manyLoad, fewLoad:
		return b.many(ctx)
	case largeLoad:
		return b.large(ctx)
	case timersLoad:
		return b.timers(ctx)
	}
	if err := b.whole(ctx); err != nil {
		return err
	}
	for _, s := range []struct {
		name string
		run  func(context.Context) error
	}{{"restart", b.restart}, {"kill", b.kill}, {"restore", b.restore}, {"verify", b.verify}, {"latency", b.latency}} {
		if s.name == "verify" || slices.Contains(b.o.stages, s.name) {
			if err := s.run(ctx); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	return nil
}

// prepare writes configuration and campaigns and makes the topics. The events keep their own times, hours ago, and must
// not be deleted for that.
func (b *benched) prepare(ctx context.Context) error {
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return err
	}
	campaigns := benchCampaigns
	switch b.kind {
	case fewLoad:
		campaigns = fewCampaigns
	case manyLoad:
		campaigns = manyCampaigns()
	case timersLoad:
		campaigns += soonCampaign
	}
	if err := os.WriteFile(filepath.Join(b.dir, "campaigns.yaml"), []byte(campaigns), 0o644); err != nil {
		return err
	}
	file, err := b.configure("127.0.0.1:0", "keep")
	if err != nil {
		return err
	}
	cfg, _, problems := config.Load(file, options())
	if err := problems.Err(); err != nil {
		return err
	}
	admin := kadm.NewClient(b.client)
	forever, created := "-1", "CreateTime"
	_, err = admin.CreateTopic(ctx, benchPartitions, -1, map[string]*string{"retention.ms": &forever, "message.timestamp.type": &created}, cfg.Topics.Events[0])
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return err
	}
	return createTopics(ctx, admin, &loaded{Config: cfg}, benchPartitions, -1, io.Discard)
}

// configure writes a tripline.yaml with the shipped defaults but for names, addresses and R1's history.
func (b *benched) configure(listen, onStop string) (file string, err error) {
	quoted, err := json.Marshal(b.brokers)
	if err != nil {
		return "", err
	}
	g, history := b.group, "history: {properties: referenced}\n"
	switch b.kind {
	case manyLoad, fewLoad:
		history = manyConfig
	case insideLoad:
		history += insideConfig
	}
	file = filepath.Join(b.dir, "tripline.yaml")
	return file, os.WriteFile(file, fmt.Appendf(nil, `kafka: {brokers: %s}
group: %s
topics: {events: [%s-events], triggers: %s-triggers, decisions: %s-decisions, deliveries: %s-deliveries, dead_letters: %s-dead}
campaigns: [campaigns.yaml]
state: {dir: state}
%son_stop: %s
http: {listen: %q}
log: {level: warn}
endpoints: [{name: hook, url: "http://127.0.0.1:9/hook", allow_private: true}]
`, quoted, g, g, g, g, g, g, history, onStop, listen), 0o644)
}

// whole is R1 itself: from an empty folder until every event is applied and every watch has fired.
func (b *benched) whole(ctx context.Context) error {
	p, err := b.start(ctx, "keep", b.o.profile)
	if err != nil {
		return err
	}
	defer p.end()
	m, wall, err := p.applied(ctx)
	if err != nil {
		return err
	}
	b.add(rowWall, wall)
	b.add(rowCPU, m["process_cpu_seconds_total"]/float64(b.o.events)*1e6)
	b.add(rowMemory, p.peak()/(1<<20))
	return p.stop()
}

// applied waits until every event is applied and every watch has fired. It returns what the process says then, and the events applied per
// second.
func (p *benchProcess) applied(ctx context.Context) (m sample, rate float64, err error) {
	var first time.Time
	before, load := 0.0, p.b.load
	m, err = p.until(ctx, 100*time.Millisecond, func(m sample) bool {
		if n := m["tripline_processor_records_total"]; n > 0 && first.IsZero() {
			first, before = time.Now(), n
		} else if n >= float64(load.made) && rate == 0 {
			rate = (n - before) / time.Since(first).Seconds()
		}
		return rate > 0 && m["tripline_processor_triggers_total"] >= float64(load.fired)
	})
	fmt.Fprintf(p.b.progress, "  %.1f s of CPU, %.0f triggers, %.0f cycles, %.0f MiB\n", m["process_cpu_seconds_total"],
		m["tripline_processor_triggers_total"], m["tripline_lane_cycles_total"], p.peak()/(1<<20))
	return m, rate, err
}

// restart measures a start on a warm disk, with records waiting, until the first of them is committed.
func (b *benched) restart(ctx context.Context) error {
	n := max(1000, b.o.events/100)
	b.load.tail(n)
	if err := b.load.produce(ctx, b.client, n); err != nil {
		return err
	}
	began := time.Now()
	p, err := b.start(ctx, "keep", "")
	if err != nil {
		return err
	}
	defer p.end()
	if _, err := p.until(ctx, 10*time.Millisecond, moving); err != nil {
		return err
	}
	b.add(rowRestart, time.Since(began).Seconds())
	if err := p.drained(ctx); err != nil {
		return err
	}
	return p.stop()
}

func moving(m sample) bool { return m["tripline_processor_records_total"] > 0 }

// kill measures from a SIGKILL under load to the first record that the next process has committed.
func (b *benched) kill(ctx context.Context) error {
	n := max(5000, b.o.events/5)
	b.load.tail(n)
	if err := b.load.produce(ctx, b.client, n); err != nil {
		return err
	}
	p, err := b.start(ctx, "keep", "")
	if err != nil {
		return err
	}
	defer p.end()
	if _, err := p.until(ctx, 10*time.Millisecond, func(m sample) bool { return m["tripline_processor_records_total"] > float64(n/4) }); err != nil {
		return err
	}
	began := time.Now()
	p.end()
	next, err := b.start(ctx, "leave", "")
	if err != nil {
		return err
	}
	defer next.end()
	m, err := next.until(ctx, 10*time.Millisecond, moving)
	if err != nil {
		return err
	}
	b.add(rowKill, time.Since(began).Seconds())
	b.add(rowWiped, m["tripline_lane_wipes_total"])
	if err := next.drained(ctx); err != nil {
		return err
	}
	return next.stop()
}

// restore measures how the changelog comes back to an empty folder.
func (b *benched) restore(ctx context.Context) error {
	if !slices.Contains(b.o.stages, "kill") { // which leaves the group
		return errors.New("the stage kill must come before it")
	}
	if err := os.RemoveAll(filepath.Join(b.dir, "state")); err != nil {
		return err
	}
	profile := b.o.profile
	if profile != "" {
		profile = filepath.Join(profile, "restore")
	}
	p, err := b.start(ctx, "keep", profile)
	if err != nil {
		return err
	}
	defer p.end()
	var began time.Time
	rows, err := p.restored(ctx, &began)
	if err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	b.add(rowRestore, rows/took)
	m, err := p.sample()
	if err != nil {
		return err
	}
	fmt.Fprintf(b.progress, "  restored %.0f rows in %.2f s, %.1f s of CPU since the start\n", rows, took, m["process_cpu_seconds_total"])
	return p.stop()
}

// drop removes the run's topics, so that the next one has the disk to itself.
func (b *benched) drop(ctx context.Context) error {
	g := b.group
	_, err := kadm.NewClient(b.client).DeleteTopics(ctx, g+"-events", g+"-triggers", g+"-decisions", g+"-deliveries", g+"-dead", g+"-processor-changelog")
	return err
}

// verify counts the committed triggers: what was measured must also be right.
func (b *benched) verify(ctx context.Context) error {
	got, err := countCommitted(ctx, b.brokers, b.group+"-triggers")
	if err != nil {
		return err
	}
	if want := b.load.due(); got != want {
		return fmt.Errorf("%s, %s: %d triggers committed, %d expected", b.broker, b.kind, got, want)
	}
	fmt.Fprintf(b.progress, "  %d triggers, as expected\n", got)
	return nil
}

func (b *benched) add(row benchRow, measured float64) { b.t.add(row, b.broker, b.kind, measured) }

// countCommitted reads a topic to its committed end.
func countCommitted(ctx context.Context, brokers []string, topic string) (n int, err error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return 0, err
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListCommittedOffsets(ctx, topic)
	if err != nil {
		return 0, err
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return 0, err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() && len(r.Value) > 0 {
				n++
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return n, nil
}
