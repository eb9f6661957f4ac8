package explain

import (
	"fmt"
	"slices"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/expr"
)

// Conditions that a verdict asks for by their text.
const (
	reenters   = "reentry lets it trigger again"
	inAudience = "audience: "
)

// controls judges what can stop a qualification, in the order in which the core does.
func (j *judge) controls() {
	d := j.v.Definition
	qualifies := !slices.ContainsFunc(j.conditions, func(c Condition) bool { return !c.Holds })
	if d.Enabled != nil && !*d.Enabled {
		j.condition("the campaign is enabled", false, "enabled: false pauses it")
	}
	if s := d.Schedule; s != nil {
		text, holds := "it is", true
		if s.Start != nil {
			text, holds = text+" from "+calendar.FormatTime(int64(*s.Start)), j.moment >= int64(*s.Start)
		}
		if s.End != nil {
			text, holds = text+" until "+calendar.FormatTime(int64(*s.End)), holds && j.moment < int64(*s.End)
		}
		j.condition(text+" (schedule)", holds, "")
	}
	if d.Audience != "" {
		j.audience(d.Audience)
	}
	if d.Reentry != nil {
		other, again := j.v.Reenter(j.moment)
		because := "it has not triggered for this user yet"
		if !again {
			because = d.Reentry.String() + ", and it triggered at " + calendar.FormatTime(other)
			if slices.ContainsFunc(j.v.Held, func(h campaign.Open) bool { return h.Moment == other }) {
				because = d.Reentry.String() + ", and the trigger of " + calendar.FormatTime(other) + " waits"
			}
		} else if n := len(j.v.Left); n > 0 {
			because = "it triggered at " + calendar.FormatTime(j.v.Left[n-1])
		}
		j.condition(reenters, again, because)
	}
	if len(d.Exit) > 0 && qualifies && j.newest != nil && j.qualified > 0 {
		j.exit(d)
	}
	if d.Delay != nil {
		j.delay(int64(*d.Delay))
	}
	if d.QuietHours != nil {
		j.quietHours(d.QuietHours)
	}
	for _, c := range j.v.Counts(j.moment) {
		text := fmt.Sprintf("the cap %s lets one more leave: %d per %s", c.Cap.Name, c.Cap.Max, calendar.FormatDuration(int64(c.Cap.Per)))
		j.condition(text, c.Triggers < c.Cap.Max, fmt.Sprintf("%d in that time", c.Triggers))
	}
	if d.ControlGroup != nil {
		because := ""
		if j.v.HeldOut {
			because = "this user is always held out, to compare with"
		}
		j.condition("the user is not in the control group of "+d.ControlGroup.String(), !j.v.HeldOut, because)
	}
}

// exit looks for an event that dropped what qualified, from its moment until it would have left.
func (j *judge) exit(d *campaign.Definition) {
	leaves := j.qualified
	if d.Delay != nil {
		leaves += int64(*d.Delay)
	}
	if end, ok := j.v.Quiet(leaves); ok && d.QuietHours.Then != "drop" {
		leaves = end
	}
	text := "no exit event came before it left"
	if e := j.v.Exit(j.qualified, j.newest); e != nil && e.Time <= min(leaves, j.moment) {
		j.condition(text, false, e.Name+" at "+calendar.FormatTime(e.Time)+" dropped it")
		return
	}
	j.condition(text, true, "")
}

// delay says whether a trigger waits for its delay.
func (j *judge) delay(delay int64) {
	text := "the delay of " + calendar.FormatDuration(delay) + " is over"
	for _, h := range j.v.Held {
		if h.Moment <= j.moment && h.Due == h.Moment+delay+int64(j.v.Rules.AllowedLateness) {
			j.condition(text, false, "the trigger of "+calendar.FormatTime(h.Moment)+" waits until "+calendar.FormatTime(h.Due))
			return
		}
	}
	j.condition(text, true, "nothing waits for it")
}

func (j *judge) quietHours(q *campaign.QuietHours) {
	end, on := j.v.Quiet(j.moment)
	because := "the user's zone is " + j.v.Zone.String()
	if on && q.Then == "drop" {
		because = "they drop what would leave before " + calendar.FormatTime(end) + "; " + because
	} else if on {
		because = "they hold what would leave until " + calendar.FormatTime(end) + "; " + because
	}
	j.condition("it is not in quiet hours", !on, because)
}

// audience judges each of the conditions that && joins.
func (j *judge) audience(text string) {
	env := expr.Env{Profile: j.v.Profile, User: j.v.User, Now: j.moment, Look: func(l *expr.Lookup) expr.Answer { return j.v.Look(l, j.moment) }}
	if j.newest != nil {
		env.Event, env.HasEvent = j.newest.Properties, true
	}
	parts := expr.Parts(text, expr.Audience, &env)
	for i := range parts {
		j.condition(inAudience+parts[i].Text, parts[i].Holds, asked(&parts[i]))
	}
}
