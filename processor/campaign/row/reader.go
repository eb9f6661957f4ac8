// Package row takes the bytes of rows apart.
package row

import (
	"encoding/binary"
	"errors"

	"github.com/tripline/tripline/processor/campaign/value"
)

// ErrCorrupt is the error of bytes that nobody wrote so.
var ErrCorrupt = errors.New("corrupt user row")

// Reader takes bytes off the front of Rest; after the first fault everything reads as zero.
type Reader struct {
	Rest []byte
	Err  error
	Form
}

// Fail notes a fault.
func (r *Reader) Fail() { r.Rest, r.Err = nil, ErrCorrupt }

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if len(r.Rest) == 0 {
		r.Fail()
		return 0
	}
	b := r.Rest[0]
	r.Rest = r.Rest[1:]
	return b
}

// Fixed reads a number of eight bytes, big-endian.
func (r *Reader) Fixed() uint64 {
	if len(r.Rest) < 8 {
		r.Fail()
		return 0
	}
	v := binary.BigEndian.Uint64(r.Rest)
	r.Rest = r.Rest[8:]
	return v
}

// Unsigned reads a uvarint.
func (r *Reader) Unsigned() uint64 {
	v, n := binary.Uvarint(r.Rest)
	if n <= 0 {
		r.Fail()
		return 0
	}
	r.Rest = r.Rest[n:]
	return v
}

// Signed reads a varint.
func (r *Reader) Signed() int64 {
	v, n := binary.Varint(r.Rest)
	if n <= 0 {
		r.Fail()
		return 0
	}
	r.Rest = r.Rest[n:]
	return v
}

// Count reads how many entries follow; each takes a byte at least.
func (r *Reader) Count() int {
	n := r.Unsigned()
	if n > uint64(len(r.Rest)) {
		r.Fail()
		return 0
	}
	return int(n)
}

// Text reads a text behind its length. It points into the bytes.
func (r *Reader) Text() string {
	n := r.Count()
	text := value.Borrow(r.Rest[:n])
	r.Rest = r.Rest[n:]
	return text
}

// AppendText writes what Text reads.
func AppendText(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}
