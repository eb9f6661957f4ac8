//go:build synctests

package lane

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// kinds are all the requests that a group sends; inWorld fails a test whose processes send another.
var kinds = []kmsg.Key{
	kmsg.ApiVersions, kmsg.Metadata, kmsg.FindCoordinator, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.OffsetFetch, kmsg.OffsetCommit,
	kmsg.InitProducerID, kmsg.Produce, kmsg.EndTxn, kmsg.Fetch, kmsg.ListOffsets, kmsg.CreateTopics, kmsg.DescribeConfigs, kmsg.DescribeProducers,
	kmsg.OffsetForLeaderEpoch, // where a leader has moved
	kmsg.LeaveGroup,           // with on_stop: leave
	kmsg.AddPartitionsToTxn,   // to brokers before 4.0
}

// manner is one way in which a request may fail, for a few requests in a row. It
// tells how many have met it.
type manner struct {
	name string
	meet func(w *bubble, p *process, key kmsg.Key) (hits func() int)
}

var manners = []manner{
	{"no answer", func(w *bubble, _ *process, key kmsg.Key) func() int {
		return w.times(key, 2, func() (error, bool) { return nil, true })
	}},
	{"cut before", func(w *bubble, _ *process, key kmsg.Key) func() int {
		return w.times(key, 3, func() (error, bool) { return errors.New("cut"), true })
	}},
	{"cut after", func(w *bubble, p *process, key kmsg.Key) func() int {
		return w.times(key, 3, func() (error, bool) { p.wire.drop(); return nil, false })
	}},
	{"refused", answered(kerr.UnknownServerError)},
	{"coordinator moved", answered(kerr.NotCoordinator)},
	{"leader moved", answered(kerr.NotLeaderForPartition)},
	{"applied, answered with an error", answered(kerr.RequestTimedOut)},
}

// answered is the manner of requests that are answered with an error.
func answered(with *kerr.Error) func(*bubble, *process, kmsg.Key) func() int {
	return func(w *bubble, _ *process, key kmsg.Key) func() int {
		return w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: with, Count: 3}).Hits
	}
}

// times lets the next n requests of a kind meet what do says: an error cuts the
// connection, no error and handled leaves them without an answer.
func (w *bubble) times(key kmsg.Key, n int, do func() (err error, handled bool)) (hits func() int) {
	var met atomic.Int64
	w.cluster.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
		if met.Add(1) < int64(n) {
			w.cluster.KeepControl()
		} else {
			w.cluster.DropControl()
		}
		err, handled := do()
		return nil, err, handled
	})
	return func() int { return int(met.Load()) }
}

// TestEachKind lets each kind of request fail in each manner, at the start, under
// load and at the end. After it all is as if nothing had been, and within 30 s.
func TestEachKind(t *testing.T) {
	for _, key := range kinds {
		var opts []kfake.Opt
		if key == kmsg.AddPartitionsToTxn {
			opts = append(opts, kfake.MaxVersions(kversion.V3_9_0()))
		}
		for _, m := range manners {
			t.Run(fmt.Sprintf("%s/%s", key.Name(), strings.ReplaceAll(m.name, " ", "-")), func(t *testing.T) {
				inWorld(t, 2, func(t *testing.T, w *bubble) { w.failing(key, m) }, opts...)
			})
		}
	}
}

func (w *bubble) failing(key kmsg.Key, m manner) {
	w.send(5, users...)
	var hits []func() int
	p := w.launch(vfs.NewCrashableMem(), func(p *process, cfg *Config) {
		cfg.Leave = key == kmsg.LeaveGroup
		hits = append(hits, m.meet(w, p, key))
	})
	p.untilStarted(m)
	w.settle()
	hits = append(hits, m.meet(w, p, key))
	if key == kmsg.OffsetForLeaderEpoch {
		w.cluster.ShufflePartitionLeaders()
	}
	w.send(5, users...)
	w.settle()
	p.checkState()
	p.mustStop()
	if hits[0]()+hits[1]() == 0 {
		w.t.Error("no request has met it")
	}
}

// untilStarted starts a process again that gave up at the start, as a supervisor
// does: what is asked once, and refused, ends it with an error.
func (p *process) untilStarted(m manner) {
	for range 5 {
		select {
		case err := <-p.ended:
			if err == nil {
				p.w.t.Fatal("it ended without an error")
			}
			p.w.t.Logf("start: %v", err)
			group, err := New(p.group.cfg, p.loop)
			if err != nil {
				p.w.t.Fatal(err)
			}
			p.group = group
			p.run()
		case <-time.After(20 * time.Second):
			return
		}
	}
	p.w.t.Fatalf("it did not start after %s", m.name)
}

// TestSeeds lets members come, go, crash and be cut off while the brokers move
// leaders and coordinators, at random. Every other seed has them keep warm copies.
func TestSeeds(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inWorld(t, 4, func(t *testing.T, w *bubble) { churn(w, rand.New(rand.NewPCG(seed, 3)), int(seed%2)) })
		})
	}
}

func churn(w *bubble, rng *rand.Rand, standbys int) {
	copies := func(_ *process, cfg *Config) { cfg.Standbys = standbys }
	disks := []*vfs.MemFS{vfs.NewCrashableMem(), vfs.NewCrashableMem(), vfs.NewCrashableMem()}
	procs := make([]*process, len(disks))
	for range 40 {
		i := rng.IntN(len(disks))
		p := procs[i]
		switch action := rng.IntN(8); {
		case p == nil:
			procs[i] = w.launch(disks[i], copies)
		case action == 0:
			p.mustStop()
			procs[i] = nil
		case action == 1:
			disks[i], procs[i] = p.crash(), nil
			if rng.IntN(3) == 0 {
				disks[i] = vfs.NewCrashableMem()
			}
		case action == 2:
			p.wire.cut()
			time.Sleep(time.Duration(rng.IntN(25)) * time.Second)
			p.wire.heal()
		case action == 3:
			p.wire.drop()
		case action == 4:
			w.cluster.ShufflePartitionLeaders()
			w.cluster.RehashCoordinators()
		}
		w.send(1+rng.IntN(5), users[rng.IntN(len(users)):]...)
		time.Sleep(time.Duration(rng.IntN(4000)) * time.Millisecond)
	}
	for i, p := range procs {
		if p == nil {
			procs[i] = w.launch(disks[i], copies)
		}
	}
	w.settle()
	_, expected := w.expected()
	if standbys > 0 {
		time.Sleep(2 * time.Minute) // what moves, moves
		copied := 0
		for _, p := range procs {
			copied += len(p.follows(len(p.group.Standbys())))
			p.checkCopies()
		}
		if copied != int(w.partitions) {
			w.t.Errorf("%d warm copies of %d lanes", copied, w.partitions)
		}
	}
	for _, p := range procs {
		got := p.counts()
		for _, s := range p.group.Status() {
			if fmt.Sprint(got[s.Lane]) != fmt.Sprint(expected[s.Lane]) {
				w.t.Errorf("lane %d: %v, expected %v", s.Lane, got[s.Lane], expected[s.Lane])
			}
		}
		p.mustStop()
	}
}
