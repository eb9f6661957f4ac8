package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/tripline/tripline/config"
)

// run runs a command line in this process and returns what it wrote to standard output, and its error.
func run(t testing.TB, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c := root()
	c.SetArgs(args)
	c.SetOut(&out)
	c.SetErr(&bytes.Buffer{})
	err := c.ExecuteContext(t.Context())
	return out.String(), err
}

func TestEveryCommandHasAnExample(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Hidden {
			return
		}
		if c.Short == "" || c.Example == "" && c.Name() != "completion" && c.Name() != "help" {
			t.Errorf("%s has no example", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root())
}

func TestWrongCommandLines(t *testing.T) {
	for line, want := range map[string]string{
		"chek":                          "check",
		"topics bogus":                  "topics --help",
		"tail":                          "expected events, triggers, decisions or deliveries",
		"tail trigers":                  "did you mean triggers?",
		"tail triggers --output jsn":    "expected text or json; did you mean json?",
		"tail events --campaign c":      "events belong to none",
		"tail events --endpoint e":      "only triggers and deliveries",
		"tail decisions --endpoint e":   "only triggers and deliveries",
		"tail triggers --outcome retry": "only deliveries",
		"tail deliveries --outcome no":  "expected delivered, retry, failed or dropped",
		"schema trigge":                 "did you mean trigger?",
		"init":                          "usage: tripline init DIR",
		"backtest x.yaml":               "--from FILE or --since 30d is required",
		"check --confg x":               "see tripline check --help",
		"check --config nowhere.yaml":   "tripline init DIR",
		"test nowhere_test.yaml":        "cannot be read",
		"send ann Paid --properties x":  "JSON objects",
	} {
		_, err := run(t, strings.Fields(line)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("tripline %s: %v; want %q in it", line, err, want)
		}
		if err != nil && strings.Count(err.Error(), "nowhere_test.yaml") > 1 {
			t.Errorf("tripline %s: more than one problem: %v", line, err)
		}
	}
}

func TestInitChecksAndTests(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	if _, err := run(t, "init", dir); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, "init", dir); err == nil {
		t.Error("a second init overwrites the first")
	}
	out, err := run(t, "check", "--config", filepath.Join(dir, "tripline.yaml"))
	if err != nil || !strings.Contains(out, "6 campaigns, 1 endpoint\n") {
		t.Errorf("check: %s%v", out, err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "campaigns", "*_test.yaml"))
	if err != nil || len(files) != 6 {
		t.Fatalf("%d test files: %v", len(files), err)
	}
	for _, name := range append(files, filepath.Join(dir, "tripline.yaml")) {
		line, _, _ := strings.Cut(readText(t, name), "\n")
		schema, ok := strings.CutPrefix(line, "# yaml-language-server: $schema=")
		if !ok || !strings.Contains(readText(t, filepath.Join(filepath.Dir(name), schema)), `"$schema": "https://json-schema.org/draft/2020-12/schema"`) {
			t.Errorf("%s begins with %q", name, line)
		}
	}
	if out, err = run(t, append([]string{"test", "--output", "junit"}, files...)...); err != nil || !strings.Contains(out, "<testsuites>") {
		t.Errorf("test: %s%v", out, err)
	}
}

func readText(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestCheckAsJSON(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tripline.yaml")
	campaigns := "name: a\ntrigger:\n  single_action: {event: A, wher: x}\ndeliver: {endpoint: nowhere}\n"
	for name, text := range map[string]string{"tripline.yaml": "topcs: {}\ncampaigns: [a.yaml]\n", "a.yaml": campaigns} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := run(t, "check", "--config", file, "--output", "json")
	if err == nil {
		t.Error("problems, and no error")
	}
	var report checkReport
	if err := json.Unmarshal([]byte(out), &report); err != nil || len(report.Problems) != 3 {
		t.Fatalf("%v: %s", err, out)
	}
	if p := report.Problems[0]; p.Line != 3 || p.Column == 0 || p.Suggestion != "where" || p.Text == "" {
		t.Errorf("the first problem is %+v", p)
	}
}

// TestCheckOfLittleMemory says how much the lanes take, where that is more.
func TestCheckOfLittleMemory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tripline.yaml")
	for text, want := range map[string]string{
		"memory: 128MiB\nlanes: 12\n": "", "memory: 256MiB\nlanes: 48\n": "", "memory: 96MiB\nlanes: 1\n": "", "memory: 64MiB\n": "",
		"memory: 128MiB\nlanes: 48\n": "memory: 128MiB may not be kept to by a process with 48 lanes: it takes 256MiB, or more processes with fewer lanes each",
		"memory: 64MiB\nlanes: 1\n":   "memory: 64MiB may not be kept to by a process with 1 lane: it takes 96MiB, or more processes with fewer lanes each",
	} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := run(t, "check", "--config", file, "--output", "json")
		var report checkReport
		if err := errors.Join(err, json.Unmarshal([]byte(out), &report)); err != nil || report.Memory != want {
			t.Errorf("%q: %q, %v", text, report.Memory, err)
		}
		if out, err := run(t, "check", "--config", file); err != nil || !strings.Contains(out, want) {
			t.Errorf("%q: %s, %v", text, out, err)
		}
	}
	cfg := &loaded{Config: &config.Config{Topics: config.Topics{Events: []string{"b"}}}}
	if n := cfg.lanes([]topicReport{{Name: "a", Partitions: 3}, {Name: "b", Partitions: 100}}); n != 48 {
		t.Errorf("%d lanes of 100 partitions", n)
	}
}
