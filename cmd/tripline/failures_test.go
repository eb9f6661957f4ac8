package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// A campaign test that fails does so for the right reason and in words that tell it: each archive has its files, and behind
// `want` the failures that there must be, under the names of their cases.
func TestFailures(t *testing.T) {
	archives, err := filepath.Glob("testdata/failures/*.txt")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Chdir(t.TempDir())
			var tests []string
			want := ""
			for _, f := range archive.Files {
				if f.Name == "want" {
					want = string(f.Data)
					continue
				}
				if strings.HasSuffix(f.Name, "_test.yaml") {
					tests = append(tests, f.Name)
				}
				if err := os.WriteFile(f.Name, f.Data, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			results, err := runSuites(tests)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, r := range results {
				if !r.Passed {
					got.WriteString(r.Name + "\n")
				}
				for _, f := range r.Failures {
					got.WriteString("  " + strings.ReplaceAll(f, "\n", "\n  ") + "\n")
				}
			}
			if got.String() != want {
				t.Errorf("got\n%s\nwant\n%s", &got, want)
			}
		})
	}
}

// screen is a buffer that one goroutine writes and another reads.
type screen struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

// take is what has been written since the last time.
func (s *screen) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.buf.Reset()
	return s.buf.String()
}

// A test file that cannot be loaded is an error, and the cases of the others are reported all the same.
func TestFilesBesideABadOne(t *testing.T) {
	t.Chdir(t.TempDir())
	cases := "campaigns: [a.yaml]\ntests:\n  - {name: one, start: 2026-01-05T10:00:00Z, events: [{at: 1m, user: ann, event: A}], expect: {triggers: []}}\n"
	for name, text := range map[string]string{"a.yaml": "name: a\ntrigger: {single_action: {event: A}}\ndeliver: {endpoint: x}\n", "a_test.yaml": cases,
		"b_test.yaml": "campaigns: [b.yaml]\ntests: []\n"} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := run(t, "test", "b_test.yaml", "a_test.yaml")
	if err == nil || !strings.Contains(err.Error(), "b_test.yaml:2:8: `tests`: expected at least one test") || !strings.Contains(out, "FAIL a_test.yaml:3: one") {
		t.Errorf("%s%v", out, err)
	}
	if out, err = run(t, "test", "b_test.yaml"); err == nil || out != "" {
		t.Errorf("%s%v", out, err)
	}
}

// A change of any file that a test is made of runs it again; the end of the context ends the watching.
func TestWatch(t *testing.T) {
	t.Chdir(t.TempDir())
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	campaign := func(name string) string {
		return "name: " + name + "\ntrigger: {single_action: {event: " + name + "}}\ndeliver: {endpoint: x}\n"
	}
	write("tripline.yaml", "endpoints: [{name: x, url: 'https://example.com'}]\n")
	write("a1.yaml", campaign("a"))
	write("a_test.yaml", "campaigns: ['a?.yaml']\nconfig: tripline.yaml\ntests:\n  - name: one\n    start: 2026-01-05T10:00:00Z\n"+
		"    events: [{at: 1m, user: ann, event: b}]\n    expect: {triggers: []}\n")
	changes := []func(){
		func() { write("a2.yaml", campaign("b")) },                                          // a glob finds it: one more trigger than expected
		func() { write("tripline.yaml", "endpoints: []\n") },                                // there is no endpoint any more
		func() { write("tripline.yaml", "endpoints: [{name: x, url: 'https://a.b.com'}]") }, // and again
		func() { os.Remove("a2.yaml") },
	}
	wants := []string{"1 passed, 0 failed", "0 passed, 1 failed", "no endpoint `x`", "0 passed, 1 failed", "1 passed, 0 failed"}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out screen
	ticks := make(chan time.Time)
	ended := make(chan error, 1)
	go func() { ended <- watchTests(ctx, []string{"a_test.yaml"}, &out, &out, "text", ticks) }()
	for i, want := range wants {
		ticks <- time.Time{} // taken once it waits; nothing has changed
		if shown := out.take(); !strings.Contains(shown, want) {
			t.Errorf("run %d: %s; want %q in it", i, shown, want)
		}
		if i < len(changes) {
			changes[i]()
			ticks <- time.Time{}
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
