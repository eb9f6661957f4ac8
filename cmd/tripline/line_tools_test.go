package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign/explain"
	"github.com/tripline/tripline/processor/campaign/record"
)

// The running processor says where a user stands, found through its group; and a trigger is followed through the topics.
func TestLineWhyAndTrace(t *testing.T) {
	t.Parallel()
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer receiver.Close()
	l := newLine(t, 3, receiver.URL)
	if _, err := run(t, "why", "ann", "--campaign", "cart", "--config", filepath.Join(l.dir, "tripline.yaml")); err == nil || !strings.Contains(err.Error(), "no processor of group") {
		t.Errorf("why, where no processor ever was: %v", err)
	}
	p, s := l.start("processor", "a"), l.start("sink", "b")
	l.event("ann", "Cart", `{"cart":"c1","amount":80}`)
	l.event("bob", "Cart", `{"cart":"c1","amount":20}`)
	l.event("ann", "Paid", `{"cart":"c2","amount":95}`)
	l.event("ann", "Paid", `{"cart":"c2","amount":96}`)
	l.event("ann", "Paid", `{"cart":"c2","amount":97}`)
	l.whole()
	l.waitFor("a trigger of the watch", func() bool {
		triggers, _ := l.committed()
		return strings.Contains(strings.Join(triggers, "\n"), `"campaign":"cart"`) && len(l.read(l.cfg.Topics.Deliveries)) >= len(triggers)
	})
	file := filepath.Join(l.dir, "tripline-a.yaml")
	ask := func(args ...string) *explain.Explanation {
		t.Helper()
		out, err := run(t, append([]string{"why", "--config", file, "--output", "json"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		x := &explain.Explanation{}
		if err := json.Unmarshal([]byte(out), x); err != nil {
			t.Fatal(err)
		}
		return x
	}
	if x := ask("bob", "--campaign", "cart"); !strings.Contains(x.Verdict, "event.amount is 20") || len(x.History) != 1 || len(x.Past) != 0 {
		t.Errorf("bob in cart: %+v", x)
	}
	x := ask("ann", "--campaign", "paid-big")
	if len(x.Past) == 0 || x.Past[0].Outcome != "triggered" {
		t.Errorf("ann's past in paid-big: %+v", x.Past)
	}
	if x = ask("ann", "--campaign", "cart"); len(x.Past) != 1 || x.Verdict != "it triggered at "+x.Past[0].Time || x.Missing() != "" {
		t.Fatalf("ann in cart: %+v", x)
	}
	text, err := run(t, "why", "ann", "--campaign", "cart", "--config", file)
	if err != nil || !strings.Contains(text, "yes  3s passed without Paid") || !strings.Contains(text, "\npast\n") {
		t.Errorf("why says %v\n%s", err, text)
	}
	for _, c := range []struct{ args, want string }{
		{"nobody --campaign cart", "nothing is known of this user"},
		{"ann --campaign carts", "there is no such campaign"},
		{"ann --campaign cart --url 127.0.0.1:9", "no processor can say"},
		{"ann", "--campaign is required"},
	} {
		if _, err := run(t, append([]string{"why", "--config", file}, strings.Fields(c.args)...)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("why %s: %v; want %q in it", c.args, err, c.want)
		}
	}
	l.traced(file, x.Past[0].ID)
	l.forgotten("ann", file)
	p.stop()
	s.stop()
	if _, err := run(t, "why", "ann", "--campaign", "cart", "--config", file); err == nil {
		t.Error("why finds a processor where there is none")
	}
}

// forgotten erases a user, who comes back: what became of the one before is not told of the new one.
func (l *line) forgotten(user, file string) {
	l.t.Helper()
	if err := l.client.ProduceSync(l.t.Context(), &kgo.Record{Topic: l.cfg.Topics.Profiles, Key: []byte(user)}).FirstErr(); err != nil {
		l.t.Fatal(err)
	}
	l.waitFor("the erasure", func() bool {
		return slices.ContainsFunc(l.read(l.cfg.Topics.Triggers), func(r *kgo.Record) bool { return len(r.Value) == 0 })
	})
	l.event(user, "Cart", `{"cart":"c3","amount":20}`)
	text := ""
	l.waitFor("the user who has come back", func() (so bool) {
		text, _ = run(l.t, "why", user, "--campaign", "cart", "--config", file)
		return strings.Contains(text, "event.amount is 20")
	})
	if strings.Contains(text, "\npast\n") {
		l.t.Errorf("why tells of an erased user\n%s", text)
	}
}

func (l *line) traced(file, id string) {
	l.t.Helper()
	out, err := run(l.t, "trace", id, "--config", file, "--output", "json")
	if err != nil {
		l.t.Fatal(err)
	}
	var steps []traceStep
	if err := json.Unmarshal([]byte(out), &steps); err != nil {
		l.t.Fatal(err)
	}
	var names []string
	for _, s := range steps {
		names = append(names, s.Step)
		if s.Step != "qualified" && !strings.HasPrefix(s.Place, l.group) {
			l.t.Errorf("%s has no place: %+v", s.Step, s)
		}
	}
	if got := strings.Join(names, ", "); got != "event, qualified, trigger, attempt" {
		l.t.Errorf("the trace is %s", out)
	}
	if trigger, err := record.ParseTrigger(steps[2].Record); err != nil || trigger.ID != id {
		l.t.Errorf("the record is %s", steps[2].Record)
	}
	text, err := run(l.t, "trace", id, "--config", file)
	if err != nil || strings.Count(text, "\n") != 4 || !strings.Contains(text, "1 to hook: delivered, 200 in") {
		l.t.Errorf("trace says %v\n%s", err, text)
	}
	if _, err := run(l.t, "trace", "trg_none", "--config", file); err == nil || !strings.Contains(err.Error(), "--since") {
		l.t.Errorf("an unknown trigger: %v", err)
	}
}

// waitFor looks until something is so.
func (l *line) waitFor(what string, so func() bool) {
	l.t.Helper()
	for range 300 {
		if so() {
			return
		}
		select {
		case <-l.t.Context().Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
	l.t.Fatalf("%s has not come", what)
}
