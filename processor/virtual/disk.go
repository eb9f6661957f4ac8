package virtual

import (
	"fmt"

	"github.com/tripline/tripline/processor/campaign"
)

// Disk is where a line puts users whom memory has no room for. Memory holds some of them as they are, others, many more, as the
// bytes of their head. What is put is there for Get; of a user's parts, the head is 0.
type Disk struct {
	Memory int64 // bytes, about, that the users may take who are in memory as they are
	Heads  int64 // and those whose heads are
	Put    func(id string, part uint32, content []byte) error
	Get    func(id string, part uint32) (content []byte, err error) // nil: there is none
}

// NewOnDisk makes a line whose users are in memory as far as disk says. A failure of disk ends it: what comes later is passed by,
// and Err tells.
func NewOnDisk(set *campaign.Set, disk *Disk, emit func(*campaign.Output)) *Line {
	l := New(set, emit)
	l.disk = disk
	return l
}

// Err is the first failure of the disk; what the line has emitted since is void.
func (l *Line) Err() error { return l.err }

func (l *Line) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

// opened reads a user who is on disk, and says whether that was possible.
func (l *Line) opened(u *user) bool {
	if l.err != nil {
		return false
	}
	if u.state != nil {
		return true
	}
	get := func(part uint32) []byte {
		content, err := l.disk.Get(u.id, part)
		l.fail(err)
		return content
	}
	head := u.head
	if head == nil {
		head = get(0)
	}
	if len(head) == 0 {
		head = nil
	}
	state, err := l.set.Open(u.id, head, get)
	if l.fail(err); l.err != nil {
		return false
	}
	u.state = state
	l.open = append(l.open, u)
	return true
}

// weigh counts a user's bytes, and makes room where the users take too many: those go first who were opened first.
func (l *Line) weigh(u *user) {
	size := int64(u.state.Size())
	l.bytes += size - u.bytes
	u.bytes = size
	if l.bytes <= l.disk.Memory {
		return
	}
	gone := 0
	for ; gone < len(l.open)-1 && l.bytes > l.disk.Memory/8*7; gone++ {
		l.close(l.open[gone])
	}
	l.open = append(l.open[:0], l.open[gone:]...)
}

// headOverhead is about what a head takes in memory beside its bytes.
const headOverhead = 48

// close keeps of a user only their head.
func (l *Line) close(u *user) {
	if l.users[u.id] != u { // erased
		return
	}
	head, changed := []byte(nil), false
	u.state.Rows(func(part uint32, content []byte) {
		if part == 0 {
			head, changed = content, true
		} else {
			l.fail(l.disk.Put(u.id, part, content))
		}
	})
	if err := u.state.Err(); err != nil {
		l.fail(fmt.Errorf("user %q: %w", u.id, err))
	}
	l.bytes -= u.bytes
	u.state, u.bytes = nil, 0
	if !changed { // what was read is still right
		return
	}
	if u.head != nil {
		l.heads -= int64(len(u.head)) + headOverhead
	} else {
		l.closed = append(l.closed, u)
	}
	u.head = append([]byte{}, head...) // of a user without anything it is empty, and Open takes it for a new one
	l.heads += int64(len(u.head)) + headOverhead
	if l.heads > l.disk.Heads {
		l.spill()
	}
}

// spill puts heads on disk, those that were closed first.
func (l *Line) spill() {
	gone := 0
	for ; gone < len(l.closed) && l.heads > l.disk.Heads/8*7; gone++ {
		u := l.closed[gone]
		if l.users[u.id] == u {
			l.fail(l.disk.Put(u.id, 0, u.head))
		}
		l.heads -= int64(len(u.head)) + headOverhead
		u.head = nil
	}
	l.closed = append(l.closed[:0], l.closed[gone:]...)
}
