//go:build synctests

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tripline/tripline/config"
	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/twin"
	"github.com/tripline/tripline/sink"
	"github.com/tripline/tripline/sink/policy"
)

const (
	chaosPartitions = 4
	chaosUsers      = 14
)

// crowd is what a seed says of campaigns and users.
type crowd struct {
	rules twin.Rules
	set   *campaign.Set
	defs  []campaign.Definition
	text  string // of the campaign file
	load  []twinned
}

// twinned is an input of one user.
type twinned struct {
	user string
	twin.Input
}

func newCrowd(t *testing.T, seed uint64) *crowd {
	cases := twin.Crowd(seed, chaosUsers)
	c := &crowd{rules: cases[0].Rules}
	for i, one := range cases[0].Campaigns {
		if i > 0 {
			c.text += "\n---\n"
		}
		c.text += strings.Replace(one.YAML(), "endpoint: e}", fmt.Sprintf("endpoint: %c}", 'a'+i%3), 1)
	}
	file := filepath.Join(t.TempDir(), "campaigns.yaml")
	if err := os.WriteFile(file, []byte(c.text), 0o644); err != nil {
		t.Fatal(err)
	}
	defs, _, problems := config.CompileFiles([]string{file}, nil, config.Checks{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	zone, _ := calendar.LoadZone(cmp.Or(c.rules.Zone, "UTC"))
	c.defs = defs
	c.set, _ = campaign.Compile(campaign.Rules{Zone: zone, TimezoneProperty: "timezone", AllowedLateness: c.rules.AllowedLateness,
		MaxFuture: c.rules.MaxFuture, Settle: c.rules.Settle, MaxAge: 400 * 24 * 3600_000, NotInAudience: true}, defs)
	for _, one := range cases {
		for _, in := range one.Inputs {
			c.load = append(c.load, twinned{one.Rules.User, in})
		}
	}
	slices.SortStableFunc(c.load, func(a, b twinned) int { return cmp.Compare(a.Arrival, b.Arrival) })
	return c
}

// record is an input as Kafka has it. Who stamps it is the broker.
func (in *twinned) record() *kgo.Record {
	r := &kgo.Record{Topic: "events", Key: []byte(in.user)}
	fields := map[string]any{"event": in.Name, "time": in.Time, "properties": in.Properties}
	switch in.Kind {
	case "erase":
		r.Topic = "profiles"
		return r
	case "profile":
		r.Topic = "profiles"
		fields = map[string]any{"properties": in.Profile}
	default:
		if in.ID != "" {
			fields["id"] = in.ID
		}
		if in.Profile != nil {
			fields["profile"] = in.Profile
		}
	}
	r.Value, _ = json.Marshal(fields) // scalars of JSON's own kinds
	return r
}

// chaos is one seed's world in its bubble.
type chaos struct {
	t       *testing.T
	rng     *rand.Rand
	crowd   *crowd
	network kfake.VirtualNetwork
	cluster *kfake.Cluster
	client  *kgo.Client
	plan    *sink.Plan
	hooks   []*hook
	members []*member
	calm    atomic.Bool // faults have ended
	copies  int         // warm ones of each lane
	told    []string
	course  *course

	strangers sync.WaitGroup // foreign producers
}

func newChaos(t *testing.T, seed uint64, c *crowd, course *course) *chaos {
	w := &chaos{t: t, crowd: c, course: course, copies: int(seed % 2), rng: rand.New(rand.NewPCG(seed, 31))}
	time.Sleep(time.Until(time.UnixMilli(c.load[0].Arrival)) - 10*time.Second) // bubbles begin in the year 2000
	var err error
	if w.cluster, err = kfake.NewCluster(kfake.NumBrokers(3), kfake.Ports(9092, 9093, 9094), kfake.ListenFn(w.network.Listen),
		kfake.GroupMinSessionTimeout(time.Second)); err != nil {
		t.Fatal(err)
	}
	stamping(w.cluster)
	w.cluster.Control(func(request kmsg.Request) (kmsg.Response, error, bool) {
		course.requested(w.cluster.CurrentNode(), request)
		return nil, nil, false
	})
	for _, topic := range []string{"events", "profiles", "triggers", "decisions", "deliveries", "dead-letters"} {
		stamps := map[string]string{}
		if topic == "events" || topic == "profiles" {
			stamps["message.timestamp.type"] = "LogAppendTime"
		}
		if err := w.cluster.CreateTopic(topic, chaosPartitions, stamps); err != nil {
			t.Fatal(err)
		}
	}
	if w.client, err = kgo.NewClient(w.options(w.network.DialContext)...); err != nil {
		t.Fatal(err)
	}
	// A client that was refused an id once is of no use any more, and this one has to outlive the faults.
	if _, _, err := w.client.ProducerID(context.Background()); err != nil {
		t.Fatal(err)
	}
	var endpoints []sink.Endpoint
	for i, name := range []string{"a", "b", "c"} {
		w.hooks = append(w.hooks, w.listen(8001+i, seed))
		batch := sink.Batch{}
		if name == "c" {
			batch = sink.Batch{Max: 4, Linger: 300}
		}
		endpoints = append(endpoints, sink.Endpoint{Name: name, Batch: batch, URL: fmt.Sprintf("http://%s.example:%d/hook", name, 8001+i), AllowPrivate: true,
			Timeout: 5_000, MaxInFlight: 4, InOrder: name == "b", Retry: policy.Backoff{Schedule: []int64{1_000, 3_000, 9_000, 27_000}, Quick: 2, Jitter: 0.2}})
	}
	plan, problems := sink.Compile(endpoints, c.defs)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	w.plan = plan
	for i := range 5 {
		m := &member{w: w, name: fmt.Sprint("processor ", i+1), sink: i >= 3}
		if m.sink {
			m.name = fmt.Sprint("sink ", i-2)
		}
		w.members = append(w.members, m)
		m.start(nil)
	}
	return w
}

func (w *chaos) options(dial func(context.Context, string, string) (net.Conn, error)) []kgo.Opt {
	slowly := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return far{conn}, err
	}
	return []kgo.Opt{kgo.SeedBrokers("localhost:9092", "localhost:9093", "localhost:9094"), kgo.Dialer(slowly),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerLinger(0), kgo.MetadataMinAge(100 * time.Millisecond)}
}

// tell notes what happened when, for who has to find out why a seed failed.
func (w *chaos) tell(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	w.course.note("%s", what)
	w.told = append(w.told, time.Now().UTC().Format("15:04:05.000 ")+what)
}

// run sends the load while faults happen, and returns when both have ended.
func (w *chaos) run() {
	fault := time.Now().Add(5 * time.Second)
	for i := range w.crowd.load {
		in := &w.crowd.load[i]
		for time.Until(time.UnixMilli(in.Arrival)) > 0 {
			time.Sleep(min(time.Until(fault), time.Until(time.UnixMilli(in.Arrival))))
			if !time.Now().Before(fault) {
				w.fault()
				fault = time.Now().Add(time.Duration(500+w.rng.IntN(6_000)) * time.Millisecond)
			}
		}
		w.send(in.record())
		if w.rng.IntN(40) == 0 {
			w.send(&kgo.Record{Topic: "events", Key: []byte(in.user), Value: []byte(`{"event":`)})
		}
	}
}

// send appends a record and waits for it. A topic of its own moment each: what two topics of one partition number got in
// the same millisecond has no order.
func (w *chaos) send(r *kgo.Record) {
	w.t.Helper()
	for tries := 0; ; tries++ {
		again := *r
		err := w.client.ProduceSync(context.Background(), &again).FirstErr()
		if err == nil {
			break
		}
		if tries == 50 {
			w.t.Fatal(err)
		}
	}
	time.Sleep(time.Millisecond)
}

func (w *chaos) close() {
	for _, m := range w.members {
		m.stop()
	}
	time.Sleep(time.Minute) // for receivers that hang
	for _, h := range w.hooks {
		h.server.Close()
	}
	w.client.Close()
	w.cluster.Close()
	if w.t.Failed() {
		w.t.Logf("what happened:\n  %s", strings.Join(w.told, "\n  "))
	}
}
