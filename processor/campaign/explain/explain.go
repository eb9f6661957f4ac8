// Package explain says why a campaign has or has not triggered for a user: each of its conditions with its value, what waits until
// when, and one sentence that a marketer understands. It is pure, as the core is: a view of the user and a moment in, a value out.
// It judges anew from the user's history what the core has judged event by event, and decides nothing.
package explain

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/history"
	"github.com/tripline/tripline/processor/campaign/value"
)

// Explanation is the answer. Times are RFC 3339.
type Explanation struct {
	User        string          `json:"user_id"`
	Campaign    string          `json:"campaign"`
	Description string          `json:"description,omitempty"`
	Category    string          `json:"category"`
	Moment      string          `json:"moment"`                 // as of which it holds
	Qualifies   string          `json:"qualifies_at,omitempty"` // the moment for which the newest of the events would qualify
	Verdict     string          `json:"verdict"`
	Conditions  []Condition     `json:"conditions"`
	Waits       []Wait          `json:"waits,omitempty"`
	Profile     json.RawMessage `json:"profile"`
	Timezone    string          `json:"timezone"`
	History     []Event         `json:"history"` // of the events that the trigger listens to, the newest ones, oldest first
	Older       bool            `json:"older_history,omitempty"`
	Unseen      int             `json:"unseen_history,omitempty"` // events that came before the campaign, and do not count
	Bounds      []string        `json:"bounds,omitempty"`         // that are reached, so that something may have been dropped
	Past        []Past          `json:"past,omitempty"`           // triggers and decisions, by whoever has seen them
}

// Condition is one of those that must all hold.
type Condition struct {
	Text    string `json:"condition"`
	Holds   bool   `json:"holds"`
	Because string `json:"because,omitempty"`
}

// Wait is something that is open until a moment.
type Wait struct {
	For   string `json:"for"`
	Until string `json:"until"`
	Due   string `json:"due,omitempty"` // if later: when it is looked at, since it settles or lateness is allowed
}

// Event is one that the user did.
type Event struct {
	Event      string          `json:"event"`
	Time       string          `json:"time"`
	Properties json.RawMessage `json:"properties,omitempty"`
}

// Past is what a qualification of the user came to.
type Past struct {
	Time    string `json:"time"`
	Outcome string `json:"outcome"` // triggered, suppressed, converted
	Reason  string `json:"reason,omitempty"`
	Detail  string `json:"detail,omitempty"`
	ID      string `json:"id,omitempty"`
}

// mostShown bounds the history of an Explanation.
const mostShown = 20

// At explains the campaign of a view as of a moment, in ms: events of later times are not looked at.
func At(v campaign.View, moment int64) *Explanation {
	j := &judge{v: v, moment: moment}
	for _, e := range v.Events {
		if e.Time <= moment {
			j.events = append(j.events, e)
		}
	}
	d := v.Definition
	x := &Explanation{User: v.User, Campaign: d.Name, Description: d.Description, Moment: calendar.FormatTime(moment),
		Profile: v.Profile.Append(nil), Timezone: v.Zone.String(), Older: v.Cut || len(j.events) > mostShown, History: []Event{}}
	x.Category = j.trigger(&d.Trigger)
	j.controls()
	x.Conditions = j.conditions
	for i := range v.Open {
		x.Waits = append(x.Waits, j.wait(&v.Open[i]))
	}
	for _, h := range v.Held {
		x.Waits = append(x.Waits, Wait{For: "the trigger of " + calendar.FormatTime(h.Moment) + " (delay, or quiet hours)", Until: calendar.FormatTime(h.Due)})
	}
	for _, e := range j.events[max(0, len(j.events)-mostShown):] {
		x.History = append(x.History, Event{Event: e.Name, Time: calendar.FormatTime(e.Time), Properties: raw(e.Properties)})
	}
	x.Bounds = bounds(&v)
	if j.qualified > 0 {
		x.Qualifies = calendar.FormatTime(j.qualified)
	}
	x.Verdict = j.verdict(x)
	if x.Unseen = v.Unseen; x.Unseen > 0 && x.Missing() != "" {
		x.Verdict += "; " + x.unseen()
	}
	return x
}

// unseen says what a campaign without backfill does not see.
func (x *Explanation) unseen() string {
	if x.Unseen == 1 {
		return "an event came before the campaign was there, and does not count without backfill"
	}
	return fmt.Sprintf("%d events came before the campaign was there, and do not count without backfill", x.Unseen)
}

// bounds are those that the user has reached: what came, or comes, on top is dropped.
func bounds(v *campaign.View) (list []string) {
	r := &v.Rules
	if r.MaxEvents > 0 && v.Kept >= r.MaxEvents {
		list = append(list, fmt.Sprintf("history holds %d events of this user, as many as max_events lets; older ones are dropped and count no more", v.Kept))
	}
	if r.MaxOpen > 0 && len(v.Open) >= r.MaxOpen {
		list = append(list, fmt.Sprintf("%d watches or timers are open, as many as max_open lets; of more, the one due last is dropped", len(v.Open)))
	}
	if r.MaxOpen > 0 && len(v.Held) >= r.MaxOpen {
		list = append(list, fmt.Sprintf("%d triggers wait, as many as max_open lets; of more, the one that would leave last is dropped", len(v.Held)))
	}
	return list
}

func raw(p value.Properties) json.RawMessage {
	if len(p) == 0 {
		return nil
	}
	return p.Append(nil)
}

// judge collects conditions.
type judge struct {
	v          campaign.View
	moment     int64
	events     []*history.Event // up to the moment
	newest     *history.Event   // of those that would qualify; nil: none, or a profile's date
	qualified  int64            // the moment for which newest would qualify, where that is known
	runs       string           // what the user is waiting for, where a condition only needs time
	conditions []Condition
}

func (j *judge) condition(text string, holds bool, because string) {
	j.conditions = append(j.conditions, Condition{Text: text, Holds: holds, Because: because})
}

// Remember adds what became of the user's qualifications, oldest first: all of them since then. The verdict begins with the newest.
func (x *Explanation) Remember(past []Past, since string) {
	x.Past = past
	silent := x.silent(since)
	if silent {
		x.Verdict = "every condition holds now, but nothing came of " + x.Qualifies + ": the user was not in the audience then " +
			"(decisions tell it with not_in_audience: true), or the campaign was not there yet"
	}
	for i := len(past) - 1; i >= 0; i-- {
		p := &past[i]
		told := ""
		switch p.Outcome {
		case "triggered":
			told = "it triggered at " + p.Time
		case "suppressed":
			told = "it qualified at " + p.Time + " and was suppressed: " + p.Reason
			if p.Detail != "" {
				told += ": " + p.Detail
			}
		default:
			continue
		}
		if x.Missing() == "" && !silent {
			x.Verdict = told
		} else {
			x.Verdict = told + "; now: " + x.Verdict
		}
		return
	}
}

// silent says whether the conditions hold for a moment that has passed and of which nothing is told, as where the profile has changed
// since: what was not in the audience is only counted.
func (x *Explanation) silent(since string) bool {
	if x.Missing() != "" || x.Qualifies < since || x.Qualifies > x.Moment || len(x.Waits) > 0 {
		return false
	}
	return slices.ContainsFunc(x.Conditions, func(c Condition) bool { return strings.HasPrefix(c.Text, inAudience) }) &&
		!slices.ContainsFunc(x.Past, func(p Past) bool { return p.Time == x.Qualifies && p.Outcome != "converted" })
}

// Missing are the conditions that do not hold, in words.
func (x *Explanation) Missing() string {
	var list []string
	for _, c := range x.Conditions {
		if !c.Holds {
			list = append(list, c.sentence())
		}
	}
	return strings.Join(list, "; ")
}

func (c *Condition) sentence() string {
	if c.Because == "" {
		return "not: " + c.Text
	}
	return "not: " + c.Text + " (" + c.Because + ")"
}

func (j *judge) verdict(x *Explanation) string {
	missing := x.Missing()
	switch held := j.v.Held; {
	case len(held) > 0:
		newest := held[len(held)-1]
		still := *x // what has to do with the next trigger does not hold up this one
		still.Conditions = slices.DeleteFunc(slices.Clone(x.Conditions), func(c Condition) bool { return c.Text == reenters })
		missing = still.Missing()
		text := "the trigger of " + calendar.FormatTime(newest.Moment) + " waits until " + calendar.FormatTime(newest.Due)
		if missing != "" {
			text += ": " + missing
		}
		return text
	case missing == "":
		return "every condition holds"
	case j.runs != "" && strings.Contains(missing, "; not: "): // time is not all that is missing
		return j.runs + "; " + missing
	case j.runs != "":
		return j.runs
	}
	return missing
}

func (j *judge) wait(o *campaign.Open) Wait {
	w := Wait{Until: calendar.FormatTime(o.Moment)}
	if o.Due > o.Moment {
		w.Due = calendar.FormatTime(o.Due)
	}
	switch {
	case o.Check:
		w.For = "the next look"
	case o.Event != nil:
		w.For = "what " + o.Event.Name + " of " + calendar.FormatTime(o.Event.Time) + " has set"
	case j.v.Definition.Trigger.DateTimeProperty != nil:
		w.For = "the date in the profile"
	default:
		w.For = "a look that has been found to hold"
	}
	return w
}
