package config

import (
	"strings"
	"testing"
)

// TestCoreSchema holds what YAML 1.2 says against what other readers, goccy's own included, make of it.
func TestCoreSchema(t *testing.T) {
	for _, c := range []struct {
		plain  string
		class  class
		number string // as JSON
	}{
		{"12e3", float, "12e3"}, {"12E+03", float, "12E+03"}, {"1.50", float, "1.50"}, {".5", float, "0.5"}, {"-.5", float, "-0.5"},
		{"1.", float, "1.0"}, {"1.e3", float, "1.0e3"}, {"+1.5", float, "1.5"}, {"00.5", float, "0.5"}, {"-0", integer, "-0"},
		{"010", integer, "10"}, {"0777", integer, "777"}, {"08", integer, "8"}, {"+12", integer, "12"}, {"-007", integer, "-7"},
		{"0o17", integer, "15"}, {"0x1F", integer, "31"}, {"12345678901234567890", integer, "12345678901234567890"},
		{".inf", float, ""}, {"-.INF", float, ""}, {"+.inf", float, ""}, {".NaN", float, ""},
		{"on", text, ""}, {"off", text, ""}, {"yes", text, ""}, {"No", text, ""}, {"y", text, ""}, {"tRue", text, ""},
		{"2026-01-05", text, ""}, {"2026-01-05T10:00:00Z", text, ""}, {"1:20", text, ""}, {"09:00", text, ""}, {"1_000", text, ""},
		{"0b11", text, ""}, {"-0x1F", text, ""}, {"-0o7", text, ""}, {"0o8", text, ""}, {"1e", text, ""}, {".", text, ""},
		{"1e5.3", text, ""}, {"nULL", text, ""}, {"inf", text, ""}, {"-.nan", text, ""}, {"5s", text, ""},
		{"true", boolean, ""}, {"False", boolean, ""}, {"TRUE", boolean, ""},
		{"", null, ""}, {"~", null, ""}, {"null", null, ""}, {"Null", null, ""},
	} {
		f := &file{name: "x"}
		root := f.parse(f.split([]byte("k: " + c.plain + "\nl: '" + c.plain + "'\n"))[0])
		if len(f.problems) > 0 {
			t.Errorf("%q: %v", c.plain, f.problems)
			continue
		}
		if got := root.pairs[0].value.class(); got != c.class {
			t.Errorf("%q: class %d, want %d", c.plain, got, c.class)
		}
		if got := root.pairs[1].value; got.class() != text || got.text != c.plain {
			t.Errorf("%q in quotes: class %d, text %q", c.plain, got.class(), got.text)
		}
		if c.class == integer || c.class == float {
			if number, ok := jsonNumber(c.plain); number != c.number || ok != (c.number != "") {
				t.Errorf("%q: %q %v, want %q", c.plain, number, ok, c.number)
			}
		}
	}
}

func TestWholeNumber(t *testing.T) {
	for text, want := range map[string]int64{"12e3": 12000, "1.0": 1, "010": 10, "-5": -5, "0x10": 16} {
		if got, ok := wholeNumber(text); !ok || got != want {
			t.Errorf("%s: %d %v, want %d", text, got, ok, want)
		}
	}
	for _, text := range []string{"1.5", "1e-3", "99999999999999999999", "1e300", ".nan", "-.inf"} {
		if got, ok := wholeNumber(text); ok {
			t.Errorf("%s: %d", text, got)
		}
	}
}

// TestPlaces looks for a mark inside scalars of every style: where it stands in the text that was read must lead back to where it
// stands in the file.
func TestPlaces(t *testing.T) {
	for name, content := range map[string]string{
		"plain":               "k: a §b",
		"plain after a tab":   "k:\ta §b",
		"plain over lines":    "k: a é\n  b\n\n\n  c §d\n  e",
		"plain in braces":     "k: {a: b, c: d e\n f §g, h: i}",
		"plain in brackets":   "k: {a: [x:y§z, b]}",
		"single":              "k: 'a ''b'' §c'",
		"single over lines":   "k: 'a\n  b ''\n\n  c §d'",
		"double":              "k: \"a\\t\\\"\\u00e9\\x41\\U0001F600\\uD83D\\uDE00 §b\"",
		"double over lines":   "k: \"a \\\n    b\\\n  c\n\n\n  d §e\"",
		"literal":             "k: |\n  a\n\n    b\n  §c\n",
		"literal with indent": "k: |2-\n    a\n   §b\n",
		"literal, end":        "k: |+\n  a\n\n\n  b§\n\n",
		"folded":              "k: >\n  a\n  b\n\n  c\n\n\n  d §e\n",
		"folded, indented":    "k: >-\n\n  a\n    b\n    c\n\n  d\n   e\n\n\n  f\n  g §h\n",
		"in a list":           "k:\n  - |\n    a\n    §b\n",
		"a key":               "k: 1\n'it''s §': 2",
		"an alias":            "k: &x 'a §b'\nl: *x",
		"in a later document": "k: 1\n---\nk: 1\nl: 'a §b'",
		"carriage returns":    "k: |\r\n  a\r\n  b\r\nl: \"a\r\n  b §c\"\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := &file{name: "x"}
			parts := f.split([]byte(content))
			root := f.parse(parts[len(parts)-1])
			if len(f.problems) > 0 {
				t.Fatal(f.problems)
			}
			marked := 0
			root.walk(func(n *node) {
				at := strings.Index(n.text, "§")
				if at < 0 {
					return
				}
				marked++
				places := f.places(n)
				if places == nil {
					t.Fatalf("no places for %q", n.text)
				}
				got := places[len([]rune(n.text[:at]))]
				if row := f.runes(got.line); got.column > len(row) || row[got.column-1] != '§' {
					t.Errorf("%q leads to %d:%d in\n%s", n.text, got.line, got.column, content)
				}
			})
			if marked == 0 {
				t.Fatal("no mark")
			}
		})
	}
}

// walk visits the scalars of a tree, keys too.
func (n *node) walk(visit func(*node)) {
	if n.kind == scalar {
		visit(n)
	}
	for _, p := range n.pairs {
		p.key.walk(visit)
		p.value.walk(visit)
	}
	for _, element := range n.list {
		element.walk(visit)
	}
}
