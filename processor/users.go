package processor

import (
	"fmt"
	"strings"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/state"
)

// users are a lane's users in memory: those that the cycle has touched; under a bound those of cycles before, as they are;
// and under another, as their rows, many more of them, which take a fraction of the room and none of the collector's time.
// A user belongs to an input: the same name in two partition numbers is two users.
type users struct {
	p       *Processor
	inputs  []*input
	touched []*user
	open    int64 // bytes of all that are in memory as they are, about
	closed  int64 // bytes of the rows, about
	fault   error // a part of a user could not be read: what was decided since is void
}

// user is one user in memory.
type user struct {
	id      string
	in      *input
	state   *campaign.User
	size    int64
	row     row  // as last applied or read
	sure    bool // that row.due is that of the applied row: not where a change of campaigns has dropped some of its timers
	touched bool
}

// row is a user's head in the state.
type row struct {
	head []byte // nil: there is none
	due  int64  // 0: none
}

// rowOverhead is about what a row takes in memory beside its bytes: its id and its place in the map.
const rowOverhead = 128

func newUsers(p *Processor, inputs []*input) *users {
	for _, in := range inputs {
		in.users, in.rows = map[string]*user{}, map[string]row{}
		in.part.State.Known(func(id string) (ms int64, ok bool) {
			if u := in.users[id]; u != nil {
				return u.row.due, u.sure
			}
			r, ok := in.rows[id]
			return r.due, ok
		})
	}
	return &users{p: p, inputs: inputs}
}

// end lets go of all users: the state outlives the lane's loop.
func (us *users) end() {
	for _, in := range us.inputs {
		in.part.State.Known(nil)
	}
}

// find finds a user, in memory or in the state, and counts it among the touched.
func (us *users) find(in *input, id string) (*user, error) {
	u := in.users[id]
	if u == nil {
		var err error
		if u, err = us.read(in, id); err != nil {
			return nil, err
		}
		in.users[u.id] = u
	}
	if !u.touched {
		u.touched = true
		us.touched = append(us.touched, u)
	}
	return u, nil
}

// read makes a user of their row.
func (us *users) read(in *input, id string) (*user, error) {
	id = strings.Clone(id) // of an event's it keeps the whole record
	u := &user{id: id, in: in}
	u.row, u.sure = in.rows[id]
	if u.sure {
		delete(in.rows, id)
		us.closed -= u.row.size()
	} else {
		head, found, err := in.part.State.Get(state.Key{ID: id})
		if err != nil {
			return nil, fmt.Errorf("read user: %w", err)
		}
		if found {
			u.row.head, u.sure = head, true
		}
	}
	opened, err := us.p.cfg.Set.Open(id, u.row.head, func(n uint32) []byte {
		content, found, err := in.part.State.Get(state.Key{ID: id, Part: n})
		if err == nil && !found {
			err = fmt.Errorf("part %d of a user's history is missing", n)
		}
		if err != nil && us.fault == nil {
			us.fault = err
		}
		return content
	})
	if err != nil {
		return nil, err
	}
	u.state = opened
	u.row.due, _ = opened.Due()
	u.sure = u.sure && !opened.Changed()
	return u, nil
}

// changes emits what the touched users changed.
func (us *users) changes(emit func(in *input, r state.Row)) error {
	for _, u := range us.touched {
		if err := u.state.Err(); err != nil {
			return fmt.Errorf("user %q: %w", u.id, err)
		}
		u.state.Rows(func(part uint32, content []byte) {
			r := state.Row{Key: state.Key{ID: u.id, Part: part}, Content: content}
			if part == 0 {
				r.Due, _ = u.state.Due()
				if u.sure {
					r.OldDue = u.row.due
				}
				u.row, u.sure = row{content, r.Due}, true
			}
			emit(u.in, r)
		})
	}
	return us.fault
}

// settle forgets what the committed cycle touched and lets go of users and rows above the lane's share of the bound.
func (us *users) settle() {
	for _, u := range us.touched {
		u.touched = false
		us.open -= u.size
		u.size = u.row.size() + int64(u.state.Size())
		us.open += u.size
	}
	clear(us.touched)
	us.touched = us.touched[:0]
	share := us.p.cfg.Users / max(1, us.p.running.Load())
	if most := share / 4; us.open > most {
		us.close(most / 8 * 7)
	}
	if most := share / 4 * 3; us.closed > most {
		us.forget(most / 8 * 7)
	}
}

// close keeps of users only their rows, until the others take no more than most.
func (us *users) close(most int64) {
	for _, in := range us.inputs {
		for id, u := range in.users {
			if us.open <= most {
				return
			}
			delete(in.users, id)
			us.open -= u.size
			if u.sure && u.row.head != nil {
				in.rows[id] = u.row
				us.closed += u.row.size()
			}
		}
	}
}

// forget lets go of rows until the others take no more than most.
func (us *users) forget(most int64) {
	for _, in := range us.inputs {
		for id, r := range in.rows {
			if us.closed <= most {
				return
			}
			delete(in.rows, id)
			us.closed -= r.size()
		}
	}
}

func (r *row) size() int64 { return rowOverhead + int64(len(r.head)) }
