package twin

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Case is one random question to the core and the twin.
type Case struct {
	Seed      uint64
	Kind      string
	Rules     Rules
	Campaigns []Campaign
	Inputs    []Input
	Until     int64
	Changes   []Change // in order
}

// Run answers the case.
func (c Case) Run() []Outcome { return Run(c.Rules, c.Campaigns, c.Inputs, c.Until, c.Changes...) }

// Kinds are the five keys under `trigger`.
var Kinds = []string{"single_action", "actions", "inaction_within_time", "inaction", "date_time_property"}

// dice is the source of one case; step is the grid on which its times lie, so that boundaries coincide often.
type dice struct {
	*rand.Rand
	step   int64
	origin int64
}

func (d dice) chance(percent int) bool { return d.IntN(100) < percent }

func pick[T any](d dice, list ...T) T { return list[d.IntN(len(list))] }

// steps is a length of 1 to n steps.
func (d dice) steps(n int) int64 { return int64(1+d.IntN(n)) * d.step }

var (
	names = []string{"A", "B", "C", "Viewed Item"}
	zones = []string{"", "UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe"}
	// Days on which one of the zones changes its clock, and others.
	origins = []string{"2026-03-08T00:00:00Z", "2026-11-01T00:00:00Z", "2026-03-28T18:00:00Z", "2026-10-24T20:00:00Z", "2026-04-04T10:00:00Z",
		"2026-10-03T12:00:00Z", "2026-06-15T08:00:00Z", "2028-02-27T12:00:00Z", "2026-12-30T22:00:00Z"}
)

// Generate makes the case of a seed; kind "" is any. Campaigns are valid by the text of campaigns.md.
func Generate(seed uint64, kind string) Case {
	d := dice{Rand: rand.New(rand.NewPCG(seed, 17)), step: minute}
	d.step = pick(d, minute, 10*minute, 30*minute, hour)
	if kind == "" {
		kind = pick(d, Kinds...)
	}
	origin, _ := time.Parse(time.RFC3339, pick(d, origins...))
	d.origin = origin.UnixMilli()
	c := Case{Seed: seed, Kind: kind}
	c.Rules = Rules{User: pick(d, "u-1", "u-1", "u-2", "u-3"), Zone: pick(d, zones...), MaxFuture: pick(d, 5*minute, 2*d.step), Settle: pick(d, minute, d.steps(3))}
	if d.chance(40) {
		c.Rules.AllowedLateness = d.steps(4)
	}
	more := d.IntN(10) / 9
	if d.chance(25) {
		c.Rules.Caps = d.caps()
		more = 1 + d.IntN(2)
	}
	for i := range 1 + more {
		one := Campaign{Name: fmt.Sprintf("c-%d", i+1)}
		if i > 0 && d.chance(30) {
			d.trigger(&one, pick(d, Kinds...))
		} else {
			d.trigger(&one, kind)
		}
		d.controls(&one)
		d.waiting(&one)
		c.Campaigns = append(c.Campaigns, one)
	}
	c.Inputs = d.history(c.Campaigns)
	last := c.Inputs[len(c.Inputs)-1].Arrival
	c.Until = last + int64(d.IntN(40))*d.step
	if kind == "inaction" {
		c.Until += int64(d.IntN(3)) * day
	}
	if kind == "date_time_property" && d.chance(30) {
		c.Until += int64(d.IntN(800)) * day
	}
	return c
}

func (d dice) trigger(c *Campaign, kind string) {
	switch kind {
	case "single_action":
		k := &SingleAction{Pattern: d.pattern(40), Occurrence: pick(d, 0, 0, 1, 2, 3)}
		if d.chance(30) {
			k.Pattern = Pattern{}
			for range 2 + d.IntN(2) {
				k.Any = append(k.Any, d.pattern(40))
			}
		}
		c.SingleAction = k
	case "actions":
		c.Actions = d.actions()
	case "inaction_within_time":
		k := &InactionWithinTime{After: d.pattern(20), Without: d.pattern(20), Within: d.steps(8), OnRepeat: pick(d, "", "restart", "ignore", "ignore", "separate")}
		k.Same = d.same(&k.After, &k.Without)
		c.InactionWithinTime = k
	case "inaction":
		c.Inaction = d.inaction()
	case "date_time_property":
		c.DateTimeProperty = d.dateTimeProperty()
	}
}

// pattern has a `where` in some percent.
func (d dice) pattern(where int) Pattern {
	p := Pattern{Event: pick(d, "A", "A", "B", "B", "C", "Viewed Item")}
	if d.chance(where) {
		p.Where = d.where(2)
	}
	return p
}

// same picks properties that tie the patterns, and names for them on some of the patterns.
func (d dice) same(patterns ...*Pattern) []string {
	if d.chance(50) {
		return nil
	}
	same := pick(d, []string{"k"}, []string{"k"}, []string{"k"}, []string{"k", "x"})
	for _, p := range patterns {
		if d.chance(20) {
			p.Alias = map[string]string{"k": "basket"}
		}
	}
	return same
}

func (d dice) actions() *Actions {
	k := &Actions{Within: d.steps(8), InOrder: d.chance(50), Reuse: d.chance(40)}
	for range 1 + d.IntN(3) {
		p := d.pattern(12)
		p.AtLeast = pick(d, 0, 0, 0, 0, 1, 2, 2, 3)
		k.All = append(k.All, p)
	}
	if len(k.All) == 1 {
		k.All[0].AtLeast = 2 + d.IntN(2)
	}
	var patterns []*Pattern
	for i := range k.All {
		patterns = append(patterns, &k.All[i])
	}
	k.Same = d.same(patterns...)
	return k
}

func (d dice) inaction() *Inaction {
	k := &Inaction{Did: d.pattern(20), DidNot: d.pattern(20), InLast: d.steps(12), At: -1}
	for k.Did.Event == k.DidNot.Event && d.chance(85) {
		k.DidNot = d.pattern(20)
	}
	k.Did.AtLeast, k.DidNot.AtLeast = pick(d, 0, 0, 1, 2, 3), pick(d, 0, 0, 0, 1, 2)
	if d.chance(35) {
		k.After = d.steps(6)
		k.InLast += k.After
		return k
	}
	k.Every = pick(d, 30*minute, hour, 2*hour, 6*hour, day, 7*day)
	if k.Every >= 6*hour {
		k.InLast = pick(d, k.InLast, 6*hour, day, 2*day, 8*day)
	}
	if d.chance(60) {
		k.At = pick(d, 0, 30*minute, 2*hour, 2*hour+30*minute, 9*hour, 23*hour+30*minute)
	}
	if k.Every == 7*day {
		k.On = pick(d, "mon", "wed", "sun", "sat")
		k.InLast = pick(d, 2*day, 8*day)
	}
	return k
}

func (d dice) dateTimeProperty() *DateTimeProperty {
	k := &DateTimeProperty{At: -1, Fire: d.chance(50), Yearly: d.chance(30)}
	if d.chance(60) {
		k.Offset = d.steps(8) * pick(d, int64(1), -1)
	}
	if d.chance(35) {
		k.At = pick(d, 0, 2*hour, 2*hour+30*minute, 9*hour)
	}
	if d.chance(25) {
		k.ProfileProperty = "when"
		return k
	}
	k.Pattern = d.pattern(25)
	if d.chance(80) {
		k.Property = "when"
	} else if k.Offset <= 0 && k.At < 0 {
		k.Offset = d.steps(8)
	} else if k.Offset < 0 {
		k.Offset = -k.Offset
	}
	if d.chance(15) {
		k.Occurrence = pick(d, 1, 1, 2)
	}
	if d.chance(40) {
		p := d.pattern(20)
		k.Cancel = &p
		k.Same = d.same(&k.Pattern, k.Cancel)
	} else {
		k.Same = d.same(&k.Pattern)
	}
	return k
}

func (d dice) controls(c *Campaign) {
	c.Paused = d.chance(3)
	if d.chance(12) {
		c.Start = d.origin + int64(d.IntN(20))*d.step
	}
	if d.chance(12) {
		c.End = max(c.Start, d.origin) + d.steps(40)
	}
	if d.chance(40) {
		c.Audience = d.audience(2)
	}
	switch d.IntN(8) {
	case 0:
		c.Reentry.Once = true
	case 1:
		c.Reentry.MinGap = d.steps(8)
	case 2:
		c.Reentry.Max, c.Reentry.Per = 1+d.IntN(2), d.steps(10)
	}
	if d.chance(30) {
		c.StaleAfter = d.steps(6)
	}
}

// waiting adds what holds, orders and measures triggers.
func (d dice) waiting(c *Campaign) {
	if d.chance(30) {
		c.Delay = pick(d, d.steps(8), d.steps(8), d.steps(24), 1)
	}
	if d.chance(25) {
		q := &Quiet{From: d.ofDay(), To: d.ofDay(), Drop: d.chance(30)}
		if q.From == q.To {
			q.To = (q.To + hour) % day
		}
		if d.chance(30) {
			q.Days = pick(d, []string{"sat", "sun"}, []string{"mon", "wed", "fri"}, []string{"sun"})
		}
		c.Quiet = q
	}
	if (c.Delay > 0 || c.Quiet != nil && !c.Quiet.Drop) && d.chance(60) {
		for range 1 + d.IntN(2) {
			c.Exit = append(c.Exit, d.pattern(40))
		}
	}
	if d.chance(30) {
		c.Priority = pick(d, -1, 1, 2)
	}
	if d.chance(50) {
		c.Tags = pick(d, []string{"red"}, []string{"blue"}, []string{"red", "blue"})
	}
	if d.chance(25) {
		c.ControlGroup = pick(d, 0, 0.5, 20, 50, 80, 100)
	}
	if d.chance(45) {
		c.Goal = &Goal{Pattern: d.pattern(20), Within: d.steps(10), Value: pick(d, "", "x", "y")}
	}
}

// ofDay is a time of day, often one that the clock changes of the zones concern.
func (d dice) ofDay() int64 {
	return pick(d, int64(d.IntN(48))*30*minute, int64(d.IntN(48))*30*minute, 0, 2*hour+30*minute, hour, 3*hour)
}

func (d dice) caps() (list []Cap) {
	for i := range 1 + d.IntN(2) {
		one := Cap{Name: fmt.Sprint("cap-", i), Max: 1 + d.IntN(3), Per: d.steps(12)}
		if d.chance(50) {
			one.Tags = pick(d, []string{"red"}, []string{"blue"}, []string{"red", "green"})
		}
		list = append(list, one)
	}
	return list
}

// mentioned are the names of events that the campaigns speak of; the history has little else.
func mentioned(campaigns []Campaign) []string {
	list := named(campaigns...)
	return append(slices.Clip(list), pick(dice{Rand: rand.New(rand.NewPCG(uint64(len(list)), 1))}, names...))
}

// named are the names of events that stand in campaigns.
func named(campaigns ...Campaign) []string {
	var list []string
	add := func(patterns ...Pattern) {
		for _, p := range patterns {
			if p.Event != "" {
				list = append(list, p.Event)
			}
		}
	}
	for _, c := range campaigns {
		switch {
		case c.SingleAction != nil:
			add(append(c.SingleAction.Any, c.SingleAction.Pattern)...)
		case c.Actions != nil:
			add(c.Actions.All...)
		case c.InactionWithinTime != nil:
			add(c.InactionWithinTime.After, c.InactionWithinTime.Without)
		case c.Inaction != nil:
			add(c.Inaction.Did, c.Inaction.Did, c.Inaction.DidNot)
		case c.DateTimeProperty != nil:
			add(c.DateTimeProperty.Pattern)
			if c.DateTimeProperty.Cancel != nil {
				add(c.DateTimeProperty.Pattern, *c.DateTimeProperty.Cancel)
			}
		}
		add(c.Exit...)
		if c.Goal != nil {
			add(c.Goal.Pattern)
		}
	}
	return list
}

// Crowd makes the cases of several users under the same rules and campaigns, one campaign of each kind or more. Their steps
// are seconds, and all histories begin within a minute before the first moment of a grid of days, hours or half hours, so
// that a few minutes hold them.
func Crowd(seed uint64, users int) []Case {
	d := dice{Rand: rand.New(rand.NewPCG(seed, 29))}
	d.step = pick(d, second, 2*second, 2*second, 3*second)
	origin, _ := time.Parse(time.RFC3339, pick(d, origins...))
	d.origin = origin.UnixMilli() - int64(20+d.IntN(40))*second
	rules := Rules{Zone: pick(d, zones...), MaxFuture: pick(d, 5*minute, 2*d.step), Settle: pick(d, 10*second, d.steps(3))}
	if d.chance(40) {
		rules.AllowedLateness = d.steps(4)
	}
	var campaigns []Campaign
	for i, kind := range append(Kinds, pick(d, Kinds...)) {
		one := Campaign{Name: fmt.Sprintf("c-%d", i+1)}
		d.trigger(&one, kind)
		d.controls(&one)
		campaigns = append(campaigns, one)
	}
	cases := make([]Case, users)
	for i := range cases {
		c := Case{Seed: seed, Rules: rules, Campaigns: campaigns}
		c.Rules.User = fmt.Sprintf("u-%d", i+1)
		c.Inputs = d.history(campaigns)
		c.Until = c.Inputs[len(c.Inputs)-1].Arrival + 40*d.step
		cases[i] = c
	}
	return cases
}
