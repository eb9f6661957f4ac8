package value

import (
	"math"
	"strconv"
)

// exactPowers are the powers of ten that a double holds exactly, so that one multiplication or division by them
// rounds once (W. D. Clinger, "How to read floating point numbers accurately", 1990).
var exactPowers = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
	1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// safeDigits is how many significant decimal digits every normal double gives back unchanged.
const safeDigits = 15

// number reads a number; its first byte is next.
func (r *Reader) number() Value {
	text, start, i := r.text, r.at, r.at
	if text[i] == '-' {
		i++
	}
	first := i
	var mantissa uint64
	significant := 0
	for ; i < len(text) && text[i]-'0' < 10; i++ {
		if mantissa != 0 || text[i] != '0' {
			significant++
			mantissa = mantissa*10 + uint64(text[i]-'0')
		}
	}
	if i == first || (text[first] == '0' && i > first+1) {
		r.at = i
		r.fail("expected a number without leading zeros")
		return Value{}
	}
	exponent := 0
	whole := i
	if i < len(text) && text[i] == '.' {
		i++
		point := i
		for ; i < len(text) && text[i]-'0' < 10; i++ {
			if mantissa != 0 || text[i] != '0' {
				significant++
				mantissa = mantissa*10 + uint64(text[i]-'0')
			}
		}
		if exponent = point - i; exponent == 0 {
			r.at = i
			r.fail("expected a digit after the decimal point")
			return Value{}
		}
	}
	if i < len(text) && text[i]|0x20 == 'e' {
		return r.withExponent(start, i+1)
	}
	r.at = i
	if significant > safeDigits || exponent < -22 {
		return classify(text[start:i])
	}
	f := float64(mantissa) / exactPowers[-exponent]
	if first > start {
		f = -f
	}
	if i == whole && (mantissa != 0 || first == start) {
		return Value{kind: Number, number: f}
	}
	return Value{kind: Number, number: f, text: text[start:i]}
}

// withExponent reads the exponent at i of a number that begins at start.
func (r *Reader) withExponent(start, i int) Value {
	text := r.text
	if i < len(text) && (text[i] == '+' || text[i] == '-') {
		i++
	}
	first := i
	for i < len(text) && text[i]-'0' < 10 {
		i++
	}
	if r.at = i; i == first {
		r.fail("expected a digit in the exponent")
		return Value{}
	}
	return classify(text[start:i])
}

// classify tells Number from Digits: a Number's shortest decimal form is the same decimal number as its text.
func classify(text string) Value {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return Value{kind: Digits, text: text}
	}
	var received, held [64]byte
	var shortest [32]byte
	if string(appendNormal(received[:0], text)) != string(appendNormal(held[:0], string(strconv.AppendFloat(shortest[:0], f, 'e', -1, 64)))) {
		return Value{kind: Digits, text: text}
	}
	return Value{kind: Number, number: f, text: text}
}

// decimal is a JSON number taken apart: digits × 10^exponent, without zeros at either end of digits.
type decimal struct {
	digits   []byte
	exponent int64
	negative bool
}

// parseDecimal takes a valid JSON number apart, using room for the digits. It is false where the exponent has more
// than 17 digits.
func parseDecimal(room []byte, text string) (d decimal, ok bool) {
	i := 0
	if text[0] == '-' {
		d.negative = true
		i++
	}
	d.digits = room
	fraction := false
	for ; i < len(text) && text[i]|0x20 != 'e'; i++ {
		if text[i] == '.' {
			fraction = true
			continue
		}
		if fraction {
			d.exponent--
		}
		if len(d.digits) > 0 || text[i] != '0' {
			d.digits = append(d.digits, text[i])
		}
	}
	if len(d.digits) == 0 {
		return decimal{}, true
	}
	for n := len(d.digits); d.digits[n-1] == '0'; n-- {
		d.digits = d.digits[:n-1]
		d.exponent++
	}
	if i == len(text) {
		return d, true
	}
	e, err := strconv.ParseInt(text[i+1:], 10, 64)
	if err != nil || e > 1e17 || e < -1e17 {
		return decimal{}, false
	}
	d.exponent += e
	return d, true
}

// appendNormal writes a JSON number so that equal decimal numbers are equal texts; numbers with exponents beyond 10^17
// stay as they are.
func appendNormal(dst []byte, text string) []byte {
	var room [64]byte
	d, ok := parseDecimal(room[:0], text)
	switch {
	case !ok:
		return append(dst, text...)
	case len(d.digits) == 0:
		return append(dst, '0')
	case d.negative:
		dst = append(dst, '-')
	}
	return strconv.AppendInt(append(append(dst, d.digits...), 'e'), d.exponent, 10)
}

// Floor is the largest whole number that is not above v × 10^shift, exact in the digits as received. It is false for
// what is not a number and for what has more than 18 digits.
func (v Value) Floor(shift int) (n int64, ok bool) {
	if v.kind != Number && v.kind != Digits {
		return 0, false
	}
	if n, ok := v.whole(); ok && v.kind == Number && shift == 0 {
		return n, true
	}
	var room [64]byte
	d, ok := parseDecimal(room[:0], v.Text())
	if !ok {
		return 0, false
	}
	whole := int64(len(d.digits)) + d.exponent + int64(shift) // how many digits stand before the point
	if len(d.digits) == 0 {
		return 0, true
	}
	if whole > 18 {
		return 0, false
	}
	for i := range max(whole, 0) {
		n *= 10
		if i < int64(len(d.digits)) {
			n += int64(d.digits[i] - '0')
		}
	}
	if d.negative {
		n = -n
		if whole < int64(len(d.digits)) {
			n--
		}
	}
	return n, true
}

// appendFloat writes the shortest decimal form, as ECMAScript and encoding/json do.
func appendFloat(dst []byte, f float64) []byte {
	if math.Trunc(f) == f && math.Abs(f) < 1<<53 && !(f == 0 && math.Signbit(f)) {
		return strconv.AppendInt(dst, int64(f), 10)
	}
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}
