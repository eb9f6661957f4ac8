package history

import (
	"slices"
	"sort"
)

// table is a run of events in order, decoded as far as their places and names; the rest waits in body.
type table struct {
	places []Position
	names  []uint32 // numbers of words
	spans  []span   // where their records lie in body
	body   []byte
	words  *words
	events []*Event // decoded ones
	broken bool     // a record could not be decoded
}

type span struct{ at, size uint32 }

func (t *table) len() int { return len(t.places) }

// behind is the index of the first event behind p.
func (t *table) behind(p Position) int {
	low, high := 0, len(t.places)
	for low < high {
		middle := int(uint(low+high) >> 1)
		if t.places[middle].Compare(p) <= 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

func (t *table) record(i int) []byte {
	s := t.spans[i]
	return t.body[s.at : s.at+s.size]
}

func (t *table) id(i int) []byte {
	r := reader{src: t.record(i)}
	return r.text()
}

// event is the event at i, decoded once.
func (t *table) event(i int) *Event {
	if t.events == nil {
		t.events = make([]*Event, len(t.places), cap(t.places))
	}
	if t.events[i] != nil {
		return t.events[i]
	}
	r := reader{src: t.record(i)}
	e := &Event{Seq: t.places[i].Seq, Time: t.places[i].Time, Name: t.words.name(t.names[i]), ID: string(r.text())}
	e.Properties = r.properties(t.words)
	t.broken = t.broken || r.bad || len(r.src) > 0
	t.events[i] = e
	return e
}

// number is the numeric value that the event at i has of a property.
func (t *table) number(i int, property uint32) (f float64, ok bool) {
	r := reader{src: t.record(i)}
	r.text()
	for range r.count(3) {
		if p := r.property(); p.word == property {
			return p.float()
		}
	}
	t.broken = t.broken || r.bad
	return 0, false
}

// insert puts an event in its place.
func (t *table) insert(p Position, name uint32, s span) {
	i := len(t.places)
	if i > 0 && t.places[i-1].Compare(p) > 0 {
		i = t.behind(p)
	}
	t.places, t.names, t.spans = slices.Insert(t.places, i, p), slices.Insert(t.names, i, name), slices.Insert(t.spans, i, s)
	if t.events != nil {
		t.events = slices.Insert(t.events, i, nil)
	}
}

// Len, Less and Swap sort a table that was filled in order of arrival.
func (t *table) Len() int           { return len(t.places) }
func (t *table) Less(i, j int) bool { return t.places[i].Compare(t.places[j]) < 0 }
func (t *table) Swap(i, j int) {
	t.places[i], t.places[j] = t.places[j], t.places[i]
	t.names[i], t.names[j] = t.names[j], t.names[i]
	t.spans[i], t.spans[j] = t.spans[j], t.spans[i]
}

func (t *table) sort() {
	if !sort.IsSorted(t) {
		sort.Sort(t)
	}
}
