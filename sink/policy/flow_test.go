package policy

import "testing"

// TestFlow holds that an endpoint is swift when many attempts end in a tenth of a second, and for a while after; not any more when none
// ends; and that nothing is said of one of which nothing is known.
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
		{1099, 1, 4000, true},
		{1100, 399, 4000, false},
		{1199, 101, 5000, false},
		{1498, 0, 5000, false},
		{1499, 0, 0, true}, // none has ended for a while
		{1500, 400, 4000, true},
		{1600, 500, 5000, false},
		{1800, 1, 5000, false},
		{2000, 400, 5000, false}, // the best of late
		{2200, 1, 5000, false},
		{2400, 1, 5000, false},
		{2600, 400, 4000, false}, // that was too long ago
		{2800, 399, 4000, false},
		{3000, 399, 4000, false},
		{3200, 399, 4000, false},
		{3400, 399, 4000, false},
		{3600, 399, 4000, false},
		{3800, 399, 4000, false},
		{4000, 399, 4000, false},
		{4100, 399, 0, false},
	} {
		for range c.n {
			f.End(c.at)
		}
		if swift, isNew := f.Swift(c.at), f.New(c.at); swift != c.swift || isNew != c.isNew {
			t.Errorf("at %d: %d %v, want %d %v", c.at, swift, isNew, c.swift, c.isNew)
		}
	}
}
