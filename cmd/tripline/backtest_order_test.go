package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/virtual"
)

// However many workers go through the users, and however little memory there is for what these do, a backtest writes and prints what one run from front to
// back does.
func TestBacktestInOrder(t *testing.T) {
	t.Chdir(t.TempDir())
	files := map[string]string{"old.yaml": reachedBefore, "c.yaml": strings.Replace(reachedNow, "reentry", "goal: {event: Paid, within: 5m}\nreentry", 1) + `---
name: abandoned
trigger: {inaction_within_time: {after: {event: Cart}, without: {event: Paid}, within: 3m, on_repeat: ignore}}
deliver: [{endpoint: x}, {endpoint: y}]
---
name: both
trigger: {actions: {all: [{event: Cart, at_least: 2}, {event: Paid}], within: 10m}}
delay: 2m
exit: [{event: Seen}]
reentry: {max: 2, per: 1h}
deliver: {endpoint: x}
---
name: never
trigger: {single_action: {event: Paid, where: 'event.amount > 1000'}}
deliver: {endpoint: x}
---
name: unseen
trigger: {inaction: {did: {event: Cart}, did_not: {event: Seen}, in_last: 15m, check: {every: 5m}}}
audience: 'count("Cart", "20m", "event.amount > 40") > 1'
deliver: {endpoint: x}
`, "events.ndjson": randomEvents(5000, 60)}
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{}
	want["triggers"], want["decisions"] = frontToBack(t, files["events.ndjson"], "c.yaml")
	if n := strings.Count(want["triggers"], "\n"); n < 1000 {
		t.Fatalf("%d triggers: too little happens", n)
	}
	for _, one := range []struct {
		workers, block int
		memory         int64
	}{{1, 1 << 20, 1 << 30}, {1, 5000, 1 << 30}, {3, 5000, 1 << 30}, {2, 3000, 20 * chunkBytes}, {3, 20_000, 0}} {
		got := map[string]string{}
		o := &backtestOptions{from: "events.ndjson", against: "old.yaml", triggers: "triggers", decisions: "decisions"}
		r := rehearse(t, o, func(r *rehearsal) { r.workers, r.block, r.memory = one.workers, one.block, one.memory })
		var text bytes.Buffer
		if err := r.result().print(&text, "text"); err != nil {
			t.Fatal(err)
		}
		got["the tables"] = text.String()
		for _, name := range []string{o.triggers, o.decisions} {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got[name] = string(text)
		}
		if want["the tables"] == "" {
			want["the tables"] = got["the tables"]
		}
		for name := range want {
			if diff := firstDifference(want[name], got[name]); diff != "" {
				t.Errorf("with %+v, %s differ: %s", one, name, diff)
			}
		}
	}
	if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 && strings.HasPrefix(left[0].Name(), "tripline-backtest") {
		t.Errorf("%s is left", left[0].Name())
	}
}

// randomEvents are lines of which some come late, are repeated, have no time or cannot be read.
func randomEvents(n, users int) string {
	rng := rand.New(rand.NewPCG(3, 4))
	at := time.Date(2026, 1, 5, 23, 0, 0, 0, time.UTC)
	var text strings.Builder
	for i := range n {
		at = at.Add(time.Duration(rng.IntN(1500)) * time.Millisecond)
		e := fmt.Sprintf(`{"user_id":"u-%d","event":%q,"properties":{"amount":%d,"list":[%d,{"a":"é"}]}`, rng.IntN(users), []string{"Cart", "Cart", "Paid", "Seen"}[rng.IntN(4)], rng.IntN(100), i)
		switch rng.IntN(30) {
		case 0:
			e = `{"user_id":"u-1"`
		case 1:
			e += `,"profile":{"country":"CA","timezone":"Asia/Kolkata"}`
		case 2:
			e += fmt.Sprintf(`,"id":"e-%d"`, rng.IntN(5))
		}
		switch rng.IntN(12) {
		case 0:
			e += fmt.Sprintf(`,"time":%d`, at.Add(-time.Duration(rng.IntN(600))*time.Second).UnixMilli())
		case 1: // none: that of its arrival
		case 2:
			e += fmt.Sprintf(`,"time":%q`, at.Truncate(time.Minute).Format(time.RFC3339))
		default:
			e += fmt.Sprintf(`,"time":%d`, at.UnixMilli())
		}
		text.WriteString(e + "}\n")
		if rng.IntN(100) == 0 {
			text.WriteString(" \r\n")
		}
	}
	return text.String()
}

// frontToBack is what a line decides that has all users, line by line.
func frontToBack(t *testing.T, events string, files ...string) (triggers, decisions string) {
	p, err := newBacktestPlan(files, &backtestOptions{from: "-"})
	if err != nil {
		t.Fatal(err)
	}
	var text [2][]byte
	line := virtual.New(p.set, func(out *campaign.Output) {
		for i := range out.Triggers {
			text[0] = append(out.Triggers[i].Append(text[0], out.Triggers[i].Left), '\n')
		}
		for i := range out.Decisions {
			text[1] = append(out.Decisions[i].Append(text[1]), '\n')
		}
	})
	arrival := int64(0)
	for l := range strings.Lines(events) {
		if l = strings.TrimSpace(l); l == "" {
			continue
		}
		if e, bad := p.records.Envelope.Event(nil, []byte(l), arrival); bad == nil {
			arrival = max(arrival, e.Time)
			line.Event(&e, arrival)
		}
	}
	line.Until(arrival)
	return string(text[0]), string(text[1])
}

// rehearse runs a backtest of c.yaml from a file.
func rehearse(t testing.TB, o *backtestOptions, set func(*rehearsal)) *rehearsal {
	t.Helper()
	p, err := newBacktestPlan([]string{"c.yaml"}, o)
	if err != nil {
		t.Fatal(err)
	}
	w, err := openWriters(o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRehearsal(p, w)
	if err != nil {
		t.Fatal(err)
	}
	set(r)
	if err := backtestFile(t.Context(), p, o, r, nil, io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	return r
}

// firstDifference shows where two texts part; "": nowhere.
func firstDifference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			return fmt.Sprintf("line %d, %s, is too much", i+1, b[i])
		case i >= len(b):
			return fmt.Sprintf("line %d, %s, is missing", i+1, a[i])
		case a[i] != b[i]:
			return fmt.Sprintf("line %d is\n%s\nnot\n%s", i+1, b[i], a[i])
		}
	}
	return ""
}
