package outbox

import (
	"bytes"
	"testing"

	"github.com/tripline/tripline/processor/campaign/record"
)

// FuzzRows reads anything as each kind of row: what decodes at all is written so that it decodes to the same.
func FuzzRows(f *testing.F) {
	d := Delivery{Key: "trg_1", Stage: Stage(1), Offset: 5, Attempts: 2, Place: 1, Since: 7, Due: 9, Campaign: "c", Endpoint: "e", User: "u"}
	f.Add(d.append(nil))
	d.Turn, d.Free, d.Batch, d.record = 3, 4, "b", "record"
	f.Add(d.append(nil))
	f.Add((&queues{waiting: 3, clock: 5}).append(nil))
	f.Add(appendKeys(nil, []string{"a", ""}))
	f.Add(appendOffset(nil, -1))
	f.Add(appendRecord(nil, record.Trace{Parent: "p", State: "s"}, []byte("{}")))
	f.Fuzz(func(t *testing.T, content []byte) {
		if d, err := decodeDelivery("k", content, true); err == nil {
			if again, err := decodeDelivery("k", d.append(nil), true); err != nil || again != d {
				t.Errorf("%+v is %+v, %v", d, again, err)
			}
		}
		if q, err := decodeQueues("e", content); err == nil {
			if again, err := decodeQueues("e", q.append(nil)); err != nil || again != q {
				t.Errorf("%+v is %+v, %v", q, again, err)
			}
		}
		if keys, err := decodeKeys("e", content); err == nil {
			if again, err := decodeKeys("e", appendKeys(nil, keys)); err != nil || len(again) != len(keys) {
				t.Errorf("%q is %q, %v", keys, again, err)
			}
		}
		if offset, err := decodeOffset("u", content); err == nil {
			if again, err := decodeOffset("u", appendOffset(nil, offset)); err != nil || again != offset {
				t.Errorf("%d is %d, %v", offset, again, err)
			}
		}
		if trace, rest, ok := splitRecord(content); ok && (trace.Parent != "" || trace.State == "") {
			again, other, ok := splitRecord(appendRecord(nil, trace, rest))
			if !ok || again != trace || !bytes.Equal(other, rest) {
				t.Errorf("%+v %q is %+v %q", trace, rest, again, other)
			}
		}
		Split(string(content))
	})
}
