//go:build synctests

package lane

import (
	"bytes"
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestBacklogThatGrows reads a backlog of batches that unpack to a hundred times as much with many lanes at once: what is fetched and not
// applied keeps to its bound, but for one batch.
func TestBacklogThatGrows(t *testing.T) {
	const lanes, batches, records, memory = 8, 6, 1000, 4 << 20
	inWorld(t, lanes, func(t *testing.T, w *bubble) {
		producer, err := kgo.NewClient(append(w.options(w.dial), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(2<<20),
			kgo.ProducerLinger(time.Second), kgo.ProducerBatchCompression(kgo.GzipCompression()))...) // a decoder of zstd does not end in a bubble
		if err != nil {
			t.Fatal(err)
		}
		defer producer.Close()
		for range batches {
			var sent []*kgo.Record
			for i := range lanes * records {
				value := append(bytes.Repeat([]byte("x"), 1000), strconv.Itoa(i)...)
				sent = append(sent, &kgo.Record{Topic: w.in, Partition: int32(i % lanes), Value: value})
			}
			if err := producer.ProduceSync(t.Context(), sent...).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		var read, most atomic.Int64
		p := w.launch(vfs.NewCrashableMem(), func(p *process, c *Config) {
			c.Memory = memory
			p.override = func(ctx context.Context, l *Lane) error {
				for ctx.Err() == nil {
					polled, err := l.Poll(ctx, 300)
					if ctx.Err() != nil {
						return nil
					}
					if err != nil {
						return err
					}
					for _, b := range polled {
						read.Add(int64(len(b.Records)))
					}
					time.Sleep(10 * time.Millisecond)
					if used := p.group.cfg.room.Used(); used > most.Load() {
						most.Store(used)
					}
				}
				return nil
			}
		})
		for began := time.Now(); read.Load() < lanes*batches*records && time.Since(began) < time.Minute; {
			time.Sleep(100 * time.Millisecond)
		}
		p.mustStop()
		if read.Load() != lanes*batches*records || most.Load() > memory+2<<20 || most.Load() < memory/2 {
			t.Errorf("%d records of %d were read, with %d bytes in use of %d", read.Load(), lanes*batches*records, most.Load(), memory)
		}
	})
}
