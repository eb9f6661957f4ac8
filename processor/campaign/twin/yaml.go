package twin

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// YAML is the campaign in the language of campaign files.
func (c Campaign) YAML() string {
	var b strings.Builder
	fmt.Fprintf(&b, "name: %s\n", c.Name)
	if c.Paused {
		b.WriteString("enabled: false\n")
	}
	b.WriteString("trigger:\n")
	switch {
	case c.SingleAction != nil:
		c.SingleAction.write(&b)
	case c.Actions != nil:
		c.Actions.write(&b)
	case c.InactionWithinTime != nil:
		c.InactionWithinTime.write(&b)
	case c.Inaction != nil:
		c.Inaction.write(&b)
	case c.DateTimeProperty != nil:
		c.DateTimeProperty.write(&b)
	}
	if c.Audience != nil {
		fmt.Fprintf(&b, "audience: %s\n", quote(c.Audience.Text()))
	}
	if c.Start != 0 || c.End != 0 {
		var keys []string
		if c.Start != 0 {
			keys = append(keys, fmt.Sprintf("start: %q", timeText(c.Start)))
		}
		if c.End != 0 {
			keys = append(keys, fmt.Sprintf("end: %q", timeText(c.End)))
		}
		fmt.Fprintf(&b, "schedule: {%s}\n", strings.Join(keys, ", "))
	}
	switch r := c.Reentry; {
	case r.Once:
		b.WriteString("reentry: {once: true}\n")
	case r.MinGap > 0:
		fmt.Fprintf(&b, "reentry: {min_gap: %s}\n", durationText(r.MinGap))
	case r.Max > 0:
		fmt.Fprintf(&b, "reentry: {max: %d, per: %s}\n", r.Max, durationText(r.Per))
	}
	if c.StaleAfter != 0 {
		fmt.Fprintf(&b, "stale_after: %s\n", durationText(c.StaleAfter))
	}
	c.writeWaiting(&b)
	if c.Backfill {
		b.WriteString("backfill: true\n")
	}
	b.WriteString("deliver: {endpoint: e}\n")
	return b.String()
}

// writeWaiting writes what holds, orders and measures triggers.
func (c Campaign) writeWaiting(b *strings.Builder) {
	if len(c.Tags) > 0 {
		fmt.Fprintf(b, "tags: [%s]\n", strings.Join(c.Tags, ", "))
	}
	if c.Delay > 0 {
		fmt.Fprintf(b, "delay: %s\n", durationText(c.Delay))
	}
	if len(c.Exit) > 0 {
		fmt.Fprintf(b, "exit: %s\n", flows(c.Exit))
	}
	if q := c.Quiet; q != nil {
		fmt.Fprintf(b, "quiet_hours: {from: %q, to: %q", ofDayText(q.From), ofDayText(q.To))
		if len(q.Days) > 0 {
			fmt.Fprintf(b, ", days: [%s]", strings.Join(q.Days, ", "))
		}
		if q.Drop {
			b.WriteString(", then: drop")
		}
		b.WriteString("}\n")
	}
	if c.Priority != 0 {
		fmt.Fprintf(b, "priority: %d\n", c.Priority)
	}
	if c.ControlGroup > 0 {
		fmt.Fprintf(b, "control_group: %v%%\n", c.ControlGroup)
	}
	if c.Goal != nil {
		keys := append(c.Goal.Pattern.keys(), "within: "+durationText(c.Goal.Within))
		if c.Goal.Value != "" {
			keys = append(keys, "value: event."+c.Goal.Value)
		}
		fmt.Fprintf(b, "goal: {%s}\n", strings.Join(keys, ", "))
	}
}

// quote is a YAML scalar in single quotes.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// keys are those of the pattern, for a flow mapping.
func (p Pattern) keys() []string {
	keys := []string{"event: " + strconv.Quote(p.Event)}
	if p.Where != nil {
		keys = append(keys, "where: "+quote(p.Where.Text()))
	}
	if p.AtLeast > 0 {
		keys = append(keys, fmt.Sprint("at_least: ", p.AtLeast))
	}
	if len(p.Alias) > 0 {
		var pairs []string
		for _, name := range slices.Sorted(maps.Keys(p.Alias)) {
			pairs = append(pairs, name+": "+p.Alias[name])
		}
		keys = append(keys, "alias: {"+strings.Join(pairs, ", ")+"}")
	}
	return keys
}

func (p Pattern) flow() string { return "{" + strings.Join(p.keys(), ", ") + "}" }

func flows(list []Pattern) string {
	var texts []string
	for _, p := range list {
		texts = append(texts, p.flow())
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

func writeSame(b *strings.Builder, same []string) {
	if len(same) > 0 {
		fmt.Fprintf(b, "    same: [%s]\n", strings.Join(same, ", "))
	}
}

func (k SingleAction) write(b *strings.Builder) {
	b.WriteString("  single_action:\n")
	if len(k.Any) > 0 {
		fmt.Fprintf(b, "    any: %s\n", flows(k.Any))
	} else {
		for _, key := range k.Pattern.keys() {
			fmt.Fprintf(b, "    %s\n", key)
		}
	}
	writeOccurrence(b, k.Occurrence)
}

func writeOccurrence(b *strings.Builder, n int) {
	switch {
	case n == 1:
		b.WriteString("    occurrence: first\n")
	case n > 1:
		fmt.Fprintf(b, "    occurrence: %d\n", n)
	}
}

func (k Actions) write(b *strings.Builder) {
	fmt.Fprintf(b, "  actions:\n    all: %s\n    within: %s\n", flows(k.All), durationText(k.Within))
	if k.InOrder {
		b.WriteString("    in_order: true\n")
	}
	if k.Reuse {
		b.WriteString("    reuse: true\n")
	}
	writeSame(b, k.Same)
}

func (k InactionWithinTime) write(b *strings.Builder) {
	fmt.Fprintf(b, "  inaction_within_time:\n    after: %s\n    without: %s\n    within: %s\n", k.After.flow(), k.Without.flow(), durationText(k.Within))
	if k.OnRepeat != "" {
		fmt.Fprintf(b, "    on_repeat: %s\n", k.OnRepeat)
	}
	writeSame(b, k.Same)
}

func (k Inaction) write(b *strings.Builder) {
	fmt.Fprintf(b, "  inaction:\n    did: %s\n    did_not: %s\n    in_last: %s\n", k.Did.flow(), k.DidNot.flow(), durationText(k.InLast))
	if k.After > 0 {
		fmt.Fprintf(b, "    check: {after: %s}\n", durationText(k.After))
		return
	}
	fmt.Fprintf(b, "    check: {every: %s", durationText(k.Every))
	if k.At >= 0 {
		fmt.Fprintf(b, ", at: %q", ofDayText(k.At))
	}
	if k.On != "" {
		fmt.Fprintf(b, ", on: %s", k.On)
	}
	b.WriteString("}\n")
}

func (k DateTimeProperty) write(b *strings.Builder) {
	b.WriteString("  date_time_property:\n")
	if k.ProfileProperty != "" {
		fmt.Fprintf(b, "    profile_property: %s\n", k.ProfileProperty)
	} else {
		for _, key := range k.Pattern.keys() {
			fmt.Fprintf(b, "    %s\n", key)
		}
		writeOccurrence(b, k.Occurrence)
	}
	if k.Property != "" {
		fmt.Fprintf(b, "    property: %s\n", k.Property)
	}
	if k.Offset != 0 {
		fmt.Fprintf(b, "    offset: %s\n", durationText(k.Offset))
	}
	if k.At >= 0 {
		fmt.Fprintf(b, "    at: %q\n", ofDayText(k.At))
	}
	writeSame(b, k.Same)
	if k.Cancel != nil {
		fmt.Fprintf(b, "    cancel: %s\n", k.Cancel.flow())
	}
	if k.Yearly {
		b.WriteString("    repeat: yearly\n")
	}
	if k.Fire {
		b.WriteString("    if_past: fire\n")
	}
}

// String prints the whole case readably.
func (c Case) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d kind %s\nuser %s zone %q max_future %s allowed_lateness %s settle %s\n", c.Seed, c.Kind, c.Rules.User,
		c.Rules.Zone, durationText(c.Rules.MaxFuture), durationText(c.Rules.AllowedLateness), durationText(c.Rules.Settle))
	for _, limit := range c.Rules.Caps {
		fmt.Fprintf(&b, "cap %s max %d per %s tags %v\n", limit.Name, limit.Max, durationText(limit.Per), limit.Tags)
	}
	for _, one := range c.Campaigns {
		b.WriteString("---\n" + one.YAML())
	}
	b.WriteString("---\n")
	for i, in := range c.Inputs {
		for _, change := range c.Changes {
			if change.Before == i {
				b.WriteString(change.String())
			}
		}
		fmt.Fprintf(&b, "%s %-7s", timeText(in.Arrival), in.Kind)
		if in.Kind == "event" {
			fmt.Fprintf(&b, " %q time %s", in.Name, timeText(in.Time))
			if in.Time != in.Arrival {
				fmt.Fprintf(&b, " (%s)", durationText(in.Time-in.Arrival))
			}
			if in.ID != "" {
				fmt.Fprintf(&b, " id %s", in.ID)
			}
			if len(in.Properties) > 0 {
				b.WriteString(" " + jsonText(in.Properties))
			}
		}
		if len(in.Profile) > 0 {
			b.WriteString(" profile " + jsonText(in.Profile))
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "%s until\n", timeText(c.Until))
	for _, change := range c.Changes {
		if change.Before == len(c.Inputs) {
			b.WriteString(change.String())
		}
	}
	return b.String()
}

// String prints an outcome on one line.
func (o Outcome) String() string {
	var events []string
	for _, e := range o.Events {
		events = append(events, e.Name+"@"+timeText(e.Time))
	}
	end := "trigger"
	if o.Reason != "" {
		end = o.Reason
	}
	if o.Group != "" {
		end = fmt.Sprint("converted ", o.Group, " ", o.Value)
	}
	return fmt.Sprintf("%s %s left %s %s [%s]", o.Campaign, timeText(o.Time), timeText(o.Left), end, strings.Join(events, " "))
}
