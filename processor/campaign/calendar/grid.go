package calendar

import (
	"errors"
	"sort"
	"time"
)

// Grid is the moments at which inaction looks: the same local times of every day, or one of every week.
type Grid struct {
	Every   int64     // ms: a divisor of a day; 7 days with Weekly
	At      TimeOfDay // one of the times; the others follow in steps of Every, through midnight
	Weekday time.Weekday
	Weekly  bool // only on Weekday
}

// Validate tells what is wrong with the grid.
func (g Grid) Validate() error {
	switch {
	case g.At < 0 || g.At >= day:
		return errors.New("expected a time of day below 24:00")
	case g.Weekly && g.Every != 7*day:
		return errors.New("a day of the week needs every: 7d")
	case g.Weekly && (g.Weekday < time.Sunday || g.Weekday > time.Saturday):
		return errors.New("expected a day of the week")
	case !g.Weekly && g.Every == 7*day:
		return errors.New("every: 7d needs the day of the week")
	case !g.Weekly && (g.Every <= 0 || day%g.Every != 0):
		return errors.New("expected a divisor of a day like 15m, 1h or 6h, or 1d, or 7d with a day of the week")
	}
	return nil
}

// AtOrAfter is the grid's first moment at or after ms, of a grid that is valid. Each local time of the grid has exactly
// one moment in each local day, by the rule of On; a day that the zone skipped has none.
func (g Grid) AtOrAfter(ms int64, z Zone) int64 {
	step := min(g.Every, day)
	first := int64(g.At) % step
	last := first + (day - step)
	// The gap of a clock may move a day's last time to the next local day, hence the day before.
	for date := localDay(ms, z) - day; ; date += day {
		if g.Weekly && weekday(date) != g.Weekday || moment(date+last, z) < ms {
			continue
		}
		n := sort.Search(int(day/step)-1, func(i int) bool { return moment(date+first+int64(i)*step, z) >= ms })
		at := moment(date+first+int64(n)*step, z)
		if localDay(at, z) == date || exists(date, z) {
			return at
		}
	}
}

func weekday(date int64) time.Weekday { return time.UnixMilli(date).UTC().Weekday() }
