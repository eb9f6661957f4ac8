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

	settled  bool // what is decided from now on changes nothing about the sample
	last     *daySums
	from, to int64 // the day of last, ms
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
	at       key             // of the first trigger
}

const (
	sampleUsers    = 5
	mostUnreadable = 3 // that are told in words
)

func newSums(set *campaign.Set) *sums {
	s := &sums{Unreadable: map[string]int{}, Campaigns: map[string]*campaignSums{}, names: set.Names()}
	for _, name := range s.names {
		s.Campaigns[name] = &campaignSums{Suppressed: map[string]int{}, Converted: map[string]int{}, Days: map[string]*daySums{}}
	}
	return s
}

func (s *sums) unreadable(where string, bad *record.Rejection) {
	s.Unreadable[bad.Reason]++
	if len(s.first) < mostUnreadable {
		s.first = append(s.first, fmt.Sprintf("%s: %s: %s", where, bad.Reason, bad.Detail))
	}
}

// add counts what a step of a line has decided, apart from its decisions.
func (s *sums) add(out *campaign.Output, line *virtual.Line, at key) {
	for i := range out.Triggers {
		t := &out.Triggers[i]
		c := s.Campaigns[t.Campaign]
		c.Triggers++
		c.day(t.Time).Triggers++
		if !c.settled {
			c.show(shownUser{User: t.User, at: at}, func() shownUser { return sampleOf(t, line, at) })
		}
	}
}

// addDecisions counts decisions, written or not.
func (s *sums) addDecisions(decisions []record.Decision) {
	for i := range decisions {
		d := &decisions[i]
		c := s.Campaigns[d.Campaign]
		if d.Group != "" {
			c.Converted[d.Group]++
			continue
		}
		c.Suppressed[d.Reason]++
		c.day(d.Time).add(d.Reason, 1)
	}
}

// show adds a user to the sample, unless it has others who were triggered for before.
func (c *campaignSums) show(u shownUser, whole func() shownUser) {
	if slices.ContainsFunc(c.Sample, func(o shownUser) bool { return o.User == u.User }) {
		return
	}
	at, _ := slices.BinarySearchFunc(c.Sample, u, func(a, b shownUser) int { return a.at.compare(b.at) })
	if at == sampleUsers {
		return
	}
	c.Sample = slices.Insert(c.Sample, at, whole())
	c.Sample = c.Sample[:min(len(c.Sample), sampleUsers)]
}

// settle notes of which campaigns the sample stands, whatever is decided behind a key. It says whether that has changed.
func (s *sums) settle(behind key) (changed bool) {
	for _, c := range s.Campaigns {
		settled := len(c.Sample) == sampleUsers && c.Sample[sampleUsers-1].at.compare(behind) < 0
		changed = changed || settled != c.settled
		c.settled = settled
	}
	return changed
}

// merge adds those of other users.
func (s *sums) merge(o *sums) {
	s.Users += o.Users
	s.Duplicates += o.Duplicates
	mergeCounts(s.Unreadable, o.Unreadable)
	s.first = append(s.first, o.first[:min(len(o.first), mostUnreadable-len(s.first))]...)
	for name, c := range o.Campaigns {
		to := s.Campaigns[name]
		to.Triggers += c.Triggers
		mergeCounts(to.Suppressed, c.Suppressed)
		mergeCounts(to.Converted, c.Converted)
		for day, d := range c.Days {
			have := to.Days[day]
			if have == nil {
				have = &daySums{}
				to.Days[day] = have
			}
			have.Triggers += d.Triggers
			for reason, n := range d.Suppressed {
				have.add(reason, n)
			}
		}
		for _, u := range c.Sample {
			to.show(u, func() shownUser { return u })
		}
	}
}

func mergeCounts(to, from map[string]int) {
	for name, n := range from {
		to[name] += n
	}
}

const dayLength = 24 * 3600_000

func (c *campaignSums) day(ms int64) *daySums {
	if c.last != nil && ms >= c.from && ms < c.to {
		return c.last
	}
	name := calendar.FormatTime(ms)[:10]
	d := c.Days[name]
	if d == nil {
		d = &daySums{}
		c.Days[name] = d
	}
	c.last, c.from = d, ms-(ms%dayLength+dayLength)%dayLength
	c.to = c.from + dayLength
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

func sampleOf(t *record.Trigger, line *virtual.Line, at key) shownUser {
	out := shownUser{at: at, User: strings.Clone(t.User), Time: calendar.FormatTime(t.Time)}
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
		fmt.Fprintf(w, "%s could not be read (%s)\n", plural(s.Unreadable[reason], "line"), reason)
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
