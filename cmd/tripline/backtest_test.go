package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func TestBacktest(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	campaigns := write("a.yaml", `name: cart
trigger:
  inaction_within_time: {after: {event: Cart}, without: {event: Paid}, within: 30m}
deliver: {endpoint: x}
---
name: first-cart
trigger: {single_action: {event: Cart}}
reentry: {once: true}
deliver: {endpoint: x}
`)
	var events strings.Builder
	for i := range 2000 { // more than a batch of lines
		fmt.Fprintf(&events, `{"id":"e%d","user_id":"u-%d","event":"Cart","time":"2026-01-05T10:00:%02dZ"}`+"\n", i, i%100, i/40)
	}
	events.WriteString(`{"user_id":"u-1","event":"Paid","time":"2026-01-05T10:20:00Z"}
{"user_id":"u-2","event":"Paid","time":"2026-01-05T10:10:00Z"}
{"user_id":"u-3"
{"user_id":"u-4","event":"Cart","time":"yesterday"}
{"id":"e7","user_id":"u-7","event":"Cart","time":"2026-01-05T10:20:00Z"}

`)
	from := write("events.ndjson", events.String())
	triggers, decisions := filepath.Join(dir, "triggers.ndjson"), filepath.Join(dir, "decisions.ndjson")
	if out, err := run(t, "backtest", campaigns, "--from", from, "--until", "2026-01-05T10:10:00Z"); err == nil {
		t.Errorf("--until before the last arrival: %s", out)
	}
	out, err := run(t, "backtest", campaigns, "--from", from, "--until", "2026-01-05T11:00:00Z", "--triggers", triggers, "--decisions", decisions, "--output", "json")
	if err != nil {
		t.Fatal(err)
	}
	var got sums
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if got.Events != 2003 || got.Users != 100 || got.Duplicates != 1 || got.Unreadable["json"] != 1 || got.Unreadable["bad_time"] != 1 {
		t.Errorf("the sums are %s", out)
	}
	if c := got.Campaigns["cart"]; c == nil || c.Triggers != 98 || c.Days["2026-01-05"] != 98 {
		t.Errorf("the campaign's sums are %s", out)
	}
	fits(t, "trigger", triggers, 198)
	fits(t, "decision", decisions, 1900)
}

// fits holds every line of a file against a schema.
func fits(t *testing.T, name, file string, lines int) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	schema, n := schemaOf(t, name), 0
	for line := range strings.Lines(string(text)) {
		n++
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err == nil {
			err = schema.Validate(v)
		}
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	if n != lines {
		t.Errorf("%s has %d lines, want %d", file, n, lines)
	}
}
