package expr

import (
	"fmt"
	"strings"
	"testing"
)

// No expression and no event may take long or much.
func TestWorkIsBounded(t *testing.T) {
	for _, text := range []string{
		`len(1..1000001) > 0`,
		`len(0..9223372036854775807) > 0`,
		`len(-9223372036854775807..9223372036854775807) > 0`,
		`let n = event.n; len(1..n) > 0`,
		`let r = 1..100000; all(r, all(r, all(r, true)))`,
		`let r = 1..1000; all(r, all(r, all(r, event.n > 1)))`,
		`len(repeat("abc", event.n)) > 0`,
		`len(repeat(event.s, 100000)) > 0`,
		`len(replace(event.s, "", event.s)) > 0`,
		`len(replace(event.s, "x", event.s)) > 0`,
		`len(join(map(1..100000, "a"), event.s)) > 0`,
		`len(trim(event.s, event.u)) > 0`,
		`len(reduce(1..100000, #acc + event.s, "")) > 0`,
		`len(toJSON(reduce(1..100, [#acc, #acc], 0))) > 0`,
		`len(string(reduce(1..100, [#acc, #acc], 0))) > 0`,
		`len(flatten(reduce(1..100, [#acc, #acc], 0))) > 0`,
		`reduce(1..100, [#acc, #acc], 0) == reduce(1..100, [#acc, #acc], 0)`,
		`reduce(1..100, ({a: #acc, b: #acc}), 0) == reduce(1..100, ({a: #acc, b: #acc}), 0)`,
		`len(reduce(1..100, concat(#acc, #acc), [1])) > 0`,
		`len(uniq(map(1..2000, [#]))) > 0`,
		`any(1..100000, event.l == event.m)`,
		`any(1..100000, [#] in event.l)`,
		`event.s matches (event.u + event.u)`,
	} {
		p, wrong := Compile(text, Where)
		if wrong != nil {
			t.Errorf("%s: %v", text, wrong)
			continue
		}
		numbers := strings.Repeat("1,", 20_000) + "1"
		env := Env{HasEvent: true, Event: parsedObject(t, fmt.Sprintf(`{"n":900000000000,"s":%q,"u":%q,"l":[%s],"m":[%s]}`, strings.Repeat("x", 20_000),
			strings.Repeat("ä", 10_000)+"x", numbers, numbers+".5"))}
		if got, err := p.True(&env); err == nil || got {
			t.Errorf("%s: %v, %v; expected a failure", text, got, err)
		}
	}
}

// The checker visits the arguments of a function with several forms once for each, and the middle of a < b < c twice.
func TestNestingIsBounded(t *testing.T) {
	nested := func(open, inner, shut string, n int) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(shut, n)
	}
	for _, text := range []string{
		nested(`sort(`, "event.x", ")", 30) + " == nil",
		nested(`trim(`, "event.x", ")", 60) + " == nil",
		nested(`1 < (`, "event.x", ") < 2", 60),
		nested("(", "true", ")", 40_000),
		nested("[", "1", "]", 20_000) + " == nil",
		nested("!", "true", "", 20_000),
		nested("-", "1", "", 20_000) + " > 0",
		nested(`sort([`, "", "", 200),
		nested(`{"a":`, "1", "}", 10_000) + " == nil",
		nested("event[", "1", "]", 9_000) + " == nil",
		"event" + strings.Repeat(".a", 20_000) + " == nil",
		"true" + strings.Repeat(" && true", 9_000),
		"event.x in [" + strings.Repeat("1,", 9_000) + "1]",
		`event.x == "` + strings.Repeat("a", 70_000) + `"`,
		nested("if true {", "true", "} else {false}", 1_000),
		nested("let x = true;", "true", "", 3_000),
		nested("all([1], ", "true", ")", 2_000),
	} {
		p, wrong := Compile(text, Audience)
		if wrong == nil {
			if _, err := p.True(&Env{}); err != nil {
				t.Errorf("%.40s…: %v", text, err)
			}
		}
	}
	for _, text := range []string{nested(`sort(`, "event.x", ")", 30) + " == nil", nested(`1 < (`, "event.x", ") < 2", 60)} {
		refused(t, Audience, text, "1:1", "nested too deeply", "")
	}
	if _, wrong := Compile("event.x in ["+strings.Repeat(`"a",`, 9_000)+`"b"]`, Where); wrong != nil {
		t.Errorf("a long list: %v", wrong)
	}
}

// A panic in Look is the caller's own and comes through; the next judgement is not touched by it.
func TestPanicInLook(t *testing.T) {
	p, wrong := Compile(`count("A", "1d") == 0 && event.x == nil`, Audience)
	if wrong != nil {
		t.Fatal(wrong)
	}
	func() {
		defer func() {
			if r := recover(); r != "lost" {
				t.Errorf("recovered %v", r)
			}
		}()
		_, err := p.True(&Env{Look: func(*Lookup) Answer { panic("lost") }})
		t.Errorf("no panic, error %v", err)
	}()
	if ok, err := p.True(&Env{Look: func(*Lookup) Answer { return Answer{} }}); !ok || err != nil {
		t.Errorf("after it: %v, %v", ok, err)
	}
}

// Look may judge predicates while the expression is being judged.
func TestJudgementInsideJudgement(t *testing.T) {
	p, wrong := Compile(`let n = 5; count("A", "1d", 'let m = event.x; m == 2') == 1 && n == 5`, Audience)
	if wrong != nil {
		t.Fatal(wrong)
	}
	env := Env{Look: func(l *Lookup) (a Answer) {
		for _, json := range []string{`{"x":1}`, `{"x":2}`, `{}`} {
			if ok, err := l.Predicate.True(&Env{Event: parsedObject(t, json), HasEvent: true}); ok && err == nil {
				a.Number++
			}
		}
		return a
	}}
	if ok, err := p.True(&env); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
}

// Look may even judge with the Env that it was asked for.
func TestJudgementWithOneEnv(t *testing.T) {
	p, wrong := Compile(`event.x == 1 && count("A", "1d", 'event.x == 1') == 1 && event.x == 1`, Audience)
	if wrong != nil {
		t.Fatal(wrong)
	}
	env := Env{Event: parsedObject(t, `{"x":1}`), HasEvent: true}
	env.Look = func(l *Lookup) (a Answer) {
		if ok, err := l.Predicate.True(&env); ok && err == nil {
			a.Number = 1
		}
		return a
	}
	if ok, err := p.True(&env); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
}

func TestConcurrentUse(t *testing.T) {
	p, wrong := Compile(`let x = event.x; any(1..10, # == x) && count("A", "1d") == x && event.s matches "^a"`, Audience)
	if wrong != nil {
		t.Fatal(wrong)
	}
	for i := range 4 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			env := Env{HasEvent: true, Event: parsedObject(t, fmt.Sprintf(`{"x":%d,"s":"abc"}`, i+1)), Look: func(*Lookup) Answer { return Answer{Number: float64(i + 1)} }}
			for range 1000 {
				if ok, err := p.True(&env); !ok || err != nil {
					t.Fatalf("%v, %v", ok, err)
				}
			}
		})
	}
}
