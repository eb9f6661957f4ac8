//go:build synctests

package sink

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/sink/delivery"
	"github.com/tripline/tripline/sink/policy"
)

const partitions = 2

// world is a broker and receivers, in a bubble of fake time.
type world struct {
	t         *testing.T
	cluster   *kfake.Cluster
	network   kfake.VirtualNetwork
	client    *kgo.Client
	receivers []*receiver
}

func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t}
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(w.network.Listen),
			kfake.SeedTopics(partitions, "triggers", "deliveries", "dead-letters"), kfake.GroupMinSessionTimeout(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		w.cluster = cluster
		if w.client, err = kgo.NewClient(w.options(w.network.DialContext)...); err != nil {
			t.Fatal(err)
		}
		test(t, w)
		time.Sleep(time.Minute) // for handlers that sleep
		for _, r := range w.receivers {
			r.server.Close()
		}
		w.client.Close()
		cluster.Close()
	})
}

func (w *world) options(dial func(context.Context, string, string) (net.Conn, error)) []kgo.Opt {
	return []kgo.Opt{kgo.SeedBrokers("localhost:9092"), kgo.Dialer(dial), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil))}
}

// got is a request as a receiver got it.
type got struct {
	id, path, body string
	header         http.Header
	at             time.Time
}

// receiver is a server at http://NAME.example:PORT.
type receiver struct {
	name   string
	port   int
	server *http.Server

	mu     sync.Mutex
	all    []got
	answer func(n int, g got, w http.ResponseWriter) // n counts the requests with that id, from 1
}

// receive starts a receiver.
func (w *world) receive(name string, answer func(n int, g got, w http.ResponseWriter)) *receiver {
	w.t.Helper()
	r := &receiver{name: name, port: 8001 + len(w.receivers), answer: answer}
	w.receivers = append(w.receivers, r)
	listener, err := w.network.Listen("tcp", fmt.Sprintf("localhost:%d", r.port))
	if err != nil {
		w.t.Fatal(err)
	}
	r.server = &http.Server{Handler: r}
	go r.server.Serve(listener)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	g := got{id: req.Header.Get("webhook-id"), path: req.URL.Path, body: string(body), header: req.Header, at: time.Now()}
	r.mu.Lock()
	r.all = append(r.all, g)
	n := 0
	for _, other := range r.all {
		if other.id == g.id {
			n++
		}
	}
	answer := r.answer
	r.mu.Unlock()
	if answer != nil {
		answer(n, g, w)
	}
}

func (r *receiver) requests() []got {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

func (r *receiver) change(answer func(n int, g got, w http.ResponseWriter)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// endpoint calls the receiver.
func (r *receiver) endpoint() Endpoint {
	return Endpoint{Name: r.name, URL: fmt.Sprintf("http://%s.example:%d/hook", r.name, r.port), AllowPrivate: true,
		Retry: policy.Backoff{Schedule: []int64{5_000, 60_000, 600_000}}}
}

func status(code int) func(int, got, http.ResponseWriter) {
	return func(_ int, _ got, w http.ResponseWriter) { w.WriteHeader(code) }
}

// delivers is a campaign that delivers to endpoints.
func delivers(name string, to ...campaign.Delivery) campaign.Definition {
	return campaign.Definition{Name: name, Deliver: to}
}

func to(r *receiver) campaign.Delivery { return campaign.Delivery{Endpoint: r.name} }

func (w *world) plan(endpoints []Endpoint, campaigns ...campaign.Definition) *Plan {
	w.t.Helper()
	plan, problems := Compile(endpoints, campaigns)
	if problems != nil {
		w.t.Fatal(problems)
	}
	return plan
}

// simple is a plan with one campaign "c" that delivers to each of the receivers.
func (w *world) simple(receivers ...*receiver) *Plan {
	var endpoints []Endpoint
	d := delivers("c")
	for _, r := range receivers {
		endpoints = append(endpoints, r.endpoint())
		d.Deliver = append(d.Deliver, to(r))
	}
	return w.plan(endpoints, d)
}

// trigger is a trigger's record.
func trigger(id, user, endpoint string) *kgo.Record {
	now := time.Now().UnixMilli()
	t := record.Trigger{ID: id, Campaign: "c", Version: "v1", User: user, Time: now, Endpoint: endpoint}
	return &kgo.Record{Topic: "triggers", Key: []byte(user), Value: t.Append(nil, now)}
}

// padded is a trigger whose profile has so many bytes more.
func padded(id, user, endpoint string, bytes int) *kgo.Record {
	r := trigger(id, user, endpoint)
	r.Value = []byte(strings.Replace(string(r.Value), `"profile":{}`, `"profile":{"pad":"`+strings.Repeat("x", bytes)+`"}`, 1))
	return r
}

func (w *world) send(records ...*kgo.Record) {
	w.t.Helper()
	if err := w.client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// read returns the committed records of a topic.
func (w *world) read(topic string) (records []*kgo.Record) {
	w.t.Helper()
	admin := kadm.NewClient(w.client)
	ends, err := admin.ListCommittedOffsets(context.Background(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	starts := map[int32]kgo.Offset{}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		starts[o.Partition] = kgo.NewOffset().AtStart()
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	reader, err := kgo.NewClient(append(w.options(w.network.DialContext), kgo.KeepControlRecords(), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(100*time.Millisecond), // a broker that holds the fetch up must not look like a sink that does
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: starts}))...)
	if err != nil {
		w.t.Fatal(err)
	}
	defer reader.Close()
	for len(left) > 0 {
		fetches := reader.PollFetches(context.Background())
		if err := fetches.Err(); err != nil {
			w.t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				records = append(records, r)
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return records
}

// deliveries are the records of `deliveries`, by trigger, each trigger's in their order.
func (w *world) deliveries() map[string][]delivery.Record {
	w.t.Helper()
	all := map[string][]delivery.Record{}
	for _, r := range w.read("deliveries") {
		d, err := delivery.Parse(r.Value)
		if err != nil {
			w.t.Fatal(err)
		}
		if string(r.Key) != d.User {
			w.t.Errorf("a record of %s under the key %s", d.User, r.Key)
		}
		all[d.TriggerID] = append(all[d.TriggerID], d)
	}
	return all
}

// short is a delivery's records in one line: attempt, outcome, reason or status of each.
func short(records []delivery.Record) string {
	text := ""
	for _, r := range records {
		if text != "" {
			text += ", "
		}
		if r.Replay > 0 {
			text += fmt.Sprintf("replay %d: ", r.Replay)
		}
		text += fmt.Sprintf("%d %s", r.Attempt, r.Outcome)
		switch {
		case r.Status != 0:
			text += fmt.Sprint(" ", r.Status)
		case r.Reason != "":
			text += " " + r.Reason
		}
	}
	return text
}

// until waits until something holds, for at most an hour of the bubble's time. The longer it waits the more seldom it
// looks, for a look may read whole topics.
func (w *world) until(what string, holds func() bool) {
	w.t.Helper()
	for began := time.Now(); time.Since(began) < time.Hour; {
		if holds() {
			return
		}
		time.Sleep(max(100*time.Millisecond, time.Since(began)/20))
	}
	w.t.Fatalf("%s: not within an hour", what)
}

// expect waits until a trigger's deliveries are as described, and checks that they stay so.
func (w *world) expect(id, want string) {
	w.t.Helper()
	last := ""
	for tries := range 500 {
		if last = short(w.deliveries()[id]); last == want {
			time.Sleep(time.Second)
			if last = short(w.deliveries()[id]); last == want {
				return
			}
		}
		time.Sleep(time.Second + time.Duration(max(0, tries-60))*time.Second)
	}
	w.t.Errorf("%s: %s, want %s", id, last, want)
}
