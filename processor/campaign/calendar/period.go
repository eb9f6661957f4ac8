package calendar

import "time"

// Period is a part of the day in a zone, as quiet hours are: [From, To). Where To is not later than From it ends on the
// day after the one on which it begins.
type Period struct {
	From, To TimeOfDay
	Days     [7]bool // on which it begins, by time.Weekday
}

// Holds says whether ms lies in one of the periods, and when that one ends. From and To follow the clocks of the zone
// (see On): where a gap hides both, that day has no period.
func (p Period) Holds(ms int64, z Zone) (end int64, ok bool) {
	today := localDay(ms, z)
	for _, date := range [2]int64{today - day, today} {
		if !p.Days[weekday(date)] || !exists(date, z) {
			continue
		}
		last := date
		if p.To <= p.From {
			last += day
		}
		if from, to := moment(date+int64(p.From), z), moment(last+int64(p.To), z); from <= ms && ms < to {
			end, ok = max(end, to), true
		}
	}
	return end, ok
}

// EveryDay has a period begin on each day.
var EveryDay = [7]bool{time.Sunday: true, true, true, true, true, true, time.Saturday: true}
