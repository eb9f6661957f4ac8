package liquid

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	reference "github.com/osteele/liquid"

	"github.com/tripline/tripline/processor/campaign/value"
)

// author writes random templates of the part of the language on which the libraries agree: no floats, no objects as text,
// no comparison across types.
type author struct {
	*rand.Rand
	deep int
}

func (a *author) one(of ...string) string { return of[a.IntN(len(of))] }

func (a *author) number() string {
	base := a.one("n", "m", "7", "0", "-3", "40")
	for range a.IntN(3) {
		base += a.one(" | plus: 2", " | minus: n", " | times: m", " | abs", " | at_least: 4", " | at_most: 9")
	}
	return base
}

func (a *author) string() string {
	base := a.one("s", "e", "'Quick Brown'", `" pad "`, "o.inner", `o["a b"]`, "nothing", "l.first", "l[1]", "l.last")
	for range a.IntN(4) {
		base += a.one(" | upcase", " | downcase", ` | append: "x"`, " | prepend: s", ` | remove: "o"`, ` | replace: "i", "ii"`, ` | replace_first: "i", "-"`,
			" | strip", " | lstrip", " | rstrip", ` | default: "d"`, " | truncate: 7", " | url_encode", " | escape",
			` | split: "i" | join: "+"`, ` | slice: 1, 3`, " | base64_encode")
	}
	return base
}

func (a *author) list() string {
	base := a.one("l", "l", `s | split: " "`)
	for range a.IntN(3) {
		base += a.one(" | reverse", " | sort", " | uniq")
	}
	return base + a.one(` | join: ","`, " | size", " | first", " | last")
}

func (a *author) condition() string {
	c := a.one("n > m", "n == 5", "m != 3", "s == e", `s contains "i"`, `l contains "pear"`, "yes", "no", "nothing", "nothing == nil", "n >= 5", "m <= 2")
	if a.IntN(3) == 0 {
		c += a.one(" and ", " or ") + a.one("yes", "no", "n < m")
	}
	return c
}

func (a *author) write() string {
	a.deep++
	defer func() { a.deep-- }()
	var b strings.Builder
	for range 1 + a.IntN(4) {
		kind := a.IntN(10)
		if a.deep > 2 {
			kind = a.IntN(4)
		}
		switch kind {
		case 0, 1:
			fmt.Fprintf(&b, "{{ %s }} ", a.string())
		case 2:
			fmt.Fprintf(&b, "{{ %s }}\n", a.number())
		case 3:
			fmt.Fprintf(&b, "a {{- %s -}} b", a.list())
		case 4:
			fmt.Fprintf(&b, "{%% if %s %%}%s{%% elsif %s %%}%s{%% else %%}%s{%% endif %%}", a.condition(), a.write(), a.condition(), a.write(), a.write())
		case 5:
			fmt.Fprintf(&b, "{%% unless %s %%}%s{%% endunless %%}", a.condition(), a.write())
		case 6:
			fmt.Fprintf(&b, "{%% for i in %s %%}{{ forloop.index }}{{ i }}%s{%% endfor %%}", a.one("l", "(1..3)", "l limit: 2", "l reversed", "l offset: 1"), a.write())
		case 7:
			fmt.Fprintf(&b, "{%% assign v = %s %%}{{ v }}", a.string())
		case 8:
			fmt.Fprintf(&b, "{%% capture c %%}%s{%% endcapture %%}{{ c | upcase }}", a.write())
		case 9:
			fmt.Fprintf(&b, "{%% case n %%}{%% when 1 %%}%s{%% when 5 %%}%s{%% else %%}%s{%% endcase %%}", a.write(), a.write(), a.write())
		}
	}
	return b.String()
}

// TestAgainstReference renders random templates with another implementation of the language and with ours.
func TestAgainstReference(t *testing.T) {
	const bindings = `{"n":5,"m":2,"s":"A quick fish is in it","e":"","yes":true,"no":false,"l":["pear","apple","fig","pear"],
		"o":{"inner":"<i>Ünder & over</i>","a b":"line break"},"nothing":null}`
	p, err := value.ParseObject([]byte(bindings))
	if err != nil {
		t.Fatal(err)
	}
	names := Scope{}
	for _, property := range p {
		names[property.Name] = nil
	}
	theirs := map[string]any{"n": 5, "m": 2, "s": "A quick fish is in it", "e": "", "yes": true, "no": false,
		"l": []any{"pear", "apple", "fig", "pear"}, "o": map[string]any{"inner": "<i>Ünder & over</i>", "a b": "line break"}}
	engine := reference.NewEngine()
	compared := 0
	for seed := range uint64(600) {
		a := &author{Rand: rand.New(rand.NewPCG(seed, 1))}
		source := a.write()
		want, refErr := engine.ParseAndRenderString(source, theirs)
		if refErr != nil {
			continue
		}
		tmpl, problems := Parse(source, names)
		if problems != nil {
			t.Fatalf("seed %d: %s\n%v", seed, source, problems)
		}
		got, err := tmpl.Render(Env{Look: func(name string) Value { return Of(p.Get(name)) }})
		if err != nil || string(got) != want {
			t.Fatalf("seed %d: %s\n got %q %v\nwant %q", seed, source, got, err, want)
		}
		compared++
	}
	if compared < 300 {
		t.Fatalf("only %d templates were compared", compared)
	}
}
