package state

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// sorter puts records in order of key and keeps the newest of each: what does
// not fit into memory goes to files, each a sorted run, that are merged at the
// end.
type sorter struct {
	fs    vfs.FS
	dir   string // for runs; made when there is a first
	name  string // of the sorter within dir
	limit int    // bytes in memory

	chunks [][]byte // records: lengths, key, value and room for a longer one
	size   int      // bytes of them, and of what finds them
	index  []recordRef
	seen   []uint64 // by hash of a key, or behind that: the hash, and 1 + where in index the key is; 0: free
	runs   []string // oldest first
}

// recordRef finds a record: its chunk, and where in it. rank is 7 bytes of its
// key and how many there were, so that most comparisons need not look at the
// record.
type recordRef struct {
	rank      uint64
	chunk, at uint32
}

const (
	// lengthSize is the size of a record's lengths: key, value, and what room
	// the value has, 4 bytes each. Runs have the first two.
	lengthSize, runLengths = 12, 8
	// recordCost is about what a record takes beside key and value.
	recordCost = lengthSize + 16 + 32
	// chunkSize is what memory for records is taken by.
	chunkSize = 1 << 20
)

var (
	// chunkPool has memory for records that is not in use.
	chunkPool = sync.Pool{New: func() any { return new([chunkSize]byte) }}
	seenSeed  = maphash.MakeSeed()
)

// fits says that a record can be added without going over the limit.
func (s *sorter) fits(key, value []byte) bool {
	return len(s.index) == 0 || s.size+recordCost+len(key)+len(value)+len(value)/4 <= s.limit
}

// set takes a record in, in place of the one of that key.
func (s *sorter) set(key, value []byte) {
	if 2*len(s.index) >= len(s.seen) {
		s.widen()
	}
	hash := maphash.Bytes(seenSeed, key) &^ (1<<32 - 1)
	at := s.slot(hash)
	for ; s.seen[at] != 0; at = (at + 1) & (len(s.seen) - 1) {
		if s.seen[at]>>32 != hash>>32 {
			continue
		}
		ref := &s.index[uint32(s.seen[at])-1]
		record := s.chunks[ref.chunk][ref.at:]
		if end := lengthSize + binary.LittleEndian.Uint32(record); string(record[lengthSize:end]) != string(key) {
			continue
		} else if len(value) <= int(binary.LittleEndian.Uint32(record[8:])) {
			binary.LittleEndian.PutUint32(record[4:], uint32(len(value)))
			copy(record[end:], value)
		} else { // it will grow again
			*ref = s.place(key, value, len(value)+len(value)/4)
		}
		return
	}
	s.seen[at] = hash | uint64(len(s.index)+1)
	s.index = append(s.index, s.place(key, value, len(value)))
}

// slot is where in seen a hash belongs: its size is a power of two.
func (s *sorter) slot(hash uint64) int { return int(hash>>32) & (len(s.seen) - 1) }

// widen gives seen room for twice as many.
func (s *sorter) widen() {
	was := s.seen
	s.seen = make([]uint64, max(1024, 2*len(was)))
	for _, entry := range was {
		if entry == 0 {
			continue
		}
		at := s.slot(entry)
		for s.seen[at] != 0 {
			at = (at + 1) & (len(s.seen) - 1)
		}
		s.seen[at] = entry
	}
}

// place writes a record whose value has so much room.
func (s *sorter) place(key, value []byte, room int) recordRef {
	size := lengthSize + len(key) + room
	last := len(s.chunks) - 1
	if last < 0 || cap(s.chunks[last])-len(s.chunks[last]) < size {
		chunk := chunkPool.Get().(*[chunkSize]byte)[:0]
		if size > chunkSize {
			chunk = make([]byte, 0, size)
		}
		s.chunks = append(s.chunks, chunk)
		last++
	}
	chunk := s.chunks[last]
	ref := recordRef{chunk: uint32(last), at: uint32(len(chunk))}
	for _, n := range []int{len(key), len(value), room} {
		chunk = binary.LittleEndian.AppendUint32(chunk, uint32(n))
	}
	chunk = append(append(chunk, key...), value...)
	s.chunks[last] = chunk[:len(chunk)+room-len(value)]
	s.size += recordCost + len(key) + room
	return ref
}

// put takes in a record whose key no other has, with room made in a file where
// it is needed.
func (s *sorter) put(key, value []byte) error {
	if !s.fits(key, value) {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.index = append(s.index, s.place(key, value, len(value)))
	return nil
}

func (s *sorter) key(ref recordRef) []byte {
	record := s.chunks[ref.chunk][ref.at:]
	return record[lengthSize : lengthSize+binary.LittleEndian.Uint32(record)]
}

func (s *sorter) record(ref recordRef) (key, value []byte) {
	record := s.chunks[ref.chunk][ref.at:]
	end := lengthSize + binary.LittleEndian.Uint32(record)
	return record[lengthSize:end], record[end : end+binary.LittleEndian.Uint32(record[4:])]
}

// free forgets what is in memory.
func (s *sorter) free() {
	for _, chunk := range s.chunks {
		if cap(chunk) == chunkSize {
			chunkPool.Put((*[chunkSize]byte)(chunk[:chunkSize]))
		}
	}
	clear(s.chunks)
	clear(s.seen)
	s.chunks, s.index, s.size = s.chunks[:0], s.index[:0], 0
}

// sortRefs sorts by key.
func sortRefs(refs []recordRef, key func(recordRef) []byte) {
	sortBehind(refs, make([]recordRef, len(refs)), 0, key)
}

// sortBehind sorts records whose keys are alike up to shared. other is as long.
func sortBehind(refs, other []recordRef, shared int, key func(recordRef) []byte) {
	if len(refs) < 2 {
		return
	}
	// IDs often begin alike: the rank is taken behind what all keys share.
	first := key(refs[0])
	common := len(first)
	for _, ref := range refs[1:] {
		k := key(ref)
		for common = min(common, len(k)); !bytes.Equal(k[shared:common], first[shared:common]); {
			common--
		}
	}
	for i := range refs {
		refs[i].rank = rank(key(refs[i])[common:])
	}
	sortByRank(refs, other)
	for i, end := 0, 1; i < len(refs); i, end = end, end+1 {
		for end < len(refs) && refs[end].rank == refs[i].rank {
			end++
		}
		if byte(refs[i].rank) > rankBytes {
			sortBehind(refs[i:end], other[i:end], common+rankBytes, key)
		}
	}
}

// rankBytes is how much of a key its rank holds.
const rankBytes = 7

// rank is the first bytes of key as a number, in the order of keys. It ends with
// how many bytes these are, one more where others follow.
func rank(key []byte) (n uint64) {
	for i := range min(rankBytes, len(key)) {
		n |= uint64(key[i]) << (56 - 8*i)
	}
	return n | uint64(min(rankBytes+1, len(key)))
}

// sortByRank sorts by rank: where there are many a radix sort by byte, without
// the bytes in which all ranks are the same.
func sortByRank(refs, other []recordRef) {
	if len(refs) < 128 {
		slices.SortFunc(refs, func(a, b recordRef) int { return cmp.Compare(a.rank, b.rank) })
		return
	}
	from, to := refs, other
	for shift := 0; shift < 64; shift += 8 {
		var starts [256]int
		for i := range from {
			starts[byte(from[i].rank>>shift)]++
		}
		if starts[byte(from[0].rank>>shift)] == len(from) {
			continue
		}
		sum := 0
		for i, n := range starts {
			starts[i], sum = sum, sum+n
		}
		for i := range from {
			digit := byte(from[i].rank >> shift)
			to[starts[digit]] = from[i]
			starts[digit]++
		}
		from, to = to, from
	}
	if &from[0] != &refs[0] {
		copy(refs, from)
	}
}

// spill writes what is in memory to a new run.
func (s *sorter) spill() (err error) {
	sortRefs(s.index, s.key)
	if err := s.fs.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	name := s.fs.PathJoin(s.dir, fmt.Sprintf("%s-%d.run", s.name, len(s.runs)))
	f, err := s.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	s.runs = append(s.runs, name)
	w := bufio.NewWriterSize(f, 256<<10)
	for _, ref := range s.index {
		key, value := s.record(ref)
		for _, part := range [][]byte{s.chunks[ref.chunk][ref.at:][:runLengths], key, value} {
			w.Write(part) // Flush returns its error
		}
	}
	s.free()
	return errors.Join(w.Flush(), f.Close())
}

// each calls visit for every key in order, with its newest value. Both are valid
// only during the call.
func (s *sorter) each(visit func(key, value []byte) error) error {
	sortRefs(s.index, s.key)
	if len(s.runs) == 0 {
		for _, ref := range s.index {
			if err := visit(s.record(ref)); err != nil {
				return err
			}
		}
		return nil
	}
	return s.merge(visit)
}

// merge is each where there are runs: of equal keys the newest run's wins.
func (s *sorter) merge(visit func(key, value []byte) error) (err error) {
	var sources sources
	defer func() {
		for _, src := range sources {
			err = errors.Join(err, src.close())
		}
	}()
	begin := func(src *source) error {
		ok, err := src.next()
		if ok {
			sources = append(sources, src)
			return nil
		}
		return errors.Join(err, src.close())
	}
	for i, name := range s.runs {
		f, err := s.fs.Open(name)
		if err == nil {
			err = begin(&source{age: len(s.runs) - i, file: f, r: bufio.NewReaderSize(f, 256<<10)})
		}
		if err != nil {
			return err
		}
	}
	if err := begin(&source{memory: s}); err != nil {
		return err
	}
	heap.Init(&sources)
	var last []byte
	for started := false; len(sources) > 0; started = true {
		src := sources[0]
		if !started || !bytes.Equal(src.key, last) {
			if err := visit(src.key, src.value); err != nil {
				return err
			}
			last = append(last[:0], src.key...)
		}
		ok, err := src.next()
		if err != nil {
			return err
		}
		if ok {
			heap.Fix(&sources, 0)
		} else if err := heap.Pop(&sources).(*source).close(); err != nil {
			return err
		}
	}
	return nil
}

// source is one sorted run: a file, or what the sorter has in memory.
type source struct {
	age        int // 0: the newest
	key, value []byte

	memory *sorter
	read   int // records of it
	file   vfs.File
	r      *bufio.Reader
	buf    []byte
}

// next moves to the next record; false at the end.
func (s *source) next() (ok bool, err error) {
	if s.memory != nil {
		if s.read == len(s.memory.index) {
			return false, nil
		}
		s.key, s.value = s.memory.record(s.memory.index[s.read])
		s.read++
		return true, nil
	}
	var lengths [runLengths]byte
	if _, err := io.ReadFull(s.r, lengths[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		return false, err
	}
	size := int(binary.LittleEndian.Uint32(lengths[:]))
	s.buf = slices.Grow(s.buf[:0], size+int(binary.LittleEndian.Uint32(lengths[4:])))
	s.buf = s.buf[:size+int(binary.LittleEndian.Uint32(lengths[4:]))]
	if _, err := io.ReadFull(s.r, s.buf); err != nil {
		return false, err
	}
	s.key, s.value = s.buf[:size], s.buf[size:]
	return true, nil
}

func (s *source) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// sources is a heap by key, then from new to old.
type sources []*source

func (s sources) Len() int { return len(s) }

func (s sources) Less(i, j int) bool {
	if c := bytes.Compare(s[i].key, s[j].key); c != 0 {
		return c < 0
	}
	return s[i].age < s[j].age
}

func (s sources) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s *sources) Push(x any)   { *s = append(*s, x.(*source)) }

func (s *sources) Pop() any {
	last := len(*s) - 1
	popped := (*s)[last]
	*s = (*s)[:last]
	return popped
}
