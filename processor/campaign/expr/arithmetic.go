package expr

import (
	"math"
	"math/bits"
	"time"
)

// calculate is an arithmetic operator, one of + - * / % ^, over two operands; at is where the text has it. What is nil, or has more digits
// than can be calculated with, makes the result nil.
func (f *frame) calculate(at int, operator byte, a, b operand) operand {
	if a.unknown() || b.unknown() {
		return operand{}
	}
	var result operand
	switch {
	case a.isNumber() && b.isNumber():
		result = calculateNumbers(operator, a, b)
	case operator == '+' && a.kind == kindString && b.kind == kindString:
		if f.spend((len(a.text) + len(b.text)) / 16) {
			result = ofString(a.text + b.text)
		}
	default:
		result = calculateTimes(operator, a, b)
	}
	switch {
	case result.kind != kindNil:
		return result
	case operator == '%' && b.kind == kindInt && b.bits == 0:
		return f.fail(at, "integer divide by zero")
	case operator == '%' && a.isNumber() && b.isNumber():
		return f.fail(at, "%% needs whole numbers")
	}
	return f.fail(at, "%c is not defined on %s and %s", operator, a.kind, b.kind)
}

// calculateNumbers is nil where % has no result.
func calculateNumbers(operator byte, a, b operand) operand {
	if a.kind == kindInt && b.kind == kindInt {
		if n, ok := calculateWhole(operator, a.bits, b.bits); ok {
			return ofInt(n)
		}
	}
	x, y := a.float(), b.float()
	switch operator {
	case '+':
		return ofFloat(x + y)
	case '-':
		return ofFloat(x - y)
	case '*':
		return ofFloat(x * y)
	case '/':
		return ofFloat(x / y)
	case '%':
		return operand{}
	}
	return ofFloat(math.Pow(x, y))
}

// calculateWhole is false where the result is not a whole number of 64 bits.
func calculateWhole(operator byte, x, y int64) (n int64, ok bool) {
	switch operator {
	case '+':
		n = x + y
		return n, (x^n)&(y^n) >= 0
	case '-':
		n = x - y
		return n, (x^y)&(x^n) >= 0
	case '*':
		return multiply(x, y)
	case '%':
		if y == 0 {
			return 0, false
		}
		return x % y, true
	}
	return 0, false
}

func multiply(x, y int64) (n int64, ok bool) {
	high, low := bits.Mul64(magnitude(x), magnitude(y))
	if high != 0 || low > math.MaxInt64 {
		return 0, false
	}
	if (x < 0) != (y < 0) {
		return -int64(low), true
	}
	return int64(low), true
}

func magnitude(x int64) uint64 {
	if x < 0 {
		return -uint64(x)
	}
	return uint64(x)
}

// calculateTimes is nil where the operator has no meaning for the two.
func calculateTimes(operator byte, a, b operand) operand {
	switch {
	case a.kind == kindTime && b.kind == kindDuration && (operator == '+' || operator == '-'):
		d := time.Duration(b.bits)
		if operator == '-' {
			d = -d
		}
		return ofTime(a.ref.(time.Time).Add(d))
	case a.kind == kindDuration && b.kind == kindTime && operator == '+':
		return ofTime(b.ref.(time.Time).Add(time.Duration(a.bits)))
	case a.kind == kindTime && b.kind == kindTime && operator == '-':
		return ofDuration(a.ref.(time.Time).Sub(b.ref.(time.Time)))
	case a.kind == kindDuration && b.kind == kindDuration && operator != '/' && operator != '%' && operator != '^':
		if n, ok := calculateWhole(operator, a.bits, b.bits); ok {
			return ofDuration(time.Duration(n))
		}
		return ofDuration(saturated(calculateNumbers(operator, ofInt(a.bits), ofInt(b.bits)).float()))
	case operator == '*' && a.kind == kindDuration && b.isNumber():
		return ofDuration(scaled(a, b))
	case operator == '*' && a.isNumber() && b.kind == kindDuration:
		return ofDuration(scaled(b, a))
	}
	return operand{}
}

// scaled is d × n, cut to the longest duration there is.
func scaled(d, n operand) time.Duration {
	if n.kind == kindInt {
		if product, ok := multiply(d.bits, n.bits); ok {
			return time.Duration(product)
		}
	}
	return saturated(float64(d.bits) * n.float())
}

// saturated is a duration of so many ns, the longest there is where they are more.
func saturated(ns float64) time.Duration {
	switch {
	case math.IsNaN(ns):
		return 0
	case ns >= math.MaxInt64:
		return math.MaxInt64
	case ns <= math.MinInt64:
		return math.MinInt64
	}
	return time.Duration(ns)
}

func (f *frame) negate(at int, o operand) operand {
	switch {
	case o.unknown():
		return operand{}
	case o.kind == kindInt && o.bits != math.MinInt64:
		return ofInt(-o.bits)
	case o.isNumber():
		return ofFloat(-o.float())
	}
	return f.fail(at, "- is not defined on %s", o.kind)
}

// span is a..b, both included. Ends are cut to whole numbers.
func (f *frame) span(at int, a, b operand) operand {
	if a.unknown() || b.unknown() {
		return operand{}
	}
	from, ok := a.whole()
	to, alsoOK := b.whole()
	if !ok || !alsoOK {
		return f.fail(at, ".. is not defined on %s and %s", a.kind, b.kind)
	}
	if to < from {
		return ofList(nil)
	}
	if size := uint64(to) - uint64(from); size >= budget || !f.spend(int(size)+1) {
		return f.fail(at, "a range of more than %d numbers", budget)
	}
	all := make([]operand, to-from+1)
	for i := range all {
		all[i] = ofInt(int64(from + i))
	}
	return ofList(all)
}
