package state

import (
	"encoding/binary"
	"fmt"
)

const (
	// rowFormat is the format of row values that this version writes. A reader
	// keeps the format before it.
	rowFormat = 1
	// pieceSize is the most content that one changelog record holds, in bytes.
	// With its key a record stays below 900 KiB.
	pieceSize = 512 << 10
	// maxPieces bounds what a row can be: 4 GiB.
	maxPieces = 1 << 13
)

// Row is one keyed value of a partition.
type Row struct {
	Key
	// Due is when the row's timer is due (ms since the epoch), 0: it has none.
	// Only on part 0.
	Due int64
	// OldDue is the Due of the row as last applied, 0 where it had none or that
	// is not known. It spares Apply a read: a timer that moves later leaves its
	// place in the index as it is. 0 is always right and costs one index entry;
	// any other value that is not the applied one loses the timer.
	OldDue int64
	// Content is the row's value; nil: the row is deleted. Empty is a value.
	Content []byte
}

// pieces is how many changelog records a content of n bytes takes.
func pieces(n int) int {
	return max(1, (n+pieceSize-1)/pieceSize)
}

// appendPiece appends the stored value of one piece of a row. Piece 0 says how
// many there are and, in a head, when the row is due.
//
//	piece 0:   format, number of pieces (uvarint), due (varint, part 0 only), content
//	piece 1…:  format, content
func appendPiece(dst []byte, r *Row, piece int) []byte {
	dst = append(dst, rowFormat)
	if piece == 0 {
		dst = binary.AppendUvarint(dst, uint64(pieces(len(r.Content))))
		if r.Part == 0 {
			dst = binary.AppendVarint(dst, r.Due)
		}
	}
	from := piece * pieceSize
	return append(dst, r.Content[from:min(from+pieceSize, len(r.Content))]...)
}

// pieceLen is how many bytes appendPiece appends.
func pieceLen(r *Row, piece int) int {
	n := 1 + min(pieceSize, len(r.Content)-piece*pieceSize)
	if piece > 0 {
		return n
	}
	var scratch [binary.MaxVarintLen64]byte
	n += binary.PutUvarint(scratch[:], uint64(pieces(len(r.Content))))
	if r.Part == 0 {
		n += binary.PutVarint(scratch[:], r.Due)
	}
	return n
}

// stored is a decoded value of appendPiece.
type stored struct {
	pieces  int // of the row; only in piece 0
	due     int64
	content []byte // shares the value's memory
}

func decodePiece(part, piece uint32, value []byte) (s stored, err error) {
	if len(value) == 0 {
		return s, fmt.Errorf("%w: a row without a value", ErrDamaged)
	}
	if value[0] != rowFormat {
		return s, formatError("row", value[0], rowFormat)
	}
	r := reader{rest: value[1:]}
	if piece == 0 {
		n := r.uvarint()
		if n == 0 || n > maxPieces {
			return s, fmt.Errorf("%w: a row in %d pieces", ErrDamaged, n)
		}
		s.pieces = int(n)
		if part == 0 {
			s.due = r.varint()
		}
	}
	if r.bad {
		return s, fmt.Errorf("%w: a row of %d bytes", ErrDamaged, len(value))
	}
	s.content = r.rest
	return s, nil
}

// formatError says that what is in a format that this version cannot read.
func formatError(what string, got, newest byte) error {
	if got > newest {
		return fmt.Errorf("%s: %w (format %d, this version reads up to %d): upgrade", what, ErrNewer, got, newest)
	}
	return fmt.Errorf("%s: %w: unknown format %d", what, ErrDamaged, got)
}

// Changelog calls emit for each record that a row is in the changelog: one, or
// several where Content is over 512 KiB, and tombstones (value nil) for a row
// that is deleted and for pieces that it had beyond those it has now. It must be
// called before the row is applied, with nothing else of the partition between
// the two. emit keeps key and value, which nobody changes.
func (p *Partition) Changelog(r Row, emit func(key, value []byte)) {
	p.mu.Lock()
	before := p.split[r.Key]
	p.mu.Unlock()
	n := 0
	if r.Content != nil {
		n = pieces(len(r.Content))
	}
	for piece := range n {
		size := 32 + len(r.ID) + min(pieceSize, len(r.Content))
		record := appendRowKey(append(make([]byte, 0, size), kindRow), r.Key, uint32(piece))
		key := len(record)
		record = appendPiece(record, &r, piece)
		emit(record[:key:key], record[key:])
	}
	for piece := n; piece < max(1, before); piece++ {
		emit(appendRowKey([]byte{kindRow}, r.Key, uint32(piece)), nil)
	}
}
