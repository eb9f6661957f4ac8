package liquid

import "testing"

// TestLoops holds what Liquid's own pages and its implementation say of tablerow, of liquid, and of loops that go on where others ended.
func TestLoops(t *testing.T) {
	const td = `<td class="col`
	for _, c := range []struct{ template, want string }{
		{`{% for i in (1..6) limit: 2 %}{{ i }}{% endfor %}-{% for i in (1..6) limit: 3 offset: continue %}{{ i }}{% endfor %}-{% for i in (1..6) offset: continue %}{{ i }}{% endfor %}`, `12-345-6`},
		{`{% for i in (1..3) offset: continue %}{{ i }}{% endfor %}{% for j in (1..3) offset: continue %}{{ j }}{% endfor %}{% for i in (1..3) offset:continue %}{{ i }}{% else %}none{% endfor %}`, `123123none`},
		{`{% for i in (1..4) reversed limit: 2 %}{{ i }}{% endfor %}{% for i in (1..4) reversed offset: continue %}{{ i }}{% endfor %}`, `2143`},
		{`{% tablerow i in (1..3) cols: 2 %}{{ i }}{{ tablerowloop.col }}{{ tablerowloop.row }}{% endtablerow %}`,
			"<tr class=\"row1\">\n" + td + `1">111</td>` + td + `2">221</td></tr>` + "\n" + `<tr class="row2">` + td + "1\">312</td></tr>\n"},
		{`{% tablerow i in (1..9) limit: 2, offset: 3 %}{{ tablerowloop.col0 }}{{ tablerowloop.col_first }}{{ tablerowloop.col_last }}{{ tablerowloop.rindex }}{% endtablerow %}`,
			"<tr class=\"row1\">\n" + td + `1">0truefalse2</td>` + td + "2\">1falsetrue1</td></tr>\n"},
		{`{% tablerow i in (1..9) cols: 3 %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endtablerow %}{{ i }}`, "<tr class=\"row1\">\n" + td + `1">1</td>` + td + "2\"></td></tr>\n"},
		{`{% tablerow i in Profile.nothing %}x{% endtablerow %}.`, `.`},
		{"{% liquid\n assign a = 'x'\n\n if a == 'x'\n  for i in (1..3)\n   if i == 2\n    continue\n   endif\n   echo i | plus: 1\n  endfor\n else\n  echo 'no'\n endif\n%}{{ a }}", `24x`},
		{"a {%- liquid\n # it's a comment\n comment\n nonsense\n comment\n endcomment\n endcomment\n echo 1 -%} b", `a1b`},
		{`{% for i in (1..3) %}{% liquid break %}{% endfor %}{% liquid echo "one" %}{% liquid %}`, `one`},
	} {
		tmpl, problems := Parse(c.template, scope)
		if problems != nil {
			t.Errorf("%s: %v", c.template, problems[0])
			continue
		}
		if got, err := tmpl.Render(env(t, false)); err != nil || string(got) != c.want {
			t.Errorf("%s\n got %s %v\nwant %s", c.template, got, err, c.want)
		}
	}
	for _, c := range []struct{ template, want string }{
		{"{% liquid\n if x\n  echo x %}", `line 2, column 2: this if is not closed: expected {% endif %}`},
		{"{% liquid\n echo x\n  eco x %}", `line 3, column 3: unknown tag eco; did you mean echo?`},
		{"{% if x %}{% liquid\n endif %}", `line 2, column 2: endif without a if that it could close`},
		{"{% liquid\n comment %}", `line 2, column 2: this comment is not closed: expected endcomment`},
		{"{% liquid\n raw\n endraw %}", `line 2, column 2: raw cannot stand within liquid`},
		{`{% tablerow i in x reversed %}{% endtablerow %}`, `line 1, column 20: expected cols:, limit: or offset:, found reversed`},
		{`{% for i in x cols: 2 %}{% endfor %}`, `line 1, column 15: expected reversed, limit: or offset:, found cols`},
	} {
		if _, problems := Parse(c.template, scope); len(problems) == 0 || problems[0].Error() != c.want {
			t.Errorf("%s: %v, want %s", c.template, problems, c.want)
		}
	}
}
