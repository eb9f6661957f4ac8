package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestReload changes campaigns under a running dev: a good set is taken up by itself, a bad one is refused whole and told.
func TestReload(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dev")
	p, out, said := startDev(t, dir, unusedPort(t), unusedPort(t))
	await(t, out, "webhook   POST")
	pages := regexp.MustCompile(`http://[^ ]+/metrics`).FindString(out.String())
	if pages == "" {
		t.Fatalf("no pages in %s", out.String())
	}
	reload := func() (int, string) {
		answer, err := http.Post(strings.TrimSuffix(pages, "/metrics")+"/-/reload", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(text)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "campaigns", "new.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	campaign := "name: brand-new\ntrigger:\n  single_action: {event: App Launched}\ndeliver: {endpoint: receiver}\n"
	write(campaign)
	await(t, out, "brand-new to receiver: delivered") // processor and sink have both taken it up
	if said.String() != "" {
		t.Errorf("a good set says: %s", said.String())
	}
	write(strings.Replace(campaign, "event:", "evnt:", 1))
	if code, text := reload(); code != http.StatusUnprocessableEntity || !strings.Contains(text, "did you mean `event`?") {
		t.Errorf("%d %s", code, text)
	}
	await(t, said, "what was in force goes on")
	from := len(out.String())
	for began := time.Now(); !strings.Contains(out.String()[from:], "brand-new"); time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > 60*time.Second {
			t.Fatal("the old set does not go on")
		}
	}
	write(campaign)
	if code, text := reload(); code != http.StatusOK {
		t.Errorf("%d %s", code, text)
	}
	p.kill()
}

// The versions that files have had are told from the one that they have now, over restarts; going back to one makes it the last.
func TestVersions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "campaigns")
	for i, one := range []struct{ version, before string }{{"a", ""}, {"a", ""}, {"b", "a"}, {"c", "a b"}, {"a", "b c"}, {"d", "b c a"}} {
		v := newVersions(file) // of a process that starts
		if got := strings.Join(v.before(one.version), " "); got != one.before {
			t.Errorf("%d: before %s there were %q, expected %q", i, one.version, got, one.before)
		}
		if err := v.add(one.version); err != nil {
			t.Fatal(err)
		}
	}
}
