package policy

import "testing"

// TestFlow holds that an endpoint is swift while attempts end quickly, and not any more when for two windows none has; and that nothing is
// said of one of which nothing is known.
func TestFlow(t *testing.T) {
	var f Flow
	for _, c := range []struct {
		at    int64
		n     int // attempts that end then
		swift int
		isNew bool
	}{
		{1000, 0, 0, true},
		{1000, 399, 0, true},
		{1050, 1, 4000, true},
		{1100, 10, 4000, false}, // of the window before
		{1199, 300, 4000, false},
		{1200, 1, 0, false},
		{1201, 500, 5010, false},
		{1399, 0, 5010, false},
		{1400, 0, 0, true},
		{1450, 1, 0, true}, // what ended before says nothing any more
		{1500, 1, 0, true}, // of less than a window
		{1550, 1, 0, false},
	} {
		for range c.n {
			f.End(c.at)
		}
		if swift, isNew := f.Swift(c.at), f.New(c.at); swift != c.swift || isNew != c.isNew {
			t.Errorf("at %d: %d %v, want %d %v", c.at, swift, isNew, c.swift, c.isNew)
		}
	}
}
