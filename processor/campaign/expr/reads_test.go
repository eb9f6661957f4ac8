package expr

import (
	"slices"
	"strings"
	"testing"
)

var reads = []struct {
	text, properties string
	all              bool
	lookups          []Lookup
}{
	{text: `true`},
	{text: `event.b == 1 && event.a > 2 || event["c d"] in event.b`, properties: "a b c d"},
	{text: `event?.a?.x == 1 && get(event, "b") == 2 && "c" in event && event != nil`, properties: "a b c"},
	{text: `event.items[0].sku == "x" && any(event.tags, # == event.t)`, properties: "items t tags"},
	{text: `event[user_id] == 1`, all: true},
	{text: `len(event) > 3`, all: true},
	{text: `let e = event; e.a == 1`, all: true},
	{text: `1 < event.a < 5`, properties: "a"},
	{text: `profile.x == profile["y"] && user_id == "u"`},
	{text: `count("A", "1d") > 1 && 5 > count("A", "24h")`, lookups: []Lookup{{Function: Count, Event: "A", Window: 24 * 3600_000}}},
	{text: `count("A", "1d") > 1 && count("A", "2d") > 1`, lookups: []Lookup{{Function: Count, Event: "A", Window: 24 * 3600_000},
		{Function: Count, Event: "A", Window: 48 * 3600_000}}},
	{text: `sum("A", "x", "500ms") > avg("A", "x", "90s") + min("A", "x", "30m") + max("B", "x", "2w")`, lookups: []Lookup{
		{Function: Sum, Event: "A", Property: "x", Window: 500}, {Function: Avg, Event: "A", Property: "x", Window: 90_000},
		{Function: Min, Event: "A", Property: "x", Window: 1800_000}, {Function: Max, Event: "B", Property: "x", Window: 14 * 24 * 3600_000}}},
	{text: `last("A").x == 1 && last("A")["y"] == 2 && last("A")?.time > now() && last("A") != nil && "z" in last("A") && get(last("A"), "g") == 1`,
		lookups: []Lookup{{Function: Last, Event: "A", Members: []string{"g", "x", "y", "z"}}}},
	{text: `first("A") == nil && last("A").time < now()`, lookups: []Lookup{{Function: First, Event: "A"}, {Function: Last, Event: "A"}}},
	{text: `last("A") == event`, all: true, lookups: []Lookup{{Function: Last, Event: "A", All: true}}},
	{text: `let l = last("A"); l.x == 1`, lookups: []Lookup{{Function: Last, Event: "A", All: true}}},
	{text: `last("A")[user_id] == 1`, lookups: []Lookup{{Function: Last, Event: "A", All: true}}},
	{text: `since("A") > duration("1d") && event.x == 1`, properties: "x", lookups: []Lookup{{Function: Since, Event: "A"}}},
	{text: `1 < count("A", "1ms") < 3`, lookups: []Lookup{{Function: Count, Event: "A", Window: 1}}},
}

func TestWhatAnExpressionReads(t *testing.T) {
	for _, c := range reads {
		p, wrong := Compile(c.text, Audience)
		if wrong != nil {
			t.Errorf("%s: %v", c.text, wrong)
			continue
		}
		properties, all := p.EventProperties()
		if strings.Join(properties, " ") != c.properties && strings.Join(properties, " ") != "c d "+c.properties || all != c.all {
			t.Errorf("%s: reads %q, all %v; expected %q, %v", c.text, properties, all, c.properties, c.all)
		}
		if len(p.Lookups()) != len(c.lookups) {
			t.Errorf("%s: %d lookups, expected %d", c.text, len(p.Lookups()), len(c.lookups))
			continue
		}
		for i, l := range p.Lookups() {
			want := c.lookups[i]
			if l.Function != want.Function || l.Event != want.Event || l.Property != want.Property || l.Window != want.Window || l.All != want.All ||
				!slices.Equal(l.Members, want.Members) {
				t.Errorf("%s: lookup %+v, expected %+v", c.text, *l, want)
			}
		}
	}
}

func TestPredicateOfCount(t *testing.T) {
	p, wrong := Compile(`count("A", "1d", 'event.amount > 50 && event.currency == "CAD"') > 0 && count("A", "1d", "event.amount > 60") > 0 && count("A", "1d") > 0`, Audience)
	if wrong != nil {
		t.Fatal(wrong)
	}
	if len(p.Lookups()) != 3 || p.Lookups()[2].Predicate != nil {
		t.Fatalf("lookups: %+v", p.Lookups())
	}
	predicate := p.Lookups()[0].Predicate
	if names, all := predicate.EventProperties(); !slices.Equal(names, []string{"amount", "currency"}) || all {
		t.Errorf("the predicate reads %q, %v", names, all)
	}
	for json, want := range map[string]bool{`{"amount":51,"currency":"CAD"}`: true, `{"amount":50,"currency":"CAD"}`: false, `{}`: false} {
		if got, err := predicate.True(&Env{Event: parsedObject(t, json), HasEvent: true}); got != want || err != nil {
			t.Errorf("%s: %v, %v", json, got, err)
		}
	}
}

// Each question is asked once a judgement, however often the expression needs its answer, and only if it does.
func TestEachQuestionOnce(t *testing.T) {
	p, wrong := Compile(`event.ask && any(1..50, count("A", "1d") == # && count("A", "1d") > 0) && last("B") == nil`, Audience)
	if wrong != nil {
		t.Fatal(wrong)
	}
	asked := map[*Lookup]int{}
	env := Env{Event: parsedObject(t, `{"ask":true}`), HasEvent: true, Look: func(l *Lookup) Answer {
		asked[l]++
		return Answer{Number: 40, OK: l.Function == Count}
	}}
	if ok, err := p.True(&env); !ok || err != nil || len(asked) != 2 || asked[p.Lookups()[0]] != 1 || asked[p.Lookups()[1]] != 1 {
		t.Errorf("%v, %v, asked %v", ok, err, asked)
	}
	clear(asked)
	env.Event = nil
	if ok, err := p.True(&env); ok || err != nil || len(asked) != 0 {
		t.Errorf("nothing to ask: %v, %v, asked %v", ok, err, asked)
	}
}
