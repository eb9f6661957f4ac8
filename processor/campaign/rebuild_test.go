package campaign_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/value"
)

const minute = 60_000

func minutes(n int64) *campaign.Duration {
	d := campaign.Duration(n * minute)
	return &d
}

func a(name string, trigger campaign.Trigger) campaign.Definition {
	return campaign.Definition{Name: name, Trigger: trigger, Deliver: []campaign.Delivery{{Endpoint: "e"}}}
}

func afterWithout(after, without string, within int64) campaign.Trigger {
	return campaign.Trigger{InactionWithinTime: &campaign.InactionWithinTime{After: &campaign.Pattern{Event: after},
		Without: &campaign.Pattern{Event: without}, Within: minutes(within)}}
}

func looks(did, didNot string, inLast int64, every int64) campaign.Trigger {
	return campaign.Trigger{Inaction: &campaign.Inaction{Did: &campaign.Pattern{Event: did}, DidNot: &campaign.Pattern{Event: didNot},
		InLast: minutes(inLast), Check: &campaign.Check{Every: minutes(every)}}}
}

func whenever(event string) campaign.Trigger {
	return campaign.Trigger{SingleAction: &campaign.SingleAction{Pattern: campaign.Pattern{Event: event}}}
}

// life is one user's rows under sets that change; times are minutes.
type life struct {
	t      *testing.T
	rules  campaign.Rules
	set    *campaign.Set
	ledger *campaign.Ledger
	rows   rows
	n      int
	got    []string
	asleep bool // nobody opens the user at a change
}

func newLife(t *testing.T, defs ...campaign.Definition) *life {
	l := &life{t: t, rows: rows{}, rules: campaign.Rules{MaxAge: 1 << 40, TimezoneProperty: "timezone", MaxFuture: 5 * minute, Settle: minute}}
	l.change(0, defs...)
	return l
}

func (l *life) step(do func(u *campaign.User, o *campaign.Output)) {
	u := l.rows.open(l.t, l.set)
	var o campaign.Output
	do(u, &o)
	l.rows.keep(u)
	for _, t := range o.Triggers {
		l.got = append(l.got, fmt.Sprint(t.Campaign, " ", t.Time/minute))
	}
	for _, d := range o.Decisions {
		l.got = append(l.got, fmt.Sprint(d.Campaign, " ", d.Time/minute, " ", d.Reason))
	}
}

// change puts campaigns in force when stream time is so far.
func (l *life) change(stream int64, defs ...campaign.Definition) {
	if l.set != nil && !l.asleep {
		l.passed(stream)
	}
	set := mustCompile(l.t, l.rules, defs...)
	text, err := json.Marshal(set.Succeed(l.ledger, stream*minute))
	if l.ledger = new(campaign.Ledger); err != nil || json.Unmarshal(text, l.ledger) != nil {
		l.t.Fatal("a ledger outlives a restart", err)
	}
	l.set = set.Under(l.ledger, 0)
}

func (l *life) event(at int64, name string) { l.late(at, at, name) }

func (l *life) late(at, time int64, name string) {
	l.n++
	l.step(func(u *campaign.User, o *campaign.Output) {
		u.Event(&record.Event{ID: fmt.Sprint(l.n), Name: name, Time: time * minute}, at*minute, o)
	})
}

func (l *life) zone(at int64, name string) {
	l.step(func(u *campaign.User, o *campaign.Output) {
		u.Profile(&record.Profile{Properties: value.Properties{{Name: "timezone", Value: value.OfString(name)}}}, at*minute, o)
	})
}

func (l *life) passed(at int64) {
	l.step(func(u *campaign.User, o *campaign.Output) { u.Passed(at*minute, o) })
}

func (l *life) expect(want ...string) {
	l.t.Helper()
	if !slices.Equal(l.got, want) {
		l.t.Errorf("%q, expected %q", l.got, want)
	}
	l.got = nil
}

// What is open is rebuilt: a watch has the new deadline, what is past is past, and what the new text would have ended is ended.
func TestChangedTrigger(t *testing.T) {
	l := newLife(t, a("w", afterWithout("A", "B", 30)))
	l.event(10, "A")
	l.event(12, "C")
	l.change(20, a("w", afterWithout("A", "B", 60)))
	l.passed(41)
	l.expect()
	l.passed(71)
	l.expect("w 70")
	l.event(100, "A")
	l.change(150, a("w", afterWithout("A", "B", 40))) // was due at 140 under this one
	l.passed(500)
	l.expect()
	l.event(600, "A")
	l.event(601, "C")
	l.change(602, a("w", afterWithout("A", "C", 40)))
	l.passed(900)
	l.expect()
}

// What has triggered does not trigger again, though the new text has the same moment open when the change is seen late.
func TestTriggeredOnce(t *testing.T) {
	l := newLife(t, a("w", afterWithout("A", "B", 30)))
	l.event(10, "A")
	l.event(45, "C") // fires what was due at 40
	l.expect("w 40")
	l.change(35, a("w", afterWithout("A", "D", 30))) // stream time is behind the user's last record
	l.passed(100)
	l.expect()
	l.event(110, "A")
	l.n--
	l.event(145, "A") // the same again: nothing but time has passed
	l.expect("w 140")
	l.change(139, a("w", afterWithout("A", "E", 30)))
	l.passed(200)
	l.expect()
}

// A look that an earlier trigger has judged is not judged again when a late event makes it true under the new one.
func TestJudgedLook(t *testing.T) {
	l := newLife(t, a("w", looks("A", "B", 120, 60)))
	l.event(50, "A")
	l.event(65, "X")
	l.expect("w 60")
	l.change(70, a("w", looks("C", "B", 120, 60)))
	l.late(80, 55, "C") // stands at 60, and would settle
	l.event(90, "X")
	l.expect()
	l.event(100, "C") // the look at 120 sees a newer one
	l.passed(130)
	l.expect("w 120")
}

func pair(name string, reuse bool, within int64, least int) campaign.Definition {
	return a(name, campaign.Trigger{Actions: &campaign.Actions{All: []campaign.Pattern{{Event: "A"}, {Event: "B", AtLeast: &least}}, Within: minutes(within), Reuse: reuse}})
}

// A set that has triggered does not trigger again when a late event completes one with the same newest event under the new trigger: neither
// under reuse nor where it is not the last one, and also where the trigger was of another kind in between.
func TestSetsTriggerOnce(t *testing.T) {
	for _, reuse := range []bool{false, true} {
		for _, between := range []bool{false, true} {
			l := newLife(t, pair("w", reuse, 5, 1))
			for _, at := range []int64{10, 20, 30} {
				l.event(at, "A")
				l.event(at+1, "B")
			}
			l.expect("w 11", "w 21", "w 31")
			if between {
				l.change(32, a("w", whenever("C")))
				l.event(33, "C")
				l.expect("w 33")
			}
			l.change(35, pair("w", true, 5, 2))
			for _, at := range []int64{10, 20, 30} {
				l.late(40, at, "B")
			}
			l.expect()
			l.event(41, "A")
			l.event(41, "B")
			l.event(42, "B")
			l.expect("w 42")
			l.change(50, pair("w", true, 5, 3))
			for _, at := range []int64{10, 41} {
				l.late(55, at, "B")
			}
			l.expect()
		}
	}
}

// What has qualified is known as long as history is.
func TestJudgedAreForgotten(t *testing.T) {
	size := func(passed int64) (n int) {
		l := newLife(t, pair("w", true, 5, 1))
		l.rules.MaxAge = 100 * minute
		for at := int64(10); at < 60; at++ {
			l.event(at, "A")
			l.event(at, "B")
		}
		l.change(61, pair("w", false, 5, 2))
		l.event(passed, "X")
		l.event(passed, "X") // written anew
		return len(l.rows[0])
	}
	if then, after := size(70), size(3000); after > then/2 {
		t.Errorf("%d bytes, and when all that was past history's age %d", then, after)
	}
}

// What would have qualified under a trigger had it stood there, and has not, is not taken for what has.
func TestSetsThatNeverTriggered(t *testing.T) {
	begin := func(defs ...campaign.Definition) *life {
		l := newLife(t, defs...)
		l.event(10, "A")
		return l
	}
	second := func(l *life) {
		t.Helper()
		l.change(31, pair("w", true, 60, 2))
		l.late(40, 15, "B")
		l.expect("w 20")
	}
	l := begin(a("w", whenever("C")))
	l.event(20, "B")
	l.change(30, pair("w", true, 60, 1)) // nobody did anything under this one
	second(l)
	l = begin(a("w", whenever("C")))
	l.event(20, "B")
	l.change(30, pair("w", true, 60, 1))
	l.event(30, "X") // nothing that it listens to
	second(l)
	l = begin(a("other", whenever("C")))
	l.change(15, pair("w", false, 60, 1)) // sees only what comes
	l.event(20, "B")
	l.event(21, "A")
	l.expect("w 21")
	l.event(22, "B")
	second(l)
}

// A campaign that has gone and comes back is a new one: nothing is open, and reentry knows no trigger.
func TestGoneAndBack(t *testing.T) {
	once := a("once", whenever("A"))
	once.Reentry = &campaign.Reentry{Once: true}
	l := newLife(t, once, a("w", afterWithout("A", "B", 30)))
	l.event(10, "A")
	l.expect("once 10")
	l.asleep = true
	l.change(11)
	l.change(12, once, a("w", afterWithout("A", "B", 30)))
	l.passed(100)
	l.expect()
	l.event(110, "A")
	l.expect("once 110")
}

// A new campaign sees what comes, or with backfill what is known; its audience knows all in any case.
func TestNewCampaign(t *testing.T) {
	both := func(name string, backfill bool) []campaign.Definition {
		pair := a(name+"-pair", campaign.Trigger{Actions: &campaign.Actions{All: []campaign.Pattern{{Event: "A"}, {Event: "B"}}, Within: minutes(60)}})
		open := a(name+"-open", afterWithout("A", "B", 30))
		open.Audience = `count("A", "1h") == 1`
		pair.Backfill, open.Backfill = backfill, backfill
		return []campaign.Definition{open, pair}
	}
	l := newLife(t, a("other", whenever("Z")))
	l.event(10, "A")
	l.change(20, append(both("new", false), both("old", true)...)...)
	l.passed(41)
	l.expect("old-open 40")
	l.event(50, "B")
	l.expect("old-pair 50")
	l.late(51, 9, "A") // it comes now
	l.expect("new-pair 50")
	first := a("first", whenever("A"))
	first.Audience = `first("A").time < first("B").time` // which nobody asked for before
	l.change(60, first)
	l.event(61, "A")
	l.expect("first 61")
}

// Of a name that no campaign asks for in between, nothing old is kept.
func TestForgottenName(t *testing.T) {
	asks := a("asks", whenever("B"))
	asks.Audience = `since("A") == duration("10m")`
	l := newLife(t, asks)
	l.event(10, "A")
	l.change(11, a("other", whenever("Z")))
	l.event(20, "A")
	l.change(21, asks)
	l.event(30, "B")
	l.expect("asks 30")
}

// A rebuild goes through the zones that the user had.
func TestRebuiltZones(t *testing.T) {
	l := newLife(t, a("w", looks("A", "B", 20*60, 24*60)))
	if _, ok := calendar.LoadZone("Asia/Kolkata"); !ok {
		t.Fatal("no zone data")
	}
	day := int64(24 * 60)
	l.zone(10*day, "Asia/Kolkata") // its midnight is 18:30 UTC
	l.event(10*day+17*60, "A")
	l.event(10*day+18*60+50, "A")
	l.expect("w " + fmt.Sprint(10*day+18*60+30))
	l.zone(10*day+19*60, "UTC")
	l.change(10*day+20*60, a("w", looks("A", "B", 19*60, 24*60))) // at 18:30 it has qualified, but for what came then
	l.passed(12 * day)
	l.expect("w " + fmt.Sprint(11*day))
}

// What has fired in an earlier zone does not fire again at the moment that the present one makes of it.
func TestRebuiltDateInAnEarlierZone(t *testing.T) {
	noon := campaign.TimeOfDay(12 * 60 * minute)
	date := func(offset int64) campaign.Definition {
		return a("d", campaign.Trigger{DateTimeProperty: &campaign.DateTimeProperty{Event: "A", Offset: minutes(offset), At: &noon}})
	}
	l := newLife(t, date(1))
	day := int64(24 * 60)
	l.event(10*day+9*60, "A")
	l.zone(11*day, "Asia/Kolkata") // its noon is 06:30 UTC
	l.expect("d " + fmt.Sprint(10*day+12*60))
	l.change(11*day+60, date(2))
	l.passed(12 * day)
	l.expect()
}

// Of properties that were not kept a rebuild knows nothing; of a history that was cut, what is left.
func TestRebuiltFromLess(t *testing.T) {
	big := func(where string) campaign.Definition {
		d := a("w", afterWithout("A", "B", 60))
		d.Trigger.InactionWithinTime.After.Where = where
		return d
	}
	for referenced, want := range map[bool][]string{false: {"w 70"}, true: nil} {
		l := &life{t: t, rows: rows{}, rules: campaign.Rules{MaxAge: 1 << 40, Referenced: referenced}}
		l.change(0, big("event.x > 1"))
		l.step(func(u *campaign.User, o *campaign.Output) {
			u.Event(&record.Event{Name: "A", Time: 10 * minute, Properties: value.Properties{{Name: "y", Value: value.OfNumber(5)}}}, 10*minute, o)
		})
		l.change(20, big("event.y > 1"))
		l.passed(100)
		l.expect(want...)
	}
	third := a("third", campaign.Trigger{SingleAction: &campaign.SingleAction{Pattern: campaign.Pattern{Event: "A"}, Occurrence: 3}})
	third.Backfill = true
	l := &life{t: t, rows: rows{}, rules: campaign.Rules{MaxAge: 1 << 40, MaxEvents: 2}}
	l.change(0, a("other", whenever("Z")))
	for n := range int64(5) {
		l.event(n, "A")
	}
	l.change(6, third)
	l.event(7, "A")
	l.expect("third 7") // two are known
}

// BenchmarkRebuild opens a user with one event, for whom a trigger has changed.
func BenchmarkRebuild(b *testing.B) {
	rules := campaign.Rules{MaxAge: 30 * 24 * 60 * minute, TimezoneProperty: "timezone", MaxFuture: 5 * minute, Settle: minute}
	for name, sets := range map[string][2][]campaign.Definition{
		"sets":  {{pair("p", false, 60, 1), a("w", afterWithout("A", "B", 600))}, {pair("p", false, 120, 1), a("w", afterWithout("A", "B", 600))}},
		"watch": {{pair("p", false, 60, 1), a("w", afterWithout("A", "B", 600))}, {pair("p", false, 60, 1), a("w", afterWithout("A", "B", 700))}},
	} {
		b.Run(name, func(b *testing.B) {
			set := mustCompile(b, rules, sets[0]...)
			ledger := set.Succeed(nil, 0)
			kept := rows{}
			u := kept.open(b, set.Under(ledger, 0))
			var out campaign.Output
			u.Event(&record.Event{Name: "A", Time: 1_760_000_000_000}, 1_760_000_000_000, &out)
			kept.keep(u)
			next := mustCompile(b, rules, sets[1]...)
			ledger = next.Succeed(ledger, 1_760_000_000_000)
			set = next.Under(ledger, 0)
			b.ReportAllocs()
			for b.Loop() {
				if err := set.Reopen(u, "ann", kept[0], nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
