package expr

import (
	"slices"
	"strings"
	"testing"
)

// refused tests that text is refused in scope at line:column, with words in the message and a suggestion.
type refused struct {
	text, at, words, suggestion string
}

func (want refused) test(t *testing.T, scope Scope) {
	t.Helper()
	_, wrong := Compile(want.text, scope)
	switch {
	case wrong == nil:
		t.Errorf("%s: accepted", want.text)
	case !strings.HasPrefix(wrong.Error(), want.at+": ") || !strings.Contains(wrong.Message, want.words) || wrong.Suggestion != want.suggestion:
		t.Errorf("%s:\n%v, suggestion %q; expected %s: …%s…, suggestion %q", want.text, wrong, wrong.Suggestion, want.at, want.words, want.suggestion)
	case strings.ContainsAny(wrong.Message, "\n"):
		t.Errorf("%s: the message has several lines: %q", want.text, wrong.Message)
	}
}

func TestRefusedInAudience(t *testing.T) {
	for _, want := range []refused{
		// names
		{`cuont("Charged", "90d") > 1`, "1:1", `no function "cuont"`, "count"},
		{`profil.x == 1`, "1:1", `no "profil"`, "profile"},
		{`event.x == 1 && evnet.y == 2`, "1:17", `no "evnet"`, "event"},
		{`amount > 50`, "1:1", `no "amount"`, "event.amount"},
		{`userid == "u"`, "1:1", `no "userid"`, "user_id"},
		{`event.x == null`, "1:12", `no "null"`, "nil"},
		{`event.x == True`, "1:12", `no "True"`, "true"},
		{`lenght(event.tags) > 1`, "1:1", `no function "lenght"`, "len"},
		{`uper(event.x) == "A"`, "1:1", `no function "uper"`, "upper"},
		{`now > date("2026-01-01")`, "1:1", "now is a function", "now()"},
		{`count > 5`, "1:1", "count is a function", "count()"},
		{`now().Huor() == 1`, "1:7", `no method "Huor"`, "Hour"},
		{`now().Local().Hour() == 1`, "1:7", `no method "Local"`, ""},
		{`event.x.foo()`, "1:9", `no method "foo"`, ""},
		{`$env["profile"].x == 1`, "1:1", `no "$env"`, ""},
		{`event.tags[zzz:] == nil`, "1:12", `no "zzz"`, "event.zzz"},
		{`let f = event.x; f() == 1`, "1:18", `no function "f"`, ""},
		{`any(event.tags, #foo == 1)`, "1:17", "unknown pointer", ""},
		{`# == 1`, "1:1", "unexpected #", ""},
		// operators
		{`event.x = 5`, "1:9", "unexpected =", "=="},
		{`event.x === 5`, "1:11", "unexpected =", "=="},
		{`event.x <> 5`, "1:10", "unexpected >", ""},
		{`event.x == 1 & event.y == 2`, "1:14", "unexpected &", "&&"},
		{`event.x == 1 AND event.y == 2`, "1:14", "unexpected AND", "and"},
		{`event.x == 1 OR event.y == 2`, "1:14", "unexpected OR", "or"},
		{`event.x startswith "a"`, "1:9", "unexpected startswith", "startsWith"},
		{`event.x LIKE "a"`, "1:9", "unexpected LIKE", "contains"},
		{`event.x == “a”`, "1:12", "unexpected character", `"`},
		// an expression that is not whole
		{``, "1:1", "expected an expression", ""},
		{" \n", "1:1", "expected an expression", ""},
		{"\xff", "1:1", "UTF-8", ""},
		{`event.x ==`, "1:11", "ends too early", ""},
		{"event.x == 1 &&\n  (event.y", "2:11", "ends too early", ""},
		{`event.x == "a`, "1:14", "closing quote", ""},
		{"event.ä == 1 &&\nfoo > 1", "2:1", `no "foo"`, "event.foo"},
		// types known to differ
		{`"5" == 5`, "1:5", "between a string and a number", "5"},
		{`since("A") > "3d"`, "1:12", "between a duration and a string", `duration("3d")`},
		{`since("A") > 3`, "1:12", "between a duration and a number", ""},
		{`count("A", "7d") == "3"`, "1:18", "between a number and a string", "3"},
		{`sum("A", "x", "7d") > "3"`, "1:21", "between a number and a string", "3"},
		{`last("A").time > "2026-01-01"`, "1:16", "between a time and a string", `date("2026-01-01")`},
		{`last("A") == 5`, "1:11", "between an object and a number", ""},
		{`user_id == 5`, "1:9", "between a string and a number", ""},
		{`event == "x"`, "1:7", "between an object and a string", ""},
		{`event.x + 1 == "a" + 1`, "1:20", "between a string and a number", ""},
		{`!user_id`, "1:1", "! is not defined on a string", ""},
		{`user_id && true`, "1:9", "between a string and a boolean", ""},
		{`count("A", "7d") ? true : false`, "1:1", "the condition before ?", ""},
		{`event.paid < true`, "1:12", "between a value of any type and a boolean", ""},
		{`now().Weekday() == 2`, "1:17", "between a weekday and a number", "int(… .Weekday())"},
		{`now().Month() == "May"`, "1:15", "between a month and a string", "Month().String()"},
		{`now().Hour == 2`, "1:12", "not called", "Hour()"},
		{`upper(5) == "A"`, "1:7", "cannot use a number as argument (a string)", ""},
		{`filter(user_id, true) == nil`, "1:8", "only a list", ""},
		{`filter(event.tags, 5) == nil`, "1:20", "the predicate is not", ""},
		{`upper() == "A"`, "1:1", "needs more", ""},
		{`upper("a", "b") == "A"`, "1:1", "takes fewer", ""},
		{`event[5] == 1`, "1:7", "cannot use a number", ""},
		{`let event = 1; event == 1`, "1:5", "cannot redeclare", ""},
		// no condition
		{`count("A", "7d")`, "1:1", "found a number", ""},
		{`"a"`, "1:1", "found a string", ""},
		{`nil`, "1:1", "found nil", ""},
		{`since("A")`, "1:1", "found a duration", ""},
		{`event`, "1:1", "found an object", ""},
		{`[true]`, "1:1", "found a list", ""},
		{`b"x" == event.x`, "1:1", "never bytes", ""},
		// constants that fail
		{`event.x matches "("`, "1:17", "missing closing )", ""},
		{`event.x matches ("(" + "a")`, "1:22", "missing closing )", ""},
		{`event.x % 0 == 1 % 0`, "1:18", "always fails: integer divide by zero", ""},
		{`int("x") == 1`, "1:1", "always fails", ""},
		{`since("A") > duration("3 days")`, "1:14", "expected a duration", ""},
		{`since("A") > duration("300000d")`, "1:14", "292 years", ""},
		{`now() > date("24/11/2026")`, "1:9", "is not a date", ""},
		{`now(timezone("Mars")).Hour() == 1`, "1:5", "not the name of a time zone", ""},
		{`now(timezone("Local")).Hour() == 1`, "1:5", "not the name of a time zone", ""},
	} {
		want.test(t, Audience)
	}
}

func TestHistoryArguments(t *testing.T) {
	for _, want := range []refused{
		{`count() > 1`, "1:1", `expected 2 arguments, as in count("Charged", "90d")`, ""},
		{`count("A") > 1`, "1:1", "expected 2 arguments", ""},
		{`count("A", "1d", "true", "x") > 1`, "1:1", "expected 2 arguments", ""},
		{`sum("A", "1d") > 1`, "1:1", `as in sum("Charged", "amount", "90d")`, ""},
		{`last("A", "1d") == nil`, "1:1", "expected 1 arguments", ""},
		{`count(event.name, "1d") > 1`, "1:13", "the event must be written out in quotes", "::count"},
		{`max(event.a, event.b) > 1`, "1:1", "expected 3 arguments", "::max"},
		{`count("A" + "B", "1d") > 1`, "1:11", "the event must be written out", "::count"},
		{`count("", "1d") > 1`, "1:7", "the event is empty", ""},
		{`sum("A", event.p, "1d") > 1`, "1:16", "the property must be written out", ""},
		{`sum("A", "", "1d") > 1`, "1:10", "the property is empty", ""},
		{`count("A", event.w) > 1`, "1:18", "the window must be written out", ""},
		{`count("A", "0s") > 1`, "1:12", "longer than nothing", ""},
		{`count("A", "-3d") > 1`, "1:12", "longer than nothing", ""},
		{`count("A", "3 d") > 1`, "1:12", "expected a duration", ""},
		{`count("A", "3y") > 1`, "1:12", "expected a duration", ""},
		{`count("A", "1d", event.x) > 1`, "1:24", "the condition must be written out", ""},
		// the predicate's errors stand where they are written
		{`count("A", "1d", 'event.x >= foo') > 1`, "1:30", `no "foo"`, "event.foo"},
		{`count("A", "1d", 'count("B", "1d") > 1') > 1`, "1:19", "belongs in audience", ""},
		{`count("A", "1d", 'profile.x == 1') > 1`, "1:19", "belongs in audience", ""},
		{`count("A", "1d", 'event.x = 1') > 1`, "1:27", "unexpected =", "=="},
		{`count("A", "1d", "event.s == \"a\" && foo") > 1`, "1:39", `no "foo"`, "event.foo"},
		{`count("A", "1d", "\u0074rue && \x66oo > \t1") > 1`, "1:32", `no "foo"`, "event.foo"},
		{`count("A", "1d", "\u{74}rue && \101 > 1") > 1`, "1:32", `no "A"`, "event.A"},
		{"count('A', '1d', `event.s == '``' && foo`) > 1", "1:38", `no "foo"`, "event.foo"},
		{"count('A', '1d', `event.s == 1 &&\n foo`) > 1", "2:2", `no "foo"`, "event.foo"},
		{`count("A", "1d", 'event.x') > 1 and count("A", "1d", '5') > 1`, "1:55", "found a number", ""},
		{`count("A", "1d", ' ') > 1`, "1:19", "expected an expression", ""},
	} {
		want.test(t, Audience)
	}
}

func TestRefusedInWhere(t *testing.T) {
	for _, want := range []refused{
		{`profile.country == "CA"`, "1:1", "belongs in audience", ""},
		{`event.x == 1 && profile.country == "CA"`, "1:17", "belongs in audience", ""},
		{`count("Charged", "90d") == 0`, "1:1", "count() asks for the user's history and belongs in audience", ""},
		{`event.x == 1 && last("Charged").amount > 1`, "1:17", "last() asks for", ""},
		{`since("Charged") > duration("3d")`, "1:1", "since() asks for", ""},
		{`max(event.a, event.b) > 1`, "1:1", "max() asks for", "::max"},
	} {
		want.test(t, Where)
	}
	for _, text := range []string{`event.x == 1`, `user_id == "u"`, `now().Hour() < 12`, `duration("3d") > duration("1d")`, `event.flag`, `event.x > 1 ? event.y : false`,
		`let p = event.x; p == 1`, `::max(event.a, event.b) > 1`} {
		if _, wrong := Compile(text, Where); wrong != nil {
			t.Errorf("%s: %v", text, wrong)
		}
	}
}

func TestWhatAnExpressionReads(t *testing.T) {
	for _, c := range []struct {
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
	} {
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
