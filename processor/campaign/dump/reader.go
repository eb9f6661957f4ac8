package dump

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/history"
	"github.com/tripline/tripline/processor/campaign/value"
)

// reader takes a row apart; after the first fault everything reads as zero.
type reader struct {
	src   []byte
	err   error
	names Names
	user  *User // what is read of them
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.src) {
		r.src, r.err = nil, errRow
		return nil
	}
	taken := r.src[:n]
	r.src = r.src[n:]
	return taken
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) fixed() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) unsigned() uint64 {
	v, n := binary.Uvarint(r.src)
	if n <= 0 {
		n = -1
	}
	r.take(n)
	return v
}

func (r *reader) signed() int64 {
	v, n := binary.Varint(r.src)
	if n <= 0 {
		n = -1
	}
	r.take(n)
	return v
}

// each reads a list.
func (r *reader) each(entry func()) {
	n := r.unsigned()
	if n > uint64(len(r.src)) { // an entry takes a byte at least
		r.take(-1)
	}
	for ; n > 0 && r.err == nil; n-- {
		entry()
	}
}

func (r *reader) text() string { return string(r.take(int(min(r.unsigned(), 1<<40)))) }

func (r *reader) moment() string { return calendar.FormatTime(r.signed()) }

// position is the time of a place in the user's order, "" for none.
func (r *reader) position() string {
	time, seq := r.signed(), r.unsigned()
	if time == 0 && seq == 0 {
		return ""
	}
	return calendar.FormatTime(time)
}

func (r *reader) list() (p value.Properties) {
	if r.err == nil {
		var err error
		if p, r.src, err = value.DecodeProperties(r.src); err != nil {
			r.take(-1)
		}
	}
	return p
}

func (r *reader) properties() json.RawMessage { return object(r.list()) }

func (r *reader) event() Event {
	e := history.Event{Time: r.signed(), Seq: r.unsigned(), Name: r.text(), ID: r.text()}
	e.Properties = r.list()
	return shown(&e)
}

// same are the values of an instance's properties.
func (r *reader) same() []json.RawMessage {
	key := reader{src: []byte(r.text())}
	list := key.values()
	if key.err != nil {
		r.take(-1)
	}
	return list
}

func (r *reader) standing() Standing {
	s := Standing{Campaign: r.names.of(r.fixed())}
	r.fixed() // the trigger's text
	s.Matches, s.Newest = r.signed(), r.position()
	r.each(func() { s.Timers = append(s.Timers, r.timer()) })
	r.each(func() { s.Used = append(s.Used, Used{Same: r.same(), UpTo: r.position()}) })
	r.each(func() {
		s.Checked = append(s.Checked, r.moment())
		r.position()
	})
	r.each(func() { s.Left = append(s.Left, r.moment()) })
	r.each(func() { s.Held = append(s.Held, r.held()) })
	r.each(func() {
		g := Goal{Left: r.moment(), Trigger: r.text()}
		g.Control = r.byte() == 1
		s.Goals = append(s.Goals, g)
	})
	r.each(func() {
		s.Judged = append(s.Judged, r.moment())
		r.unsigned()
	})
	return s
}

func (r *reader) timer() Timer {
	flags, moment := r.byte(), r.signed()
	t := Timer{Check: flags&1 > 0, Past: flags&2 > 0, Until: calendar.FormatTime(moment), Due: calendar.FormatTime(moment + r.signed())}
	t.Year, t.Same = int(r.unsigned()), r.same()
	switch {
	case flags&4 > 0:
		e := r.event()
		t.Event = &e
	case flags&8 > 0: // one that history has, by its place
		t.Event = r.known(calendar.FormatTime(moment-r.signed()), r.unsigned())
	}
	return t
}

// known is the event of a place in history.
func (r *reader) known(time string, seq uint64) *Event {
	for i := range r.user.History {
		if e := &r.user.History[i]; e.Seq == seq && e.Time == time {
			return e
		}
	}
	r.take(-1)
	return nil
}

func (r *reader) held() Held {
	moment := r.signed()
	h := Held{Moment: calendar.FormatTime(moment), Due: calendar.FormatTime(moment + r.signed()), Events: []Event{}}
	r.position()
	r.text() // the qualification's identity, of which the trigger's id is made
	r.each(func() { h.Events = append(h.Events, r.event()) })
	return h
}

// values reads what value.AppendKey wrote, one value after the other.
func (r *reader) values() (list []json.RawMessage) {
	for len(r.src) > 0 {
		list = append(list, r.value())
	}
	if r.err != nil {
		return nil
	}
	return list
}

func (r *reader) value() json.RawMessage {
	var parts []string
	switch kind := value.Kind(r.byte()); kind {
	case value.Nil:
		if r.err == nil {
			return json.RawMessage("null")
		}
	case value.Bool:
		return json.RawMessage(strconv.FormatBool(r.byte() == 1))
	case value.Number:
		return value.OfNumber(math.Float64frombits(r.fixed())).Append(nil)
	case value.Digits:
		return json.RawMessage(r.text())
	case value.String:
		return value.OfString(r.text()).Append(nil)
	case value.List:
		r.each(func() { parts = append(parts, string(r.value())) })
		return json.RawMessage("[" + strings.Join(parts, ",") + "]")
	case value.Object:
		r.each(func() {
			name := value.OfString(r.text()).Append(nil)
			parts = append(parts, string(name)+":"+string(r.value()))
		})
		return json.RawMessage("{" + strings.Join(parts, ",") + "}")
	}
	r.take(-1)
	return nil
}
