package processor

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// What a cycle has made stays as it is until the next one takes its memory, however much was made.
func TestMadeRecords(t *testing.T) {
	var m made
	for cycle := range 3 {
		var records []*kgo.Record
		text := func(i int) string { return fmt.Sprintf("%d-%0*d", cycle, 1+i%2000, i) }
		for i := range 5000 {
			r := m.record("triggers", text(i))
			m.scratch = append(m.scratch[:0], text(i+1)...)
			r.Value, r.Headers = m.bytes(m.scratch), m.headers(text(i+2), text(i+3), text(i+4))
			records = append(records, r)
		}
		for i, r := range records {
			got := []string{string(r.Key), string(r.Value), string(r.Headers[0].Value), string(r.Headers[1].Value), string(r.Headers[2].Value)}
			for n := range got {
				if got[n] != text(i+n) || r.Topic != "triggers" || len(r.Headers) != 4 {
					t.Fatalf("cycle %d, record %d: %q, %d headers", cycle, i, got, len(r.Headers))
				}
			}
		}
		m.reuse()
		if cap(m.room) > mostRoom || cap(m.records) > mostRecords || cap(m.scratch) > mostRoom/16 {
			t.Fatalf("%d bytes, %d records, %d bytes kept", cap(m.room), cap(m.records), cap(m.scratch))
		}
	}
}
