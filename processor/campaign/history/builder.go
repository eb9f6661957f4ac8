package history

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// want is what build does beside copying events.
type want struct {
	hashes bool // of the ids
	sums   bool // of the numeric properties
	split  bool // into several chunks, each of about fullBytes but the last
}

// built is a finished chunk.
type built struct {
	content  []byte
	n        int
	min, max Position
	names    []nameCount
	hashes   []uint32 // in order, if wanted
	summary  *summary // nil if not wanted
	events   table    // those of the head that it was made of: places and names
}

type nameCount struct {
	name string
	n    int
}

// source is where a builder takes events from, from at on.
type source struct {
	*table
	at      int
	numbers []uint32 // what its words are numbered in the builder; nil: alike
	met     bool     // numbers is settled
}

// build makes chunks of the events of all sources. It is false if a source cannot be read.
func build(sources []source, w want) (chunks []built, ok bool) {
	var b builder
	for {
		var next *source
		for i := range sources {
			s := &sources[i]
			if s.at < s.len() && (next == nil || s.places[s.at].Compare(next.places[next.at]) < 0) {
				next = s
			}
		}
		if next == nil {
			break
		}
		if b.n == 0 {
			b.begin(sources, w)
		}
		if !b.take(next) {
			return nil, false
		}
		if w.split && len(b.bodies) >= fullBytes {
			chunks = append(chunks, b.finish())
		}
	}
	if b.n > 0 {
		chunks = append(chunks, b.finish())
	}
	return chunks, true
}

// buildFew makes a chunk of the events of a table from a place on, as build does; an empty one where they are not so few as a short chunk
// has.
func buildFew(t *table, from int) (few built) {
	n := t.len() - from
	if n > shortEvents || len(t.body) >= fullBytes {
		return few
	}
	var columns [4][shortEvents * binary.MaxVarintLen64]byte
	c := layout{n: n, words: words{text: t.words.text, n: t.words.n}, times: columns[0][:0], seqs: columns[1][:0], names: columns[2][:0], sizes: columns[3][:0]}
	last, size := Position{}, 0
	for i := from; i < t.len(); i++ {
		p := t.places[i]
		if i == from {
			c.times = binary.AppendVarint(c.times, p.Time)
		} else {
			c.times = binary.AppendUvarint(c.times, uint64(p.Time-last.Time))
		}
		c.seqs = binary.AppendVarint(c.seqs, int64(p.Seq-last.Seq))
		c.names = binary.AppendUvarint(c.names, uint64(t.names[i]))
		c.sizes = binary.AppendUvarint(c.sizes, uint64(t.spans[i].size))
		last, size = p, size+int(t.spans[i].size)
		if id := t.id(i); len(id) > 0 {
			few.hashes = append(few.hashes, hash(id))
		}
		few.count(t.words.raw(t.names[i]), 1)
	}
	slices.Sort(few.hashes)
	few.n, few.min, few.max, few.events = n, t.places[from], last, t.between(from, t.len())
	few.content = c.head(size)
	for i := from; i < t.len(); i++ {
		few.content = append(few.content, t.record(i)...)
	}
	return few
}

// builder makes a chunk out of events that are added in order.
type builder struct {
	want
	layout
	min, max Position
	counts   []int    // of the events of each name
	ids      []uint32 // hashes of them
	numbers  map[uint64]*total
}

// begin makes room for what the sources still have.
func (b *builder) begin(sources []source, w want) {
	n, size := 0, 0
	for i := range sources {
		s := &sources[i]
		s.met, s.numbers = false, nil
		n += s.len() - s.at
		size += len(s.body)
	}
	b.want = w
	b.room(n, min(size, fullBytes+fullBytes/8))
}

// room is made for n events whose records take size bytes.
func (b *builder) room(n, size int) {
	columns := make([]byte, 10*n)
	b.times, b.seqs, b.layout.names, b.sizes = columns[:0:4*n], columns[4*n:4*n:6*n], columns[6*n:6*n:8*n], columns[8*n:8*n]
	b.bodies = make([]byte, 0, size)
}

// meet numbers the source's words. Most often both have the same ones.
func (b *builder) meet(s *source) {
	s.met = true
	if b.words.n == 0 {
		b.words = words{text: slices.Clip(s.words.text), n: s.words.n}
	}
	if b.words.same(s.words) {
		return
	}
	s.numbers = make([]uint32, s.words.n)
	alike := true
	for i := range s.numbers {
		s.numbers[i] = b.words.add(s.words.name(uint32(i)))
		alike = alike && s.numbers[i] == uint32(i)
	}
	if alike {
		s.numbers = nil
	}
}

// take adds the source's next event. It is false if that cannot be read.
func (b *builder) take(s *source) bool {
	if !s.met {
		b.meet(s)
	}
	i, at := s.at, len(b.bodies)
	s.at++
	p, name, record := s.places[i], s.names[i], s.record(i)
	if s.numbers == nil {
		b.bodies = append(b.bodies, record...)
	} else {
		name = s.numbers[name]
		var ok bool
		if b.bodies, ok = translate(b.bodies, record, s.numbers); !ok {
			return false
		}
	}
	if b.n == 0 {
		b.min = p
		b.times = binary.AppendVarint(b.times, p.Time)
	} else {
		b.times = binary.AppendUvarint(b.times, uint64(p.Time-b.max.Time))
	}
	b.seqs = binary.AppendVarint(b.seqs, int64(p.Seq-b.max.Seq))
	b.layout.names = binary.AppendUvarint(b.layout.names, uint64(name))
	b.sizes = binary.AppendUvarint(b.sizes, uint64(len(b.bodies)-at))
	b.max = p
	b.n++
	for int(name) >= len(b.counts) {
		b.counts = append(b.counts, 0)
	}
	b.counts[name]++
	return !b.hashes && !b.sums || b.look(name, b.bodies[at:])
}

// look gathers what the chunk's index says of a record. It is false if the record cannot be read.
func (b *builder) look(name uint32, record []byte) bool {
	r := reader{src: record}
	if id := r.text(); b.hashes && len(id) > 0 {
		b.ids = append(b.ids, hash(id))
	}
	if !b.sums {
		return !r.bad
	}
	for range r.count(3) {
		p := r.property()
		f, ok := p.float()
		if !ok || p.word >= b.words.n {
			continue
		}
		key := uint64(name)<<32 | uint64(p.word)
		t := b.numbers[key]
		if t == nil {
			if b.numbers == nil {
				b.numbers = map[uint64]*total{}
			}
			t = &total{}
			b.numbers[key] = t
		}
		t.add(f)
	}
	return !r.bad
}

// finish is the chunk; the builder is empty afterwards.
func (b *builder) finish() built {
	done := built{content: b.content(), n: b.n, min: b.min, max: b.max, hashes: b.ids}
	slices.Sort(done.hashes)
	for i, n := range b.counts {
		if n > 0 {
			done.names = append(done.names, nameCount{b.words.name(uint32(i)), n})
		}
	}
	if b.sums {
		done.summary = &summary{complete: true}
		for key, t := range b.numbers {
			done.summary.pairs = append(done.summary.pairs, pair{b.words.name(uint32(key >> 32)), b.words.name(uint32(key)), *t})
		}
		done.summary.trim()
	}
	*b = builder{}
	return done
}

// concatenate makes one chunk of several that follow one another and number their names alike, without decoding them.
// It is false if they do not, or if the result would be full.
func (t *tail) concatenate(refs []*ref, sums bool) (done built, ok bool) {
	b := builder{want: want{sums: sums}}
	layouts := make([]layout, len(refs))
	n, size := 0, 0
	for i, r := range refs {
		if r.others > 0 || i > 0 && refs[i-1].max.Compare(r.min) >= 0 {
			return built{}, false
		}
		if layouts[i], ok = t.layout(r); !ok {
			return built{}, false
		}
		if c := &layouts[i]; len(c.words.text) > len(b.words.text) || i == 0 {
			b.words = words{text: c.words.text, n: c.words.n}
		}
		n += r.n
		size += len(layouts[i].bodies)
	}
	for i := range layouts {
		if !bytes.HasPrefix(b.words.text, layouts[i].words.text) || size >= fullBytes {
			return built{}, false
		}
	}
	b.room(n, size)
	for i, r := range refs {
		if !b.attach(&layouts[i], r) {
			t.fail(errCorrupt)
			return built{}, false
		}
	}
	done = b.finish()
	for _, r := range refs {
		for _, c := range r.names {
			done.count(t.names.name(c.word), c.n)
		}
	}
	return done, true
}

// count adds to how many events have a name.
func (b *built) count(name string, n int) {
	for i := range b.names {
		if b.names[i].name == name {
			b.names[i].n += n
			return
		}
	}
	b.names = append(b.names, nameCount{name, n})
}

// attach adds all events of a chunk behind the last one. It is false if they cannot be read.
func (b *builder) attach(c *layout, r *ref) bool {
	times, seqs := reader{src: c.times}, reader{src: c.seqs}
	if first := (Position{times.varint(), uint64(seqs.varint())}); first != r.min || times.bad || seqs.bad {
		return false
	}
	if b.n == 0 {
		b.min = r.min
		b.times = binary.AppendVarint(b.times, r.min.Time)
	} else {
		b.times = binary.AppendUvarint(b.times, uint64(r.min.Time-b.max.Time))
	}
	b.seqs = binary.AppendVarint(b.seqs, int64(r.min.Seq-b.max.Seq))
	b.times, b.seqs = append(b.times, times.rest()...), append(b.seqs, seqs.rest()...)
	b.layout.names, b.sizes = append(b.layout.names, c.names...), append(b.sizes, c.sizes...)
	b.bodies = append(b.bodies, c.bodies...)
	b.n += r.n
	b.max = r.max
	if !b.sums {
		return true
	}
	names, sizes, bodies := reader{src: c.names}, reader{src: c.sizes}, reader{src: c.bodies}
	for range c.n {
		if !b.look(names.number(), bodies.bytes(int(sizes.number()))) {
			return false
		}
	}
	return names.done() && sizes.done() && bodies.done()
}
