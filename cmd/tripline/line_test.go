package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/config"
	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/virtual"
)

// The end-to-end suite: real processes, real HTTP, and the broker that KAFKA_BROKERS names or an embedded one. What the
// processes committed is compared record for record with one pure run of the core over the input in offset order.

// TestMain lets the test binary stand in for the tripline command, so that processes can be killed for real.
func TestMain(m *testing.M) {
	if os.Getenv("TRIPLINE_TEST_COMMAND") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// line is one test's topics, configuration and processes.
type line struct {
	t       *reasons
	dir     string
	brokers []string
	cfg     *loaded
	client  *kgo.Client
	group   string
	config  string // the text of tripline.yaml
}

const lineCampaigns = `
name: cart
trigger:
  inaction_within_time: {after: {event: Cart, where: 'event.amount >= 50'}, without: {event: Paid}, within: 3s, same: [cart]}
deliver: {endpoint: hook}
---
name: paid-big
trigger:
  single_action: {event: Paid, where: 'event.amount > 90'}
audience: 'count("Paid", "1d") >= 2'
reentry: {min_gap: 500ms}
deliver: {endpoint: hook}
---
name: view-and-cart
trigger:
  actions: {all: [{event: View, at_least: 2}, {event: Cart}], within: 10s}
deliver: {endpoint: hook}
`

func newLine(t *testing.T, partitions int, hook string) *line {
	t.Helper()
	l := &line{t: newReasons(t), dir: t.TempDir(), group: fmt.Sprintf("t%x", rand.Uint64())}
	if named := os.Getenv("KAFKA_BROKERS"); named != "" {
		l.brokers = strings.Split(named, ",")
	} else {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		l.brokers = cluster.ListenAddrs()
	}
	if hook == "" {
		hook = "http://127.0.0.1:9/hook"
	}
	quoted, _ := json.Marshal(l.brokers)
	g := l.group
	text := fmt.Sprintf(`kafka: {brokers: %s}
group: %s
topics: {events: [%s-events], profiles: %s-profiles, triggers: %s-triggers, decisions: %s-decisions, deliveries: %s-deliveries, dead_letters: %s-dead}
campaigns: [campaigns.yaml]
state: {dir: state}
session_timeout: 6s
http: {listen: "127.0.0.1:0"}
endpoints:
  - {name: hook, url: '%s', allow_private: true, breaker: none, retry: {schedule: [1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s], jitter: 0%%, quick: 0}}
`, quoted, g, g, g, g, g, g, g, hook)
	l.config = text
	l.write("tripline.yaml", text)
	l.write("campaigns.yaml", lineCampaigns)
	cfg, _, problems := config.Load(filepath.Join(l.dir, "tripline.yaml"), options())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	l.cfg = &loaded{Config: cfg}
	client, err := kgo.NewClient(kgo.SeedBrokers(l.brokers...), kgo.ProducerBatchCompression())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	l.client = client
	if err := createTopics(t.Context(), kadm.NewClient(client), l.cfg, int32(partitions), -1, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *line) write(name, text string) {
	if err := os.WriteFile(filepath.Join(l.dir, name), []byte(text), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

// process is a running tripline command.
type process struct {
	t      *reasons
	cmd    *exec.Cmd
	output *output
	ended  chan struct{}
}

// start runs a tripline command with its own state folder.
func (l *line) start(command, folder string) *process {
	l.t.Helper()
	file := filepath.Join(l.dir, "tripline-"+folder+".yaml")
	l.write(filepath.Base(file), strings.Replace(l.config, "dir: state", "dir: state-"+folder, 1))
	p := &process{t: l.t, cmd: exec.Command(os.Args[0], command, "--config", file), output: &output{}, ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "TRIPLINE_TEST_COMMAND=1")
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // killed processes end with an error
		close(p.ended)
	}()
	l.t.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		<-p.ended
		if l.t.Failed() {
			out := p.output.String()
			l.t.Logf("%s %s said:\n%s", command, folder, out[max(0, len(out)-4000):])
		}
	})
	return p
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) } // it may have ended

func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// stop ends the process as an operator would, and expects exit code 0.
func (p *process) stop() {
	p.t.Helper()
	p.stopBy(syscall.SIGTERM)
}

func (p *process) stopBy(s syscall.Signal) {
	p.t.Helper()
	p.signal(s)
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		p.signal(syscall.SIGQUIT) // it says where it stands
		<-p.ended
		p.t.Logf("%s", p.output)
		p.t.Fatalf("the process did not end after %v", s)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Fatalf("exit code %d after %v", code, s)
	}
}

// produce appends n random events of users, in order.
func (l *line) produce(rng *rand.Rand, n, users int) {
	l.t.Helper()
	records := make([]*kgo.Record, n)
	for i := range records {
		user := fmt.Sprintf("u-%d", rng.IntN(users))
		name := []string{"Cart", "Cart", "View", "View", "Paid"}[rng.IntN(5)]
		value := fmt.Sprintf(`{"event":%q,"properties":{"cart":"c%d","amount":%d}}`, name, rng.IntN(3), rng.IntN(120))
		if rng.IntN(500) == 0 {
			value = `{"event":` // a record that cannot be read
		}
		records[i] = &kgo.Record{Topic: l.cfg.Topics.Events[0], Key: []byte(user), Value: []byte(value)}
	}
	if err := l.client.ProduceSync(l.t.Context(), records...).FirstErr(); err != nil {
		l.t.Fatal(err)
	}
}

func (l *line) event(user, name, properties string) {
	l.t.Helper()
	r := &kgo.Record{Topic: l.cfg.Topics.Events[0], Key: []byte(user), Value: fmt.Appendf(nil, `{"event":%q,"properties":%s}`, name, properties)}
	if err := l.client.ProduceSync(l.t.Context(), r).FirstErr(); err != nil {
		l.t.Fatal(err)
	}
}

// read returns all committed records of a topic, each partition in order. Brokers that come and go may keep it waiting for a while.
func (l *line) read(topic string) []*kgo.Record {
	l.t.Helper()
	for began := time.Now(); ; time.Sleep(time.Second) {
		all, err := l.readOnce(topic)
		if err == nil {
			return all
		}
		if time.Since(began) > time.Minute {
			l.t.Fatalf("read %s: %v", topic, err)
		}
	}
}

func (l *line) readOnce(topic string) (all []*kgo.Record, err error) {
	ends, err := kadm.NewClient(l.client).ListCommittedOffsets(l.t.Context(), topic)
	if err != nil {
		return nil, err
	}
	if err := ends.Error(); err != nil {
		return nil, err
	}
	left := map[int32]int64{}
	at := map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
			at[o.Partition] = kgo.NewOffset().At(0)
		}
	})
	if len(left) == 0 {
		return nil, nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(l.brokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: at}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	for len(left) > 0 {
		ctx, cancel := context.WithTimeout(l.t.Context(), 10*time.Second)
		fetches := client.PollFetches(ctx)
		cancel()
		if err := fetches.Err0(); err != nil {
			return nil, fmt.Errorf("%w; still to read: %v", err, left)
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			for _, r := range p.Records {
				if r.Attrs.CompressionType() != 0 {
					l.t.Errorf("%s is compressed: not every client can read it", topic)
				}
				if !r.Attrs.IsControl() {
					all = append(all, r)
				}
				if r.Offset+1 >= left[r.Partition] {
					delete(left, r.Partition)
				}
			}
		})
	}
	return all, nil
}

// model is one pure run over the input in offset order, up to now.
func (l *line) model() (triggers, decisions []string) {
	l.t.Helper()
	_, set, problems := config.CompileFiles([]string{filepath.Join(l.dir, "campaigns.yaml")}, l.cfg.Config, config.Checks{})
	if len(problems) > 0 {
		l.t.Fatal(problems)
	}
	type part struct {
		line    *virtual.Line
		arrival int64
	}
	parts := map[int32]*part{}
	emit := func(out *campaign.Output) {
		for i := range out.Triggers {
			triggers = append(triggers, without(out.Triggers[i].Append(nil, 0), "emitted_at"))
		}
		for i := range out.Decisions {
			decisions = append(decisions, string(out.Decisions[i].Append(nil)))
		}
	}
	now := time.Now()
	for _, r := range l.read(l.cfg.Topics.Events[0]) {
		p := parts[r.Partition]
		if p == nil {
			p = &part{line: virtual.New(set, emit)}
			parts[r.Partition] = p
		}
		p.arrival = max(p.arrival, r.Timestamp.UnixMilli())
		if e, bad := (record.Envelope{}).Event(r.Key, r.Value, r.Timestamp.UnixMilli()); bad == nil {
			p.line.Event(&e, p.arrival)
		}
	}
	for _, p := range parts {
		p.line.Until(now.UnixMilli())
	}
	slices.Sort(triggers)
	slices.Sort(decisions)
	return triggers, decisions
}

// without is a JSON object with one field fewer, in a fixed form.
func without(text []byte, field string) string {
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		return string(text)
	}
	delete(m, field)
	out, _ := json.Marshal(m)
	return string(out)
}

func (l *line) committed() (triggers, decisions []string) {
	for _, r := range l.read(l.cfg.Topics.Triggers) {
		triggers = append(triggers, without(r.Value, "emitted_at"))
	}
	for _, r := range l.read(l.cfg.Topics.Decisions) {
		decisions = append(decisions, string(r.Value))
	}
	slices.Sort(triggers)
	slices.Sort(decisions)
	return triggers, decisions
}

// whole waits until what was committed is what the model says, and stays so.
func (l *line) whole() {
	l.t.Helper()
	var diff string
	for began := time.Now(); time.Since(began) < 90*time.Second; {
		gotT, gotD := l.committed()
		wantT, wantD := l.model()
		if diff = difference("triggers", wantT, gotT) + difference("decisions", wantD, gotD); diff == "" && len(wantT) > 0 {
			return
		}
		select {
		case <-l.t.Context().Done():
			return
		case <-time.After(300 * time.Millisecond):
		}
	}
	l.t.Fatalf("committed records are not those of the model:\n%s", diff)
}

func difference(what string, want, got []string) string {
	count := map[string]int{}
	for _, w := range want {
		count[w]++
	}
	for _, g := range got {
		count[g]--
	}
	var missing, extra []string
	for text, n := range count {
		for ; n > 0; n-- {
			missing = append(missing, text)
		}
		for ; n < 0; n++ {
			extra = append(extra, text)
		}
	}
	if len(missing)+len(extra) == 0 {
		return ""
	}
	show := func(list []string) string { return strings.Join(list[:min(3, len(list))], "\n    ") }
	return fmt.Sprintf("%s: %d wanted, %d got, %d missing, %d too many\n  missing\n    %s\n  too many\n    %s\n",
		what, len(want), len(got), len(missing), len(extra), show(missing), show(extra))
}
