package state

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
)

// shelf keeps rows in memory: those that are applied and not yet in Pebble, and,
// in the room that these leave, those that were used last. It keeps them as
// bytes in a few large chunks, so that the garbage collector has nothing to look
// through however many there are.
//
// A row that fits is overwritten where it is. One that grows moves to a place that
// another has left, or to the newest chunk. Above the limit the oldest chunk goes:
// what of it is dirty, or was used since it came there, moves on.
type shelf struct {
	limit  int64                // bytes of chunks, but for rows that are dirty
	bytes  int64                // of chunks
	chunks [][]byte             // oldest first
	first  uint32               // number of chunks[0]
	spare  []byte               // a chunk that has gone
	free   [freeClasses][]place // by size: places that rows have left, and some that have gone

	index map[uint64]place // by hash of the key
	odd   map[Key]place    // rows whose hash is another one's

	dirty []recordRef // rows not yet in Pebble, and places of such that have left them
	dirt  int64       // bytes of them
}

// place is a chunk's number and where in it, 32 bits each.
type place uint64

// shelved is a row on the shelf. Its bytes are the shelf's.
type shelved struct {
	due     int64
	content []byte // nil: deleted
	pieces  int    // that the row may have in Pebble, where more than one
}

// An entry is a header and then ID, content and a little room to grow:
//
//	 0  flags
//	 4  size of the entry
//	 8  due
//	16  part
//	20  length of the ID
//	24  length of the content
//	28  pieces
const (
	entryHeader = 32
	// entryOverhead is about what an entry takes beside its bytes.
	entryOverhead = 32 // in the index
	// chunkMost is the size of a chunk, unless a row is larger or the limit small.
	chunkMost  = 256 << 10
	chunkLeast = 4 << 10
	// An entry's size is a multiple of sizeStep. Places of less than freeClasses
	// times that are used again.
	sizeStep    = 32
	freeClasses = 64
)

// Flags of an entry.
const (
	entryDirty   = 1 << iota // not yet in Pebble
	entryUsed                // since it came to its chunk
	entryGone                // moved or dropped
	entryDeleted             // the row is known to be none
	entryListed              // its place is in dirty, whosever it is
)

var (
	hashSeed = maphash.MakeSeed()
	// hashMask is for tests: without bits all keys have the same hash.
	hashMask = ^uint64(0)
)

func hashKey(k Key) uint64 {
	return (maphash.String(hashSeed, k.ID) ^ uint64(k.Part)*0x9E3779B97F4A7C15) & hashMask
}

// room is about how many rows may be put at once.
func (s *shelf) room() int {
	size := int64(1 << 10)
	if rows := int64(len(s.index)); rows > 0 {
		size = s.bytes/rows + entryOverhead
	}
	return int(s.limit / 4 / size)
}

// clear forgets everything, dirty or not.
func (s *shelf) clear() {
	*s = shelf{limit: s.limit, first: s.first + uint32(len(s.chunks)), index: make(map[uint64]place), odd: make(map[Key]place)}
}

func (s *shelf) entry(p place) []byte {
	e := s.chunks[uint32(p>>32)-s.first][uint32(p):]
	return e[:binary.LittleEndian.Uint32(e[4:])]
}

func entryID(e []byte) []byte {
	return e[entryHeader : entryHeader+binary.LittleEndian.Uint32(e[20:])]
}

func entryKey(e []byte) Key {
	return Key{ID: string(entryID(e)), Part: binary.LittleEndian.Uint32(e[16:])}
}

func entryIs(e []byte, k Key) bool {
	return binary.LittleEndian.Uint32(e[16:]) == k.Part && string(entryID(e)) == k.ID
}

func entryRow(e []byte) shelved {
	row := shelved{due: int64(binary.LittleEndian.Uint64(e[8:])), pieces: int(binary.LittleEndian.Uint32(e[28:]))}
	if e[0]&entryDeleted == 0 {
		from := entryHeader + binary.LittleEndian.Uint32(e[20:])
		row.content = e[from : from+binary.LittleEndian.Uint32(e[24:])]
	}
	return row
}

func (s *shelf) place(k Key) (p place, ok bool) {
	if p, ok = s.index[hashKey(k)]; ok && entryIs(s.entry(p), k) {
		return p, true
	}
	if len(s.odd) > 0 {
		p, ok = s.odd[k]
		return p, ok
	}
	return 0, false
}

// find returns a row. It is valid until the next change of the shelf.
func (s *shelf) find(k Key) (row shelved, ok bool) {
	p, ok := s.place(k)
	if !ok {
		return shelved{}, false
	}
	e := s.entry(p)
	use(e, k)
	return entryRow(e), true
}

// put takes a row in, in place of the one of that key, and returns when that was
// due. It copies what it needs.
func (s *shelf) put(k Key, row shelved, dirty bool) (due int64, known bool) {
	p, known := s.place(k)
	if known {
		e := s.entry(p)
		due = int64(binary.LittleEndian.Uint64(e[8:]))
		if was := int(binary.LittleEndian.Uint32(e[28:])); e[0]&entryDirty != 0 {
			row.pieces, dirty = max(row.pieces, was), true
		}
		if entryHeader+len(k.ID)+len(row.content) <= len(e) {
			s.soil(p, e, dirty)
			fillEntry(e, row)
			use(e, k)
			return due, true
		}
		s.leave(p, e)
	}
	before := len(s.chunks)
	e, p := s.take(entryHeader + len(k.ID) + len(row.content))
	binary.LittleEndian.PutUint32(e[16:], k.Part)
	binary.LittleEndian.PutUint32(e[20:], uint32(len(k.ID)))
	copy(e[entryHeader:], k.ID)
	s.soil(p, e, dirty)
	fillEntry(e, row)
	use(e, k)
	s.note(k, p)
	if len(s.chunks) > before {
		s.shrink()
	}
	return due, known
}

// use notes that a row was used. Parts go when their time has come, used or not.
func use(e []byte, k Key) {
	if k.Part == 0 {
		e[0] |= entryUsed
	}
}

func fillEntry(e []byte, row shelved) {
	e[0] &^= entryDeleted
	if row.content == nil {
		e[0] |= entryDeleted
	}
	binary.LittleEndian.PutUint64(e[8:], uint64(row.due))
	binary.LittleEndian.PutUint32(e[24:], uint32(len(row.content)))
	binary.LittleEndian.PutUint32(e[28:], uint32(row.pieces))
	copy(e[entryHeader+binary.LittleEndian.Uint32(e[20:]):], row.content)
}

// soil marks an entry dirty, if it is to be.
func (s *shelf) soil(p place, e []byte, dirty bool) {
	if !dirty || e[0]&entryDirty != 0 {
		return
	}
	s.dirt += int64(len(e)) + entryOverhead
	e[0] |= entryDirty
	s.list(p, e)
}

// list notes the place of a dirty entry.
func (s *shelf) list(p place, e []byte) {
	if e[0]&entryListed == 0 {
		e[0] |= entryListed
		s.dirty = append(s.dirty, recordRef{chunk: uint32(p >> 32), at: uint32(p)})
	}
}

// leave gives an entry up.
func (s *shelf) leave(p place, e []byte) {
	if e[0]&entryDirty != 0 {
		s.dirt -= int64(len(e)) + entryOverhead
	}
	e[0] = entryGone | e[0]&entryListed
	if class := len(e) / sizeStep; class < freeClasses {
		s.free[class] = append(s.free[class], p)
	}
}

// note says where a row is now.
func (s *shelf) note(k Key, p place) {
	h := hashKey(k)
	if _, ok := s.odd[k]; ok {
		s.odd[k] = p
	} else if other, ok := s.index[h]; !ok || s.gone(other) || entryIs(s.entry(other), k) {
		s.index[h] = p
	} else {
		s.odd[k] = p
	}
}

// gone says that an entry was given up, or its chunk was.
func (s *shelf) gone(p place) bool { return !s.has(p) || s.entry(p)[0]&entryGone != 0 }

// has says that a place's chunk is there.
func (s *shelf) has(p place) bool { return uint32(p>>32)-s.first < uint32(len(s.chunks)) }

// take makes room for an entry of so many bytes at least. What it returns is
// empty but for its size, and for being listed.
func (s *shelf) take(size int) (e []byte, p place) {
	size = (size + sizeStep - 1) / sizeStep * sizeStep
	if e, p, ok := s.again(size); ok {
		return e, p
	}
	last := len(s.chunks) - 1
	if last < 0 || cap(s.chunks[last])-len(s.chunks[last]) < size {
		s.grow(size)
		last = len(s.chunks) - 1
	}
	chunk := s.chunks[last]
	at := len(chunk)
	chunk = chunk[:at+size]
	s.chunks[last] = chunk
	e = chunk[at:]
	clear(e[:entryHeader])
	binary.LittleEndian.PutUint32(e[4:], uint32(size))
	return e, place(s.first+uint32(last))<<32 | place(at)
}

// again takes a place that a row has left.
func (s *shelf) again(size int) (e []byte, p place, ok bool) {
	class := size / sizeStep
	if class >= freeClasses {
		return nil, 0, false
	}
	for n := len(s.free[class]) - 1; n >= 0; n-- {
		p, s.free[class] = s.free[class][n], s.free[class][:n]
		if s.has(p) {
			e = s.entry(p)
			listed := e[0] & entryListed
			clear(e[:entryHeader])
			e[0] = listed
			binary.LittleEndian.PutUint32(e[4:], uint32(size))
			return e, p, true
		}
	}
	return nil, 0, false
}

func (s *shelf) grow(size int) {
	size = max(size, int(min(chunkMost, max(chunkLeast, s.limit/16))))
	chunk := s.spare
	if s.spare = nil; cap(chunk) < size || cap(chunk) > 2*size {
		chunk = make([]byte, 0, size)
	}
	s.chunks = append(s.chunks, chunk[:0])
	s.bytes += int64(cap(chunk))
}

// shrink lets the oldest chunks go while there is too much: at the second look
// also what was used. Where most of it is dirty, it stays too much.
func (s *shelf) shrink() {
	if s.dirt > s.limit/4*3 {
		return
	}
	for n := 2 * len(s.chunks); n > 0 && len(s.chunks) > 1 && s.size() > s.limit; n-- {
		s.evict()
	}
}

// size is what the shelf takes, in bytes.
func (s *shelf) size() int64 { return s.bytes + int64(len(s.index))*entryOverhead }

// evict lets the oldest chunk go.
func (s *shelf) evict() {
	chunk := s.chunks[0]
	s.chunks[0] = nil
	s.chunks = s.chunks[1:]
	s.first++
	s.bytes -= int64(cap(chunk))
	for class := range s.free {
		s.free[class] = slices.DeleteFunc(s.free[class], func(p place) bool { return !s.has(p) })
	}
	for rest := chunk; len(rest) > 0; {
		e := rest[:binary.LittleEndian.Uint32(rest[4:])]
		rest = rest[len(e):]
		switch {
		case e[0]&entryGone != 0:
		case e[0]&(entryDirty|entryUsed) != 0:
			s.move(e)
		default:
			s.drop(entryKey(e))
		}
	}
	if cap(chunk) <= chunkMost {
		s.spare = chunk
	}
}

// move puts an entry of a chunk that goes to the newest one.
func (s *shelf) move(e []byte) {
	to, p := s.take(len(e))
	listed := to[0]
	copy(to, e)
	to[0] = e[0]&^(entryUsed|entryListed) | listed
	if to[0]&entryDirty != 0 {
		s.list(p, to)
	}
	k := entryKey(e)
	if _, ok := s.odd[k]; ok {
		s.odd[k] = p
	} else {
		s.index[hashKey(k)] = p
	}
}

func (s *shelf) drop(k Key) {
	if _, ok := s.odd[k]; ok {
		delete(s.odd, k)
	} else {
		delete(s.index, hashKey(k))
	}
}

func (r recordRef) place() place { return place(r.chunk)<<32 | place(r.at) }
