package registry

import (
	"testing"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tripline/tripline/processor/campaign/record"
)

// A record that was read by its schema goes through the same envelope as JSON, whatever the format.
func TestFormats(t *testing.T) {
	const (
		mapped   = `{"type":"record","name":"M","fields":[{"name":"who","type":{"type":"record","name":"Who","fields":[{"name":"id","type":"string"},{"name":"country","type":["null","string"]}]}},{"name":"name","type":"string"},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}}]}`
		tracked  = `syntax = "proto3"; message Track { string user_id = 1; string anonymous_id = 2; string type = 3; string event = 4; string message_id = 5; int64 timestamp = 6; Props properties = 7; message Props { int64 amount = 1; } }`
		clouded  = `{"type":"record","name":"C","fields":[{"name":"type","type":"string"},{"name":"subject","type":"string"},{"name":"source","type":"string"},{"name":"id","type":"string"},{"name":"data","type":{"type":"record","name":"D","fields":[{"name":"amount","type":"int"}]}}]}`
		dataOnly = `{"type":"record","name":"D","fields":[{"name":"amount","type":"int"}]}`
	)
	fake := srfake.New()
	defer fake.Close()
	for id, text := range []string{mapped, tracked, clouded, dataOnly} {
		kind := sr.TypeAvro
		if text == tracked {
			kind = sr.TypeProtobuf
		}
		fake.SeedSchema(string(rune('a'+id)), 1, id+1, sr.Schema{Schema: text, Type: kind})
	}
	inAvro := func(id int, schema string, v any) []byte {
		data, err := avro.MustParse(schema).Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		return coded(id, data...)
	}
	track := []byte{0}
	for number, text := range map[protowire.Number]string{2: "ann", 4: "Launch", 5: "m-1"} {
		track = protowire.AppendString(protowire.AppendTag(track, number, protowire.BytesType), text)
	}
	track = protowire.AppendBytes(protowire.AppendTag(track, 7, protowire.BytesType), []byte{8, 5})
	headers := []kgo.RecordHeader{{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_type", Value: []byte("Launch")}, {Key: "ce_source", Value: []byte("/shop")}, {Key: "ce_id", Value: []byte("1")}}
	moment := time.UnixMilli(1795517040123)
	registry := opened(t, Config{URL: fake.URL()})
	for name, c := range map[string]struct {
		format     record.Format
		value      []byte
		headers    []kgo.RecordHeader
		id         string
		at         int64
		properties string
		profile    string
	}{
		"mapping": {record.Format{Kind: record.FormatMapping, Mapping: record.Mapping{User: "who.id", Event: "name", Time: "at", Properties: ".", Profile: "who"}},
			inAvro(1, mapped, map[string]any{"who": map[string]any{"id": "ann", "country": "CA"}, "name": "Launch", "at": moment, "amount": "129.95"}), nil, "", moment.UnixMilli(),
			`{"who":{"id":"ann","country":"CA"},"name":"Launch","at":"2026-11-24T10:44:00.123Z","amount":129.95}`, `{"id":"ann","country":"CA"}`},
		"segment": {record.Format{Kind: record.FormatSegment}, coded(2, track...), nil, "m-1", 7, `{"amount":5}`, `{}`},
		"cloudevents": {record.Format{Kind: record.FormatCloudEvents},
			inAvro(3, clouded, map[string]any{"type": "Launch", "subject": "ann", "source": "/shop", "id": "1", "data": map[string]any{"amount": 5}}), nil, "/shop#1", 7, `{"amount":5}`, `{}`},
		"cloudevents, binary": {record.Format{Kind: record.FormatCloudEvents}, inAvro(4, dataOnly, map[string]any{"amount": 5}), headers, "/shop#1", 7, `{"amount":5}`, `{}`},
	} {
		r := &Reader{Envelope: record.Envelope{Format: c.format}, Registry: registry}
		e, bad := read(t, r, &kgo.Record{Key: []byte("ann"), Value: c.value, Headers: c.headers, Timestamp: time.UnixMilli(7)})
		if bad != nil {
			t.Errorf("%s: %+v", name, bad)
			continue
		}
		if e.User != "ann" || e.Name != "Launch" || e.ID != c.id || e.Time != c.at || string(e.Properties.Append(nil)) != c.properties || string(e.Profile.Append(nil)) != c.profile {
			t.Errorf("%s: %+v %s %s", name, e, e.Properties.Append(nil), e.Profile.Append(nil))
		}
	}
}
