package state

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// positionFormat 2 has the input topics' ids, which 1 had not.
const positionFormat = 2

// ID tells a topic from another that has, or had, the same name (KIP-516).
type ID = [16]byte

// Position says how far a partition's rows are. It changes with the rows, in
// one batch, and is a record of the changelog in every cycle.
type Position struct {
	Inputs     map[string]int64 // by topic: offset of the next record to read
	InputIDs   map[string]ID    // of the topics in Inputs, as far as they are known
	Arrival    int64            // running arrival, ms since the epoch
	Stream     int64            // stream time W, ms since the epoch
	Changelog  int64            // offset of the next changelog record to read
	TopicID    ID               // of the changelog topic
	Partitions int32            // of the input topics
	Lanes      int32
	WrittenAt  int64 // ms since the epoch: when the cycle was committed; 0: there is no position
}

// IsZero says that a partition has no position: nothing was ever applied, or it
// was wiped.
func (pos Position) IsZero() bool { return pos.WrittenAt == 0 }

// Record returns the position's changelog record. The field Changelog cannot be
// known when the record is written: a reader sets it (Restorer.Position).
func (pos Position) Record() (key, value []byte) {
	return []byte{kindMeta}, pos.append(nil)
}

func (pos Position) append(dst []byte) []byte {
	dst = append(dst, positionFormat)
	for _, n := range []int64{pos.Arrival, pos.Stream, pos.Changelog, int64(pos.Partitions), int64(pos.Lanes), pos.WrittenAt} {
		dst = binary.AppendVarint(dst, n)
	}
	dst = append(dst, pos.TopicID[:]...)
	topics := make([]string, 0, len(pos.Inputs))
	for topic := range pos.Inputs {
		topics = append(topics, topic)
	}
	slices.Sort(topics)
	dst = binary.AppendUvarint(dst, uint64(len(topics)))
	for _, topic := range topics {
		dst = binary.AppendUvarint(dst, uint64(len(topic)))
		dst = append(dst, topic...)
		dst = binary.AppendVarint(dst, pos.Inputs[topic])
		id := pos.InputIDs[topic]
		dst = append(dst, id[:]...)
	}
	return dst
}

// DecodePosition decodes the value of a position record.
func DecodePosition(value []byte) (pos Position, err error) {
	if len(value) == 0 {
		return pos, fmt.Errorf("position: %w: empty", ErrDamaged)
	}
	if value[0] != positionFormat && value[0] != positionFormat-1 {
		return pos, formatError("position", value[0], positionFormat)
	}
	r := reader{rest: value[1:]}
	pos.Arrival, pos.Stream, pos.Changelog = r.varint(), r.varint(), r.varint()
	pos.Partitions, pos.Lanes, pos.WrittenAt = int32(r.varint()), int32(r.varint()), r.varint()
	copy(pos.TopicID[:], r.take(16))
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.bad = true
	}
	for i := uint64(0); i < n && !r.bad; i++ {
		topic := string(r.take(r.uvarint()))
		if pos.Inputs == nil {
			pos.Inputs = make(map[string]int64, n)
		}
		pos.Inputs[topic] = r.varint()
		if value[0] < 2 {
			continue
		}
		if id := r.take(16); !r.bad && ID(id) != (ID{}) {
			if pos.InputIDs == nil {
				pos.InputIDs = make(map[string]ID, n)
			}
			pos.InputIDs[topic] = ID(id)
		}
	}
	if r.bad || len(r.rest) > 0 {
		return Position{}, fmt.Errorf("position: %w: %x", ErrDamaged, value)
	}
	return pos, nil
}

const boundFormat = 1

// appendBound encodes the bound below which timers have fired.
func (x *timerIndex) appendBound(dst []byte) []byte {
	dst = binary.AppendVarint(append(dst, boundFormat), x.bound.Due)
	dst = binary.AppendVarint(dst, x.early)
	return append(dst, x.bound.ID...)
}

// decodeBound sets the index to what is on disk from the bound on.
func (x *timerIndex) decodeBound(value []byte) error {
	if len(value) == 0 || value[0] != boundFormat {
		return formatError("timer bound", append(value, 0)[0], boundFormat)
	}
	r := reader{rest: value[1:]}
	x.bound.Due, x.early = r.varint(), r.varint()
	if r.bad {
		return fmt.Errorf("timer bound: %w: %x", ErrDamaged, value)
	}
	x.bound.ID = string(r.rest)
	x.horizon = x.bound
	return nil
}

// reader takes values off the front of rest; once bad, all are zero.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) varint() int64 {
	n, size := binary.Varint(r.rest)
	r.skip(size)
	return n
}

func (r *reader) uvarint() uint64 {
	n, size := binary.Uvarint(r.rest)
	r.skip(size)
	return n
}

func (r *reader) skip(size int) {
	if size <= 0 {
		r.bad, r.rest = true, nil
		return
	}
	r.rest = r.rest[size:]
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}
