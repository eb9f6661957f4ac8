//go:build synctests

package control

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

func TestRoundTrip(t *testing.T) {
	r := Record("topic", "ops", "410", "abc", "trg_1", 1795518840123)
	s, err := Parse(r)
	if want := (State{Endpoint: "ops", State: Disabled, Cause: "410", Print: "abc", Trigger: "trg_1", Time: "2026-11-24T11:14:00.123Z"}); err != nil || s != want {
		t.Errorf("%+v %v", s, err)
	}
	if s, err := Parse(&kgo.Record{Key: []byte("ops")}); err != nil || s.State == Disabled || s.Endpoint != "ops" {
		t.Errorf("%+v %v", s, err)
	}
	failing := State{Endpoint: "ops", State: Failing, Print: "abc", Time: "2026-11-24T11:14:00.123Z", Since: "2026-11-23T11:14:00.123Z", Warned: 50}
	if r := failing.Record("topic"); string(r.Key) == "ops" {
		t.Error("that an endpoint fails would hide its state")
	} else if s, err := Parse(r); err != nil || s != failing || s.Began() != 1795432440123 || s.At() != 1795518840123 {
		t.Errorf("%+v %v", s, err)
	}
	if _, err := Parse(&kgo.Record{Key: []byte("ops"), Value: []byte("{")}); err == nil {
		t.Error("half a record")
	}
}

// TestFollow holds that of what was there before only the newest of each endpoint is applied, before Ready, and then everything,
// also after the broker was away.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network kfake.VirtualNetwork
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(network.Listen), kfake.SeedTopics(1, "control"))
		if err != nil {
			t.Fatal(err)
		}
		opts := []kgo.Opt{kgo.SeedBrokers("localhost:9092"), kgo.Dialer(network.DialContext)}
		client, err := kgo.NewClient(opts...)
		if err != nil {
			t.Fatal(err)
		}
		send := func(r *kgo.Record) {
			if err := client.ProduceSync(context.Background(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		disabled := func(endpoint, cause string) *kgo.Record { return Record("control", endpoint, cause, "p", "", 0) }
		send(disabled("a", "1"))
		send(disabled("b", "2"))
		send(&kgo.Record{Topic: "control", Key: []byte("a")})
		send(&kgo.Record{Topic: "control", Key: []byte("c"), Value: []byte("not JSON")})

		var mu sync.Mutex
		var applied []string
		f := NewFollower("control", opts, zap.NewNop(), func(s State) {
			mu.Lock()
			defer mu.Unlock()
			applied = append(applied, fmt.Sprint(s.Endpoint, " ", s.State, " ", s.Cause))
		})
		take := func() []string {
			mu.Lock()
			defer mu.Unlock()
			all := applied
			applied = nil
			slices.Sort(all)
			return all
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.UnknownServerError, Count: 1})
		go func() { f.Run(ctx); close(ended) }()
		<-f.Ready()
		if got := take(); !slices.Equal(got, []string{"a active ", "b disabled 2"}) {
			t.Errorf("before Ready: %q", got)
		}
		send(disabled("c", "3"))
		send(&kgo.Record{Topic: "control", Key: []byte("b")})
		time.Sleep(2 * time.Second)
		if got := take(); !slices.Equal(got, []string{"b active ", "c disabled 3"}) {
			t.Errorf("after Ready: %q", got)
		}
		cancel()
		<-ended
		client.Close()
		cluster.Close()
	})
}

// TestFollowMakesTheTopic holds that a follower is ready where there is nothing to follow yet.
func TestFollowMakesTheTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network kfake.VirtualNetwork
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(network.Listen))
		if err != nil {
			t.Fatal(err)
		}
		opts := []kgo.Opt{kgo.SeedBrokers("localhost:9092"), kgo.Dialer(network.DialContext)}
		applied := make(chan State, 1)
		f := NewFollower("control", opts, zap.NewNop(), func(s State) { applied <- s })
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { f.Run(ctx); close(ended) }()
		<-f.Ready()
		if topic := cluster.TopicInfo("control"); topic == nil || *topic.Configs["cleanup.policy"] != "compact" {
			t.Errorf("%+v", topic)
		}
		client, err := kgo.NewClient(opts...)
		if err != nil {
			t.Fatal(err)
		}
		if err := client.ProduceSync(ctx, Record("control", "ops", "410", "p", "", 0)).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if s := <-applied; s.Endpoint != "ops" || s.State != Disabled {
			t.Errorf("%+v", s)
		}
		cancel()
		<-ended
		client.Close()
		cluster.Close()
	})
}
