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

// stored is a decoded value of appendPiece.
type stored struct {
	pieces  int // of the row; only in piece 0
	due     int64
	content []byte // shares the value's memory
}

func decodePiece(k Key, piece uint32, value []byte) (s stored, err error) {
	if len(value) == 0 {
		return s, fmt.Errorf("row %q part %d: %w: empty value", k.ID, k.Part, ErrDamaged)
	}
	if value[0] != rowFormat {
		return s, formatError(fmt.Sprintf("row %q part %d", k.ID, k.Part), value[0], rowFormat)
	}
	value = value[1:]
	if piece == 0 {
		n, size := binary.Uvarint(value)
		if size <= 0 || n == 0 || n > 1<<20 {
			return s, fmt.Errorf("row %q part %d: %w: number of pieces", k.ID, k.Part, ErrDamaged)
		}
		s.pieces, value = int(n), value[size:]
		if k.Part == 0 {
			if s.due, size = binary.Varint(value); size <= 0 {
				return s, fmt.Errorf("row %q: %w: due", k.ID, ErrDamaged)
			}
			value = value[size:]
		}
	}
	s.content = value
	return s, nil
}

// formatError says that what is in a format that this version cannot read.
func formatError(what string, got, newest byte) error {
	if got > newest {
		return fmt.Errorf("%s: %w (format %d, this version reads up to %d): upgrade", what, ErrNewer, got, newest)
	}
	return fmt.Errorf("%s: %w: unknown format %d", what, ErrDamaged, got)
}
