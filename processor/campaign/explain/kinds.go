package explain

import (
	"fmt"
	"math"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/calendar"
)

// trigger judges the conditions of a trigger and returns its category.
func (j *judge) trigger(t *campaign.Trigger) string {
	switch {
	case t.SingleAction != nil:
		j.singleAction(t.SingleAction)
		return "single_action"
	case t.Actions != nil:
		j.actions(t.Actions)
		return "actions"
	case t.InactionWithinTime != nil:
		j.inactionWithinTime(t.InactionWithinTime)
		return "inaction_within_time"
	case t.Inaction != nil:
		j.inaction(t.Inaction)
		return "inaction"
	}
	j.dateTimeProperty(t.DateTimeProperty)
	return "date_time_property"
}

func (j *judge) singleAction(d *campaign.SingleAction) {
	patterns := d.Any
	if len(patterns) == 0 {
		patterns = []campaign.Pattern{d.Pattern}
	}
	var all []found
	text, why := "did ", ""
	for i := range patterns {
		p := newPattern(&patterns[i], nil)
		if i > 0 {
			text += " or "
		}
		text += p.String()
		list, reason := p.all(j, math.MinInt64, j.moment)
		all = append(all, list...)
		if reason != "" {
			why = reason
		}
	}
	for _, f := range all {
		if j.newest == nil || j.newest.Position().Compare(f.Position()) < 0 {
			j.newest, j.qualified = f.Event, f.Time
		}
	}
	name := patterns[0].Event
	j.condition(text, len(all) > 0, did(all, why, name))
	if n := int64(d.Occurrence); n > 0 {
		because := fmt.Sprintf("%d so far", max(j.v.Matches, int64(len(all))))
		holds := j.v.Matches == n && len(all) > 0
		if holds && int64(len(all)) > n && !j.v.Cut {
			holds, because = false, because+"; later ones never count"
		}
		j.condition(fmt.Sprintf("it is the match number %d of this user", n), holds, because)
	}
}

func (j *judge) actions(d *campaign.Actions) {
	within := int64(*d.Within)
	patterns := make([]pattern, len(d.All))
	var newest *found
	var same []string // as the newest event's pattern calls them
	for i := range d.All {
		patterns[i] = newPattern(&d.All[i], d.Same)
		list, _ := patterns[i].all(j, math.MinInt64, j.moment)
		if n := len(list); n > 0 && (newest == nil || newest.Position().Compare(list[n-1].Position()) < 0) {
			newest, same = &list[n-1], patterns[i].same
		}
	}
	end, key := j.moment, ""
	if newest != nil {
		end, key, j.newest, j.qualified = newest.Time, newest.key, newest.Event, newest.Time
	}
	whole, counted, since := true, true, int64(math.MinInt64)
	for i := range patterns {
		p := &patterns[i]
		list, why := p.all(j, end-within-1, end)
		list = under(list, key)
		fresh := list[:0:0]
		for _, f := range list {
			if used, ok := j.v.Used[key]; !ok || used.Compare(f.Position()) < 0 {
				fresh = append(fresh, f)
			}
		}
		if earlier, _ := p.all(j, math.MinInt64, end); len(list) == 0 && len(earlier) > 0 {
			newest := earlier[len(earlier)-1]
			why = "the newest " + p.name + " is of " + calendar.FormatTime(newest.Time) + tied(newest.Event, p.same)
		}
		window := ", in the " + calendar.FormatDuration(within) + " up to " + calendar.FormatTime(end)
		if newest != nil {
			window += tied(newest.Event, same)
		}
		because := did(fresh, why, p.name) + window
		switch used := len(list) - len(fresh); {
		case used > 0 && len(fresh) == 0:
			because = fmt.Sprintf("%d took part in an earlier set, and none came since", used) + window
		case used > 0:
			because += fmt.Sprintf("; %d more took part in an earlier set", used)
		}
		j.condition("did "+p.String()+p.times(), len(fresh) >= p.atLeast, because)
		counted = counted && len(fresh) >= p.atLeast
		whole = whole && counted
		if d.InOrder && whole {
			whole, since = inOrder(fresh, p.atLeast, since)
		}
	}
	if d.InOrder && (counted || whole) {
		j.condition("they came in the order that is listed", whole, "")
	}
}

// inOrder finds the first atLeast events that are not before since, and returns the time of the last of them.
func inOrder(list []found, atLeast int, since int64) (bool, int64) {
	n := 0
	for _, f := range list {
		if f.Time < since {
			continue
		}
		if n++; n == atLeast {
			return true, f.Time
		}
	}
	return false, since
}

func (j *judge) inactionWithinTime(d *campaign.InactionWithinTime) {
	after, without, within := newPattern(d.After, d.Same), newPattern(d.Without, d.Same), int64(*d.Within)
	list, why := after.all(j, math.MinInt64, j.moment)
	j.condition("did "+after.String(), len(list) > 0, did(list, why, after.name))
	text := calendar.FormatDuration(within) + " passed without " + without.String()
	if len(list) == 0 {
		j.condition(text, false, "nothing has begun to run")
		return
	}
	begun := list[len(list)-1]
	for _, f := range list { // the one whose deadline is asked for
		if f.Time+within == j.moment {
			begun = f
		}
	}
	if running := j.running(begun, list, &without, within); d.OnRepeat == "ignore" && running != nil {
		if begun.Time+within == j.moment {
			j.condition(text, false, begun.Name+" of "+calendar.FormatTime(begun.Time)+" began nothing, since that of "+calendar.FormatTime(running.Time)+" was running (on_repeat: ignore)")
			return
		}
		begun = *running
	}
	j.newest = begun.Event
	deadline := begun.Time + within
	j.qualified = deadline
	for _, f := range list {
		if d.OnRepeat != "separate" && d.OnRepeat != "ignore" && f.key == begun.key && begun.Position().Compare(f.Position()) < 0 && f.Time <= deadline {
			j.condition(text, false, f.Name+" of "+calendar.FormatTime(f.Time)+tied(f.Event, after.same)+" has moved the deadline")
			return
		}
	}
	ends, reason := without.all(j, begun.Time-1, deadline)
	for _, f := range under(ends, begun.key) {
		if begun.Position().Compare(f.Position()) < 0 {
			j.condition(text, false, f.Name+" of "+calendar.FormatTime(f.Time)+tied(f.Event, without.same)+" ended what "+begun.Name+" of "+
				calendar.FormatTime(begun.Time)+" had begun")
			return
		}
	}
	because := "counted from " + begun.Name + " of " + calendar.FormatTime(begun.Time) + tied(begun.Event, after.same)
	if reason != "" {
		because += "; " + reason
	}
	if j.moment < deadline {
		j.runs = "it waits: without " + without.String() + " it triggers once " + calendar.FormatTime(deadline) + " has passed"
		because += ", until " + calendar.FormatTime(deadline)
	}
	j.condition(text, j.moment >= deadline, because)
}

// running is the event whose watch of begun's key was running when begun came, under on_repeat: ignore.
func (j *judge) running(begun found, list []found, without *pattern, within int64) (watch *found) {
	for _, f := range under(list, begun.key) {
		if watch != nil && f.Time <= watch.Time+within {
			ended := false
			ends, _ := without.all(j, watch.Time-1, f.Time)
			for _, e := range under(ends, begun.key) {
				ended = ended || watch.Position().Compare(e.Position()) < 0 && e.Position().Compare(f.Position()) <= 0
			}
			if !ended {
				if f.Event == begun.Event {
					return watch
				}
				continue
			}
		}
		if f.Event == begun.Event {
			return nil
		}
		watch = &f
	}
	return nil
}
