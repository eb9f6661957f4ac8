//go:build synctests

package lane

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// refusal runs a group that must not start, and returns its error.
func (w *bubble) refusal(change ...func(*process, *Config)) error {
	w.t.Helper()
	p := w.launch(vfs.NewCrashableMem(), change...)
	select {
	case err := <-p.ended:
		p.ended <- err
	case <-time.After(time.Minute):
		w.t.Error("it runs")
	}
	return p.stop()
}

func TestTopicsAreChecked(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *bubble) {
		if err := w.cluster.CreateTopic("five", 5, nil); err != nil {
			t.Fatal(err)
		}
		for text, topics := range map[string][]string{
			"missing topics: none, nope; `tripline topics create` makes them":                {"in", "none", "nope"},
			"input topics must have the same number of partitions, but five has 5, in has 3": {"in", "five"},
		} {
			err := w.refusal(func(_ *process, cfg *Config) { cfg.Topics = topics })
			var refused *TopicsError
			if !errors.As(err, &refused) || !strings.HasPrefix(err.Error(), text) {
				t.Errorf("%v, expected %s", err, text)
			}
		}
		w.launch(vfs.NewCrashableMem()).mustStop()
		// A changelog that deletes would lose state.
		if err := w.cluster.CreateTopic("deletes", 3, nil); err != nil {
			t.Fatal(err)
		}
		err := w.refusal(func(_ *process, cfg *Config) { cfg.Changelog = "deletes" })
		if err == nil || !strings.Contains(err.Error(), "topic deletes has cleanup.policy=delete") {
			t.Error(err)
		}
	})
}

func TestInputThatGrew(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *bubble) {
		p := w.launch(vfs.NewCrashableMem())
		p.lanes(3)
		req := kmsg.NewPtrCreatePartitionsRequest()
		topic := kmsg.NewCreatePartitionsRequestTopic()
		topic.Topic, topic.Count = "in", 4
		req.Topics = append(req.Topics, topic)
		if _, err := req.RequestWith(context.Background(), w.client); err != nil {
			t.Fatal(err)
		}
		err := <-p.ended // without a restart
		p.ended <- err
		var refused *TopicsError
		if !errors.As(err, &refused) || refused.Recorded != 3 || refused.Counts["in"] != 4 {
			t.Error(err)
		}
		p.stop()
		if err := w.refusal(); !errors.As(err, &refused) || !strings.Contains(err.Error(), "had 3 partitions when the state was made, and now in has 4") {
			t.Error(err)
		}
	})
}

func TestLanesThatChanged(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *bubble) {
		w.send(1, users...)
		p := w.launch(vfs.NewCrashableMem())
		w.settle()
		p.mustStop()
		err := w.refusal(func(_ *process, cfg *Config) { cfg.Lanes = 2 })
		var refused *LanesError
		if !errors.As(err, &refused) || refused.Recorded != 4 || refused.Configured != 2 {
			t.Error(err)
		}
	})
}

func TestUnreachable(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *bubble) {
		began := time.Now()
		err := w.refusal(func(p *process, _ *Config) { p.wire.cut() })
		var unreachable *UnreachableError
		if !errors.As(err, &unreachable) || !strings.Contains(err.Error(), "localhost:9092") {
			t.Error(err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %s to say so", took)
		}
	})
}

// One broker of several that goes away during the start is waited for.
func TestBrokerAwayAtTheStart(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.Metadata, kmsg.CreateTopics, kmsg.DescribeConfigs} {
		inWorld(t, 1, func(t *testing.T, w *bubble) {
			w.send(1, users...)
			p := w.launch(vfs.NewCrashableMem(), func(*process, *Config) {
				w.cluster.ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) { // past the first look
					w.cluster.DropControl()
					w.times(key, 12, func() (error, bool) { return errors.New("cut"), true })
					return nil, nil, false
				})
			})
			p.lanes(1)
			w.settle()
			p.mustStop()
		})
	}
}

func TestStart(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *bubble) {
		w.send(1, "old", "older")
		time.Sleep(time.Hour)
		at := time.Now().Format(time.RFC3339)
		w.send(1, "new")
		for start, expected := range map[string]map[string]int{
			"earliest": {"old": 1, "older": 1, "new": 1, "late": 1},
			at:         {"new": 1, "late": 1},
			"latest":   {"late": 1},
			time.Now().Add(time.Hour).Format(time.RFC3339): {"late": 1},
		} {
			name := strings.ReplaceAll(start, ":", ".")
			changes := func(_ *process, cfg *Config) {
				cfg.Start, cfg.Group, cfg.Changelog = start, "g-"+name, "g-"+name+"-changelog"
			}
			p := w.launch(vfs.NewCrashableMem(), changes)
			p.lanes(1)
			// What it began with holds, although no cycle was committed since.
			disk := p.crash()
			delete(expected, "late")
			time.Sleep(time.Second)
			p = w.launch(disk, changes)
			p.lanes(1)
			time.Sleep(5 * time.Second)
			if got := p.counts()[0]; !maps.Equal(got, expected) {
				t.Errorf("from %s: %v, expected %v", start, got, expected)
			}
			p.mustStop()
		}
	})
}

func TestGap(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *bubble) {
		w.send(5, users...)
		p := w.launch(vfs.NewCrashableMem())
		w.settle()
		p.mustStop()
		_, before := w.expected()
		w.send(5, users...)
		in := w.cluster.PartitionInfo("in", 1)
		if err := w.cluster.DeleteRecords("in", 1, in.HighWatermark-3); err != nil {
			t.Fatal(err)
		}
		p = w.launch(p.disk)
		if lanes := p.lanes(1); lanes[0] != 0 {
			t.Errorf("lanes %v run", lanes)
		}
		stopped := p.group.Status()[1]
		var gap *GapError
		if !errors.As(stopped.Err, &gap) || gap.First != in.HighWatermark-3 || gap.Partition != 1 {
			t.Errorf("%+v", stopped)
		}
		_, after := w.expected()
		time.Sleep(5 * time.Second)
		if got := p.counts(); !reflect.DeepEqual(got[0], after[0]) || !reflect.DeepEqual(got[1], before[1]) {
			t.Errorf("state %v, expected %v in 0 and %v in 1", got, after[0], before[1])
		}
		p.mustStop()

		p = w.launch(p.disk, func(_ *process, cfg *Config) { cfg.OnGapSkip = true })
		p.lanes(2)
		time.Sleep(5 * time.Second)
		sum := 0
		for user, n := range p.counts()[1] {
			sum += n - before[1][user]
		}
		if sum != 3 {
			t.Errorf("%d records applied behind the gap, expected 3", sum)
		}
		p.mustStop()
	})
}

// TestRecreatedInput makes the input anew with as many records as it had: the positions fit, and belong to another topic.
func TestRecreatedInput(t *testing.T) {
	for _, skip := range []bool{false, true} {
		inWorld(t, 1, func(t *testing.T, w *bubble) {
			w.send(5, users...)
			p := w.launch(vfs.NewCrashableMem())
			w.settle()
			p.mustStop()
			before := p.disk
			if err := w.cluster.DeleteTopic(w.in); err != nil {
				t.Fatal(err)
			}
			if err := w.cluster.CreateTopic(w.in, 1, nil); err != nil {
				t.Fatal(err)
			}
			w.client.Close() // it knows the topic that is gone
			client, err := kgo.NewClient(w.options(w.dial)...)
			if err != nil {
				t.Fatal(err)
			}
			w.client = client
			w.send(5, users...)
			p = w.launch(before, func(_ *process, cfg *Config) { cfg.OnGapSkip = skip })
			time.Sleep(10 * time.Second)
			status := p.group.Status()[0]
			var gap *GapError
			if stopped := errors.As(status.Err, &gap) && status.Phase == "stopped"; stopped == skip || stopped && !gap.Recreated {
				t.Errorf("skip %t: %+v", skip, status)
			}
			if n := p.counts()[0]["ann"]; skip && n != 10 || !skip && n != 5 {
				t.Errorf("skip %t: %d records of a user applied, 5 of each topic", skip, n)
			}
			p.mustStop()
		})
	}
}

// TestRestartMovesNothing restarts one of two members within its session, by hand
// and by SIGKILL.
func TestRestartMovesNothing(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *bubble) {
		w.send(5, users...)
		a := w.launch(vfs.NewCrashableMem())
		b := w.launch(vfs.NewCrashableMem(), func(_ *process, cfg *Config) { cfg.Address = "10.0.0.2:8080" })
		a.lanes(2)
		had := b.lanes(2)
		starts := maps.Clone(a.starts)
		for _, restart := range []func() *vfs.MemFS{
			func() *vfs.MemFS { b.mustStop(); return b.disk },
			func() *vfs.MemFS { return b.crash() },
		} {
			disk := restart()
			time.Sleep(3 * time.Second)
			b = w.launch(disk, func(_ *process, cfg *Config) { cfg.Address = "10.0.0.3:8080" })
			if has := b.lanes(2); !slices.Equal(had, has) {
				t.Errorf("lanes %v after the restart, %v before", has, had)
			}
			w.send(5, users...)
			w.settle()
		}
		if !maps.Equal(a.starts, starts) {
			t.Errorf("the other's lanes were started again: %v, before %v", a.starts, starts)
		}
		owners, err := Owners(context.Background(), w.client, w.group)
		if err != nil || len(owners) != 2 {
			t.Fatal(owners, err)
		}
		for _, owner := range owners {
			if owner.Instance == b.group.instance && (owner.Address != "10.0.0.3:8080" || !slices.Equal(owner.Lanes, had)) {
				t.Errorf("owner %+v", owner)
			}
		}
		a.mustStop()
		b.mustStop()
	})
}

// TestTwoTopicsInALane counts the records of both, and goes on from both positions
// after a restart. Then a third comes in, which begins at its start.
func TestTwoTopicsInALane(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *bubble) {
		for _, topic := range []string{"more", "most"} {
			if err := w.cluster.CreateTopic(topic, 2, nil); err != nil {
				t.Fatal(err)
			}
		}
		send := func(topic string) {
			if err := w.client.ProduceSync(context.Background(), &kgo.Record{Topic: topic, Key: []byte("ann")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		disk := vfs.NewCrashableMem()
		for i, topics := range [][]string{{"in", "more"}, {"in", "more"}, {"in", "more", "most"}} {
			p := w.launch(disk, func(_ *process, cfg *Config) { cfg.Topics = topics })
			p.lanes(2)
			send("in")
			send("more")
			send("most")
			time.Sleep(3 * time.Second)
			expected := []int{2, 4, 6 + 3}[i]
			if n := p.counts()[w.partitionOf("ann")]["ann"]; n != expected {
				t.Errorf("%d counted over %v, expected %d", n, topics, expected)
			}
			p.mustStop()
		}
	})
}
