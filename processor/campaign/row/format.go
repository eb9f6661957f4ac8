package row

import (
	"encoding/binary"

	"github.com/tripline/tripline/processor/campaign/history"
)

// Version is the format of a user's head row. The one before is read as Upgraded makes it.
//
// A head is the version, the number of the set, the profile, the log's head, the moment up to which the user has been decided (as the
// difference to the log's largest time), what it has of lists that are mostly empty, these lists, and where the user stands in campaigns:
// whose name and trigger these are, and what it has of further lists. A campaign's name is the lower half of its hash, all of it where two
// in the set have the same; a trigger is always the lower half. Moments are differences to the user's.
const Version = 6

// What a head has.
const (
	HasUnseen = 1 << iota
	HasEver
	HasZones
	HasSent
	Wide // names of campaigns are whole hashes
)

// What a standing has.
const (
	HasOpen = 1 << iota
	HasNewest
	HasFloors
	HasMarks
	HasCount
	HasLeft
	HasHeld
	HasGoals
	HasJudged
)

// What a timer is, and has.
const (
	TimerNext = 1 << iota
	TimerPassed
	TimerEvent
	TimerAt
	TimerLate // due at another time than its moment
	TimerYear
	TimerKey
)

// Form is what moments and names are written by, and read.
type Form struct {
	Now  int64 // the user's moment
	Wide bool
}

// AppendMoment writes what Moment reads.
func (f Form) AppendMoment(dst []byte, ms int64) []byte { return binary.AppendVarint(dst, f.Now-ms) }

// AppendPlace writes what Place reads.
func (f Form) AppendPlace(dst []byte, p history.Position) []byte {
	return binary.AppendUvarint(f.AppendMoment(dst, p.Time), p.Seq)
}

// AppendName writes what Name reads.
func (f Form) AppendName(dst []byte, hash uint64) []byte {
	if f.Wide {
		return binary.BigEndian.AppendUint64(dst, hash)
	}
	return binary.BigEndian.AppendUint32(dst, uint32(hash))
}

// Moment reads a moment, ms.
func (r *Reader) Moment() int64 { return r.Now - r.Signed() }

// Place reads a place in a log's order.
func (r *Reader) Place() history.Position {
	return history.Position{Time: r.Moment(), Seq: r.Unsigned()}
}

// Name reads the hash of a campaign's name, or its lower half.
func (r *Reader) Name() uint64 {
	if r.Wide {
		return r.Fixed()
	}
	return uint64(r.Half())
}

// Half reads a number of four bytes, big-endian.
func (r *Reader) Half() uint32 {
	if len(r.Rest) < 4 {
		r.Fail()
		return 0
	}
	v := binary.BigEndian.Uint32(r.Rest)
	r.Rest = r.Rest[4:]
	return v
}

// Flag is a flag if there is something.
func Flag[T byte | uint64](flag T, there bool) T {
	if there {
		return flag
	}
	return 0
}

// AppendCount begins a list, unless it is empty: then nothing of it is written, and a flag says so.
func AppendCount(dst []byte, n int) []byte {
	if n == 0 {
		return dst
	}
	return binary.AppendUvarint(dst, uint64(n))
}

// Some is how many entries a list has that is there; 0 of any other.
func (r *Reader) Some(there bool) int {
	if !there {
		return 0
	}
	return r.Count()
}
