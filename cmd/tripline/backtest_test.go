package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
)

func TestBacktest(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	campaigns := write("a.yaml", `name: cart
trigger:
  inaction_within_time: {after: {event: Cart}, without: {event: Paid}, within: 30m}
deliver: {endpoint: x}
---
name: first-cart
trigger: {single_action: {event: Cart}}
reentry: {once: true}
deliver: {endpoint: x}
`)
	var events strings.Builder
	events.WriteString("\ufeff") // no part of the first line
	for i := range 2000 {        // more than a batch of lines
		fmt.Fprintf(&events, `{"id":"e%d","user_id":"u-%d","event":"Cart","time":"2026-01-05T10:00:%02dZ"}`+"\n", i, i%100, i/40)
	}
	events.WriteString(`{"user_id":"u-1","event":"Paid","time":"2026-01-05T10:20:00Z"}
{"user_id":"u-2","event":"Paid","time":"2026-01-05T10:10:00Z"}
{"user_id":"u-3"
{"user_id":"u-4","event":"Cart","time":"yesterday"}
{"id":"e7","user_id":"u-7","event":"Cart","time":"2026-01-05T10:20:00Z"}

`)
	from := write("events.ndjson", events.String())
	triggers, decisions := filepath.Join(dir, "triggers.ndjson"), filepath.Join(dir, "decisions.ndjson")
	if out, err := run(t, "backtest", campaigns, "--from", from, "--until", "2026-01-05T10:10:00Z"); err == nil {
		t.Errorf("--until before the last arrival: %s", out)
	}
	out, err := run(t, "backtest", campaigns, "--from", from, "--until", "2026-01-05T11:00:00Z", "--triggers", triggers, "--decisions", decisions, "--output", "json")
	if err != nil {
		t.Fatal(err)
	}
	var got sums
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if got.Events != 2003 || got.Users != 100 || got.Duplicates != 1 || got.Unreadable["json"] != 1 || got.Unreadable["bad_time"] != 1 {
		t.Errorf("the sums are %s", out)
	}
	if c := got.Campaigns["cart"]; c == nil || c.Triggers != 98 || c.Days["2026-01-05"] == nil || c.Days["2026-01-05"].Triggers != 98 {
		t.Errorf("the campaign's sums are %s", out)
	}
	fits(t, "trigger", triggers, 198)
	fits(t, "decision", decisions, 1900)
}

func backtested(t *testing.T, args ...string) *sums {
	t.Helper()
	out, err := run(t, append([]string{"backtest", "--output", "json"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	got := &sums{}
	if err := json.Unmarshal([]byte(out), got); err != nil {
		t.Fatal(err)
	}
	return got
}

const (
	reachedBefore = "name: cart\ntrigger: {single_action: {event: Cart, where: 'event.amount >= 50'}}\naudience: 'profile.country == \"CA\"'\ndeliver: {endpoint: x}\n"
	reachedNow    = "name: cart\ntrigger: {single_action: {event: Cart, where: 'event.amount >= 20 && event.amount < 80'}}\naudience: 'profile.country == \"CA\"'\n" +
		"reentry: {once: true}\ndeliver: {endpoint: x}\n"
)

// Days and reasons, what sample users did, and whom a new version gains and loses.
func TestBacktestAgainst(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"old.yaml": reachedBefore, "new.yaml": reachedNow, "new_test.yaml": "tests: []\n", "other.yaml": strings.Replace(reachedNow, "cart", "card", 1) + "---\n" + strings.Replace(reachedNow, "cart", "cord", 1),
		"events.ndjson": `{"user_id":"ann","event":"Cart","time":"2026-01-05T10:00:00Z","properties":{"amount":30},"profile":{"country":"CA"}}
{"user_id":"ann","event":"Cart","time":"2026-01-06T10:00:00Z","properties":{"amount":40}}
{"user_id":"bob","event":"Cart","time":"2026-01-06T11:00:00Z","properties":{"amount":90},"profile":{"country":"CA"}}
{"user_id":"cid","event":"Cart","time":"2026-01-06T12:00:00Z","properties":{"amount":60},"profile":{"country":"CA"}}
{"user_id":"dan","event":"Cart","time":"2026-01-05T13:00:00Z","properties":{"amount":60},"profile":{"country":"US"}}
`} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := run(t, "backtest", "new.yaml", "--against", "old.yaml", "--from", "events.ndjson")
	const want = `5 events of 4 users

cart: 2 triggers
         day  triggers  not_in_audience  reentry
  2026-01-05         1                1        0
  2026-01-06         1                0        1
         all         2                1        1
users, against cart: 1 in both, 1 gained, 1 lost
  gained: ann
  lost: bob
  user ann, triggered at 2026-01-05T10:00:00.000Z after
    2026-01-05T10:00:00.000Z  Cart {"amount":30}
  user cid, triggered at 2026-01-06T12:00:00.000Z after
    2026-01-06T12:00:00.000Z  Cart {"amount":60}
`
	if err != nil || text != want {
		t.Errorf("%v\n%s\nwant\n%s", err, text, want)
	}
	if a := backtested(t, "new.yaml", "new_test.yaml", "--against", "old.yaml", "--from", "events.ndjson").Campaigns["cart"].Against; a == nil || a.Both != 1 || a.Gained != 1 || a.Lost != 1 {
		t.Errorf("against the old one: %+v", a)
	}
	if _, err := run(t, "backtest", "other.yaml", "--against", "old.yaml", "--from", "events.ndjson"); err == nil || !strings.Contains(err.Error(), "none of the campaigns card, cord") {
		t.Errorf("with nothing to compare: %v", err)
	}
}

// Who was gained and lost in a bucket is a number once it is gone through: millions of names would not fit.
func TestBacktestAgainstForgets(t *testing.T) {
	c, err := newComparison([]string{"cart"}, []string{"cart"})
	if err != nil {
		t.Fatal(err)
	}
	for _, users := range [][]string{{"ann", "bob"}, {"cid"}} {
		for _, user := range users {
			c.add(&campaign.Output{Triggers: []record.Trigger{{Campaign: "cart", User: user}}}, fresh)
		}
		if c.count(); len(c.seen["cart"]) > 0 {
			t.Errorf("%d users are kept", len(c.seen["cart"]))
		}
	}
	if a := c.sums["cart"]; a.Gained != 3 || !slices.Equal(a.GainedUsers, []string{"ann", "bob", "cid"}) {
		t.Errorf("the sums are %+v", a)
	}
}

// What a backtest reads from the topics gives the very records that a processor has written.
func TestLineBacktestSince(t *testing.T) {
	t.Parallel()
	l := newLine(t, 3, "")
	p := l.start("processor", "a")
	l.load(2, func(int) {})
	time.Sleep(4 * time.Second) // the last deadline is behind 3 s: from then on time changes nothing
	l.whole()
	p.stop()
	file := filepath.Join(l.dir, "tripline.yaml")
	written, decided := filepath.Join(l.dir, "triggers.ndjson"), filepath.Join(l.dir, "decisions.ndjson")
	got := backtested(t, "--since", "1d", "--config", file, "--triggers", written, "--decisions", decided)
	wantT, wantD := l.committed()
	for _, one := range []struct {
		file string
		want []string
	}{{written, wantT}, {decided, wantD}} {
		text, err := os.ReadFile(one.file)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSuffix(line, "\n"); strings.Contains(line, "emitted_at") {
				line = without([]byte(line), "emitted_at")
			}
			lines = append(lines, line)
		}
		slices.Sort(lines)
		if diff := difference(filepath.Base(one.file), one.want, lines); diff != "" {
			t.Error(diff)
		}
	}
	if got.Users == 0 || got.Events+got.Unreadable["json"] != 3000 {
		t.Errorf("the sums are %+v", got)
	}
}

// fits holds every line of a file against a schema.
func fits(t *testing.T, name, file string, lines int) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	schema, n := schemaOf(t, name), 0
	for line := range strings.Lines(string(text)) {
		n++
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err == nil {
			err = schema.Validate(v)
		}
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	if n != lines {
		t.Errorf("%s has %d lines, want %d", file, n, lines)
	}
}
