package twin

import (
	"maps"
	"slices"
)

// Shrink removes inputs and keys from a case as long as it still fails.
func Shrink(c Case, fails func(Case) bool) Case {
	for smaller := true; smaller; {
		smaller = false
		for i := len(c.Inputs) - 1; i >= 0; i-- {
			try := c
			try.Inputs = slices.Delete(slices.Clone(c.Inputs), i, i+1)
			try.Changes = slices.Clone(c.Changes)
			for n := range try.Changes {
				if try.Changes[n].Before > i {
					try.Changes[n].Before--
				}
			}
			if fails(try) {
				c, smaller = try, true
			}
		}
		for i := range c.Changes {
			if try := c; len(c.Changes) > 1 {
				if try.Changes = slices.Delete(slices.Clone(c.Changes), i, i+1); fails(try) {
					c, smaller = try, true
					break
				}
			}
		}
		for _, change := range changes(c) {
			try := copyOf(c)
			if change(&try) && fails(try) {
				smaller = true
				fewer := len(try.Campaigns) < len(c.Campaigns)
				if c = try; fewer {
					break // the other changes are of campaigns that stand elsewhere now
				}
			}
		}
	}
	return c
}

// copyOf copies all that a change may touch.
func copyOf(c Case) Case {
	c.Inputs = slices.Clone(c.Inputs)
	c.Campaigns = slices.Clone(c.Campaigns)
	for i := range c.Campaigns {
		one := &c.Campaigns[i]
		one.SingleAction = fresh(one.SingleAction)
		one.Actions = fresh(one.Actions)
		one.InactionWithinTime = fresh(one.InactionWithinTime)
		one.Inaction = fresh(one.Inaction)
		one.DateTimeProperty = fresh(one.DateTimeProperty)
		if one.Actions != nil {
			one.Actions.All = slices.Clone(one.Actions.All)
		}
		if one.SingleAction != nil {
			one.SingleAction.Any = slices.Clone(one.SingleAction.Any)
		}
		if one.DateTimeProperty != nil {
			one.DateTimeProperty.Cancel = fresh(one.DateTimeProperty.Cancel)
		}
	}
	return c
}

func fresh[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// zero empties a value and says whether it was not empty.
func zero[T comparable](p *T) bool {
	var none T
	was := *p != none
	*p = none
	return was
}

// empty is zero for lists.
func empty[T any](list *[]T) bool {
	was := len(*list) > 0
	*list = nil
	return was
}

// changes lists what may be taken away from a case; each answers whether it changed anything.
func changes(c Case) []func(*Case) bool {
	list := []func(*Case) bool{
		func(c *Case) bool { return zero(&c.Rules.AllowedLateness) },
		func(c *Case) bool { return zero(&c.Rules.Zone) },
		func(c *Case) bool { return empty(&c.Rules.Caps) },
		func(c *Case) bool {
			more := len(c.Rules.Caps) > 1
			if more {
				c.Rules.Caps = c.Rules.Caps[1:]
			}
			return more
		},
	}
	for i := range c.Campaigns {
		list = append(list, func(c *Case) bool {
			if len(c.Campaigns) < 2 || i >= len(c.Campaigns) {
				return false
			}
			c.Campaigns = slices.Delete(c.Campaigns, i, i+1)
			return true
		})
	}
	for i := range c.Campaigns {
		for _, change := range campaignChanges(c.Campaigns[i]) {
			list = append(list, func(c *Case) bool { return i < len(c.Campaigns) && change(&c.Campaigns[i]) })
		}
	}
	for i := range c.Inputs {
		list = append(list, inputChanges(i, c.Inputs[i])...)
	}
	return list
}

func inputChanges(i int, in Input) []func(*Case) bool {
	list := []func(*Case) bool{
		func(c *Case) bool { return zero(&c.Inputs[i].ID) },
		func(c *Case) bool {
			if c.Inputs[i].Kind != "event" || c.Inputs[i].Time == c.Inputs[i].Arrival {
				return false
			}
			c.Inputs[i].Time = c.Inputs[i].Arrival
			return true
		},
	}
	for _, name := range slices.Sorted(maps.Keys(in.Properties)) {
		list = append(list, func(c *Case) bool {
			return without(&c.Inputs[i].Properties, name)
		})
	}
	for _, name := range slices.Sorted(maps.Keys(in.Profile)) {
		list = append(list, func(c *Case) bool {
			return without(&c.Inputs[i].Profile, name)
		})
	}
	return list
}

func without(m *map[string]any, name string) bool {
	if _, ok := (*m)[name]; !ok {
		return false
	}
	rest := map[string]any{}
	for key, v := range *m {
		if key != name {
			rest[key] = v
		}
	}
	*m = rest
	return true
}

func campaignChanges(c Campaign) []func(*Campaign) bool {
	list := []func(*Campaign) bool{
		func(c *Campaign) bool { return zero(&c.Paused) },
		func(c *Campaign) bool { return zero(&c.Audience) },
		func(c *Campaign) bool { return zero(&c.Start) },
		func(c *Campaign) bool { return zero(&c.End) },
		func(c *Campaign) bool { return zero(&c.Reentry) },
		func(c *Campaign) bool { return zero(&c.StaleAfter) },
		func(c *Campaign) bool { return empty(&c.Tags) },
		func(c *Campaign) bool { return empty(&c.Exit) },
		func(c *Campaign) bool { return len(c.Exit) == 0 && zero(&c.Delay) },
		func(c *Campaign) bool { return len(c.Exit) == 0 && zero(&c.Quiet) },
		func(c *Campaign) bool { return zero(&c.Priority) },
		func(c *Campaign) bool { return zero(&c.ControlGroup) },
		func(c *Campaign) bool { return zero(&c.Goal) },
	}
	switch {
	case c.SingleAction != nil:
		list = append(list,
			func(c *Campaign) bool { return zero(&c.SingleAction.Occurrence) },
			func(c *Campaign) bool { return c.SingleAction.Pattern.plain() })
	case c.Actions != nil:
		list = append(list,
			func(c *Campaign) bool { return zero(&c.Actions.InOrder) },
			func(c *Campaign) bool { return zero(&c.Actions.Reuse) },
			func(c *Campaign) bool { return untie(&c.Actions.Same, c.Actions.All...) })
		for i := range c.Actions.All {
			list = append(list, func(c *Campaign) bool { return c.Actions.All[i].plain() })
		}
	case c.InactionWithinTime != nil:
		list = append(list,
			func(c *Campaign) bool { return c.InactionWithinTime.After.plain() },
			func(c *Campaign) bool { return c.InactionWithinTime.Without.plain() },
			func(c *Campaign) bool { return zero(&c.InactionWithinTime.OnRepeat) },
			func(c *Campaign) bool {
				k := c.InactionWithinTime
				return untie(&k.Same, k.After, k.Without)
			})
	case c.Inaction != nil:
		list = append(list,
			func(c *Campaign) bool { return zero(&c.Inaction.Did.Where) || zero(&c.Inaction.Did.AtLeast) },
			func(c *Campaign) bool { return zero(&c.Inaction.DidNot.Where) || zero(&c.Inaction.DidNot.AtLeast) })
	case c.DateTimeProperty != nil:
		list = append(list, dateChanges()...)
	}
	return list
}

func dateChanges() []func(*Campaign) bool {
	return []func(*Campaign) bool{
		func(c *Campaign) bool { return c.DateTimeProperty.Pattern.plain() },
		func(c *Campaign) bool { return zero(&c.DateTimeProperty.Occurrence) },
		func(c *Campaign) bool { return zero(&c.DateTimeProperty.Yearly) },
		func(c *Campaign) bool { return zero(&c.DateTimeProperty.Fire) },
		func(c *Campaign) bool { return zero(&c.DateTimeProperty.Cancel) },
		func(c *Campaign) bool {
			k := c.DateTimeProperty
			return (k.Property != "" || k.ProfileProperty != "") && zero(&k.Offset)
		},
		func(c *Campaign) bool {
			k := c.DateTimeProperty
			was := k.At >= 0 && (k.Property != "" || k.ProfileProperty != "")
			if was {
				k.At = -1
			}
			return was
		},
		func(c *Campaign) bool { return untie(&c.DateTimeProperty.Same, c.DateTimeProperty.Pattern) },
	}
}

// plain takes `where` off.
func (p *Pattern) plain() bool {
	was := p.Where != nil
	p.Where = nil
	return was
}

// untie takes `same` off where no pattern has an alias for it.
func untie(same *[]string, patterns ...Pattern) bool {
	if len(*same) == 0 || slices.ContainsFunc(patterns, func(p Pattern) bool { return len(p.Alias) > 0 }) {
		return false
	}
	*same = nil
	return true
}
