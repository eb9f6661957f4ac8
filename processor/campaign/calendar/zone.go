package calendar

import (
	"fmt"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // where the system has no zone data
)

// Zone is a time zone.
type Zone = *time.Location

// zones are the zones in use, by name; names outside the IANA list are never asked for.
var zones sync.Map

// LoadZone finds a zone by its IANA name, exactly as written there. It is safe for concurrent use.
func LoadZone(name string) (Zone, bool) {
	if z, ok := zones.Load(name); ok {
		return z.(Zone), true
	}
	if !known(name) {
		return nil, false
	}
	z, err := time.LoadLocation(name)
	if err != nil {
		return nil, false
	}
	zones.Store(strings.Clone(name), z)
	return z, true
}

// TimeOfDay is what a clock shows, in milliseconds since midnight.
type TimeOfDay int32

// ParseTimeOfDay reads 15:04 or 15:04:05.
func ParseTimeOfDay(text string) (TimeOfDay, error) {
	s := scanner{rest: text}
	ms, leap := s.shortClock()
	if s.bad || leap || s.rest != "" {
		return 0, fmt.Errorf("expected a time of day like 09:00 or 09:00:30, not %s", quote(text))
	}
	return TimeOfDay(ms), nil
}

// shortClock reads 15:04 or 15:04:05.
func (s *scanner) shortClock() (ms int64, leap bool) {
	if len(s.rest) > len("15:04") {
		return s.clock()
	}
	return s.hourMinute(), false
}

// On is the moment at which the clocks of a zone show t on a day. In a gap of the clock that is the first instant after
// the gap, of two equal times the first. A day beyond its month's end runs into the next month.
func On(year int, month time.Month, day int, t TimeOfDay, z Zone) int64 {
	return moment(startOf(year, month, day)+int64(t), z)
}

// moment is the first instant at which the local clock shows what a clock in UTC shows at local, or would have if a
// gap did not hide it.
//
// It goes through the zone's periods of equal offset from one that surely ends or begins before: offsets are less than
// a day. The first period that does not end before the local time either holds it or follows the gap it fell into.
func moment(local int64, z Zone) int64 {
	if z == time.UTC {
		return local
	}
	at := time.UnixMilli(local - day).In(z)
	for {
		start, end := at.ZoneBounds()
		if !end.IsZero() && !end.After(at) {
			// Beyond its tables the time package gives every year 365 days, and the last one of a leap year no end.
			end = time.Date(at.UTC().Year()+1, time.January, 1, 0, 0, 0, 0, time.UTC).In(z)
		}
		_, seconds := at.Zone()
		ms := local - int64(seconds)*1000
		switch {
		case !start.IsZero() && ms < start.UnixMilli():
			return start.UnixMilli()
		case end.IsZero() || ms < end.UnixMilli():
			return ms
		}
		at = end
	}
}

// steadyOffset is by how much the clocks of a zone are ahead of UTC for some days before and after a moment: false where they change then,
// or it is not known.
func steadyOffset(ms int64, z Zone) (offset int64, ok bool) {
	if z == time.UTC {
		return 0, true
	}
	at := time.UnixMilli(ms).In(z)
	start, end := at.ZoneBounds()
	if !start.IsZero() && start.UnixMilli() > ms-steadyFor || !end.IsZero() && end.UnixMilli() < ms+steadyFor {
		return 0, false
	}
	_, seconds := at.Zone()
	return int64(seconds) * 1000, true
}

// steadyFor is longer than from a moment to the end of a period that has begun on its day or the one before, whatever the zone.
const steadyFor = 4 * day

// localDay is the day that the clocks of a zone show at ms, as the moment at which that day begins in UTC.
func localDay(ms int64, z Zone) int64 { return startOf(time.UnixMilli(ms).In(z).Date()) }

// exists tells whether any clock in the zone ever showed that day: some were skipped, as the 30th of December 2011 in
// Apia.
func exists(date int64, z Zone) bool { return localDay(moment(date, z), z) == date }

// AtOrAfter is the first moment at or after ms that is t on some day of the zone.
func AtOrAfter(ms int64, t TimeOfDay, z Zone) int64 {
	return Grid{Every: day, At: t}.AtOrAfter(ms, z)
}
