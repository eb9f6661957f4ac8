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
	offset, steady := steadyOffset(ms, z)
	if !steady {
		return p.holds(ms, z)
	}
	local := ms + offset
	today := local - ((local%day)+day)%day
	for _, date := range [2]int64{today - day, today} {
		if !p.Days[weekday(date)] {
			continue
		}
		if from, to := date+int64(p.From), date+p.until(); from <= local && local < to {
			end, ok = max(end, to-offset), true
		}
	}
	return end, ok
}

// holds is Holds whatever the zone's clocks do.
func (p Period) holds(ms int64, z Zone) (end int64, ok bool) {
	today := localDay(ms, z)
	for _, date := range [2]int64{today - day, today} {
		if !p.Days[weekday(date)] || !exists(date, z) {
			continue
		}
		if from, to := moment(date+int64(p.From), z), moment(date+p.until(), z); from <= ms && ms < to {
			end, ok = max(end, to), true
		}
	}
	return end, ok
}

// until is when the period ends, from the beginning of the day on which it begins.
func (p Period) until() int64 {
	if p.To <= p.From {
		return day + int64(p.To)
	}
	return int64(p.To)
}

// EveryDay has a period begin on each day.
var EveryDay = [7]bool{time.Sunday: true, true, true, true, true, true, time.Saturday: true}
