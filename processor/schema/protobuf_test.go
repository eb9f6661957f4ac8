package schema_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tripline/tripline/processor/schema"
)

func compile(t *testing.T, s schema.Source) *schema.Schema {
	t.Helper()
	c, err := schema.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func expect(t *testing.T, s *schema.Schema, data []byte, want string, paths ...string) {
	t.Helper()
	got, err := s.JSON(data, paths, 0)
	if err != nil {
		t.Errorf("%x: %v; expected %s", data, err, want)
	} else if string(got) != want {
		t.Errorf("%x\n  is       %s\n  expected %s", data, got, want)
	}
}

func refuses(t *testing.T, s *schema.Schema, data []byte, want string) {
	t.Helper()
	if got, err := s.JSON(data, nil, 0); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%x: %s, %v; expected an error with %q", data, got, err, want)
	}
}

// The example of Confluent's wire format: https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
const messages = `syntax = "proto3"; package test.package;
message MessageA { message MessageB { message MessageC { string c = 1; } string b = 1; } string a = 1; }
message MessageD { string d = 1; message MessageE { string e = 1; message MessageF { string f = 1; } message MessageG { string g = 1; } } }`

func TestMessageIndexes(t *testing.T) {
	s := compile(t, schema.Source{Type: "PROTOBUF", Text: strings.Replace(messages, "test.package", "test.pack", 1)})
	field := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "x")
	for _, c := range []struct {
		index []byte
		want  string
	}{
		{[]byte{0}, `{"a":"x"}`}, // the first message, in short
		{[]byte{2, 0}, `{"a":"x"}`},
		{[]byte{2, 2}, `{"d":"x"}`},
		{[]byte{4, 2, 0}, `{"e":"x"}`},
		{[]byte{6, 2, 0, 2}, `{"g":"x"}`}, // [1, 0, 1] of the example
		{[]byte{6, 0, 0, 0}, `{"c":"x"}`},
	} {
		expect(t, s, append(c.index, field...), c.want)
	}
	for _, index := range [][]byte{{2, 4}, {4, 0, 2}, {8, 0, 0, 0, 0}, {2, 1}} {
		refuses(t, s, append(index, field...), "no message at index")
	}
	refuses(t, s, nil, "no message index")
	refuses(t, s, []byte{4, 2}, "no message index")
	refuses(t, s, []byte{1}, "message index of -1 parts")
	refuses(t, s, []byte{0, 0x0a, 5, 'x'}, "test.pack.MessageA")
}

const event = `syntax = "proto3"; package shop;
import "google/protobuf/timestamp.proto"; import "google/protobuf/duration.proto"; import "google/protobuf/struct.proto"; import "google/protobuf/wrappers.proto";
import "google/protobuf/field_mask.proto"; import "google/protobuf/empty.proto"; import "google/protobuf/any.proto"; import "confluent/type/decimal.proto"; import "confluent/meta.proto";
import "shop/item.proto";
message Event {
  option (confluent.message_meta) = {doc: "an event"};
  string user_id = 1;
  google.protobuf.Timestamp time = 2;
  Properties properties = 3;
}
message Properties {
  int64 big = 1; uint64 bigger = 2; sint32 small = 3; fixed64 fixed = 4; bool yes = 5; float f = 6; double d = 7; bytes raw = 8;
  Color color = 9; repeated Item items = 10; map<string, int64> counts = 11; map<int32, string> names = 12;
  google.protobuf.Timestamp at = 13; google.protobuf.Duration took = 14; google.protobuf.Struct free = 15; google.protobuf.Int64Value wrapped = 16;
  google.protobuf.StringValue unset = 17; google.protobuf.FieldMask mask = 18; google.protobuf.Empty empty = 19; google.protobuf.Any any = 20;
  oneof way { string card = 21; int32 cash = 22; }
  optional int32 maybe = 23; int32 cart_total = 24; int32 renamed = 25 [json_name = "newName"]; confluent.type.Decimal price = 26;
  google.protobuf.Value nothing = 27; repeated int32 packed = 28;
}
enum Color { RED = 0; GREEN = 1; }`

const item = `syntax = "proto3"; package shop; message Item { string sku = 1; Item inside = 2; }`

// message writes fields as Protobuf does: each a number and a value, of which ints are varints, uint32s and uint64s fixed.
func message(fields ...any) (b []byte) {
	for i := 0; i < len(fields); i += 2 {
		n := protowire.Number(fields[i].(int))
		switch v := fields[i+1].(type) {
		case int:
			b = protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), uint64(v))
		case uint64:
			b = protowire.AppendFixed64(protowire.AppendTag(b, n, protowire.Fixed64Type), v)
		case uint32:
			b = protowire.AppendFixed32(protowire.AppendTag(b, n, protowire.Fixed32Type), v)
		case string:
			b = protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), v)
		case []byte:
			b = protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
		}
	}
	return b
}

func properties(t *testing.T) *schema.Schema {
	return compile(t, schema.Source{Type: "PROTOBUF", Text: event, References: []schema.Reference{{Name: "shop/item.proto", Text: item},
		{Name: "google/protobuf/timestamp.proto", Text: "some registries list the standard files, too"}}})
}

// What a property becomes, one at a time: those without presence have their zero.
func TestProtobufValues(t *testing.T) {
	s := properties(t)
	zero := map[string]string{"big": "0", "bigger": "0", "small": "0", "fixed": "0", "yes": "false", "f": "0", "d": "0", "raw": `""`, "color": `"RED"`,
		"items": "[]", "counts": "{}", "names": "{}", "cart_total": "0", "newName": "0", "packed": "[]"}
	order := strings.Fields("big bigger small fixed yes f d raw color items counts names at took free wrapped unset mask empty any card cash maybe cart_total newName price nothing packed")
	for _, c := range []struct {
		data       []byte
		name, want string
	}{
		{message(), "big", "0"},
		{message(1, 9007199254740993), "big", "9007199254740993"},
		{message(1, -1), "big", "-1"},
		{message(2, -1), "bigger", "18446744073709551615"},
		{message(3, 3), "small", "-2"},
		{message(4, uint64(7)), "fixed", "7"},
		{message(5, 1), "yes", "true"},
		{message(6, uint32(0x3dcccccd)), "f", "0.1"},
		{message(7, uint64(0x3fb999999999999a)), "d", "0.1"},
		{message(7, uint64(0x7ff8000000000000)), "d", `"NaN"`},
		{message(7, uint64(0xfff0000000000000)), "d", `"-Infinity"`},
		{message(7, uint64(0x4b3b6d8f2f1a2c00)), "d", "2.6270772305396258e+54"},
		{message(8, []byte{0xfb, 0xff}), "raw", `"+/8="`},
		{message(9, 1), "color", `"GREEN"`},
		{message(9, 5), "color", "5"},
		{message(10, message(1, "A-1", 2, message(1, "é\n\"")), 10, message()), "items", `[{"sku":"A-1","inside":{"sku":"é\n\""}},{"sku":""}]`},
		{message(11, message(1, "b", 2, 2), 11, message(1, "a", 2, 1)), "counts", `{"a":1,"b":2}`},
		{message(12, message(1, 10, 2, "ten")), "names", `{"10":"ten"}`},
		{message(13, message(1, 1795517040, 2, 123000000)), "at", `"2026-11-24T10:44:00.123Z"`},
		{message(13, message(1, 1795517040, 2, 123456789)), "at", `"2026-11-24T10:44:00.123456789Z"`},
		{message(13, message(1, 1795517040)), "at", `"2026-11-24T10:44:00.000Z"`},
		{message(13, message(1, 1<<40)), "at", "1099511627776"},
		{message(14, message(1, 3, 2, 1)), "took", `"3.000000001s"`},
		{message(14, message(1, 3000)), "took", `"3000s"`},
		{message(14, message(2, -500000000)), "took", `"-0.500s"`},
		{message(15, message(1, message(1, "k", 2, message(6, message(1, message(2, uint64(0x4000000000000000)), 1, message(1, 0), 1, message(3, "s"), 1, message(4, 1))))), 15, message(1, message(1, "a", 2, message(5, message())))),
			"free", `{"a":{},"k":[2,null,"s",true]}`},
		{message(16, message(1, 5)), "wrapped", "5"},
		{message(16, message()), "wrapped", "0"},
		{message(18, message(1, "user.display_name", 1, "photo")), "mask", `"user.displayName,photo"`},
		{message(19, message()), "empty", `{}`},
		{message(20, message(1, "type.googleapis.com/shop.Item", 2, message(1, "A-2"))), "any", `{"@type":"type.googleapis.com/shop.Item","sku":"A-2"}`},
		{message(20, message(1, "type.googleapis.com/google.protobuf.Duration", 2, message(1, 2))), "any", `{"@type":"type.googleapis.com/google.protobuf.Duration","value":"2s"}`},
		{message(20, message(1, "type.googleapis.com/other.Thing", 2, message(1, "A-2"))), "any", `{"@type":"type.googleapis.com/other.Thing","value":"CgNBLTI="}`},
		{message(21, ""), "card", `""`},
		{message(22, 0), "cash", "0"},
		{message(23, 0), "maybe", "0"},
		{message(24, 5), "cart_total", "5"},
		{message(25, 5), "newName", "5"},
		{message(26, message(1, []byte{0x32, 0xc3}, 2, 4, 3, 2)), "price", "129.95"},
		{message(27, message()), "nothing", "null"},
		{message(28, []byte{1, 2}, 28, 3), "packed", "[1,2,3]"},
		{message(99, "a field of a newer version"), "big", "0"},
	} {
		var all []string
		for _, name := range order {
			if value := map[bool]string{true: c.want, false: zero[name]}[name == c.name]; value != "" {
				all = append(all, `"`+name+`":`+value)
			}
		}
		expect(t, s, append([]byte{2, 2}, c.data...), "{"+strings.Join(all, ",")+"}")
	}
}

// The envelope finds a field by its own name and by its JSON name, and takes a zero for one that is not there.
func TestProtobufEnvelope(t *testing.T) {
	s := properties(t)
	tripline := []string{"user_id", "time", "properties"}
	data := message(1, "u-17", 2, message(1, 1795517040), 3, message(24, 3))
	for _, c := range []struct {
		data  []byte
		want  string
		paths []string
	}{
		{message(1, "u-17"), `{"user_id":"u-17"}`, tripline},
		{message(), `{}`, tripline},
		{message(), `{"user_id":""}`, nil},
		{message(1, "u-17"), `{"userId":"u-17"}`, []string{"userId"}},
		{data, `{"user_id":"u-17","time":"2026-11-24T10:44:00.000Z","properties":{"cart_total":3}}`, tripline},
		{data, `{"user_id":"u-17","time":"2026-11-24T10:44:00.000Z","properties":{"cartTotal":3}}`, []string{"properties.cartTotal"}},
		{message(3, message()), `{"user_id":"","properties":{}}`, []string{"properties.cartTotal"}},
	} {
		got, err := s.JSON(append([]byte{0}, c.data...), c.paths, 0)
		text := string(got)
		for _, zero := range []string{`"big":0,"bigger":0,"small":0,"fixed":0,"yes":false,"f":0,"d":0,"raw":"","color":"RED","items":[],"counts":{},"names":{},`,
			`"big":0,"bigger":0,"small":0,"fixed":0,"yes":false,"f":0,"d":0,"raw":"","color":"RED","items":[],"counts":{},"names":{}`, `,"newName":0,"packed":[]`, `"newName":0,"packed":[]`} {
			text = strings.ReplaceAll(text, zero, "")
		}
		if text = strings.ReplaceAll(text, "{,", "{"); err != nil || text != c.want {
			t.Errorf("%v: %s, %v; expected %s", c.paths, text, err, c.want)
		}
	}
}

// The files that a registry has itself are imported without a reference; one that is given goes before.
func TestProtobufKnownFiles(t *testing.T) {
	imports := ""
	for _, name := range strings.Fields("calendar_period color date datetime dayofweek decimal expr fraction interval latlng money month postal_address quaternion timeofday") {
		imports += `import "google/type/` + name + ".proto\"; "
	}
	s := compile(t, schema.Source{Type: "PROTOBUF", Text: `syntax = "proto3"; ` + imports + `message M { google.type.Money price = 1; google.type.DayOfWeek day = 2; google.type.Date date = 3; }`})
	expect(t, s, append([]byte{0}, message(1, message(1, "CAD", 2, 129, 3, 950000000), 2, 3, 3, message(1, 2026, 2, 11, 3, 24))...),
		`{"price":{"currency_code":"CAD","units":129,"nanos":950000000},"day":"WEDNESDAY","date":{"year":2026,"month":11,"day":24}}`)
	s = compile(t, schema.Source{Type: "PROTOBUF", Text: `syntax = "proto3"; import "google/type/money.proto"; message M { google.type.Money price = 1; }`,
		References: []schema.Reference{{Name: "google/type/money.proto", Text: `syntax = "proto3"; package google.type; message Money { string own = 1; }`}}})
	expect(t, s, append([]byte{0}, message(1, message(1, "x"))...), `{"price":{"own":"x"}}`)
}

// proto2 and editions know presence, groups and extensions.
func TestProtobufVersions(t *testing.T) {
	s := compile(t, schema.Source{Type: "PROTOBUF", Text: `syntax = "proto2";
message M { required string a = 1; optional int32 b = 2 [default = 7]; optional group Part = 3 { optional string x = 1; } extensions 100 to 200; }
extend M { optional string ext = 100; }`})
	expect(t, s, append([]byte{0}, message(1, "x")...), `{"a":"x"}`)
	expect(t, s, append([]byte{0}, message(1, "x", 2, 0, 100, "e")...), `{"a":"x","b":0,"[ext]":"e"}`)
	group := protowire.AppendTag(append(protowire.AppendTag(message(1, "x"), 3, protowire.StartGroupType), message(1, "in")...), 3, protowire.EndGroupType)
	expect(t, s, append([]byte{0}, group...), `{"a":"x","part":{"x":"in"}}`)
	refuses(t, s, append([]byte{0}, message(2, 1)...), "required field")
	s = compile(t, schema.Source{Type: "PROTOBUF", Text: `edition = "2023"; message M { string a = 1; int32 b = 2 [features.field_presence = IMPLICIT]; }`})
	expect(t, s, []byte{0}, `{"b":0}`)
}

func TestProtobufRefusals(t *testing.T) {
	s := properties(t)
	refuses(t, s, append([]byte{0}, message(1, "\xff")...), "invalid UTF-8")
	deep := message()
	for range 70 {
		deep = message(2, deep)
	}
	refuses(t, s, append([]byte{2, 2}, message(10, deep)...), "depth")
	if _, err := s.JSON(append([]byte{2, 2}, message(8, make([]byte, 600))...), nil, 512); err != schema.ErrTooLarge {
		t.Errorf("too large: %v", err)
	}
	for text, want := range map[string]string{
		`syntax = "proto3"; message M { Missing m = 1; }`:                      "Missing",
		`syntax = "proto3"; import "shop/gone.proto"; message M {}`:            "shop/gone.proto is none of its references",
		`syntax = "proto3"; message M { string a = 1; string a = 2; }`:         "a",
		`{"type": "record", "name": "an Avro schema under the wrong type"}`:    "syntax error",
		`syntax = "proto3"; import "/etc/passwd"; message M { string a = 1; }`: "/etc/passwd is none of its references",
	} {
		if _, err := schema.Compile(schema.Source{Type: "PROTOBUF", Text: text}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; expected %q", text, err, want)
		}
	}
}
