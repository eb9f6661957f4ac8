package history

import (
	"encoding/binary"
	"slices"
)

// The events in the head become a chunk once there are inlineEvents, or more than shortEvents of inlineBytes, or so few as a short
// chunk has of shortBytes, or a single one of half of that, or inlineMost bytes: what is in the head is written again with each event.
const (
	inlineEvents = 32
	inlineBytes  = 1 << 10
	shortEvents  = 8
	shortBytes   = 1 << 9
	inlineMost   = 2 << 10
	// recordGrowth is what an event mostly takes of it.
	recordGrowth = 64
)

// inline is the part of a log that stands in its head: the events that arrived last, as they arrived. Each is the
// difference of its Seq and Time to the event before, the number of its name, and its record behind its length.
type inline struct {
	words    words
	records  []byte
	owned    bool   // records are not a head's that was read
	own      []byte // else: memory for them
	idle     []byte // what events were in that have left the head: memory for another log, as who was given one may look into it until then
	spare    *table // nil, or memory for a table
	n        int
	dead     int      // of them, how many the floor had passed when it was last counted
	last     Position // Seq and Time that the next differences start from
	min, max Position // if n > 0
	table    *table   // nil until needed
	ids      []uint32 // hashes of the ids in order of arrival; nil until needed
	sums     []*sum   // those asked for
	broken   bool     // a record could not be decoded
	alone    Position // of an event before which, by arrival, there is none of its time; zero: not known of any
}

// append encodes an event behind the others.
func (in *inline) append(e *Event) {
	if !in.owned {
		in.records = append(slices.Grow(in.own[:0], len(in.records)+recordGrowth), in.records...)
		in.owned, in.own = true, nil
	}
	at := len(in.records)
	in.records = binary.AppendVarint(in.records, int64(e.Seq-in.last.Seq))
	in.records = binary.AppendVarint(in.records, e.Time-in.last.Time)
	name := in.words.add(e.Name)
	in.records = append(binary.AppendUvarint(in.records, uint64(name)), 0)
	length := len(in.records) - 1
	in.records = enlarge(appendRecord(in.records, e, &in.words), length, 0)
	p := e.Position()
	in.admit(p)
	in.alone = Position{}
	if in.ids != nil {
		in.ids = append(in.ids, hash(e.ID))
	}
	if in.table != nil {
		_, _, s := in.read(at)
		in.table.body, in.table.words = in.records, &in.words
		in.table.insert(p, name, s)
	}
	in.last = p
}

// admit counts an event.
func (in *inline) admit(p Position) {
	if in.n == 0 || p.Compare(in.min) < 0 {
		in.min = p
	}
	if in.n == 0 || p.Compare(in.max) > 0 {
		in.max = p
	}
	in.n++
}

// read takes apart the event at an offset of records, as far as its record.
func (in *inline) read(at int) (difference Position, name uint32, s span) {
	src := in.records // all of it was checked, or is what append wrote
	seq, at := uvarintAt(src, at)
	time, at := uvarintAt(src, at)
	number, at := uvarintAt(src, at)
	size, at := uvarintAt(src, at)
	return Position{Time: int64(time>>1) ^ -int64(time&1), Seq: seq>>1 ^ -(seq & 1)}, uint32(number), span{uint32(at), uint32(size >> 1)}
}

// each visits the events in order of arrival until visit returns false.
func (in *inline) each(visit func(p Position, name uint32, s span) bool) {
	var p Position
	for at := 0; at < len(in.records); {
		difference, name, s := in.read(at)
		p = Position{p.Time + difference.Time, p.Seq + difference.Seq}
		if !visit(p, name, s) {
			return
		}
		at = int(s.at + s.size)
	}
}

// count is how many events of a name there are with from < position <= to.
func (in *inline) count(from, to Position, name string) (n int) {
	if in.n == 0 || in.max.Compare(from) <= 0 || in.min.Compare(to) > 0 {
		return 0
	}
	wanted, ok := in.words.find(name)
	if !ok {
		return 0
	}
	var p Position
	for at := 0; at < len(in.records); { // no each: a call for every event would be most of it
		difference, name, s := in.read(at)
		p.Time, p.Seq, at = p.Time+difference.Time, p.Seq+difference.Seq, int(s.at+s.size)
		if name == wanted && p.Compare(from) > 0 && p.Compare(to) <= 0 {
			n++
		}
	}
	return n
}

// index is the events in order.
func (in *inline) index() *table {
	if in.table == nil {
		t := in.spare
		if t == nil {
			t = &table{places: make([]Position, 0, in.n), names: make([]uint32, 0, in.n), spans: make([]span, 0, in.n)}
		}
		clear(t.events)
		*t = table{body: in.records, words: &in.words, places: t.places[:0], names: t.names[:0], spans: t.spans[:0], events: t.events[:0]}
		in.each(func(p Position, name uint32, s span) bool {
			t.places, t.names, t.spans = append(t.places, p), append(t.names, name), append(t.spans, s)
			return true
		})
		t.sort()
		in.table = t
	}
	return in.table
}

// at is the event of a position; nil: there is none.
func (in *inline) at(p Position) *Event {
	if in.n == 0 || p.Compare(in.min) < 0 || p.Compare(in.max) > 0 {
		return nil
	}
	if in.table != nil {
		return in.table.at(p)
	}
	var q Position
	alone := true
	for at := 0; at < len(in.records); {
		difference, name, s := in.read(at)
		q.Time, q.Seq, at = q.Time+difference.Time, q.Seq+difference.Seq, int(s.at+s.size)
		if q == p {
			if alone {
				in.alone = p
			}
			e, ok := decode(p, name, in.records[s.at:at], &in.words)
			in.broken = in.broken || !ok
			return e
		}
		alone = alone && q.Time != p.Time
	}
	return nil
}

// hasID tells whether an event behind the floor has this id, whose hash is h.
func (in *inline) hasID(id string, h uint32, floor Position) (found bool) {
	if in.ids == nil && in.n > 0 {
		in.ids = make([]uint32, 0, in.n)
		in.each(func(_ Position, _ uint32, s span) bool {
			r := reader{src: in.records, at: int(s.at)}
			in.ids = append(in.ids, hash(r.text()))
			return true
		})
	}
	if !slices.Contains(in.ids, h) {
		return false
	}
	in.each(func(p Position, _ uint32, s span) bool {
		r := reader{src: in.records, at: int(s.at)}
		found = string(r.text()) == id && p.Compare(floor) > 0
		return !found
	})
	return found
}

// full tells whether the events should become a chunk.
func (in *inline) full() bool {
	switch size := len(in.records); {
	case size >= inlineMost || in.n >= inlineEvents:
		return true
	case in.n > shortEvents:
		return size >= inlineBytes
	default:
		return size >= shortBytes || in.n == 1 && size >= shortBytes/2
	}
}

// clear forgets the events. names says that names stay while they are few: later chunks then number them alike, and merge faster. Where
// each event leaves the head as it comes, names would be most of it.
func (in *inline) clear(names bool) {
	keep := in.words
	if !names || len(keep.text) > inlineBytes/2 {
		keep = words{text: keep.text[len(keep.text):], names: keep.names[:0]} // who was given an event may look at its names
	}
	idle := in.idle
	if in.owned && cap(in.records) > cap(idle) {
		idle = in.records
	}
	*in = inline{words: keep, spare: in.spare, idle: idle}
}

// only is a chunk of the one event that there is, in the memory of the last one.
func (in *inline) only(few *built) {
	p, name, s := in.read(0)
	record := in.records[s.at : s.at+s.size]
	var columns [4][binary.MaxVarintLen64]byte
	c := layout{n: 1, words: words{text: in.words.text, n: in.words.n}, times: binary.AppendVarint(columns[0][:0], p.Time),
		seqs: binary.AppendVarint(columns[1][:0], int64(p.Seq)), names: binary.AppendUvarint(columns[2][:0], uint64(name)),
		sizes: binary.AppendUvarint(columns[3][:0], uint64(s.size))}
	*few = built{content: append(c.head(len(record)), record...), n: 1, min: p, max: p, names: append(few.names[:0], nameCount{in.words.raw(name), 1}),
		events: table{places: append(few.events.places[:0], p), names: append(few.events.names[:0], name), words: &in.words}}
	r := reader{src: record}
	if id := r.text(); len(id) > 0 {
		few.hashes = []uint32{hash(id)}
	}
}

// compact forgets the events that the floor has passed.
func (in *inline) compact(floor Position) {
	t := in.index()
	kept := inline{words: in.words, spare: in.spare}
	for i := t.behind(floor); i < t.len(); i++ {
		p := t.places[i]
		kept.records = binary.AppendVarint(kept.records, int64(p.Seq-kept.last.Seq))
		kept.records = binary.AppendVarint(kept.records, p.Time-kept.last.Time)
		kept.records = binary.AppendUvarint(kept.records, uint64(t.names[i]))
		kept.records = binary.AppendUvarint(kept.records, uint64(t.spans[i].size)<<1)
		kept.records = append(kept.records, t.record(i)...)
		kept.admit(p)
		kept.last = p
	}
	*in = kept
}

func (in *inline) appendTo(dst []byte) []byte {
	dst = in.words.append(dst)
	dst = binary.AppendUvarint(dst, uint64(in.n))
	if in.n == 0 {
		return dst
	}
	return appendText(binary.AppendUvarint(dst, uint64(in.dead)), in.records)
}

// inline reads what appendTo wrote, and checks all but the properties.
func (r *reader) inline() (in inline) {
	in.words = r.words()
	n := r.count(5)
	if n == 0 {
		return in
	}
	in.dead = int(r.number())
	in.records = r.text()
	check := reader{src: in.records}
	for range n {
		in.last.Seq += uint64(check.varint())
		in.last.Time += check.varint()
		name, size := check.number(), check.uvarint()
		if size&1 != 0 || size>>1 > uint64(len(in.records)-check.at) {
			check.fail()
			break
		}
		record := reader{src: check.bytes(int(size >> 1))}
		if record.text(); record.bad || name >= in.words.n {
			check.fail()
			break
		}
		in.admit(in.last)
	}
	if !check.done() || in.dead > in.n {
		r.fail()
		return inline{}
	}
	return in
}
