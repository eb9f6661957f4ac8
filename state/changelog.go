package state

// Changelog calls emit for each record that a row is in the changelog: one, or
// several where Content is over 512 KiB, and tombstones (value nil) for a row
// that is deleted and for pieces that it had beyond those it has now. It must be
// called before the row is applied, with nothing else of the partition between
// the two. emit keeps key and value, which nobody changes.
func (p *Partition) Changelog(r Row, emit func(key, value []byte)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.eachRecord(&r, emit)
}

func (p *Partition) eachRecord(r *Row, emit func(key, value []byte)) {
	n := 0
	if r.Content != nil {
		n = pieces(len(r.Content))
	}
	for piece := range n {
		size := 24 + 2*len(r.ID) + min(pieceSize, len(r.Content))
		record := appendRowKey(append(make([]byte, 0, size), kindRow), r.Key, uint32(piece))
		key := len(record)
		record = appendPiece(record, r, piece)
		emit(record[:key:key], record[key:])
	}
	for piece := n; piece < max(1, p.split[r.Key]); piece++ {
		emit(appendRowKey([]byte{kindRow}, r.Key, uint32(piece)), nil)
	}
}
