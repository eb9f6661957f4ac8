package value

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func mustObject(t *testing.T, text string) Properties {
	t.Helper()
	p, err := ParseObject([]byte(text))
	if err != nil {
		t.Fatalf("ParseObject(%q): %v", text, err)
	}
	return p
}

func TestParseObject(t *testing.T) {
	for in, want := range map[string]string{
		`{}`:                                   `{}`,
		` { "a" : 1.0 , "b" : null } `:         `{"a":1.0,"b":null}`,
		`{"a":1,"b":2,"a":{"x": 1}}`:           `{"a":{"x":1},"b":2}`,
		`{"":0,"a":1,"":2}`:                    `{"":2,"a":1}`,
		`{"ab":1,"ba":2,"ab":3,"aab":4}`:       `{"ab":3,"ba":2,"aab":4}`,
		`{"a\"b":"c\\d"}`:                      `{"a\"b":"c\\d"}`,
		`{"Requested Product":"\ud800","é":1}`: `{"Requested Product":"` + "\ufffd" + `","é":1}`,
	} {
		if got := string(mustObject(t, in).Append(nil)); got != want {
			t.Errorf("%s is written %s, want %s", in, got, want)
		}
	}
	for in, want := range map[string]string{
		`[]`:       "at byte 0: expected an object",
		`null`:     "at byte 0: expected an object",
		`"a"`:      "at byte 0: expected an object",
		`{"a":1`:   "at byte 6: expected ',' or '}', found the end",
		`{"a":1}x`: "at byte 7: expected nothing after the value",
		"{\"\xff":  "not valid UTF-8",
		``:         "at byte 0: expected an object, found the end",
		`{"a":`:    "at byte 5: expected a value, found the end",
	} {
		if p, err := ParseObject([]byte(in)); err == nil || err.Error() != want || p != nil {
			t.Errorf("ParseObject(%q) = %v, %v; want the error %q", in, p, err, want)
		}
	}
}

// many writes an object of n members, all of them twice, the second time with larger values.
func many(n int) (text, want string) {
	var in, out []string
	for i := range n {
		in = append(in, fmt.Sprintf(`"p%d":%d`, i, i))
		out = append(out, fmt.Sprintf(`"p%d":%d`, i, i+n))
	}
	for i := range n {
		in = append(in, fmt.Sprintf(`"p%d":%d`, i, i+n))
	}
	return "{" + strings.Join(in, ",") + "}", "{" + strings.Join(out, ",") + "}"
}

func TestDuplicatesAmongMany(t *testing.T) {
	for _, n := range []int{1, 7, few - 1, few, few + 1, 3 * few, 1000} {
		text, want := many(n)
		if got := string(mustObject(t, text).Append(nil)); got != want {
			t.Errorf("of %d properties twice: %s", n, got)
		}
		if got := mustParse(t, "["+text+"]").Text(); got != "["+want+"]" {
			t.Errorf("of %d properties twice, in a list: %s", n, got)
		}
	}
}

func TestMerge(t *testing.T) {
	for _, c := range []struct{ p, patch, want string }{
		{`{}`, `{}`, `{}`},
		{`{}`, `{"a":1}`, `{"a":1}`},
		{`{}`, `{"a":null}`, `{}`},
		{`{"a":1}`, `{}`, `{"a":1}`},
		{`{"a":1}`, `{"a":null}`, `{}`},
		{`{"a":1,"b":2}`, `{"b":3,"c":4}`, `{"a":1,"b":3,"c":4}`},
		{`{"a":1,"b":2,"c":3}`, `{"a":null,"c":null,"d":1,"e":null}`, `{"b":2,"d":1}`},
		{`{"a":{"x":1}}`, `{"a":{"y":2}}`, `{"a":{"y":2}}`},
		{`{"a":1}`, `{"a":1.0}`, `{"a":1.0}`},
		{`{"a":"x"}`, `{"b":"x","a":"x"}`, `{"a":"x","b":"x"}`},
	} {
		p, patch := mustObject(t, c.p), mustObject(t, c.patch)
		if got := string(p.Merge(patch).Append(nil)); got != c.want {
			t.Errorf("%s and %s make %s, want %s", c.p, c.patch, got, c.want)
		}
		if string(p.Append(nil)) != c.p || string(patch.Append(nil)) != c.patch {
			t.Errorf("merging changed %s to %s or %s to %s", c.p, p.Append(nil), c.patch, patch.Append(nil))
		}
	}
}

func TestMergeLeavesSharedRoomAlone(t *testing.T) {
	p := append(make(Properties, 0, 8), mustObject(t, `{"a":1}`)...)
	b, c := p.Merge(mustObject(t, `{"b":2}`)), p.Merge(mustObject(t, `{"c":3}`))
	if string(b.Append(nil)) != `{"a":1,"b":2}` || string(c.Append(nil)) != `{"a":1,"c":3}` {
		t.Errorf("two merges of one: %s, %s", b.Append(nil), c.Append(nil))
	}
	if same := p.Merge(mustObject(t, `{"a":1,"z":null}`)); &same[0] != &p[0] {
		t.Error("a merge that changes nothing made a copy")
	}
}

func TestMergeOfMany(t *testing.T) {
	_, text := many(100)
	p := mustObject(t, text)
	var want []string
	patch := make(Properties, 0, 200)
	for i, property := range p {
		switch i % 3 {
		case 0:
			patch = append(patch, Property{property.Name, Value{}})
			continue
		case 1:
			property.Value = OfNumber(-1)
			patch = append(patch, property)
		}
		want = append(want, fmt.Sprintf("%q:%s", property.Name, property.Value.Text()))
	}
	patch = append(patch, Property{"new", OfBool(true)})
	want = append(want, `"new":true`)
	if got := string(p.Merge(patch).Append(nil)); got != "{"+strings.Join(want, ",")+"}" {
		t.Errorf("got %s", got)
	}
}

// Bytes never tells less than there is, and of what may be too much exactly that.
func TestBytes(t *testing.T) {
	for _, text := range []string{`{}`, `{"a":null}`, `{"a":1e300,"b":true}`, `{"a":{"b":[1,"x"]},"c":"\u0001\u0002é"}`, `{"` + strings.Repeat(`\u0001`, 50) + `":-0.000001}`} {
		p := append(mustObject(t, text), Property{"n", OfNumber(-1.2345678901234567e-300)})
		want := len(p.Append(nil))
		if got := p.Bytes(0); got != want {
			t.Errorf("%s has %d bytes, told as %d", text, want, got)
		}
		for enough := range 1000 {
			if got := p.Bytes(enough); got < want || got > enough && got != want {
				t.Fatalf("%s has %d bytes, told as %d where %d are enough", text, want, got, enough)
			}
		}
	}
}

func TestBinary(t *testing.T) {
	for _, text := range []string{
		`null`, `true`, `false`, `0`, `-0`, `1`, `-1`, `63`, `64`, `-64`, `-65`, `9007199254740991`, `-9007199254740991`,
		`9007199254740992`, `1.0`, `1e3`, `129.95`, `12345678901234567`, `1e400`, `1e99999999999999999999`, `""`, `"a"`,
		`"é\u0000"`, `[]`, `[1,"a",{"b":null}]`, `{}`, `{"a":{"b":[1.0]}}`, `"` + strings.Repeat("x", 300) + `"`,
	} {
		v := mustParse(t, text)
		written := v.AppendBinary([]byte("before"))
		got, rest, err := DecodeBinary(append(written, "after"...)[len("before"):])
		if err != nil || string(rest) != "after" || got != v {
			t.Errorf("%s came back as %s, rest %q, %v", text, got.Append(nil), rest, err)
		}
		for cut := range len(written) - len("before") {
			if got, _, err := DecodeBinary(written[len("before"):][:cut]); err == nil {
				t.Errorf("%d bytes of %s are %s", cut, text, got.Append(nil))
			}
		}
	}
	half := OfNumber(12.5)
	if got, _, err := DecodeBinary(half.AppendBinary(nil)); err != nil || !Equal(got, half) {
		t.Errorf("12.5 came back as %s, %v", got.Append(nil), err)
	}
}

func TestBinaryProperties(t *testing.T) {
	_, large := many(1000)
	for _, text := range []string{`{}`, `{"a":null}`, `{"":0}`, `{"a":1,"b":"x","c":[1,{"d":12345678901234567}],"e":129.95}`, large} {
		p := mustObject(t, text)
		written := p.AppendBinary([]byte("before"))
		got, rest, err := DecodeProperties(append(written, "after"...)[len("before"):])
		if err != nil || string(rest) != "after" || !reflect.DeepEqual(got, p) {
			t.Errorf("%s came back as %s, rest %q, %v", text, got.Append(nil), rest, err)
		}
		for cut := range min(100, len(written)-len("before")) {
			if got, _, err := DecodeProperties(written[len("before"):][:cut]); err == nil {
				t.Errorf("%d bytes of %s are %s", cut, text, got.Append(nil))
			}
		}
	}
}

func TestDecodedValuesOutliveTheirBytes(t *testing.T) {
	p := mustObject(t, `{"name":"value","list":[1,2]}`)
	row := p.AppendBinary(nil)
	got, _, err := DecodeProperties(row)
	if err != nil {
		t.Fatal(err)
	}
	clear(row)
	if string(got.Append(nil)) != `{"name":"value","list":[1,2]}` {
		t.Errorf("overwriting the row changed what was read from it: %s", got.Append(nil))
	}
}

func TestBrokenBinary(t *testing.T) {
	for name, broken := range map[string]string{
		"unknown tag":               "\x07\x01a",
		"number that is none":       "\x04\x01a",
		"number with a tail":        "\x04\x031 2",
		"list as number":            "\x04\x02[]",
		"number as list":            "\x06\x011",
		"list that does not close":  "\x06\x01[",
		"length beyond the end":     "\x05\x02a",
		"endless varint":            "\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		"whole number beyond 2^53":  "\x03\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
		"length beyond all numbers": "\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01a",
	} {
		if v, _, err := DecodeBinary([]byte(broken)); err == nil {
			t.Errorf("%s: %s", name, v.Append(nil))
		}
		property := append([]byte{byte(len(broken) + 3), 1, 1, 'n'}, broken...)
		if p, _, err := DecodeProperties(property); err == nil {
			t.Errorf("%s in a property: %s", name, p.Append(nil))
		}
	}
	for name, broken := range map[string]string{
		"no properties":       "\x01\x00",
		"too many properties": "\x03\x7f\x00\x00",
		"bytes left over":     "\x05\x01\x01a\x00\x00",
		"name too long":       "\x03\x01\x7fa",
		"length too long":     "\x7f\x01\x01a\x00",
	} {
		if p, _, err := DecodeProperties([]byte(broken)); err == nil {
			t.Errorf("%s: %s", name, p.Append(nil))
		}
	}
}
