package main

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestReadable holds that what a terminal obeys is shown as its number, in whatever the commands print for people, and all else as it is.
func TestReadable(t *testing.T) {
	for text, want := range map[string]string{
		"é \U0001f511 \t\"a\\\"\r\n":        "é \U0001f511 \t\"a\\\"\r\n",
		"a\x1b[31m\x07\x00\x7f\rb":          `a\x1b[31m\x07\x00\x7f\x0db`,
		"\u009b31m \u202e \u2066 \x9b \xe2": `\u009b31m \u202e \u2066 \x9b \xe2`,
	} {
		if got := plainText(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
	var out strings.Builder
	(&tail{out: &out}).print(&kgo.Record{Key: []byte("\x1b[2J"), Value: []byte("\x1b[3J"), Timestamp: time.UnixMilli(0)}, "")
	traced := &trace{steps: []traceStep{{Step: "attempt", Text: "\x1b[4J"}}}
	if err := traced.print(readable{&out}); err != nil || strings.Contains(out.String(), "\x1b") || strings.Count(out.String(), `\x1b`) != 3 {
		t.Errorf("%v %q", err, out.String())
	}
}
