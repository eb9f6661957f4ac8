// Package calendar reads durations, times, dates and zones, and finds the moments at which a local clock shows a time
// of day. Moments are milliseconds since the epoch, durations milliseconds.
package calendar

import (
	"fmt"
	"strconv"
)

// units are the units of durations, the longest first; a day is always 24 hours.
var units = [...]struct {
	name string
	ms   int64
}{
	{"w", 7 * day}, {"d", day}, {"h", 3600_000}, {"m", 60_000}, {"s", 1000}, {"ms", 1},
}

const (
	day = 24 * 3600_000

	// maxDuration keeps sums of a moment and a few durations far from overflow.
	maxDuration = 10_000 * 366 * day
)

// ParseDuration reads whole numbers with units, and sums of them: 500ms 90s 30m 12h 3d 2w 1d12h, after a '-' a negative
// one. A day is 24 hours.
func ParseDuration(text string) (ms int64, err error) {
	rest, negative := text, false
	if len(rest) > 0 && rest[0] == '-' {
		rest, negative = rest[1:], true
	}
	for first := true; first || rest != ""; first = false {
		digits := 0
		for digits < len(rest) && '0' <= rest[digits] && rest[digits] <= '9' {
			digits++
		}
		letters := digits
		for letters < len(rest) && 'a' <= rest[letters] && rest[letters] <= 'z' {
			letters++
		}
		unit, ok := unitOf(rest[digits:letters])
		if digits == 0 || !ok {
			return 0, fmt.Errorf("expected a duration like 30m, 12h, 3d or 1d12h, not %s", quote(text))
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil || n > maxDuration/unit || ms+n*unit > maxDuration {
			return 0, fmt.Errorf("duration %s is longer than 10,000 years", quote(text))
		}
		ms += n * unit
		rest = rest[letters:]
	}
	if negative {
		ms = -ms
	}
	return ms, nil
}

func unitOf(name string) (ms int64, ok bool) {
	for _, u := range units {
		if u.name == name {
			return u.ms, true
		}
	}
	return 0, false
}

// FormatDuration writes what ParseDuration reads, in days and below: 1d12h.
func FormatDuration(ms int64) string {
	if ms == 0 {
		return "0s"
	}
	var text []byte
	rest := uint64(ms)
	if ms < 0 {
		text = append(text, '-')
		rest = -rest
	}
	for _, u := range units[1:] {
		if n := rest / uint64(u.ms); n > 0 {
			text = append(strconv.AppendUint(text, n, 10), u.name...)
			rest %= uint64(u.ms)
		}
	}
	return string(text)
}

// quote shows the beginning of a text in an error.
func quote(text string) string {
	if len(text) > 64 {
		return strconv.Quote(text[:64]) + "…"
	}
	return strconv.Quote(text)
}
