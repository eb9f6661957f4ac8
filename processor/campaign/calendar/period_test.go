package calendar

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestPeriod(t *testing.T) {
	hours := func(from, to string, days ...time.Weekday) Period {
		f, err1 := ParseTimeOfDay(from)
		u, err2 := ParseTimeOfDay(to)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		p := Period{From: f, To: u, Days: EveryDay}
		if len(days) > 0 {
			p.Days = [7]bool{}
			for _, d := range days {
				p.Days[d] = true
			}
		}
		return p
	}
	night := hours("22:00", "08:00")
	for _, c := range []struct {
		what, zone string
		p          Period
		at, end    string // end "": not in it
	}{
		{"from is in it", "UTC", night, "2026-01-05T22:00:00Z", "2026-01-06T08:00:00Z"},
		{"before from", "UTC", night, "2026-01-05T21:59:59.999Z", ""},
		{"before to", "UTC", night, "2026-01-06T07:59:59.999Z", "2026-01-06T08:00:00Z"},
		{"to is not", "UTC", night, "2026-01-06T08:00:00Z", ""},
		{"a part of a day", "UTC", hours("12:00", "13:00"), "2026-01-06T12:30:00Z", "2026-01-06T13:00:00Z"},
		{"after a part of a day", "UTC", hours("12:00", "13:00"), "2026-01-06T14:00:00Z", ""},
		{"midnight to midnight", "UTC", hours("00:00", "23:59"), "2026-01-06T00:00:00Z", "2026-01-06T23:59:00Z"},
		{"the morning after the last day", "UTC", hours("22:00", "08:00", time.Monday), "2026-01-06T07:00:00Z", "2026-01-06T08:00:00Z"},
		{"the morning of the first day", "UTC", hours("22:00", "08:00", time.Monday), "2026-01-05T07:00:00Z", ""},
		{"the zone's day of the week", "Asia/Tokyo", hours("01:00", "02:00", time.Tuesday), "2026-01-05T16:30:00Z", "2026-01-05T17:00:00Z"},
		{"to in a gap", "Europe/Berlin", hours("00:00", "02:30"), "2026-03-29T00:59:59.999Z", "2026-03-29T01:00:00Z"},
		{"after that gap", "Europe/Berlin", hours("00:00", "02:30"), "2026-03-29T01:00:00Z", ""},
		{"from in a gap", "Europe/Berlin", hours("02:30", "04:00"), "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"},
		{"hidden by a gap", "Europe/Berlin", hours("02:00", "02:30"), "2026-03-29T01:00:00Z", ""},
		{"to twice", "Europe/Berlin", hours("00:00", "02:30"), "2026-10-25T00:30:00Z", ""},
		{"from twice, and the second", "Europe/Berlin", hours("02:30", "04:00"), "2026-10-25T01:00:00Z", "2026-10-25T03:00:00Z"},
		{"a night of 11 hours", "Europe/Berlin", night, "2026-10-24T20:00:00Z", "2026-10-25T07:00:00Z"},
		{"the night before a day that was skipped", "Pacific/Apia", night, "2011-12-30T09:00:00Z", "2011-12-30T10:00:00Z"},
	} {
		zone, ok := LoadZone(c.zone)
		at, err := ParseTime(c.at)
		if !ok || err != nil {
			t.Fatal(c.zone, err)
		}
		end, in := c.p.Holds(at, zone)
		got := ""
		if in {
			got = FormatTime(end)
		}
		want := c.end
		if want != "" {
			ms, err := ParseTime(want)
			if err != nil {
				t.Fatal(err)
			}
			want = FormatTime(ms)
		}
		if got != want {
			t.Errorf("%s: at %s it ends %q, expected %q", c.what, c.at, got, want)
		}
	}
}

// TestPeriodSteady holds what is reckoned with one offset equal to what asks the zone for each moment.
func TestPeriodSteady(t *testing.T) {
	rng, steady := rand.New(rand.NewPCG(1, 2)), 0
	for _, name := range []string{"UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Pacific/Kiritimati", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca"} {
		zone, ok := LoadZone(name)
		if !ok {
			t.Fatal(name)
		}
		for range 20_000 {
			p := Period{From: TimeOfDay(rng.IntN(day/60_000) * 60_000), To: TimeOfDay(rng.IntN(day/60_000) * 60_000)}
			for i := range p.Days {
				p.Days[i] = rng.IntN(2) == 0
			}
			ms := rng.Int64N(2_600_000_000) * 1000
			if ms%3 == 0 {
				ms -= 2_000_000_000_000
			}
			if _, ok := steadyOffset(ms, zone); ok {
				steady++
			}
			end, in := p.Holds(ms, zone)
			if wantEnd, want := p.holds(ms, zone); end != wantEnd || in != want {
				t.Fatalf("%v in %s at %s: %v until %s, expected %v until %s", p, name, FormatTime(ms), in, FormatTime(end), want, FormatTime(wantEnd))
			}
		}
	}
	if steady < 100_000 {
		t.Errorf("only %d of the moments were reckoned with one offset", steady)
	}
}
