package expr

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// refused tests that text is refused in scope at line:column, with words in the message and a suggestion.
func refused(t *testing.T, scope Scope, text, at, words, suggestion string) {
	t.Helper()
	_, wrong := Compile(text, scope)
	switch {
	case wrong == nil:
		t.Errorf("%s: accepted", text)
	case !strings.HasPrefix(wrong.Error(), at+": ") || !strings.Contains(wrong.Message, words) || wrong.Suggestion != suggestion:
		t.Errorf("%s:\n%v, suggestion %q; expected %s: …%s…, suggestion %q", text, wrong, wrong.Suggestion, at, words, suggestion)
	case strings.ContainsAny(wrong.Message, "\n"):
		t.Errorf("%s: the message has several lines: %q", text, wrong.Message)
	}
}

func TestRefused(t *testing.T) {
	content, err := os.ReadFile("testdata/refused.txt")
	if err != nil {
		t.Fatal(err)
	}
	tested := 0
	for _, section := range strings.Split(string(content), "\n## ")[1:] {
		heading, body, _ := strings.Cut(section, "\n")
		scope := Where
		if strings.HasPrefix(heading, "audience") {
			scope = Audience
		}
		text := ""
		for line := range strings.Lines(body) {
			expected, isExpected := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "    ")
			if !isExpected {
				text = expected
				continue
			}
			at, words, _ := strings.Cut(expected, " ")
			words, suggestion, _ := strings.Cut(words, " | ")
			refused(t, scope, text, at, words, suggestion)
			tested++
		}
	}
	if tested < 100 {
		t.Errorf("only %d texts", tested)
	}
}

func TestRefusedOverLines(t *testing.T) {
	refused(t, Where, "", "1:1", "expected an expression", "")
	refused(t, Where, " \n", "1:1", "expected an expression", "")
	refused(t, Where, "\xff", "1:1", "UTF-8", "")
	refused(t, Where, "event.x == 1 &&\n  (event.y", "2:11", "ends too early", "")
	refused(t, Where, "event.ä == 1 &&\nfoo > 1", "2:1", `no "foo"`, "event.foo")
	refused(t, Audience, "count('A', '1d', `event.s == '``' && foo`) > 1", "1:38", `no "foo"`, "event.foo")
	refused(t, Where, "event.ä == 1 ||\n event.x == 99999999999999999999 && foo", "2:13", "more digits", "")
	refused(t, Audience, "count('A', '1d', `event.s == 1 &&\n foo`) > 1", "2:2", `no "foo"`, "event.foo")
}

// All conditions of a text that are wrong are told of, each once, in their order.
func TestRefusedAll(t *testing.T) {
	for text, want := range map[string]string{
		`evnet.x == 1 && event.y == foo && (bar || !(event.z > "a" && baz))`: `1:1 1:28 1:36 1:62`,
		"cuont('A', '1d') > 1 &&\n  event.x == 1 &&\n  count('A', '1x') > 2": `1:1 3:14`,
		`evnet.x == profil.x`:                                   `1:1 1:12`,
		`event.x == 1 && foo`:                                   `1:17`,
		`event.x > 1 ? foo : bar`:                               `1:15 1:21`,
		`let p = foo; p == 1 && bar`:                            `1:9`,
		`any(event.tags, foo == 1 && bar == 2) && evnet.x == 1`: `1:17 1:42`,
		`foo && `: `1:8`,
		strings.TrimSuffix(strings.Repeat("foo || ", 100), " || "):                "",
		`"5" == 5 && event.x == 1 && since("A") > "3d" && last("A").x == evnet.x`: `1:5 1:40 1:65`,
	} {
		_, wrong := Compile(text, Audience)
		if wrong == nil {
			t.Errorf("%s: accepted", text)
			continue
		}
		places := []string{fmt.Sprintf("%d:%d", wrong.Line, wrong.Column)}
		for _, more := range wrong.More {
			places = append(places, fmt.Sprintf("%d:%d", more.Line, more.Column))
		}
		if want == "" && len(places) != mostWrong || want != "" && strings.Join(places, " ") != want {
			t.Errorf("%s: %s; expected %s", text, strings.Join(places, " "), want)
		}
	}
}

func TestAcceptedInWhere(t *testing.T) {
	for _, text := range []string{`event.x == 1`, `user_id == "u"`, `now().Hour() < 12`, `duration("3d") > duration("1d")`, `event.flag`, `event.x > 1 ? event.y : false`,
		`let p = event.x; p == 1`, `::max(event.a, event.b) > 1`} {
		if _, wrong := Compile(text, Where); wrong != nil {
			t.Errorf("%s: %v", text, wrong)
		}
	}
}
