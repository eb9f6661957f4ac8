package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Under `properties: referenced` the events of a trigger that are older than the completing one have the properties that the
// campaign and its templates name, in the body as well as at the endpoint.
func TestReferencedPropertiesOfTemplates(t *testing.T) {
	for name, body := range map[string]struct {
		text string
		want string // of the first event, whose properties are a, b, c and d
	}{
		"none":     {"x", `{d: 4}`},
		"path":     {"{{ Events[0].a }}", `{a: 1, d: 4}`},
		"assigned": {"{% assign e = Events | first %}{{ e['b'] }}", `{b: 2, d: 4}`},
		"filter":   {"{{ Events | map: 'c' | join: ',' }}", `{c: 3, d: 4}`},
		"computed": {"{{ Events[0][Profile.which] }}", `{a: 1, b: 2, c: 3, d: 4}`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			files := map[string]string{
				"tripline.yaml": "history: {properties: referenced}\nendpoints: [{name: x, url: 'https://example.com/{{ Event.d }}'}]\n",
				"a.yaml": "name: a\ntrigger:\n  actions: {all: [{event: A, at_least: 2}], within: 1h}\n" +
					"deliver: {endpoint: x, content_type: text/plain, body: \"" + body.text + "\"}\n",
				"a_test.yaml": strings.Replace(`
campaigns: [a.yaml]
config: tripline.yaml
tests:
  - name: two
    start: 2026-01-05T10:00:00Z
    events:
      - {at: 0m, user: ann, event: A, properties: {a: 1, b: 2, c: 3, d: 4}}
      - {at: 1m, user: ann, event: A, properties: {a: 1, b: 2, c: 3, d: 4}}
    expect:
      triggers: [{events: [{properties: WANT}, {properties: {a: 1, b: 2, c: 3, d: 4}}]}]
`, "WANT", body.want, 1),
			}
			for name, text := range files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			results, err := runSuites([]string{filepath.Join(dir, "a_test.yaml")})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				for _, failure := range r.Failures {
					t.Error(failure)
				}
			}
		})
	}
}
