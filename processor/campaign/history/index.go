package history

import (
	"encoding/binary"
	"math/bits"
)

// index is a part that tells what is in the chunks of one level without reading them: their numeric properties added
// up, and the hashes of their events' ids.
//
// Its content is the version, the number of chunks, of each its part's number and its summary behind its length (0:
// none), the number of hashes, the hashes in order, 4 bytes each, and of each one byte: the chunk's place in the list.
type index struct {
	parts  []uint32
	texts  [][]byte   // of the summaries
	parsed []*summary // those asked for
	hashes []byte
	owners []byte
}

func parseIndex(content []byte) (*index, error) {
	r, err := open(content)
	if err != nil {
		return nil, err
	}
	n := r.count(2)
	x := &index{parts: make([]uint32, n), texts: make([][]byte, n), parsed: make([]*summary, n)}
	for i := range x.parts {
		x.parts[i], x.texts[i] = r.number(), r.text()
	}
	n = r.count(5)
	x.hashes, x.owners = r.bytes(4*n), r.bytes(n)
	if r.bad || len(r.src) > 0 {
		return nil, errCorrupt
	}
	for _, owner := range x.owners {
		if int(owner) >= len(x.parts) {
			return nil, errCorrupt
		}
	}
	return x, nil
}

// summary is that of a chunk; nil if there is none. It fails on corrupt bytes.
func (x *index) summary(part uint32) (*summary, error) {
	for i, p := range x.parts {
		if p != part || len(x.texts[i]) == 0 {
			continue
		}
		if x.parsed[i] == nil {
			r := reader{src: x.texts[i]}
			s := r.summary()
			if s == nil || len(r.src) > 0 {
				return nil, errCorrupt
			}
			x.parsed[i] = s
		}
		return x.parsed[i], nil
	}
	return nil, nil
}

func (x *index) hash(i int) uint32 { return binary.LittleEndian.Uint32(x.hashes[4*i:]) }

// find is the first place of a hash, or of the next larger one.
func (x *index) find(h uint32) int {
	low, high := 0, len(x.owners)
	for low < high {
		if middle := int(uint(low+high) >> 1); x.hash(middle) < h {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// with is the content of an index of the chunks that are still there and of one more. old may be nil.
func (x *index) with(there func(part uint32) bool, part uint32, b *built) []byte {
	if x == nil {
		x = &index{}
	}
	places := make([]int, len(x.parts)) // in the new list, -1: gone
	var list []byte
	n := 0
	for i, p := range x.parts {
		if places[i] = -1; there(p) {
			places[i] = n
			n++
			list = appendText(binary.AppendUvarint(list, uint64(p)), x.texts[i])
		}
	}
	var text []byte
	if b.summary != nil {
		text = b.summary.append(nil)
	}
	list = appendText(binary.AppendUvarint(list, uint64(part)), text)
	hashes := make([]byte, 0, len(x.hashes)+4*len(b.hashes))
	owners := make([]byte, 0, len(x.owners)+len(b.hashes))
	for i, j := 0, 0; i < len(x.owners) || j < len(b.hashes); {
		if j == len(b.hashes) || i < len(x.owners) && x.hash(i) <= b.hashes[j] {
			if at := places[x.owners[i]]; at >= 0 {
				hashes, owners = append(hashes, x.hashes[4*i:4*i+4]...), append(owners, byte(at))
			}
			i++
		} else {
			hashes, owners = binary.LittleEndian.AppendUint32(hashes, b.hashes[j]), append(owners, byte(n))
			j++
		}
	}
	content := make([]byte, 0, 8+len(list)+len(hashes)+len(owners))
	content = append(binary.AppendUvarint(append(content, version), uint64(n+1)), list...)
	return append(append(binary.AppendUvarint(content, uint64(len(owners))), hashes...), owners...)
}

// hash is 32 bits of an id. It is on disk: never change it.
func hash[T string | []byte](id T) uint32 {
	const a, b = 0x9e3779b97f4a7c15, 0xd6e8feb86659fd93
	h := uint64(len(id)) * a
	for len(id) >= 8 {
		h = fold(h^word(id, 8), b)
		id = id[8:]
	}
	return uint32(fold(h^word(id, len(id)), a) >> 32)
}

// word is the first n bytes as a number, the first one lowest.
func word[T string | []byte](s T, n int) (w uint64) {
	for i := range n {
		w |= uint64(s[i]) << (8 * i)
	}
	return w
}

func fold(x, y uint64) uint64 {
	high, low := bits.Mul64(x^x>>32, y)
	return high ^ low
}
