// Package history keeps what one user did: a log of events ordered by time, then by arrival.
package history

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"github.com/tripline/tripline/processor/campaign/value"
)

// Event is one thing that a user did. Properties are never changed once the event is in a Log.
type Event struct {
	Seq        uint64 // the user's arrival number, assigned by Add; from 1
	Time       int64  // ms since the epoch
	Name, ID   string // ID may be empty
	Properties value.Properties
}

// Position is a place in a log's order: by Time, then by Seq.
type Position struct {
	Time int64 // ms since the epoch
	Seq  uint64
}

// After is the position behind every event of time t.
func After(t int64) Position { return Position{t, math.MaxUint64} }

// Before is the position ahead of every event of time t.
func Before(t int64) Position { return Position{t, 0} }

// Compare orders positions: negative if p lies before q.
func (p Position) Compare(q Position) int {
	switch {
	case p.Time != q.Time && p.Time < q.Time, p.Time == q.Time && p.Seq < q.Seq:
		return -1
	case p == q:
		return 0
	}
	return 1
}

// Position is where the event stands in its log.
func (e *Event) Position() Position { return Position{e.Time, e.Seq} }

// Limits bound a log. Zero is no bound.
type Limits struct {
	MaxAge    int64 // ms before the largest time seen; events within it are kept, older ones may be dropped
	MaxEvents int   // of more, the first in order are dropped
}

// Log is one user's history. The zero value is empty.
type Log struct {
	next    uint64
	newest  int64
	events  []Event
	written bool
}

const version = 1

var errCorrupt = errors.New("history: corrupt log")

// Decode reads what AppendHead wrote and returns what follows it. part is asked for the content of a part n >= 1 when a
// question needs it.
func Decode(head []byte, part func(n uint32) []byte) (l *Log, rest []byte, err error) {
	if len(head) == 0 || head[0] != version {
		return nil, nil, errCorrupt
	}
	src, l := head[1:], &Log{}
	var n uint64
	for _, to := range []*uint64{&l.next, &n} {
		if *to, src, err = uvarint(src); err != nil {
			return nil, nil, err
		}
	}
	newest, width := binary.Varint(src)
	if width <= 0 {
		return nil, nil, errCorrupt
	}
	l.newest, src = newest, src[width:]
	for ; n > 0; n-- {
		var e Event
		if e, src, err = decodeEvent(src); err != nil {
			return nil, nil, err
		}
		l.events = append(l.events, e)
	}
	return l, src, nil
}

func uvarint(src []byte) (uint64, []byte, error) {
	v, n := binary.Uvarint(src)
	if n <= 0 {
		return 0, nil, errCorrupt
	}
	return v, src[n:], nil
}

func decodeEvent(src []byte) (e Event, rest []byte, err error) {
	if e.Seq, src, err = uvarint(src); err != nil {
		return e, nil, err
	}
	t, width := binary.Varint(src)
	if width <= 0 {
		return e, nil, errCorrupt
	}
	e.Time, src = t, src[width:]
	for _, to := range []*string{&e.Name, &e.ID} {
		var n uint64
		if n, src, err = uvarint(src); err != nil || n > uint64(len(src)) {
			return e, nil, errCorrupt
		}
		*to, src = string(src[:n]), src[n:]
	}
	e.Properties, rest, err = value.DecodeProperties(src)
	return e, rest, err
}

// AppendHead appends the log's head.
func (l *Log) AppendHead(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, version), l.next)
	dst = binary.AppendUvarint(dst, uint64(len(l.events)))
	dst = binary.AppendVarint(dst, l.newest)
	for i := range l.events {
		e := &l.events[i]
		dst = binary.AppendUvarint(dst, e.Seq)
		dst = binary.AppendVarint(dst, e.Time)
		dst = append(binary.AppendUvarint(dst, uint64(len(e.Name))), e.Name...)
		dst = append(binary.AppendUvarint(dst, uint64(len(e.ID))), e.ID...)
		dst = e.Properties.AppendBinary(dst)
	}
	return dst
}

// Parts emits the parts that were written (content) or deleted (nil) since the last call.
func (l *Log) Parts(emit func(n uint32, content []byte)) {}

// Add gives the event its Seq and its place in the order. dropped counts the events that the cap removed, which may
// include e itself.
func (l *Log) Add(e Event, lim Limits) (seq uint64, dropped int) {
	l.next++
	e.Seq = l.next
	if e.Time > l.newest || e.Seq == 1 {
		l.newest = e.Time
	}
	l.events = slices.Insert(l.events, l.behind(e.Position()), e)
	if lim.MaxAge > 0 {
		old := l.behind(Position{l.newest - lim.MaxAge, 0})
		l.events = slices.Delete(l.events, 0, old)
	}
	if over := len(l.events) - lim.MaxEvents; lim.MaxEvents > 0 && over > 0 {
		l.events, dropped = slices.Delete(l.events, 0, over), over
	}
	return e.Seq, dropped
}

// behind is the index of the first event behind p.
func (l *Log) behind(p Position) int {
	i, found := slices.BinarySearchFunc(l.events, p, func(e Event, p Position) int { return e.Position().Compare(p) })
	if found {
		i++
	}
	return i
}

// HasID tells whether an event with this id is kept; the empty id never is.
func (l *Log) HasID(id string) bool {
	return id != "" && slices.ContainsFunc(l.events, func(e Event) bool { return e.ID == id })
}

// Ascend visits the events with from < position <= to in order, until visit returns false. Events stay the log's.
func (l *Log) Ascend(from, to Position, visit func(*Event) bool) {
	for i, end := l.behind(from), l.behind(to); i < end && visit(&l.events[i]); i++ {
	}
}

// Descend visits what Ascend visits, newest first.
func (l *Log) Descend(from, to Position, visit func(*Event) bool) {
	for i, start := l.behind(to)-1, l.behind(from); i >= start && visit(&l.events[i]); i-- {
	}
}

// Len is how many events are kept.
func (l *Log) Len() int { return len(l.events) }

// Aggregate looks at the events of this name with after < Time <= upTo that satisfy where (nil: all). With an empty
// property n counts them; else n, sum, min and max are over those in which the property is a number.
func (l *Log) Aggregate(event, property string, after, upTo int64, where func(*Event) bool) (n int, sum, min, max float64) {
	l.Ascend(After(after), After(upTo), func(e *Event) bool {
		if e.Name != event || where != nil && !where(e) {
			return true
		}
		if property == "" {
			n++
			return true
		}
		f, ok := e.Properties.Get(property).Float()
		if !ok {
			return true
		}
		if n == 0 || f < min {
			min = f
		}
		if n == 0 || f > max {
			max = f
		}
		n, sum = n+1, sum+f
		return true
	})
	return n, sum, min, max
}
