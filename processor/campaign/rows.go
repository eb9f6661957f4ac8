package campaign

import (
	"encoding/binary"
	"fmt"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/history"
	"github.com/tripline/tripline/processor/campaign/row"
)

// rowVersion is the format of a user's head row. The previous one, 4, is readable: in it a timer has its event itself.
const rowVersion = 5

// rowGrowth is by how many bytes a step mostly makes a row longer.
const rowGrowth = 64

// Open reads a user from the head row (nil: a new user); part is asked for older history when a question needs it, and
// may answer nil where the shell could not read: it then throws the step's result away. Neither head nor what part
// answers may be changed as long as the user is in use.
func (s *Set) Open(id string, head []byte, part func(n uint32) []byte) (*User, error) {
	u := new(User)
	if err := s.Reopen(u, id, head, part); err != nil {
		return nil, err
	}
	return u, nil
}

// Reopen is Open in the memory of a user that is not in use any more: nothing that it gave away may be.
func (s *Set) Reopen(u *User, id string, head []byte, part func(n uint32) []byte) error {
	u.reset(s, id)
	u.written = len(head)
	if head == nil {
		return nil
	}
	r := reader{Reader: row.Reader{Rest: head}, set: s, room: &u.room, due: maxTime}
	v := r.Byte()
	if v != rowVersion-1 && v != rowVersion {
		return fmt.Errorf("user %q: row format %d is not known to this version; run the version of Tripline that wrote it, or wipe the state folder to restore", id, v)
	}
	r.number = r.Unsigned()
	u.profile = r.Properties(&r.room.Room)
	if r.Err == nil {
		r.Rest, r.Err = u.log.Decode(r.Rest, part)
	}
	u.now = u.log.Newest() + r.Signed()
	r.unseen(u)
	for n := r.Count(); n > 0 && r.Err == nil; n-- {
		m := memory{first: r.Event(&r.room.Room, r.set.names)}
		m.last = m.first
		if r.Byte() == 1 {
			m.last = r.Event(&r.room.Room, r.set.names)
		}
		m.name = m.first.Name
		u.ever = append(u.ever, m)
	}
	r.zones(u)
	r.sent(u)
	for n := r.Count(); n > 0 && r.Err == nil; n-- {
		r.stands(u)
	}
	if r.Err != nil || len(r.Rest) > 0 {
		return fmt.Errorf("user %q: %w", id, row.ErrCorrupt)
	}
	s.order(u)
	u.zone = s.zoneOf(u.profile)
	if r.behind || r.number < s.number {
		u.catchUp(r.number, r.due)
	}
	return nil
}

// stands reads where the user stands in one campaign.
func (r *reader) stands(u *User) {
	hash, trigger := r.Fixed(), r.Fixed()
	st := u.room.standing()
	r.standing(st, u.now)
	st.c, st.under, r.due = r.set.byHash[hash], trigger, min(r.due, st.firstDue())
	switch {
	case st.c == nil || r.set.came(st.c, r.number): // the campaign is gone: its open state is dropped
		u.dirty = true
		st.reset(nil)
	case st.c.trigger != trigger:
		r.behind = true
	}
	if st.c != nil && st.c.goal == nil {
		st.goals = nil
	}
	if st.empty() {
		u.room.giveBack(st)
		return
	}
	u.refers(st)
	u.standings = append(u.standings, st)
}

// Rows emits what changed since the last call: part 0 is the head, the others older history; nil content is deleted.
func (u *User) Rows(emit func(part uint32, content []byte)) { u.AppendRows(nil, emit) }

// AppendRows is Rows with the head in dst, which it returns.
func (u *User) AppendRows(dst []byte, emit func(part uint32, content []byte)) []byte {
	u.log.Parts(emit)
	if !u.dirty {
		return dst
	}
	u.dirty = false
	if u.blank() {
		emit(0, nil)
		return dst
	}
	if dst == nil {
		dst = make([]byte, 0, u.written+rowGrowth)
	}
	start := len(dst)
	dst = u.appendHead(dst)
	u.written = len(dst) - start
	emit(0, dst[start:len(dst):len(dst)])
	return dst
}

// Err is the first thing that was wrong with an older part of the user's history. What was decided since is void, and
// nothing of the user may be written back.
func (u *User) Err() error {
	if err := u.log.Err(); err != nil || !u.lost {
		return err
	}
	return row.ErrCorrupt
}

// Changed says whether Rows would emit a head.
func (u *User) Changed() bool { return u.dirty }

func (u *User) blank() bool {
	return len(u.profile) == 0 && u.log.Empty() && len(u.ever) == 0 && len(u.moved) == 0 && len(u.sent) == 0 && len(u.standings) == 0
}

func (u *User) appendHead(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, rowVersion), u.set.number)
	dst = u.profile.AppendBinary(dst)
	dst = u.log.AppendHead(dst)
	dst = binary.AppendVarint(dst, u.now-u.log.Newest())
	dst = appendUnseen(dst, u.unseen)
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
		dst = row.AppendText(binary.AppendVarint(dst, m.until), m.zone.String())
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
		dst = appendPosition(row.AppendText(dst, f.key), f.at)
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
		dst = append(row.AppendText(binary.AppendVarint(dst, w.left), w.trigger), group)
	}
	return appendJudged(dst, st.judged)
}

func (t *timer) append(dst []byte) []byte {
	flags := byte(0)
	for i, set := range [...]bool{t.next, t.passed, t.event != nil, t.event == nil && t.caused()} {
		if set {
			flags |= 1 << i
		}
	}
	dst = append(dst, flags)
	dst = binary.AppendVarint(dst, t.moment)
	dst = binary.AppendVarint(dst, t.due-t.moment)
	dst = binary.AppendUvarint(dst, uint64(t.year))
	dst = row.AppendText(dst, t.key)
	switch {
	case t.event != nil:
		return appendEvent(dst, t.event)
	case t.caused():
		return binary.AppendUvarint(binary.AppendVarint(dst, t.moment-t.at.Time), t.at.Seq)
	}
	return dst
}

func (h *held) append(dst []byte) []byte {
	dst = binary.AppendVarint(dst, h.moment)
	dst = binary.AppendVarint(dst, h.due-h.moment)
	dst = appendPosition(dst, h.from)
	dst = row.AppendText(dst, string(h.identity))
	dst = binary.AppendUvarint(dst, uint64(len(h.events)))
	for _, e := range h.events {
		dst = appendEvent(dst, e)
	}
	return dst
}

func appendPosition(dst []byte, p history.Position) []byte {
	return binary.AppendUvarint(binary.AppendVarint(dst, p.Time), p.Seq)
}

func appendEvent(dst []byte, e *history.Event) []byte {
	dst = appendPosition(dst, position(e))
	dst = row.AppendText(row.AppendText(dst, e.Name), e.ID)
	return e.Properties.AppendBinary(dst)
}

// reader takes a row apart.
type reader struct {
	row.Reader
	set  *Set
	room *room

	number uint64 // of the set under which the row was written
	due    int64  // when the first of all that is open is due
	behind bool   // a campaign has another trigger
}

// zones reads which zones a user had before. One that is not known any more is left out.
func (r *reader) zones(u *User) {
	for n := r.Count(); n > 0 && r.Err == nil; n-- {
		until, name := r.Signed(), r.Text()
		if zone, ok := calendar.LoadZone(name); ok {
			u.moved = append(u.moved, moved{until: until, zone: zone})
		}
	}
}

func (r *reader) standing(st *standing, now int64) {
	st.count, st.newest = r.Signed(), r.Position()
	for n := r.Count(); n > 0 && r.Err == nil; n-- {
		flags := r.Byte()
		t := timer{next: flags&1 > 0, passed: flags&2 > 0, moment: r.Signed()}
		t.due = t.moment + r.Signed()
		t.year, t.key = int(r.Unsigned()), r.Text()
		switch {
		case flags&4 > 0:
			t.event = r.Event(&r.room.Room, r.set.names)
			t.at = position(t.event)
		case flags&8 > 0:
			t.at = history.Position{Time: t.moment - r.Signed(), Seq: r.Unsigned()}
		}
		st.open = append(st.open, t)
	}
	for n := r.Count(); n > 0 && r.Err == nil; n-- {
		st.floors = append(st.floors, floor{key: r.Text(), at: r.Position()})
	}
	for n := r.Count(); n > 0 && r.Err == nil; n-- {
		st.marks = append(st.marks, mark{moment: r.Signed(), newest: r.Position()})
	}
	for n := r.Count(); n > 0 && r.Err == nil; n-- {
		st.left = append(st.left, r.Signed())
	}
	for n := r.Count(); n > 0 && r.Err == nil; n-- {
		st.held = append(st.held, r.held())
	}
	for n := r.Count(); n > 0 && r.Err == nil; n-- {
		w := watched{left: r.Signed(), trigger: r.Text()}
		w.control = r.Byte() == 1
		st.goals = append(st.goals, w)
	}
	r.judged(st, now)
}

func (r *reader) held() held {
	h := held{moment: r.Signed()}
	h.due, h.from = h.moment+r.Signed(), r.Position()
	h.identity = []byte(r.Text())
	for n := r.Count(); n > 0 && r.Err == nil; n-- {
		h.events = append(h.events, r.Event(&r.room.Room, r.set.names))
	}
	return h
}

// sent reads what caps count.
func (r *reader) sent(u *User) {
	for n := r.Count(); n > 0 && r.Err == nil; n-- {
		u.sent = append(u.sent, sent{left: r.Signed(), campaign: r.Fixed()})
	}
}

// room is the memory of a user.
type room struct {
	row.Room
	standings []*standing            // not in use
	losing    func(history.Position) // the user's
}

// reset makes u a new user in its own memory.
func (u *User) reset(set *Set, id string) {
	m := &u.room
	for _, st := range u.standings {
		m.giveBack(st)
	}
	clear(u.ever)
	clear(u.moved)
	clear(u.tallies)
	log := u.log
	if log == nil {
		log, m.losing = new(history.Log), u.losing
		log.Losing(m.losing)
	}
	log.Reset()
	m.Reset()
	*u = User{set: set, id: id, zone: set.rules.Zone, log: log, ever: u.ever[:0], moved: u.moved[:0], sent: u.sent[:0], unseen: u.unseen[:0],
		standings: u.standings[:0], tallies: u.tallies[:0], room: *m}
}

// standing is a blank one.
func (m *room) standing() *standing {
	n := len(m.standings) - 1
	if n < 0 {
		return new(standing)
	}
	st := m.standings[n]
	m.standings = m.standings[:n]
	return st
}

func (m *room) giveBack(st *standing) {
	st.reset(nil)
	m.standings = append(m.standings, st)
}

// reset makes a standing a blank one in its own memory.
func (st *standing) reset(c *campaign) {
	clear(st.open)
	clear(st.held)
	*st = standing{c: c, open: st.open[:0], floors: st.floors[:0], marks: st.marks[:0], left: st.left[:0], held: st.held[:0], goals: st.goals[:0],
		judged: st.judged[:0]}
}

// take makes st what another is, whose memory it does not share.
func (st *standing) take(from *standing) {
	st.c, st.count, st.newest = from.c, from.count, from.newest
	st.open, st.floors, st.marks = append(st.open[:0], from.open...), append(st.floors[:0], from.floors...), append(st.marks[:0], from.marks...)
	st.left, st.held, st.goals = append(st.left[:0], from.left...), append(st.held[:0], from.held...), append(st.goals[:0], from.goals...)
	st.judged, st.under = append(st.judged[:0], from.judged...), from.under
}

func appendUnseen(dst []byte, list []unseen) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, n := range list {
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, n.number), n.seq)
	}
	return dst
}

func (r *reader) unseen(u *User) {
	for n := r.Count(); n > 0 && r.Err == nil; n-- {
		u.unseen = append(u.unseen, unseen{number: r.Unsigned(), seq: r.Unsigned()})
	}
}
