package config

import (
	"strings"
	"testing"

	"github.com/tripline/tripline/processor/campaign/calendar"
)

func TestLoadTests(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "c/cart.yaml", "")
	write(t, "c/cart_test.yaml", `
campaigns: [cart.yaml]
config: ../tripline.yaml
tests:
  - name: nothing bought
    start: 2026-01-05T10:00:00Z
    profiles: {ann: {country: CA, born: 1990-02-28, n: 12345678901234567890}}
    events:
      - {at: 0m,  user: ann, event: Added To Cart, properties: {amount: 80.50, n: 010, on: off, list: [~, .5, {x: 1e3}], "q": "7"}}
      - {at: 2026-01-05T10:10:00Z, user: ann, event: Charged, id: e1, time: -2h, properties: {}}
      - {at: 10m, user: ann, profile: {country: ~}}
      - {at: 11m, user: bob, erase: true}
    until: 2h
    expect:
      triggers: [{at: 30m, user: ann, campaign: abandoned-cart, events: [{event: Added To Cart}], profile: {country: CA}}]
      decisions: []
  - name: nothing checked
    start: 2026-01-05T10:00:00Z
`)
	s, problems := LoadTests("c/cart_test.yaml")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	test := s.Tests[0]
	start := int64(*test.Start)
	for _, c := range []struct{ got, want any }{
		{s.Campaigns[0], "c/cart.yaml"}, {s.Config, "tripline.yaml"}, {test.Line, 5}, {test.Expect.Triggers[0].Line, 15},
		{string(test.Profiles["ann"].Append(nil)), `{"country":"CA","born":"1990-02-28","n":12345678901234567890}`},
		{string(test.Events[0].Properties.Append(nil)), `{"amount":80.50,"n":10,"on":"off","list":[null,0.5,{"x":1e3}],"q":"7"}`},
		{calendar.FormatTime(test.Events[1].At.In(start)), "2026-01-05T10:10:00.000Z"},
		{calendar.FormatTime(test.Events[1].Time.In(start)), "2026-01-05T08:00:00.000Z"},
		{test.Events[1].Properties == nil, false}, {test.Events[2].Properties == nil, true}, {test.Events[2].Profile.Has("country"), true},
		{test.Events[3].Erase, true}, {calendar.FormatTime(test.Until.In(start)), "2026-01-05T12:00:00.000Z"},
		{calendar.FormatTime(test.Expect.Triggers[0].At.In(start)), "2026-01-05T10:30:00.000Z"},
		{test.Expect.Triggers[0].Events[0].Event, "Added To Cart"}, {test.Expect.Decisions != nil, true}, {s.Tests[1].Expect.Triggers == nil, true},
	} {
		if c.got != c.want {
			t.Errorf("got %v, want %v", c.got, c.want)
		}
	}
}

// A test of no campaign would pass wherever it expects nothing.
func TestCampaignsOfTestsAreThere(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "c/cart.yaml", "")
	write(t, "c/cart_test.yaml", "campaigns: ['c*.yaml', 'd/*.yaml', no.yaml]\ntests: [{name: a, start: 2026-01-05T10:00:00Z}]\n")
	_, problems := LoadTests("c/cart_test.yaml")
	if got := problems.Error(); len(problems) != 2 || !strings.Contains(got, "c/cart_test.yaml:1:24: `campaigns`: no campaign file matches") || !strings.Contains(got, "1:36: `campaigns`: no such file") {
		t.Errorf("%s", got)
	}
}

// TestAliasesDoNotExplode reads a value that aliases make a billion times as large as its text.
func TestAliasesDoNotExplode(t *testing.T) {
	t.Chdir(t.TempDir())
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]"
	for c := 'b'; c <= 'j'; c++ {
		p := string(c - 1)
		bomb += "\n          " + string(c) + ": &" + string(c) + " [*" + p + ",*" + p + ",*" + p + ",*" + p + ",*" + p + ",*" + p + ",*" + p + ",*" + p + ",*" + p + ",*" + p + "]"
	}
	write(t, "a.yaml", "")
	write(t, "a_test.yaml", "campaigns: [a.yaml]\ntests:\n  - name: a\n    start: 2026-01-05T10:00:00Z\n    events:\n      - at: 0m\n        user: u\n        event: A\n        properties:\n          "+bomb+"\n")
	_, problems := LoadTests("a_test.yaml")
	if len(problems) != 1 || problems[0].Message != "`properties`: larger than 1 MiB" {
		t.Error(problems)
	}
}

// TestManyCases reads a file of tests that is larger than any other may be, as those that programs write are.
func TestManyCases(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "a.yaml", "")
	write(t, "a_test.yaml", "# "+strings.Repeat("x", maxFile)+"\ncampaigns: [a.yaml]\ntests:\n  - {name: a, start: 2026-01-05T10:00:00Z}\n")
	if s, problems := LoadTests("a_test.yaml"); len(problems) > 0 || len(s.Tests) != 1 {
		t.Errorf("%v: %+v", problems, s)
	}
}
