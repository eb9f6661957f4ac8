package liquid

import (
	"regexp"
	"strings"
	"time"

	"github.com/osteele/tuesday"

	"github.com/tripline/tripline/processor/campaign/value"
)

// layouts are the forms of times that `date` reads, beside RFC 3339 and seconds since the epoch. What names no zone is UTC.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02", "2006-01-02 15:04:05 -0700",
	"2006-01-02 15:04:05 MST", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04", "2006/01/02", "01/02/2006",
	time.RFC1123Z, time.RFC1123, time.RFC850, time.ANSIC, "January 2, 2006", "Jan 2, 2006", "2 January 2006", "2 Jan 2006",
}

// wide is a directive that pads to more than anybody wants to see.
var wide = regexp.MustCompile(`%[-_^#0:]*[0-9]{3}`)

// date formats a time as strftime does, in the zone that the time has. What is no time stays as it is.
func date(c *call) (Value, error) {
	format := text(c.arg(0))
	t, ok := c.time()
	if !ok || format == "" {
		return c.in, nil
	}
	if len(format) > 1024 || wide.MatchString(format) {
		return nil, c.fault("a time format that is too long")
	}
	s, err := tuesday.Strftime(format, t)
	if err != nil {
		return nil, c.fault("time format %q: %v", format, err)
	}
	return s, nil
}

func (c *call) time() (t time.Time, ok bool) {
	switch in := c.in.(type) {
	case value.Value:
		return epoch(in)
	case string:
		s := strings.TrimSpace(in)
		if s == "now" || s == "today" {
			return time.UnixMilli(c.r.env.Now).UTC(), true
		}
		if n, err := value.Parse([]byte(s)); err == nil && n.Kind() == value.Number {
			return epoch(n)
		}
		for _, layout := range layouts {
			if t, err := time.Parse(layout, s); err == nil {
				return t, true
			}
		}
	}
	return time.Time{}, false
}

// epoch is a time given in seconds, within the years that have four digits.
func epoch(n value.Value) (time.Time, bool) {
	f, ok := n.Float()
	const first, last = -62135596800, 253402300799
	if !ok || f < first || f > last {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(f * 1000)).UTC(), true
}
