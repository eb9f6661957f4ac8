package value

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParse holds Parse to encoding/json: the same texts are JSON, and they mean the same.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`null`, ` true `, `-0.0e+10`, `12345678901234567`, `"\ud83d\ude00\ud83d"`, `[1, 2.0, {"a": [], "a": {}}]`,
		`{"a":1,"b":{"c":[true,false,null]},"a":"\u0061"}`, `{"a":1}x`, "\"\xff\"", "[\"\x01\"]", `{"a":}`, `[1,]`, `01`,
		strings.Repeat("[", 70), `{"p1":1,"p2":2,"p3":3,"p4":4,"p5":5,"p6":6,"p7":7,"p8":8,"p9":9,"p10":10,"p11":11,` +
			`"p12":12,"p13":13,"p14":14,"p15":15,"p16":16,"p17":17,"p1":18}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := Parse(text)
		valid := utf8.Valid(text) && json.Valid(text)
		if err != nil {
			if valid && !strings.Contains(err.Error(), "nested deeper") {
				t.Fatalf("%q is JSON, but: %v", text, err)
			}
			return
		}
		if !valid {
			t.Fatalf("%q is no JSON, but is %s", text, v.Append(nil))
		}
		written := v.Append(nil)
		if got, want := meaning(t, written), meaning(t, text); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q became %q", text, written)
		}
		again, err := Parse(written)
		if err != nil || again != v {
			t.Fatalf("%q became %q, and that %q, %v", text, written, again.Append(nil), err)
		}
		if !Equal(v, again) || !bytes.Equal(v.AppendKey(nil), again.AppendKey(nil)) {
			t.Fatalf("%q is not equal to itself", text)
		}
		row, rest, err := DecodeBinary(v.AppendBinary(nil))
		if err != nil || len(rest) > 0 || row != v {
			t.Fatalf("%q came back from a row as %q, %v", text, row.Append(nil), err)
		}
		rebuilt(t, v)
	})
}

// meaning is what encoding/json reads; numbers stay as they are written.
func meaning(t *testing.T, text []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return v
}

// rebuilt checks that a list or object is what its elements or fields are.
func rebuilt(t *testing.T, v Value) {
	parts := v.Fields().Append(nil)
	if v.Kind() == List {
		parts = append(parts[:0], '[')
		for i, e := range v.Elements() {
			if i > 0 {
				parts = append(parts, ',')
			}
			parts = e.Append(parts)
			rebuilt(t, e)
		}
		parts = append(parts, ']')
	}
	if (v.Kind() == List || v.Kind() == Object) && string(parts) != v.Text() {
		t.Fatalf("the parts of %s are %s", v.Text(), parts)
	}
}

// FuzzDecodeProperties feeds bytes that no row ever held: an error or properties that can be used as any others.
func FuzzDecodeProperties(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1}`, `{"a":-0,"b":1.50,"c":"x","d":[1,{}],"e":{"f":null},"g":true,"h":1e400}`} {
		p, err := ParseObject([]byte(seed))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p.AppendBinary(nil))
	}
	f.Fuzz(func(t *testing.T, row []byte) {
		p, rest, err := DecodeProperties(row)
		if err != nil {
			return
		}
		if !bytes.HasSuffix(row, rest) {
			t.Fatalf("the rest %x is not of %x", rest, row)
		}
		again, rest, err := DecodeProperties(p.AppendBinary(nil))
		if err != nil || len(rest) > 0 || !reflect.DeepEqual(again, p) {
			t.Fatalf("%x came back as %s, %v", row, again.Append(nil), err)
		}
		written := p.Append(nil)
		if _, err := ParseObject(written); err != nil {
			t.Fatalf("%x is written as %q: %v", row, written, err)
		}
		p.Merge(p)
		Properties(nil).Merge(p)
	})
}
