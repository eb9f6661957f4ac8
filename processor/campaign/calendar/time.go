package calendar

import (
	"fmt"
	"time"
)

const (
	// MaxTime is the last millisecond of the year 9999, the last that RFC 3339 can write.
	MaxTime = 253402300799999
	// minTime is the first millisecond of the year 0.
	minTime = -62167219200000
)

// ParseTime reads an RFC 3339 time from 1970 to 9999, cut to milliseconds. A leap second (23:59:60 UTC at the end of a
// month) is the first second of the next day, as in POSIX time.
func ParseTime(text string) (ms int64, err error) {
	ms, err = ParseRFC3339(text)
	if err == nil && (ms < 0 || ms > MaxTime) {
		return 0, fmt.Errorf("expected a time from 1970 to 9999, not %s", quote(text))
	}
	return ms, err
}

// ParseRFC3339 is ParseTime for all years from 0.
func ParseRFC3339(text string) (ms int64, err error) {
	if ms, ok := parseUsual(text); ok {
		return ms, nil
	}
	s := scanner{rest: text}
	date := s.date()
	s.letter('T')
	clock, leap := s.clock()
	clock += s.fraction()
	offset := s.offset()
	if s.bad || s.rest != "" {
		return 0, fmt.Errorf("expected a time like 2026-11-24T10:44:00Z (RFC 3339), not %s", quote(text))
	}
	ms = date + clock - offset
	if leap && !endsMonth(ms) {
		return 0, fmt.Errorf("%s is no leap second", quote(text))
	}
	return ms, nil
}

// parseUsual reads the form that AppendTime writes, as most producers do, with few branches. All else it leaves alone.
func parseUsual(text string) (ms int64, ok bool) {
	if len(text) != len("2006-01-02T15:04:05.000Z") || text[4] != '-' || text[7] != '-' || text[10] != 'T' ||
		text[13] != ':' || text[16] != ':' || text[19] != '.' || text[23] != 'Z' {
		return 0, false
	}
	var high byte // from 0x80 on if any digit is above 9
	digit := func(i int) int {
		d := text[i] - '0'
		high |= d | (d + 0x7f - 9)
		return int(d)
	}
	year := digit(0)*1000 + digit(1)*100 + digit(2)*10 + digit(3)
	month, dayOfMonth := digit(5)*10+digit(6), digit(8)*10+digit(9)
	hour, minute, second := digit(11)*10+digit(12), digit(14)*10+digit(15), digit(17)*10+digit(18)
	thousandths := digit(20)*100 + digit(21)*10 + digit(22)
	if high >= 0x80 || month < 1 || month > 12 || dayOfMonth < 1 || dayOfMonth > daysIn(year, time.Month(month)) ||
		hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	clock := ((hour*60+minute)*60+second)*1000 + thousandths
	return startOf(year, time.Month(month), dayOfMonth) + int64(clock), true
}

// endsMonth tells whether ms is in the first second of a month in UTC, where a leap second has its place.
func endsMonth(ms int64) bool {
	t := time.UnixMilli(ms).UTC()
	return t.Day() == 1 && t.Hour() == 0 && t.Minute() == 0 && t.Second() == 0
}

// FormatTime writes RFC 3339 in UTC, always with three decimals.
func FormatTime(ms int64) string {
	var room [32]byte
	return string(AppendTime(room[:0], ms))
}

// AppendTime appends what FormatTime writes.
func AppendTime(dst []byte, ms int64) []byte {
	t := time.UnixMilli(ms).UTC()
	year, month, dayOfMonth := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	}
	hour, minute, second := t.Clock()
	thousandths := t.Nanosecond() / 1e6
	dst = append(two(two(dst, year/100), year%100), '-')
	dst = append(two(dst, int(month)), '-')
	dst = append(two(dst, dayOfMonth), 'T')
	dst = append(two(dst, hour), ':')
	dst = append(two(dst, minute), ':')
	dst = append(two(dst, second), '.')
	return append(two(append(dst, byte('0'+thousandths/100)), thousandths%100), 'Z')
}

func two(dst []byte, n int) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }

// scanner reads the parts of dates and times; what does not fit sets bad.
type scanner struct {
	rest string
	bad  bool
}

// pair reads two digits.
func (s *scanner) pair() int {
	if len(s.rest) < 2 {
		s.bad = true
		return 0
	}
	tens, ones := s.rest[0]-'0', s.rest[1]-'0'
	s.rest = s.rest[2:]
	s.bad = s.bad || tens > 9 || ones > 9
	return 10*int(tens) + int(ones)
}

func (s *scanner) byte(c byte) {
	if s.rest == "" || s.rest[0] != c {
		s.bad = true
		return
	}
	s.rest = s.rest[1:]
}

// letter reads a letter in either case (RFC 3339, 5.6).
func (s *scanner) letter(upper byte) {
	if s.rest != "" && s.rest[0] == upper|0x20 {
		s.rest = s.rest[1:]
		return
	}
	s.byte(upper)
}

// date reads 2006-01-02 as the moment at which that day begins in UTC.
func (s *scanner) date() (ms int64) {
	year := 100*s.pair() + s.pair()
	s.byte('-')
	month := s.pair()
	s.byte('-')
	dayOfMonth := s.pair()
	if s.bad || month < 1 || month > 12 || dayOfMonth < 1 || dayOfMonth > daysIn(year, time.Month(month)) {
		s.bad = true
		return 0
	}
	return startOf(year, time.Month(month), dayOfMonth)
}

// startOf is the moment at which a day begins in UTC. Days before and beyond a month's run into its neighbours.
//
// It counts years from March, so that the day that comes and goes is the last of a year (H. Hinnant, "chrono-compatible
// low-level date algorithms", days_from_civil).
func startOf(year int, month time.Month, dayOfMonth int) int64 {
	y, m := int64(year), int64(month)+9
	if m >= 12 {
		m -= 12
	} else {
		y--
	}
	era := y / 400
	if y < 0 {
		era = (y - 399) / 400
	}
	yearOfEra := y - era*400
	dayOfYear := (153*m+2)/5 + int64(dayOfMonth) - 1
	dayOfEra := yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear
	return (era*146097 + dayOfEra - 719468) * day
}

func daysIn(year int, month time.Month) int {
	switch month {
	case time.February:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case time.April, time.June, time.September, time.November:
		return 30
	}
	return 31
}

// clock reads 15:04:05 in milliseconds; leap is the 60th second.
func (s *scanner) clock() (ms int64, leap bool) {
	ms = s.hourMinute()
	s.byte(':')
	second := s.pair()
	s.bad = s.bad || second > 60
	return ms + int64(second)*1000, second == 60
}

// hourMinute reads 15:04 in milliseconds.
func (s *scanner) hourMinute() (ms int64) {
	hour := s.pair()
	s.byte(':')
	minute := s.pair()
	s.bad = s.bad || hour > 23 || minute > 59
	return int64(hour)*3600_000 + int64(minute)*60_000
}

// fraction reads the decimals of a second, if there are any, cut to milliseconds.
func (s *scanner) fraction() (ms int64) {
	if s.rest == "" || s.rest[0] != '.' {
		return 0
	}
	i := 1
	for place := int64(100); i < len(s.rest) && '0' <= s.rest[i] && s.rest[i] <= '9'; i++ {
		ms += int64(s.rest[i]-'0') * place
		place /= 10
	}
	s.bad = s.bad || i == 1
	s.rest = s.rest[i:]
	return ms
}

// offset reads Z or ±15:04 in milliseconds.
func (s *scanner) offset() (ms int64) {
	if s.rest == "" || s.rest[0] != '+' && s.rest[0] != '-' {
		s.letter('Z')
		return 0
	}
	west := s.rest[0] == '-'
	s.rest = s.rest[1:]
	if ms = s.hourMinute(); west {
		return -ms
	}
	return ms
}
