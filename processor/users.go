package processor

import (
	"fmt"
	"strings"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/state"
)

// users are a lane's users in memory: those that the cycle has touched and, under a bound, those of cycles before. The rows of
// many more are in memory in the state. A user belongs to an input: the same name in two partition numbers is two users.
type users struct {
	p       *Processor
	set     *campaign.Set
	inputs  []*input
	touched []*user
	open    int64 // bytes of all, about
	fault   error // a part of a user could not be read: what was decided since is void
}

// user is one user in memory.
type user struct {
	id      string
	in      *input
	state   *campaign.User
	size    int64
	row     int   // bytes of the head as last applied or read
	due     int64 // of the head as last applied or read; 0: none
	touched bool
}

func newUsers(p *Processor, set *campaign.Set, inputs []*input) *users {
	for _, in := range inputs {
		in.users = map[string]*user{}
	}
	return &users{p: p, set: set, inputs: inputs}
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
	head, due, _, err := in.part.State.Head(id)
	if err != nil {
		return nil, fmt.Errorf("read user: %w", err)
	}
	u.row, u.due = len(head), due
	opened, err := us.set.Open(id, head, func(n uint32) []byte {
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
				r.OldDue = u.due
				u.row, u.due = len(content), r.Due
			}
			emit(u.in, r)
		})
	}
	return us.fault
}

// settle forgets what the committed cycle touched and lets go of users above the lane's share of the bound.
func (us *users) settle() {
	for _, u := range us.touched {
		u.touched = false
		us.open -= u.size
		u.size = int64(u.row + u.state.Size())
		us.open += u.size
	}
	clear(us.touched)
	us.touched = us.touched[:0]
	if most := us.p.cfg.Users / max(1, us.p.running.Load()); us.open > most {
		us.close(most / 8 * 7)
	}
}

// close lets go of users until the others take no more than most.
func (us *users) close(most int64) {
	for _, in := range us.inputs {
		for id, u := range in.users {
			if us.open <= most {
				return
			}
			delete(in.users, id)
			us.open -= u.size
		}
	}
}
