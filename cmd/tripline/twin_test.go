package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/twin"
)

var generated = flag.Int("generated", 40, "generated tests of each kind")

// Generated campaigns and histories, written as a marketer writes them: `tripline test` passes with what the twin says comes of them, and
// fails with anything else.
func TestGenerated(t *testing.T) {
	for _, kind := range twin.Kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			var right, wrong []string
			for seed := range uint64(*generated) {
				c := twin.Generate(seed+1, kind)
				name := func(what string) string { return filepath.Join(dir, fmt.Sprintf("%d%s.yaml", seed+1, what)) }
				var campaigns []string
				for _, one := range c.Campaigns {
					campaigns = append(campaigns, one.YAML())
				}
				writeFile(t, name(""), strings.Join(campaigns, "\n---\n"))
				writeFile(t, name(".tripline"), configOf(c.Rules))
				triggers, decisions := expectations(c)
				writeFile(t, name("_test"), suiteOf(c, triggers, decisions))
				right = append(right, name("_test"))
				switch n := len(triggers) + len(decisions); {
				case n == 0:
					triggers = []string{"{campaign: " + c.Campaigns[0].Name + "}"}
				case int(seed)%n < len(triggers):
					triggers = slices.Delete(triggers, int(seed)%n, int(seed)%n+1)
				default:
					i := int(seed)%n - len(triggers)
					decisions = slices.Delete(decisions, i, i+1)
				}
				writeFile(t, name("_wrong_test"), suiteOf(c, triggers, decisions))
				wrong = append(wrong, name("_wrong_test"))
			}
			if out, err := run(t, append([]string{"test"}, right...)...); err != nil || !strings.HasSuffix(out, fmt.Sprintf("%d passed, 0 failed\n", *generated)) {
				t.Errorf("%v\n%.4000s", err, out)
			}
			out, err := run(t, append([]string{"test"}, wrong...)...)
			if err == nil || !strings.HasSuffix(out, fmt.Sprintf("0 passed, %d failed\n", *generated)) {
				t.Errorf("passes with what is wrong:\n%s", regexp.MustCompile(`(?m)^.*passed.*$`).FindAllString(out, -1))
			}
		})
	}
}

func configOf(r twin.Rules) string {
	text := fmt.Sprintf("allowed_lateness: %dms\nmax_future: %dms\nsettle: %dms\nhistory: {max_age: 400d}\ndecisions: {not_in_audience: true}\n", r.AllowedLateness, r.MaxFuture, r.Settle)
	if r.Zone != "" {
		text += "timezone: " + r.Zone + "\n"
	}
	text += "endpoints: [{name: e, url: 'https://example.com/e'}]\ncaps: ["
	for _, one := range r.Caps {
		tags := ""
		if len(one.Tags) > 0 {
			tags = ", tags: " + flow(one.Tags)
		}
		text += fmt.Sprintf("{name: %s, max: %d, per: %dms%s}, ", one.Name, one.Max, one.Per, tags)
	}
	return text + "]\n"
}

// suiteOf is a test file with one case.
func suiteOf(c twin.Case, triggers, decisions []string) string {
	start := c.Inputs[0].Arrival
	text := fmt.Sprintf("campaigns: [%d.yaml]\nconfig: %d.tripline.yaml\ntests:\n  - name: generated %d\n    start: %s\n    events:\n", c.Seed, c.Seed, c.Seed, calendar.FormatTime(start))
	for _, in := range c.Inputs {
		text += fmt.Sprintf("      - {at: %dms, user: %s", in.Arrival-start, c.Rules.User)
		switch in.Kind {
		case "erase":
			text += ", erase: true"
		case "event":
			text += fmt.Sprintf(", event: %s, time: %dms, properties: %s", in.Name, in.Time-start, flow(in.Properties))
			if in.ID != "" {
				text += ", id: " + in.ID
			}
		}
		if len(in.Profile) > 0 || in.Kind == "profile" {
			text += ", profile: " + flow(in.Profile)
		}
		text += "}\n"
	}
	return text + fmt.Sprintf("    until: %dms\n    expect:\n      triggers: [%s]\n      decisions: [%s]\n", c.Until-start, strings.Join(triggers, ", "), strings.Join(decisions, ", "))
}

// expectations are what the twin says comes of a case.
func expectations(c twin.Case) (triggers, decisions []string) {
	start := c.Inputs[0].Arrival
	for _, o := range c.Run() {
		text := fmt.Sprintf("{at: %dms, campaign: %s, user: %s", o.Time-start, o.Campaign, c.Rules.User)
		switch {
		case o.Group != "":
			text += ", decision: converted, group: " + o.Group
			if o.Value != nil {
				text += ", value: " + flow(o.Value)
			}
			decisions = append(decisions, text+"}")
		case o.Reason != "":
			decisions = append(decisions, text+fmt.Sprintf(", emitted: %dms, decision: suppressed, reason: %s}", o.Left-start, o.Reason))
		default:
			text += fmt.Sprintf(", emitted: %dms, events: [", max(o.Left, o.Time)-start)
			for _, e := range o.Events {
				text += fmt.Sprintf("{event: %s, at: %dms}, ", e.Name, e.Time-start)
			}
			triggers = append(triggers, text+"]}")
		}
	}
	return triggers, decisions
}

// flow is a value in YAML, which JSON is.
func flow(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
