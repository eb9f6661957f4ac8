package state

import (
	"bufio"
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
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

	chunks [][]byte // records, oldest first: lengths, key, value
	size   int      // bytes of them
	index  []recordRef
	runs   []string // oldest first
}

// recordRef finds a record: its chunk, and where in it. rank is 8 bytes of its
// key, so that most comparisons need not look at the record.
type recordRef struct {
	rank      uint64
	chunk, at uint32
}

const (
	// lengthSize is the size of a record's lengths: key and value, 4 bytes each.
	lengthSize = 8
	// chunkSize is what memory for records is taken by.
	chunkSize = 1 << 20
)

// chunkPool has memory for records that is not in use.
var chunkPool = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// fits says that a record can be added without going over the limit.
func (s *sorter) fits(key, value []byte) bool {
	return len(s.index) == 0 || s.size+lengthSize+len(key)+len(value) <= s.limit
}

func (s *sorter) add(key, value []byte) {
	size := lengthSize + len(key) + len(value)
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
	s.index = append(s.index, recordRef{chunk: uint32(last), at: uint32(len(chunk))})
	chunk = binary.LittleEndian.AppendUint32(chunk, uint32(len(key)))
	chunk = binary.LittleEndian.AppendUint32(chunk, uint32(len(value)))
	s.chunks[last] = append(append(chunk, key...), value...)
	s.size += size
}

// put is add, with room made in a file where it is needed.
func (s *sorter) put(key, value []byte) error {
	if !s.fits(key, value) {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.add(key, value)
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
	s.chunks, s.index, s.size = s.chunks[:0], s.index[:0], 0
}

// sort puts what is in memory in order of key, the newest of equal keys alone.
func (s *sorter) sort() {
	sortRefs(s.index, s.key)
	kept := s.index[:0]
	for i, ref := range s.index {
		if i+1 < len(s.index) && s.index[i+1].rank == ref.rank && bytes.Equal(s.key(ref), s.key(s.index[i+1])) {
			continue
		}
		kept = append(kept, ref)
	}
	s.index = kept
}

// sortRefs sorts by key and leaves equals in their order.
func sortRefs[K string | []byte](refs []recordRef, key func(recordRef) K) {
	if len(refs) == 0 {
		return
	}
	// IDs often begin alike: the rank is taken behind what all keys share.
	first := key(refs[0])
	shared := len(first)
	for _, ref := range refs[1:] {
		k := key(ref)
		shared = min(shared, len(k))
		for string(k[:shared]) != string(first[:shared]) {
			shared--
		}
	}
	for i := range refs {
		refs[i].rank = rank(key(refs[i])[shared:])
	}
	sortByRank(refs)
	for i := 0; i < len(refs); {
		end := i + 1
		for end < len(refs) && refs[end].rank == refs[i].rank {
			end++
		}
		if end > i+1 {
			slices.SortStableFunc(refs[i:end], func(a, b recordRef) int {
				return strings.Compare(string(key(a)), string(key(b)))
			})
		}
		i = end
	}
}

// rank is the first 8 bytes of key as a number, in the order of keys.
func rank[K string | []byte](key K) (n uint64) {
	for i := range min(8, len(key)) {
		n |= uint64(key[i]) << (56 - 8*i)
	}
	return n
}

// sortByRank sorts by rank and leaves equals in their order: a radix sort by
// byte, without the bytes in which all ranks are the same.
func sortByRank(refs []recordRef) {
	other := make([]recordRef, len(refs))
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
	s.sort()
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
		w.Write(s.chunks[ref.chunk][ref.at:][:lengthSize+len(key)+len(value)]) // Flush returns its error
	}
	s.free()
	return errors.Join(w.Flush(), f.Close())
}

// each calls visit for every key in order, with its newest value. Both are valid
// only during the call.
func (s *sorter) each(visit func(key, value []byte) error) error {
	s.sort()
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
	for i, name := range s.runs {
		f, err := s.fs.Open(name)
		if err != nil {
			return err
		}
		sources = append(sources, &source{age: len(s.runs) - i, file: f, r: bufio.NewReaderSize(f, 256<<10)})
	}
	sources = append(sources, &source{memory: s})
	for i := 0; i < len(sources); {
		ok, err := sources[i].next()
		if err != nil {
			return err
		}
		if i++; !ok {
			i--
			err = sources[i].close()
			sources = slices.Delete(sources, i, i+1)
		}
		if err != nil {
			return err
		}
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
	var lengths [lengthSize]byte
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
