package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/explain"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/virtual"
)

// sums are the numbers that a backtest prints.
type sums struct {
	Events     int                      `json:"events"`
	Users      int                      `json:"users"`
	Duplicates int                      `json:"duplicates"`
	Unreadable map[string]int           `json:"unreadable,omitempty"` // by reason
	Campaigns  map[string]*campaignSums `json:"campaigns"`
	first      []string                 // the first unreadable lines, in words
	names      []string
}

// campaignSums are those of one campaign.
type campaignSums struct {
	Triggers   int                 `json:"triggers"`
	Suppressed map[string]int      `json:"suppressed,omitempty"` // by reason
	Converted  map[string]int      `json:"converted,omitempty"`  // by group: treated or control
	Days       map[string]*daySums `json:"days,omitempty"`       // by day, UTC
	Sample     []shownUser         `json:"sample_users,omitempty"`
	Against    *againstSums        `json:"against,omitempty"`
}

// daySums are those of one campaign and day.
type daySums struct {
	Triggers   int            `json:"triggers"`
	Suppressed map[string]int `json:"suppressed,omitempty"`
}

// shownUser is a user that a campaign has triggered for, with what they had done up to the first time.
type shownUser struct {
	User     string          `json:"user_id"`
	Time     string          `json:"time"`
	Timeline []explain.Event `json:"timeline"`
}

const sampleUsers = 5

func newSums(set *campaign.Set) *sums {
	s := &sums{Unreadable: map[string]int{}, Campaigns: map[string]*campaignSums{}, names: set.Names()}
	for _, name := range s.names {
		s.Campaigns[name] = &campaignSums{Suppressed: map[string]int{}, Converted: map[string]int{}, Days: map[string]*daySums{}}
	}
	return s
}

func (s *sums) unreadable(where string, bad *record.Rejection) {
	s.Unreadable[bad.Reason]++
	if len(s.first) < 3 {
		s.first = append(s.first, fmt.Sprintf("%s: %s: %s", where, bad.Reason, bad.Detail))
	}
}

// add counts what a step of a line has decided. What is not written as a decision counts for the day of the step.
func (s *sums) add(out *campaign.Output, line *virtual.Line) {
	s.Duplicates += out.Counts.Duplicates
	for i := range out.Triggers {
		t := &out.Triggers[i]
		c := s.Campaigns[t.Campaign]
		c.Triggers++
		c.day(t.Time).Triggers++
		if len(c.Sample) < sampleUsers && !slices.ContainsFunc(c.Sample, func(u shownUser) bool { return u.User == t.User }) {
			c.Sample = append(c.Sample, sampleOf(t, line))
		}
	}
	var written map[string]int // reasons of one campaign that decisions tell the day of
	if len(out.Decisions) > 0 {
		written = map[string]int{}
	}
	for i := range out.Decisions {
		if d := &out.Decisions[i]; d.Decision == "suppressed" {
			s.Campaigns[d.Campaign].day(d.Time).add(d.Reason, 1)
			written[d.Campaign+" "+d.Reason]++
		}
	}
	for i := range out.Decisions {
		if d := &out.Decisions[i]; d.Group != "" {
			s.Campaigns[d.Campaign].Converted[d.Group]++
		}
	}
	for i := range out.Counts.Campaigns {
		for r, n := range out.Counts.Campaigns[i].Suppressed {
			if n == 0 {
				continue
			}
			c, reason := s.Campaigns[s.names[i]], campaign.Reasons()[r]
			c.Suppressed[reason] += n
			if left := n - written[s.names[i]+" "+reason]; left > 0 {
				c.day(line.Now()).add(reason, left)
			}
		}
	}
}

func (c *campaignSums) day(ms int64) *daySums {
	name := calendar.FormatTime(ms)[:10]
	d := c.Days[name]
	if d == nil {
		d = &daySums{}
		c.Days[name] = d
	}
	return d
}

func (d *daySums) add(reason string, n int) {
	if d.Suppressed == nil {
		d.Suppressed = map[string]int{}
	}
	d.Suppressed[reason] += n
}

// timeline is how many events a sample user is shown with.
const timeline = 5

func sampleOf(t *record.Trigger, line *virtual.Line) shownUser {
	out := shownUser{User: strings.Clone(t.User), Time: calendar.FormatTime(t.Time)}
	if u := line.User(t.User); u != nil {
		if v, ok := u.View(t.Campaign); ok {
			all := explain.At(v, t.Time).History
			out.Timeline = all[max(0, len(all)-timeline):]
		}
	}
	return out
}

func (s *sums) print(w io.Writer, output string) error {
	if output == "json" {
		return printJSON(w, s)
	}
	fmt.Fprintf(w, "%d events of %d users", s.Events, s.Users)
	if s.Duplicates > 0 {
		fmt.Fprintf(w, ", %d of them duplicates", s.Duplicates)
	}
	fmt.Fprintln(w)
	for _, reason := range sorted(s.Unreadable) {
		fmt.Fprintf(w, "%d lines could not be read (%s)\n", s.Unreadable[reason], reason)
	}
	for _, text := range s.first {
		fmt.Fprintf(w, "  %s\n", text)
	}
	for _, name := range s.names {
		if err := s.Campaigns[name].print(w, name); err != nil {
			return err
		}
	}
	return nil
}

// print writes a table of a line a day and a column a reason, and below it the sample users.
func (c *campaignSums) print(w io.Writer, name string) error {
	fmt.Fprintf(w, "\n%s: %s\n", name, plural(c.Triggers, "trigger"))
	reasons := sorted(c.Suppressed)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(day string, triggers int, suppressed map[string]int) {
		fmt.Fprintf(t, "%s\t%d\t", day, triggers)
		for _, reason := range reasons {
			fmt.Fprintf(t, "%d\t", suppressed[reason])
		}
		fmt.Fprintln(t)
	}
	if len(c.Days) > 0 {
		fmt.Fprintf(t, "day\ttriggers\t")
		for _, reason := range reasons {
			fmt.Fprintf(t, "%s\t", reason)
		}
		fmt.Fprintln(t)
		for _, day := range sorted(c.Days) {
			row(day, c.Days[day].Triggers, c.Days[day].Suppressed)
		}
		row("all", c.Triggers, c.Suppressed)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, group := range sorted(c.Converted) {
		fmt.Fprintf(w, "converted, %s: %d\n", group, c.Converted[group])
	}
	if a := c.Against; a != nil {
		fmt.Fprintf(w, "users, against %s: %d in both, %d gained, %d lost\n", a.Campaign, a.Both, a.Gained, a.Lost)
		for _, side := range [][]string{append([]string{"gained"}, a.GainedUsers...), append([]string{"lost"}, a.LostUsers...)} {
			if len(side) > 1 {
				fmt.Fprintf(w, "  %s: %s\n", side[0], strings.Join(side[1:], ", "))
			}
		}
	}
	for _, u := range c.Sample {
		fmt.Fprintf(w, "  user %s, triggered at %s after\n", u.User, u.Time)
		for _, e := range u.Timeline {
			fmt.Fprintf(w, "    %s  %s %s\n", e.Time, e.Event, e.Properties)
		}
	}
	return nil
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
