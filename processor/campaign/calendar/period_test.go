package calendar

import (
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
