package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/tripline/tripline/processor/campaign/value"
)

// spool holds strands, each a sequence of entries: in memory as far as it has room, else in a temporary file.
type spool struct {
	room int // bytes
	held int // of them
	all  []*strand
	free [][]byte // chunks
	file *os.File
	size int64
}

// strand is one sequence of a spool: what is in the file, and behind it what is in memory.
type strand struct {
	segments []segment
	chunks   [][]byte // all full but the last
}

type segment struct{ at, size int64 }

const chunkBytes = 32 << 10

var errSpool = errors.New("a temporary file of the backtest does not hold what was written to it")

func (s *spool) strand() *strand {
	s.all = append(s.all, &strand{})
	return s.all[len(s.all)-1]
}

// write adds bytes to a strand.
func (s *spool) write(to *strand, bytes []byte) error {
	for len(bytes) > 0 {
		last := len(to.chunks) - 1
		if last < 0 || len(to.chunks[last]) == chunkBytes {
			if s.held+chunkBytes > s.room {
				if err := s.flush(); err != nil {
					return err
				}
			}
			to.chunks, last = append(to.chunks, s.chunk()), len(to.chunks)
		}
		n := min(len(bytes), chunkBytes-len(to.chunks[last]))
		to.chunks[last] = append(to.chunks[last], bytes[:n]...)
		bytes = bytes[n:]
	}
	return nil
}

func (s *spool) chunk() []byte {
	s.held += chunkBytes
	if last := len(s.free) - 1; last >= 0 {
		c := s.free[last]
		s.free = s.free[:last]
		return c
	}
	return make([]byte, 0, chunkBytes)
}

// flush puts all that is in memory into the file.
func (s *spool) flush() (err error) {
	if s.file == nil {
		if s.file, err = os.CreateTemp("", "tripline-backtest-"); err != nil {
			return err
		}
	}
	for _, of := range s.all {
		begins := s.size
		for _, c := range of.chunks {
			if _, err := s.file.WriteAt(c, s.size); err != nil {
				return fmt.Errorf("%w; TMPDIR may name a folder with more room: as much as the input takes", err)
			}
			s.size += int64(len(c))
			s.held -= chunkBytes
			s.free = append(s.free, c[:0])
		}
		if s.size > begins {
			of.segments = append(of.segments, segment{begins, s.size - begins})
		}
		of.chunks = nil
	}
	return nil
}

func (s *spool) close() error {
	if s.file == nil {
		return nil
	}
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}

// entries reads a strand from its beginning. Nothing may be written to its spool meanwhile.
type entries struct {
	spool *spool
	left  strand
	block []byte
	text  string
}

// entries begins to read a strand, block by block.
func (s *spool) entries(of *strand, block []byte) *entries {
	return &entries{spool: s, left: strand{segments: slices.Clone(of.segments), chunks: slices.Clone(of.chunks)}, block: block}
}

// next is the next entry; ok is false at the end.
func (e *entries) next() (entry string, ok bool, err error) {
	for {
		n, width := uvarint(e.text)
		if width > 0 && n <= uint64(len(e.text)-width) {
			entry, e.text = e.text[width:width+int(n)], e.text[width+int(n):]
			return entry, true, nil
		}
		if width < 0 {
			return "", false, errSpool
		}
		at := copy(e.grown(len(e.text)), e.text)
		more, err := e.fill(e.block[at:])
		if more == 0 && err == nil && at > 0 {
			err = errSpool
		}
		if more == 0 || err != nil {
			return "", false, err
		}
		e.text = string(e.block[:at+more])
	}
}

// grown is the block, with room for more than so many bytes.
func (e *entries) grown(bytes int) []byte {
	if 2*bytes > len(e.block) {
		e.block = make([]byte, 4*bytes)
	}
	return e.block
}

// fill reads what follows; 0 bytes at the end.
func (e *entries) fill(to []byte) (n int, err error) {
	if len(e.left.segments) > 0 {
		one := &e.left.segments[0]
		n, err = e.spool.file.ReadAt(to[:min(int64(len(to)), one.size)], one.at)
		if one.at, one.size = one.at+int64(n), one.size-int64(n); one.size == 0 {
			e.left.segments = e.left.segments[1:]
		}
		if err == io.EOF {
			err = errSpool
		}
		return n, err
	}
	for n < len(to) && len(e.left.chunks) > 0 {
		k := copy(to[n:], e.left.chunks[0])
		if n += k; k == len(e.left.chunks[0]) {
			e.left.chunks = e.left.chunks[1:]
		} else {
			e.left.chunks[0] = e.left.chunks[0][k:]
		}
	}
	return n, nil
}

func appendField[T string | []byte](dst []byte, field T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(field))), field...)
}

// uvarint is binary.Uvarint of a text.
func uvarint(s string) (v uint64, width int) {
	for i := 0; i < len(s) && i < binary.MaxVarintLen64; i++ {
		if v |= uint64(s[i]&0x7f) << (7 * i); s[i] < 0x80 {
			return v, i + 1
		}
	}
	if len(s) >= binary.MaxVarintLen64 {
		return 0, -1
	}
	return 0, 0
}

// fields takes an entry apart. What is missing reads as nothing, and is noted.
type fields struct {
	src string
	bad bool
}

func (f *fields) fail() { f.src, f.bad = "", true }

func (f *fields) byte() byte {
	if f.src == "" {
		f.fail()
		return 0
	}
	b := f.src[0]
	f.src = f.src[1:]
	return b
}

func (f *fields) uvarint() uint64 {
	v, width := uvarint(f.src)
	if width <= 0 {
		f.fail()
		return 0
	}
	f.src = f.src[width:]
	return v
}

func (f *fields) varint() int64 {
	u := f.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (f *fields) text() string {
	n := f.uvarint()
	if n > uint64(len(f.src)) {
		f.fail()
		return ""
	}
	text := f.src[:n]
	f.src = f.src[n:]
	return text
}

func (f *fields) properties(room value.Properties) (p, rest value.Properties) {
	p, room, src, err := value.TextProperties(f.src, room)
	if f.src = src; err != nil {
		f.fail()
	}
	return p, room
}
