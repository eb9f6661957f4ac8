package liquid

import (
	"bytes"
	"testing"
)

// FuzzTemplate holds that any source either has problems with a place in it, or renders the same twice, within the bounds.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{
		`Hello {{ Profile.name | upcase | default: "you" }}, {{- x -}} `,
		`{% for i in (1..3) reversed limit: 2 %}{{ forloop.index }}{% cycle "a", "b" %}{% else %}none{% endfor %}`,
		`{% if x > 1 and y contains "e" or list.size == empty %}{% abort "no" %}{% elsif now %}{% else %}{% endif %}`,
		`{% case x %}{% when 1, 2 or 5 %}{% raw %}{{{% endraw %}{% endcase %}{% comment %}{% comment %}{% endcomment %}{% endcomment %}`,
		`{% capture c %}{{ Event["a b"] | json }}{% endcapture %}{% assign d = c | split: "" | map: "x" | sort | uniq | join %}{{ d | date: "%Y %-5j %^a" }}`,
		`{% increment n %}{% decrement n %}{% echo list | where: "a", 1 | sum: "b" | round: 2 | divided_by: 0 %}{% # don't %}`,
		"{% liquid\n for i in list limit: 1\n  echo i\n endfor\n comment\n endcomment\n liquid echo 1\n%}{% tablerow i in (1..5) cols: x offset: continue %}{{ tablerowloop.row }}{% endtablerow %}",
		"{{ list | slice: -9223372036854775808, 9223372036854775807 }}{{ 1 | round: -400 }}{{ -9223372036854775808 | divided_by: -1 }}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		tmpl, problems := Parse(source, scope)
		lines := 1 + bytes.Count([]byte(source), []byte("\n"))
		for _, p := range problems {
			if p.Line < 1 || p.Line > lines || p.Column < 1 || p.Message == "" {
				t.Fatalf("problem without a place: %v", p)
			}
		}
		if (tmpl == nil) == (problems == nil) {
			t.Fatal("neither template nor problems, or both")
		}
		if tmpl == nil {
			return
		}
		first, err := tmpl.Render(env(t, false))
		second, err2 := tmpl.Render(env(t, false))
		if !bytes.Equal(first, second) || (err == nil) != (err2 == nil) {
			t.Fatalf("two renderings differ: %q %v, %q %v", first, err, second, err2)
		}
		if len(first) > MaxOutput {
			t.Fatalf("%d bytes", len(first))
		}
	})
}
