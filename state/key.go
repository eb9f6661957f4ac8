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
