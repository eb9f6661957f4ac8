package intake

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// aheadBytes is how much of a partition is fetched at a time.
const aheadBytes = 256 << 10

// Ahead reads partitions of `triggers` beyond what waits there for room at an endpoint, beside the reader that has their positions.
type Ahead struct {
	Records []*kgo.Record   // received, and not yet looked at
	Behind  map[string]bool // endpoints whose triggers are left to the other reader

	came   chan []*kgo.Record
	cancel context.CancelFunc
	wait   sync.WaitGroup
	client *kgo.Client
	began  bool
	err    error // of a fetch; set before came is closed
}

// Read begins to read a topic from these offsets on, committed records alone, at most so many at a time.
func Read(opts []kgo.Opt, topic string, from map[int32]int64, most int) (*Ahead, error) {
	offsets := map[int32]kgo.Offset{}
	for partition, at := range from {
		offsets[partition] = kgo.NewOffset().At(at)
	}
	client, err := kgo.NewClient(append(slices.Clone(opts), kgo.DisableClientMetrics(), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxBytes(aheadBytes*int32(len(from))), kgo.FetchMaxPartitionBytes(aheadBytes),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}))...)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	a := &Ahead{Behind: map[string]bool{}, came: make(chan []*kgo.Record), cancel: cancel, client: client}
	a.wait.Go(func() { a.run(ctx, most) })
	return a, nil
}

func (a *Ahead) run(ctx context.Context, most int) {
	defer close(a.came)
	for {
		fetches := a.client.PollRecords(ctx, most)
		if ctx.Err() != nil {
			return
		}
		if err := fetches.Err(); err != nil {
			a.err = err
			return
		}
		select {
		case a.came <- fetches.Records():
		case <-ctx.Done():
			return
		}
	}
}

// Came gives what is read, each partition's in order, while there are no Records. It is closed when nothing more can be read, for which Err has
// the reason.
func (a *Ahead) Came() <-chan []*kgo.Record {
	if a == nil || len(a.Records) > 0 {
		return nil
	}
	return a.came
}

// Take makes what came the Records.
func (a *Ahead) Take(came []*kgo.Record) { a.Records, a.began = came, true }

// Began reports whether anything has come.
func (a *Ahead) Began() bool { return a != nil && a.began }

// Err is why Came was closed.
func (a *Ahead) Err() error { return a.err }

// Close ends reading.
func (a *Ahead) Close() {
	if a == nil {
		return
	}
	a.cancel()
	a.wait.Wait()
	a.client.Close()
}

// Leaves reports whether a record is at once seen to be a trigger for an endpoint that is Behind: as Tripline writes it, the endpoint's name
// stands last. False says nothing.
func (a *Ahead) Leaves(r *kgo.Record) bool {
	rest, ok := bytes.CutSuffix(r.Value, []byte(`"}`))
	if !ok {
		return false
	}
	at := bytes.LastIndexByte(rest, '"') + 1
	return a.Behind[string(rest[at:])] && bytes.HasSuffix(rest[:at], []byte(`,"endpoint":"`))
}
