package twin

import (
	"cmp"
	"fmt"
	"slices"
)

// qualifies: "Qualifies at each matching event … `3`: the third match, then never again. Both count as the events
// arrive: a late event does not take the place of one that has qualified."
func (k SingleAction) qualifies(m *memory, e event) []qualification {
	patterns := k.Any
	if len(patterns) == 0 {
		patterns = []Pattern{k.Pattern}
	}
	if !slices.ContainsFunc(patterns, func(p Pattern) bool { return p.matches(e) }) {
		return nil
	}
	m.matches++
	if k.Occurrence > 0 && m.matches != k.Occurrence {
		return nil
	}
	return []qualification{{instance: fmt.Sprint(e.seq), moment: e.Time, events: []event{e}}}
}

// qualifies tells what the known list completes that had not been complete, in the user's order of the completing
// events. "With `same`, each combination of values counts for itself."
func (k Actions) qualifies(m *memory, events []event) []qualification {
	var list []qualification
	for _, key := range combinations(events, k.Same, k.All...) {
		if k.Reuse {
			list = append(list, k.reused(m, key, events)...)
		} else {
			list = append(list, k.anew(m, key, events)...)
		}
	}
	arrived := slices.MaxFunc(events, func(a, b event) int { return a.seq - b.seq })
	slices.SortStableFunc(list, func(a, b qualification) int {
		return cmp.Or(sign(a.firesBefore(b), b.firesBefore(a)), k.rank(a.key, arrived)-k.rank(b.key, arrived))
	})
	return list
}

// rank is the first pattern under which an event takes part in a combination.
func (k Actions) rank(key string, e event) int {
	return slices.IndexFunc(k.All, func(p Pattern) bool { return p.takesPart(k.Same, key, e) })
}

// anew: "Then it begins anew: what stands up to the completing event in the user's order, late comers included, counts
// no more."
func (k Actions) anew(m *memory, key string, events []event) []qualification {
	var list []qualification
	for i, e := range events {
		last, any := m.used[key]
		if any && !last.before(e) {
			continue
		}
		from := 0
		if any {
			from = slices.IndexFunc(events, func(o event) bool { return last.before(o) })
		}
		if set := k.set(key, events[from:i+1], e.Time, nil); set != nil && slices.ContainsFunc(set, is(e)) {
			m.used[key] = e
			list = append(list, qualification{instance: fmt.Sprint(key, e.seq), key: key, moment: e.Time, events: set})
		}
	}
	return list
}

// reused: "With `reuse`, every matching event that is the newest of some complete set qualifies (with `in_order` one of
// the last pattern)."
func (k Actions) reused(m *memory, key string, events []event) []qualification {
	var list []qualification
	for i, e := range events {
		instance := fmt.Sprint(key, e.seq)
		matching := k.All
		if k.InOrder {
			matching = k.All[len(k.All)-1:]
		}
		if m.left[instance] || !slices.ContainsFunc(matching, func(p Pattern) bool { return p.takesPart(k.Same, key, e) }) {
			continue
		}
		upTo := events[:i+1]
		if k.InOrder { // "events of one time are in any order"
			upTo = slices.DeleteFunc(slices.Clone(events), func(o event) bool { return o.Time > e.Time })
		}
		if set := k.set(key, upTo, e.Time, &e); set != nil {
			// The qualifying event is the newest, also where others of its time stand after it.
			set = append(slices.DeleteFunc(set, is(e)), e)
			list = append(list, qualification{instance: instance, key: key, moment: e.Time, events: set})
		}
	}
	return list
}

func is(e event) func(event) bool { return func(o event) bool { return o.seq == e.seq } }

// set finds a complete set among events: for each pattern its newest `at_least`, with `in_order` chosen from the last
// pattern to the first, each no later than what is chosen of the next. must, if given, is one of the last pattern's
// (with `in_order`). "An event counts for every pattern that it matches." "A `within` between two events … includes both
// ends."
func (k Actions) set(key string, events []event, newest int64, must *event) []event {
	chosen := map[int]event{}
	bound := newest
	for i := len(k.All) - 1; i >= 0; i-- {
		p := k.All[i]
		var own []event
		if must != nil && k.InOrder && i == len(k.All)-1 {
			own = append(own, *must)
		}
		for _, e := range slices.Backward(events) {
			if len(own) == p.atLeast() {
				break
			}
			if e.Time <= bound && e.Time >= newest-k.Within && p.takesPart(k.Same, key, e) && !slices.ContainsFunc(own, is(e)) {
				own = append(own, e)
			}
		}
		if len(own) < p.atLeast() {
			return nil
		}
		for _, e := range own {
			chosen[e.seq] = e
			if k.InOrder {
				bound = min(bound, e.Time)
			}
		}
	}
	var set []event
	for _, e := range events {
		if _, ok := chosen[e.seq]; ok {
			set = append(set, e)
		}
	}
	return set
}

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
