package history

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"strings"
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
	r, err := open(content, version, version)
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
	if !r.done() {
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
			if s == nil || !r.done() {
				return nil, errCorrupt
			}
			x.parsed[i] = s
		}
		return x.parsed[i], nil
	}
	return nil, nil
}

func (x *index) hash(i int) uint32 { return binary.LittleEndian.Uint32(x.hashes[4*i:]) }

// find is the first place of a hash, or of the next larger one. Hashes are spread evenly, so it begins where this one
// should be.
func (x *index) find(h uint32) int {
	n := len(x.owners)
	i := int(uint64(h) * uint64(n) >> 32)
	for i > 0 && x.hash(i-1) >= h {
		i--
	}
	for i < n && x.hash(i) < h {
		i++
	}
	return i
}

// of is the hashes of the chunks that wanted holds for, in order.
func (x *index) of(wanted func(part uint32) bool) (hashes []uint32) {
	var all [256]bool
	for i, part := range x.parts {
		all[min(i, len(all)-1)] = wanted(part)
	}
	for i, owner := range x.owners {
		if all[owner] {
			hashes = append(hashes, x.hash(i))
		}
	}
	return hashes
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

// summaryPairs is how many pairs of an event's name and a numeric property a chunk's summary holds at most; what else
// is asked for is read from the chunk.
const summaryPairs = 64

// total adds numbers up. What is lost in rounding is kept in low (A. Neumaier, "Rundungsfehleranalyse einiger
// Verfahren zur Summation endlicher Summen", 1974), so that the sum hardly depends on how the numbers are grouped.
type total struct {
	n         int
	high, low float64
	min, max  float64
}

func (t *total) add(f float64) { t.merge(total{n: 1, high: f, min: f, max: f}) }

func (t *total) merge(u total) {
	if u.n == 0 {
		return
	}
	if t.n == 0 {
		*t = u
		return
	}
	t.n += u.n
	t.min, t.max = min(t.min, u.min), max(t.max, u.max)
	sum := t.high + u.high
	lost := (t.high - sum) + u.high
	if math.Abs(t.high) < math.Abs(u.high) {
		lost = (u.high - sum) + t.high
	}
	t.high = sum
	if !math.IsInf(sum, 0) {
		t.low += lost + u.low
	}
}

func (t *total) sum() float64 {
	if math.IsInf(t.high, 0) {
		return t.high
	}
	return t.high + t.low
}

func (t *total) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(t.n))
	for _, f := range [...]float64{t.high, t.low, t.min, t.max} {
		dst = appendFloat(dst, f)
	}
	return dst
}

func (r *reader) total() total {
	return total{int(r.number()), r.float(), r.float(), r.float(), r.float()}
}

// pair is what a chunk's events of one name have in one numeric property.
type pair struct {
	event, property string
	total
}

// summary is what there is to know of a chunk's numeric properties.
type summary struct {
	pairs    []pair // in order
	complete bool   // there are no others
}

// trim puts the pairs in order and keeps the first summaryPairs.
func (s *summary) trim() {
	slices.SortFunc(s.pairs, comparePairs)
	if len(s.pairs) > summaryPairs {
		s.pairs, s.complete = s.pairs[:summaryPairs:summaryPairs], false
	}
}

// find is the total of a pair; known is false if only the chunk can tell.
func (s *summary) find(event, property string) (t total, known bool) {
	i, found := slices.BinarySearchFunc(s.pairs, pair{event: event, property: property}, comparePairs)
	if !found {
		return total{}, s.complete
	}
	return s.pairs[i].total, true
}

// mergeSummaries is the summary of all the chunks that these are of; nil if one of them is not complete.
func mergeSummaries(all []*summary) *summary {
	merged := &summary{complete: true}
	for _, s := range all {
		if s == nil || !s.complete {
			return nil
		}
		for _, p := range s.pairs {
			i, found := slices.BinarySearchFunc(merged.pairs, p, comparePairs)
			if !found {
				merged.pairs = slices.Insert(merged.pairs, i, pair{event: p.event, property: p.property})
			}
			merged.pairs[i].merge(p.total)
		}
	}
	merged.trim()
	return merged
}

func comparePairs(a, b pair) int {
	if c := strings.Compare(a.event, b.event); c != 0 {
		return c
	}
	return strings.Compare(a.property, b.property)
}

// append writes the pairs; an event's name is written with its first one.
func (s *summary) append(dst []byte) []byte {
	complete := byte(0)
	if s.complete {
		complete = 1
	}
	dst = binary.AppendUvarint(append(dst, complete), uint64(len(s.pairs)))
	for i := range s.pairs {
		p := &s.pairs[i]
		if i > 0 && p.event == s.pairs[i-1].event {
			dst = append(dst, 0)
		} else {
			dst = appendText(append(dst, 1), p.event)
		}
		dst = p.total.append(appendText(dst, p.property))
	}
	return dst
}

func (r *reader) summary() *summary {
	s := &summary{complete: r.byte() == 1}
	s.pairs = make([]pair, r.count(7))
	event := ""
	for i := range s.pairs {
		if r.byte() == 1 {
			event = string(r.text())
		}
		s.pairs[i] = pair{event, string(r.text()), r.total()}
		if i > 0 && comparePairs(s.pairs[i-1], s.pairs[i]) >= 0 {
			r.fail()
		}
	}
	if r.bad {
		return nil
	}
	return s
}
