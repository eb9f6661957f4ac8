package explain

import (
	"fmt"
	"math"
	"time"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/history"
	"github.com/tripline/tripline/processor/campaign/value"
)

// inaction judges as of the last look that there was after a `did` event, where looks follow such events; else as of the moment asked for.
func (j *judge) inaction(d *campaign.Inaction) {
	did1, didNot, last := newPattern(d.Did, nil), newPattern(d.DidNot, nil), int64(*d.InLast)
	look, isLook, next := j.look(d, &did1)
	window := " in the " + calendar.FormatDuration(last) + " up to " + calendar.FormatTime(look)
	list, why := did1.all(j, look-last, look)
	enough := len(list) >= did1.atLeast
	j.condition("did "+did1.String()+did1.times()+window, enough, did(list, why, did1.name))
	if len(list) > 0 {
		j.newest, j.qualified = list[len(list)-1].Event, look
	}
	not, why := didNot.all(j, look-last, look)
	because := why
	if len(not) > 0 {
		because = did(not, "", didNot.name)
	}
	j.condition("did not do "+didNot.String()+didNot.times()+window, len(not) < didNot.atLeast, because)
	for _, q := range j.v.Stands {
		if enough && q.Moment < look && list[len(list)-1].Position().Compare(q.Newest) <= 0 {
			j.condition("did "+did1.String()+" since it last qualified", false, "the look of "+calendar.FormatTime(q.Moment)+" saw the same events")
			return
		}
	}
	if isLook {
		return
	}
	because = ""
	if next > 0 {
		because = "the next one is at " + calendar.FormatTime(next)
		if enough && len(not) < didNot.atLeast {
			j.runs = "it waits for the look at " + calendar.FormatTime(next)
		}
	}
	j.condition("this is the moment of a look", false, because)
}

// look is the moment as of which to judge, whether it is one of a look, and if not the next one, 0 if there is none.
func (j *judge) look(d *campaign.Inaction, did *pattern) (moment int64, is bool, next int64) {
	if d.Check.After != nil {
		list, _ := did.all(j, math.MinInt64, j.moment)
		for i := len(list) - 1; i >= 0; i-- {
			at := list[i].Time + int64(*d.Check.After)
			if at <= j.moment {
				return at, true, 0
			}
			next = at
		}
		return j.moment, false, next
	}
	grid := calendar.Grid{Every: int64(*d.Check.Every)}
	if d.Check.At != nil {
		grid.At = calendar.TimeOfDay(*d.Check.At)
	}
	if day, ok := weekdays[d.Check.On]; ok {
		grid.Weekly, grid.Weekday = true, day
	}
	next = grid.AtOrAfter(j.moment, j.v.Zone)
	return j.moment, next == j.moment, next
}

var weekdays = map[string]time.Weekday{"sun": time.Sunday, "mon": time.Monday, "tue": time.Tuesday, "wed": time.Wednesday,
	"thu": time.Thursday, "fri": time.Friday, "sat": time.Saturday}

func (j *judge) dateTimeProperty(d *campaign.DateTimeProperty) {
	set, raw, source, ok := j.setBy(d)
	if !ok {
		return
	}
	moment, ok := j.aim(d, set)
	if set == nil || d.Property != "" {
		shown := "missing"
		if !raw.IsNil() {
			shown = string(raw.Append(nil))
		}
		if j.condition(source+" is a date", ok, "it is "+shown); !ok {
			return
		}
	}
	for _, o := range j.v.Open {
		if set == nil || o.Event != nil && o.Event.Position() == set.Position() {
			moment = o.Moment
		}
	}
	if set == nil && len(j.v.Open) == 0 && j.moment >= j.v.Now && (d.Repeat != "" || moment > j.moment) {
		j.condition("it has set a timer", false, "it was there before the campaign, which without backfill sees only what changes")
		return
	}
	j.qualified = moment
	text := "its moment, " + calendar.FormatTime(moment) + ", has come"
	if because := j.ended(d, set, moment); because != "" {
		j.condition(text, false, because)
		return
	}
	because := "set by " + source
	if set != nil && d.Property == "" {
		because = "counted from " + set.Name + " of " + calendar.FormatTime(set.Time)
	}
	if set != nil {
		because += tied(set, d.Same)
	}
	if moment > j.moment {
		j.runs = "it waits for " + calendar.FormatTime(moment)
	}
	j.condition(text, moment <= j.moment, because)
}

// setBy is what sets the moment: an event, or the profile, where it is nil; and the value that is read, and whose that is. ok is false
// where nothing does, which has been said then.
func (j *judge) setBy(d *campaign.DateTimeProperty) (set *history.Event, raw value.Value, source string, ok bool) {
	if d.ProfileProperty != "" {
		return nil, j.v.Profile.Get(d.ProfileProperty), "the profile's " + d.ProfileProperty, true
	}
	p := newPattern(&campaign.Pattern{Event: d.Event, Where: d.Where, Alias: d.Alias}, d.Same)
	list, why := p.all(j, math.MinInt64, j.moment)
	if len(list) == 0 && d.IfPast == "fire" { // what came later may have set a moment before it
		j.events = j.v.Events
		list, why = p.all(j, math.MinInt64, math.MaxInt64)
	}
	if len(list) == 0 {
		j.condition("did "+p.String(), false, j.afterwards(&p, d, did(list, why, p.name)))
		return nil, raw, "", false
	}
	j.condition("did "+p.String(), true, did(list, why, p.name))
	if set := setting(d, list); len(set) > 0 {
		list = set
	}
	if n := int64(d.Occurrence); n > 0 {
		counts := int64(len(list)) >= n && !j.v.Cut || j.v.Matches >= n
		if j.condition(fmt.Sprintf("there is a match number %d of this user", n), counts, fmt.Sprintf("%d so far", len(list))); !counts {
			return nil, raw, "", false
		}
		if int64(len(list)) >= n && !j.v.Cut {
			list = list[:n]
		}
	}
	set = j.aimed(d, list)
	j.newest = set
	return set, set.Properties.Get(d.Property), d.Property + " of " + set.Name + " of " + calendar.FormatTime(set.Time), true
}

// aim is the moment that an event, or the profile, sets.
func (j *judge) aim(d *campaign.DateTimeProperty, set *history.Event) (moment int64, ok bool) {
	switch {
	case set == nil:
		moment, ok = calendar.ParseDate(j.v.Profile.Get(d.ProfileProperty), j.v.Zone)
	case d.Property == "":
		moment, ok = set.Time, true
	default:
		moment, ok = calendar.ParseDate(set.Properties.Get(d.Property), j.v.Zone)
	}
	if d.Offset != nil {
		moment += int64(*d.Offset)
	}
	if ok && d.At != nil {
		moment = calendar.AtOrAfter(moment, calendar.TimeOfDay(*d.At), j.v.Zone)
	}
	return moment, ok
}

// setting are the events that have what sets a timer: others change nothing.
func setting(d *campaign.DateTimeProperty, list []found) (out []found) {
	for _, f := range list {
		if d.Property == "" || !f.Properties.Get(d.Property).IsNil() {
			out = append(out, f)
		}
	}
	return out
}

// aimed is the event whose timer is for the moment asked for; if none is, the newest. Under same a newer event takes the place of those before it.
func (j *judge) aimed(d *campaign.DateTimeProperty, list []found) *history.Event {
	seen := map[string]bool{}
	for i := len(list) - 1; i >= 0; i-- {
		if len(d.Same) > 0 && d.Occurrence == 0 && seen[list[i].key] {
			continue
		}
		seen[list[i].key] = true
		if m, ok := j.aim(d, list[i].Event); ok && m == j.moment {
			return list[i].Event
		}
	}
	return list[len(list)-1].Event
}

// afterwards is why, or that an event came only when the moment asked for was past.
func (j *judge) afterwards(p *pattern, d *campaign.DateTimeProperty, why string) string {
	for _, e := range j.v.Events {
		if _, ok, _ := p.match(j, e); !ok || e.Time <= j.moment {
			continue
		}
		why = e.Name + " of " + calendar.FormatTime(e.Time) + " came after that moment"
		if d.IfPast != "fire" {
			why += ", and what is past by then is skipped (if_past)"
		}
		break
	}
	return why
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
