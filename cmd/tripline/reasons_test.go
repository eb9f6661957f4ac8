package main

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// reasons is a test that says last, behind all that its processes said, why it failed.
type reasons struct {
	*testing.T
	said []string
}

func newReasons(t *testing.T) *reasons {
	r := &reasons{T: t}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("it failed for:\n%s", strings.Join(r.said, "\n"))
		}
	})
	return r
}

func (r *reasons) say(text string) {
	_, file, at, _ := runtime.Caller(2)
	r.said = append(r.said, fmt.Sprintf("%s:%d: %s", filepath.Base(file), at, text[:min(len(text), 1500)]))
}

func (r *reasons) Fatal(args ...any) {
	r.Helper()
	r.say(fmt.Sprint(args...))
	r.T.Fatal(args...)
}

func (r *reasons) Fatalf(format string, args ...any) {
	r.Helper()
	r.say(fmt.Sprintf(format, args...))
	r.T.Fatalf(format, args...)
}

func (r *reasons) Errorf(format string, args ...any) {
	r.Helper()
	r.say(fmt.Sprintf(format, args...))
	r.T.Errorf(format, args...)
}
