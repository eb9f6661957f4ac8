package campaign_test

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tripline/tripline/config"
	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/dump"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/twin"
	"github.com/tripline/tripline/processor/campaign/value"
)

var (
	histories = flag.Int("histories", 600, "random histories of each kind to compare with the twin")
	firstSeed = flag.Uint64("seed", 1, "the first seed")
)

// The core against the dumb twin: random campaigns of each kind over random histories.
func TestTwin(t *testing.T) {
	for _, kind := range twin.Kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for n := range *histories {
				c := twin.Generate(*firstSeed+uint64(n), kind)
				if differs(dir, c) == "" {
					continue
				}
				c = twin.Shrink(c, func(c twin.Case) bool { return differs(dir, c) != "" })
				t.Fatalf("seed %d: the core and the twin disagree\n%s\n%s", *firstSeed+uint64(n), c, differs(dir, c))
			}
		})
	}
}

// A crowd's campaigns are of all kinds, and decide the same in the core.
func TestTwinCrowd(t *testing.T) {
	dir, decided := t.TempDir(), 0
	for seed := range uint64(max(5, *histories/100)) {
		for _, c := range twin.Crowd(seed+1, 6) {
			if diff := differs(dir, c); diff != "" {
				t.Fatalf("seed %d: the core and the twin disagree\n%s\n%s", seed+1, c, diff)
			}
			decided += len(c.Run())
		}
	}
	if decided == 0 {
		t.Error("nothing was decided")
	}
}

// The same where campaigns come, go and change in the midst of a history.
func TestTwinChange(t *testing.T) {
	for _, kind := range twin.Kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for n := range *histories / 3 {
				c := twin.GenerateChanging(*firstSeed+uint64(n), kind)
				if differs(dir, c) == "" {
					continue
				}
				c = twin.Shrink(c, func(c twin.Case) bool { return differs(dir, c) != "" })
				t.Fatalf("seed %d: the core and the twin disagree\n%s\n%s", *firstSeed+uint64(n), c, differs(dir, c))
			}
		})
	}
}

// differs runs a case both ways and shows what differs; "" is nothing.
func differs(dir string, c twin.Case) string {
	var sets []*campaign.Set
	for i := range 1 + len(c.Changes) {
		one := c
		if i > 0 {
			one.Campaigns = c.Changes[i-1].Campaigns
		}
		set, err := compiled(dir, one)
		if err != nil {
			return err.Error()
		}
		sets = append(sets, set)
	}
	want, got := lines(c.Run()), lines(core(sets, c))
	if slices.Equal(want, got) {
		return ""
	}
	return "twin:\n  " + strings.Join(want, "\n  ") + "\ncore:\n  " + strings.Join(got, "\n  ")
}

func compiled(dir string, c twin.Case) (*campaign.Set, error) {
	var texts []string
	for _, one := range c.Campaigns {
		texts = append(texts, one.YAML())
	}
	file := filepath.Join(dir, "campaigns.yaml")
	if err := os.WriteFile(file, []byte(strings.Join(texts, "\n---\n")), 0o644); err != nil {
		return nil, err
	}
	defs, _, problems := config.CompileFiles([]string{file}, nil, config.Checks{})
	if len(problems) > 0 {
		return nil, problems
	}
	name := c.Rules.Zone
	if name == "" {
		name = "UTC"
	}
	zone, _ := calendar.LoadZone(name)
	set, _ := campaign.Compile(campaign.Rules{Zone: zone, TimezoneProperty: "timezone", AllowedLateness: c.Rules.AllowedLateness,
		MaxFuture: c.Rules.MaxFuture, Settle: c.Rules.Settle, MaxAge: 400 * 24 * 3600_000, NotInAudience: true, Caps: capsOf(c)}, defs)
	return set, nil
}

func capsOf(c twin.Case) (list []campaign.Cap) {
	for _, one := range c.Rules.Caps {
		list = append(list, campaign.Cap{Name: one.Name, Max: one.Max, Per: campaign.Duration(one.Per), Tags: one.Tags})
	}
	return list
}

// core runs the real core until the case ends.
func core(sets []*campaign.Set, c twin.Case) (outcomes []twin.Outcome) {
	coreSteps(sets, c, c.Until, func(out *campaign.Output) { outcomes = append(outcomes, taken(out)...) })
	return outcomes
}

// coreRun runs it until nothing that has qualified by then waits any more.
func coreRun(set *campaign.Set, c twin.Case, take func(*campaign.Output)) {
	coreSteps([]*campaign.Set{set}, c, c.Until+400*24*3600_000, take)
}

// coreSteps opens the user anew from its rows after every step, in the same memory, and answers with their size in the end.
// What a step reads is overwritten behind it: nothing that outlives the step may be in there. Of every third case the events are large, and
// stand outside of the head. The last set to have users
// rebuilt does so at once or, of every other case, when the user is opened next; of one before it that may not wait.
func coreSteps(sets []*campaign.Set, c twin.Case, until int64, take func(*campaign.Output)) (size int) {
	var out campaign.Output
	var room record.Room
	var envelope record.Envelope
	var opened []byte
	u := new(campaign.User)
	head, parts := []byte(nil), map[uint32][]byte{}
	ledger := sets[0].Succeed(nil, 0)
	set := sets[0].Under(ledger, 0)
	large := c.Seed%3 == 0
	step := func(do func(*campaign.User)) {
		opened = append(opened[:0], head...)
		from := opened
		if head == nil {
			from = nil
		}
		if err := set.Reopen(u, c.Rules.User, from, func(n uint32) []byte { return parts[n] }); err != nil {
			panic(err)
		}
		do(u)
		u.Rows(func(n uint32, content []byte) {
			switch {
			case n == 0:
				head = slices.Clone(content)
			case content == nil:
				delete(parts, n)
			default:
				parts[n] = slices.Clone(content)
			}
		})
		for _, t := range out.Triggers {
			for _, e := range t.Events {
				if large && len(e.Properties.Get("large").Text()) != largeText {
					panic("an event of a trigger lacks a property")
				}
			}
		}
		take(&out)
		out.Reset()
	}
	change := func(at int) {
		for i, ch := range c.Changes {
			if ch.Before != at {
				continue
			}
			if !ch.Left {
				step(func(u *campaign.User) { u.Passed(ch.Stream, &out) })
			}
			next, rebuilt := sets[i+1].Succeed(ledger, ch.Stream), ledger.Rebuilt()
			if ledger, set = next, sets[i+1].Under(next, rebuilt*(c.Seed/2%2)); i+1 < len(c.Changes) || c.Seed%2 == 0 {
				step(func(*campaign.User) {})
			}
		}
	}
	arrival := int64(0)
	for i, in := range c.Inputs {
		change(i)
		arrival = max(arrival, in.Arrival)
		step(func(u *campaign.User) {
			switch in.Kind {
			case "event":
				key, val := []byte(c.Rules.User), written(&in, large)
				event, bad := envelope.EventInto(&room, key, val, 0)
				if bad != nil {
					panic(bad.Detail)
				}
				u.Event(&event, arrival, &out)
				take(&out)
				out.Reset()
				clear(key)
				clear(val)
			case "profile":
				u.Profile(&record.Profile{User: c.Rules.User, Properties: properties(in.Profile)}, arrival, &out)
			case "erase":
				u.Erase(arrival, &out)
			}
		})
	}
	change(len(c.Inputs))
	step(func(u *campaign.User) { u.Passed(until, &out) })
	if head == nil {
		return 0
	}
	if _, err := dump.Read(c.Rules.User, head, func(n uint32) []byte { return parts[n] }, nil); err != nil {
		panic(err)
	}
	for _, content := range parts {
		size += len(content)
	}
	return size + len(head)
}

// largeText is how long a text is that an event is large with, in bytes.
const largeText = 300

// written is an event as a producer writes it.
func written(in *twin.Input, large bool) []byte {
	b := fmt.Appendf(nil, `{"time":%d,"event":`, in.Time)
	b = value.AppendString(b, in.Name)
	if in.ID != "" {
		b = value.AppendString(append(b, `,"id":`...), in.ID)
	}
	p := properties(in.Properties)
	if large {
		p = append(p, value.Property{Name: "large", Value: value.OfString(strings.Repeat("x", largeText))})
	}
	b = p.Append(append(b, `,"properties":`...))
	if len(in.Profile) > 0 {
		b = properties(in.Profile).Append(append(b, `,"profile":`...))
	}
	return append(b, '}')
}

func taken(out *campaign.Output) (list []twin.Outcome) {
	for _, t := range out.Triggers {
		o := twin.Outcome{Campaign: t.Campaign, Time: t.Time, Left: t.Left}
		for _, e := range t.Events {
			o.Events = append(o.Events, twin.Seen{Name: strings.Clone(e.Name), Time: e.Time})
		}
		list = append(list, o)
	}
	for _, d := range out.Decisions {
		o := twin.Outcome{Campaign: d.Campaign, Time: d.Time, Left: d.Left, Reason: d.Reason, Group: d.Group}
		if !d.Value.IsNil() {
			o.Value = json.RawMessage(d.Value.Append(nil))
		}
		list = append(list, o)
	}
	return list
}

func properties(m map[string]any) (p value.Properties) {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		var v value.Value
		switch x := m[name].(type) {
		case float64:
			v = value.OfNumber(x)
		case string:
			v = value.OfString(x)
		case bool:
			v = value.OfBool(x)
		}
		p = append(p, value.Property{Name: name, Value: v})
	}
	return p
}

// jsonOf is a conversion's value.
func jsonOf(v any) string {
	if v == nil {
		return "without value"
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func lines(outcomes []twin.Outcome) (text []string) {
	for _, o := range outcomes {
		line := o.Campaign + " at " + calendar.FormatTime(o.Time) + " left " + calendar.FormatTime(max(o.Left, o.Time))
		if o.Group != "" {
			line += " converted " + o.Group + " " + jsonOf(o.Value)
		} else if o.Reason != "" {
			line += " suppressed " + o.Reason
		} else {
			for _, e := range o.Events {
				line += fmt.Sprintf(" [%s %s]", e.Name, calendar.FormatTime(e.Time))
			}
		}
		text = append(text, line)
	}
	slices.SortFunc(text, cmp.Compare[string])
	return text
}
