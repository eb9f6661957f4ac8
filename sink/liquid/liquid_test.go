package liquid

import (
	"errors"
	"strings"
	"testing"

	"github.com/tripline/tripline/processor/campaign/value"
)

var scope = Scope{"Profile": nil, "Event": nil, "Events": nil, "User": {"id"}, "list": nil, "x": nil, "y": nil, "now": {}}

const sample = `{
	"Profile": {"name":"Ann","age":41,"vip":true,"none":null,"balance":1.0,"big":12345678901234567890,"plan":"","tags":["a","b"],
		"address":{"city":"Toronto","lines":["1 King St","2nd floor"]},"html":"<b>&amp; \"x\"</b>","million":1000000,"tiny":0.000001},
	"Event": {"amount":129.95,"a b":"spaced","items":[{"sku":"A-1","n":2,"gift":true},{"sku":"B-2","n":1}]},
	"User": {"id":"u-17"},
	"list": [3,1,2,10,1],
	"x": 5, "y": "text", "now": "2026-11-24T11:14:00.123Z"
}`

func env(t testing.TB, strict bool) Env {
	t.Helper()
	p, err := value.ParseObject([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	return Env{Look: func(name string) Value { return Of(p.Get(name)) }, Now: 1795518840123, Strict: strict}
}

func TestRender(t *testing.T) {
	for _, c := range []struct{ template, want string }{
		{`Hello {{ Profile.name }}!`, `Hello Ann!`},
		{`{{ Event["a b"] }}|{{ Event['a b'] }}`, `spaced|spaced`},
		{`[{{ Profile.none }}{{ Profile.nothing }}{{ Profile.nothing.deeper }}]`, `[]`},
		{`{{ Profile.balance }} {{ Profile.big }} {{ Profile.million }} {{ Profile.tiny }}`, `1.0 12345678901234567890 1000000 0.000001`},
		{`{{ Profile.million | times: 1000000 }} {{ 0.1 | times: 3 }} {{ 1.5 | times: 2 }}`, `1000000000000 0.30000000000000004 3`},
		{`{{ Profile.plan | default: "free" }} {{ Profile.none | default: 3 }} {{ false | default: true, allow_false: true }}`, `free 3 false`},
		{`{{ Profile.address | json }}`, `{"city":"Toronto","lines":["1 King St","2nd floor"]}`},
		{`{{ Profile.address }}`, `{"city":"Toronto","lines":["1 King St","2nd floor"]}`},
		{`{{ Profile.tags }}{{ Profile.tags | json }}`, `ab["a","b"]`},
		{`{{ Profile.nothing | json }},{{ true | json }}`, `null,true`},
		{`{{ 'a"b' | json }}`, `"a\"b"`},
		{`{{ Profile.address.city | upcase | append: "!" }}`, `TORONTO!`},
		{`{{ Event.items[1].sku }} {{ Event.items.first.sku }} {{ Event.items.last.n }} {{ Event.items[-1].n }} {{ Event.items.size }}`, `B-2 A-1 1 1 2`},
		{`{{ Profile.address["city"].size }}`, `7`},
		{`{% for i in Event.items %}{{ forloop.index }}:{{ i.sku }}{% unless forloop.last %},{% endunless %}{% endfor %}`, `1:A-1,2:B-2`},
		{`{% for i in (1..5) reversed limit: 3 offset: 1 %}{{ i }}{% endfor %}`, `432`},
		{`{% for i in list %}{% if i == 2 %}{% continue %}{% elsif i == 10 %}{% break %}{% endif %}{{ i }}{% endfor %}`, `31`},
		{`{% for i in Profile.nothing %}x{% else %}none{% endfor %}`, `none`},
		{`{% for p in Profile.address limit: 1 %}{{ p[0] }}={{ p[1] }}{% endfor %}`, `city=Toronto`},
		{`{% for i in (1..2) %}{% for j in (1..2) %}{{ forloop.parentloop.index }}{{ forloop.index }} {% endfor %}{% endfor %}`, `11 12 21 22 `},
		{`{% if Profile.age >= 18 and Profile.vip %}adult{% else %}minor{% endif %}`, `adult`},
		{`{% if true or false and false %}yes{% else %}no{% endif %}`, `yes`},
		{`{% if Profile.tags contains "b" %}b{% endif %}{% if Profile.name contains "nn" %}n{% endif %}{% if Profile.address contains "city" %}c{% endif %}`, `bnc`},
		{`{% if Profile.plan == empty %}e{% endif %}{% if Profile.none == blank %}b{% endif %}{% if Profile.name != blank %}n{% endif %}`, `ebn`},
		{`{% if Profile.age == "41" %}wrong{% endif %}{% if Profile.age == 41.0 %}right{% endif %}`, `right`},
		{`{% if Profile.nothing > 3 %}wrong{% endif %}{% if Profile.nothing == nil %}nil{% endif %}`, `nil`},
		{`{% unless Profile.vip %}no{% else %}vip{% endunless %}`, `vip`},
		{`{% case x %}ignored{% when 1, 2 %}a{% when 3 or 5 %}b{% else %}c{% endcase %}{% case y %}{% when 1 %}a{% else %}c{% endcase %}`, `bc`},
		{`{% assign z = x | plus: 1 %}{{ z }}{% capture w %}<{{ z }}>{% endcapture %}{{ w }}`, `6<6>`},
		{`{% for i in (1..4) %}{% cycle "a", "b" %}{% endfor %}{% cycle "g": 1, 2 %}{% cycle "g": 1, 2 %}`, `abab12`},
		{`{% increment n %}{% increment n %}{% decrement n %}{{ n }}`, `0111`},
		{`a {%- comment %} {{ broken {% if %} {% comment %}{% endcomment %} {% endcomment -%} b`, `ab`},
		{`{% raw %}{{ x }} {% if %}{% endraw %}`, `{{ x }} {% if %}`},
		{`{%- raw -%} {{ x }} {%- endraw -%} .`, `{{ x }}.`},
		{`{% # don't care %}{% echo x %}`, `5`},
		{"a \n {{- x -}} \n b{{ '}}' }}", `a5b}}`},
		{`{"a":{"b":{{ x }}}}`, `{"a":{"b":5}}`},
		{`{{ now }} {{ "now" | date: "%Y-%m-%d %H:%M" }} {{ now | date: "%b %e, %Y at %l:%M %p" }}`,
			`2026-11-24T11:14:00.123Z 2026-11-24 11:14 Nov 24, 2026 at 11:14 AM`},
		{`{{ 0 | date: "%F" }} {{ "2024-02-29T23:30:00-05:00" | date: "%F %T %z" }} {{ "no time" | date: "%F" }}`,
			`1970-01-01 2024-02-29 23:30:00 -0500 no time`},
		{`{{ list | sort | join: "," }} {{ list | uniq | size }} {{ list | reverse | first }} {{ list | sum }}`, `1,1,2,3,10 4 1 17`},
		{`{{ Event.items | map: "sku" | join }} {{ Event.items | where: "gift" | size }} {{ Event.items | where: "n", 1 | map: "sku" }} {{ Event.items | sum: "n" }}`,
			`A-1 B-2 1 B-2 3`},
		{`{{ Event.items | reject: "gift" | map: "sku" }} {{ Event.items | has: "n", 2 }} {{ Event.items | find_index: "sku", "B-2" }} {% assign f = Event.items | find: "n", 1 %}{{ f.sku }}`, `B-2 true 1 B-2`},
		{`{{ "a,b,,c,," | split: "," | size }} {{ "abc" | split: "" | join: "-" }} {{ " a  b " | split: " " | join: "|" }}`, `4 a-b-c a|b`},
		{`{{ "ab" | concat: list | size }}`, `6`},
		{`{{ 7 | divided_by: 2 }} {{ -7 | divided_by: 2 }} {{ 7.0 | divided_by: 2 }} {{ 7 | modulo: 3 }} {{ -7 | modulo: 3 }} {{ 7.5 | modulo: 2 }}`, `3 -4 3.5 1 2 1.5`},
		{`{{ 9223372036854775807 | plus: 1 }} {{ 9007199254740993 | plus: 1 }} {{ "12" | plus: "3" }} {{ "x" | plus: 1 }}`, `9223372036854776000 9007199254740994 15 1`},
		{`{{ 4.5612 | round: 2 }} {{ 4.5 | round }} {{ -4.5 | ceil }} {{ 4.2 | ceil }} {{ 4.9 | floor }} {{ -3 | abs }} {{ 1234 | round: -2 }}`, `4.56 5 -4 5 4 3 1200`},
		{`{{ 5 | at_least: 7 }} {{ 5 | at_most: 3 }} {{ 5 | at_least: 3 }}`, `7 3 5`},
		{`{{ "hello world" | capitalize }} {{ "élan" | capitalize }} {{ "HÉ" | downcase }}`, `Hello world Élan hé`},
		{`{{ Profile.html | escape }} {{ "&amp;<" | escape_once }} {{ Profile.html | strip_html }}`,
			`&lt;b&gt;&amp;amp; &quot;x&quot;&lt;/b&gt; &amp;&lt; &amp; "x"`},
		{`{{ "a b&c/é" | url_encode }} {{ "a+b%26" | url_decode }}`, `a+b%26c%2F%C3%A9 a b&`},
		{`{{ "a+/é" | base64_encode }} {{ "YSsvw6k=" | base64_decode }}`, `YSsvw6k= a+/é`},
		{`{{ "aXbXc" | replace: "X", "-" }} {{ "aXbXc" | replace_first: "X", "-" }} {{ "aXbXc" | replace_last: "X", "-" }} {{ "aXb" | remove: "X" }}`, `a-b-c a-bXc aXb-c ab`},
		{`{{ "Lorem ipsum dolor" | truncate: 10 }} {{ "Lorem ipsum dolor" | truncate: 10, "" }} {{ "a b c d" | truncatewords: 2 }} {{ "x" | truncate: -5 }}`, `Lorem i... Lorem ipsu a b... ...`},
		{`{{ "liquid" | slice: 2 }} {{ "liquid" | slice: -3, 2 }} {{ "liquid" | slice: 99 }}{{ list | slice: 1, 2 | join: "," }}`, `q ui 1,2`},
		{`{{ " a " | strip }}|{{ " a " | lstrip }}|{{ " a " | rstrip }}`, `a|a | a`},
		{"{{ \"a\nb\" | newline_to_br }}{{ \"a\nb\" | strip_newlines }}", "a<br />\nbab"},
		{`{{ (1..3) | join: "," }} {{ (1..x) }} {{ (1..3) | size }}`, `1,2,3 1..5 3`},
		{`{{ User.id }} {{ User }}`, `u-17 {"id":"u-17"}`},
		{`{{ "a" | json | json }}`, `"\"a\""`},
		{`{% for i in (1..2) %}{{ forloop | json }}{% endfor %}`, `{"index":1,"index0":0,"rindex":2,"rindex0":1,"first":true,"last":false,"length":2}` +
			`{"index":2,"index0":1,"rindex":1,"rindex0":0,"first":false,"last":true,"length":2}`},
		{`{% assign l = Event.items | map: "gift" %}{{ l | json }} {{ l | compact | json }} {{ Event.items | compact: "gift" | size }} {{ Event.items | uniq: "gift" | size }}`, `[true,null] [true] 1 2`},
		{`{{ Event.items | find: "n", 9 | json }} {{ Event.items | find_index: "n", 9 | json }} {{ Profile.tags | where: "x" | json }}`, `null null []`},
		{`{{ "a b" | truncatewords: 5 }} {{ "" | capitalize }}{{ Profile.address.size }} {{ Profile.nothing | size }} {{ (1..9) | slice: 1 }}`, `a b 2 0 .`},
		{`{% if x > "4" %}a{% endif %}{% if y < "z" %}b{% endif %}{% if x <> 4 %}c{% endif %}{% if x <= 5.0 %}d{% endif %}`, `bcd`},
		{`{% for c in "text" %}{{ c }}{% endfor %}{% capture "n" %}{% for i in (1..3) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}{% endcapture %}{{ n }}`, `text1`},
		{`{{ 007 }} {{ 10000000000000000 | times: 10000000000000000 }} {{ 3.0 | abs }}`, `7 1e+32 3`},
		{`{% if list[0] == 3 and list.size == 5 %}ok{% endif %}`, `ok`},
	} {
		tmpl, problems := Parse(c.template, scope)
		if problems != nil {
			t.Errorf("%s: %v", c.template, problems[0])
			continue
		}
		got, err := tmpl.Render(env(t, false))
		if err != nil || string(got) != c.want {
			t.Errorf("%s\n got %s %v\nwant %s", c.template, got, err, c.want)
		}
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct{ template, want string }{
		{`{{ Profile.x | upcsae }}`, `line 1, column 16: unknown filter upcsae; did you mean upcase?`},
		{"a\nbé {% forr i in x %}", `line 2, column 4: unknown tag forr; did you mean for?`},
		{`{{ Proflie.x }}`, `line 1, column 4: unknown name Proflie; did you mean Profile?`},
		{`{{ User.name }}`, `line 1, column 4: User has no name`},
		{`{{ x`, `line 1, column 1: this {{ is not closed: expected }}`},
		{`{{ x | append: "a }}`, `line 1, column 16: this string is not closed`},
		{`{% if x %}{% for i in x %}{% endif %}`, `line 1, column 27: endif without a if that it could close`},
		{`{% if x %}`, `line 1, column 1: this if is not closed: expected {% endif %}`},
		{`{% comment %}`, `line 1, column 1: this comment is not closed: expected {% endcomment %}`},
		{`{% endif %}`, `line 1, column 1: endif without a if that it could close`},
		{`{% else %}`, `line 1, column 1: else outside of a block that has one`},
		{`{% break %}`, `line 1, column 1: break outside of a loop`},
		{`{{ x | plus }}`, `line 1, column 8: the filter plus takes one argument, not 0`},
		{`{{ x | plus: 1, 2 }}`, `line 1, column 8: the filter plus takes one argument, not 2`},
		{`{{ x | plus: by: 2 }}`, `line 1, column 14: the filter plus has no argument named by`},
		{`{{ x y }}`, `line 1, column 6: unexpected y`},
		{`{{ }}`, `line 1, column 3: expected a value, found the end`},
		{`{{ x | }}`, `line 1, column 7: expected the name of a filter, found the end`},
		{`{% if x = 1 %}{% endif %}`, `line 1, column 9: unexpected =`},
		{`{% for x on y %}{% endfor %}`, `line 1, column 10: expected in, found on`},
		{`{% assign x 1 %}`, `line 1, column 13: expected =, found 1`},
		{`{% include "x" %}`, `line 1, column 1: unknown tag include`},
		{`{{ x ; }}`, `line 1, column 6: unexpected character ';'`},
		{`{% if x %}a{% else y %}b{% endif %}`, `line 1, column 19: else takes no condition; elsif does`},
		{`{{ x. }}`, `line 1, column 6: expected a name behind the dot, found the end`},
		{strings.Repeat(`{% if x %}`, 100) + strings.Repeat(`{% endif %}`, 100), `line 1, column 641: blocks are nested too deeply`},
	} {
		_, problems := Parse(c.template, scope)
		if len(problems) == 0 || problems[0].Error() != c.want {
			t.Errorf("%s\n got %v\nwant %s", c.template, problems, c.want)
		}
	}
}

func TestAllProblems(t *testing.T) {
	_, problems := Parse("{{ x | nope }}\n{% huh %}{{ Nobody.x }}", scope)
	if len(problems) != 3 || problems[0].Line != 1 || problems[1].Line != 2 || problems[2].Column != 13 {
		t.Errorf("got %v", problems)
	}
	_, problems = ParseOutputs("a{{ x }}{% if x %}", scope)
	if len(problems) != 1 || problems[0].Column != 9 {
		t.Errorf("got %v", problems)
	}
}

func TestStrict(t *testing.T) {
	for _, c := range []struct{ template, missing string }{
		{`{{ Profile.nothing }}`, `Profile.nothing`},
		{`{{ Event["no such"] | upcase }}`, `Event["no such"]`},
		{`{{ "Hi " | append: Profile.none }}`, `Profile.none`},
		{`{{ Profile.nothing | json }}`, `Profile.nothing`},
		{`{{ Profile.nothing | default: "x" }}`, ``},
		{`{{ Profile.nothing | default: Profile.none | upcase }}`, ``},
		{`{% if Profile.nothing %}a{% endif %}{% for i in Profile.nothing %}{% endfor %}`, ``},
		{`{% assign z = Profile.nothing %}{{ z }}`, `z`},
		{`{{ Profile.plan }}{{ Profile.name }}`, ``},
	} {
		tmpl, problems := Parse(c.template, scope)
		if problems != nil {
			t.Fatalf("%s: %v", c.template, problems)
		}
		_, err := tmpl.Render(env(t, true))
		var missing *MissingError
		if errors.As(err, &missing) != (c.missing != "") || missing != nil && missing.Path != c.missing {
			t.Errorf("%s: got %v, want missing %q", c.template, err, c.missing)
		}
	}
}

func TestAbort(t *testing.T) {
	tmpl, _ := Parse(`a{% if x == 5 %}{% abort "not " | append: y %}{% endif %}`, scope)
	_, err := tmpl.Render(env(t, false))
	var abort *AbortError
	if !errors.As(err, &abort) || abort.Reason != "not text" {
		t.Errorf("got %v", err)
	}
}

func TestBounds(t *testing.T) {
	for _, c := range []struct{ template, want string }{
		{`{% for i in (1..10000) %}{% endfor %}`, ``},
		{`{% for i in (1..10001) %}{% endfor %}`, `10000 turns`},
		{`{% for i in (1..200) %}{% for j in (1..100) %}{% endfor %}{% endfor %}`, `10000 turns`},
		{`{% for i in (1..9999999999999) %}{% endfor %}`, `10000 turns`},
		{`{% assign s = "0123456789" %}{% for i in (1..20) %}{% assign s = s | append: s %}{% endfor %}`, `1048576 bytes of text`},
		{`{% assign s = (1..99999999999) | join: "," %}`, `elements`},
		{`{% capture s %}{% for i in (1..10000) %}0123456789{% endfor %}{% endcapture %}{% for i in (1..11) %}{{ s }}{% endfor %}`, `turns`},
		{`{% capture s %}{% for i in (1..9000) %}0123456789{% endfor %}{% endcapture %}{% for i in (1..12) %}{{ s }}{% endfor %}`, `1048576 bytes of output`},
		{`{% capture s %}{% for i in (1..9000) %}0123456789{% endfor %}{% endcapture %}{% for i in (1..999) %}{% assign t = s | replace: "0", s %}{% endfor %}`, `bytes of text`},
		{`{% capture s %}{% for i in (1..9000) %}0123456789{% endfor %}{% endcapture %}{% for i in (1..999) %}{% assign t = s | split: "" | uniq %}{% endfor %}`, `MiB of work`},
		{`{{ 1 | divided_by: 0 }}`, `divided by 0`},
		{`{{ "now" | date: "%999999999Y" }}`, `too long`},
	} {
		tmpl, problems := Parse(c.template, scope)
		if problems != nil {
			t.Fatalf("%s: %v", c.template, problems)
		}
		_, err := tmpl.Render(env(t, false))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !IsError(err) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.template, err, c.want)
		}
	}
}

func TestParts(t *testing.T) {
	tmpl, problems := ParseOutputs(`/a/{{ Profile.name }}/{{- Profile.none -}} /b`, scope)
	if problems != nil {
		t.Fatal(problems)
	}
	var got []string
	err := tmpl.Parts(env(t, false), func(text string, output bool) error {
		if output {
			text = "<" + text + ">"
		}
		got = append(got, text)
		return nil
	})
	if err != nil || strings.Join(got, " ") != "/a/ <Ann> / <> /b" {
		t.Errorf("got %q, %v", got, err)
	}
}
