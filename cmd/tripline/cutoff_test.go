//go:build synctests

package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestCutOff holds that a service that hangs ends within 5 s of a signal, without having failed, and not before its lanes have had their 4 s.
func TestCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said strings.Builder
		began, code := time.Now(), -1
		cutOff(&said, func(c int) { code = c })
		if took := time.Since(began); code != 0 || took >= 5*time.Second || took < 4500*time.Millisecond || !strings.Contains(said.String(), "cut off") {
			t.Errorf("code %d after %s, said %q", code, took, said.String())
		}
	})
}
