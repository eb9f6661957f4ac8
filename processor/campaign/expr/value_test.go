package expr

import (
	"testing"

	"github.com/tripline/tripline/processor/campaign/value"
)

// An expression that need not be a boolean gives a value of JSON, and nil where there is none.
func TestValue(t *testing.T) {
	event, err := value.ParseObject([]byte(`{"amount":12.5,"n":3,"name":"a","big":12345678901234567890,"items":[{"sku":"b"}],"yes":true,"a b":7}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text, want string
		fails      bool
	}{
		{text: "event.amount", want: "12.5"},
		{text: "event.amount * 2", want: "25"},
		{text: "event.n + 1", want: "4"},
		{text: `event["a b"]`, want: "7"},
		{text: "event.name", want: `"a"`},
		{text: "event.big", want: "12345678901234567890"},
		{text: "event.items", want: `[{"sku":"b"}]`},
		{text: "event.items[0].sku", want: `"b"`},
		{text: "event.yes", want: "true"},
		{text: "event.amount > 5", want: "true"},
		{text: "event.missing", want: "null"},
		{text: "event.missing * 2", want: "null"},
		{text: `duration("3d")`, want: "null"},
		{text: "event.name * 2", want: "null", fails: true},
	} {
		p, bad := CompileValue(c.text, Where)
		if bad != nil {
			t.Errorf("%s: %v", c.text, bad)
			continue
		}
		env := Env{Event: event, HasEvent: true}
		for range 2 { // an Env is good for more than one judgement
			v, err := p.Value(&env)
			if got := string(v.Append(nil)); got != c.want || err != nil != c.fails {
				t.Errorf("%s gives %s (%v), expected %s", c.text, got, err, c.want)
			}
		}
	}
	for _, text := range []string{"event.x +", "profile.x", "count(\"A\", \"1d\")", ""} {
		if _, bad := CompileValue(text, Where); bad == nil {
			t.Errorf("%q compiles", text)
		}
	}
}
