package twin

import (
	"cmp"
	"fmt"
	"slices"
)

// standing walks the whole known list in the user's order and tells every watch that no event ends, passed or still
// running: "they can end a watch … or start a watch whose deadline is already past, as they would have in order".
func (k InactionWithinTime) standing(events []event) []qualification {
	var list []qualification
	for _, key := range combinations(events, k.Same, k.After) { // "an own watch per value"
		var running []event
		passed := func(strictlyBefore int64) {
			running = slices.DeleteFunc(running, func(a event) bool {
				// "at the deadline itself the watch still runs"
				if a.Time+k.Within >= strictlyBefore {
					return false
				}
				list = append(list, qualification{instance: fmt.Sprint(key, a.seq), moment: a.Time + k.Within, events: []event{a}})
				return true
			})
		}
		for _, e := range events {
			passed(e.Time)
			// "A `without` event that comes after it in the user's order and not later than the deadline ends it in
			// silence." "Where one event matches both, it ends the running watch and starts the next."
			if k.Without.takesPart(k.Same, key, e) {
				running = nil
			}
			if !k.After.takesPart(k.Same, key, e) {
				continue
			}
			switch k.OnRepeat {
			case "separate":
				running = append(running, e)
			case "ignore":
				if len(running) == 0 {
					running = append(running, e)
				}
			default: // "`restart` moves the deadline to the newest `after`"
				running = []event{e}
			}
		}
		passed(1 << 62)
	}
	return list
}

// check is one look.
type check struct {
	did   []event // the matching events in its window
	holds bool    // enough of did, not of did_not
}

// standing walks the checks in order. "After a qualification the user is eligible again once there is a `did` event
// newer than the newest one in the window of that qualification". A check that has left counts as qualified, whatever
// has arrived since.
func (k Inaction) standing(events []event, zones []zoneSince, left map[string]bool) []qualification {
	var list []qualification
	var newest *event
	for _, moment := range k.moments(events, zones) {
		c := k.look(events, moment)
		instance := fmt.Sprint(moment)
		if len(c.did) == 0 {
			continue
		}
		last := c.did[len(c.did)-1]
		eligible := newest == nil || newest.before(last)
		if left[instance] || c.holds && eligible {
			if eligible {
				newest = &last
			}
			from := max(0, len(c.did)-k.Did.atLeast())
			list = append(list, qualification{instance: instance, moment: moment, events: c.did[from:]})
		}
	}
	return list
}

// look: "qualifies if `did` holds at least `at_least` times in (m − in_last, m] and `did_not` does not hold in the same
// window".
func (k Inaction) look(events []event, moment int64) check {
	var c check
	didNot := 0
	for _, e := range events {
		if e.Time <= moment-k.InLast || e.Time > moment {
			continue
		}
		if k.Did.matches(e) {
			c.did = append(c.did, e)
		}
		if k.DidNot.matches(e) {
			didNot++
		}
	}
	c.holds = len(c.did) >= k.Did.atLeast() && didNot < k.DidNot.atLeast()
	return c
}

// moments lists the check moments at which anything could be seen: `after`: "look once, two hours after the `did`
// event"; else the grid, in the zone that the user had when the moment came.
func (k Inaction) moments(events []event, zones []zoneSince) []int64 {
	var list []int64
	var oldest, latest int64
	for _, e := range events {
		if !k.Did.matches(e) {
			continue
		}
		if k.After > 0 {
			list = append(list, e.Time+k.After)
			continue
		}
		if latest == 0 {
			oldest = e.Time
		}
		latest = e.Time + k.InLast
	}
	if k.After > 0 || latest == 0 {
		return slices.Compact(list)
	}
	for i, z := range zones {
		from, to := oldest, latest
		if i > 0 {
			from = max(from, z.arrival)
		}
		if i+1 < len(zones) {
			to = min(to, zones[i+1].arrival)
		}
		if from < to {
			list = append(list, grid(z.zone, from, to, k.Every, k.At, k.On)...)
		}
	}
	slices.SortFunc(list, func(a, b int64) int { return cmp.Compare(a, b) })
	return list
}
