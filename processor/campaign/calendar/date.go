package calendar

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tripline/tripline/processor/campaign/value"
)

// secondsBelow is the absolute value from which on a number is milliseconds since the epoch, not seconds.
const secondsBelow = 100_000_000_000

// ParseDate reads a date that a property holds: RFC 3339; 2006-01-02, 2006-01-02 15:04, 2006-01-02 15:04:05 and
// 2006-01-02T15:04:05 in the zone, by the rule of On; a number of epoch seconds, or milliseconds from 10^11 on; or
// "$D_<epoch seconds>". Any year from 0 to 9999 will do.
func ParseDate(v value.Value, z Zone) (ms int64, ok bool) {
	switch v.Kind() {
	case value.String:
		ms, ok = parseDateText(v.Text(), z)
	case value.Number, value.Digits:
		shift := 0
		if f, err := strconv.ParseFloat(v.Text(), 64); err == nil && math.Abs(f) < secondsBelow {
			shift = 3
		}
		ms, ok = v.Floor(shift)
	}
	return ms, ok && minTime <= ms && ms <= MaxTime
}

func parseDateText(text string, z Zone) (ms int64, ok bool) {
	if seconds, found := strings.CutPrefix(text, "$D_"); found {
		n, err := strconv.ParseInt(seconds, 10, 64)
		return n * 1000, err == nil && seconds[0] != '+' && minTime/1000 <= n && n <= MaxTime/1000
	}
	s := scanner{rest: text}
	local := s.date()
	if s.rest != "" {
		clock, leap := s.localClock()
		local += clock
		s.bad = s.bad || leap
	}
	if !s.bad && s.rest == "" {
		return moment(local, z), true
	}
	ms, err := ParseRFC3339(text)
	return ms, err == nil
}

// localClock reads " 15:04", " 15:04:05" or "T15:04:05".
func (s *scanner) localClock() (ms int64, leap bool) {
	if s.rest[0] == 'T' {
		s.rest = s.rest[1:]
		return s.clock()
	}
	s.byte(' ')
	return s.shortClock()
}

// Anniversary is the same local time on the same date, some years after base. The 29th of February is kept on the
// 28th in years that have none.
func Anniversary(base int64, years int, z Zone) int64 {
	if years == 0 {
		return base
	}
	t := time.UnixMilli(base).In(z)
	year, month, dayOfMonth := t.Date()
	hour, minute, second := t.Clock()
	clock := int64(hour)*3600_000 + int64(minute)*60_000 + int64(second)*1000 + int64(t.Nanosecond()/1e6)
	year += years
	return On(year, month, min(dayOfMonth, daysIn(year, month)), TimeOfDay(clock), z)
}
