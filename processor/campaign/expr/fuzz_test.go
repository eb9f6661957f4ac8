package expr

import (
	"math/rand"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tripline/tripline/processor/campaign/value"
)

// Neither a text nor an event makes compiling or judging panic, not even inside the recoveries around them, and a
// judgement is the same each time.
func FuzzCompile(f *testing.F) {
	event := `{"n":3,"s":"CAD","l":[1,2.5,"x"],"o":{"a":{"b":null}},"big":12345678901234567,"b":true}`
	for seed := range int64(40) {
		f.Add((&writer{Rand: rand.New(rand.NewSource(seed))}).boolean(3), event, true)
	}
	for _, text := range []string{`event.amount >= 50 && event.currency == "CAD"`, `count("Charged", "90d", 'event.amount > 50') == 0`, `last("A")?.x[1:].y()`,
		`let x = event.l; x | filter(# > 1) | map({let y = #; y * 2}) | ::sum() > 3`, `1 < event.n < 5`, `if true {1} else if false {2} else {3}`,
		"`a``b` == 'a' ? b\"x\" : {a: [1..3], (\"b\"): -0x1F}", `date("2026-01-01").In(timezone("UTC")).Weekday() in [nil]`, `$env.event ?? ::now()`} {
		f.Add(text, event, false)
	}
	f.Fuzz(func(t *testing.T, text, json string, audience bool) {
		scope := Where
		if audience {
			scope = Audience
		}
		p, wrong := Compile(text, scope)
		if wrong != nil {
			if strings.Contains(wrong.Message, "cannot be understood") {
				t.Fatalf("%q: %v", text, wrong)
			}
			lines := strings.Count(text, "\n") + 1
			if wrong.Line < 1 || wrong.Line > lines || wrong.Column < 1 || wrong.Column > utf8.RuneCountInString(text)+1 || wrong.Message == "" {
				t.Fatalf("%q: position of %v", text, wrong)
			}
			return
		}
		properties, err := value.ParseObject([]byte(json))
		if err != nil {
			properties = nil
		}
		env := Env{Event: properties, HasEvent: err == nil, Profile: properties, User: "u", Now: 1764000000000, Look: func(l *Lookup) Answer {
			return Answer{Number: float64(len(l.Event)), OK: len(l.Event) != 1, Event: properties, Time: 1763000000000}
		}}
		holds, failed := p.True(&env)
		if failed != nil && (holds || strings.Contains(failed.Error(), "cannot be evaluated")) {
			t.Fatalf("%q: %v, %v", text, holds, failed)
		}
		again, failedAgain := p.True(&env)
		if again != holds || (failedAgain == nil) != (failed == nil) {
			t.Fatalf("%q: %v, %v, then %v, %v", text, holds, failed, again, failedAgain)
		}
	})
}

// The differential test on any seed.
func FuzzEqualToVirtualMachine(f *testing.F) {
	f.Add(int64(-1))
	f.Fuzz(func(t *testing.T, seed int64) {
		var c comparison
		c.run(t, seed, 4)
	})
}
