package twin

import "testing"

func TestOccurrenceCountsAsEventsArrive(t *testing.T) {
	expect(t, Rules{}, Campaign{SingleAction: &SingleAction{Pattern: p("A"), Occurrence: 2}},
		events(at(10, "A"), late(11, 3, "A"), late(12, 1, "A"), at(13, "A")),
		"3 left 11 [A@3]")
}

func TestDuplicateIsDroppedWholeAndAFutureTimeIsTheArrival(t *testing.T) {
	one, two, ahead, far := at(1, "A"), at(2, "A"), late(3, 8, "A"), late(4, 10, "A")
	one.ID, two.ID, two.Profile = "e", "e", map[string]any{"country": "CA"}
	expect(t, Rules{}, Campaign{
		SingleAction: &SingleAction{Pattern: p("A")},
		Audience:     Compare{"!=", Prop{"profile", "country"}, Literal{"CA"}},
	}, events(one, two, ahead, far), "1 left 1 [A@1]", "8 left 3 [A@8]", "4 left 4 [A@4]")
}

func TestActionsBeginAnewAfterTheCompletingEvent(t *testing.T) {
	k := &Actions{All: []Pattern{p("A"), p("B")}, Within: 10 * minute}
	// A@0 B@10: both ends are within. A@5, late, stands before the completing event and counts no more.
	expect(t, Rules{}, Campaign{Actions: k}, events(at(0, "A"), at(10, "B"), late(11, 5, "A"), at(12, "B"), at(13, "A")),
		"10 left 10 [A@0 B@10]", "13 left 13 [B@12 A@13]")
}

func TestLateEventCompletesASetAtTheNewest(t *testing.T) {
	k := &Actions{All: []Pattern{p("A"), p("B")}, Within: 10 * minute, InOrder: true}
	expect(t, Rules{}, Campaign{Actions: k}, events(at(10, "B"), late(12, 4, "A"), at(13, "B")),
		"10 left 12 [A@4 B@10]")
}

func TestReuseQualifiesEveryNewest(t *testing.T) {
	k := &Actions{All: []Pattern{p("A"), p("B")}, Within: 10 * minute, Reuse: true}
	// The late A@0 makes B@2 and B@3 complete; it is older than they are, so it is the newest of no set.
	expect(t, Rules{}, Campaign{Actions: k}, events(at(2, "B"), at(3, "B"), late(4, 0, "A"), at(5, "A")),
		"2 left 4 [A@0 B@2]", "3 left 4 [A@0 B@3]", "5 left 5 [B@3 A@5]")
	k.InOrder = true
	expect(t, Rules{}, Campaign{Actions: k}, events(at(1, "A"), at(2, "B"), at(3, "A"), at(4, "B")),
		"2 left 2 [A@1 B@2]", "4 left 4 [A@3 B@4]")
}

func TestInOrderTakesEqualTimesInAnyOrder(t *testing.T) {
	k := &Actions{All: []Pattern{p("A"), p("B")}, Within: 10 * minute, InOrder: true}
	expect(t, Rules{}, Campaign{Actions: k}, events(at(1, "B"), at(1, "A"), at(2, "B")), "1 left 1 [B@1 A@1]")
	expect(t, Rules{}, Campaign{Actions: k}, events(at(1, "B"), at(2, "A")))
}

func TestSameTiesByValueAndType(t *testing.T) {
	k := &Actions{All: []Pattern{p("A"), {Event: "B", Alias: map[string]string{"k": "basket"}}}, Within: 10 * minute, Same: []string{"k"}}
	expect(t, Rules{}, Campaign{Actions: k},
		events(at(1, "A", "k", 1.0), at(2, "B", "basket", "1"), at(3, "B", "k", 1.0), at(4, "B", "basket", nil), at(5, "B", "basket", 1.0)),
		"5 left 5 [A@1 B@5]")
}

func TestOneEventCountsForEveryPattern(t *testing.T) {
	k := &Actions{All: []Pattern{p("A"), {Event: "A", AtLeast: 2}}, Within: 10 * minute}
	expect(t, Rules{}, Campaign{Actions: k}, events(at(1, "A"), at(2, "A")), "2 left 2 [A@1 A@2]")
}

func watch(onRepeat string) *InactionWithinTime {
	return &InactionWithinTime{After: p("A"), Without: p("B"), Within: 30 * minute, OnRepeat: onRepeat}
}

func TestWatchRunsAtItsDeadline(t *testing.T) {
	expect(t, Rules{}, Campaign{InactionWithinTime: watch("")}, events(at(0, "A"), at(30, "B")))
	expect(t, Rules{}, Campaign{InactionWithinTime: watch("")}, events(at(0, "A"), at(31, "B")), "30 left 30 [A@0]")
	expect(t, Rules{}, Campaign{InactionWithinTime: watch("")}, events(at(0, "B"), at(0, "A")), "30 left 30 [A@0]")
	expect(t, Rules{}, Campaign{InactionWithinTime: watch("")}, events(at(0, "A"), at(0, "B")))
	expect(t, Rules{AllowedLateness: 5 * minute}, Campaign{InactionWithinTime: watch("")}, events(at(0, "A"), at(34, "B")), "30 left 35 [A@0]")
	expect(t, Rules{AllowedLateness: 5 * minute}, Campaign{InactionWithinTime: watch("")}, events(at(0, "A"), late(35, 30, "B")))
}

func TestRepeats(t *testing.T) {
	list := events(at(0, "A"), at(20, "A"), at(30, "A"))
	expect(t, Rules{}, Campaign{InactionWithinTime: watch("restart")}, list, "60 left 60 [A@30]")
	expect(t, Rules{}, Campaign{InactionWithinTime: watch("ignore")}, list, "30 left 30 [A@0]")
	expect(t, Rules{}, Campaign{InactionWithinTime: watch("separate")}, list, "30 left 30 [A@0]", "50 left 50 [A@20]", "60 left 60 [A@30]")
}

func TestOneEventEndsAndStarts(t *testing.T) {
	k := watch("ignore")
	k.Without = p("A")
	expect(t, Rules{}, Campaign{InactionWithinTime: k}, events(at(0, "A"), at(30, "A")), "60 left 60 [A@30]")
}

func TestLateWithoutUnderIgnoreStartsWhatWasIgnored(t *testing.T) {
	// In order: A@0 ended by B@10, A@20 starts. It becomes known at 25, in time for its deadline.
	expect(t, Rules{}, Campaign{InactionWithinTime: watch("ignore")}, events(at(0, "A"), at(20, "A"), late(25, 10, "B")),
		"50 left 50 [A@20]")
	// Known at 60, after A@0 has left and the deadline 50 is past: due at 60 + settle.
	expect(t, Rules{}, Campaign{InactionWithinTime: watch("ignore")}, events(at(0, "A"), at(20, "A"), late(60, 10, "B")),
		"30 left 30 [A@0]", "50 left 61 [A@20]")
}

func TestLateAfter(t *testing.T) {
	// A@20 is in time for the watch of A@0 that has left: nothing is taken back, and its own deadline comes.
	expect(t, Rules{}, Campaign{InactionWithinTime: watch("restart")}, events(at(0, "A"), late(40, 20, "A")),
		"30 left 30 [A@0]", "50 left 50 [A@20]")
	// Older than the running watch: in order the running one would have restarted it.
	expect(t, Rules{}, Campaign{InactionWithinTime: watch("restart")}, events(at(20, "A"), late(25, 0, "A")), "50 left 50 [A@20]")
	expect(t, Rules{}, Campaign{InactionWithinTime: watch("ignore")}, events(at(20, "A"), late(25, 0, "A")), "30 left 30 [A@0]")
	expect(t, Rules{}, Campaign{InactionWithinTime: watch("separate")}, events(at(20, "A"), late(60, 0, "A")),
		"50 left 50 [A@20]", "30 left 61 [A@0]")
}

func TestSettleWaitsForWhatEndsIt(t *testing.T) {
	rules := Rules{Settle: 2 * minute}
	expect(t, rules, Campaign{InactionWithinTime: watch("")}, events(late(100, 0, "A"), late(102, 10, "B")))
	expect(t, rules, Campaign{InactionWithinTime: watch("")}, events(late(100, 0, "A"), late(103, 10, "B")), "30 left 102 [A@0]")
	expect(t, rules, Campaign{InactionWithinTime: watch("")}, events(late(30, 0, "A")), "30 left 30 [A@0]")
	expect(t, rules, Campaign{InactionWithinTime: watch(""), StaleAfter: 72 * minute}, events(late(100, 0, "A")), "30 left 102 [A@0]")
	expect(t, rules, Campaign{InactionWithinTime: watch(""), StaleAfter: 71 * minute}, events(late(100, 0, "A")), "30 left 102 [A@0] stale")
}

func hourly() *Inaction {
	return &Inaction{Did: p("A"), DidNot: p("B"), InLast: 2 * hour, Every: hour, At: -1}
}

func TestOfTwoLooksThatSeeTheSameOnlyTheFirstQualifies(t *testing.T) {
	expect(t, Rules{}, Campaign{Inaction: hourly()}, events(at(10, "A")), "60 left 60 [A@10]")
	expect(t, Rules{}, Campaign{Inaction: hourly()}, events(at(10, "A"), at(60, "A")), "60 left 60 [A@60]")
	expect(t, Rules{}, Campaign{Inaction: hourly()}, events(at(10, "A"), at(61, "A")), "60 left 60 [A@10]", "120 left 120 [A@61]")
	// B keeps 60 and 120 silent; at 180 it is out of the window (60, 180], and so is A@10 but not A@70.
	expect(t, Rules{}, Campaign{Inaction: hourly()}, events(at(10, "A"), at(60, "B"), at(70, "A")), "180 left 180 [A@70]")
}

func TestOlderEventsStillCountForAtLeast(t *testing.T) {
	k := hourly()
	k.Did.AtLeast = 2
	expect(t, Rules{}, Campaign{Inaction: k}, events(at(10, "A"), at(20, "A"), at(70, "A")), "60 left 60 [A@10 A@20]", "120 left 120 [A@20 A@70]")
}

func TestLateEventIsJudgedAtPassedChecks(t *testing.T) {
	expect(t, Rules{}, Campaign{Inaction: hourly()}, events(late(130, 10, "A")), "60 left 131 [A@10]")
	// What ends it within settle; then the later checks are judged again, the next one at 180 without A@10 in its window.
	expect(t, Rules{}, Campaign{Inaction: hourly()}, events(late(130, 10, "A"), late(131, 20, "B")))
	// B@-50 ends the look at 60 (-60, 60] but not that at 120: judged again, and past, so due at 131 + settle.
	expect(t, Rules{}, Campaign{Inaction: hourly()}, events(late(130, 10, "A"), late(131, -50, "B")), "120 left 132 [A@10]")
	// A late A between what has left and the next look is what the look at 60 would have seen.
	expect(t, Rules{}, Campaign{Inaction: hourly()}, events(at(10, "A"), late(70, 50, "A")), "60 left 60 [A@10]")
}

func TestLookOnceAfter(t *testing.T) {
	k := &Inaction{Did: p("A"), DidNot: p("B"), InLast: 30 * minute, After: 20 * minute}
	expect(t, Rules{}, Campaign{Inaction: k}, events(at(0, "A"), at(5, "A")), "20 left 20 [A@5]")
	expect(t, Rules{}, Campaign{Inaction: k}, events(at(-5, "B"), at(0, "A"), at(5, "A")), "25 left 25 [A@5]")
}
