package calendar

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestAtOrAfter(t *testing.T) {
	nine := TimeOfDay(9 * 3600_000)
	half := TimeOfDay(2*3600_000 + 1800_000)
	for _, c := range []struct {
		zone, from string
		t          TimeOfDay
		want       string
	}{
		{"UTC", "2026-11-24T09:00:00Z", nine, "2026-11-24T09:00:00Z"},
		{"UTC", "2026-11-24T09:00:00.001Z", nine, "2026-11-25T09:00:00Z"},
		{"UTC", "2026-12-31T23:59:59.999Z", 0, "2027-01-01T00:00:00Z"},
		{"America/Toronto", "2026-11-25T01:00:00Z", nine, "2026-11-25T14:00:00Z"},
		{"America/Toronto", "2026-03-08T06:00:00Z", half, "2026-03-08T07:00:00Z"},
		{"America/Toronto", "2026-03-08T07:00:00Z", half, "2026-03-08T07:00:00Z"},
		{"America/Toronto", "2026-03-08T07:00:00.001Z", half, "2026-03-09T06:30:00Z"},
		{"America/Toronto", "2026-11-01T05:30:00.001Z", TimeOfDay(5400_000), "2026-11-02T06:30:00Z"},
		{"America/Nuuk", "2026-03-29T01:00:00Z", TimeOfDay(23*3600_000 + 1800_000), "2026-03-29T01:00:00Z"},
		{"America/Nuuk", "2026-03-29T01:00:00.001Z", TimeOfDay(23*3600_000 + 1800_000), "2026-03-30T00:30:00Z"},
		{"Pacific/Apia", "2011-12-29T19:00:00.001Z", nine, "2011-12-30T19:00:00Z"}, // from the 29th to the 31st
		{"Pacific/Apia", "2011-12-30T10:00:00Z", nine, "2011-12-30T19:00:00Z"},
		{"Pacific/Apia", "2011-12-30T10:00:00Z", 0, "2011-12-30T10:00:00Z"},
	} {
		if got := AtOrAfter(utc(t, c.from), c.t, zone(t, c.zone)); got != utc(t, c.want) {
			t.Errorf("from %s in %s the next %v is %s, want %s", c.from, c.zone, time.Duration(c.t)*time.Millisecond, FormatTime(got), c.want)
		}
	}
}

func TestGrid(t *testing.T) {
	const hour = 3600_000
	for _, c := range []struct {
		name, zone, from string
		grid             Grid
		want             []string
	}{
		{"counted from at", "UTC", "2026-11-24T00:00:00Z", Grid{Every: 6 * hour, At: 9 * hour},
			[]string{"2026-11-24T03:00:00Z", "2026-11-24T09:00:00Z", "2026-11-24T15:00:00Z", "2026-11-24T21:00:00Z", "2026-11-25T03:00:00Z"}},
		{"every 15 minutes", "UTC", "2026-11-24T23:31:00Z", Grid{Every: hour / 4, At: 5 * 60_000},
			[]string{"2026-11-24T23:35:00Z", "2026-11-24T23:50:00Z", "2026-11-25T00:05:00Z"}},
		{"daily over a gap", "America/Toronto", "2026-03-07T07:30:00Z", Grid{Every: day, At: 2*hour + hour/2},
			[]string{"2026-03-07T07:30:00Z", "2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"}},
		{"hourly over a gap", "America/Toronto", "2026-03-08T06:00:00Z", Grid{Every: hour},
			[]string{"2026-03-08T06:00:00Z", "2026-03-08T07:00:00Z", "2026-03-08T08:00:00Z"}},
		{"hourly over an hour that comes twice", "America/Toronto", "2026-11-01T04:00:00Z", Grid{Every: hour},
			[]string{"2026-11-01T04:00:00Z", "2026-11-01T05:00:00Z", "2026-11-01T07:00:00Z"}},
		{"weekly", "America/Toronto", "2026-11-24T00:00:00Z", Grid{Every: 7 * day, At: 9 * hour, Weekly: true, Weekday: time.Monday},
			[]string{"2026-11-30T14:00:00Z", "2026-12-07T14:00:00Z"}},
		{"weekly on a Friday that never was", "Pacific/Apia", "2011-12-23T19:00:00Z", Grid{Every: 7 * day, At: 9 * hour, Weekly: true, Weekday: time.Friday},
			[]string{"2011-12-23T19:00:00Z", "2012-01-05T19:00:00Z"}},
		{"every millisecond", "UTC", "2026-11-24T00:00:00.001Z", Grid{Every: 1},
			[]string{"2026-11-24T00:00:00.001Z", "2026-11-24T00:00:00.002Z"}},
	} {
		if err := c.grid.Validate(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		at := utc(t, c.from)
		for _, want := range c.want {
			if at = c.grid.AtOrAfter(at, zone(t, c.zone)); at != utc(t, want) {
				t.Errorf("%s: got %s, want %s", c.name, FormatTime(at), want)
			}
			at++
		}
	}
}

func TestGridValidate(t *testing.T) {
	for name, g := range map[string]Grid{
		"nothing":            {},
		"negative":           {Every: -day},
		"no divisor":         {Every: 7 * 3600_000},
		"two days":           {Every: 2 * day},
		"7d without a day":   {Every: 7 * day},
		"a day without 7d":   {Every: day, Weekly: true},
		"no day of the week": {Every: 7 * day, Weekly: true, Weekday: 7},
		"at 24:00":           {Every: day, At: day},
		"at below 0":         {Every: day, At: -1},
	} {
		if g.Validate() == nil {
			t.Errorf("%s is valid", name)
		}
	}
}

// dumbGrid collects all moments of the grid on the days around ms, from clocks looked at every few minutes.
func dumbGrid(g Grid, ms int64, z Zone) int64 {
	days := map[int64]bool{}
	for at := ms - 3*day; at < ms+9*day; at += 5 * minute {
		days[shown(at, z)/day*day] = true
	}
	best := int64(-1)
	for date := range days {
		if g.Weekly && time.UnixMilli(date).UTC().Weekday() != g.Weekday {
			continue
		}
		step := min(g.Every, day)
		for clock := int64(g.At) % step; clock < day; clock += step {
			if at := dumbMoment(date+clock, z); at >= ms && (best < 0 || at < best) {
				best = at
			}
		}
	}
	return best
}

func TestGridAgainstAClockOnTheWall(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	all := changes(t, random, 6)
	for _, c := range []struct{ zone, at string }{
		{"Pacific/Apia", "2011-12-30T10:00:00Z"}, {"Pacific/Kwajalein", "1993-08-21T12:00:00Z"},
		{"Australia/Lord_Howe", "2026-10-03T15:30:00Z"}, {"America/Nuuk", "2026-03-29T01:00:00Z"}, {"Africa/Cairo", "2026-10-29T21:00:00Z"},
	} {
		all = append(all, change{zone(t, c.zone), utc(t, c.at)})
	}
	for i, c := range all {
		g := Grid{Every: []int64{day, day / 2, 7 * day}[i%3], At: TimeOfDay(random.Int64N(24*60) * minute)}
		if g.Every == 7*day {
			g.Weekly, g.Weekday = true, time.Weekday(random.IntN(7))
		}
		ms := c.at + (random.Int64N(96)-48)*30*minute
		if got, want := g.AtOrAfter(ms, c.zone), dumbGrid(g, ms, c.zone); got != want {
			t.Errorf("%+v in %v from %s is %s, the clock says %s", g, c.zone, FormatTime(ms), FormatTime(got), FormatTime(want))
		}
	}
}

func BenchmarkAtOrAfter(b *testing.B) {
	z, _ := LoadZone("America/Toronto")
	b.ReportAllocs()
	for b.Loop() {
		AtOrAfter(1795000000000, 9*3600_000, z)
	}
}

func BenchmarkGridHourly(b *testing.B) {
	z, _ := LoadZone("America/Toronto")
	b.ReportAllocs()
	for b.Loop() {
		Grid{Every: 3600_000}.AtOrAfter(1795000000000, z)
	}
}
