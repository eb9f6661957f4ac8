package processor

import (
	"fmt"
	"strings"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/state"
)

// users are a lane's users in memory: those that the cycle has touched, and, under a bound, those of cycles before. A
// user belongs to an input: the same name in two partition numbers is two users.
type users struct {
	p       *Processor
	inputs  []*input
	touched []*user
	bytes   int64 // of the rows of all that are in memory, as last written or read
	fault   error // a part of a user could not be read: what was decided since is void
}

// user is one user in memory.
type user struct {
	id      string
	in      *input
	state   *campaign.User
	size    int64
	due     int64 // of the row as last applied; 0: none
	sure    bool  // that due is that of the applied row: not where a change of campaigns has dropped some of its timers
	touched bool
}

// userOverhead is about what a user takes in memory beside its row, in bytes.
const userOverhead = 512

func newUsers(p *Processor, inputs []*input) *users {
	for _, in := range inputs {
		in.users = map[string]*user{}
		in.part.State.Known(func(id string) (ms int64, ok bool) {
			u := in.users[id]
			if u == nil || !u.sure {
				return 0, false
			}
			return u.due, true
		})
	}
	return &users{p: p, inputs: inputs}
}

// close lets go of all users: the state outlives the lane's loop.
func (us *users) close() {
	for _, in := range us.inputs {
		in.part.State.Known(nil)
	}
}

// open finds a user, in memory or in the rows, and counts it among the touched.
func (us *users) open(in *input, id string) (*user, error) {
	u := in.users[id]
	if u == nil {
		var err error
		if u, err = us.read(in, id); err != nil {
			return nil, err
		}
		in.users[u.id] = u
		us.bytes += u.size
	}
	if !u.touched {
		u.touched = true
		us.touched = append(us.touched, u)
	}
	return u, nil
}

func (us *users) read(in *input, id string) (*user, error) {
	rows := in.part.State
	head, found, err := rows.Get(state.Key{ID: id})
	if err != nil {
		return nil, fmt.Errorf("read user: %w", err)
	}
	if !found {
		head = nil
	}
	id = strings.Clone(id) // of an event's it keeps the whole record
	u := &user{id: id, in: in, size: int64(len(head)) + userOverhead}
	u.state, err = us.p.cfg.Set.Open(id, head, func(n uint32) []byte {
		content, found, err := rows.Get(state.Key{ID: id, Part: n})
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
	u.due, _ = u.state.Due()
	u.sure = found && !u.state.Changed()
	return u, nil
}

// rows emits what the touched users changed.
func (us *users) rows(emit func(in *input, r state.Row)) error {
	for _, u := range us.touched {
		if err := u.state.Err(); err != nil {
			return fmt.Errorf("user %q: %w", u.id, err)
		}
		due, _ := u.state.Due()
		head := false
		u.state.Rows(func(part uint32, content []byte) {
			r := state.Row{Key: state.Key{ID: u.id, Part: part}, Content: content}
			if part == 0 {
				head = true
				r.Due = due
				if u.sure {
					r.OldDue = u.due
				}
				us.bytes += int64(len(content)) + userOverhead - u.size
				u.size = int64(len(content)) + userOverhead
			}
			emit(u.in, r)
		})
		if head {
			u.due, u.sure = due, true
		}
	}
	return us.fault
}

// settle forgets what the committed cycle touched and lets go of users above the lane's share of the bound.
func (us *users) settle() {
	for _, u := range us.touched {
		u.touched = false
	}
	clear(us.touched)
	us.touched = us.touched[:0]
	limit := us.p.cfg.Users / max(1, us.p.running.Load())
	if us.bytes <= limit {
		return
	}
	for _, in := range us.inputs {
		for id, u := range in.users {
			delete(in.users, id)
			if us.bytes -= u.size; us.bytes <= limit*9/10 {
				return
			}
		}
	}
}
