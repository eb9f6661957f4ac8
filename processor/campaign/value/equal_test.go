package value

import (
	"bytes"
	"math"
	"testing"
)

// classes are values that are equal within each class, and to none of another.
var classes = [][]string{
	{`null`},
	{`true`},
	{`false`},
	{`0`, `-0`, `0.0`, `0e5`, `-0.0`},
	{`1`, `1.0`, `10e-1`, `0.1e1`, `1E0`},
	{`"1"`, `"\u0031"`},
	{`"1.0"`},
	{`""`},
	{`12345678901234567`, `12345678901234567.0`, `1234567890123456.7e1`, `0.12345678901234567E+17`},
	{`12345678901234568`},
	{`12345678901234569`},
	{`-12345678901234567`},
	{`1e400`, `10e399`, `1.0E+400`},
	{`1e401`},
	{`1e-400`},
	{`1e99999999999999999999`},
	{`[]`},
	{`{}`},
	{`[1,2]`, `[1.0,2e0]`, ` [ 1 , 2 ] `},
	{`[2,1]`},
	{`[1,2,3]`},
	{`[[1],2]`},
	{`[1,[2]]`},
	{`["1","2"]`},
	{`{"a":1,"b":[{"c":2}]}`, `{"b":[{"c":2.0}],"a":1}`, `{"a":0,"b":[{"c":2}],"a":1}`},
	{`{"a":1,"b":[{"c":3}]}`},
	{`{"a":1,"b":null}`},
	{`{"a":1}`},
	{`{"b":1}`},
	{`{"a":"1"}`},
	{`[12345678901234567]`, `[12345678901234567.0]`},
	{`[12345678901234568]`},
}

func TestEqual(t *testing.T) {
	type one struct {
		class int
		text  string
	}
	var all []one
	for i, class := range classes {
		for _, text := range class {
			all = append(all, one{i, text})
		}
	}
	for _, a := range all {
		for _, b := range all {
			v, w := mustParse(t, a.text), mustParse(t, b.text)
			if Equal(v, w) != (a.class == b.class) {
				t.Errorf("Equal(%s, %s) = %v", a.text, b.text, Equal(v, w))
			}
			k, l := v.AppendKey(nil), w.AppendKey(nil)
			if bytes.Equal(k, l) != (a.class == b.class) {
				t.Errorf("keys of %s and %s: %x, %x", a.text, b.text, k, l)
			}
			if a.class != b.class && bytes.HasPrefix(k, l) {
				t.Errorf("the key of %s begins with that of %s", a.text, b.text)
			}
		}
	}
	if !Equal(OfNumber(math.Copysign(0, -1)), OfNumber(0)) {
		t.Error("the zeros differ")
	}
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
		ok   bool
	}{
		{`1`, `2`, -1, true},
		{`2.0`, `2`, 0, true},
		{`-0`, `0`, 0, true},
		{`3`, `2`, 1, true},
		{`"a"`, `"b"`, -1, true},
		{`"Z"`, `"a"`, -1, true},
		{`"é"`, `"z"`, 1, true},
		{`"a"`, `"a"`, 0, true},
		{`"1"`, `1`, 0, false},
		{`1`, `null`, 0, false},
		{`null`, `null`, 0, false},
		{`true`, `false`, 0, false},
		{`12345678901234567`, `1`, 0, false},
		{`12345678901234567`, `12345678901234567`, 0, false},
		{`[1]`, `[2]`, 0, false},
		{`{}`, `{}`, 0, false},
	} {
		if got, ok := Compare(mustParse(t, c.a), mustParse(t, c.b)); got != c.want || ok != c.ok {
			t.Errorf("Compare(%s, %s) = %d, %v", c.a, c.b, got, ok)
		}
	}
}
