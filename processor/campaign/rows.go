package campaign

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/history"
	"github.com/tripline/tripline/processor/campaign/value"
)

// rowVersion is the format of a user's head row. The previous one, 2, is readable: in it nothing waited, and neither caps
// nor goals were kept.
const rowVersion = 3

// rowGrowth is by how many bytes a step mostly makes a row longer.
const rowGrowth = 64

var errRow = errors.New("corrupt user row")

// Open reads a user from the head row (nil: a new user); part is asked for older history when a question needs it, and
// may answer nil where the shell could not read: it then throws the step's result away.
func (s *Set) Open(id string, head []byte, part func(n uint32) []byte) (*User, error) {
	u := &User{set: s, id: id, zone: s.rules.Zone, written: len(head)}
	if head == nil {
		u.log = &history.Log{}
		return u, nil
	}
	r := reader{src: head, names: s.names}
	v := r.byte()
	if r.old = v == rowVersion-1; !r.old && v != rowVersion {
		return nil, fmt.Errorf("user %q: row format %d is not known to this version; run the version of Tripline that wrote it, or wipe the state folder to restore", id, v)
	}
	u.profile = r.properties()
	if r.err == nil {
		u.log, r.src, r.err = history.Decode(r.src, part)
	}
	for n := r.count(); n > 0 && r.err == nil; n-- {
		m := memory{first: r.event()}
		m.last = m.first
		if r.byte() == 1 {
			m.last = r.event()
		}
		if m.first != nil {
			m.name = m.first.Name
			u.ever = append(u.ever, m)
		}
	}
	u.moved, u.sent = r.zones(), r.sent()
	for n := r.count(); n > 0 && r.err == nil; n-- {
		hash, trigger := r.fixed(), r.fixed()
		st := r.standing()
		st.c = s.byHash[hash]
		if st.c == nil {
			u.dirty = true // the campaign is gone: its open state is dropped
			continue
		}
		if st.c.trigger != trigger { // another trigger: what was open under the old one says nothing of the new
			st = standing{c: st.c, left: st.left, held: st.held, goals: st.goals}
			u.dirty = true
		}
		if st.c.goal == nil {
			st.goals = nil
		}
		if !st.empty() {
			u.standings = append(u.standings, &st)
		}
	}
	if r.err != nil || len(r.src) > 0 {
		return nil, fmt.Errorf("user %q: %w", id, errRow)
	}
	s.order(u)
	u.zone = s.zoneOf(u.profile)
	return u, nil
}

// Rows emits what changed since the last call: part 0 is the head, the others older history; nil content is deleted.
func (u *User) Rows(emit func(part uint32, content []byte)) {
	u.log.Parts(emit)
	if !u.dirty {
		return
	}
	u.dirty = false
	if u.blank() {
		emit(0, nil)
		return
	}
	head := u.appendHead(make([]byte, 0, u.written+rowGrowth))
	u.written = len(head)
	emit(0, head)
}

// Err is the first thing that was wrong with an older part of the user's history. What was decided since is void, and
// nothing of the user may be written back.
func (u *User) Err() error { return u.log.Err() }

// Changed says whether Rows would emit a head.
func (u *User) Changed() bool { return u.dirty }

func (u *User) blank() bool {
	return len(u.profile) == 0 && u.log.Empty() && len(u.ever) == 0 && len(u.moved) == 0 && len(u.sent) == 0 && len(u.standings) == 0
}

func (u *User) appendHead(dst []byte) []byte {
	dst = append(dst, rowVersion)
	dst = u.profile.AppendBinary(dst)
	dst = u.log.AppendHead(dst)
	dst = binary.AppendUvarint(dst, uint64(len(u.ever)))
	for _, m := range u.ever {
		dst = appendEvent(dst, m.first)
		if m.last.Seq == m.first.Seq {
			dst = append(dst, 0)
		} else {
			dst = appendEvent(append(dst, 1), m.last)
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(u.moved)))
	for _, m := range u.moved {
		dst = appendText(binary.AppendVarint(dst, m.until), m.zone.String())
	}
	dst = binary.AppendUvarint(dst, uint64(len(u.sent)))
	for _, t := range u.sent {
		dst = binary.BigEndian.AppendUint64(binary.AppendVarint(dst, t.left), t.campaign)
	}
	held := 0
	for _, st := range u.standings {
		if !st.empty() {
			held++
		}
	}
	dst = binary.AppendUvarint(dst, uint64(held))
	for _, st := range u.standings {
		if st.empty() {
			continue
		}
		dst = binary.BigEndian.AppendUint64(dst, st.c.hash)
		dst = binary.BigEndian.AppendUint64(dst, st.c.trigger)
		dst = st.append(dst)
	}
	return dst
}

func (st *standing) append(dst []byte) []byte {
	dst = binary.AppendVarint(dst, st.count)
	dst = appendPosition(dst, st.newest)
	dst = binary.AppendUvarint(dst, uint64(len(st.open)))
	for i := range st.open {
		dst = st.open[i].append(dst)
	}
	dst = binary.AppendUvarint(dst, uint64(len(st.floors)))
	for _, f := range st.floors {
		dst = appendPosition(appendText(dst, f.key), f.at)
	}
	dst = binary.AppendUvarint(dst, uint64(len(st.marks)))
	for _, m := range st.marks {
		dst = appendPosition(binary.AppendVarint(dst, m.moment), m.newest)
	}
	dst = binary.AppendUvarint(dst, uint64(len(st.left)))
	for _, m := range st.left {
		dst = binary.AppendVarint(dst, m)
	}
	dst = binary.AppendUvarint(dst, uint64(len(st.held)))
	for i := range st.held {
		dst = st.held[i].append(dst)
	}
	dst = binary.AppendUvarint(dst, uint64(len(st.goals)))
	for _, w := range st.goals {
		group := byte(0)
		if w.control {
			group = 1
		}
		dst = append(appendText(binary.AppendVarint(dst, w.left), w.trigger), group)
	}
	return dst
}

func (t *timer) append(dst []byte) []byte {
	flags := byte(0)
	for i, set := range []bool{t.next, t.passed, t.event != nil} {
		if set {
			flags |= 1 << i
		}
	}
	dst = append(dst, flags)
	dst = binary.AppendVarint(dst, t.moment)
	dst = binary.AppendVarint(dst, t.due-t.moment)
	dst = binary.AppendUvarint(dst, uint64(t.year))
	dst = appendText(dst, t.key)
	if t.event != nil {
		dst = appendEvent(dst, t.event)
	}
	return dst
}

func (h *held) append(dst []byte) []byte {
	dst = binary.AppendVarint(dst, h.moment)
	dst = binary.AppendVarint(dst, h.due-h.moment)
	dst = appendPosition(dst, h.from)
	dst = appendText(dst, string(h.identity))
	dst = binary.AppendUvarint(dst, uint64(len(h.events)))
	for _, e := range h.events {
		dst = appendEvent(dst, e)
	}
	return dst
}

func appendText(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

func appendPosition(dst []byte, p history.Position) []byte {
	return binary.AppendUvarint(binary.AppendVarint(dst, p.Time), p.Seq)
}

func appendEvent(dst []byte, e *history.Event) []byte {
	dst = appendPosition(dst, position(e))
	dst = appendText(appendText(dst, e.Name), e.ID)
	return e.Properties.AppendBinary(dst)
}

// order sorts the standings by campaign: names may have come and gone since the row was written.
func (s *Set) order(u *User) {
	for i := 1; i < len(u.standings); i++ {
		for j := i; j > 0 && u.standings[j].c.index < u.standings[j-1].c.index; j-- {
			u.standings[j], u.standings[j-1] = u.standings[j-1], u.standings[j]
		}
	}
}

// reader takes a row apart; after the first fault everything reads as zero.
type reader struct {
	src   []byte
	err   error
	names map[string]string // of events, as there are strings for them
	old   bool              // the previous format
}

func (r *reader) fail() { r.src, r.err = nil, errRow }

func (r *reader) byte() byte {
	if len(r.src) == 0 {
		r.fail()
		return 0
	}
	b := r.src[0]
	r.src = r.src[1:]
	return b
}

func (r *reader) fixed() uint64 {
	if len(r.src) < 8 {
		r.fail()
		return 0
	}
	v := binary.BigEndian.Uint64(r.src)
	r.src = r.src[8:]
	return v
}

func (r *reader) unsigned() uint64 {
	v, n := binary.Uvarint(r.src)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.src = r.src[n:]
	return v
}

func (r *reader) signed() int64 {
	v, n := binary.Varint(r.src)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.src = r.src[n:]
	return v
}

// count reads how many entries follow; each takes a byte at least.
func (r *reader) count() uint64 {
	n := r.unsigned()
	if n > uint64(len(r.src)) {
		r.fail()
		return 0
	}
	return n
}

func (r *reader) text() string {
	n := r.count()
	text := string(r.src[:n])
	r.src = r.src[n:]
	return text
}

// name reads the name of an event, most often one of those that campaigns listen to.
func (r *reader) name() string {
	n := r.count()
	name, known := r.names[string(r.src[:n])]
	if !known {
		name = string(r.src[:n])
	}
	r.src = r.src[n:]
	return name
}

func (r *reader) properties() (p value.Properties) {
	if r.err == nil {
		var err error
		if p, r.src, err = value.DecodeProperties(r.src); err != nil {
			r.fail()
		}
	}
	return p
}

func (r *reader) position() history.Position {
	return history.Position{Time: r.signed(), Seq: r.unsigned()}
}

func (r *reader) event() *history.Event {
	at := r.position()
	e := &history.Event{Time: at.Time, Seq: at.Seq, Name: r.name(), ID: r.text()}
	e.Properties = r.properties()
	return e
}

// zones reads which zones a user had before. One that is not known any more is left out.
func (r *reader) zones() (list []moved) {
	for n := r.count(); n > 0 && r.err == nil; n-- {
		until, name := r.signed(), r.text()
		if zone, ok := calendar.LoadZone(name); ok {
			list = append(list, moved{until: until, zone: zone})
		}
	}
	return list
}

func (r *reader) standing() (st standing) {
	st.count, st.newest = r.signed(), r.position()
	for n := r.count(); n > 0 && r.err == nil; n-- {
		flags := r.byte()
		t := timer{next: flags&1 > 0, passed: flags&2 > 0, moment: r.signed()}
		t.due = t.moment + r.signed()
		t.year, t.key = int(r.unsigned()), r.text()
		if flags&4 > 0 {
			t.event = r.event()
		}
		st.open = append(st.open, t)
	}
	for n := r.count(); n > 0 && r.err == nil; n-- {
		st.floors = append(st.floors, floor{key: r.text(), at: r.position()})
	}
	for n := r.count(); n > 0 && r.err == nil; n-- {
		st.marks = append(st.marks, mark{moment: r.signed(), newest: r.position()})
	}
	for n := r.count(); n > 0 && r.err == nil; n-- {
		st.left = append(st.left, r.signed())
	}
	if r.old {
		return st
	}
	for n := r.count(); n > 0 && r.err == nil; n-- {
		st.held = append(st.held, r.held())
	}
	for n := r.count(); n > 0 && r.err == nil; n-- {
		w := watched{left: r.signed(), trigger: r.text()}
		w.control = r.byte() == 1
		st.goals = append(st.goals, w)
	}
	return st
}

func (r *reader) held() held {
	h := held{moment: r.signed()}
	h.due, h.from = h.moment+r.signed(), r.position()
	h.identity = []byte(r.text())
	for n := r.count(); n > 0 && r.err == nil; n-- {
		h.events = append(h.events, r.event())
	}
	return h
}

// sent reads what caps count.
func (r *reader) sent() (list []sent) {
	if r.old {
		return nil
	}
	for n := r.count(); n > 0 && r.err == nil; n-- {
		list = append(list, sent{left: r.signed(), campaign: r.fixed()})
	}
	return list
}
