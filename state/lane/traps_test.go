//go:build synctests

package lane

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestNoOffsetsInTransactions holds that no offsets are added to a transaction: of a cycle that produces nothing the broker would
// open one that the client never ends.
func TestNoOffsetsInTransactions(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *bubble) {
		offsets := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit, kmsg.AddOffsetsToTxn}, Observe: true, Count: -1})
		told := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Observe: true, Count: -1})
		p := w.launch(vfs.NewCrashableMem())
		w.send(5, users...)
		w.settle()
		p.mustStop()
		if offsets.Hits() != 0 || told.Hits() == 0 {
			t.Errorf("%d offsets in transactions, %d outside", offsets.Hits(), told.Hits())
		}
	})
}

// TestTransactionTimeout holds that the broker is told how long a transaction may stay open, whatever the client's default is: one that is left
// open holds up all who read committed records.
func TestTransactionTimeout(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *bubble) {
		told := make(map[int32]bool)
		w.cluster.ControlKey(int16(kmsg.InitProducerID), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			told[req.(*kmsg.InitProducerIDRequest).TransactionTimeoutMillis] = true
			return nil, nil, false
		})
		p := w.launch(vfs.NewCrashableMem())
		p.lanes(1)
		p.mustStop()
		if !maps.Equal(told, map[int32]bool{15_000: true}) {
			t.Errorf("timeouts of %v ms", told)
		}
	})
}

// TestChangelogCompacts holds that what a group makes is compacted while it is written to: an active segment never is, and the
// defaults would keep one for a week.
func TestChangelogCompacts(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *bubble) {
		p := w.launch(vfs.NewCrashableMem())
		p.lanes(1)
		p.mustStop()
		settings := w.cluster.TopicInfo(w.changelog).Configs
		for name, want := range map[string]string{"cleanup.policy": "compact", "segment.bytes": "67108864", "max.compaction.lag.ms": "21600000",
			"min.cleanable.dirty.ratio": "0.2", "delete.retention.ms": "86400000", "message.timestamp.type": "LogAppendTime"} {
			if got := settings[name]; got == nil || *got != want {
				t.Errorf("%s is %v, not %s", name, got, want)
			}
		}
	})
}

// TestRestoreToTheLogEnd has a broker whose last stable offset trails the log end after fencing, as it does while the
// marker's write is still being taken in: a restore that stopped there would do the last cycle again.
func TestRestoreToTheLogEnd(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *bubble) {
		w.send(5, users...)
		p := w.launch(vfs.NewCrashableMem())
		w.settle()
		stable := w.cluster.PartitionInfo(w.changelog, 0).HighWatermark
		w.send(5, users...)
		w.settle()
		p.mustStop()
		w.cluster.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			asked := req.(*kmsg.ListOffsetsRequest)
			if asked.Topics[0].Topic != w.changelog || asked.IsolationLevel == 0 {
				return nil, nil, false
			}
			return listed(asked, stable), nil, true
		})
		p = w.launch(vfs.NewCrashableMem())
		p.lanes(1)
		p.checkState()
		w.settle()
		p.mustStop()
	})
}

// listed answers a question about one topic with an offset.
func listed(asked *kmsg.ListOffsetsRequest, offset int64) kmsg.Response {
	resp := asked.ResponseKind().(*kmsg.ListOffsetsResponse)
	topic := kmsg.NewListOffsetsResponseTopic()
	topic.Topic = asked.Topics[0].Topic
	for _, p := range asked.Topics[0].Partitions {
		answer := kmsg.NewListOffsetsResponseTopicPartition()
		answer.Partition, answer.Offset = p.Partition, offset
		topic.Partitions = append(topic.Partitions, answer)
	}
	resp.Topics = append(resp.Topics, topic)
	return resp
}

// TestTransactionWaitsForPartitions has a client that does not know the partitions of a topic when the broker has taken all that a transaction
// wrote to it, as is so for a moment of each topic's first one: it does not end before they are known. That moment is too short to be met, so
// the topic is taken out of the client, and a record of another partition brings it back.
func TestTransactionWaitsForPartitions(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *bubble) {
		alone := func(_ *process, cfg *Config) { cfg.Lanes = 1 }
		p := w.launch(vfs.NewCrashableMem(), alone)
		p.lanes(1)
		p.mustStop()
		for number := range int32(2) { // requests of their own
			for node, topic := range []string{w.out, w.changelog} {
				if err := w.cluster.MoveTopicPartition(topic, number, int32(node)); err != nil {
					t.Fatal(err)
				}
			}
		}
		keys := make(map[int32][]byte)
		for _, user := range users {
			keys[w.partitionOf(user)] = []byte(user)
		}
		ends := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Observe: true, Count: -1})
		gone, ended, before := make(chan *Lane), make(chan error, 1), 0
		p = w.launch(p.disk, alone, func(p *process, _ *Config) {
			p.override = func(ctx context.Context, l *Lane) error {
				before = ends.Hits()
				w.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
					if w.cluster.TopicIDInfo(req.(*kmsg.ProduceRequest).Topics[0].TopicID).Topic != w.changelog {
						w.cluster.KeepControl()
						return nil, nil, false
					}
					w.cluster.DropControl()
					w.cluster.SleepControl(func() {
						time.Sleep(time.Second) // the other's answer has come
						l.client.PurgeTopicsFromProducing(w.out)
						gone <- l
					})
					return nil, nil, false
				})
				ended <- l.Commit(Cycle{Records: []*kgo.Record{{Topic: w.out, Key: keys[0]}}, Changes: []Change{{Partition: 0}}})
				<-ctx.Done()
				return nil
			}
		})
		l := <-gone
		time.Sleep(5 * time.Second)
		if n := ends.Hits() - before; n != 0 {
			t.Errorf("%d transactions are ended while a topic's partitions are not known", n)
		}
		l.client.Produce(t.Context(), &kgo.Record{Topic: w.out, Key: keys[1]}, nil)
		if err := <-ended; err != nil || ends.Hits() == before {
			t.Errorf("when they are: %v", err)
		}
		p.mustStop()
	})
}
