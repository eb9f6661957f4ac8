package liquid

import (
	"math"
	"math/bits"

	"github.com/tripline/tripline/processor/campaign/value"
)

var numberFilters = map[string]*filter{
	"abs": onNumber(func(n value.Value) Value {
		if i, ok := asWhole(n); ok && i > math.MinInt64 {
			return whole(max(i, -i))
		}
		return ofFloat(math.Abs(asFloat(n)))
	}),
	"at_least":   chosen(func(order int) bool { return order < 0 }),
	"at_most":    chosen(func(order int) bool { return order > 0 }),
	"ceil":       onNumber(rounded(math.Ceil)),
	"divided_by": {apply: dividedBy, least: 1, most: 1},
	"floor":      onNumber(rounded(math.Floor)),
	"minus":      arithmetic(subtracted, func(a, b float64) float64 { return a - b }),
	"modulo":     {apply: modulo, least: 1, most: 1},
	"plus":       arithmetic(added, func(a, b float64) float64 { return a + b }),
	"round":      {apply: round, least: 0, most: 1},
	"times":      arithmetic(multiplied, func(a, b float64) float64 { return a * b }),
}

// ofFloat is a number without a fraction where it has none; what JSON cannot say is nothing.
func ofFloat(f float64) Value {
	v := value.OfNumber(f)
	if v.IsNil() {
		return nil
	}
	return v
}

func onNumber(f func(value.Value) Value) *filter {
	return &filter{apply: func(c *call) (Value, error) { return f(asNumber(c.in)), nil }}
}

func rounded(by func(float64) float64) func(value.Value) Value {
	return func(n value.Value) Value {
		if _, ok := asWhole(n); ok {
			return n
		}
		return ofFloat(by(asFloat(n)))
	}
}

// chosen is the argument if the input stands to it so, else the input.
func chosen(take func(order int) bool) *filter {
	return &filter{least: 1, most: 1, apply: func(c *call) (Value, error) {
		in, bound := asNumber(c.in), asNumber(c.arg(0))
		if order, ok := value.Compare(in, bound); ok && take(order) {
			return bound, nil
		}
		return in, nil
	}}
}

// arithmetic computes with whole numbers while they fit, else with floats.
func arithmetic(exact func(a, b int64) (n int64, ok bool), float func(a, b float64) float64) *filter {
	return &filter{least: 1, most: 1, apply: func(c *call) (Value, error) {
		a, b := asNumber(c.in), asNumber(c.arg(0))
		if x, ok := asWhole(a); ok {
			if y, ok := asWhole(b); ok {
				if n, ok := exact(x, y); ok {
					return whole(n), nil
				}
			}
		}
		return ofFloat(float(asFloat(a), asFloat(b))), nil
	}}
}

func added(a, b int64) (int64, bool) {
	n := a + b
	return n, (n > a) == (b > 0)
}

func subtracted(a, b int64) (int64, bool) {
	n := a - b
	return n, (n < a) == (b > 0)
}

func multiplied(a, b int64) (int64, bool) {
	if a == math.MinInt64 || b == math.MinInt64 {
		return 0, false
	}
	high, low := bits.Mul64(uint64(max(a, -a)), uint64(max(b, -b)))
	return a * b, high == 0 && low <= math.MaxInt64
}

// dividedBy divides; whole numbers give a whole number, rounded down.
func dividedBy(c *call) (Value, error) {
	a, b := asNumber(c.in), asNumber(c.arg(0))
	if asFloat(b) == 0 {
		return nil, c.fault("divided by 0")
	}
	x, ok := asWhole(a)
	y, ok2 := asWhole(b)
	if !ok || !ok2 || x == math.MinInt64 {
		return ofFloat(asFloat(a) / asFloat(b)), nil
	}
	q := x / y
	if x%y != 0 && (x < 0) != (y < 0) {
		q--
	}
	return whole(q), nil
}

// modulo has the sign of the divisor.
func modulo(c *call) (Value, error) {
	a, b := asNumber(c.in), asNumber(c.arg(0))
	if asFloat(b) == 0 {
		return nil, c.fault("divided by 0")
	}
	x, ok := asWhole(a)
	y, ok2 := asWhole(b)
	if ok && ok2 && y != -1 {
		m := x % y
		if m != 0 && (m < 0) != (y < 0) {
			m += y
		}
		return whole(m), nil
	}
	m := math.Mod(asFloat(a), asFloat(b))
	if m != 0 && (m < 0) != (asFloat(b) < 0) {
		m += asFloat(b)
	}
	return ofFloat(m), nil
}

// round rounds half away from zero, to so many digits behind the point.
func round(c *call) (Value, error) {
	n := asNumber(c.in)
	digits := c.number(0, 0)
	if _, ok := asWhole(n); ok && digits >= 0 {
		return n, nil
	}
	f := asFloat(n)
	if digits > 15 {
		return n, nil
	}
	scale := math.Pow(10, float64(max(-300, digits)))
	if scaled := f * scale; !math.IsInf(scaled, 0) {
		return ofFloat(math.Round(scaled) / scale), nil
	}
	return n, nil
}
