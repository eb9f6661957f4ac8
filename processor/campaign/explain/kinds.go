package explain

import (
	"fmt"
	"math"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/history"
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
		j.condition(fmt.Sprintf("it is the match number %d of this user", n), j.v.Matches == n && len(all) > 0, fmt.Sprintf("%d so far", j.v.Matches))
	}
}

func (j *judge) actions(d *campaign.Actions) {
	within := int64(*d.Within)
	patterns := make([]pattern, len(d.All))
	var newest *found
	for i := range d.All {
		patterns[i] = newPattern(&d.All[i], d.Same)
		list, _ := patterns[i].all(j, math.MinInt64, j.moment)
		if n := len(list); n > 0 && (newest == nil || newest.Position().Compare(list[n-1].Position()) < 0) {
			newest = &list[n-1]
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
		because := did(fresh, why, p.name) + ", in the " + calendar.FormatDuration(within) + " up to " + calendar.FormatTime(end)
		if used := len(list) - len(fresh); used > 0 {
			because += fmt.Sprintf("; %d more took part in an earlier set", used)
		}
		if newest != nil {
			because += tied(newest.Event, d.Same)
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

func (j *judge) inaction(d *campaign.Inaction) {
	did1, didNot, last := newPattern(d.Did, nil), newPattern(d.DidNot, nil), int64(*d.InLast)
	window := " in the " + calendar.FormatDuration(last) + " up to " + calendar.FormatTime(j.moment)
	list, why := did1.all(j, j.moment-last, j.moment)
	j.condition("did "+did1.String()+did1.times()+window, len(list) >= did1.atLeast, did(list, why, did1.name))
	if len(list) > 0 {
		j.newest = list[len(list)-1].Event
	}
	not, why := didNot.all(j, j.moment-last, j.moment)
	because := ""
	if len(not) > 0 {
		because = did(not, "", didNot.name)
	} else if why != "" {
		because = why
	}
	j.condition("did not do "+didNot.String()+didNot.times()+window, len(not) < didNot.atLeast, because)
	for _, o := range j.v.Open {
		if o.Check {
			j.condition("this is the moment of a look", o.Moment == j.moment, "the next one is at "+calendar.FormatTime(o.Moment))
			break
		}
	}
}

func (j *judge) dateTimeProperty(d *campaign.DateTimeProperty) {
	var set *history.Event
	raw := j.v.Profile.Get(d.ProfileProperty)
	source := "the profile's " + d.ProfileProperty
	if d.ProfileProperty == "" {
		p := newPattern(&campaign.Pattern{Event: d.Event, Where: d.Where, Alias: d.Alias}, d.Same)
		list, why := p.all(j, math.MinInt64, j.moment)
		j.condition("did "+p.String(), len(list) > 0, did(list, why, p.name))
		if len(list) == 0 {
			return
		}
		set = list[len(list)-1].Event
		j.newest = set
		raw, source = set.Properties.Get(d.Property), d.Property+" of "+set.Name+" of "+calendar.FormatTime(set.Time)
	}
	moment, ok := int64(0), set != nil && d.Property == ""
	if ok {
		moment = set.Time
	} else {
		moment, ok = calendar.ParseDate(raw, j.v.Zone)
		shown := "missing"
		if !raw.IsNil() {
			shown = string(raw.Append(nil))
		}
		if j.condition(source+" is a date", ok, "it is "+shown); !ok {
			return
		}
	}
	if d.Offset != nil {
		moment += int64(*d.Offset)
	}
	if d.At != nil {
		moment = calendar.AtOrAfter(moment, calendar.TimeOfDay(*d.At), j.v.Zone)
	}
	if len(j.v.Open) > 0 {
		moment = j.v.Open[0].Moment
	}
	text := "its moment, " + calendar.FormatTime(moment) + ", has come"
	if because := j.ended(d, set, moment); because != "" {
		j.condition(text, false, because)
		return
	}
	if moment > j.moment {
		j.runs = "it waits for " + calendar.FormatTime(moment)
	}
	j.condition(text, moment <= j.moment, "")
}

// ended says why a timer that an event has set does not run to its moment; "" if it does.
func (j *judge) ended(d *campaign.DateTimeProperty, set *history.Event, moment int64) string {
	if set == nil {
		return ""
	}
	if moment < set.Time && d.IfPast != "fire" && d.Repeat == "" {
		return "it was past already when " + set.Name + " came, and if_past is skip"
	}
	if d.Cancel == nil {
		return ""
	}
	p, own := newPattern(d.Cancel, d.Same), newPattern(&campaign.Pattern{Event: d.Event, Where: d.Where, Alias: d.Alias}, d.Same)
	key, _, _ := own.match(j, set)
	list, _ := p.all(j, set.Time-1, min(moment, j.moment))
	for _, f := range under(list, key) {
		if set.Position().Compare(f.Position()) < 0 {
			return f.Name + " of " + calendar.FormatTime(f.Time) + tied(f.Event, p.same) + " cancelled it"
		}
	}
	return ""
}
