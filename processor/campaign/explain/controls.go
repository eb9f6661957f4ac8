package explain

import (
	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/expr"
)

// controls judges what can stop a qualification, in the order in which the core does.
func (j *judge) controls() {
	d := j.v.Definition
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
		because := "it has not triggered for this user yet"
		if n := len(j.v.Left); n > 0 {
			because = "it triggered at " + calendar.FormatTime(j.v.Left[n-1])
		}
		j.condition("reentry lets it trigger again", j.v.Reenter(j.moment), because)
	}
}

// audience judges each of the conditions that && joins.
func (j *judge) audience(text string) {
	env := expr.Env{Profile: j.v.Profile, User: j.v.User, Now: j.moment, Look: func(l *expr.Lookup) expr.Answer { return j.v.Look(l, j.moment) }}
	if j.newest != nil {
		env.Event, env.HasEvent = j.newest.Properties, true
	}
	parts := expr.Parts(text, expr.Audience, &env)
	for i := range parts {
		j.condition("audience: "+parts[i].Text, parts[i].Holds, asked(&parts[i]))
	}
}
