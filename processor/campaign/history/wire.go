package history

import (
	"encoding/binary"
	"errors"
	"math"
)

// version is the first byte of every part, and headVersion that of a head. A head of the version before is readable: its references have
// their places and parts by themselves.
const (
	version     = 1
	headVersion = 3
)

var (
	errCorrupt = errors.New("history: corrupt bytes")
	errVersion = errors.New("history: unknown format version")
	errMissing = errors.New("history: a part is missing")
)

// reader takes bytes apart; after the first broken byte it is bad and gives zeros.
type reader struct {
	src []byte
	at  int
	bad bool
}

// open is a reader of what stands behind the version byte, which is between oldest and newest.
func open(src []byte, oldest, newest byte) (reader, error) {
	switch {
	case len(src) == 0:
		return reader{}, errCorrupt
	case src[0] < oldest || src[0] > newest:
		return reader{}, errVersion
	}
	return reader{src: src, at: 1}, nil
}

func (r *reader) fail() { r.bad, r.at = true, len(r.src) }

// rest is what was not read yet.
func (r *reader) rest() []byte { return r.src[r.at:] }

// done tells whether all was read and nothing was broken.
func (r *reader) done() bool { return !r.bad && r.at == len(r.src) }

func (r *reader) uvarint() uint64 {
	if r.at < len(r.src) && r.src[r.at] < 0x80 {
		r.at++
		return uint64(r.src[r.at-1])
	}
	return r.longUvarint()
}

func (r *reader) longUvarint() uint64 {
	u, n := binary.Uvarint(r.src[r.at:])
	if n <= 0 {
		r.fail()
		return 0
	}
	r.at += n
	return u
}

// uvarintAt reads a number from what is known to be well formed, and says where it ends.
func uvarintAt(src []byte, at int) (u uint64, end int) {
	if b := src[at]; b < 0x80 {
		return uint64(b), at + 1
	}
	return longUvarintAt(src, at)
}

func longUvarintAt(src []byte, at int) (u uint64, end int) {
	for shift := 0; ; shift += 7 {
		b := src[at]
		at++
		u |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return u, at
		}
	}
}

func (r *reader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// count reads a number of things that each take at least size bytes of what follows.
func (r *reader) count(size int) int {
	u := r.uvarint()
	if u > uint64(len(r.src)-r.at) || int(u)*size > len(r.src)-r.at {
		r.fail()
		return 0
	}
	return int(u)
}

// number reads a number below 2^32.
func (r *reader) number() uint32 {
	u := r.uvarint()
	if u > math.MaxUint32 {
		r.fail()
		return 0
	}
	return uint32(u)
}

func (r *reader) byte() byte {
	if r.at == len(r.src) {
		r.fail()
		return 0
	}
	r.at++
	return r.src[r.at-1]
}

// bytes reads n bytes; an append to them copies.
func (r *reader) bytes(n int) []byte {
	if n > len(r.src)-r.at {
		r.fail()
		return nil
	}
	r.at += n
	return r.src[r.at-n : r.at : r.at]
}

// text reads bytes that follow their length.
func (r *reader) text() []byte { return r.bytes(r.count(1)) }

func (r *reader) position() Position { return Position{r.varint(), r.uvarint()} }

// float reads what appendFloat wrote.
func (r *reader) float() float64 {
	u := r.uvarint()
	if u&1 == 0 {
		u >>= 1
		return float64(int64(u>>1) ^ -int64(u&1))
	}
	b := r.bytes(8)
	if r.bad {
		return 0
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

func appendText[T string | []byte](dst []byte, s T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendPosition(dst []byte, p Position) []byte {
	return binary.AppendUvarint(binary.AppendVarint(dst, p.Time), p.Seq)
}

// appendFloat writes whole numbers that a double holds exactly as varints, all others as their eight bytes.
func appendFloat(dst []byte, f float64) []byte {
	if math.Trunc(f) == f && math.Abs(f) < 1<<53 && (f != 0 || !math.Signbit(f)) {
		n := int64(f)
		return binary.AppendUvarint(dst, uint64(n<<1^n>>63)<<1)
	}
	return binary.LittleEndian.AppendUint64(append(dst, 1), math.Float64bits(f))
}

// enlarge puts the length of dst[at+1:], times two plus flag, in front of it; dst[at] is kept free for it.
func enlarge(dst []byte, at int, flag byte) []byte {
	n := uint64(len(dst)-at-1)<<1 | uint64(flag)
	if n < 0x80 {
		dst[at] = byte(n)
		return dst
	}
	var prefix [binary.MaxVarintLen64]byte
	width := binary.PutUvarint(prefix[:], n)
	dst = append(dst, prefix[:width-1]...)
	copy(dst[at+width:], dst[at+1:])
	copy(dst[at:], prefix[:width])
	return dst
}
