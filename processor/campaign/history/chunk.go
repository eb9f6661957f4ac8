package history

// chunk is an immutable part of a log: events in order, which arrived before those of the head.
//
// Its content is the version, the number of events, the words, and then of all events, one column after the other: the
// times (the first one, then differences), the differences of Seq, the numbers of the names, the lengths of the
// records, the records.
type chunk struct {
	table
	text    words
	columns []*column
}

// parseChunk reads what builder.content wrote; records are checked when an event is asked for.
func parseChunk(content []byte) (*chunk, error) {
	r, err := open(content)
	if err != nil {
		return nil, err
	}
	n := r.count(4)
	c := &chunk{text: r.words()}
	if n == 0 || r.bad {
		return nil, errCorrupt
	}
	c.table = table{words: &c.text, places: make([]Position, n), names: make([]uint32, n), spans: make([]span, n)}
	var last Position
	for i := range c.places {
		if i == 0 {
			last.Time = r.varint()
		} else {
			last.Time += int64(r.uvarint())
		}
		c.places[i].Time = last.Time
	}
	ordered := true
	for i := range c.places {
		last.Seq += uint64(r.varint())
		c.places[i].Seq = last.Seq
		ordered = ordered && (i == 0 || c.places[i-1].Compare(c.places[i]) < 0)
	}
	for i := range c.names {
		c.names[i] = r.number()
		ordered = ordered && c.names[i] < c.text.n
	}
	total := uint64(0)
	for i := range c.spans {
		size := r.number()
		c.spans[i] = span{uint32(total), size}
		total += uint64(size)
	}
	if r.bad || !ordered || total != uint64(len(r.src)) {
		return nil, errCorrupt
	}
	c.body = r.src
	return c, nil
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
