package expr

import (
	"testing"
)

func BenchmarkTrue(b *testing.B) {
	for _, bench := range []struct{ name, text string }{
		{"two comparisons", `event.amount >= 50 && event.currency == "CAD"`},
		{"missing", `event.coupon != nil && event.coupon.code == "X"`},
		{"in list", `event.currency in ["USD", "EUR", "CAD"]`},
		{"matches", `event.currency matches "^C.D$"`},
		{"arithmetic", `event.amount * event.qty - 10 > 50`},
		{"count", `profile.country == "CA" && count("Charged", "90d") == 3`},
		{"last", `last("Charged").amount > 50 && since("Charged") > duration("1d")`},
		{"lower", `lower(event.currency) == "cad"`},
		{"any", `any(event.items, .price > 50)`},
		{"nested", `event.address.geo.lat > 45`},
	} {
		b.Run(bench.name, func(b *testing.B) {
			p, wrong := Compile(bench.text, Audience)
			if wrong != nil {
				b.Fatal(wrong)
			}
			env := shop(b)
			answer := env.Look(&Lookup{Function: Last, Event: "Charged"})
			answer.Number = 3
			env.Look = func(*Lookup) Answer { return answer }
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.True(env); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, wrong := Compile(`profile.country == "CA" && count("Charged", "90d", 'event.amount > 50') == 0`, Audience); wrong != nil {
			b.Fatal(wrong)
		}
	}
}

// Simple conditions are judged for every event: they must leave nothing to collect. (Lookups take their room from a
// pool, which the race detector makes forgetful.)
func TestNoAllocation(t *testing.T) {
	env := shop(t)
	answer := Answer{Number: 3, OK: true}
	env.Look = func(*Lookup) Answer { return answer }
	for _, text := range []string{
		`event.amount >= 50 && event.currency == "CAD"`,
		`event.currency in ["USD", "EUR", "CAD"] && event.qty in [1, 2, 3]`,
		`event.coupon == nil || event.amount * event.qty > 10`,
		`event.currency contains "A" and event.currency matches "^C.D$"`,
		`!(event.qty % 2 == 0) ? event.paid : user_id == "u"`,
	} {
		p, wrong := Compile(text, Audience)
		if wrong != nil {
			t.Fatal(wrong)
		}
		if n := testing.AllocsPerRun(1000, func() { p.True(env) }); n > 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
}
