package campaign

import (
	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/history"
	"github.com/tripline/tripline/processor/campaign/value"
)

// dateTimeProperty qualifies at a moment that an event's property, its time, or a property of the profile names.
type dateTimeProperty struct {
	on         pattern // of the event; unused with profile
	cancel     *pattern
	occurrence int64
	profile    string // profile property
	property   string // "": the event's own time
	offset     int64
	at         *calendar.TimeOfDay
	same       bool
	yearly     bool
	ifPast     bool // fire what is past
}

func (c *compiler) dateTimeProperty(d *DateTimeProperty) kind {
	const path = "trigger.date_time_property"
	k := &dateTimeProperty{occurrence: int64(d.Occurrence), profile: d.ProfileProperty, property: d.Property, same: len(d.Same) > 0}
	c.same(path+".same", d.Same)
	if d.ProfileProperty != "" {
		if d.Event != "" || d.Where != "" || d.Property != "" || len(d.Same) > 0 || d.Occurrence != 0 || len(d.Alias) > 0 {
			c.problem(path+".profile_property", "stands alone: event, where, property, same, alias and occurrence belong to events")
		}
	} else {
		k.on = c.pattern(path, &Pattern{Event: d.Event, Where: d.Where, Alias: d.Alias}, d.Same, false)
		c.used.names(d.Property)
	}
	if d.Cancel != nil {
		p := c.pattern(path+".cancel", d.Cancel, d.Same, false)
		k.cancel = &p
	}
	if d.Offset != nil {
		k.offset = int64(*d.Offset)
	}
	if d.At != nil {
		at := calendar.TimeOfDay(*d.At)
		k.at = &at
	}
	if d.Property == "" && d.ProfileProperty == "" && k.offset <= 0 && k.at == nil {
		c.problem(path+".offset", "without property the moment counts from the event's own time: give a positive offset, or at")
	}
	if k.yearly = d.Repeat == "yearly"; d.Repeat != "" {
		c.choice(path+".repeat", d.Repeat, "yearly")
	}
	if k.ifPast = d.IfPast == "fire"; d.IfPast != "" {
		c.choice(path+".if_past", d.IfPast, "skip", "fire")
	}
	return k
}

func (k *dateTimeProperty) names() []string {
	var names []string
	if k.profile == "" {
		names = append(names, k.on.event)
	}
	if k.cancel != nil {
		names = append(names, k.cancel.event)
	}
	return names
}

func (k *dateTimeProperty) shown() []string { return nil }

func (k *dateTimeProperty) event(s *step, st *standing, e *history.Event) {
	if k.cancel != nil {
		if key, ok := k.cancel.match(s, st.c, e); ok {
			st.drop(s, func(t *timer) bool {
				return t.key == key && (!t.caused() || less(t.at, position(e)))
			})
		}
	}
	if k.profile != "" {
		return
	}
	key, ok := k.on.match(s, st.c, e)
	if !ok || !k.sets(e) {
		return
	}
	if k.occurrence > 0 {
		if st.count >= k.occurrence {
			return
		}
		st.count++
		s.user.dirty = true
		if st.count < k.occurrence {
			return
		}
	}
	if k.same {
		st.drop(s, func(t *timer) bool { return t.key == key && less(t.at, position(e)) })
	}
	if s.user.log.Ends(position(e)) || !k.endedLater(s, st, e, key) {
		k.aim(s, st, by(e, 0, key))
	}
}

// sets says whether an event of the campaign has what sets a timer: the property, whatever its value.
func (k *dateTimeProperty) sets(e *history.Event) bool {
	return k.property == "" || !e.Properties.Get(k.property).IsNil()
}

// endedLater says whether what came after e in the user's order, but arrived before it, ends or re-aims its timer.
func (k *dateTimeProperty) endedLater(s *step, st *standing, e *history.Event, key string) (ended bool) {
	if !k.same && k.cancel == nil {
		return false
	}
	s.user.log.Ascend(position(e), after(maxTime), func(x *history.Event) bool {
		ended = k.cancel != nil && k.cancel.fits(s, st.c, x, key) || k.same && k.occurrence == 0 && k.on.fits(s, st.c, x, key) && k.sets(x)
		return !ended
	})
	return ended
}

// base is the moment that a timer's source names, before offset and at.
func (k *dateTimeProperty) base(s *step, t *timer) (int64, bool) {
	switch {
	case !t.caused():
		return calendar.ParseDate(s.user.profile.Get(k.profile), s.user.zone)
	case k.property == "":
		return t.at.Time, true
	}
	return calendar.ParseDate(s.user.source(t).Properties.Get(k.property), s.user.zone)
}

// moment is the one of a given year of the repetition, 0 the date itself.
func (k *dateTimeProperty) moment(s *step, base int64, year int) int64 {
	m := base
	if year > 0 {
		m = calendar.Anniversary(base, year, s.user.zone)
	}
	m += k.offset
	if k.at != nil {
		m = calendar.AtOrAfter(m, *k.at, s.user.zone)
	}
	return m
}

// seek finds t's moment. Of a repetition it is, from t's year on, the first that is not past or, where if_past lets it
// fire, the latest past one; the next ones follow from it.
func (k *dateTimeProperty) seek(s *step, base int64, t *timer) {
	t.moment = k.moment(s, base, t.year)
	if !k.yearly || t.moment >= s.arrival {
		return
	}
	t.year += max(0, int((s.arrival-t.moment)/(366*day))-1)
	for t.moment = k.moment(s, base, t.year); t.moment < s.arrival; t.moment = k.moment(s, base, t.year) {
		t.year++
	}
	if k.ifPast {
		t.year--
		t.moment = k.moment(s, base, t.year)
	}
}

// aim sets the timer that t describes.
func (k *dateTimeProperty) aim(s *step, st *standing, t timer) {
	base, ok := k.base(s, &t)
	if !ok {
		s.out.Counts.campaign(st.c).BadValues++
		return
	}
	k.seek(s, base, &t)
	if t.moment >= s.arrival || k.ifPast {
		t.passed = t.moment < s.arrival
		st.add(s, t)
	}
}

func (k *dateTimeProperty) fire(s *step, st *standing, t *timer) {
	q := qualification{moment: t.moment, left: t.due, key: t.key, passed: t.passed}
	if t.caused() {
		s.cause(&q, t)
	}
	if k.yearly {
		if base, ok := k.base(s, t); ok {
			next := *t
			next.year++
			next.passed = false
			next.moment = k.moment(s, base, next.year)
			next.due = next.moment + s.set.rules.AllowedLateness
			st.openDue(s, next)
		}
	}
	s.qualify(st, q)
}

func (k *dateTimeProperty) profileChanged(s *step, st *standing, was value.Properties) {
	if k.profile == "" {
		return
	}
	old, now := was.Get(k.profile), s.user.profile.Get(k.profile)
	if value.Equal(old, now) {
		return
	}
	st.drop(s, func(*timer) bool { return true })
	if !now.IsNil() {
		k.aim(s, st, timer{})
	}
}

// zoneChanged re-aims the open timers that it moves, as if they were set now.
func (k *dateTimeProperty) zoneChanged(s *step, st *standing) {
	var moved []timer
	st.drop(s, func(t *timer) bool {
		base, ok := k.base(s, t)
		if !ok {
			return false
		}
		if k.moment(s, base, t.year) == t.moment {
			return false
		}
		k.seek(s, base, t)
		moved = append(moved, *t)
		return true
	})
	for _, t := range moved {
		if t.moment >= s.arrival || k.ifPast {
			t.passed = t.moment < s.arrival
			st.add(s, t)
		}
	}
}
