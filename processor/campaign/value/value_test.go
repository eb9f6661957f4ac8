package value

import (
	"math"
	"strings"
	"testing"
)

func mustParse(t *testing.T, text string) Value {
	t.Helper()
	v, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return v
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		in   string
		kind Kind
		text string // Text()
		json string // Append; "": as in
	}{
		{`null`, Nil, ``, ``},
		{` true `, Bool, `true`, `true`},
		{`false`, Bool, `false`, ``},
		{`"a"`, String, `a`, ``},
		{`""`, String, ``, ``},
		{`"é\/\u00e9\ud83d\ude00"`, String, "é/é😀", `"é/é😀"`},
		{`"\"\\\b\f\n\r\t\u0001\u001f\u007f"`, String, "\"\\\b\f\n\r\t\x01\x1f\x7f", "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\""},
		{`"12345678\n12345678\"1234567"`, String, "12345678\n12345678\"1234567", ``},
		{`"<&>` + "\u2028" + `"`, String, "<&>\u2028", ``},
		{`"\ud83d"`, String, "\ufffd", `"` + "\ufffd" + `"`},
		{`"\ud83dx"`, String, "\ufffdx", `"` + "\ufffdx" + `"`},
		{`"\ude00\ud83d"`, String, "\ufffd\ufffd", `"` + "\ufffd\ufffd" + `"`},
		{`"\ud83d\u0041"`, String, "\ufffdA", `"` + "\ufffdA" + `"`},
		{`"\ud83d\ud83d\ude00"`, String, "\ufffd😀", `"` + "\ufffd😀" + `"`},
		{`[ ]`, List, `[]`, `[]`},
		{`{ }`, Object, `{}`, `{}`},
		{`[1,"a",null,{"b":[true]}]`, List, `[1,"a",null,{"b":[true]}]`, ``},
		{"[ 1.0 ,\n\t\"\\u0061\" ]", List, `[1.0,"a"]`, `[1.0,"a"]`},
		{`{"a":1,"b":2,"a":3}`, Object, `{"a":3,"b":2}`, `{"a":3,"b":2}`},
		{`{"a":1,"\u0061":2}`, Object, `{"a":2}`, `{"a":2}`},
		{`[{"a":{"x":1,"x":2},"b":[],"a":[{"y":1,"z":2,"y":3}]}]`, List, `[{"a":[{"y":3,"z":2}],"b":[]}]`, `[{"a":[{"y":3,"z":2}],"b":[]}]`},
	} {
		v := mustParse(t, c.in)
		if c.json == "" {
			c.json = c.in
		}
		if v.Kind() != c.kind || v.Text() != c.text || string(v.Append(nil)) != c.json {
			t.Errorf("Parse(%q) is kind %d, text %q, JSON %s; want %d, %q, %s", c.in, v.Kind(), v.Text(), v.Append(nil), c.kind, c.text, c.json)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for in, want := range map[string]string{
		``:                       "at byte 0: expected a value, found the end",
		`nul`:                    "at byte 0: expected a value",
		`NaN`:                    "at byte 0: expected a value",
		`1 2`:                    "at byte 2: expected nothing after the value",
		`{}}`:                    "at byte 2: expected nothing after the value",
		`[1,]`:                   "at byte 3: expected a value",
		`[1 2]`:                  "at byte 3: expected ',' or ']'",
		`[1`:                     "at byte 2: expected ',' or ']', found the end",
		`[,1]`:                   "at byte 1: expected a value",
		`{"a":1,}`:               "at byte 7: expected a member's name in quotes",
		`{,"a":1}`:               "at byte 1: expected a member's name in quotes",
		`{"a" 1}`:                "at byte 5: expected ':' after a member's name",
		`{"a":1 "b":2}`:          "at byte 7: expected ',' or '}'",
		`{a:1}`:                  "at byte 1: expected a member's name in quotes",
		`{"a":1]`:                "at byte 6: expected ',' or '}'",
		`"a`:                     "at byte 2: expected the closing quote of a string, found the end",
		`"12345678901`:           "at byte 12: expected the closing quote of a string, found the end",
		"\"a\nb\"":               "at byte 2: control character in a string",
		"[\"12345678\x01\"]":     "at byte 10: control character in a string",
		`"\x"`:                   "at byte 1: unknown escape in a string",
		`"\u12g4"`:               "at byte 1: unknown escape in a string",
		`"\u12`:                  "at byte 1: unknown escape in a string",
		`"\`:                     "at byte 1: unknown escape in a string",
		`-`:                      "at byte 1: expected a number without leading zeros, found the end",
		`01`:                     "at byte 2: expected a number without leading zeros, found the end",
		`-01`:                    "at byte 3: expected a number without leading zeros, found the end",
		`1.`:                     "at byte 2: expected a digit after the decimal point, found the end",
		`.5`:                     "at byte 0: expected a value",
		`+5`:                     "at byte 0: expected a value",
		`1e`:                     "at byte 2: expected a digit in the exponent, found the end",
		`1e+`:                    "at byte 3: expected a digit in the exponent, found the end",
		"\"\xff\"":               "not valid UTF-8",
		strings.Repeat("[", 65):  "at byte 64: nested deeper than 64",
		"\ufeff1":                "at byte 0: expected a value",
		`[{"a":1,"a":[}]}]`:      "at byte 13: expected a value",
		strings.Repeat(" ", 100): "at byte 100: expected a value, found the end",
	} {
		v, err := Parse([]byte(in))
		if err == nil || err.Error() != want {
			t.Errorf("Parse(%q) = %s, %v; want the error %q", in, v.Append(nil), err, want)
		}
		if !v.IsNil() {
			t.Errorf("Parse(%q) has an error and a value", in)
		}
	}
}

func TestNesting(t *testing.T) {
	deep := strings.Repeat(`{"a":[`, 32) + strings.Repeat(`]}`, 32)
	if v := mustParse(t, deep); v.Text() != deep {
		t.Errorf("64 levels came back as %s", v.Text())
	}
	if _, err := Parse([]byte("[" + deep + "]")); err == nil {
		t.Error("65 levels are no error")
	}
	if v := mustParse(t, "["+strings.Repeat("[],", 99)+"[]]"); len(v.Elements()) != 100 {
		t.Error("lists side by side count as nested")
	}
}

func TestAccessors(t *testing.T) {
	if b, ok := OfBool(true).Bool(); !b || !ok {
		t.Error("true is not")
	}
	if b, ok := OfBool(false).Bool(); b || !ok {
		t.Error("false is not")
	}
	if b, ok := OfNumber(1).Bool(); b || ok {
		t.Error("a number is a boolean")
	}
	if _, ok := OfBool(true).Float(); ok {
		t.Error("a boolean is a number")
	}
	if f, ok := OfNumber(2.5).Float(); f != 2.5 || !ok {
		t.Error("2.5 is not")
	}
	if _, ok := mustParse(t, "1e400").Float(); ok {
		t.Error("digits are a number")
	}
	if OfString("[1]").Elements() != nil || OfString("{}").Fields() != nil {
		t.Error("a string has elements or fields")
	}
	if !OfNumber(math.NaN()).IsNil() || !OfNumber(math.Inf(1)).IsNil() {
		t.Error("what JSON can't write is not Nil")
	}
	v := mustParse(t, `{"a":[1,{"b":"x"}],"c":null}`)
	if got := v.Fields().Get("a").Elements()[1].Fields().Get("b").Text(); got != "x" {
		t.Errorf("a[1].b is %q", got)
	}
	if !v.Fields().Has("c") || v.Fields().Has("d") || !v.Fields().Get("c").IsNil() {
		t.Error("null and missing are mixed up")
	}
}

func TestAppendRepairsUTF8(t *testing.T) {
	if got := string(OfString("a\xffb\xc3").Append(nil)); got != "\"a\ufffdb\ufffd\"" {
		t.Errorf("got %q", got)
	}
}

func TestKindNames(t *testing.T) {
	for k := Nil; k <= Object; k++ {
		if k.String() == "unknown" {
			t.Errorf("kind %d has no name", k)
		}
	}
	if Kind(99).String() != "unknown" {
		t.Error("kind 99 has a name")
	}
}
