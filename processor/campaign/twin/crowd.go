package twin

import (
	"fmt"
	"math/rand/v2"
	"time"
)

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
