package liquid

import "testing"

// TestDocumented holds the examples of Liquid's own pages (https://shopify.github.io/liquid): what a writer of templates may expect.
func TestDocumented(t *testing.T) {
	for _, c := range []struct{ template, want string }{
		{`{{ -17 | abs }} {{ 4 | abs }} {{ "-19.86" | abs }}`, `17 4 19.86`},
		{`{{ "/my/fancy/url" | append: ".html" }}`, `/my/fancy/url.html`},
		{`{{ 4 | at_least: 5 }} {{ 4 | at_least: 3 }} {{ 4 | at_most: 5 }} {{ 4 | at_most: 3 }}`, `5 4 4 3`},
		{`{{ "one two three" | base64_encode }} {{ "b25lIHR3byB0aHJlZQ==" | base64_decode }}`, `b25lIHR3byB0aHJlZQ== one two three`},
		{`{{ "title" | capitalize }} {{ "my GREAT title" | capitalize }}`, `Title My great title`},
		{`{{ 1.2 | ceil }} {{ 2.0 | ceil }} {{ 183.357 | ceil }} {{ "3.5" | ceil }}`, `2 2 184 4`},
		{`{% assign a = "apples, oranges" | split: ", " %}{% assign b = "carrots, turnips" | split: ", " %}{{ a | concat: b | join: " - " }}`, `apples - oranges - carrots - turnips`},
		{`{{ "2016-03-14T12:00:00Z" | date: "%a, %b %d, %y" }} {{ "2016-03-14" | date: "%Y" }} {{ "March 14, 2016" | date: "%b %d, %y" }}`, `Mon, Mar 14, 16 2016 Mar 14, 16`},
		{`{{ product_price | default: 2.99 }} {% assign p = 4.99 %}{{ p | default: 2.99 }} {% assign q = "" %}{{ q | default: 2.99 }}`, `2.99 4.99 2.99`},
		{`{% assign b = false %}{{ b | default: true, allow_false: true }}`, `false`},
		{`{{ 16 | divided_by: 4 }} {{ 5 | divided_by: 3 }} {{ 20 | divided_by: 7 }} {{ 20 | divided_by: 7.0 }}`, `4 1 2 2.857142857142857`},
		{`{{ "Parker Moore" | downcase }} {{ "Parker Moore" | upcase }}`, `parker moore PARKER MOORE`},
		{`{{ "Have you read 'James & the Giant Peach'?" | escape }}`, `Have you read &#39;James &amp; the Giant Peach&#39;?`},
		{`{{ "1 < 2 & 3" | escape_once }} {{ "1 &lt; 2 &amp; 3" | escape_once }}`, `1 &lt; 2 &amp; 3 1 &lt; 2 &amp; 3`},
		{`{{ "Ground control to Major Tom." | split: " " | first }} {{ "Ground control to Major Tom." | split: " " | last }}`, `Ground Tom.`},
		{`{{ 1.2 | floor }} {{ 2.0 | floor }} {{ 183.357 | floor }} {{ "3.5" | floor }}`, `1 2 183 3`},
		{`{{ "John, Paul, George, Ringo" | split: ", " | join: " and " }}`, `John and Paul and George and Ringo`},
		{`{{ "          So much room for activities          " | lstrip }}!`, `So much room for activities          !`},
		{`{{ 4 | minus: 2 }} {{ 16 | minus: 4 }} {{ 183.357 | minus: 12 }} {{ 4 | plus: 2 }} {{ 183.357 | plus: 12 }}`, `2 12 171.357 6 195.357`},
		{`{{ 3 | modulo: 2 }} {{ 24 | modulo: 7 }} {{ 183.357 | modulo: 12 | round: 3 }}`, `1 3 3.357`},
		{`{{ "apples, oranges, and bananas" | prepend: "Some fruit: " }}`, `Some fruit: apples, oranges, and bananas`},
		{`{{ "I strained to see the train through the rain" | remove: "rain" }}`, `I sted to see the t through the `},
		{`{{ "I strained to see the train through the rain" | remove_first: "rain" }}`, `I sted to see the train through the rain`},
		{`{{ "I strained to see the train through the rain" | remove_last: "rain" }}`, `I strained to see the train through the `},
		{`{{ "Take my protein pills and put my helmet on" | replace: "my", "your" }}`, `Take your protein pills and put your helmet on`},
		{`{{ "Take my protein pills and put my helmet on" | replace_first: "my", "your" }}`, `Take your protein pills and put my helmet on`},
		{`{{ "Take my protein pills and put my helmet on" | replace_last: "my", "your" }}`, `Take my protein pills and put your helmet on`},
		{`{{ "Ground control to Major Tom." | split: "" | reverse | join: "" }}`, `.moT rojaM ot lortnoc dnuorG`},
		{`{{ 1.2 | round }} {{ 2.7 | round }} {{ 183.357 | round: 2 }}`, `1 3 183.36`},
		{`{{ "Ground control to Major Tom." | size }}{% assign m = "a, b" | split: ", " %}{{ m | size }}{{ m.size }}`, `2822`},
		{`{{ "Liquid" | slice: 0 }} {{ "Liquid" | slice: 2 }} {{ "Liquid" | slice: 2, 5 }} {{ "Liquid" | slice: -3, 2 }}`, `L q quid ui`},
		{`{{ "John, Paul, George, Ringo" | split: ", " | slice: 1, 2 | join }}`, `Paul George`},
		{`{{ "zebra, octopus, giraffe, Sally Snake" | split: ", " | sort | join: ", " }}`, `Sally Snake, giraffe, octopus, zebra`},
		{`{{ "zebra, octopus, giraffe, Sally Snake" | split: ", " | sort_natural | join: ", " }}`, `giraffe, octopus, Sally Snake, zebra`},
		{`{{ "Have <em>you</em> read <strong>Ulysses</strong>?" | strip_html }}`, `Have you read Ulysses?`},
		{`{{ 3 | times: 2 }} {{ 24 | times: 7 }} {{ 183.357 | times: 12 }}`, `6 168 2200.284`},
		{`{{ "Ground control to Major Tom." | truncate: 20 }}`, `Ground control to...`},
		{`{{ "Ground control to Major Tom." | truncate: 25, ", and so on" }}`, `Ground control, and so on`},
		{`{{ "Ground control to Major Tom." | truncate: 20, "" }}`, `Ground control to Ma`},
		{`{{ "Ground control to Major Tom." | truncatewords: 3 }} {{ "Ground control to Major Tom." | truncatewords: 3, "--" }}`, `Ground control to... Ground control to--`},
		{`{{ "ants, bugs, bees, bugs, ants" | split: ", " | uniq | join: ", " }}`, `ants, bugs, bees`},
		{`{{ "%27Stop%21%27+said+Fred" | url_decode }} {{ "john@liquid.com" | url_encode }} {{ "Tetsuro Takara" | url_encode }}`, `'Stop!' said Fred john%40liquid.com Tetsuro+Takara`},
		{`{{ "??>" | base64_url_safe_encode }} {{ "Pz8-" | base64_url_safe_decode }}`, `Pz8- ??>`},
		{`{% assign v = false %}{% if v == blank %}b{% endif %}{% if "" == empty %}e{% endif %}{% if "" %}t{% endif %}{% if 0 %}z{% endif %}`, `betz`},
		{`{% case "cake" %}{% when "cake" %}This is a cake{% when "cookie", "biscuit" %}This is a cookie{% else %}neither{% endcase %}`, `This is a cake`},
		{`{% unless "Awesome Shoes" == "x" %}not awesome{% endunless %}`, `not awesome`},
		{`{% assign s = "Hello, " %}{{ s | append: "World!" }}{% assign n = "a-b" %}{{ n | split: "-" | last }}`, `Hello, World!b`},
		{`{% cycle "one", "two" %}{% cycle "one", "two" %}{% cycle "one", "two" %}`, `onetwoone`},
		{`{{ "1" | plus: "2" }} {{ nil | plus: 1 }} {{ "abc" | times: 2 }}`, `3 1 0`},
	} {
		tmpl, problems := Parse(c.template, Scope{"product_price": nil})
		if problems != nil {
			t.Errorf("%s: %v", c.template, problems[0])
			continue
		}
		if got, err := tmpl.Render(env(t, false)); err != nil || string(got) != c.want {
			t.Errorf("%s\n got %q %v\nwant %q", c.template, got, err, c.want)
		}
	}
}
