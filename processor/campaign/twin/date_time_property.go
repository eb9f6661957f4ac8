package twin

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // the same clock changes on every machine
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
		q.due, q.timer = q.moment+u.rules.AllowedLateness, true
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
	for _, o := range u.seen(m) {
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

const (
	second = int64(1000)
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour
)

// clock gives the instant of a local date and time of day: "in a gap of the clock the first instant after it, of two
// equal times the first".
func clock(zone *time.Location, y int, m time.Month, d int, ofDay int64) int64 {
	wall := time.Date(y, m, d, 0, 0, 0, 0, time.UTC).UnixMilli() + ofDay
	if t, ok := clocks.Load(wallClock{zone.String(), wall}); ok {
		return t.(int64)
	}
	t := instant(zone, wall)
	clocks.Store(wallClock{zone.String(), wall}, t)
	return t
}

type wallClock struct {
	zone string
	wall int64
}

// clocks keeps what has been worked out.
var clocks sync.Map

// instant tries every offset that the zone has around a local time, which is given as if it were UTC.
func instant(zone *time.Location, wall int64) int64 {
	var hits []int64
	lowest := int64(1 << 40)
	for probe := wall - 30*hour; probe <= wall+30*hour; probe += 6 * hour {
		_, seconds := time.UnixMilli(probe).In(zone).Zone()
		offset := int64(seconds) * second
		lowest = min(lowest, offset)
		_, there := time.UnixMilli(wall - offset).In(zone).Zone()
		if int64(there)*second == offset {
			hits = append(hits, wall-offset)
		}
	}
	if len(hits) > 0 {
		return slices.Min(hits)
	}
	start, _ := time.UnixMilli(wall - lowest).In(zone).ZoneBounds()
	return start.UnixMilli()
}

// atOrAfter is "the first such time of day at or after that moment, in the user's zone".
func atOrAfter(zone *time.Location, moment, ofDay int64) int64 {
	y, m, d := time.UnixMilli(moment).In(zone).Date()
	for back := -2; ; back++ {
		if t := clock(zone, y, m, d+back, ofDay); t >= moment {
			return t
		}
	}
}

// grid lists the check moments of [from, to): "the same times of every day, counted from `at`, default 00:00".
func grid(zone *time.Location, from, to, every, at int64, on string) []int64 {
	at = max(at, 0)
	var list []int64
	y, m, d := time.UnixMilli(from).In(zone).Date()
	for i := -2; ; i++ {
		date := time.Date(y, m, d+i, 0, 0, 0, 0, time.UTC)
		if date.UnixMilli() > to+2*day {
			slices.Sort(list)
			return slices.Compact(list)
		}
		if on != "" && strings.ToLower(date.Weekday().String()[:3]) != on {
			continue
		}
		for step := int64(0); step < day; step += min(every, day) {
			t := clock(zone, date.Year(), date.Month(), date.Day(), (at+step)%day)
			if from <= t && t < to {
				list = append(list, t)
			}
		}
	}
}

// dateValue reads what date_time_property accepts; false for "a value that is none of these".
func dateValue(v any, zone *time.Location) (int64, bool) {
	switch v := v.(type) {
	case float64:
		if v > -1e11 && v < 1e11 {
			return int64(v * 1000), true
		}
		return int64(v), true
	case string:
		if digits, ok := strings.CutPrefix(v, "$D_"); ok {
			n, err := strconv.ParseInt(digits, 10, 64)
			return n * second, err == nil
		}
		if t, err := time.Parse(time.RFC3339, v); err == nil {
			return t.UnixMilli(), true
		}
		for _, layout := range []string{"2006-01-02", "2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02T15:04:05"} {
			if t, err := time.Parse(layout, v); err == nil {
				ofDay := t.UnixMilli() - time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC).UnixMilli()
				return clock(zone, t.Year(), t.Month(), t.Day(), ofDay), true
			}
		}
	}
	return 0, false
}

// anniversary is the date k years on, in the user's zone; "29 February is kept on 28 February in other years". The
// 0th is the date itself.
func anniversary(zone *time.Location, date int64, k int) int64 {
	if k == 0 {
		return date
	}
	t := time.UnixMilli(date).In(zone)
	y, m, d := t.Date()
	if m == time.February && d == 29 && time.Date(y+k, m, d, 0, 0, 0, 0, time.UTC).Day() != 29 {
		d = 28
	}
	ofDay := int64(t.Hour())*hour + int64(t.Minute())*minute + int64(t.Second())*second + int64(t.Nanosecond())/1e6
	return clock(zone, y+k, m, d, ofDay)
}

// durationText writes a length as campaign files do.
func durationText(ms int64) string {
	if ms < 0 {
		return "-" + durationText(-ms)
	}
	text := ""
	for _, unit := range []struct {
		name string
		ms   int64
	}{{"d", day}, {"h", hour}, {"m", minute}, {"s", second}, {"ms", 1}} {
		if n := ms / unit.ms; n > 0 {
			text += strconv.FormatInt(n, 10) + unit.name
			ms %= unit.ms
		}
	}
	if text == "" {
		return "0s"
	}
	return text
}

func ofDayText(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("15:04")
}

func timeText(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}
