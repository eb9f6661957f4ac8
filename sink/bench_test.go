package sink

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/state"
	"github.com/tripline/tripline/state/lane"
)

// BenchmarkDeliver is the way of a trigger from its topic to a receiver on the same machine and to its record in `deliveries`,
// with a broker in the same process: as triggers come, and when all of them are there at once, so that most wait in state.
func BenchmarkDeliver(b *testing.B) {
	b.Run("steady", func(b *testing.B) { deliver(b, 2000) })
	b.Run("backlog", func(b *testing.B) { deliver(b, b.N) })
}

// deliver has at most so many triggers on their way.
func deliver(b *testing.B, ahead int) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, "triggers", "deliveries", "dead-letters"))
	if err != nil {
		b.Fatal(err)
	}
	defer cluster.Close()
	var received atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		received.Add(1)
	}))
	defer server.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	produce := func(from, to int) {
		for i := from; i < to; i++ {
			now := time.Now().UnixMilli()
			t := record.Trigger{ID: fmt.Sprintf("trg_%d", i), Campaign: "c", Version: "v1", User: fmt.Sprint(i % 1000), Time: now, Endpoint: "ops"}
			client.Produce(context.Background(), &kgo.Record{Topic: "triggers", Key: []byte(t.User), Value: t.Append(nil, now)}, nil)
		}
	}
	sent := min(b.N, ahead)
	produce(0, sent)
	if err := client.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
	plan, problems := Compile([]Endpoint{{Name: "ops", URL: server.URL + "/hook", AllowPrivate: true}},
		[]campaign.Definition{{Name: "c", Deliver: []campaign.Delivery{{Endpoint: "ops"}}}})
	if problems != nil {
		b.Fatal(problems)
	}
	store, err := state.Open(state.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	s, err := New(Config{Group: "g", Triggers: "triggers", Deliveries: "deliveries", DeadLetters: "dead-letters",
		Lane: lane.Config{Client: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}, Store: store}}, plan)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	for received.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	before := cpu(b)
	b.ResetTimer()
	for received.Load() < int64(b.N) {
		if more := min(b.N, int(received.Load())+ahead); more-sent >= 100 || more == b.N && more > sent {
			produce(sent, more)
			sent = more
		} else {
			time.Sleep(time.Millisecond)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
	b.ReportMetric((cpu(b)-before).Seconds()*1e6/float64(b.N), "cpu-s/M")
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

// cpu is what the process has used, receiver and broker included.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
