//go:build synctests

package lane

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// leftOpen makes the broker say of one partition that the lane of it has left a transaction open there, until a transaction of that lane was
// aborted. The first answers are refusals.
func (w *bubble) leftOpen(topic string, partition int32, refusals int) (aborted *atomic.Bool) {
	w.t.Helper()
	described, err := kadm.NewClient(w.client).DescribeTransactions(context.Background(), w.group+"-0")
	if err != nil {
		w.t.Fatal(err)
	}
	id := described[w.group+"-0"].ProducerID
	aborted = new(atomic.Bool)
	w.cluster.ControlKey(int16(kmsg.EndTxn), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		if end := req.(*kmsg.EndTxnRequest); !end.Commit && end.ProducerID == id {
			aborted.Store(true)
		}
		return nil, nil, false
	})
	w.cluster.ControlKey(int16(kmsg.DescribeProducers), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		asked := req.(*kmsg.DescribeProducersRequest)
		resp := asked.ResponseKind().(*kmsg.DescribeProducersResponse)
		for _, t := range asked.Topics {
			told := kmsg.DescribeProducersResponseTopic{Topic: t.Topic}
			for _, number := range t.Partitions {
				p := kmsg.DescribeProducersResponseTopicPartition{Partition: number}
				if refusals > 0 {
					p.ErrorCode = kerr.NotLeaderForPartition.Code
				} else if t.Topic == topic && number == partition && !aborted.Load() {
					open := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
					open.ProducerID, open.CurrentTxnStartOffset = id, 3
					p.ActiveProducers = append(p.ActiveProducers, open)
				}
				told.Partitions = append(told.Partitions, p)
			}
			resp.Topics = append(resp.Topics, told)
		}
		refusals--
		return resp, nil, true
	})
	return aborted
}

// swept waits until there is an aborted record for a topic's partition, which is how what was left open there is ended.
func (w *bubble) swept(topic string, partition int32) {
	w.t.Helper()
	reader, err := kgo.NewClient(append(w.options(w.dial), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}))...)
	if err != nil {
		w.t.Fatal(err)
	}
	defer reader.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for found := false; !found; {
		fetches := reader.PollFetches(ctx)
		if ctx.Err() != nil {
			w.t.Fatalf("nothing was written to %s-%d and aborted", topic, partition)
		}
		fetches.EachRecord(func(r *kgo.Record) { found = found || string(r.Key) == "aborted" })
	}
	for _, r := range w.read(topic)[partition] {
		if string(r.Key) == "aborted" {
			w.t.Error("it was committed")
		}
	}
}

// TestLeftOpen holds that a lane ends what its transactional id has left open where the coordinator has written no marker, in the changelog or
// among what it writes, before anything waits for it.
func TestLeftOpen(t *testing.T) {
	for _, topic := range []string{"g-processor-changelog", "out"} {
		t.Run(topic, func(t *testing.T) {
			inWorld(t, 2, func(t *testing.T, w *bubble) {
				with := func(_ *process, cfg *Config) { cfg.Lanes, cfg.Outputs = 1, []string{"", "out"} }
				w.send(5, users...)
				p := w.launch(vfs.NewCrashableMem(), with)
				w.settle()
				p.mustStop()
				aborted := w.leftOpen(topic, 1, 0)
				p = w.launch(p.disk, with)
				p.lanes(1)
				if !aborted.Load() || p.logged("lane is taken anew") != 1 {
					t.Errorf("aborted: %v, taken anew %d times", aborted.Load(), p.logged("lane is taken anew"))
				}
				w.swept(topic, 1)
				w.send(5, users...)
				w.settle()
				p.checkState()
				p.mustStop()
			})
		})
	}
}

// TestLeftOpenFoundLater holds that it is looked for again where a restore stands still, as of what could not be asked at first.
func TestLeftOpenFoundLater(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *bubble) {
		w.send(5, users...)
		p := w.launch(vfs.NewCrashableMem())
		w.settle()
		p.mustStop()
		aborted := w.leftOpen("g-processor-changelog", 0, 1)
		w.cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			if req.(*kmsg.FetchRequest).MaxBytes != 8<<20 || aborted.Load() { // not a restore, or nothing is open
				return nil, nil, false
			}
			w.cluster.SleepControl(func() { time.Sleep(10 * time.Second) }) // which no client waits
			return nil, nil, false
		})
		p = w.launch(vfs.NewCrashableMem())
		p.lanes(1)
		if !aborted.Load() || p.logged("lane is taken anew") != 1 {
			t.Errorf("aborted: %v, taken anew %d times", aborted.Load(), p.logged("lane is taken anew"))
		}
		w.settle()
		p.checkState()
		p.mustStop()
	})
}
