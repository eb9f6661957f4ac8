package config

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tripline/tripline/processor/campaign/calendar"
)

// Start is where a lane without a position begins: StartEarliest, StartLatest, or a time in milliseconds since the epoch.
type Start int64

// The starts that are not times; the numbers are those of Kafka's ListOffsets.
const (
	StartLatest   Start = -1
	StartEarliest Start = -2
)

// UnmarshalText reads earliest, latest or RFC 3339.
func (s *Start) UnmarshalText(text []byte) error {
	switch string(text) {
	case "earliest":
		*s = StartEarliest
	case "latest":
		*s = StartLatest
	default:
		ms, err := calendar.ParseTime(string(text))
		if err != nil {
			return fmt.Errorf("expected earliest, latest or a time as in 2026-11-24T10:44:00Z, not %q", text)
		}
		*s = Start(ms)
	}
	return nil
}

// Size is a number of bytes, written as 512MiB, 64KB or plainly as 1048576.
type Size int64

// UnmarshalText reads a whole number with one of the units B, KB, MB, GB (powers of 1000), KiB, MiB, GiB (powers of 1024).
func (s *Size) UnmarshalText(text []byte) error {
	number := strings.TrimRight(string(text), "BiKMG")
	unit, ok := map[string]int64{
		"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
	}[string(text)[len(number):]]
	n, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || n < 0 || n > (1<<62)/unit {
		return fmt.Errorf("expected a size as in 512MiB, not %q", text)
	}
	*s = Size(n * unit)
	return nil
}

// String is the size in the largest unit that divides it.
func (s Size) String() string {
	for shift, unit := range []string{"GiB", "MiB", "KiB"} {
		if size := Size(1) << (30 - 10*shift); s != 0 && s%size == 0 {
			return strconv.FormatInt(int64(s/size), 10) + unit
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// Percent is a share of one, written as 20%.
type Percent float64

// UnmarshalText reads a number and its percent sign.
func (p *Percent) UnmarshalText(text []byte) error {
	number, ok := strings.CutSuffix(string(text), "%")
	f, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(f >= 0 && f <= 100) {
		return fmt.Errorf("expected a share from 0%% to 100%%, not %q", text)
	}
	*p = Percent(f / 100)
	return nil
}

// Statuses is a range of HTTP statuses, both ends in it, written as 404 or 200-299.
type Statuses struct{ Low, High int }

// UnmarshalText reads one status or two with a hyphen between them.
func (s *Statuses) UnmarshalText(text []byte) error {
	low, high, ranged := strings.Cut(string(text), "-")
	if !ranged {
		high = low
	}
	l, err1 := strconv.Atoi(low)
	h, err2 := strconv.Atoi(high)
	if err1 != nil || err2 != nil || l < 100 || h > 599 || l > h {
		return fmt.Errorf("expected an HTTP status or a range of them as in 200-299, not %q", text)
	}
	*s = Statuses{Low: l, High: h}
	return nil
}

// Contains reports whether the status lies in the range.
func (s Statuses) Contains(status int) bool { return s.Low <= status && status <= s.High }

// Text is a value that may come from the environment or from a mounted file (`file:PATH`), and may then be secret. It prints
// itself only where it stands in the configuration file in plain sight.
type Text struct {
	value  string
	file   string // the file it was read from; it is read again by loading the configuration again
	hidden bool
}

// PlainText is a text that is no secret.
func PlainText(s string) Text { return Text{value: s} }

// Reveal is the text itself, never to be logged where Hidden.
func (t Text) Reveal() string { return t.value }

// Hidden reports whether the text came from the environment or a file, or is a secret by its place.
func (t Text) Hidden() bool { return t.hidden }

// String is the text, or *** where Hidden.
func (t Text) String() string {
	if t.hidden {
		return "***"
	}
	return t.value
}

// GoString is String, so that no verb of fmt prints a secret.
func (t Text) GoString() string { return strconv.Quote(t.String()) }

// Secret is a Text that is always Hidden, and whose place in the file is not shown in a problem.
type Secret struct{ Text }

// SigningSecret is a Secret in the form of Standard Webhooks: whsec_ and the base64 of 24 to 64 bytes.
type SigningSecret struct{ Secret }
