package dump

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/history"
	"github.com/tripline/tripline/processor/campaign/row"
	"github.com/tripline/tripline/processor/campaign/value"
)

// reader takes a row apart; after the first fault everything reads as zero.
type reader struct {
	src   []byte
	err   error
	names Names
	user  *User // what is read of them
	now   int64 // the user's moment, of which others are differences
	wide  bool  // campaigns' names are whole hashes
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

// half reads a number of four bytes.
func (r *reader) half() uint64 {
	if b := r.take(4); b != nil {
		return uint64(binary.BigEndian.Uint32(b))
	}
	return 0
}

// name is what a row has of a campaign's name.
func (r *reader) name() uint64 {
	if r.wide {
		return r.fixed()
	}
	return r.half()
}

// always is the flag of a list that is there even if it is empty.
const always = 1

// each reads a list, if its flag is set.
func (r *reader) each(flag uint64, entry func()) {
	if flag == 0 {
		return
	}
	n := r.unsigned()
	if n > uint64(len(r.src)) { // an entry takes a byte at least
		r.take(-1)
	}
	for ; n > 0 && r.err == nil; n-- {
		entry()
	}
}

func (r *reader) text() string { return string(r.take(int(min(r.unsigned(), 1<<40)))) }

func (r *reader) ms() int64 { return r.now - r.signed() }

func (r *reader) moment() string { return calendar.FormatTime(r.ms()) }

// position is the time of a place in the user's order.
func (r *reader) position() string {
	time := r.moment()
	r.unsigned()
	return time
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
	s := Standing{Campaign: r.names.of(r.name())}
	r.half() // the trigger's text
	has := r.unsigned()
	r.each(has&row.HasOpen, func() { s.Timers = append(s.Timers, r.timer()) })
	if has&row.HasNewest > 0 {
		s.Newest = r.position()
	}
	r.each(has&row.HasFloors, func() { s.Used = append(s.Used, Used{Same: r.same(), UpTo: r.position()}) })
	r.each(has&row.HasMarks, func() {
		s.Checked = append(s.Checked, r.moment())
		r.position()
	})
	if has&row.HasCount > 0 {
		s.Matches = r.signed()
	}
	r.each(has&row.HasLeft, func() { s.Left = append(s.Left, r.moment()) })
	r.each(has&row.HasHeld, func() { s.Held = append(s.Held, r.held()) })
	r.each(has&row.HasGoals, func() {
		g := Goal{Left: r.moment(), Trigger: r.text()}
		g.Control = r.byte() == 1
		s.Goals = append(s.Goals, g)
	})
	r.each(has&row.HasJudged, func() {
		s.Judged = append(s.Judged, r.moment())
		r.unsigned()
	})
	return s
}

func (r *reader) timer() Timer {
	flags, moment := r.byte(), r.ms()
	due := moment
	if flags&row.TimerLate > 0 {
		due += r.signed()
	}
	t := Timer{Check: flags&row.TimerNext > 0, Past: flags&row.TimerPassed > 0, Until: calendar.FormatTime(moment), Due: calendar.FormatTime(due)}
	if flags&row.TimerYear > 0 {
		t.Year = int(r.unsigned())
	}
	if flags&row.TimerKey > 0 {
		t.Same = r.same()
	}
	switch {
	case flags&row.TimerEvent > 0:
		e := r.event()
		t.Event = &e
	case flags&row.TimerAt > 0: // one that history has, by its place
		t.Event = r.known(r.moment(), r.unsigned())
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
	moment := r.ms()
	h := Held{Moment: calendar.FormatTime(moment), Due: calendar.FormatTime(moment + r.signed()), Events: []Event{}}
	r.position()
	r.text() // the qualification's identity, of which the trigger's id is made
	r.each(always, func() { h.Events = append(h.Events, r.event()) })
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
		r.each(always, func() { parts = append(parts, string(r.value())) })
		return json.RawMessage("[" + strings.Join(parts, ",") + "]")
	case value.Object:
		r.each(always, func() {
			name := value.OfString(r.text()).Append(nil)
			parts = append(parts, string(name)+":"+string(r.value()))
		})
		return json.RawMessage("{" + strings.Join(parts, ",") + "}")
	}
	r.take(-1)
	return nil
}
