package main

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tripline/tripline/config"
	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/virtual"
	"github.com/tripline/tripline/sink"
)

// suite is a test file that is ready to run.
type suite struct {
	set           *campaign.Set
	plan          *sink.Plan
	tests         []config.Test
	notInAudience bool // whether the configuration writes such decisions
}

// outcome is all that a case brought about.
type outcome struct {
	triggers  []record.Trigger
	decisions []record.Decision
	outside   []record.Decision // not_in_audience, which only explains
	line      *virtual.Line     // as it stands at the end
	end       int64
}

// run plays a case and says what differs from what it expects.
func (s *suite) run(t *config.Test) []string {
	start := int64(*t.Start)
	got := outcome{}
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
	line.Rest()
	end, failures := play(line, t, start)
	if t.Until != nil {
		end = t.Until.In(start)
	}
	line.Until(end)
	got.line, got.end = line, end
	if err := line.Err(); err != nil {
		failures = append(failures, err.Error())
	}
	if t.Expect.Triggers != nil {
		failures = append(failures, s.compareTriggers(t, start, &got)...)
	}
	if t.Expect.Decisions != nil {
		failures = append(failures, s.compareDecisions(t, start, &got)...)
	}
	if t.Expect.Requests != nil {
		failures = append(failures, s.compareRequests(t, start, &got)...)
	}
	return failures
}

// play feeds a case's profiles and records, in order of arrival, and returns the last arrival, and what would be a dead letter.
func play(line *virtual.Line, t *config.Test, start int64) (last int64, refused []string) {
	note := func(user string, bad *record.Rejection) {
		if bad != nil {
			refused = append(refused, fmt.Sprintf("a record of user %s is refused: %s: %s", user, bad.Reason, bad.Detail))
		}
	}
	users := make([]string, 0, len(t.Profiles))
	for user := range t.Profiles {
		users = append(users, user)
	}
	slices.Sort(users)
	for _, user := range users {
		note(user, line.Profile(&record.Profile{User: user, Properties: t.Profiles[user]}, start))
	}
	records := slices.Clone(t.Events)
	slices.SortStableFunc(records, func(a, b config.TestRecord) int { return cmp.Compare(a.At.In(start), b.At.In(start)) })
	last = start
	for i := range records {
		r := &records[i]
		last = r.At.In(start)
		switch {
		case r.Erase:
			line.Erase(r.User, last)
		case r.Event == "":
			note(r.User, line.Profile(&record.Profile{User: r.User, Properties: r.Profile}, last))
		default:
			at := last
			if r.Time != nil {
				at = r.Time.In(start)
			}
			note(r.User, line.Event(&record.Event{ID: r.ID, User: r.User, Name: r.Event, Time: at, Properties: r.Properties, Profile: r.Profile}, last))
		}
	}
	return last, refused
}

// loadSuite reads a test file and compiles its campaigns.
func loadSuite(file string) (out *suite, problems config.Problems) {
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
	out = &suite{tests: tests.Tests, notInAudience: cfg.Decisions.NotInAudience}
	cfg.Decisions.NotInAudience = true // to explain; run sorts them out
	var defs []campaign.Definition
	to := endpoints(cfg)
	if tests.Config != "" {
		defs, out.set, problems = config.CompileFiles(tests.Campaigns, cfg, o.Checks)
	} else {
		defs, _, problems = config.CompileFiles(tests.Campaigns, nil, o.Checks) // deliver may name anything
		to = anyEndpoints(defs)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	if tests.Config == "" {
		out.set, _ = campaign.Compile(cfg.Rules(), defs)
	}
	out.plan, _ = sink.Compile(to, defs) // CompileFiles has tried the templates already
	return out, nil
}

// anyEndpoints stand in for those that campaigns deliver to, where no configuration says what they are.
func anyEndpoints(defs []campaign.Definition) (list []sink.Endpoint) {
	seen := map[string]bool{}
	for i := range defs {
		for _, to := range defs[i].Deliver {
			if !seen[to.Endpoint] {
				seen[to.Endpoint] = true
				list = append(list, sink.Endpoint{Name: to.Endpoint, URL: "https://endpoint.invalid/"})
			}
		}
	}
	return list
}
