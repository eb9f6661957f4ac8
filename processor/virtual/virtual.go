// Package virtual runs campaigns over input in virtual time: the core as in production, with no Kafka and no sleeping.
// It is what `tripline test` and `tripline backtest` run, and what end-to-end tests compare committed records with.
package virtual

import (
	"container/heap"
	"strings"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
)

// Line is all users of one input. Inputs come in order of arrival, which never goes back; between them time passes, and
// timers fire in order of their due moments.
type Line struct {
	set          *campaign.Set
	users        map[string]*user
	due          wakes
	out          campaign.Output
	emit         func(*campaign.Output)
	now          int64
	disk         *Disk   // nil: all users stay in memory
	open, closed []*user // in order of their opening, and of their closing
	bytes, heads int64   // of those, about
	err          error
}

// user is a User and the due moment under which it stands in the heap; 0: none.
type user struct {
	id    string
	state *campaign.User // nil: it is closed
	head  []byte         // as it was last closed, unless it is on disk; then it is among Line.closed
	due   int64
	bytes int64
}

// wake says that a user was to be looked at. One that no longer agrees with its user is skipped.
type wake struct {
	due  int64
	user *user
}

type wakes []wake

func (w wakes) Len() int { return len(w) }
func (w wakes) Less(i, j int) bool {
	return w[i].due < w[j].due || w[i].due == w[j].due && w[i].user.id < w[j].user.id
}
func (w wakes) Swap(i, j int) { w[i], w[j] = w[j], w[i] }
func (w *wakes) Push(x any)   { *w = append(*w, x.(wake)) }
func (w *wakes) Pop() any {
	last := (*w)[len(*w)-1]
	*w = (*w)[:len(*w)-1]
	return last
}

// New makes a line; emit is given what each step decided and must not keep it.
func New(set *campaign.Set, emit func(*campaign.Output)) *Line {
	return &Line{set: set, users: map[string]*user{}, emit: emit}
}

// Event applies an event that arrives at arrival, in ms.
func (l *Line) Event(e *record.Event, arrival int64) {
	l.Until(arrival)
	l.step(e.User, func(u *campaign.User) { u.Event(e, arrival, &l.out) })
}

// Profile applies a profile record that arrives at arrival.
func (l *Line) Profile(p *record.Profile, arrival int64) {
	l.Until(arrival)
	l.step(p.User, func(u *campaign.User) { u.Profile(p, arrival, &l.out) })
}

// Erase applies a tombstone that arrives at arrival: a user of this name who comes back is a new one.
func (l *Line) Erase(id string, arrival int64) {
	l.Until(arrival)
	l.step(id, func(u *campaign.User) { u.Erase(arrival, &l.out) })
	if u := l.users[id]; u != nil && u.state != nil {
		l.bytes -= u.bytes
		u.bytes = 0
		if l.disk != nil {
			u.state.Rows(func(part uint32, content []byte) { l.fail(l.disk.Put(id, part, nil)) })
		}
	}
	delete(l.users, id)
}

// Until lets time pass: every timer that is due strictly before now fires.
func (l *Line) Until(now int64) {
	for len(l.due) > 0 && l.due[0].due < now {
		w := heap.Pop(&l.due).(wake)
		if w.user.due != w.due {
			continue
		}
		w.user.due, l.now = 0, w.due
		// One due moment at a time, so that all users' timers fire in the order of time.
		l.advance(w.user, func(u *campaign.User) { u.Passed(w.due+1, &l.out) })
	}
	l.now = now
}

// Now is the arrival, or the due moment, of the step that is being emitted.
func (l *Line) Now() int64 { return l.now }

// Users is how many users are known.
func (l *Line) Users() int { return len(l.users) }

// User is the state of one user, nil if nothing is known of them.
func (l *Line) User(id string) *campaign.User {
	if u := l.users[id]; u != nil && l.opened(u) {
		return u.state
	}
	return nil
}

func (l *Line) step(id string, do func(*campaign.User)) {
	u := l.users[id]
	if u == nil {
		id = strings.Clone(id)               // an event's keeps the whole record
		state, _ := l.set.Open(id, nil, nil) // a new user cannot fail to open
		u = &user{id: id, state: state}
		if l.disk != nil {
			l.open = append(l.open, u)
		}
		l.users[id] = u
	}
	l.advance(u, do)
}

func (l *Line) advance(u *user, do func(*campaign.User)) {
	if !l.opened(u) {
		return
	}
	do(u.state)
	if due, ok := u.state.Due(); ok && due != u.due {
		u.due = due
		heap.Push(&l.due, wake{due: due, user: u})
	} else if !ok {
		u.due = 0
	}
	l.emit(&l.out)
	l.out.Reset()
	if l.disk != nil {
		l.weigh(u)
	}
}
