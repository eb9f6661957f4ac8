package sink

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/sink/call"
	"github.com/tripline/tripline/sink/delivery"
	"github.com/tripline/tripline/sink/policy"
	"github.com/tripline/tripline/state"
	"github.com/tripline/tripline/state/lane"
)

// misdeed is what a hostile receiver does with its first two requests of each trigger; then it answers 204.
type misdeed struct {
	name   string
	accept func(c net.Conn) bool // before a request is read; true: none is
	answer func(c net.Conn)      // to a request
	tls    bool                  // by a certificate that nobody has signed
	method string
	header string // the name of a header to send

	unseen  bool   // the receiver sees nothing of what fails
	outcome string // of every delivery; "": delivered at the third attempt
	reason  string // of what fails
	status  int
}

const answered = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func write(texts ...string) func(net.Conn) {
	return func(c net.Conn) {
		for _, text := range texts {
			io.WriteString(c, text)
		}
	}
}

// drips a byte at a time, for ever.
func drip(first string) func(net.Conn) {
	return func(c net.Conn) {
		io.WriteString(c, first)
		for {
			if _, err := io.WriteString(c, "x"); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond) // it is what such receivers do
		}
	}
}

func flood(first, chunk string, times int) func(net.Conn) {
	return func(c net.Conn) {
		io.WriteString(c, first)
		for range times {
			if _, err := io.WriteString(c, chunk); err != nil {
				return
			}
		}
	}
}

// hang holds a connection until the other side lets go of it.
func hang(c net.Conn) { io.Copy(io.Discard, c) }

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
}

var misdeeds = []misdeed{
	{name: "hangs", answer: hang, reason: "timeout"},
	{name: "hangs-in-the-head", answer: func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nA: b\r\n"); hang(c) }, reason: "timeout"},
	{name: "hangs-at-once", accept: func(c net.Conn) bool { hang(c); return true }, unseen: true, reason: "timeout"},
	{name: "closes-at-once", accept: func(net.Conn) bool { return true }, unseen: true, reason: "closed"},
	{name: "closes", answer: func(net.Conn) {}, reason: "closed"},
	{name: "resets", answer: reset, reason: "closed"},
	{name: "closes-in-the-head", answer: write("HTTP/1.1 503 Oh\r\nX: y\r\n"), reason: "closed"},
	{name: "closes-a-get", answer: func(net.Conn) {}, method: "GET", reason: "closed"},
	{name: "closes-a-known-key", answer: func(net.Conn) {}, header: "Idempotency-Key", reason: "closed"},
	{name: "garbage", answer: write("\x00\xff\x16 not HTTP at all\r\n\r\n"), reason: "bad_response"},
	{name: "no-status", answer: write("HTTP/1.1 \r\n\r\n"), reason: "bad_response"},
	{name: "drips-the-head", answer: drip("HTTP/1.1 503 Oh\r\nX: "), reason: "timeout"},
	{name: "floods-1xx", answer: flood("", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 1_000_000), reason: "bad_response"},
	{name: "huge-head", answer: flood("HTTP/1.1 503 Oh\r\nX: ", strings.Repeat("x", 1<<20), 64), reason: "bad_response"},
	{name: "many-heads", answer: flood("HTTP/1.1 503 Oh\r\n", strings.Repeat("A: b\r\n", 10_000), 64), reason: "bad_response"},
	{name: "redirects", answer: write("HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/meta-data\r\nContent-Length: 0\r\n\r\n"), reason: "status", status: 302},
	{name: "switches", answer: func(c net.Conn) {
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nx")
		hang(c)
	}, reason: "status", status: 101},
	{name: "bad-tls", tls: true, unseen: true, outcome: "failed", reason: "tls"},
	{name: "lies-in-dns", tls: true, unseen: true, outcome: "failed", reason: "refused_address"},
	{name: "a-gibibyte", answer: flood("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n", strings.Repeat("x", 1<<20), 1024), outcome: "delivered"},
	{name: "drips-the-body", answer: drip("HTTP/1.1 200 OK\r\n\r\n"), outcome: "delivered"},
	{name: "half-a-body", answer: write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), outcome: "delivered"},
	{name: "a-body-too-long", answer: write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 Smuggled\r\n\r\n"), outcome: "delivered"},
}

// villain is a receiver that does a misdeed.
type villain struct {
	misdeed
	port string

	mu       sync.Mutex
	seen     map[string]int // requests by webhook-id
	accepted int
}

const requestsPerVillain = 3

// serve takes connections, one after the other or side by side, and answers any number of requests on each as long as it behaves.
func (v *villain) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		v.mu.Lock()
		v.accepted++
		bad := v.accept != nil && v.accepted <= 2*requestsPerVillain
		v.mu.Unlock()
		go func() {
			defer c.Close()
			if bad && v.accept(c) {
				return
			}
			for in := bufio.NewReader(c); v.one(c, in); {
			}
		}()
	}
}

// one reads a request and answers it. It reports whether another one may follow.
func (v *villain) one(c net.Conn, in *bufio.Reader) bool {
	req, err := http.ReadRequest(in)
	if err != nil {
		return false
	}
	io.Copy(io.Discard, req.Body)
	v.mu.Lock()
	id := req.Header.Get("webhook-id")
	v.seen[id]++
	bad := v.answer != nil && v.seen[id] <= 2
	v.mu.Unlock()
	if bad {
		v.answer(c)
		return v.status != 0 // it was a whole answer
	}
	_, err = io.WriteString(c, answered)
	return err == nil
}

func (v *villain) endpoint() Endpoint {
	e := Endpoint{Name: v.name, URL: "http://" + v.name + ".example:" + v.port + "/hook", Method: v.method, AllowPrivate: v.name != "lies-in-dns", Timeout: 10_000,
		Retry: policy.Backoff{Schedule: []int64{50, 50, 50, 50, 50}}}
	switch {
	case v.reason == policy.Timeout:
		e.Timeout = 1500
	case v.name == "drips-the-body":
		e.Timeout = 3000
	}
	if v.tls {
		e.URL = strings.Replace(e.URL, "http", "https", 1)
	}
	if v.header != "" {
		e.Headers = map[string]string{v.header: "{{ Trigger.id }}"}
	}
	return e
}

func newVillain(t *testing.T, m misdeed) *villain {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	v := &villain{misdeed: m, seen: map[string]int{}}
	if _, v.port, err = net.SplitHostPort(l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if m.tls {
		server := httptest.NewUnstartedServer(nil)
		server.StartTLS()
		server.Close()
		l = tls.NewListener(l, server.TLS)
	}
	go v.serve(l)
	return v
}

// TestHostileReceivers holds, over real sockets, that whatever receivers do: each trigger has exactly one final record, every request that a
// receiver saw is an attempt in a record, none is made in silence, nothing is followed to where it points, and the good endpoint's are
// delivered at their first attempts.
func TestHostileReceivers(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "triggers", "deliveries", "dead-letters"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var all []*villain
	var endpoints []Endpoint
	var campaigns []campaign.Definition
	var records []*kgo.Record
	for _, m := range append(misdeeds, misdeed{name: "good", outcome: "delivered"}) {
		v := newVillain(t, m)
		all, endpoints = append(all, v), append(endpoints, v.endpoint())
		campaigns = append(campaigns, campaign.Definition{Name: "c-" + m.name, Deliver: []campaign.Delivery{{Endpoint: m.name}}})
		for i := range requestsPerVillain {
			now := time.Now().UnixMilli()
			of := record.Trigger{ID: fmt.Sprintf("trg_%s_%d", m.name, i), Campaign: "c-" + m.name, Version: "v1", User: fmt.Sprint("u", i), Time: now, Endpoint: m.name}
			records = append(records, &kgo.Record{Topic: "triggers", Key: []byte(of.User), Value: of.Append(nil, now)})
		}
	}
	plan, problems := Compile(endpoints, campaigns)
	if problems != nil {
		t.Fatal(problems)
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	runHostile(t, cluster, plan)
	got := allDeliveries(t, client, len(records))
	for _, v := range all {
		for i := range requestsPerVillain {
			v.judge(t, got[fmt.Sprintf("trg_%s_%d", v.name, i)], fmt.Sprintf("trg_%s_%d", v.name, i))
		}
	}
}

// runHostile runs a sink until the test ends, on the machine's network but for names.
func runHostile(t *testing.T, cluster *kfake.Cluster, plan *Plan) {
	t.Helper()
	store, err := state.Open(state.Config{Dir: "state", FS: vfs.NewMem(), Memory: 32 << 20})
	if err != nil {
		t.Fatal(err)
	}
	lookup := func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	s, err := New(Config{Group: "g", Triggers: "triggers", Deliveries: "deliveries", DeadLetters: "dead-letters", Version: "test",
		Network: call.Network{Lookup: lookup, Roots: x509.NewCertPool()},
		Lane:    lane.Config{Client: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}, Store: store}}, plan)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		store.Close()
	})
}

// allDeliveries follows the topic until so many triggers have a final record, and to where it ends then.
func allDeliveries(t *testing.T, client *kgo.Client, triggers int) map[string][]delivery.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	reader, err := kgo.NewClient(kgo.SeedBrokers(client.OptValue(kgo.SeedBrokers).([]string)...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeTopics("deliveries"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	got, finals, next := map[string][]delivery.Record{}, 0, map[int32]int64{}
	poll := func() {
		fetches := reader.PollFetches(ctx)
		fetches.EachRecord(func(r *kgo.Record) {
			if next[r.Partition] = r.Offset + 1; r.Attrs.IsControl() {
				return
			}
			d, err := delivery.Parse(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			got[d.TriggerID] = append(got[d.TriggerID], d)
			if d.Final() {
				finals++
			}
		})
	}
	for finals < triggers && ctx.Err() == nil {
		poll()
	}
	ends, err := kadm.NewClient(client).ListCommittedOffsets(t.Context(), "deliveries")
	if err != nil {
		t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) {
		for next[o.Partition] < o.Offset && ctx.Err() == nil {
			poll()
		}
	})
	return got
}

func (v *villain) judge(t *testing.T, records []delivery.Record, id string) {
	t.Helper()
	v.mu.Lock()
	seen := v.seen[id]
	v.mu.Unlock()
	want, tries := v.outcome, len(records)
	if want == "" {
		want = "delivered"
	}
	if tries == 0 || records[tries-1].Outcome != want {
		t.Errorf("%s: %+v, want it %s", id, records, want)
		return
	}
	for i, r := range records {
		last := i == tries-1
		if r.Attempt != int64(i+1) || r.Final() != last || !r.Sent || !last && (r.Reason != v.reason || r.Status != int64(v.status)) || last && want == "failed" && r.Reason != v.reason {
			t.Errorf("%s: record %d is %+v", id, i+1, r)
		}
	}
	switch {
	case v.unseen && want == "failed" && seen != 0:
		t.Errorf("%s: the receiver saw %d requests that it must not see", id, seen)
	case !v.unseen && seen != tries:
		t.Errorf("%s: the receiver saw %d requests, the records tell of %d", id, seen, tries)
	case v.outcome == "delivered" && tries != 1:
		t.Errorf("%s: %d attempts; what follows the head does not count", id, tries)
	case v.outcome == "" && !v.unseen && (tries < 3 || tries > 3 && v.reason != policy.Timeout): // a busy machine may time out, too
		t.Errorf("%s: %d attempts, want 3", id, tries)
	}
}
