package schema_test

import (
	"testing"

	"github.com/twmb/avro"

	"github.com/tripline/tripline/processor/schema"
)

// An event of eight properties, as JSON some 250 bytes.
func BenchmarkJSON(b *testing.B) {
	const text = `{"type":"record","name":"Event","fields":[{"name":"event","type":"string"},{"name":"time","type":{"type":"long","logicalType":"timestamp-millis"}},
{"name":"properties","type":{"type":"record","name":"P","fields":[{"name":"sku","type":"string"},{"name":"title","type":"string"},{"name":"amount","type":"double"},{"name":"count","type":"int"},
{"name":"currency","type":{"type":"enum","name":"C","symbols":["CAD","USD"]}},{"name":"tags","type":{"type":"array","items":"string"}},{"name":"note","type":["null","string"]},{"name":"member","type":"boolean"}]}}]}`
	const proto = `syntax = "proto3"; import "google/protobuf/timestamp.proto"; message Event { string event = 1; google.protobuf.Timestamp time = 2; P properties = 3;
message P { string sku = 1; string title = 2; double amount = 3; int32 count = 4; string currency = 5; repeated string tags = 6; string note = 7; bool member = 8; } }`
	data, err := avro.MustParse(text).Encode(map[string]any{"event": "Added To Cart", "time": int64(1795517040123), "properties": map[string]any{"sku": "A-1-000042", "title": "A pair of shoes",
		"amount": 129.95, "count": 2, "currency": "CAD", "tags": []any{"new", "sale"}, "note": nil, "member": true}})
	if err != nil {
		b.Fatal(err)
	}
	message := append([]byte{0}, message(1, "Added To Cart", 2, message(1, 1795517040, 2, 123000000), 3, message(1, "A-1-000042", 2, "A pair of shoes", 3, uint64(0x40603e6666666666), 4, 2, 5, "CAD", 6, "new", 6, "sale", 8, 1))...)
	paths := []string{"id", "user_id", "event", "time", "properties", "profile"}
	for _, c := range []struct {
		name string
		of   schema.Source
		data []byte
	}{{"avro", schema.Source{Text: text}, data}, {"protobuf", schema.Source{Type: "PROTOBUF", Text: proto}, message}} {
		b.Run(c.name, func(b *testing.B) {
			s, err := schema.Compile(c.of)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.JSON(c.data, paths, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
