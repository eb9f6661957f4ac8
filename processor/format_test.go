//go:build synctests

package processor

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign/record"
)

// Binary CloudEvents have their attributes in headers; Segment's identify is no event and no dead letter.
func TestFormats(t *testing.T) {
	for kind, records := range map[record.FormatKind][]*kgo.Record{
		record.FormatCloudEvents: {{Value: []byte(`{}`), Headers: []kgo.RecordHeader{
			{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_type", Value: []byte("Cart")}, {Key: "ce_source", Value: []byte("/shop")}, {Key: "ce_id", Value: []byte("1")}}}},
		record.FormatSegment: {
			{Value: []byte(`{"type":"track","userId":"ann","event":"Cart"}`)},
			{Value: []byte(`{"type":"identify","userId":"ann","traits":{"plan":"pro"}}`)}},
	} {
		inWorld(t, 1, func(t *testing.T, w *world) {
			p := w.launch(vfs.NewCrashableMem(), func(cfg *Config) { cfg.Envelope.Format.Kind = kind })
			time.Sleep(5 * time.Second)
			for _, r := range records {
				r.Topic, r.Key = "events", []byte("ann")
				w.send(r)
			}
			time.Sleep(80 * time.Second)
			if got := w.triggers()["ann"]; len(got) != 1 {
				t.Errorf("triggers %v", got)
			}
			if letters := w.read("dead-letters"); len(letters) != 0 {
				t.Errorf("dead letter %s", letters[0].Value)
			}
			p.stop()
		})
	}
}
