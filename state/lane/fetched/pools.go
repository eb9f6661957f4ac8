package fetched

import (
	"math/bits"
	"unsafe"
)

// classes is how many sizes of pieces there are: four from one power of two to the next.
const classes = 4 * 24

// pool keeps pieces of memory by size, to be used again. What is put back was zeroed whole, which is no work only where the piece was filled.
type pool[T any] struct{ pieces [classes][][]T }

// take returns a piece of so many at least, and how many bytes of it were kept; 0: it is new.
func (p *pool[T]) take(n int) (piece []T, kept int64) {
	class, size := atLeast(n)
	if class >= classes {
		return nil, 0
	}
	if last := len(p.pieces[class]) - 1; last >= 0 {
		piece, p.pieces[class][last] = p.pieces[class][last], nil
		p.pieces[class] = p.pieces[class][:last]
		return piece, bytesOf(piece)
	}
	return make([]T, 0, size), 0
}

// put keeps a piece, and says how many bytes it has; 0: it is of no use.
func (p *pool[T]) put(piece []T) int64 {
	class := within(cap(piece))
	if class >= classes || cap(piece) < sizeOf(class) {
		return 0
	}
	p.pieces[class] = append(p.pieces[class], piece[:0])
	return bytesOf(piece)
}

// drop forgets the largest piece, and says how many bytes it had; 0: there is none.
func (p *pool[T]) drop() int64 {
	for class := classes - 1; class >= 0; class-- {
		if last := len(p.pieces[class]) - 1; last >= 0 {
			piece := p.pieces[class][last]
			p.pieces[class][last] = nil
			p.pieces[class] = p.pieces[class][:last]
			return bytesOf(piece)
		}
	}
	return 0
}

func bytesOf[T any](piece []T) int64 {
	var one T
	return int64(cap(piece)) * int64(unsafe.Sizeof(one))
}

// atLeast is the first class whose pieces have n or more, and how many these have.
func atLeast(n int) (class, size int) {
	class = within(n)
	if size = sizeOf(class); size < n {
		class++
		size = sizeOf(class)
	}
	return class, size
}

// within is the last class whose pieces have no more than n.
func within(n int) (class int) {
	n = max(n, 4)
	power := bits.Len(uint(n)) - 1
	return 4*power + n>>(power-2)&3
}

// sizeOf is what a piece of a class has at least.
func sizeOf(class int) int { return (4 + class&3) << (class >> 2) >> 2 }
