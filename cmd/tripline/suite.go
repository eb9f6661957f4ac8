package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tripline/tripline/config"
	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/value"
	"github.com/tripline/tripline/processor/virtual"
)

// suite is a test file that is ready to run.
type suite struct {
	set           *campaign.Set
	tests         []config.Test
	notInAudience bool // whether the configuration writes such decisions
}

// outcome is all that a case brought about.
type outcome struct {
	triggers  []record.Trigger
	decisions []record.Decision
	outside   []record.Decision // not_in_audience, which only explains
}

// run plays a case and says what differs from what it expects.
func (s *suite) run(t *config.Test) []string {
	start := int64(*t.Start)
	var got outcome
	line := virtual.New(s.set, func(out *campaign.Output) {
		got.triggers = append(got.triggers, out.Triggers...)
		for _, d := range out.Decisions {
			if d.Reason == "not_in_audience" && !s.notInAudience {
				got.outside = append(got.outside, d)
			} else {
				got.decisions = append(got.decisions, d)
			}
		}
	})
	end := play(line, t, start)
	if t.Until != nil {
		end = t.Until.In(start)
	}
	line.Until(end)
	var failures []string
	if t.Expect.Triggers != nil {
		failures = append(failures, s.compareTriggers(t, start, &got)...)
	}
	if t.Expect.Decisions != nil {
		failures = append(failures, compareDecisions(t, start, &got)...)
	}
	return failures
}

// play feeds a case's profiles and records, in order of arrival, and returns the last arrival.
func play(line *virtual.Line, t *config.Test, start int64) int64 {
	users := make([]string, 0, len(t.Profiles))
	for user := range t.Profiles {
		users = append(users, user)
	}
	slices.Sort(users)
	for _, user := range users {
		line.Profile(&record.Profile{User: user, Properties: t.Profiles[user]}, start)
	}
	records := slices.Clone(t.Events)
	slices.SortStableFunc(records, func(a, b config.TestRecord) int { return cmp.Compare(a.At.In(start), b.At.In(start)) })
	last := start
	for i := range records {
		r := &records[i]
		last = r.At.In(start)
		switch {
		case r.Erase:
			line.Erase(r.User, last)
		case r.Event == "":
			line.Profile(&record.Profile{User: r.User, Properties: r.Profile}, last)
		default:
			at := last
			if r.Time != nil {
				at = r.Time.In(start)
			}
			line.Event(&record.Event{ID: r.ID, User: r.User, Name: r.Event, Time: at, Properties: r.Properties, Profile: r.Profile}, last)
		}
	}
	return last
}

func (s *suite) compareTriggers(t *config.Test, start int64, got *outcome) (failures []string) {
	want := t.Expect.Triggers
	missing, extra := match(len(want), len(got.triggers), func(w, g int) bool { return fitsTrigger(&want[w], &got.triggers[g], start) })
	for _, w := range missing {
		e := &want[w]
		failures = append(failures, fmt.Sprintf("line %d: missing trigger %s: %s", e.Line, describeExpected(e, start), s.why(e, t, got, extra)))
	}
	for _, g := range extra {
		failures = append(failures, "unexpected trigger "+describeTrigger(&got.triggers[g], start))
	}
	return failures
}

// why explains, from what did happen, why an expected trigger did not come.
func (s *suite) why(e *config.ExpectedTrigger, t *config.Test, got *outcome, extra []int) string {
	start := int64(*t.Start)
	about := func(user, name string) bool {
		return (e.User == "" || e.User == user) && (e.Campaign == "" || e.Campaign == name)
	}
	for _, d := range append(slices.Clone(got.decisions), got.outside...) {
		if about(d.User, d.Campaign) && d.Decision == "suppressed" && (e.At == nil || e.At.In(start) == d.Time) {
			return fmt.Sprintf("it qualified at %s and was suppressed: %s", offset(d.Time, start), d.Reason)
		}
	}
	var near []string
	for _, g := range extra {
		if x := &got.triggers[g]; about(x.User, x.Campaign) {
			near = append(near, describeTrigger(x, start))
		}
	}
	if len(near) > 0 {
		return "what came instead: " + strings.Join(near, "; ")
	}
	if e.Campaign != "" && !slices.Contains(s.set.Names(), e.Campaign) {
		return "there is no campaign " + e.Campaign + "; there are " + strings.Join(s.set.Names(), ", ")
	}
	return "the condition did not become true by then" + did(e.User, t, start)
}

// did says what a user did, as far as it is short.
func did(user string, t *config.Test, start int64) string {
	if user == "" {
		return ""
	}
	var list []string
	for i := range t.Events {
		if r := &t.Events[i]; r.User == user && r.Event != "" {
			list = append(list, fmt.Sprintf("%s at %s", r.Event, offset(r.At.In(start), start)))
		}
	}
	switch n := len(list); {
	case n == 0:
		return "; this test has no event of user " + user
	case n > 5:
		list = append([]string{fmt.Sprintf("%d events", n-5)}, list[n-5:]...)
	}
	return "; what " + user + " did: " + strings.Join(list, ", ")
}

func compareDecisions(t *config.Test, start int64, got *outcome) (failures []string) {
	want := t.Expect.Decisions
	missing, extra := match(len(want), len(got.decisions), func(w, g int) bool { return fitsDecision(&want[w], &got.decisions[g], start) })
	for _, w := range missing {
		failures = append(failures, fmt.Sprintf("line %d: missing decision%s", want[w].Line, described(want[w].At, start, want[w].User, want[w].Campaign, want[w].Reason)))
	}
	for _, g := range extra {
		d := &got.decisions[g]
		failures = append(failures, fmt.Sprintf("unexpected decision at %s, user %s, campaign %s: %s %s", offset(d.Time, start), d.User, d.Campaign, d.Decision, d.Reason))
	}
	return failures
}

// match pairs what was wanted with what was got so that as many as possible fit (augmenting paths), and returns who is left over.
func match(want, got int, fits func(w, g int) bool) (missing, extra []int) {
	partner := make([]int, got)
	for g := range partner {
		partner[g] = -1
	}
	var try func(w int, seen []bool) bool
	try = func(w int, seen []bool) bool {
		for g := range got {
			if seen[g] || !fits(w, g) {
				continue
			}
			seen[g] = true
			if partner[g] < 0 || try(partner[g], seen) {
				partner[g] = w
				return true
			}
		}
		return false
	}
	for w := range want {
		if !try(w, make([]bool, got)) {
			missing = append(missing, w)
		}
	}
	for g, w := range partner {
		if w < 0 {
			extra = append(extra, g)
		}
	}
	return missing, extra
}

func fitsTrigger(e *config.ExpectedTrigger, t *record.Trigger, start int64) bool {
	return at(e.At, t.Time, start) && at(e.Emitted, max(t.Left, t.Time), start) && text(e.User, t.User) && text(e.Campaign, t.Campaign) &&
		text(e.Category, t.Category) && text(e.Endpoint, t.Endpoint) && text(e.ID, t.ID) && within(e.Profile, t.Profile) && fitsEvents(e.Events, t.Events, start)
}

func fitsEvents(want []config.ExpectedEvent, got []record.Happening, start int64) bool {
	if want == nil {
		return true
	}
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		if !text(want[i].Event, got[i].Name) || !at(want[i].At, got[i].Time, start) || !within(want[i].Properties, got[i].Properties) {
			return false
		}
	}
	return true
}

func fitsDecision(e *config.ExpectedDecision, d *record.Decision, start int64) bool {
	return at(e.At, d.Time, start) && at(e.Emitted, d.Left, start) && text(e.User, d.User) && text(e.Campaign, d.Campaign) && text(e.Decision, d.Decision) &&
		text(e.Reason, d.Reason) && text(e.Detail, d.Detail) && text(e.Trigger, d.TriggerID) && text(e.Group, d.Group) &&
		(e.Value.IsNil() || value.Equal(e.Value, d.Value))
}

func at(want *config.Moment, got, start int64) bool { return want == nil || want.In(start) == got }

func text(want, got string) bool { return want == "" || want == got }

func within(want, got value.Properties) bool {
	for _, p := range want {
		if !value.Equal(p.Value, got.Get(p.Name)) {
			return false
		}
	}
	return true
}

func describeExpected(e *config.ExpectedTrigger, start int64) string {
	return strings.TrimSpace(described(e.At, start, e.User, e.Campaign, ""))
}

func described(at *config.Moment, start int64, user, name, reason string) string {
	var b strings.Builder
	if at != nil {
		b.WriteString(" at " + offset(at.In(start), start))
	}
	for _, part := range [][2]string{{"user", user}, {"campaign", name}, {"reason", reason}} {
		if part[1] != "" {
			b.WriteString(" " + part[0] + " " + part[1])
		}
	}
	return b.String()
}

func describeTrigger(t *record.Trigger, start int64) string {
	out := fmt.Sprintf("at %s user %s campaign %s", offset(t.Time, start), t.User, t.Campaign)
	if t.Left != t.Time {
		out += ", emitted " + offset(t.Left, start)
	}
	return out
}

// offset prints a moment as tests write it.
func offset(ms, start int64) string {
	if ms == start {
		return "0m"
	}
	return calendar.FormatDuration(ms-start) + " (" + calendar.FormatTime(ms) + ")"
}

// loadSuite reads a test file and compiles its campaigns.
func loadSuite(file string) (*suite, config.Problems) {
	tests, problems := config.LoadTests(file)
	if len(problems) > 0 {
		return nil, problems
	}
	cfg, o := config.Default(), options()
	if tests.Config != "" {
		if cfg, _, problems = config.Load(tests.Config, o); len(problems) > 0 {
			return nil, problems
		}
	}
	out := &suite{tests: tests.Tests, notInAudience: cfg.Decisions.NotInAudience}
	cfg.Decisions.NotInAudience = true // to explain; run sorts them out
	if tests.Config != "" {
		_, out.set, problems = config.CompileFiles(tests.Campaigns, cfg, o.Checks)
		return out, problems
	}
	defs, _, problems := config.CompileFiles(tests.Campaigns, nil, o.Checks) // deliver may name anything
	if len(problems) > 0 {
		return nil, problems
	}
	out.set, _ = campaign.Compile(cfg.Rules(), defs)
	return out, nil
}
