package history

import (
	"encoding/binary"
	"math"
	"slices"
	"sort"

	"github.com/tripline/tripline/processor/campaign/value"
)

// chunk is an immutable part of a log: events in order, which arrived before those of the head.
type chunk struct {
	table
	raw     layout
	columns []*column
}

// layout is the content of a chunk, one column after the other: the version, the number of events, the words, the
// lengths of the columns, and of all events the times (the first one, then differences), the differences of Seq, the
// numbers of the names, the lengths of the records, and the records.
type layout struct {
	n                                 int
	words                             words
	times, seqs, names, sizes, bodies []byte
}

func (c *layout) columns() [5]*[]byte {
	return [...]*[]byte{&c.times, &c.seqs, &c.names, &c.sizes, &c.bodies}
}

func (c *layout) content() []byte { return append(c.head(len(c.bodies)), c.bodies...) }

// head is the content as far as the records, of so many bytes, with room for them.
func (c *layout) head(bodies int) []byte {
	size := 32 + len(c.words.text) + len(c.times) + len(c.seqs) + len(c.names) + len(c.sizes) + bodies
	content := binary.AppendUvarint(append(make([]byte, 0, size), version), uint64(c.n))
	content = c.words.append(content)
	for _, length := range [...]int{len(c.times), len(c.seqs), len(c.names), len(c.sizes), bodies} {
		content = binary.AppendUvarint(content, uint64(length))
	}
	for _, column := range [...][]byte{c.times, c.seqs, c.names, c.sizes} {
		content = append(content, column...)
	}
	return content
}

// parseLayout finds the columns, but does not look into them.
func parseLayout(content []byte) (c layout, err error) {
	r, err := open(content, version, version)
	if err != nil {
		return c, err
	}
	c.n, c.words = r.count(4), r.words()
	var sizes [5]int
	for i := range sizes {
		sizes[i] = r.count(1)
	}
	for i, column := range c.columns() {
		*column = r.bytes(sizes[i])
	}
	if !r.done() || c.n == 0 {
		return layout{}, errCorrupt
	}
	return c, nil
}

// parseChunk decodes all but the records; they are checked when an event is asked for.
func parseChunk(content []byte) (*chunk, error) {
	raw, err := parseLayout(content)
	if err != nil {
		return nil, err
	}
	c := &chunk{raw: raw}
	n := raw.n
	c.table = table{words: &c.raw.words, places: make([]Position, n), names: make([]uint32, n), spans: make([]span, n),
		body: raw.bodies}
	times, seqs, names, sizes := reader{src: raw.times}, reader{src: raw.seqs}, reader{src: raw.names}, reader{src: raw.sizes}
	last, at, right := Position{Time: times.varint()}, 0, true
	for i := range c.places {
		if i > 0 {
			last.Time += int64(times.uvarint())
		}
		last.Seq += uint64(seqs.varint())
		c.places[i], c.names[i] = last, names.number()
		size := int(sizes.number())
		c.spans[i] = span{uint32(at), uint32(size)}
		at += size
		right = right && c.names[i] < raw.words.n && (i == 0 || c.places[i-1].Compare(last) < 0)
	}
	if !right || !times.done() || !seqs.done() || !names.done() || !sizes.done() || at != len(raw.bodies) {
		return nil, errCorrupt
	}
	return c, nil
}

// event is the one at i, without the others; nil: it cannot be read. It stands in the room.
func (c *layout) event(i int, m *room) *Event {
	times, seqs, names, sizes := reader{src: c.times}, reader{src: c.seqs}, reader{src: c.names}, reader{src: c.sizes}
	p, at := Position{times.varint(), uint64(seqs.varint())}, uint32(0)
	for range i {
		p.Time += int64(times.uvarint())
		p.Seq += uint64(seqs.varint())
		names.number()
		at += sizes.number()
	}
	name, size := names.number(), sizes.number()
	if times.bad || seqs.bad || names.bad || sizes.bad || name >= c.words.n || uint64(at)+uint64(size) > uint64(len(c.bodies)) {
		return nil
	}
	if m != nil {
		c.words.names = m.others[:0]
	}
	e := m.event()
	ok := e.decode(p, name, c.bodies[at:at+size], &c.words, m)
	if m != nil {
		m.others = c.words.names
	}
	if !ok {
		return nil
	}
	return e
}

// hasID tells whether an event behind the floor has this id.
func (c *chunk) hasID(id string, floor Position) bool {
	for i := c.behind(floor); i < c.len(); i++ {
		if string(c.id(i)) == id {
			return true
		}
	}
	return false
}

// table is a run of events in order, decoded as far as their places and names; the rest waits in body.
type table struct {
	places []Position
	names  []uint32 // numbers of words
	spans  []span   // where their records lie in body
	body   []byte
	words  *words
	events []*Event // decoded ones
	size   int      // of what was decoded, bytes
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

// count is how many events of a name there are between two positions.
func (t *table) count(event string, from, to Position) (n int) {
	name, ok := t.words.find(event)
	for i := t.behind(from); ok && i < len(t.places) && t.places[i].Compare(to) <= 0; i++ {
		if t.names[i] == name {
			n++
		}
	}
	return n
}

// between is the places and names of the events from one to another, which is not in it.
func (t *table) between(from, to int) table {
	return table{places: t.places[from:to], names: t.names[from:to], words: t.words}
}

// at is the event of a position; nil: there is none.
func (t *table) at(p Position) *Event {
	if i := t.behind(p) - 1; i >= 0 && t.places[i] == p {
		return t.event(i)
	}
	return nil
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
	if len(t.events) == 0 {
		t.events = slices.Grow(t.events, max(len(t.places), cap(t.places)))[:len(t.places)]
	}
	if t.events[i] != nil {
		return t.events[i]
	}
	e, ok := decode(t.places[i], t.names[i], t.record(i), t.words)
	t.broken = t.broken || !ok
	t.events[i] = e
	t.size += eventSize + propertySize*len(e.Properties) + len(t.record(i))
	return e
}

// decode is the event of a record. It is false if that cannot be read.
func decode(p Position, name uint32, record []byte, w *words) (e *Event, ok bool) {
	e = new(Event)
	return e, e.decode(p, name, record, w, nil)
}

func (e *Event) decode(p Position, name uint32, record []byte, w *words, m *room) (ok bool) {
	r := reader{src: record}
	*e = Event{Seq: p.Seq, Time: p.Time, Name: w.name(name), ID: value.Borrow(r.text())}
	e.Properties = r.properties(w, m)
	return r.done()
}

// insert puts an event in its place.
func (t *table) insert(p Position, name uint32, s span) {
	i := len(t.places)
	if i > 0 && t.places[i-1].Compare(p) > 0 {
		i = t.behind(p)
	}
	t.places, t.names, t.spans = slices.Insert(t.places, i, p), slices.Insert(t.names, i, name), slices.Insert(t.spans, i, s)
	if len(t.events) > 0 {
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

const (
	columnBlock = 64
	noProperty  = math.MaxUint32
)

// column is what a chunk's events of one name have in one numeric property; without a property it is where they are.
type column struct {
	name, property uint32
	where          any      // if not nil: of those events that this says to count
	made           bool     // at is what it says
	at             []uint32 // places of the events
	values         []float64
	blocks         []total // of each columnBlock values
}

// total is that of the events between two positions.
func (c *chunk) total(event, property string, from, to Position) total {
	column := c.column(event, property)
	if column == nil {
		return total{}
	}
	return column.total(uint32(c.behind(from)), uint32(c.behind(to)))
}

// column is made when it is first asked for; nil if the chunk has neither the name nor the property.
func (c *chunk) column(event, property string) *column {
	name, ok := c.raw.words.find(event)
	number := uint32(noProperty)
	if ok && property != "" {
		number, ok = c.raw.words.find(property)
	}
	if !ok {
		return nil
	}
	for _, known := range c.columns {
		if known.name == name && known.property == number && known.where == nil {
			return known
		}
	}
	made := &column{name: name, property: number}
	for i, n := range c.names {
		if n != name {
			continue
		}
		if number == noProperty {
			made.at = append(made.at, uint32(i))
			continue
		}
		f, ok := numeric(c.record(i), number)
		if !ok {
			continue
		}
		if len(made.values)%columnBlock == 0 {
			made.blocks = append(made.blocks, total{})
		}
		made.at, made.values = append(made.at, uint32(i)), append(made.values, f)
		made.blocks[len(made.blocks)-1].add(f)
	}
	c.columns = append(c.columns, made)
	return made
}

// matches is how many events of a name that where counts there are between two positions. The first time only they are looked at, since
// a chunk that is read anew each time gains nothing from more.
func (c *chunk) matches(event string, from, to Position, key any, where func(*Event) bool) (n int) {
	name, ok := c.raw.words.find(event)
	if !ok {
		return 0
	}
	low, high := c.behind(from), c.behind(to)
	counts := func(i int) bool { return c.names[i] == name && where(c.event(i)) }
	for _, known := range c.columns {
		if known.name != name || known.where != key {
			continue
		}
		for i := 0; i < c.len() && !known.made; i++ {
			if counts(i) {
				known.at = append(known.at, uint32(i))
			}
		}
		known.made = true
		return known.total(uint32(low), uint32(high)).n
	}
	c.columns = append(c.columns, &column{name: name, property: noProperty, where: key})
	for i := low; i < high; i++ {
		if counts(i) {
			n++
		}
	}
	return n
}

// total is that of the events from and up to, but not including, two places.
func (c *column) total(from, to uint32) (t total) {
	i := sort.Search(len(c.at), func(i int) bool { return c.at[i] >= from })
	end := sort.Search(len(c.at), func(i int) bool { return c.at[i] >= to })
	if c.property == noProperty {
		return total{n: end - i}
	}
	for i < end {
		if i%columnBlock == 0 && i+columnBlock <= end {
			t.merge(c.blocks[i/columnBlock])
			i += columnBlock
			continue
		}
		t.add(c.values[i])
		i++
	}
	return t
}
