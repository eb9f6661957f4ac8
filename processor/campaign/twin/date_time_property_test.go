package twin

import (
	"testing"
	"time"
)

func departs(offset int64) *DateTimeProperty {
	return &DateTimeProperty{Pattern: p("A"), Property: "when", Offset: offset, At: -1}
}

// when is a date in minutes from base.
func when(minutes int64) string {
	return time.UnixMilli(base + minutes*minute).UTC().Format(time.RFC3339)
}

func TestTimerBeforeADate(t *testing.T) {
	k := departs(-30 * minute)
	expect(t, Rules{}, Campaign{DateTimeProperty: k}, events(at(0, "A", "when", when(90)), at(0, "A", "when", when(30)), at(1, "A", "when", when(30))),
		"0 left 0 [A@0]", "60 left 60 [A@0]")
	k.Fire = true
	expect(t, Rules{}, Campaign{DateTimeProperty: k, StaleAfter: minute}, events(at(10, "A", "when", when(30))), "0 left 11 [A@10]")
}

func TestNewerEventReaims(t *testing.T) {
	k := departs(0)
	k.Same = []string{"k"}
	expect(t, Rules{}, Campaign{DateTimeProperty: k},
		events(at(0, "A", "k", 1.0, "when", when(20)), at(1, "A", "k", 2.0, "when", when(21)), at(5, "A", "k", 1.0, "when", when(30)), late(6, 4, "A", "k", 1.0, "when", when(25))),
		"21 left 21 [A@1]", "30 left 30 [A@5]")
	expect(t, Rules{}, Campaign{DateTimeProperty: k}, events(at(0, "A", "k", 1.0, "when", when(20)), at(5, "A", "k", 1.0)), "20 left 20 [A@0]")
	expect(t, Rules{}, Campaign{DateTimeProperty: k}, events(at(0, "A", "k", 1.0, "when", when(20)), at(5, "A", "k", 1.0, "when", "soon")))
}

func TestCancelEndsTheTimersOfEventsBeforeIt(t *testing.T) {
	k, cancel := departs(0), p("B")
	k.Cancel = &cancel
	expect(t, Rules{}, Campaign{DateTimeProperty: k},
		events(at(0, "A", "when", when(20)), at(4, "A", "when", when(21)), late(5, 3, "B")), "21 left 21 [A@4]")
}

func TestZoneReaimsOpenTimers(t *testing.T) {
	k := departs(0)
	k.At = 12 * hour // base is 09:00 UTC, 11:00 in Berlin, 05:00 in New York
	berlin := Input{Kind: "profile", Arrival: base + minute, Profile: map[string]any{"timezone": "Europe/Berlin"}}
	expect(t, Rules{Zone: "America/New_York"}, Campaign{DateTimeProperty: k}, events(at(0, "A", "when", when(0)), berlin), "60 left 60 [A@0]")
}

func TestYearlyBeginsWithTheDateItself(t *testing.T) {
	k := &DateTimeProperty{ProfileProperty: "when", At: -1, Yearly: true}
	born := Input{Kind: "profile", Arrival: base, Profile: map[string]any{"when": "1990-06-17"}}
	expect(t, Rules{}, Campaign{DateTimeProperty: k}, events(born), "900 left 900 []")
	k.Fire = true
	born.Profile = map[string]any{"when": "1990-06-15"}
	expect(t, Rules{}, Campaign{DateTimeProperty: k}, events(born), "-1980 left 1 []")
}

func TestClockChanges(t *testing.T) {
	york, _ := time.LoadLocation("America/New_York")
	for _, c := range []struct {
		m       time.Month
		d       int
		ofDay   int64
		instant string
	}{
		{3, 8, 2*hour + 30*minute, "2026-03-08T07:00:00.000Z"}, // in the gap
		{11, 1, hour + 30*minute, "2026-11-01T05:30:00.000Z"},  // the first of two
		{11, 1, 2 * hour, "2026-11-01T07:00:00.000Z"},
		{7, 1, 9 * hour, "2026-07-01T13:00:00.000Z"},
	} {
		if got := timeText(clock(york, 2026, c.m, c.d, c.ofDay)); got != c.instant {
			t.Errorf("%v %d: %s, want %s", c.m, c.d, got, c.instant)
		}
	}
	leap := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC).UnixMilli()
	if got := timeText(anniversary(time.UTC, leap, 1)); got != "2025-02-28T12:00:00.000Z" {
		t.Error(got)
	}
}
