package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"os"

	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/value"
)

// spool is a temporary file that holds strands: each a sequence of bytes of its own, in segments. It is made when the first segment
// is written.
type spool struct {
	file *os.File
	size int64
}

// strand is one sequence of a spool.
type strand struct {
	buffer   []byte
	segments []segment
}

type segment struct{ at, size int64 }

const segmentBytes = 16 << 10

var errSpool = errors.New("a temporary file of the backtest does not hold what was written to it")

// write adds an entry to a strand.
func (s *spool) write(to *strand, entry []byte) error {
	to.buffer = append(binary.AppendUvarint(to.buffer, uint64(len(entry))), entry...)
	if len(to.buffer) < segmentBytes {
		return nil
	}
	return s.flush(to)
}

// flush puts on disk what a strand has in memory.
func (s *spool) flush(to *strand) error {
	if len(to.buffer) == 0 {
		return nil
	}
	if s.file == nil {
		f, err := os.CreateTemp("", "tripline-backtest-")
		if err != nil {
			return err
		}
		s.file = f
	}
	if _, err := s.file.WriteAt(to.buffer, s.size); err != nil {
		return err
	}
	if n := len(to.segments); n > 0 && to.segments[n-1].at+to.segments[n-1].size == s.size {
		to.segments[n-1].size += int64(len(to.buffer))
	} else {
		to.segments = append(to.segments, segment{s.size, int64(len(to.buffer))})
	}
	s.size += int64(len(to.buffer))
	to.buffer = to.buffer[:0]
	return nil
}

// entries reads a strand from its beginning.
type entries struct {
	in   *bufio.Reader
	room []byte
}

func (s *spool) entries(of *strand) *entries {
	var parts []io.Reader
	for _, one := range of.segments {
		parts = append(parts, io.NewSectionReader(s.file, one.at, one.size))
	}
	return &entries{in: bufio.NewReaderSize(io.MultiReader(parts...), segmentBytes)}
}

// next is the next entry, nil at the end. It holds until the one after.
func (e *entries) next() ([]byte, error) {
	n, err := binary.ReadUvarint(e.in)
	if err == io.EOF {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if uint64(cap(e.room)) < n {
		e.room = make([]byte, n, 2*n)
	}
	e.room = e.room[:n]
	if _, err = io.ReadFull(e.in, e.room); err == io.ErrUnexpectedEOF {
		err = errSpool
	}
	return e.room, err
}

func (s *spool) close() error {
	if s.file == nil {
		return nil
	}
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}

func appendField[T string | []byte](dst []byte, field T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(field))), field...)
}

// append writes an input as a spool holds it.
func (in *input) append(dst []byte) []byte {
	dst = binary.AppendVarint(append(dst, in.kind), in.arrival)
	dst = binary.AppendUvarint(dst, uint64(in.number))
	dst = binary.AppendVarint(dst, in.event.Time)
	dst = appendField(appendField(appendField(dst, in.event.User), in.event.ID), in.event.Name)
	return in.event.Profile.AppendBinary(in.event.Properties.AppendBinary(dst))
}

// fields takes an entry apart. What is missing reads as nothing; the last one says whether all was there.
type fields struct {
	src []byte
	bad bool
}

func (f *fields) fail() {
	f.src, f.bad = nil, true
}

func (f *fields) varint() int64 {
	v, n := binary.Varint(f.src)
	if n <= 0 {
		f.fail()
		return 0
	}
	f.src = f.src[n:]
	return v
}

func (f *fields) uvarint() uint64 {
	v, n := binary.Uvarint(f.src)
	if n <= 0 {
		f.fail()
		return 0
	}
	f.src = f.src[n:]
	return v
}

func (f *fields) bytes() []byte {
	n := f.uvarint()
	if n > uint64(len(f.src)) {
		f.fail()
		return nil
	}
	field := f.src[:n]
	f.src = f.src[n:]
	return field
}

func (f *fields) properties() value.Properties {
	p, rest, err := value.DecodeProperties(f.src)
	if err != nil {
		f.fail()
	}
	f.src = rest
	return p
}

func readInput(entry []byte) (in input, err error) {
	if len(entry) == 0 {
		return in, errSpool
	}
	f := fields{src: entry[1:]}
	in.kind, in.arrival, in.number = entry[0], f.varint(), int(f.uvarint())
	time := f.varint()
	in.event = record.Event{Time: time, User: string(f.bytes()), ID: string(f.bytes()), Name: string(f.bytes()), Properties: f.properties(), Profile: f.properties()}
	if f.bad {
		return in, errSpool
	}
	return in, nil
}

// appendEmission writes what a step has decided as a spool holds it.
func appendEmission(dst []byte, k *key, triggers, decisions []byte) []byte {
	passed := byte(0)
	if k.passed {
		passed = 1
	}
	dst = binary.AppendVarint(append(dst, passed), k.time)
	dst = appendField(binary.AppendUvarint(dst, uint64(k.number)), k.user)
	return appendField(appendField(dst, triggers), decisions)
}

func readEmission(entry []byte) (k key, triggers, decisions []byte, err error) {
	if len(entry) == 0 {
		return k, nil, nil, errSpool
	}
	f := fields{src: entry[1:]}
	k = key{passed: entry[0] == 1, time: f.varint(), number: int(f.uvarint()), user: string(f.bytes())}
	if triggers, decisions = f.bytes(), f.bytes(); f.bad {
		return k, nil, nil, errSpool
	}
	return k, triggers, decisions, nil
}
