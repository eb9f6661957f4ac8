package campaign

import (
	"encoding/binary"
	"fmt"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/history"
	"github.com/tripline/tripline/processor/campaign/row"
)

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
	if v := version(head); v != row.Version {
		if v != row.Version-1 {
			return fmt.Errorf("user %q: row format %d is not known to this version; run the version of Tripline that wrote it, or wipe the state folder to restore", id, v)
		}
		var err error
		if head, err = row.Upgraded(head); err != nil {
			return fmt.Errorf("user %q: %w", id, err)
		}
	}
	r := reader{Reader: row.Reader{Rest: head}, set: s, room: &u.room, due: maxTime}
	r.Byte()
	r.number = r.Unsigned()
	u.profile = r.Properties(&r.room.Room)
	if r.Err == nil {
		r.Rest, r.Err = u.log.Decode(r.Rest, part)
	}
	u.now = u.log.Newest() + r.Signed()
	r.lists(u)
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
	name, trigger := r.Name(), r.Half()
	st := u.room.standing()
	r.standing(st, u.now)
	st.c, st.under, r.due = r.set.named(name, trigger, r.Wide), trigger, min(r.due, st.firstDue())
	switch {
	case st.c == nil || r.set.came(st.c, r.number): // the campaign is gone: its open state is dropped
		u.dirty = true
		st.reset(nil)
	case uint32(st.c.trigger) != trigger:
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
	f := row.Form{Now: u.now, Wide: u.set.wide}
	dst = binary.AppendUvarint(append(dst, row.Version), u.set.number)
	dst = u.profile.AppendBinary(dst)
	dst = u.log.AppendHead(dst)
	dst = u.appendLists(binary.AppendVarint(dst, u.now-u.log.Newest()), f)
	held := 0
	for _, st := range u.standings {
		if !st.empty() {
			held++
		}
	}
	dst = binary.AppendUvarint(dst, uint64(held))
	for _, st := range u.standings {
		if !st.empty() {
			dst = st.append(binary.BigEndian.AppendUint32(f.AppendName(dst, st.c.hash), uint32(st.c.trigger)), f)
		}
	}
	return dst
}

func (u *User) appendLists(dst []byte, f row.Form) []byte {
	dst = append(dst, row.Flag[byte](row.HasUnseen, len(u.unseen) > 0)|row.Flag[byte](row.HasEver, len(u.ever) > 0)|row.Flag[byte](row.HasZones, len(u.moved) > 0)|
		row.Flag[byte](row.HasSent, len(u.sent) > 0)|row.Flag[byte](row.Wide, f.Wide))
	dst = row.AppendCount(dst, len(u.unseen))
	for _, n := range u.unseen {
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, n.number), n.seq)
	}
	dst = row.AppendCount(dst, len(u.ever))
	for _, m := range u.ever {
		dst = row.AppendEvent(dst, m.first)
		if m.last.Seq == m.first.Seq {
			dst = append(dst, 0)
		} else {
			dst = row.AppendEvent(append(dst, 1), m.last)
		}
	}
	dst = row.AppendCount(dst, len(u.moved))
	for _, m := range u.moved {
		dst = row.AppendText(f.AppendMoment(dst, m.until), m.zone.String())
	}
	dst = row.AppendCount(dst, len(u.sent))
	for _, t := range u.sent {
		dst = f.AppendName(f.AppendMoment(dst, t.left), t.campaign)
	}
	return dst
}

func (st *standing) append(dst []byte, f row.Form) []byte {
	dst = binary.AppendUvarint(dst, row.Flag[uint64](row.HasOpen, len(st.open) > 0)|row.Flag[uint64](row.HasNewest, st.newest != history.Position{})|
		row.Flag[uint64](row.HasFloors, len(st.floors) > 0)|row.Flag[uint64](row.HasMarks, len(st.marks) > 0)|row.Flag[uint64](row.HasCount, st.count != 0)|
		row.Flag[uint64](row.HasLeft, len(st.left) > 0)|row.Flag[uint64](row.HasHeld, len(st.held) > 0)|row.Flag[uint64](row.HasGoals, len(st.goals) > 0)|
		row.Flag[uint64](row.HasJudged, len(st.judged) > 0))
	dst = row.AppendCount(dst, len(st.open))
	for i := range st.open {
		dst = st.open[i].append(dst, f)
	}
	if (st.newest != history.Position{}) {
		dst = f.AppendPlace(dst, st.newest)
	}
	dst = row.AppendCount(dst, len(st.floors))
	for _, at := range st.floors {
		dst = f.AppendPlace(row.AppendText(dst, at.key), at.at)
	}
	dst = row.AppendCount(dst, len(st.marks))
	for _, m := range st.marks {
		dst = f.AppendPlace(f.AppendMoment(dst, m.moment), m.newest)
	}
	if st.count != 0 {
		dst = binary.AppendVarint(dst, st.count)
	}
	dst = row.AppendCount(dst, len(st.left))
	for _, m := range st.left {
		dst = f.AppendMoment(dst, m)
	}
	dst = row.AppendCount(dst, len(st.held))
	for i := range st.held {
		dst = st.held[i].append(dst, f)
	}
	dst = row.AppendCount(dst, len(st.goals))
	for _, w := range st.goals {
		dst = append(row.AppendText(f.AppendMoment(dst, w.left), w.trigger), row.Flag[byte](1, w.control))
	}
	if len(st.judged) > 0 {
		dst = appendJudged(dst, st.judged, f)
	}
	return dst
}

func (h *held) append(dst []byte, f row.Form) []byte {
	dst = binary.AppendVarint(f.AppendMoment(dst, h.moment), h.due-h.moment)
	dst = f.AppendPlace(dst, h.from)
	dst = row.AppendText(dst, string(h.identity))
	dst = binary.AppendUvarint(dst, uint64(len(h.events)))
	for _, e := range h.events {
		dst = row.AppendEvent(dst, e)
	}
	return dst
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

// version is the format of a head.
func version(head []byte) byte {
	r := row.Reader{Rest: head}
	return r.Byte()
}

// named is the campaign of a name as a row has it; nil: it is gone. Where a half may be that of two names, the trigger tells whose it is.
func (s *Set) named(name uint64, trigger uint32, wide bool) *campaign {
	if wide {
		return s.byHash[name]
	}
	c := s.byHalf[uint32(name)]
	for i := 0; s.wide && c != nil && uint32(c.trigger) != trigger && i < len(s.campaigns); i++ {
		if other := s.campaigns[i]; uint32(other.hash) == uint32(name) && uint32(other.trigger) == trigger {
			c = other
		}
	}
	return c
}

// lists reads what appendLists wrote. A zone that is not known any more is left out.
func (r *reader) lists(u *User) {
	flags := r.Byte()
	r.Form = row.Form{Now: u.now, Wide: flags&row.Wide > 0}
	for n := r.Some(flags&row.HasUnseen > 0); n > 0 && r.Err == nil; n-- {
		u.unseen = append(u.unseen, unseen{number: r.Unsigned(), seq: r.Unsigned()})
	}
	for n := r.Some(flags&row.HasEver > 0); n > 0 && r.Err == nil; n-- {
		m := memory{first: r.Event(&r.room.Room, r.set.names)}
		m.last = m.first
		if r.Byte() == 1 {
			m.last = r.Event(&r.room.Room, r.set.names)
		}
		m.name = m.first.Name
		u.ever = append(u.ever, m)
	}
	for n := r.Some(flags&row.HasZones > 0); n > 0 && r.Err == nil; n-- {
		until, name := r.Moment(), r.Text()
		if zone, ok := calendar.LoadZone(name); ok {
			u.moved = append(u.moved, moved{until: until, zone: zone})
		}
	}
	for n := r.Some(flags&row.HasSent > 0); n > 0 && r.Err == nil; n-- {
		t := sent{left: r.Moment(), campaign: r.Name()}
		if c := r.set.named(t.campaign, 0, r.Wide); c != nil {
			t.c, t.campaign = c, c.hash
		}
		u.sent = append(u.sent, t)
	}
}

func (r *reader) standing(st *standing, now int64) {
	has := r.Unsigned()
	for n := r.Some(has&row.HasOpen > 0); n > 0 && r.Err == nil; n-- {
		st.open = append(st.open, r.timer())
	}
	if has&row.HasNewest > 0 {
		st.newest = r.Place()
	}
	for n := r.Some(has&row.HasFloors > 0); n > 0 && r.Err == nil; n-- {
		st.floors = append(st.floors, floor{key: r.Text(), at: r.Place()})
	}
	for n := r.Some(has&row.HasMarks > 0); n > 0 && r.Err == nil; n-- {
		st.marks = append(st.marks, mark{moment: r.Moment(), newest: r.Place()})
	}
	if has&row.HasCount > 0 {
		st.count = r.Signed()
	}
	for n := r.Some(has&row.HasLeft > 0); n > 0 && r.Err == nil; n-- {
		st.left = append(st.left, r.Moment())
	}
	for n := r.Some(has&row.HasHeld > 0); n > 0 && r.Err == nil; n-- {
		st.held = append(st.held, r.held())
	}
	for n := r.Some(has&row.HasGoals > 0); n > 0 && r.Err == nil; n-- {
		w := watched{left: r.Moment(), trigger: r.Text()}
		w.control = r.Byte() == 1
		st.goals = append(st.goals, w)
	}
	if has&row.HasJudged > 0 {
		r.judged(st, now)
	}
}

func (r *reader) held() held {
	h := held{moment: r.Moment()}
	h.due, h.from = h.moment+r.Signed(), r.Place()
	h.identity = []byte(r.Text())
	for n := r.Count(); n > 0 && r.Err == nil; n-- {
		h.events = append(h.events, r.Event(&r.room.Room, r.set.names))
	}
	return h
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
