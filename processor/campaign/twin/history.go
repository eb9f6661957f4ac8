package twin

import (
	"fmt"
	"time"
)

// history makes 2 to 24 inputs: late, future, equal in time, twice, with profiles and erasures between.
func (d dice) history(campaigns []Campaign) []Input {
	known := mentioned(campaigns)
	late := pick(d, 0, 0, 10, 30, 50)
	var dates *DateTimeProperty
	for _, c := range campaigns {
		if dates == nil {
			dates = c.DateTimeProperty
		}
	}
	yearly := dates != nil && dates.Yearly
	now := d.origin + int64(d.IntN(6))*d.step
	var inputs []Input
	for i := range 2 + d.IntN(23) {
		now += int64(pick(d, 0, 0, 1, 1, 1, 2, 3, 5)) * d.step
		if d.chance(3) {
			now += d.gap()
		}
		if d.chance(5) {
			now += pick(d, int64(1), second)
		}
		in := Input{Kind: "event", Arrival: now, Time: now, Name: pick(d, known...), Properties: d.properties(now, yearly)}
		switch roll := d.IntN(100); {
		case roll < 3:
			in = Input{Kind: "erase", Arrival: now}
		case roll < 15, roll < 50 && dates != nil && dates.ProfileProperty != "":
			in = Input{Kind: "profile", Arrival: now, Profile: d.profile(now, yearly)}
		case roll < 20:
			in.Profile = d.profile(now, yearly)
		}
		if in.Kind == "event" {
			d.place(&in, late)
			if d.chance(40) {
				in.ID = fmt.Sprint("e", i)
			}
			if earlier := inputs; len(earlier) > 0 && d.chance(8) {
				in.ID = pick(d, earlier...).ID
			}
		}
		inputs = append(inputs, in)
	}
	return inputs
}

// gap is a long silence; of a crowd not a long one.
func (d dice) gap() int64 {
	if d.step < minute {
		return int64(pick(d, 12, 20)) * d.step
	}
	return pick(d, 6*hour, day)
}

// place moves an event's time away from its arrival.
func (d dice) place(in *Input, late int) {
	switch {
	case d.chance(late):
		in.Time -= int64(pick(d, 1, 1, 2, 3, 5, 8, 13, 30)) * d.step
	case d.chance(5):
		in.Time += pick(d, d.step, 2*d.step, 3*d.step, 5*minute, 5*minute+1)
	}
	if d.chance(4) {
		in.Time += pick(d, int64(-1), -second)
	}
}

// value is a small scalar; some are of the wrong type.
func (d dice) value() any {
	return pick[any](d, 0.0, 1.0, 1.0, 2.0, 2.5, "a", "ab", "1", true, false, nil)
}

// properties are k and basket for `same`, x and y for conditions, when for dates; each may be missing.
func (d dice) properties(now int64, yearly bool) map[string]any {
	m := map[string]any{}
	if d.chance(90) {
		m["k"] = pick[any](d, 1.0, 1.0, 1.0, "1", 2.0, nil)
	}
	if d.chance(60) {
		m["basket"] = pick[any](d, 1.0, 1.0, 2.0)
	}
	for _, name := range []string{"x", "y", "Requested Product"} {
		if d.chance(70) {
			m[name] = d.value()
		}
	}
	if d.chance(85) {
		m["when"] = d.date(now, yearly)
	}
	return m
}

// date names an instant near now in one of the accepted forms, or is none.
func (d dice) date(now int64, yearly bool) any {
	t := time.UnixMilli(now + int64(d.IntN(24)-8)*d.step).UTC()
	if yearly {
		t = t.AddDate(pick(d, 0, 0, -1, -2, -30, 1), 0, 0)
		if d.chance(20) {
			t = time.Date(pick(d, 1996, 2024, 2028), 2, 29, 12, 0, 0, 0, time.UTC)
		}
	}
	switch d.IntN(12) {
	case 0:
		return t.Format("2006-01-02")
	case 1, 2:
		return t.Format("2006-01-02 15:04")
	case 3:
		return t.Format("2006-01-02 15:04:05")
	case 4:
		return t.Format("2006-01-02T15:04:05")
	case 5:
		return float64(t.Unix())
	case 6:
		if t.Year() > 1973 {
			return float64(t.UnixMilli())
		}
	case 7:
		return fmt.Sprintf("$D_%d", t.Unix())
	case 8:
		return pick[any](d, "soon", true, "2026-13-01", nil, "")
	}
	return t.Format(time.RFC3339)
}

func (d dice) profile(now int64, yearly bool) map[string]any {
	m := map[string]any{}
	if d.chance(40) {
		m["timezone"] = pick[any](d, "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Nowhere/Land", nil)
	}
	if d.chance(60) {
		m["country"] = pick[any](d, "CA", "DE", nil)
	}
	if d.chance(30) {
		m["x"] = d.value()
	}
	if d.chance(50) {
		m["when"] = d.date(now, yearly)
	}
	return m
}

// where makes a condition on event.
func (d dice) where(depth int) Cond {
	return d.condition(depth, func() Cond { return Prop{"event", pick(d, "x", "x", "y", "Requested Product", "k")} }, nil)
}

// audience makes a condition on the profile, the newest event and the history.
func (d dice) audience(depth int) Cond {
	property := func() Cond {
		return pick[Cond](d, Prop{"profile", "country"}, Prop{"profile", "x"}, Prop{"event", "x"}, Prop{"event", "k"})
	}
	return d.condition(depth, property, d.ofHistory)
}

// condition makes a boolean of properties and, where given, of history.
func (d dice) condition(depth int, property func() Cond, ofHistory func() Cond) Cond {
	if depth > 0 && d.chance(40) {
		l, r := d.condition(depth-1, property, ofHistory), d.condition(depth-1, property, ofHistory)
		switch d.IntN(5) {
		case 0:
			return Not{l}
		case 1, 2:
			return Logic{"||", l, r}
		}
		return Logic{"&&", l, r}
	}
	if ofHistory != nil && d.chance(60) {
		return ofHistory()
	}
	p := property()
	op := pick(d, "==", "==", "!=", "<", "<=", ">", ">=")
	switch d.IntN(9) {
	case 0:
		return In{p, []any{1.0, "a", "CA"}, d.chance(30)}
	case 1:
		return Contains{p, pick(d, "a", "b", "C")}
	case 2:
		return IsNil{p, d.chance(50)}
	case 3:
		return Compare{op, Arith{pick(d, "+", "-", "*"), p, property()}, Literal{pick(d, 0.0, 1.0, 3.0)}}
	case 4:
		return Not{Logic{"&&", p, property()}}
	case 5:
		return Compare{pick(d, "==", "!="), p, Literal{pick[any](d, "CA", "a", "1", true)}}
	case 6:
		return Compare{op, p, Literal{pick(d, "a", "ab", "D")}}
	}
	return Compare{op, p, Literal{pick(d, 0.0, 1.0, 2.0, 2.5)}}
}

func (d dice) ofHistory() Cond {
	name, window := pick(d, names...), d.steps(12)
	op := pick(d, "==", "!=", "<", "<=", ">", ">=")
	switch d.IntN(8) {
	case 7:
		return Compare{pick(d, "==", "!="), UserID{}, Literal{pick[any](d, "u-1", "u-1", "u-2")}}
	case 0, 1:
		c := Count{Event: name, Window: window}
		if d.chance(40) {
			c.Where = d.where(1)
		}
		return Compare{op, c, Literal{float64(d.IntN(4))}}
	case 2, 3:
		return Compare{op, Fold{pick(d, "sum", "avg", "min", "max"), name, pick(d, "x", "y"), window}, Literal{float64(d.IntN(4))}}
	case 4:
		return Compare{op, Since{name}, Span{d.steps(8)}}
	case 5:
		return IsNil{Pick{pick(d, "first", "last"), name, pick(d, "", "x")}, d.chance(50)}
	}
	return Compare{pick(d, "==", "!="), Pick{pick(d, "first", "last"), name, pick(d, "x", "y", "k")}, Literal{pick[any](d, 1.0, "a", true)}}
}
