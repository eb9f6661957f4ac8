package explain

import (
	"fmt"
	"strings"
)

// Text is the explanation for a terminal.
func (x *Explanation) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in %s", x.User, x.Campaign)
	if x.Description != "" {
		fmt.Fprintf(&b, " (%s)", x.Description)
	}
	fmt.Fprintf(&b, ", as of %s\n%s\n\nconditions\n", x.Moment, x.Verdict)
	for _, c := range x.Conditions {
		mark := "no "
		if c.Holds {
			mark = "yes"
		}
		fmt.Fprintf(&b, "  %s  %s\n", mark, c.Text)
		if c.Because != "" {
			fmt.Fprintf(&b, "       %s\n", c.Because)
		}
	}
	if len(x.Waits) > 0 {
		b.WriteString("\nwaits\n")
	}
	for _, w := range x.Waits {
		fmt.Fprintf(&b, "  %s  %s", w.Until, w.For)
		if w.Due != "" {
			fmt.Fprintf(&b, " (looked at from %s on)", w.Due)
		}
		b.WriteByte('\n')
	}
	for _, text := range x.Bounds {
		b.WriteString("\nat its bound: " + text + "\n")
	}
	if len(x.Past) > 0 {
		b.WriteString("\npast\n")
	}
	for _, p := range x.Past {
		fmt.Fprintf(&b, "  %s  %s\n", p.Time, strings.Join(strings.Fields(p.Outcome+" "+p.Reason+" "+p.Detail+" "+p.ID), " "))
	}
	fmt.Fprintf(&b, "\nprofile  %s\ntimezone %s\n\nhistory\n", x.Profile, x.Timezone)
	if x.Unseen > 0 {
		b.WriteString("  " + x.unseen() + "\n")
	}
	if x.Older {
		b.WriteString("  older events are not shown\n")
	}
	for _, e := range x.History {
		fmt.Fprintf(&b, "  %s  %s %s\n", e.Time, e.Event, e.Properties)
	}
	if len(x.History) == 0 {
		b.WriteString("  none of the events of this campaign's trigger\n")
	}
	return b.String()
}
