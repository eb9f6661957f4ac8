package delivery

import (
	"reflect"
	"testing"
)

// FuzzParse reads anything as a record of deliveries: what is one is written so that it is read as the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"trigger_id":"trg_1","attempt":2,"outcome":"delivered","status":200,"latency_ms":5,"time":"2026-11-24T11:14:00.123Z","response":"ok"}`))
	f.Add([]byte(`{"trigger_id":"t","outcome":"retry","time":"2026-11-24T11:14:00.123Z","next_attempt":"2026-11-24T11:15:00.123Z","out_of_order":true,"batch":"b"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := Parse(text)
		if err != nil {
			return
		}
		written := r.Append(nil)
		again, err := Parse(written)
		if err != nil || !reflect.DeepEqual(again.Append(nil), written) {
			t.Errorf("%s is %s, %v", text, written, err)
		}
	})
}
