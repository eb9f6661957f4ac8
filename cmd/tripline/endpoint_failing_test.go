package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/sink"
	"github.com/tripline/tripline/sink/control"
)

// The status of an endpoint says since when it fails and when disable_after would be over, as long as that holds: not of another
// configuration, not after a success, and not after somebody has resumed it.
func TestEndpointStatusFailing(t *testing.T) {
	t.Parallel()
	l := newLine(t, 1, "")
	l.write("tripline.yaml", strings.Replace(l.config, "breaker: none", "breaker: none, disable_after: 5d", 1))
	file := filepath.Join(l.dir, "tripline.yaml")
	cfg, plan, err := loadPlan(file)
	if err != nil {
		t.Fatal(err)
	}
	topic := sink.ControlTopic(cfg.Group)
	if err := control.Create(t.Context(), topic, cfg.client()); err != nil {
		t.Fatal(err)
	}
	const day, now = 86_400_000, 1_795_000_000_000
	since := calendar.FormatTime(now - 3*day)
	failing := func(print, since string, at int64) control.State {
		return control.State{Endpoint: "hook", State: control.Failing, Print: print, Since: since, Warned: 50, Time: calendar.FormatTime(at)}
	}
	for _, c := range []struct {
		what string
		says control.State
		want string
	}{
		{"another configuration fails", failing("0123", since, now), ""},
		{"it fails", failing(plan.Print("hook"), since, now), since},
		{"it has been resumed", control.State{Endpoint: "hook", State: control.Active, Time: calendar.FormatTime(now + 1)}, ""},
		{"it fails again", failing(plan.Print("hook"), since, now+2), since},
		{"there was a success", failing(plan.Print("hook"), "", now+3), ""},
	} {
		if err := produceOne(t.Context(), cfg, c.says.Record(topic)); err != nil {
			t.Fatal(err)
		}
		out, err := run(t, "endpoint", "status", "--config", file, "--output", "json")
		var got []endpointStatus
		if err != nil || json.Unmarshal([]byte(out), &got) != nil || len(got) != 1 || got[0].State != control.Active || got[0].FailingSince != c.want {
			t.Fatalf("%s: %s %v", c.what, out, err)
		}
		text, err := run(t, "endpoint", "status", "--config", file)
		until := calendar.FormatTime(now + 2*day)
		if is := c.want != ""; err != nil || is != (got[0].DisabledAt == until) || is != strings.Contains(text, "no success since "+since+"; without one it is disabled at "+until) {
			t.Errorf("%s: %s %s %v", c.what, out, text, err)
		}
	}
	held := control.State{Endpoint: "hook", State: control.Held, Print: plan.Print("hook"), Until: calendar.FormatTime(time.Now().UnixMilli() + day)}
	if err := produceOne(t.Context(), cfg, held.Record(topic)); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, "endpoint", "status", "--config", file); err != nil || !strings.Contains(out, "active") || !strings.Contains(out, "asked for nothing before "+held.Until) {
		t.Errorf("%s %v", out, err)
	}
}
