package explain

import (
	"fmt"
	"strings"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/expr"
	"github.com/tripline/tripline/processor/campaign/history"
)

// pattern is an event pattern with the names that `same` has on its events.
type pattern struct {
	name, where string
	atLeast     int
	same        []string
	program     *expr.Program
}

func newPattern(p *campaign.Pattern, same []string) pattern {
	out := pattern{name: p.Event, where: p.Where, atLeast: 1}
	if p.AtLeast != nil {
		out.atLeast = *p.AtLeast
	}
	for _, name := range same {
		if other, ok := p.Alias[name]; ok {
			name = other
		}
		out.same = append(out.same, name)
	}
	if p.Where != "" {
		out.program, _ = expr.Compile(p.Where, expr.Where) // it has been compiled before
	}
	return out
}

func (p *pattern) String() string {
	if p.where == "" {
		return p.name
	}
	return p.name + " where " + p.where
}

func (p *pattern) times() string {
	if p.atLeast == 1 {
		return ""
	}
	return fmt.Sprintf(" at least %d times", p.atLeast)
}

// match says whether e fits, with which key, and if not why it does not although it has the name.
func (p *pattern) match(j *judge, e *history.Event) (key string, ok bool, why string) {
	if e.Name != p.name {
		return "", false, ""
	}
	key, ok = campaign.KeyOf(e, p.same)
	if !ok {
		return "", false, p.name + " of " + calendar.FormatTime(e.Time) + " lacks one of " + strings.Join(p.same, ", ")
	}
	if p.program == nil {
		return key, true, ""
	}
	env := expr.Env{Event: e.Properties, HasEvent: true, User: j.v.User, Now: e.Time}
	if holds, _ := p.program.True(&env); holds {
		return key, true, ""
	}
	return key, false, p.name + " of " + calendar.FormatTime(e.Time) + " does not count, it takes " + failing(expr.Parts(p.where, expr.Where, &env))
}

// failing are the parts that do not hold, with what they asked.
func failing(parts []expr.Part) string {
	var list []string
	for i := range parts {
		if p := &parts[i]; !p.Holds {
			list = append(list, behind(p.Text, asked(p)))
		}
	}
	return strings.Join(list, "; ")
}

// behind is a text with its reason.
func behind(text, because string) string {
	if because == "" {
		return text
	}
	return text + ", but " + because
}

func asked(p *expr.Part) string {
	if p.Err != nil {
		return "it cannot be judged: " + p.Err.Error()
	}
	var list []string
	for _, v := range p.Values {
		list = append(list, v.Name+" is "+v.Value)
	}
	return strings.Join(list, ", ")
}

// found is an event that fits a pattern.
type found struct {
	*history.Event
	key string
}

// all are the events in (after, upTo] that fit, oldest first, and why the newest of those with its name that do not fit does not.
func (p *pattern) all(j *judge, after, upTo int64) (list []found, why string) {
	for _, e := range j.events {
		if e.Time <= after || e.Time > upTo {
			continue
		}
		if key, ok, reason := p.match(j, e); ok {
			list = append(list, found{e, key})
		} else if reason != "" {
			why = reason
		}
	}
	return list, why
}

// under are those of one key.
func under(list []found, key string) (out []found) {
	for _, f := range list {
		if f.key == key {
			out = append(out, f)
		}
	}
	return out
}

// did says how often, and when last.
func did(list []found, why, name string) string {
	switch n := len(list); n {
	case 0:
		if why != "" {
			return why
		}
		return "no " + name + " is known of this user"
	case 1:
		return "once, at " + calendar.FormatTime(list[0].Time)
	default:
		return fmt.Sprintf("%d times, last at %s", n, calendar.FormatTime(list[n-1].Time))
	}
}

// tied says which values tie events together, as in " (cart_id "c1")".
func tied(e *history.Event, names []string) string {
	if len(names) == 0 {
		return ""
	}
	var list []string
	for _, name := range names {
		list = append(list, name+" "+string(e.Properties.Get(name).Append(nil)))
	}
	return " (" + strings.Join(list, ", ") + ")"
}
