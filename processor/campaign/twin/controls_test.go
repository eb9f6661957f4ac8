package twin

import "testing"

func single(name string) *SingleAction { return &SingleAction{Pattern: p(name)} }

func TestControlsInTheirOrder(t *testing.T) {
	list := events(at(0, "A"), at(10, "A"), late(20, 15, "A"))
	expect(t, Rules{}, Campaign{SingleAction: single("A"), Paused: true, Start: base + hour}, list[:1], "0 left 0 [A@0] paused")
	expect(t, Rules{}, Campaign{SingleAction: single("A"), Start: base + minute, End: base + 20*minute}, list,
		"0 left 0 [A@0] outside_schedule", "10 left 10 [A@10]", "15 left 20 [A@15] outside_schedule")
	expect(t, Rules{}, Campaign{SingleAction: single("A"), StaleAfter: 4 * minute, Reentry: Reentry{MinGap: 10 * minute}}, list,
		"0 left 0 [A@0]", "10 left 10 [A@10]", "15 left 20 [A@15] reentry")
	expect(t, Rules{AllowedLateness: minute}, Campaign{SingleAction: single("A"), StaleAfter: 4 * minute}, list,
		"0 left 0 [A@0]", "10 left 10 [A@10]", "15 left 20 [A@15]")
	expect(t, Rules{}, Campaign{SingleAction: single("A"), StaleAfter: 4 * minute}, list[2:], "15 left 20 [A@15] stale")
}

func TestReentry(t *testing.T) {
	list := events(at(0, "A"), at(10, "A"), at(20, "A"))
	expect(t, Rules{}, Campaign{SingleAction: single("A"), Reentry: Reentry{Once: true}}, list[:2], "0 left 0 [A@0]", "10 left 10 [A@10] reentry")
	expect(t, Rules{}, Campaign{SingleAction: single("A"), Reentry: Reentry{Max: 1, Per: 20 * minute}}, list,
		"0 left 0 [A@0]", "10 left 10 [A@10] reentry", "20 left 20 [A@20]")
	expect(t, Rules{}, Campaign{SingleAction: single("A"), Reentry: Reentry{MinGap: 5 * minute}}, events(at(10, "A"), late(11, 6, "A"), late(12, 5, "A")),
		"10 left 10 [A@10]", "6 left 11 [A@6] reentry", "5 left 12 [A@5]")
}

func TestAudienceSeesTheHistoryUpToTheMoment(t *testing.T) {
	two := Compare{"==", Count{Event: "A", Window: 10 * minute}, Literal{2.0}}
	// (m − 10, m]: A@0 is out at 10; at the late 5 there are A@0 and A@5, A@10 is after it.
	expect(t, Rules{}, Campaign{SingleAction: single("A"), Audience: two}, events(at(0, "A"), at(10, "A"), late(11, 5, "A"), at(12, "A")),
		"0 left 0 [A@0] not_in_audience", "10 left 10 [A@10] not_in_audience", "5 left 11 [A@5]", "12 left 12 [A@12] not_in_audience")
}

func TestErasedUserIsANewUser(t *testing.T) {
	one, again := at(0, "A"), at(2, "A")
	one.ID, again.ID = "e", "e"
	expect(t, Rules{}, Campaign{SingleAction: &SingleAction{Pattern: p("A"), Occurrence: 1}, Reentry: Reentry{Once: true}},
		events(one, Input{Kind: "erase", Arrival: base + minute}, again), "0 left 0 [A@0]", "2 left 2 [A@2]")
	expect(t, Rules{}, Campaign{InactionWithinTime: watch("")}, events(at(0, "A"), Input{Kind: "erase", Arrival: base + 30*minute}))
	expect(t, Rules{}, Campaign{InactionWithinTime: watch("")}, events(at(0, "A"), Input{Kind: "erase", Arrival: base + 31*minute}), "30 left 30 [A@0]")
}

func TestConditions(t *testing.T) {
	e := event{Input: at(0, "A", "x", 2.0, "s", "ab", "flag", true)}
	x, s, none := Prop{"event", "x"}, Prop{"event", "s"}, Prop{"event", "none"}
	for _, c := range []struct {
		cond Cond
		text string
		want bool
	}{
		{Compare{">=", x, Literal{2.0}}, `(event.x >= 2)`, true},
		{Compare{"==", x, Literal{"2"}}, `(event.x == "2")`, false},
		{Compare{"!=", none, Literal{1.0}}, `(event.none != 1)`, true},
		{Compare{"<", none, Literal{1.0}}, `(event.none < 1)`, false},
		{Not{Compare{"<", s, Literal{1.0}}}, `!((event.s < 1))`, true},
		{Not{Logic{"&&", x, Prop{"event", "flag"}}}, `!((event.x && event.flag))`, true},
		{Compare{"!=", Arith{"+", none, x}, Literal{3.0}}, `((event.none + event.x) != 3)`, true},
		{Not{Compare{"==", Arith{"*", s, x}, Literal{3.0}}}, `!(((event.s * event.x) == 3))`, false}, // fails
		{In{s, []any{"ab", 1.0}, false}, `(event.s in ["ab",1])`, true},
		{In{none, []any{"ab"}, true}, `(event.none not in ["ab"])`, true},
		{Contains{s, "b"}, `(event.s contains "b")`, true},
		{IsNil{none, false}, `(event.none == nil)`, true},
		{Prop{"event", "Requested Product"}, `event["Requested Product"]`, false},
		{Compare{"==", Count{"A", 90 * minute, Compare{"==", s, Literal{"ab"}}}, Literal{1.0}},
			`(count("A", "1h30m", "(event.s == \"ab\")") == 1)`, true},
		{Compare{"<=", Since{"A"}, Span{0}}, `(since("A") <= duration("0s"))`, true},
		{Compare{">", Since{"B"}, Span{0}}, `(since("B") > duration("0s"))`, false},
		{Compare{"==", Fold{"sum", "A", "s", minute}, Literal{0.0}}, `(sum("A", "s", "1m") == 0)`, true},
		{Compare{"==", Fold{"avg", "A", "s", minute}, Literal{0.0}}, `(avg("A", "s", "1m") == 0)`, false},
	} {
		if got := holds(c.cond, &scope{event: &e, moment: base, history: []event{e}}); got != c.want || c.cond.Text() != c.text {
			t.Errorf("%s: %v", c.cond.Text(), got)
		}
	}
}

func TestShrinkKeepsWhatFails(t *testing.T) {
	fails := func(c Case) bool {
		for _, o := range c.Run() {
			if o.Reason == "" && o.Group == "" && o.Left > o.Time+c.Rules.AllowedLateness {
				return true
			}
		}
		return false
	}
	for seed := range uint64(200) {
		c := Generate(seed, "inaction_within_time")
		if !fails(c) {
			continue
		}
		small := Shrink(c, fails)
		if !fails(small) || len(small.Inputs) != 1 {
			t.Errorf("seed %d:\n%s", seed, small)
		}
	}
}
