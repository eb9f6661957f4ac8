package policy

import "testing"

// TestFailing walks an endpoint to its end: it is told after a minute, warned of at 50, 70 and 90 percent once each, and disabled.
func TestFailing(t *testing.T) {
	const hour = 3_600_000
	var f Failing
	var warned []int
	tells := 0
	for now := int64(1_000); ; now += 30_000 {
		r := f.End(10*hour, false, now)
		if r.Tell {
			if tells++; tells == 1 && (now != 61_000 || r.Told != (Told{Since: 1_000})) {
				t.Errorf("told at %d: %+v", now, r.Told)
			}
		}
		if r.Warn > 0 {
			warned = append(warned, r.Warn)
			if passed := now - 1_000; passed != int64(r.Warn)*hour/10 || r.Told.Warned != r.Warn {
				t.Errorf("warned of %d%% after %d: %+v", r.Warn, passed, r)
			}
		}
		if r.Disable {
			if now != 1_000+10*hour || r.Share != 1 {
				t.Errorf("disabled at %d: %+v", now, r)
			}
			break
		}
	}
	if len(warned) != 3 || tells != 4 {
		t.Errorf("warned of %v, told %d times", warned, tells)
	}
}

// TestFailingSkips holds that of warnings that come due at once there is one.
func TestFailingSkips(t *testing.T) {
	var f Failing
	f.End(1000, false, 1)
	if r := f.End(1000, false, 801); r.Warn != 70 {
		t.Errorf("%+v", r)
	}
	if r := f.End(1000, false, 802); r.Warn != 0 || r.Tell {
		t.Errorf("%+v", r)
	}
}

// TestFailingInGroup holds that a success of any process ends it for all, and that none loses the beginning.
func TestFailingInGroup(t *testing.T) {
	const after = 1_000_000
	var a, b, c Failing
	a.End(after, false, 1_000)
	r := a.End(after, false, 100_000)
	if !r.Tell || b.Hear(r.Told, 100_000) {
		t.Fatalf("%+v", r)
	}
	// One that fails for the first time goes on where the other one began.
	if r := b.End(after, false, 502_000); r.Warn != 50 || r.Told.Since != 1_000 {
		t.Errorf("%+v", r)
	}
	// One that has had a success since then knows better.
	c.End(after, true, 50_000)
	if !c.Hear(r.Told, 100_000) {
		t.Error("a success after the beginning was not told")
	}
	told, is := c.Unsaid()
	if !is || told != (Told{}) {
		t.Errorf("%+v", told)
	}
	a.Hear(told, 502_500)
	b.Hear(told, 502_500)
	if r := a.End(after, false, 600_000); r.Share != 0 || r.Warn != 0 {
		t.Errorf("%+v", r)
	}
	// A success that was before the first failure ends nothing.
	if a.Hear(Told{}, 599_999); a.End(after, false, 700_000).Share != 0.1 {
		t.Error("the clock began anew")
	}
	// A success is told only where somebody has told of failing.
	if r := b.End(after, true, 700_000); r.Tell {
		t.Errorf("%+v", r)
	}
	a.End(after, false, 800_000)
	if r := a.End(after, true, 900_000); !r.Tell || r.Told != (Told{}) {
		t.Errorf("%+v", r)
	}
}
