package schema_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/twmb/avro"

	"github.com/tripline/tripline/processor/campaign/value"
	"github.com/tripline/tripline/processor/schema"
)

// wide has a field of each type.
const wide = `{"type":"record","name":"W","fields":[{"name":"b","type":"boolean"},{"name":"i","type":"int"},{"name":"l","type":"long"},{"name":"f","type":"float"},
{"name":"d","type":"double"},{"name":"s","type":"string"},{"name":"y","type":"bytes"},{"name":"x","type":{"type":"fixed","name":"X","size":2}},
{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}},{"name":"a","type":{"type":"array","items":["null","W","long","string"]}},{"name":"m","type":{"type":"map","values":"int"}},
{"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"p","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}}]}`

// What the library can read is read, and gives JSON; what it refuses is refused, but for what follows behind a record. No bytes do harm.
func FuzzAvro(f *testing.F) {
	parsed := avro.MustParse(wide)
	compiled, err := schema.Compile(schema.Source{Text: wide})
	if err != nil {
		f.Fatal(err)
	}
	data, err := parsed.Encode(map[string]any{"b": true, "i": 1, "l": int64(1) << 60, "f": float32(1.5), "d": 2.5, "s": "text", "y": []byte("y"), "x": []byte("xy"),
		"e": "B", "a": []any{nil, int64(3), "s"}, "m": map[string]any{"k": 1}, "t": int64(1), "p": "1.25"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := compiled.JSON(data, nil, 1<<16)
		if err == nil {
			if _, err := value.ParseObject(got); err != nil || !json.Valid(got) {
				t.Fatalf("%x: %s is no JSON: %v", data, got, err)
			}
		}
		if len(data) > 1<<10 {
			return // the library has no limit
		}
		var v any
		rest, refused := parsed.Decode(data, &v)
		switch {
		case refused == nil && len(rest) == 0 && err != nil && !bounded(err):
			t.Fatalf("%x: %v, but the library reads %v", data, err, v)
		case refused != nil && err == nil:
			t.Fatalf("%x: %s, but the library says %v", data, got, refused)
		}
	})
}

// bounded says whether an error is of what we refuse and the library does not.
func bounded(err error) bool {
	return err == schema.ErrTooLarge || err == schema.ErrUTF8 || strings.HasSuffix(err.Error(), schema.ErrUTF8.Error()) || strings.Contains(err.Error(), "nested deeper") || strings.Contains(err.Error(), "larger than")
}

// No bytes do harm, and what is read is JSON.
func FuzzProtobuf(f *testing.F) {
	compiled, err := schema.Compile(schema.Source{Type: "PROTOBUF", Text: event, References: []schema.Reference{{Name: "shop/item.proto", Text: item}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append([]byte{2, 2}, message(1, 5, 10, message(1, "A-1"), 13, message(1, 1795517040), 15, message(1, message(1, "k", 2, message())), 20, message(1, "x/shop.Item", 2, message()))...))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := compiled.JSON(data, []string{"properties.cartTotal", "user_id"}, 1<<16)
		if err != nil {
			return
		}
		if _, err := value.ParseObject(got); err != nil || !json.Valid(got) {
			t.Fatalf("%x: %s is no JSON: %v", data, got, err)
		}
		again, err := compiled.JSON(data, []string{"properties.cartTotal", "user_id"}, 1<<16)
		if err != nil || string(again) != string(got) {
			t.Fatalf("%x: once %s, once %s", data, got, again)
		}
	})
}

// No text of a schema does harm.
func FuzzCompile(f *testing.F) {
	f.Add("AVRO", order, way)
	f.Add("PROTOBUF", event, item)
	f.Fuzz(func(t *testing.T, kind, text, reference string) {
		s, err := schema.Compile(schema.Source{Type: kind, Text: text, References: []schema.Reference{{Name: "shop/item.proto", Text: reference}}})
		if err == nil {
			_, _ = s.JSON([]byte{0, 0, 0, 0}, nil, 1<<10)
		}
	})
}
