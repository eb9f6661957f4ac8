package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// A backtest counts what was dropped while it waited, who was held out, and who reached the goal.
func TestBacktestControls(t *testing.T) {
	dir := t.TempDir()
	campaigns, from := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "events.ndjson")
	for name, text := range map[string]string{
		campaigns: `name: held-out
trigger: {single_action: {event: Cart}}
control_group: 100%
goal: {event: Paid, within: 1h}
deliver: {endpoint: x}
---
name: waits
trigger: {single_action: {event: Cart}}
delay: 10m
exit: [{event: Paid}]
goal: {event: Cart, within: 1h}
deliver: {endpoint: x}
`,
		from: `{"user_id":"u-1","event":"Cart","time":"2026-01-05T10:00:00Z"}
{"user_id":"u-2","event":"Cart","time":"2026-01-05T10:00:00Z"}
{"user_id":"u-1","event":"Paid","time":"2026-01-05T10:05:00Z"}
{"user_id":"u-2","event":"Cart","time":"2026-01-05T10:15:00Z"}
`,
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := run(t, "backtest", campaigns, "--from", from, "--until", "2026-01-05T11:00:00Z", "--output", "json")
	if err != nil {
		t.Fatal(err)
	}
	var got sums
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]campaignSums{
		"held-out": {Suppressed: map[string]int{"control_group": 3}, Converted: map[string]int{"control": 1}},
		"waits":    {Triggers: 2, Suppressed: map[string]int{"exited": 1}, Converted: map[string]int{"treated": 1}},
	} {
		c := got.Campaigns[name]
		if c.Triggers != want.Triggers || !maps.Equal(c.Suppressed, want.Suppressed) || !maps.Equal(c.Converted, want.Converted) {
			t.Errorf("%s: %+v, expected %+v", name, c, want)
		}
	}
}
