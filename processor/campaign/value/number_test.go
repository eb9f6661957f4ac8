package value

import (
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

func TestNumberKinds(t *testing.T) {
	for text, kind := range map[string]Kind{
		"0": Number, "-0": Number, "0.0": Number, "0e400": Number, "-0.000e-999": Number,
		"1": Number, "-1": Number, "1.0": Number, "0.1": Number, "129.95": Number, "1E3": Number, "1e-7": Number,
		"123456789012345":                Number,
		"1234567890123456":               Number, // below 2^53
		"9007199254740993":               Digits, // 2^53 + 1
		"9007199254740992":               Number,
		"12345678901234567":              Digits,
		"12345678901234568":              Number, // the shortest form of its double
		"100000000000000000000000":       Number,
		"0.1000000000000000000000":       Number,
		"0.10000000000000001":            Digits,
		"3.141592653589793":              Number,
		"3.14159265358979323846":         Digits,
		"1e400":                          Digits,
		"-1e400":                         Digits,
		"1e-400":                         Digits,
		"5e-324":                         Number,
		"4.9e-324":                       Digits,
		"1.7976931348623157e308":         Number,
		"1e99999999999999999999":         Digits,
		"1e-99999999999999999999":        Digits,
		"0.00000000000000000000001":      Number,
		"0.0000000000000000000000123456": Number,
	} {
		v := mustParse(t, text)
		if v.Kind() != kind {
			t.Errorf("%s is %d, want %d", text, v.Kind(), kind)
		}
		if string(v.Append(nil)) != text || v.Text() != text {
			t.Errorf("%s is written %s, its text is %s", text, v.Append(nil), v.Text())
		}
	}
}

func TestNumberValueIsThatOfStrconv(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		f := math.Float64frombits(random.Uint64())
		if math.IsNaN(f) || math.IsInf(f, 0) {
			continue
		}
		short := math.Round(random.NormFloat64()*1e6) / 100
		for _, want := range []float64{f, short, math.Trunc(short * 1e5)} {
			for _, format := range []byte{'e', 'f', 'g'} {
				text := strconv.FormatFloat(want, format, -1, 64)
				got, ok := mustParse(t, text).Float()
				if !ok || math.Float64bits(got) != math.Float64bits(want) {
					t.Fatalf("%s is %v, %v", text, got, ok)
				}
			}
		}
	}
}

func TestOfNumberIsWrittenShortest(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0", 1: "1", -17: "-17", 12.5: "12.5", 0.1: "0.1", 1e21: "1e+21", 1e20: "100000000000000000000", 1e-7: "1e-07",
		1 << 53: "9007199254740992", 1<<53 - 1: "9007199254740991",
	} {
		v := OfNumber(f)
		if v.Text() != want || string(v.Append(nil)) != want {
			t.Errorf("%v is written %s", f, v.Text())
		}
		if !Equal(v, mustParse(t, want)) {
			t.Errorf("%v does not equal what it is written as", f)
		}
	}
	if got := OfNumber(math.Copysign(0, -1)).Text(); got != "-0" {
		t.Errorf("-0 is written %s", got)
	}
}

func TestFloor(t *testing.T) {
	for _, c := range []struct {
		text  string
		shift int
		want  int64
		ok    bool
	}{
		{"0", 3, 0, true},
		{"-0.0", 0, 0, true},
		{"1764000000.123", 3, 1764000000123, true},
		{"1764000000.1239", 3, 1764000000123, true},
		{"1764000000.12300000000000000000001", 3, 1764000000123, true},
		{"-1.0005", 3, -1001, true},
		{"-1.5", 0, -2, true},
		{"-2", 0, -2, true},
		{"1e3", 0, 1000, true},
		{"1.5e3", 0, 1500, true},
		{"12345e-2", 0, 123, true},
		{"0.0009", 3, 0, true},
		{"-0.0009", 3, -1, true},
		{"1e-999999999999", 3, 0, true},
		{"999999999999999999", 0, 999999999999999999, true},
		{"1000000000000000000", 0, 0, false},
		{"1e400", 0, 0, false},
		{"1e999999999999999999999", 0, 0, false},
		{`"5"`, 0, 0, false},
		{`null`, 0, 0, false},
		{`true`, 0, 0, false},
	} {
		if n, ok := mustParse(t, c.text).Floor(c.shift); n != c.want || ok != c.ok {
			t.Errorf("floor(%s × 10^%d) = %d, %v; want %d, %v", c.text, c.shift, n, ok, c.want, c.ok)
		}
	}
	if n, ok := OfNumber(1764000000.5).Floor(3); n != 1764000000500 || !ok {
		t.Errorf("floor(1764000000.5 × 10^3) = %d, %v", n, ok)
	}
}

// randomNumber writes a JSON number with many digits, zeros at its ends and any exponent.
func randomNumber(random *rand.Rand) string {
	digits := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "0001234567899"[random.IntN(13)]
		}
		return string(b)
	}
	text := []string{"", "-"}[random.IntN(2)]
	if whole := strings.TrimLeft(digits(random.IntN(24)), "0"); whole == "" {
		text += "0"
	} else {
		text += whole
	}
	if random.IntN(2) == 0 {
		text += "." + digits(1+random.IntN(24))
	}
	if random.IntN(2) == 0 {
		text += []string{"e", "E", "e+", "e-"}[random.IntN(4)] + digits(1+random.IntN(3))
	}
	return text
}

// Rationals are the dumb twin of the number rules.
func TestNumbersAgainstRationals(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	rational := func(text string) *big.Rat {
		r, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("no rational: %s", text)
		}
		return r
	}
	for range 400 {
		text := randomNumber(random)
		v, exact := mustParse(t, text), rational(text)
		f, err := strconv.ParseFloat(text, 64)
		holds := err == nil && rational(strconv.FormatFloat(f, 'e', -1, 64)).Cmp(exact) == 0
		if holds != (v.Kind() == Number) || holds == (v.Kind() == Digits) {
			t.Fatalf("%s is %d; a double holds it: %v", text, v.Kind(), holds)
		}
		scaled := new(big.Rat).Mul(exact, rational("1000"))
		floor := new(big.Int).Div(scaled.Num(), scaled.Denom()) // Euclidean, the denominator is positive
		fits := len(new(big.Int).Quo(scaled.Num(), scaled.Denom()).Text(10)) <= 18
		n, ok := v.Floor(3)
		if fits && (!ok || floor.Int64() != n) {
			t.Fatalf("floor(%s × 1000) = %d, %v; want %s", text, n, ok, floor)
		}
		// The same number and a neighbour, written otherwise.
		for _, power := range []int64{-2, 0, 3} {
			again := new(big.Rat).Mul(exact, rational("1e"+strconv.FormatInt(power, 10)))
			written := again.FloatString(200) + "e" + strconv.FormatInt(-power, 10)
			if rational(written).Cmp(exact) == 0 && !Equal(v, mustParse(t, written)) {
				t.Fatalf("%s does not equal %s", text, written)
			}
			if near := again.FloatString(200) + "1e" + strconv.FormatInt(-power, 10); Equal(v, mustParse(t, near)) {
				t.Fatalf("%s equals %s", text, near)
			}
		}
	}
}
