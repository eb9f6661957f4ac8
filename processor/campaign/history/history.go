// Package history keeps what one user did: a log of events ordered by time, then by arrival.
//
// The events that arrived last stand in the head of the log, all others in immutable chunks of which the head has
// references: 32 events become a chunk, eight chunks of a level one of the next (32, 256, 2048, 16384 events), so that
// an Add costs the same however long the log is, and the head grows with the logarithm of its length (but a chunk of
// 512 KiB is not merged any more). Chunks are sealed by arrival and may overlap in time.
//
// Large events leave the head sooner, as a short chunk of the first level: the head is written with every event. Of it the head
// keeps where its events stand, their names and hashes of their ids, so that only what looks into an event reads it.
//
// Beside the other chunks there is one index for each level: what its chunks' numeric properties add up to, and hashes of the
// ids. Chunks and indexes are parts of their own, read only when a question needs them, and kept from then on.
//
// What is visible is exact, and does not depend on where chunks begin or on when the log was last read from its parts:
// the events within MaxAge of the largest time seen, and of these the last MaxEvents in order.
package history

import (
	"math"

	"github.com/tripline/tripline/processor/campaign/value"
)

// Event is one thing that a user did. Once in a log it does not change; one that a log has given away stays as it is, until the log is Reset
// or what it was read from changes.
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

// Compare orders positions: negative if p lies before q, zero if they are the same.
func (p Position) Compare(q Position) int {
	switch {
	case p.Time < q.Time, p.Time == q.Time && p.Seq < q.Seq:
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
	MaxAge    int64 // ms before the largest time seen; what is older is dropped
	MaxEvents int   // of more, the first in order are dropped
}

// Log is one user's history. The zero value is empty. It is for one goroutine at a time: questions, too, read parts and
// keep what they have decoded.
type Log struct {
	seq     uint64 // of the last arrival
	newest  int64  // the largest time seen
	floored bool
	passed  Position // if floored: events up to here are gone, though they may still stand in the head or a chunk
	counted bool     // what the floor has passed is counted everywhere
	inline  inline
	tail    *tail               // nil: there never was a chunk
	losing  func(upTo Position) // nil, or see Losing
	room    *room
}

// roomPlaces is how many places of short chunks stand in one piece of memory: a log that is not let go of takes more and more.
const roomPlaces = 64

// roomNames is how many bytes the names of a log that has none yet have at first.
const roomNames = 128

// room is memory that a log keeps when it becomes another one.
type room struct {
	tail    tail
	encoded []byte // of the tail
	places  []Position
	names   []uint32
	counts  []wordCount
	tables  []table // of short chunks
	index   table   // of the head
	words   []string
	text    []byte // of names
	few     built  // a chunk of the head's one event
	events  []Event
	props   value.Properties // of events
	others  []string         // names of a chunk of which one event is asked for
	walk    walk
	walking bool
}

// Losing has the log say before an Add drops events: those up to a position. They can still be asked for then. It holds until Clear.
func (l *Log) Losing(say func(upTo Position)) { l.losing = say }

// Has says whether an event of the log's is still in it.
func (l *Log) Has(e *Event) bool { return e.Position().Compare(l.floor()) > 0 }

// Add gives the event its Seq and its place in the order, and drops what the limits no longer allow; what is dropped
// stays so if the limits are raised later. dropped counts what MaxEvents removed, which may be e itself: then it is
// older than all that is kept.
func (l *Log) Add(e Event, lim Limits) (seq uint64, dropped int) {
	l.seq++
	e.Seq = l.seq
	if l.seq == 1 || e.Time > l.newest {
		l.newest = e.Time
	}
	young := true
	if oldest := l.newest - lim.MaxAge; lim.MaxAge > 0 && oldest < l.newest {
		young = e.Time >= oldest
		l.raise(Before(oldest))
	}
	if e.Position().Compare(l.floor()) <= 0 {
		if young {
			dropped = 1
		}
		return e.Seq, dropped
	}
	l.inline.append(&e)
	if lim.MaxEvents > 0 {
		dropped = l.trim(lim.MaxEvents)
	}
	if l.inline.full() {
		l.seal(lim.MaxEvents)
	}
	return e.Seq, dropped
}

// Resume has the next event added be that of a Seq, which no event has had before.
func (l *Log) Resume(seq uint64) { l.seq = seq - 1 }

// Arrivals is the Seq of the event that was added last; 0: there is none.
func (l *Log) Arrivals() uint64 { return l.seq }

// Newest is the largest time seen, ms; 0 where nothing was added.
func (l *Log) Newest() int64 { return l.newest }

// HasID tells whether an event with this id is kept; the empty id never is.
func (l *Log) HasID(id string) bool {
	if id == "" {
		return false
	}
	h, floor := hash(id), l.floor()
	return l.inline.hasID(id, h, floor) || l.tail != nil && l.tail.hasID(id, h, floor)
}

// Len is how many events are kept.
func (l *Log) Len() int {
	n := l.inline.n
	if n > 0 && l.inline.min.Compare(l.floor()) <= 0 {
		n -= l.inline.index().behind(l.floor())
	}
	if l.tail == nil {
		return n
	}
	for i := range l.tail.refs {
		r := &l.tail.refs[i]
		n += r.n
		if r.min.Compare(l.floor()) <= 0 {
			n -= l.tail.places(r).behind(l.floor())
		}
	}
	return n
}

// Empty tells whether no event is kept, without reading a part.
func (l *Log) Empty() bool { return l.inline.n == 0 && (l.tail == nil || len(l.tail.refs) == 0) }

// Outline is the event of a position without its properties, as far as the head tells of it: ok is false where At has to be asked, as where
// the event may have an id.
func (l *Log) Outline(p Position) (e Event, ok bool) {
	if l.tail == nil || p.Compare(l.floor()) <= 0 {
		return Event{}, false
	}
	for i := range l.tail.refs {
		r := &l.tail.refs[i]
		if r.short == nil || len(r.hashes) > 0 || p.Compare(r.min) < 0 || p.Compare(r.max) > 0 {
			continue
		}
		if i := r.short.behind(p) - 1; i >= 0 && r.short.places[i] == p {
			return Event{Seq: p.Seq, Time: p.Time, Name: l.tail.names.name(r.short.names[i])}, true
		}
	}
	return Event{}, false
}

// Ends says whether no event lies behind p.
func (l *Log) Ends(p Position) bool {
	return (l.inline.n == 0 || l.inline.max.Compare(p) <= 0) && (l.tail == nil || len(l.tail.refs) == 0 || l.tail.last.Compare(p) <= 0)
}

// Twins is how many events of e's time and name arrived before it.
func (l *Log) Twins(e *Event) int {
	from, to := Position{e.Time - 1, math.MaxUint64}, Position{e.Time, e.Seq - 1}
	if l.inline.table == nil && from.Compare(l.floor()) >= 0 && (l.tail == nil || l.tail.last.Compare(from) <= 0) {
		if l.inline.alone == e.Position() { // mostly it was just looked up
			return 0
		}
		return l.inline.count(from, to, e.Name) // the head as it is encoded answers sooner than one put in order
	}
	return l.walk(walk{from: from, to: to, step: 1, one: true, name: [1]string{e.Name}, counts: true})
}

// Long tells whether there are chunks, so that to look at all that is kept costs more than to count.
func (l *Log) Long() bool { return l.tail != nil && len(l.tail.refs) > 0 }

// Err is the first thing that was wrong with a part that a question or an Add needed: it was missing or its bytes were
// corrupt. Answers since then lack its events; the log must not be written back.
func (l *Log) Err() error {
	if l.inline.broken || l.inline.table != nil && l.inline.table.broken {
		return errCorrupt
	}
	if l.tail == nil {
		return nil
	}
	for i := range l.tail.refs {
		if c := l.tail.refs[i].chunk; c != nil && c.broken {
			return errCorrupt
		}
	}
	return l.tail.err
}

// tailAgain is a new tail in the memory of the last one.
func (m *room) tailAgain() *tail {
	t := &m.tail
	clear(t.refs)
	*t = tail{refs: t.refs[:0], parts: parts{stored: t.stored[:0], changed: t.changed[:0]}, memos: t.memos[:0], room: m}
	return t
}

// roomProperties is how many properties of events stand in one piece of memory.
const roomProperties = 64

// event is a new one that is let go of with what the log was; m may be nil.
func (m *room) event() *Event {
	if m == nil {
		return new(Event)
	}
	if len(m.events) == cap(m.events) { // what is in use stays where it is
		m.events = make([]Event, 0, min(8, 1+2*cap(m.events)))
	}
	m.events = m.events[:len(m.events)+1]
	return &m.events[len(m.events)-1]
}

// some are so many properties, as event is one.
func (m *room) some(n int) value.Properties {
	if m == nil || n > roomProperties {
		return make(value.Properties, n)
	}
	if cap(m.props)-len(m.props) < n {
		m.props = make(value.Properties, 0, max(n, min(roomProperties, 2*cap(m.props))))
	}
	at := len(m.props)
	m.props = m.props[:at+n]
	return m.props[at : at+n : at+n]
}

// What things take in memory, roughly, bytes.
const (
	logSize      = 320
	tailSize     = 400
	refSize      = 200
	placeSize    = 36 // of an event in a table: its place, name, span and pointer
	eventSize    = 96
	propertySize = 48
)

// Size is about how many bytes of memory the log takes with all that it has read and decoded. It takes no longer for
// a long log than for a short one.
func (l *Log) Size() int {
	size := logSize + cap(l.inline.records) + 2*cap(l.inline.words.text) + l.inline.table.memory()
	for _, s := range l.inline.sums {
		size += refSize + 24*cap(s.places)
	}
	t := l.tail
	if t == nil {
		return size
	}
	size += tailSize + len(t.encoded) + refSize*(len(t.refs)+len(t.memos))
	for i := range t.refs {
		if r := &t.refs[i]; r.chunk == nil {
			size += len(r.content)
		} else {
			size += len(r.chunk.body) + r.chunk.memory()
			for _, c := range r.chunk.columns {
				size += refSize + 13*len(c.at)
			}
		}
	}
	for i := range t.indexes {
		size += 5*len(t.indexes[i].index.owners) + refSize*len(t.indexes[i].index.parts)
	}
	return size
}

// memory is about how many bytes a table takes beside its body.
func (t *table) memory() int {
	if t == nil {
		return 0
	}
	return placeSize*cap(t.places) + t.size
}

// Clear empties the log and has all its parts deleted; arrivals are counted from 1 again.
func (l *Log) Clear() {
	if l.tail == nil {
		*l = Log{}
		return
	}
	gone := parts{stored: l.tail.stored}
	for _, n := range gone.stored {
		gone.change(n, nil)
	}
	*l = Log{tail: &tail{parts: gone}}
}

// Reset makes l a new log in its own memory, whatever it was.
func (l *Log) Reset() {
	if l.room == nil {
		l.room = new(room)
	}
	m := l.room
	own := l.inline.own
	if l.inline.owned {
		own = l.inline.records
	}
	if cap(l.inline.idle) > cap(own) {
		own = l.inline.idle
	}
	if words := l.inline.words.names; cap(words) > cap(m.words) {
		m.words = words
	}
	if cap(m.text) == 0 {
		m.text = make([]byte, 0, roomNames)
	}
	clear(m.words)
	clear(m.props)
	m.events, m.props = m.events[:0], m.props[:0]
	m.places, m.names, m.counts, m.tables, m.words = m.places[:0], m.names[:0], m.counts[:0], m.tables[:0], m.words[:0]
	*l = Log{inline: inline{own: own, spare: &m.index, words: words{text: m.text[:0]}}, losing: l.losing, room: m}
}

// Parts emits, in order, the parts n >= 1 that were written (content) or deleted (nil) since the last call. Chunks
// are written once; an index is written again under its number. The content is not to be changed.
func (l *Log) Parts(emit func(n uint32, content []byte)) {
	if l.tail != nil {
		l.tail.emit(emit)
	}
}
