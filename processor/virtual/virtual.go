// Package virtual runs campaigns over input in virtual time: the core as in production, with no Kafka and no sleeping.
// It is what `tripline test` and `tripline backtest` run, and what end-to-end tests compare committed records with.
package virtual

import (
	"cmp"
	"strings"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
)

// Line is all users of one input. Inputs come in order of arrival, which never goes back; between them time passes, and
// timers fire in order of their due moments.
type Line struct {
	set   *campaign.Set
	users map[string]*user
	due   wakes
	out   campaign.Output
	emit  func(*campaign.Output)
	now   int64
	rests bool
	err   error
}

// user is a User and when it is to be looked at.
type user struct {
	id     string
	state  *campaign.User
	due    int64             // 0: never
	queued int64             // the earliest due moment under which it stands in the heap, not after due; 0: none
	parts  map[uint32][]byte // of a user who rests between steps
}

// New makes a line; emit is given what each step decided and must not keep it.
func New(set *campaign.Set, emit func(*campaign.Output)) *Line {
	return &Line{set: set, users: map[string]*user{}, emit: emit}
}

// Rest has users put into their rows between steps and opened again, as a restart does: what is decided must not depend on it.
func (l *Line) Rest() { l.rests = true }

// Err is the first thing that was wrong with rows.
func (l *Line) Err() error { return l.err }

// Event applies an event that arrives at arrival, in ms. The line keeps nothing of it. What it refuses would be a dead letter.
func (l *Line) Event(e *record.Event, arrival int64) *record.Rejection {
	l.Until(arrival)
	u := l.find(e.User)
	bad := u.state.Event(e, arrival, &l.out)
	l.advance(u)
	return bad
}

// Profile applies a profile record that arrives at arrival. What it refuses would be a dead letter.
func (l *Line) Profile(p *record.Profile, arrival int64) *record.Rejection {
	l.Until(arrival)
	u := l.find(p.User)
	bad := u.state.Profile(p, arrival, &l.out)
	l.advance(u)
	return bad
}

// Erase applies a tombstone that arrives at arrival: a user of this name who comes back is a new one.
func (l *Line) Erase(id string, arrival int64) {
	l.Until(arrival)
	u := l.find(id)
	u.state.Erase(arrival, &l.out)
	l.advance(u)
	delete(l.users, id)
}

// Until lets time pass: every timer that is due strictly before now fires.
func (l *Line) Until(now int64) {
	for len(l.due) > 0 && l.due[0].due < now {
		w := l.due.pop()
		u := w.user
		switch {
		case w.due != u.queued: // an earlier one has taken its place
		case u.due == 0:
			u.queued = 0
		case u.due > w.due: // it has moved
			u.queued = u.due
			l.due.push(wake{due: u.due, user: u})
		default:
			u.queued, l.now = 0, w.due
			// One due moment at a time, so that all users' timers fire in the order of time.
			l.ready(u)
			u.state.Passed(w.due+1, &l.out)
			l.advance(u)
		}
	}
	l.now = now
}

// Now is the arrival, or the due moment, of the step that is being emitted.
func (l *Line) Now() int64 { return l.now }

// Users is how many users are known.
func (l *Line) Users() int { return len(l.users) }

// User is the state of one user, nil if nothing is known of them.
func (l *Line) User(id string) *campaign.User {
	if u := l.users[id]; u != nil {
		return u.state
	}
	return nil
}

// Spare has the users' history keep less from now on: set is a Sparing of the line's own.
func (l *Line) Spare(set *campaign.Set) { l.set = set }

// find is a user, who is new if nothing is known of them.
func (l *Line) find(id string) *user {
	u := l.users[id]
	if u == nil {
		id = strings.Clone(id)               // an event's keeps the whole record
		state, _ := l.set.Open(id, nil, nil) // a new user cannot fail to open
		u = &user{id: id, state: state}
		l.users[id] = u
	}
	l.ready(u)
	return u
}

// ready prepares a user for a step.
func (l *Line) ready(u *user) {
	u.state.Spare(l.set)
	if !l.rests {
		return
	}
	if u.parts == nil {
		u.parts = map[uint32][]byte{}
	}
	u.state.Rows(func(part uint32, content []byte) {
		if u.parts[part] = content; content == nil {
			delete(u.parts, part)
		}
	})
	state, err := l.set.Open(u.id, u.parts[0], func(n uint32) []byte { return u.parts[n] })
	if err == nil {
		err = u.state.Err()
	}
	if err != nil {
		l.err = cmp.Or(l.err, err)
		return
	}
	u.state = state
}

// advance emits what a step has decided, and notes when the user is to be looked at.
func (l *Line) advance(u *user) {
	due, ok := u.state.Due()
	if u.due = due; !ok {
		u.due = 0
	} else if u.queued == 0 || due < u.queued {
		u.queued = due
		l.due.push(wake{due: due, user: u})
	}
	l.emit(&l.out)
	l.out.Reset()
}

// wake says that a user is to be looked at.
type wake struct {
	due  int64
	user *user
}

func (w wake) before(o wake) bool {
	return w.due < o.due || w.due == o.due && w.user.id < o.user.id
}

// wakes is a heap: the first comes first.
type wakes []wake

func (h *wakes) push(w wake) {
	q := append(*h, w)
	i := len(q) - 1
	for i > 0 && w.before(q[(i-1)/2]) {
		q[i] = q[(i-1)/2]
		i = (i - 1) / 2
	}
	q[i] = w
	*h = q
}

func (h *wakes) pop() wake {
	q := *h
	first, last := q[0], q[len(q)-1]
	q[len(q)-1] = wake{}
	q = q[:len(q)-1]
	for i := 0; len(q) > 0; {
		child := 2*i + 1
		if child+1 < len(q) && q[child+1].before(q[child]) {
			child++
		}
		if child >= len(q) || !q[child].before(last) {
			q[i] = last
			break
		}
		q[i] = q[child]
		i = child
	}
	*h = q
	return first
}
