package schema_test

import (
	"encoding/hex"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/twmb/avro"

	"github.com/tripline/tripline/processor/schema"
)

func avroSchema(t *testing.T, text string, references ...schema.Reference) *schema.Schema {
	t.Helper()
	return compile(t, schema.Source{Type: "AVRO", Text: text, References: references})
}

// The examples of https://avro.apache.org/docs/1.12.0/specification/#binary-encoding.
func TestAvroSpecification(t *testing.T) {
	for _, c := range []struct{ schema, data, want string }{
		{`"long"`, "00", "0"}, {`"long"`, "01", "-1"}, {`"long"`, "02", "1"}, {`"long"`, "03", "-2"}, {`"long"`, "04", "2"},
		{`"long"`, "7f", "-64"}, {`"long"`, "8001", "64"},
		{`"string"`, "06666f6f", `"foo"`},
		{`{"type":"record","name":"test","fields":[{"name":"a","type":"long"},{"name":"b","type":"string"}]}`, "3606666f6f", `{"a":27,"b":"foo"}`},
		{`{"type":"array","items":"long"}`, "04063600", "[3,27]"},
		{`["null","string"]`, "00", "null"},
		{`["null","string"]`, "020261", `"a"`},
		{`{"type":"enum","name":"Foo","symbols":["A","B","C","D"]}`, "06", `"D"`},
	} {
		data, err := hex.DecodeString(c.data)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, avroSchema(t, c.schema), data, c.want)
	}
}

// Values as the library writes them.
func TestAvroValues(t *testing.T) {
	moment := time.Date(2026, 11, 24, 10, 44, 0, 123456789, time.UTC)
	for _, c := range []struct {
		schema string
		value  any
		want   string
	}{
		{`"null"`, nil, "null"},
		{`"boolean"`, true, "true"},
		{`"int"`, math.MinInt32, "-2147483648"},
		{`"long"`, int64(9007199254740993), "9007199254740993"},
		{`"float"`, float32(0.1), "0.1"},
		{`"double"`, 1e300, "1e+300"},
		{`"double"`, 123456789.25, "123456789.25"},
		{`"double"`, math.NaN(), `"NaN"`},
		{`"double"`, math.Inf(1), `"Infinity"`},
		{`"float"`, float32(math.Inf(-1)), `"-Infinity"`},
		{`"bytes"`, []byte{0xfb, 0xff}, `"+/8="`},
		{`{"type":"fixed","name":"f","size":3}`, []byte("abc"), `"YWJj"`},
		{`{"type":"map","values":"int"}`, map[string]any{"a \"quoted\" key": 1}, `{"a \"quoted\" key":1}`},
		{`{"type":"int","logicalType":"date"}`, moment, `"2026-11-24"`},
		{`{"type":"int","logicalType":"time-millis"}`, 10*time.Hour + 5*time.Millisecond, `"10:00:00.005"`},
		{`{"type":"long","logicalType":"time-micros"}`, 23*time.Hour + 7*time.Microsecond, `"23:00:00.000007"`},
		{`{"type":"long","logicalType":"timestamp-millis"}`, moment, `"2026-11-24T10:44:00.123Z"`},
		{`{"type":"long","logicalType":"timestamp-micros"}`, moment, `"2026-11-24T10:44:00.123456Z"`},
		{`{"type":"long","logicalType":"timestamp-nanos"}`, moment, `"2026-11-24T10:44:00.123456789Z"`},
		{`{"type":"long","logicalType":"local-timestamp-millis"}`, moment, `"2026-11-24T10:44:00.123"`},
		{`{"type":"long","logicalType":"timestamp-millis"}`, time.UnixMilli(-1), `"1969-12-31T23:59:59.999Z"`},
		{`"long"`, moment.UnixMicro(), "1795517040123456"},
		{`{"type":"string","logicalType":"uuid"}`, "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", `"f81d4fae-7dec-11d0-a765-00a0c91e6bf6"`},
		{`{"type":"fixed","name":"u","size":16,"logicalType":"uuid"}`, "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", `"f81d4fae-7dec-11d0-a765-00a0c91e6bf6"`},
		{`{"type":"fixed","name":"d","size":12,"logicalType":"duration"}`, avro.Duration{Months: 1, Days: 2, Milliseconds: 1500}, `"P1M2DT1.500S"`},
		{`{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}`, big.NewRat(12995, 100), "129.95"},
		{`{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}`, big.NewRat(-5, 100), "-0.05"},
		{`{"type":"bytes","logicalType":"decimal","precision":9}`, big.NewRat(-128, 1), "-128"},
		{`{"type":"fixed","name":"m","size":16,"logicalType":"decimal","precision":38,"scale":10}`, big.NewRat(1, 1e10), "0.0000000001"},
		{`{"type":"bytes","logicalType":"money"}`, []byte("a"), `"YQ=="`}, // an unknown logical type
	} {
		parsed, err := avro.Parse(c.schema)
		if err != nil {
			t.Fatal(err)
		}
		data, err := parsed.Encode(c.value)
		if err != nil {
			t.Errorf("%s: %v", c.schema, err)
			continue
		}
		expect(t, avroSchema(t, c.schema), data, c.want)
	}
}

const order = `{"type":"record","name":"Order","namespace":"shop","fields":[
 {"name":"user_id","type":"string"},
 {"name":"time","type":{"type":"long","logicalType":"timestamp-millis"}},
 {"name":"note","type":["null","string"],"default":null},
 {"name":"items","type":{"type":"array","items":{"type":"record","name":"Item","fields":[{"name":"sku","type":"string"},{"name":"inside","type":["null","Item"],"default":null}]}}},
 {"name":"first","type":["null","shop.Item"],"default":null},
 {"name":"paid","type":["null","long","string","shop.other.Way"],"default":null}]}`

const way = `{"type":"enum","name":"Way","namespace":"shop.other","symbols":["CARD","CASH"]}`

// A record of records that refers to a schema of another subject, and a type that holds itself.
func TestAvroRecords(t *testing.T) {
	reference := schema.Reference{Name: "shop.other.Way", Text: way}
	s := avroSchema(t, order, reference)
	var cache avro.SchemaCache
	if _, err := cache.Parse(way); err != nil {
		t.Fatal(err)
	}
	parsed, err := cache.Parse(order)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		value map[string]any
		want  string
	}{
		{map[string]any{"user_id": "u", "time": int64(0), "items": []any{}}, `{"user_id":"u","time":"1970-01-01T00:00:00.000Z","note":null,"items":[],"first":null,"paid":null}`},
		{map[string]any{"user_id": "u", "time": int64(0), "note": "n", "items": []any{map[string]any{"sku": "a", "inside": map[string]any{"sku": "b"}}},
			"first": map[string]any{"sku": "c"}, "paid": int64(9007199254740993)},
			`{"user_id":"u","time":"1970-01-01T00:00:00.000Z","note":"n","items":[{"sku":"a","inside":{"sku":"b","inside":null}}],"first":{"sku":"c","inside":null},"paid":9007199254740993}`},
		{map[string]any{"user_id": "u", "time": int64(0), "items": []any{}, "paid": map[string]any{"shop.other.Way": "CASH"}},
			`{"user_id":"u","time":"1970-01-01T00:00:00.000Z","note":null,"items":[],"first":null,"paid":"CASH"}`},
	} {
		data, err := parsed.Encode(c.value)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, s, data, c.want)
	}
	if _, err := schema.Compile(schema.Source{Type: "AVRO", Text: order}); err == nil || !strings.Contains(err.Error(), "shop.other.Way") {
		t.Errorf("without the reference: %v", err)
	}
}

// Blocks may come in parts, and may say how many bytes they have; of equal keys the last counts, as in any JSON.
func TestAvroBlocks(t *testing.T) {
	list := avroSchema(t, `{"type":"array","items":"int"}`)
	expect(t, list, []byte{2, 2, 3, 4, 4, 6, 0}, "[1,2,3]")
	expect(t, list, []byte{0}, "[]")
	expect(t, avroSchema(t, `{"type":"map","values":"int"}`), []byte{4, 2, 'a', 2, 2, 'a', 4, 0}, `{"a":1,"a":2}`)
}

func TestAvroRefusals(t *testing.T) {
	for _, c := range []struct {
		schema string
		data   []byte
		want   string
	}{
		{`"string"`, []byte{6, 'a'}, "ends too early"},
		{`"string"`, []byte{1}, "ends too early"},
		{`"string"`, nil, "ends too early"},
		{`"int"`, []byte{0x80, 0x80, 0x80, 0x80, 0x20}, "is no int"},
		{`"long"`, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, "ends too early"},
		{`"string"`, []byte{2, 0xff}, "not valid UTF-8"},
		{`{"type":"map","values":"null"}`, []byte{2, 2, 0xff, 0}, "not valid UTF-8"},
		{`["null","int"]`, []byte{4}, "has no branch 2"},
		{`["null","int"]`, []byte{1}, "has no branch -1"},
		{`{"type":"enum","name":"E","symbols":["A"]}`, []byte{2}, "has no symbol 1"},
		{`"int"`, []byte{2, 2}, "1 bytes follow"},
		{`{"type":"array","items":"null"}`, []byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0}, "too large"}, // 2⁶³−1 nulls
		{`{"type":"array","items":{"type":"record","name":"R","fields":[]}}`, []byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0}, "too large"},
		{`{"type":"array","items":"null"}`, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0}, "ends too early"}, // −2⁶³
		{`{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}`, []byte(strings.Repeat("\x02", 70)), "nested deeper than 64"},
		{`{"type":"bytes","logicalType":"decimal","precision":9}`, append([]byte{0x82, 0x10}, make([]byte, 1025)...), "larger than"},
	} {
		refuses(t, avroSchema(t, c.schema), c.data, c.want)
	}
	for _, text := range []string{"", "{", `"text"`, `{"type":"record","name":"R","fields":[{"name":"a","type":"Gone"}]}`} {
		if _, err := schema.Compile(schema.Source{Text: text}); err == nil {
			t.Errorf("%q compiles", text)
		}
	}
	if _, err := schema.Compile(schema.Source{Type: "XML"}); err == nil || !strings.Contains(err.Error(), "XML") {
		t.Errorf("an unknown type: %v", err)
	}
}

// A record with a JSON Schema is JSON.
func TestJSONSchema(t *testing.T) {
	expect(t, compile(t, schema.Source{Type: "JSON", Text: `{"type":"object"}`}), []byte(` {"a": 1.0}`), ` {"a": 1.0}`)
}
