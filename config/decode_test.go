package config

import (
	"reflect"
	"strings"
	"testing"
)

type every struct {
	Inner  `yaml:",inline"`
	Text   string             `yaml:"text"`
	Yes    bool               `yaml:"yes"`
	Whole  int                `yaml:"whole"`
	Long   int64              `yaml:"long"`
	Real   float64            `yaml:"real"`
	Texts  []string           `yaml:"texts"`
	Reals  map[string]float64 `yaml:"reals"`
	One    []Inner            `yaml:"one,oneormany"`
	Deep   *Inner             `yaml:"deep"`
	Size   *Size              `yaml:"size"`
	Hidden string             `yaml:"-"`
}

type Inner struct {
	A string `yaml:"a"`
	B *int   `yaml:"b"`
}

// read decodes a document into an every that holds defaults already.
func read(content string) (*every, Problems) {
	f := &file{name: "f", most: maxFile}
	out := &every{Text: "default", Texts: []string{"default"}, Reals: map[string]float64{"default": 1}, Whole: 7}
	for _, part := range f.split([]byte(content)) {
		d := &document{file: f, root: f.parse(part)}
		d.decodeDocument(out)
	}
	return out, f.finish()
}

func TestDecode(t *testing.T) {
	seven, size := 7, Size(1<<20)
	got, problems := read("text: a\nyes: True\nwhole: 12e3\nlong: -0x\nreal: .5\n")
	if len(problems) != 1 || problems[0].Message != "`long`: expected a whole number, not the text \"-0x\"" {
		t.Error(problems)
	}
	if got.Text != "a" || !got.Yes || got.Whole != 12000 || got.Real != 0.5 {
		t.Errorf("%+v", got)
	}
	for content, want := range map[string]every{
		"{}":                       {Text: "default", Texts: []string{"default"}, Reals: map[string]float64{"default": 1}, Whole: 7},
		"{texts: [], reals: {}}":   {Text: "default", Texts: []string{}, Reals: map[string]float64{}, Whole: 7},
		"{texts: [on], text: ''}":  {Texts: []string{"on"}, Reals: map[string]float64{"default": 1}, Whole: 7},
		"{reals: {on: 1, 2: 3e1}}": {Text: "default", Texts: []string{"default"}, Reals: map[string]float64{"on": 1, "2": 30}, Whole: 7},
		"{one: {a: x}, b: 007}": {Text: "default", Texts: []string{"default"}, Reals: map[string]float64{"default": 1}, Whole: 7,
			One: []Inner{{A: "x"}}, Inner: Inner{B: &seven}},
		"{one: [{a: x}, {}], deep: {}, size: 1MiB, long: 9e2}": {Text: "default", Texts: []string{"default"}, Reals: map[string]float64{"default": 1}, Whole: 7,
			One: []Inner{{A: "x"}, {}}, Deep: &Inner{}, Size: &size, Long: 900},
	} {
		got, problems := read(content)
		if len(problems) > 0 || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: %+v %v", content, got, problems)
		}
	}
}

func TestDecodeProblems(t *testing.T) {
	for content, want := range map[string]string{
		"text: 5":                      "`text`: expected text, not 5; put it in quotes",
		"text: true":                   "`text`: expected text, not true; put it in quotes",
		"text: [a]":                    "`text`: expected text, not a list",
		"yes: 'true'":                  "`yes`: expected true or false, not the text \"true\"",
		"yes: {}":                      "`yes`: expected true or false, not a mapping",
		"whole: 1.5":                   "`whole`: expected a whole number, not 1.5",
		"whole: '1'":                   "`whole`: expected a whole number, not the text \"1\"",
		"long: 9223372036854775808":    "`long`: expected a whole number, not 9223372036854775808",
		"real: .inf":                   "`real`: expected a number, not .inf",
		"real: 1e999":                  "`real`: expected a number, not 1e999",
		"real: 1_000":                  "`real`: expected a number, not the text \"1_000\"",
		"texts: a":                     "`texts`: expected a list as in [a, b], not the text \"a\"",
		"reals: [1]":                   "`reals`: expected a mapping, not a list",
		"reals: {a: b}":                "`a`: expected a number, not the text \"b\"",
		"one: [[a]]":                   "`one[0]`: expected a mapping, not a list",
		"size: [1]":                    "`size`: expected one value, not a list",
		"deep: ~":                      "`deep` has no value; leave it out, or give it one",
		"deep:":                        "`deep` has no value; leave it out, or give it one",
		"hidden: x":                    "unknown key `hidden`",
		"deep: {c: x}":                 "unknown key `c` in `deep`",
		"- a":                          "the document: expected a mapping, not a list",
		"yes: |\n  a\n  b\n":           "`yes`: expected true or false, not text",
		"text: a\x01":                  "a character that a YAML file cannot hold; it must be UTF-8",
		"text: \xff":                   "a character that a YAML file cannot hold; it must be UTF-8",
		strings.Repeat("#", maxFile+1): "larger than 4 MiB",
		"text: " + strings.Repeat("&a ", 200) + "x": "too many levels of mappings and lists",
		strings.Repeat("[", 200):                    "too many levels of mappings and lists",
		strings.Repeat("- ", 200):                   "too many levels of mappings and lists",
		indented(150):                               "too many levels of mappings and lists",
		"a: " + strings.Repeat("x", 50) + "\nb: " + "'" + "y" + "'\n'": "this text has no closing quote",
	} {
		_, problems := read(content)
		if len(problems) == 0 || problems[0].Message != want {
			t.Errorf("%.40q: %.300v, want %s", content, problems, want)
		}
	}
}

// indented is a document with that many levels.
func indented(levels int) string {
	var b strings.Builder
	for i := range levels {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}
