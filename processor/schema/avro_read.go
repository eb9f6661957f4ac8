package schema

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/twmb/avro"
)

// avroReader reads Avro's binary encoding (https://avro.apache.org/docs/current/specification/#binary-encoding) from front to back.
type avroReader struct {
	data []byte
	w    *writer
}

var errShort = errors.New("the record ends too early")

func (n *avroNode) write(w *writer, data []byte) error {
	r := avroReader{data: data, w: w}
	if err := r.value(n); err != nil {
		return err
	}
	if len(r.data) > 0 {
		return fmt.Errorf("%d bytes follow behind the record", len(r.data))
	}
	return nil
}

func (r *avroReader) long() (int64, error) {
	n, size := binary.Varint(r.data)
	if size <= 0 {
		return 0, errShort
	}
	r.data = r.data[size:]
	return n, nil
}

func (r *avroReader) int() (int64, error) {
	n, err := r.long()
	if err == nil && (n < math.MinInt32 || n > math.MaxInt32) {
		err = fmt.Errorf("%d is no int", n)
	}
	return n, err
}

func (r *avroReader) take(n int64) ([]byte, error) {
	if n < 0 || n > int64(len(r.data)) {
		return nil, errShort
	}
	part := r.data[:n]
	r.data = r.data[n:]
	return part, nil
}

// sized takes bytes that say how many they are.
func (r *avroReader) sized() ([]byte, error) {
	n, err := r.long()
	if err != nil {
		return nil, err
	}
	return r.take(n)
}

func (r *avroReader) value(n *avroNode) error {
	switch n.kind {
	case avroNull:
		r.w.null()
		return r.w.check()
	case avroRecord:
		return r.record(n)
	case avroArray, avroMap:
		return r.blocks(n)
	case avroUnion:
		branch, err := r.long()
		if err != nil {
			return err
		}
		if branch < 0 || branch >= int64(len(n.branches)) {
			return fmt.Errorf("a union of %d has no branch %d", len(n.branches), branch)
		}
		return r.value(n.branches[branch])
	case avroBoolean, avroFloat, avroDouble, avroFixed, avroUUID, avroDuration:
		return r.sizedByType(n)
	case avroBytes, avroString, avroDecimal:
		return r.textual(n)
	}
	return r.whole(n)
}

func (r *avroReader) record(n *avroNode) error {
	if err := r.w.enter('{'); err != nil {
		return err
	}
	for i := range n.fields {
		f := &n.fields[i]
		if err := r.w.name(f.name); err != nil {
			return err
		}
		if err := r.value(f.node); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	r.w.leave('}')
	return nil
}

// blocks reads an array or a map: blocks of elements until an empty one. A negative count is followed by the block's bytes.
func (r *avroReader) blocks(n *avroNode) error {
	brackets := "[]"
	if n.kind == avroMap {
		brackets = "{}"
	}
	if err := r.w.enter(brackets[0]); err != nil {
		return err
	}
	for {
		count, err := r.long()
		if err != nil {
			return err
		}
		if count == 0 {
			r.w.leave(brackets[1])
			return nil
		}
		if count < 0 {
			if count = -count; count < 0 {
				return errShort
			}
			if _, err := r.long(); err != nil {
				return err
			}
		}
		for ; count > 0; count-- {
			if err := r.element(n); err != nil {
				return err
			}
		}
	}
}

func (r *avroReader) element(n *avroNode) error {
	if n.kind == avroArray {
		r.w.comma()
		return r.value(n.items)
	}
	key, err := r.sized()
	if err != nil {
		return err
	}
	if err := r.w.name(string(key)); err != nil {
		return err
	}
	return r.value(n.items)
}

// sizedByType reads what has as many bytes as its type says.
func (r *avroReader) sizedByType(n *avroNode) error {
	size := n.size
	switch n.kind {
	case avroBoolean:
		size = 1
	case avroFloat:
		size = 4
	case avroDouble:
		size = 8
	}
	b, err := r.take(int64(size))
	if err != nil {
		return err
	}
	switch n.kind {
	case avroBoolean:
		r.w.bool(b[0] != 0)
	case avroFloat:
		r.w.float(float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), 32)
	case avroDouble:
		r.w.float(math.Float64frombits(binary.LittleEndian.Uint64(b)), 64)
	case avroUUID:
		return r.w.text(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
	case avroDuration:
		return r.w.text(avro.DurationFromBytes(b).String())
	default:
		return r.w.bytes(b)
	}
	return nil
}

func (r *avroReader) textual(n *avroNode) error {
	var b []byte
	var err error
	if n.fixed {
		b, err = r.take(int64(n.size))
	} else {
		b, err = r.sized()
	}
	switch {
	case err != nil:
		return err
	case n.kind == avroString:
		return r.w.text(string(b))
	case n.kind == avroDecimal:
		return r.w.decimal(b, n.scale)
	}
	return r.w.bytes(b)
}

// whole reads what is a whole number on the wire.
func (r *avroReader) whole(n *avroNode) error {
	read := r.long
	if k := n.kind; k == avroInt || k == avroEnum || k == avroDate || k == avroTimeMillis {
		read = r.int
	}
	v, err := read()
	if err != nil {
		return err
	}
	switch k := n.kind; k {
	case avroEnum:
		if v < 0 || v >= int64(len(n.symbols)) {
			return fmt.Errorf("an enum of %d has no symbol %d", len(n.symbols), v)
		}
		return r.w.text(n.symbols[v])
	case avroDate:
		t := time.Unix(v*86400, 0).UTC()
		if y := t.Year(); y < 0 || y > 9999 {
			r.w.int(v)
			return nil
		}
		return r.w.text(t.Format(time.DateOnly))
	case avroTimeMillis:
		return r.clock(v, 1000, 3)
	case avroTimeMicros:
		return r.clock(v, 1_000_000, 6)
	case avroTimestampMillis, avroLocalMillis:
		r.w.moment(time.UnixMilli(v), 3, zoneOf(k), v)
	case avroTimestampMicros, avroLocalMicros:
		r.w.moment(time.UnixMicro(v), 6, zoneOf(k), v)
	case avroTimestampNanos, avroLocalNanos:
		r.w.moment(time.Unix(0, v), 9, zoneOf(k), v)
	default:
		r.w.int(v)
	}
	return nil
}

func zoneOf(k avroKind) string {
	if k >= avroLocalMillis {
		return ""
	}
	return "Z"
}

// clock writes a time of day, counted in parts of a second; what is none as its number.
func (r *avroReader) clock(v, second int64, digits int) error {
	if v < 0 || v >= 86400*second {
		r.w.int(v)
		return nil
	}
	t := time.Unix(v/second, v%second*(1_000_000_000/second)).UTC()
	return r.w.text(t.Format(clockForms[digits]))
}
