package config

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	known := []string{"name", "description", "enabled", "inaction", "inaction_within_time", "min_gap", "SCRAM-SHA-256", "SCRAM-SHA-512", "on", "at"}
	for given, want := range map[string]string{
		"nmae": "name", "Name": "name", "names": "name", "desc": "description", "enabeld": "enabled", "min-gap": "min_gap", "mingap": "min_gap",
		"inacton": "inaction", "inaction_in_time": "inaction_within_time", "within": "", "SCRAM-SHA512": "SCRAM-SHA-512", "no": "on", "it": "at",
		"xyz": "", "": "", "name": "",
	} {
		if got := nearest(given, known); got != want {
			t.Errorf("%q: got %q, want %q", given, got, want)
		}
	}
}

func TestProblemString(t *testing.T) {
	for _, c := range []struct {
		problem Problem
		want    string
	}{
		{Problem{File: "f", Line: 2, Column: 3, Message: "m", Text: "\téx"}, "f:2:3: m\n    \téx\n    \t ^"},
		{Problem{File: "f", Line: 2, Column: 1, Message: "m", Suggestion: "s", Text: "x"}, "f:2:1: m\n    x\n    ^ did you mean `s`?"},
		{Problem{File: "f", Message: "m", Suggestion: "s"}, "f: m; did you mean `s`?"},
		{Problem{Message: "m"}, "m"},
		{Problem{File: "f", Line: 1, Column: 9, Message: "m", Text: "x"}, "f:1:9: m\n    x\n     ^"},
		{Problem{File: "f", Line: 1, Column: 101, Message: "m", Text: strings.Repeat("a", 100) + "b" + strings.Repeat("c", 100)},
			"f:1:101: m\n    …" + strings.Repeat("a", 79) + "b" + strings.Repeat("c", 60) + "…\n    " + strings.Repeat(" ", 80) + "^"},
	} {
		if got := c.problem.String(); got != c.want {
			t.Errorf("got\n%s\nwant\n%s", got, c.want)
		}
	}
}

func TestValues(t *testing.T) {
	for text, want := range map[string]Size{"1048576": 1 << 20, "512MiB": 512 << 20, "64KB": 64000, "2GiB": 2 << 30, "0": 0, "7B": 7} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %d %v", text, got, err)
		}
		var again Size
		if err := again.UnmarshalText([]byte(got.String())); err != nil || again != got {
			t.Errorf("%s does not read back: %d %v", got, again, err)
		}
	}
	for _, text := range []string{"", "MiB", "1TiB", "-1MiB", "1.5GiB", "1 MiB", "9999999999GiB", "1iB", "1KK"} {
		if err := new(Size).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is a size", text)
		}
	}
	for text, want := range map[string]Statuses{"404": {404, 404}, "200-299": {200, 299}} {
		var got Statuses
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want || !got.Contains(want.High) || got.Contains(want.High+1) {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "2xx", "299-200", "99", "600", "200-", "-200"} {
		if err := new(Statuses).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is a range of statuses", text)
		}
	}
}
