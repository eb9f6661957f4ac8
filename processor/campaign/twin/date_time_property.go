package twin

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// aim is one timer, or with `repeat` one row of them, of an event or of the profile.
type aim struct {
	name   string
	source *event // nil: the profile
	value  any
	next   int   // the first occurrence that has neither fired nor been skipped
	closed bool  // fired, or skipped
	late   int64 // the arrival at which next was found past, where it fires; 0: it is not past
}

// aim takes in one input: timers are set by what arrives, moved by the profile and by the user's zone.
func (k DateTimeProperty) aim(u *user, m *memory, arrived *event, before map[string]any, zoneChanged bool) {
	if zoneChanged { // "A changed user's zone re-aims open timers."
		old := u.zones[len(u.zones)-2].zone
		for _, a := range m.aims {
			if !a.closed && k.moment(a, a.next, old) != k.moment(a, a.next, u.zone()) {
				k.start(u, a, a.next)
			}
		}
	}
	if k.ProfileProperty != "" {
		// "it moves when the property changes and is dropped when the property is removed"
		v := u.profile[k.ProfileProperty]
		if reflect.DeepEqual(v, before[k.ProfileProperty]) {
			return
		}
		m.aims = nil
		if _, ok := dateValue(v, u.zone()); ok {
			m.matches++
			k.open(u, m, &aim{name: fmt.Sprint("profile", m.matches), value: v})
		}
		return
	}
	if arrived == nil || !k.Pattern.matches(*arrived) {
		return
	}
	a := &aim{name: fmt.Sprint(arrived.seq), source: arrived, value: k.value(*arrived)}
	if _, ok := k.Pattern.combination(k.Same, *arrived); !ok || a.value == nil {
		return // "an event without the property changes nothing"
	}
	m.matches++
	if k.Occurrence > 0 && m.matches != k.Occurrence {
		return
	}
	k.open(u, m, a)
}

// value is the date that an event names: "omitted: the event's own time".
func (k DateTimeProperty) value(e event) any {
	if k.Property == "" {
		return time.UnixMilli(e.Time).UTC().Format(time.RFC3339Nano)
	}
	return e.Properties[k.Property]
}

// open keeps the aim; one with an unreadable value "sets no timer", but re-aims older ones.
func (k DateTimeProperty) open(u *user, m *memory, a *aim) {
	m.aims = append(m.aims, a)
	if _, ok := dateValue(a.value, u.zone()); !ok {
		a.closed = true
		return
	}
	k.start(u, a, 0)
}

// start seeks the first occurrence from the given one that is not past now. "A moment equal to the arrival is not
// past." "with `if_past: fire` the latest past occurrence fires".
func (k DateTimeProperty) start(u *user, a *aim, from int) {
	a.next, a.late = from, 0
	if k.moment(a, a.next, u.zone()) >= u.now {
		return
	}
	if k.Yearly {
		for k.moment(a, a.next, u.zone()) < u.now {
			a.next++
		}
		if k.Fire {
			a.next--
			a.late = u.now
		}
		return
	}
	a.closed = !k.Fire
	a.late = u.now
}

// moment: "The anniversary is taken in the user's zone, then `offset`, then `at`."
func (k DateTimeProperty) moment(a *aim, occurrence int, zone *time.Location) int64 {
	date, _ := dateValue(a.value, zone)
	t := anniversary(zone, date, occurrence) + k.Offset
	if k.At >= 0 {
		t = atOrAfter(zone, t, k.At)
	}
	return t
}

// timers are the open ones that nothing in the known list ends.
func (k DateTimeProperty) timers(u *user, m *memory) []qualification {
	var list []qualification
	for _, a := range m.aims {
		if a.closed || a.source != nil && k.ended(u, m, *a.source) {
			continue
		}
		q := qualification{instance: fmt.Sprint(a.name, "/", a.next), moment: k.moment(a, a.next, u.zone())}
		q.due = q.moment + u.rules.AllowedLateness
		if a.late != 0 { // "What `if_past: fire` lets through waits as long."
			q.due, q.past = max(q.due, a.late+u.rules.Settle), true
		}
		if a.source != nil {
			q.events = []event{*a.source}
		}
		list = append(list, q)
	}
	return list
}

// ended: "a newer event with equal values re-aims the timer"; "`cancel` ends the timers of events before it in the
// user's order (with equal values under `same`)".
func (k DateTimeProperty) ended(u *user, m *memory, e event) bool {
	key, _ := k.Pattern.combination(k.Same, e)
	for _, o := range u.events {
		if !e.before(o) {
			continue
		}
		if k.Cancel != nil && k.Cancel.takesPart(k.Same, key, o) {
			return true
		}
		aimed := slices.ContainsFunc(m.aims, func(a *aim) bool { return a.source.seq == o.seq })
		if len(k.Same) > 0 && aimed && k.Pattern.takesPart(k.Same, key, o) {
			return true
		}
	}
	return false
}

// fired moves an aim past what has just left.
func (k DateTimeProperty) fired(m *memory, instance string) {
	name, _, _ := strings.Cut(instance, "/")
	for _, a := range m.aims {
		if a.name == name {
			a.next++
			a.late = 0
			a.closed = !k.Yearly
		}
	}
}
