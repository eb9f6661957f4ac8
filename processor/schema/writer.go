package schema

import (
	"encoding/base64"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/tripline/tripline/processor/campaign/value"
)

// writer writes one JSON text, within bounds.
type writer struct {
	out   []byte
	paths []string // that the envelope looks for, from where the writer stands
	limit int      // bytes
	depth int
}

// check says whether the text is still within its limit.
func (w *writer) check() error {
	if len(w.out) > w.limit {
		return ErrTooLarge
	}
	return nil
}

// enter goes one level deeper, behind an opening bracket.
func (w *writer) enter(bracket byte) error {
	if w.depth++; w.depth > value.MaxDepth {
		return fmt.Errorf("nested deeper than %d", value.MaxDepth)
	}
	w.out = append(w.out, bracket)
	return w.check()
}

// leave closes what enter opened.
func (w *writer) leave(bracket byte) {
	w.depth--
	w.out = append(w.out, bracket)
}

// comma stands before all but the first of a list or an object.
func (w *writer) comma() {
	if last := w.out[len(w.out)-1]; last != '{' && last != '[' {
		w.out = append(w.out, ',')
	}
}

// name begins a member of an object.
func (w *writer) name(name string) error {
	if !utf8.ValidString(name) {
		return ErrUTF8
	}
	w.comma()
	w.out = append(value.AppendString(w.out, name), ':')
	return w.check()
}

func (w *writer) text(s string) error {
	if !utf8.ValidString(s) {
		return ErrUTF8
	}
	w.out = value.AppendString(w.out, s)
	return w.check()
}

func (w *writer) null() { w.out = append(w.out, "null"...) }

func (w *writer) bool(b bool) { w.out = strconv.AppendBool(w.out, b) }

func (w *writer) int(n int64) { w.out = strconv.AppendInt(w.out, n, 10) }

func (w *writer) uint(n uint64) { w.out = strconv.AppendUint(w.out, n, 10) }

func (w *writer) bytes(b []byte) error {
	w.out = append(w.out, '"')
	w.out = base64.StdEncoding.AppendEncode(w.out, b)
	w.out = append(w.out, '"')
	return w.check()
}

// float writes the shortest number that is this one among those of so many bits.
func (w *writer) float(f float64, bits int) {
	switch a := math.Abs(f); {
	case math.IsNaN(f):
		w.out = append(w.out, `"NaN"`...)
	case math.IsInf(f, 1):
		w.out = append(w.out, `"Infinity"`...)
	case math.IsInf(f, -1):
		w.out = append(w.out, `"-Infinity"`...)
	case a != 0 && (a < 1e-6 || a >= 1e21):
		w.out = strconv.AppendFloat(w.out, f, 'e', -1, bits)
	default:
		w.out = strconv.AppendFloat(w.out, f, 'f', -1, bits)
	}
}

const (
	maxDecimal = 1 << 10 // bytes of a decimal's digits,
	maxScale   = 1 << 12 // and how many of them may stand behind the point
)

// decimal writes the number whose digits are a two's complement, the high byte first, and of which scale digits stand behind the point.
func (w *writer) decimal(b []byte, scale int) error {
	if len(b) > maxDecimal || scale > maxScale || scale < -maxScale {
		return fmt.Errorf("a decimal of %d bytes and scale %d is larger than %d and %d", len(b), scale, maxDecimal, maxScale)
	}
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	digits := n.Append(nil, 10)
	if n.Sign() < 0 {
		w.out = append(w.out, '-')
		digits = digits[1:]
	}
	if scale <= 0 {
		w.out = append(w.out, digits...)
		for range -scale {
			if n.Sign() != 0 {
				w.out = append(w.out, '0')
			}
		}
		return w.check()
	}
	for len(digits) <= scale {
		digits = append([]byte{'0'}, digits...)
	}
	point := len(digits) - scale
	w.out = append(append(append(w.out, digits[:point]...), '.'), digits[point:]...)
	return w.check()
}

// The forms of moments, by how many digits of a second they have.
var (
	momentForms = map[int]string{3: "2006-01-02T15:04:05.000", 6: "2006-01-02T15:04:05.000000", 9: "2006-01-02T15:04:05.000000000"}
	clockForms  = map[int]string{3: "15:04:05.000", 6: "15:04:05.000000"}
)

// moment writes a time; one that RFC 3339 has no form for as its number.
func (w *writer) moment(t time.Time, digits int, zone string, number int64) {
	t = t.UTC()
	if y := t.Year(); y < 0 || y > 9999 {
		w.int(number)
		return
	}
	w.out = append(w.out, '"')
	w.out = t.AppendFormat(w.out, momentForms[digits])
	w.out = append(append(w.out, zone...), '"')
}
