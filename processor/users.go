package processor

import (
	"fmt"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/state"
	"github.com/tripline/tripline/state/lane"
)

// users are a lane's users in memory: those that the cycle has touched, and, under a bound, those of cycles before.
type users struct {
	p       *Processor
	known   map[string]*user
	touched []*user
	bytes   int64 // of the rows of all known, as last written or read
	fault   error // a part of a user could not be read: what was decided since is void
}

// user is one user in memory.
type user struct {
	id      string
	part    *lane.Partition
	state   *campaign.User
	size    int64
	due     int64 // of the row as last applied; 0: none
	sure    bool  // that due is that of the applied row: not where a change of campaigns has dropped some of its timers
	touched bool
}

func newUsers(p *Processor, l *lane.Lane) *users {
	us := &users{p: p, known: map[string]*user{}}
	for _, part := range l.Partitions() {
		part.State.Known(func(id string) (ms int64, ok bool) {
			u := us.known[us.key(part, id)]
			if u == nil || !u.sure {
				return 0, false
			}
			return u.due, true
		})
	}
	return us
}

// key is a user's in memory. A user has one partition for ever, but where the producer partitions in its own way the same
// name in two partitions is two users.
func (us *users) key(part *lane.Partition, id string) string {
	if us.p.cfg.Envelope.KeyIgnored {
		return fmt.Sprintf("%d %s", part.Number, id)
	}
	return id
}

// open finds a user, in memory or in the rows, and counts it among the touched.
func (us *users) open(part *lane.Partition, id string) (*user, error) {
	key := us.key(part, id)
	u := us.known[key]
	if u == nil {
		head, found, err := part.State.Get(state.Key{ID: id})
		if err != nil {
			return nil, fmt.Errorf("read user: %w", err)
		}
		if !found {
			head = nil
		}
		u = &user{id: id, part: part, size: int64(len(head)) + 512}
		u.state, err = us.p.cfg.Set.Open(id, head, func(n uint32) []byte {
			content, found, err := part.State.Get(state.Key{ID: id, Part: n})
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
		us.known[key] = u
		us.bytes += u.size
	}
	if !u.touched {
		u.touched = true
		us.touched = append(us.touched, u)
	}
	return u, nil
}

// rows emits what the touched users changed.
func (us *users) rows(emit func(partition int32, r state.Row)) error {
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
				us.bytes += int64(len(content)) + 512 - u.size
				u.size = int64(len(content)) + 512
			}
			emit(u.part.Number, r)
		})
		if head {
			u.due, u.sure = due, true
		}
	}
	return us.fault
}

// settle forgets what the committed cycle touched and lets go of users above the bound.
func (us *users) settle() {
	for _, u := range us.touched {
		u.touched = false
	}
	clear(us.touched)
	us.touched = us.touched[:0]
	if us.bytes <= us.p.cfg.Users {
		return
	}
	for key, u := range us.known {
		delete(us.known, key)
		if us.bytes -= u.size; us.bytes <= us.p.cfg.Users*9/10 {
			return
		}
	}
}
