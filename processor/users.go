package processor

import (
	"fmt"
	"strings"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/state"
)

// users are a lane's users. Few of them are open at a time: those of the last steps, and, under a bound, those that come
// again and again. Who is closed within a cycle leaves their rows to it, and is opened from these if they come again. The
// rows of many more are in memory in the state. A user belongs to an input: the same name in two partition numbers is two
// users.
type users struct {
	p      *Processor
	inputs []*input
	recent ring   // who was opened last
	often  ring   // who came again while they were in recent
	size   int64  // bytes of often, about
	used   bool   // there was a step in the cycle
	most   int    // bytes of the cycle's rows that room is made for at a time
	parts  int    // bytes of older history that the cycle writes
	room   []byte // of the cycle's rows; those that it has no place for have theirs
	fault  error  // a part of a user could not be read: what was decided since is void
}

// user is an open user.
type user struct {
	id      string
	in      *input
	state   campaign.User
	head    []byte              // that state was read from
	part    func(uint32) []byte // reads older history
	wrote   func(uint32, []byte)
	size    int64 // bytes, about, when they came to often
	row     int   // bytes of the head
	due     int64 // of the head as last applied; 0: none
	next    int64 // of the head as it is in the cycle
	touched bool  // in this cycle
	again   bool  // since they were last looked at
}

// ring is users in the order in which they are looked at.
type ring struct {
	users []*user
	hand  int
}

// mostRecent is how many users are open before anybody has to be closed: so few that they stay in the CPU's cache. A
// variable, so that tests can make it small.
var mostRecent = 64

const (
	// userSize is about what an open user takes beside their state, bytes.
	userSize = 320
	// mostHead is how many bytes of a user's memory are kept for another.
	mostHead = 4 << 10
	// rowGrowth is by how many bytes a row mostly grows in a cycle.
	rowGrowth = 256
)

func newUsers(p *Processor, inputs []*input) *users {
	for _, in := range inputs {
		in.users, in.rows, in.at, in.parts = map[string]*user{}, nil, map[string]int{}, map[state.Key]int{}
	}
	return &users{p: p, inputs: inputs}
}

// find finds a user: open, in the rows of the cycle, or in the state. first says that the cycle has not seen them before,
// as far as it is known.
func (us *users) find(in *input, id string) (u *user, first bool, err error) {
	if u = in.users[id]; u == nil {
		if u, err = us.free(); err != nil {
			return nil, false, err
		}
		if err = us.open(u, in, id); err != nil {
			return nil, false, err
		}
	} else {
		u.again = true
	}
	first, u.touched, us.used = !u.touched, true, true
	return u, first, nil
}

// free makes room for a user in recent.
func (us *users) free() (u *user, err error) {
	r := &us.recent
	if len(r.users) < mostRecent {
		u = us.newUser()
		r.users = append(r.users, u)
		return u, nil
	}
	u = r.users[r.hand]
	if u.in != nil && u.again { // they stay, and another takes the place
		other, err := us.promote(u)
		if err != nil {
			return nil, err
		}
		u = other
		r.users[r.hand] = u
	}
	r.hand = (r.hand + 1) % len(r.users)
	return u, us.close(u)
}

func (us *users) newUser() *user {
	u := new(user)
	u.part = func(n uint32) []byte { return us.part(u, n) }
	u.wrote = func(n uint32, content []byte) {
		if u.change(n, content); n > 0 {
			us.parts += len(content)
		}
	}
	return u
}

// promote takes a user into often and returns one whose memory is free for another: of often, where that is over its bound,
// one who did not come again for a whole turn.
func (us *users) promote(u *user) (free *user, err error) {
	u.again, u.size = false, us.sizeOf(u)
	us.size += u.size
	o := &us.often
	o.users = append(o.users, u)
	for most := us.p.cfg.Users / max(1, us.p.running.Load()); us.size > most && len(o.users) > 1; {
		o.hand %= len(o.users)
		old := o.users[o.hand]
		us.size -= old.size
		if old.again {
			old.again, old.size = false, us.sizeOf(old)
			us.size += old.size
			o.hand++
			continue
		}
		last := len(o.users) - 1
		o.users[o.hand], o.users[last] = o.users[last], nil
		o.users = o.users[:last]
		if err := us.close(old); err != nil {
			return nil, err
		}
		free = old
	}
	if free == nil {
		free = us.newUser()
	}
	return free, nil
}

func (us *users) sizeOf(u *user) int64 { return int64(userSize + cap(u.head) + u.state.Size()) }

// open makes u the user of an id.
func (us *users) open(u *user, in *input, id string) (err error) {
	u.id, u.in, u.again = strings.Clone(id), in, false // the id of an event is in the memory of its record
	found := false
	if i, changed := in.at[id]; changed {
		r := &in.rows[i]
		u.head, u.due, u.next, found, u.touched = append(u.head[:0], r.Content...), r.OldDue, r.Due, r.Content != nil, true
	} else {
		if u.head, u.due, found, err = in.part.State.AppendHead(u.head[:0], u.id); err != nil {
			u.in = nil
			return fmt.Errorf("read user: %w", err)
		}
		u.next = u.due
	}
	u.row = len(u.head)
	head := u.head
	if !found {
		head = nil
	}
	if err := in.set.Reopen(&u.state, u.id, head, u.part); err != nil {
		return err
	}
	in.users[u.id] = u
	return nil
}

// part reads a part of a user's history.
func (us *users) part(u *user, n uint32) []byte {
	k := state.Key{ID: u.id, Part: n}
	if i, changed := u.in.parts[k]; changed {
		return append([]byte(nil), u.in.rows[i].Content...)
	}
	content, found, err := u.in.part.State.Get(k)
	if err == nil && !found {
		err = fmt.Errorf("part %d of a user's history is missing", n)
	}
	if err != nil && us.fault == nil {
		us.fault = err
	}
	return content
}

// close ends the use of a user. Their rows are left to the cycle.
func (us *users) close(u *user) error {
	if u.in == nil {
		return nil
	}
	if err := us.write(u); err != nil {
		return err
	}
	delete(u.in.users, u.id)
	u.in, u.touched = nil, false
	if u.row > mostHead {
		u.head, u.state = nil, campaign.User{}
	}
	return nil
}

// write leaves to the cycle what it has changed of a user.
func (us *users) write(u *user) error {
	if !u.touched {
		return nil
	}
	if err := u.state.Err(); err != nil {
		return fmt.Errorf("user %q: %w", u.id, err)
	}
	if size := u.row + rowGrowth; cap(us.room)-len(us.room) < size {
		us.room = make([]byte, 0, max(size, leastRoom, min(2*cap(us.room), us.most, mostRoom)))
	}
	us.room = u.state.AppendRows(us.room, u.wrote)
	return us.fault
}

// change takes a part of a user's rows into the cycle.
func (u *user) change(part uint32, content []byte) {
	r := state.Row{Key: state.Key{ID: u.id, Part: part}, Content: content}
	if part == 0 {
		r.Due, _ = u.state.Due()
		r.OldDue = u.due
		u.row, u.next = len(content), r.Due
	}
	u.in.change(r)
}

// change takes a row into the cycle, in place of an earlier one of that key.
func (in *input) change(r state.Row) {
	i, changed := in.at[r.ID]
	if r.Part > 0 {
		i, changed = in.parts[r.Key]
	}
	switch {
	case changed:
		in.rows[i] = r
		return
	case r.Part > 0:
		in.parts[r.Key] = len(in.rows)
	default:
		in.at[r.ID] = len(in.rows)
	}
	in.rows = append(in.rows, r)
}

// changes completes the rows of the cycle: those of who is still open join them.
func (us *users) changes() error {
	for _, r := range [...]*ring{&us.recent, &us.often} {
		for _, u := range r.users {
			if err := us.write(u); err != nil {
				return err
			}
		}
	}
	return us.fault
}

// settle is for a committed cycle: its rows are the state's now.
func (us *users) settle() {
	for _, r := range [...]*ring{&us.recent, &us.often} {
		for _, u := range r.users {
			u.touched, u.due = false, u.next
		}
	}
	for _, in := range us.inputs {
		clear(in.rows)
		clear(in.at)
		clear(in.parts)
		if in.rows = in.rows[:0]; cap(in.rows) > mostRecords {
			in.rows, in.at = nil, map[string]int{}
		}
	}
	if us.used, us.parts, us.room = false, 0, us.room[:0]; cap(us.room) > max(us.most, leastRoom) {
		us.room = nil
	}
}
