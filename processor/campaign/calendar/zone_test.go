package calendar

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"
)

func zone(t *testing.T, name string) Zone {
	t.Helper()
	z, ok := LoadZone(name)
	if !ok {
		t.Fatalf("no zone %s", name)
	}
	return z
}

func TestLoadZone(t *testing.T) {
	for _, name := range strings.Fields(list) {
		if z := zone(t, name); z.String() != name {
			t.Errorf("%s is %s", name, z)
		}
	}
	for _, name := range []string{"", "Local", "local", "utc", "america/toronto", "Mars/Olympus", "../UTC", "/etc/localtime",
		"posixrules", "right/UTC", "posix/UTC", "localtime", "UTC ", "America", "+02:00", "Europe/Berlin\x00"} {
		if z, ok := LoadZone(name); ok || z != nil {
			t.Errorf("%q is the zone %v", name, z)
		}
	}
}

// A system may have no zone data, and nothing here would show that the program has none either.
func TestZonesAreInTheProgram(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "zone.go", nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"time/tzdata"` }) {
		t.Error("time/tzdata is not part of the program")
	}
}

func TestLoadZoneIsSafeForConcurrentUse(t *testing.T) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, name := range strings.Fields(list)[:50] {
				if _, ok := LoadZone(name); !ok {
					t.Errorf("no zone %s", name)
				}
			}
		})
	}
	wg.Wait()
}

func TestParseTimeOfDay(t *testing.T) {
	for text, want := range map[string]TimeOfDay{
		"00:00": 0, "09:00": 9 * 3600_000, "09:00:30": 9*3600_000 + 30_000, "23:59": 86340_000, "23:59:59": 86399_000,
	} {
		if got, err := ParseTimeOfDay(text); err != nil || got != want {
			t.Errorf("ParseTimeOfDay(%q) = %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "9:00", "09", "09:0", "24:00", "23:60", "23:59:60", "09:00:", "09:00:5", "09:00:00.0", "09:00Z", "0900", "ab:cd", "-1:00"} {
		if got, err := ParseTimeOfDay(text); err == nil {
			t.Errorf("ParseTimeOfDay(%q) = %d, want an error", text, got)
		}
	}
}

var localTimes = []struct{ zone, local, want, why string }{
	{"UTC", "2026-11-24 09:00", "2026-11-24T09:00:00Z", ""},
	{"America/Toronto", "2026-11-24 09:00", "2026-11-24T14:00:00Z", ""},
	{"America/Toronto", "2026-03-08 01:59", "2026-03-08T06:59:00Z", "just before the gap"},
	{"America/Toronto", "2026-03-08 02:00", "2026-03-08T07:00:00Z", "the gap begins"},
	{"America/Toronto", "2026-03-08 02:30", "2026-03-08T07:00:00Z", "in the gap"},
	{"America/Toronto", "2026-03-08 03:00", "2026-03-08T07:00:00Z", "the gap ends"},
	{"America/Toronto", "2026-03-08 03:01", "2026-03-08T07:01:00Z", ""},
	{"America/Toronto", "2026-11-01 00:59", "2026-11-01T04:59:00Z", ""},
	{"America/Toronto", "2026-11-01 01:00", "2026-11-01T05:00:00Z", "first of two"},
	{"America/Toronto", "2026-11-01 01:30", "2026-11-01T05:30:00Z", "first of two"},
	{"America/Toronto", "2026-11-01 02:00", "2026-11-01T07:00:00Z", "only after both"},
	{"Europe/Berlin", "2026-03-29 02:30", "2026-03-29T01:00:00Z", "gap east of Greenwich"},
	{"Europe/Berlin", "2026-10-25 02:30", "2026-10-25T00:30:00Z", "first of two east of Greenwich"},
	{"Australia/Lord_Howe", "2026-10-04 02:15", "2026-10-03T15:30:00Z", "a gap of half an hour"},
	{"Australia/Lord_Howe", "2026-10-04 02:30", "2026-10-03T15:30:00Z", "and its end"},
	{"Australia/Lord_Howe", "2026-04-05 01:45", "2026-04-04T14:45:00Z", "half an hour twice"},
	{"America/Havana", "2026-03-08 00:00", "2026-03-08T05:00:00Z", "a gap at midnight"},
	{"America/Sao_Paulo", "2018-11-04 00:30", "2018-11-04T03:00:00Z", "a gap at midnight"},
	{"America/Havana", "2026-11-01 00:30", "2026-11-01T04:30:00Z", "midnight twice"},
	{"Africa/Cairo", "2026-04-24 00:00", "2026-04-23T22:00:00Z", "a gap at midnight"},
	{"Africa/Cairo", "2026-10-29 23:30", "2026-10-29T20:30:00Z", "the last hour of a day twice"},
	{"America/Nuuk", "2026-03-28 23:30", "2026-03-29T01:00:00Z", "a gap that ends a day"},
	{"Pacific/Apia", "2011-12-29 23:59", "2011-12-30T09:59:00Z", "before the day that never was"},
	{"Pacific/Apia", "2011-12-30 00:00", "2011-12-30T10:00:00Z", "the day that never was"},
	{"Pacific/Apia", "2011-12-30 09:00", "2011-12-30T10:00:00Z", "the day that never was"},
	{"Pacific/Apia", "2011-12-31 00:00", "2011-12-30T10:00:00Z", "and the next"},
	{"Pacific/Kwajalein", "1993-08-21 12:00", "1993-08-21T12:00:00Z", "the day that never was"},
	{"Pacific/Kwajalein", "1993-08-22 00:00", "1993-08-21T12:00:00Z", "and the next"},
	{"Asia/Manila", "1844-12-31 12:00", "1844-12-31T15:56:08Z", "a day that never was, offsets beyond twelve hours"},
	{"America/Juneau", "1867-10-18 12:00", "1867-10-17T20:57:41Z", "a day that came twice"},
	{"Africa/Monrovia", "1972-01-07 00:20", "1972-01-07T00:44:30Z", "an offset in seconds"},
	{"Europe/London", "1970-01-01 00:00", "1969-12-31T23:00:00Z", "summer time all year"},
	{"Europe/Berlin", "2090-07-01 12:00", "2090-07-01T10:00:00Z", "beyond the tables"},
	{"America/Toronto", "2040-12-31 09:00", "2040-12-31T14:00:00Z", "the last day of a leap year beyond the tables"},
	{"America/Toronto", "2041-01-01 00:00", "2041-01-01T05:00:00Z", "and the next"},
	{"Pacific/Auckland", "2048-12-31 23:59", "2048-12-31T10:59:00Z", "in the south"},
	{"America/Toronto", "2400-12-31 23:59", "2401-01-01T04:59:00Z", ""},
	{"Asia/Tokyo", "1800-01-01 00:00", "1799-12-31T14:41:01Z", "before the tables"},
}

func TestOn(t *testing.T) {
	for _, c := range localTimes {
		at, err := time.Parse("2006-01-02 15:04", c.local)
		if err != nil {
			t.Fatal(err)
		}
		clock := TimeOfDay(at.Hour()*3600_000 + at.Minute()*60_000)
		got := On(at.Year(), at.Month(), at.Day(), clock, zone(t, c.zone))
		if got != utc(t, c.want) {
			t.Errorf("%s in %s is %s, want %s (%s)", c.local, c.zone, FormatTime(got), c.want, c.why)
		}
	}
	if got, want := On(2026, time.January, 32, 0, time.UTC), utc(t, "2026-02-01T00:00:00Z"); got != want {
		t.Errorf("the 32nd of January is %s", FormatTime(got))
	}
	if got, want := On(2026, time.March, 0, 0, time.UTC), utc(t, "2026-02-28T00:00:00Z"); got != want {
		t.Errorf("the 0th of March is %s", FormatTime(got))
	}
}

// changes are moments at which the clocks of some zones changed, one for each, from 1973 on: offsets are whole minutes
// there.
func changes(t *testing.T, random *rand.Rand, zones int) (all []change) {
	offset := func(ms int64, z Zone) int64 { return shown(ms, z) - ms }
	names := strings.Fields(list)
	for len(all) < zones {
		z := zone(t, names[random.IntN(len(names))])
		var found []change
		for ms := utc(t, "1973-01-01T00:00:00Z"); ms < utc(t, "2050-01-01T00:00:00Z"); ms += 10 * day {
			if offset(ms, z) == offset(ms+10*day, z) {
				continue
			}
			minutes := sort.Search(10*24*60, func(i int) bool { return offset(ms+int64(i)*minute, z) != offset(ms, z) })
			found = append(found, change{z, ms + int64(minutes)*minute})
		}
		if len(found) > 0 {
			all = append(all, found[random.IntN(len(found))])
		}
	}
	return all
}

type change struct {
	zone Zone
	at   int64
}

const minute = 60_000

// shown is what the clocks show, as the moment at which those in UTC do.
func shown(ms int64, z Zone) int64 {
	t := time.UnixMilli(ms).In(z)
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC).UnixMilli()
}

// dumbMoment is moment by looking at the clock every minute of two days and more; local is a whole minute.
func dumbMoment(local int64, z Zone) int64 {
	after := int64(-1)
	for ms := local - 28*60*minute; ms < local+28*60*minute; ms += minute {
		switch now := shown(ms, z); {
		case now == local:
			return ms
		case now > local && after < 0 && shown(ms-minute, z) < local:
			after = ms
		}
	}
	return after
}

func TestMomentAgainstAClockOnTheWall(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for _, c := range changes(t, random, 60) {
		local := shown(c.at, c.zone) + (random.Int64N(6*60)-3*60)*minute
		if got, want := moment(local, c.zone), dumbMoment(local, c.zone); got != want {
			t.Fatalf("%s in %v is %s, the clock says %s", FormatTime(local), c.zone, FormatTime(got), FormatTime(want))
		}
	}
}
