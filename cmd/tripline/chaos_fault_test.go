//go:build synctests

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// chaosKinds are the requests that members send.
var chaosKinds = []kmsg.Key{
	kmsg.ApiVersions, kmsg.Metadata, kmsg.FindCoordinator, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.OffsetFetch, kmsg.OffsetCommit,
	kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.Produce, kmsg.EndTxn, kmsg.Fetch, kmsg.ListOffsets, kmsg.DescribeConfigs,
}

// chaosErrors are what a broker may refuse with; the last two also after it has done as asked.
var chaosErrors = []*kerr.Error{
	kerr.UnknownServerError, kerr.NotCoordinator, kerr.NotLeaderForPartition, kerr.CoordinatorLoadInProgress, kerr.ConcurrentTransactions,
	kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend,
}

// fault lets one thing go wrong.
func (w *chaos) fault() {
	m := w.members[w.rng.IntN(len(w.members))]
	wait := time.Duration(w.rng.IntN(12_000)) * time.Millisecond
	switch kind := w.rng.IntN(16); {
	case m.cancel == nil:
		w.tell("%s starts", m.name)
		m.start(m.disk)
	case kind < 4:
		w.tell("%s crashes", m.name)
		m.crash()
		w.disk(m)
	case kind < 6:
		w.tell("%s stops", m.name)
		m.stop()
	case kind < 8:
		w.tell("%s is cut off for %s", m.name, 2*wait)
		m.cut()
		go func() { time.Sleep(2 * wait); m.heal() }()
	case kind == 8:
		w.tell("%s loses its connections", m.name)
		m.drop()
	case kind == 9:
		w.tell("leaders and coordinators move")
		w.cluster.ShufflePartitionLeaders()
		w.cluster.RehashCoordinators()
	case kind < 12:
		key, err, n := chaosKinds[w.rng.IntN(len(chaosKinds))], chaosErrors[w.rng.IntN(len(chaosErrors))], 1+w.rng.IntN(4)
		w.tell("%d × %s is refused with %s", n, key.Name(), err.Message)
		w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: err, Count: n, When: w.rough})
	case kind < 14:
		w.mute(m)
	case kind == 14:
		w.foreign(wait)
	default:
		w.tell("the disk of %s is noted", m.name)
		m.older = m.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
	}
}

// rough is a condition of faults: they end with the others.
func (w *chaos) rough(kmsg.Request) bool { return !w.calm.Load() }

// disk chooses what a crashed member finds: its disk, an empty one, or one of some time ago.
func (w *chaos) disk(m *member) {
	switch w.rng.IntN(5) {
	case 0:
		w.tell("the disk of %s is empty", m.name)
		m.disk = nil
	case 1:
		if m.older != nil {
			w.tell("the disk of %s is an older one", m.name)
			m.disk, m.older = m.older, nil
		}
	}
}

// mute lets the next requests of a kind, from whomever, be cut off before the broker acts, after it, or stay without an answer.
func (w *chaos) mute(m *member) {
	key, n, how := chaosKinds[w.rng.IntN(len(chaosKinds))], 1+w.rng.IntN(3), w.rng.IntN(3)
	w.tell("%d × %s %s", n, key.Name(), []string{"is cut before", "is cut after", "gets no answer"}[how])
	w.cluster.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
		if n--; n > 0 && !w.calm.Load() {
			w.cluster.KeepControl()
		} else {
			w.cluster.DropControl()
		}
		switch {
		case w.calm.Load():
			return nil, nil, false
		case how == 0:
			return nil, errors.New("cut"), true
		case how == 1:
			m.drop()
			return nil, nil, false
		}
		return nil, nil, true
	})
}

// foreign appends events in a transaction that stays open for a while, and then commits or aborts.
func (w *chaos) foreign(open time.Duration) {
	commit := w.rng.IntN(2) == 0
	w.tell("a foreign transaction is open for %s, commit=%t", open, commit)
	var records []*kgo.Record
	for range 1 + w.rng.IntN(4) {
		in := w.crowd.load[w.rng.IntN(len(w.crowd.load))]
		if in.Kind == "event" {
			in.Time, in.ID = time.Now().UnixMilli(), ""
			records = append(records, in.record())
		}
	}
	client, err := kgo.NewClient(append(w.options(w.network.DialContext), kgo.TransactionalID("foreign"), kgo.TransactionTimeout(20*time.Second))...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.strangers.Go(func() {
		defer client.Close()
		if client.BeginTransaction() != nil || client.ProduceSync(context.Background(), records...).FirstErr() != nil {
			return // a fault has met it: the broker ends what it began
		}
		time.Sleep(open)
		within, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = client.EndTransaction(within, kgo.TransactionEndTry(commit)) // likewise
	})
	time.Sleep(time.Millisecond)
}
