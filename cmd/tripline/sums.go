package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/record"
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
	Triggers   int            `json:"triggers"`
	Suppressed map[string]int `json:"suppressed,omitempty"` // by reason
	Converted  map[string]int `json:"converted,omitempty"`  // by group: treated or control
	Days       map[string]int `json:"days,omitempty"`       // triggers by day, UTC
	Sample     []string       `json:"sample_users,omitempty"`
}

const sampleUsers = 5

func newSums(set *campaign.Set) *sums {
	s := &sums{Unreadable: map[string]int{}, Campaigns: map[string]*campaignSums{}, names: set.Names()}
	for _, name := range s.names {
		s.Campaigns[name] = &campaignSums{Suppressed: map[string]int{}, Converted: map[string]int{}, Days: map[string]int{}}
	}
	return s
}

func (s *sums) unreadable(line int, bad *record.Rejection) {
	s.Unreadable[bad.Reason]++
	if len(s.first) < 3 {
		s.first = append(s.first, fmt.Sprintf("line %d: %s: %s", line, bad.Reason, bad.Detail))
	}
}

func (s *sums) add(out *campaign.Output) {
	s.Duplicates += out.Counts.Duplicates
	for i := range out.Triggers {
		t := &out.Triggers[i]
		c := s.Campaigns[t.Campaign]
		c.Triggers++
		c.Days[calendar.FormatTime(t.Time)[:10]]++
		if len(c.Sample) < sampleUsers && !slices.Contains(c.Sample, t.User) {
			c.Sample = append(c.Sample, t.User)
		}
	}
	for i := range out.Decisions {
		if d := &out.Decisions[i]; d.Group != "" {
			s.Campaigns[d.Campaign].Converted[d.Group]++
		}
	}
	for i := range out.Counts.Campaigns {
		for r, n := range out.Counts.Campaigns[i].Suppressed {
			if n > 0 {
				s.Campaigns[s.names[i]].Suppressed[campaign.Reasons()[r]] += n
			}
		}
	}
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
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, name := range s.names {
		c := s.Campaigns[name]
		fmt.Fprintf(t, "\n%s\ttriggers\t%d\n", name, c.Triggers)
		for _, reason := range sorted(c.Suppressed) {
			fmt.Fprintf(t, "\t%s\t%d\n", reason, c.Suppressed[reason])
		}
		for _, group := range sorted(c.Converted) {
			fmt.Fprintf(t, "\tconverted, %s\t%d\n", group, c.Converted[group])
		}
		for _, day := range sorted(c.Days) {
			fmt.Fprintf(t, "\t%s\t%d\n", day, c.Days[day])
		}
		for i, user := range c.Sample {
			label := ""
			if i == 0 {
				label = "sample users"
			}
			fmt.Fprintf(t, "\t%s\t%s\n", label, user)
		}
	}
	return t.Flush()
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
