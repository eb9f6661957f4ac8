package state

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Keys order by partition, kind and then:
//
//	kindMeta   nothing: the position; 'b': the timer bound
//	kindRow    ID, part, piece: the rows, as they stand in the changelog
//	kindTimer  due, ID: the timer index, which the rows can rebuild
//	kindSplit  ID, part: rows in more than one piece, and how many
//
// The partition is 4 bytes and the kind 1. A changelog key is a key without the
// partition. Numbers are big-endian. An ID is escaped (0x00 as 0x00 0xFF) and
// ends with 0x00 0x01, so that order by key is order by ID whatever its bytes,
// and a row's pieces and a user's parts stand together. Part 0 and piece 0 take
// no bytes.
const (
	kindMeta  = 0
	kindRow   = 1
	kindTimer = 2
	kindSplit = 3
	kindEnd   = 4

	prefixSize = 5
)

// Key names a row. ID is a user (processor) or a trigger (sink), 1 to 64 KiB of
// any bytes. Part 0 is its head, other parts hold what the head refers to.
type Key struct {
	ID   string
	Part uint32
}

func appendPrefix(dst []byte, partition int32, kind byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(partition)), kind)
}

// appendRowKey appends what follows the kind in the key of a row's piece.
func appendRowKey(dst []byte, k Key, piece uint32) []byte {
	for i := 0; i < len(k.ID); i++ {
		dst = append(dst, k.ID[i])
		if k.ID[i] == 0 {
			dst = append(dst, 0xFF)
		}
	}
	dst = append(dst, 0, 1)
	if k.Part == 0 && piece == 0 {
		return dst
	}
	dst = binary.BigEndian.AppendUint32(dst, k.Part)
	if piece == 0 {
		return dst
	}
	return binary.BigEndian.AppendUint32(dst, piece)
}

// decodeRowKey is the inverse of appendRowKey. It accepts only what that writes.
func decodeRowKey(src []byte) (k Key, piece uint32, err error) {
	id, part, piece, err := splitRowKey(src)
	return Key{ID: string(id), Part: part}, piece, err
}

// ParseRecordKey says which piece of which row a changelog record is; ok is false for a record of another kind.
func ParseRecordKey(key []byte) (k Key, piece uint32, ok bool) {
	if len(key) == 0 || key[0] != kindRow {
		return Key{}, 0, false
	}
	k, piece, err := decodeRowKey(key[1:])
	return k, piece, err == nil
}

// splitRowKey is decodeRowKey without a copy of the ID.
func splitRowKey(src []byte) (id []byte, part, piece uint32, err error) {
	id, rest, ok := cutID(src)
	switch {
	case !ok || len(id) == 0:
		return nil, 0, 0, fmt.Errorf("row key %x: no ID", src)
	case len(rest) == 0:
		return id, 0, 0, nil
	case len(rest) == 4:
		if part = binary.BigEndian.Uint32(rest); part != 0 {
			return id, part, 0, nil
		}
	case len(rest) == 8:
		part, piece = binary.BigEndian.Uint32(rest), binary.BigEndian.Uint32(rest[4:])
		if piece != 0 {
			return id, part, piece, nil
		}
	}
	return nil, 0, 0, fmt.Errorf("row key %x: part and piece", src)
}

// cutID splits src into the ID at its start, without escapes, and what follows.
// The ID shares src's memory unless it has escapes.
func cutID(src []byte) (id, rest []byte, ok bool) {
	end := bytes.IndexByte(src, 0)
	if end < 0 || end+1 >= len(src) {
		return nil, nil, false
	}
	if src[end+1] == 1 {
		return src[:end], src[end+2:], true
	}
	for i := 0; i+1 < len(src); i++ {
		if src[i] != 0 {
			id = append(id, src[i])
			continue
		}
		i++
		switch src[i] {
		case 0xFF:
			id = append(id, 0)
		case 1:
			return id, src[i+1:], true
		default:
			return nil, nil, false
		}
	}
	return nil, nil, false
}

// appendTimerKey appends what follows the kind in the key of a timer.
func appendTimerKey(dst []byte, t Timer) []byte {
	return append(appendDue(dst, t.Due), t.ID...)
}

// appendDue appends a moment such that bytes are in the order of moments.
func appendDue(dst []byte, ms int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(ms)^1<<63)
}

// decodeTimerKey is the inverse of appendTimerKey.
func decodeTimerKey(src []byte) (Timer, error) {
	if len(src) < 8 {
		return Timer{}, fmt.Errorf("timer key %x: %w: too short", src, ErrDamaged)
	}
	return Timer{Due: int64(binary.BigEndian.Uint64(src) ^ 1<<63), ID: string(src[8:])}, nil
}

// partitionOf returns the partition that a full key belongs to.
func partitionOf(key []byte) (n int32, ok bool) {
	if len(key) < 4 {
		return 0, false
	}
	return int32(binary.BigEndian.Uint32(key)), true
}

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
	p.AppendChangelog(nil, r, emit)
}

// AppendChangelog is Changelog with keys and values in dst, as long as there is
// room in it, and returns dst with them.
func (p *Partition) AppendChangelog(dst []byte, r Row, emit func(key, value []byte)) []byte {
	p.mu.Lock()
	before := p.split[r.Key]
	p.mu.Unlock()
	n := 0
	if r.Content != nil {
		n = pieces(len(r.Content))
	}
	for piece := range n {
		if size := recordOverhead + len(r.ID) + min(pieceSize, len(r.Content)); cap(dst)-len(dst) < size {
			dst = make([]byte, 0, size)
		}
		start := len(dst)
		dst = appendRowKey(append(dst, kindRow), r.Key, uint32(piece))
		key := len(dst)
		dst = appendPiece(dst, &r, piece)
		emit(dst[start:key:key], dst[key:len(dst):len(dst)])
	}
	for piece := n; piece < max(1, before); piece++ {
		emit(appendRowKey([]byte{kindRow}, r.Key, uint32(piece)), nil)
	}
	return dst
}

// recordOverhead is about what a changelog record takes beside ID and content.
const recordOverhead = 32

// ChangelogSize is about how many bytes a row's changelog records take.
func (r *Row) ChangelogSize() int {
	return len(r.Content) + pieces(len(r.Content))*(recordOverhead+len(r.ID))
}

// ChangelogKey reads the key of a changelog record: the row that the record is
// a piece of. Of a position, which is no row, Key.ID is "".
func ChangelogKey(key []byte) (Key, error) {
	if len(key) > 0 && key[0] == kindMeta {
		return Key{}, nil
	}
	if err := checkRecord(key, nil); err != nil {
		return Key{}, err
	}
	k, _, err := decodeRowKey(key[1:])
	return k, err
}
