package expr

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tripline/tripline/processor/campaign/value"
)

// equal is ==: numbers as numbers, lists element by element, maps key by key, nil only with nil, unlike types never.
func (f *frame) equal(a, b operand) bool {
	switch {
	case a.isNil() && b.isNil():
		return true
	case a.kind == kindJSON && b.kind == kindJSON:
		x, y := a.ref.(value.Value), b.ref.(value.Value)
		return f.spend((len(x.Text())+len(y.Text()))/4) && value.Equal(x, y)
	case a.isNumber() && b.isNumber():
		return equalNumbers(a, b)
	case a.kind == kindDigits || b.kind == kindDigits:
		return equalDigits(a, b)
	case a.isList() && b.isList():
		return f.equalLists(a, b)
	case a.isMap() && b.isMap():
		return f.equalMaps(a, b)
	case a.kind != b.kind:
		return false
	}
	switch a.kind {
	case kindBool, kindDuration:
		return a.bits == b.bits
	case kindString:
		return a.text == b.text
	case kindTime:
		return a.ref.(time.Time).Equal(b.ref.(time.Time))
	case kindOther:
		return a.ref == b.ref
	}
	return false
}

func equalNumbers(a, b operand) bool {
	switch {
	case a.kind == kindInt && b.kind == kindInt:
		return a.bits == b.bits
	case a.kind == kindFloat && b.kind == kindFloat:
		return a.float() == b.float()
	case a.kind == kindFloat:
		a, b = b, a
	}
	if a.bits <= safe && a.bits >= -safe {
		return float64(a.bits) == b.float()
	}
	f, held := decimal(strconv.FormatInt(a.bits, 10)).Float()
	return held && f == b.float()
}

// equalDigits compares two numbers of which at least one has more digits than a double holds.
func equalDigits(a, b operand) bool {
	if a.kind != kindDigits {
		a, b = b, a
	}
	switch b.kind {
	case kindDigits:
		return value.Equal(decimal(a.text), decimal(b.text))
	case kindInt:
		return (b.bits > safe || b.bits < -safe) && value.Equal(decimal(a.text), decimal(strconv.FormatInt(b.bits, 10)))
	}
	return false
}

// decimal is a JSON number with its digits.
func decimal(text string) value.Value {
	v, err := value.Parse([]byte(text))
	if err != nil {
		return value.Value{}
	}
	return v
}

func (f *frame) equalLists(a, b operand) bool {
	x, _ := f.elements(a)
	y, _ := f.elements(b)
	if len(x) != len(y) || !f.spend(len(x)) {
		return false
	}
	for i := range x {
		if !f.equal(x[i], y[i]) {
			return false
		}
	}
	return true
}

func (f *frame) equalMaps(a, b operand) bool {
	x, ok := f.dictionary(a)
	y, alsoOK := f.dictionary(b)
	if !ok || !alsoOK || len(x.keys) != len(y.keys) || !f.spend(len(x.keys)) {
		return false
	}
	for i, key := range x.keys {
		if v, has := y.get(key); !has || !f.equal(x.values[i], v) {
			return false
		}
	}
	return true
}

// order is -1, 0 or 1 for two numbers, strings (by their bytes), times or durations; nothing else has an order.
func order(a, b operand) (c int, ok bool) {
	switch {
	case a.kind == kindInt && b.kind == kindInt:
		return cmp.Compare(a.bits, b.bits), true
	case a.isNumber() && b.isNumber():
		x, y := a.float(), b.float()
		return cmp.Compare(x, y), !math.IsNaN(x) && !math.IsNaN(y)
	case a.kind != b.kind:
		return 0, false
	}
	switch a.kind {
	case kindString:
		return strings.Compare(a.text, b.text), true
	case kindDuration:
		return cmp.Compare(a.bits, b.bits), true
	case kindTime:
		return a.ref.(time.Time).Compare(b.ref.(time.Time)), true
	}
	return 0, false
}

// fitting says of one of < <= > >= whether the orders -1, 0 and 1 fit it.
func fitting(operator string) [3]bool {
	return [3]bool{operator[0] == '<', len(operator) == 2, operator[0] == '>'}
}

// in says whether a list has an element equal to o, or a map the key o. It is false in everything else.
func (f *frame) in(o, collection operand) bool {
	if collection.isList() {
		elements, _ := f.elements(collection)
		for i := range elements {
			if !f.spend(1) {
				return false
			}
			if f.equal(elements[i], o) {
				return true
			}
		}
		return false
	}
	if collection.kind == kindMap {
		_, ok := collection.ref.(*dictionary).get(o)
		return ok
	}
	if o.kind != kindString {
		return false
	}
	p, ok := f.properties(collection)
	if whole, isObject := collection.ref.(*object); isObject && whole.timed && o.text == "time" {
		return true
	}
	return ok && p.Has(o.text)
}

// contains, startsWith, endsWith: false for all but two strings.
var onStrings = map[string]func(s, part string) bool{
	"contains":   strings.Contains,
	"startsWith": strings.HasPrefix,
	"endsWith":   strings.HasSuffix,
}
