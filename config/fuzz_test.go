package config

import (
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/tripline/tripline/processor/campaign"
)

// FuzzDecode reads anything as each of the three kinds of files: nothing panics, problems lie inside the file, and scalars that can be
// placed have a place for each of their characters.
func FuzzDecode(f *testing.F) {
	cases, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range cases {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range archive.Files {
			f.Add(string(part.Data))
		}
	}
	f.Add(string(Reference()))
	f.Fuzz(readAnything)
}

func readAnything(t *testing.T, content string) {
	for _, target := range []any{new(campaign.Definition), Default(), new(Suite)} {
		read := &file{name: "fuzz"}
		for _, part := range read.split([]byte(content)) {
			d := &document{file: read, root: read.parse(part)}
			if d.root != nil {
				read.hide(d.root, false, map[*node]bool{})
			}
			d.decodeDocument(target)
			for path, e := range d.found {
				d.relay("", campaign.Problem{Path: path, Line: 1, Column: 3, Message: "is here"})
				if places := read.places(e.value); places != nil && len(places) != utf8.RuneCountInString(e.value.text)+1 {
					t.Errorf("%q has %d places", e.value.text, len(places))
				}
			}
			switch target := target.(type) {
			case *Config:
				d.environment = func(string) (string, bool) { return "", false }
				target.check(d, Checks{})
			case *Suite:
				for i := range target.Tests {
					target.Tests[i].check(d, "tests[0]")
				}
			}
		}
		for _, p := range read.finish() {
			if p.Line < 0 || p.Line > len(read.lines)+1 || p.Line > 0 && p.Column < 1 {
				t.Errorf("%+v", p)
			}
			_ = p.String()
		}
	}
}
