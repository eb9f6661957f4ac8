//go:build synctests

package processor

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign/record"
)

// TestTraceparent holds that a trigger which an event has completed carries the event's trace, and no other does: neither what a timer has
// fired, nor what an event without a trace, or with none that can be read, has completed.
func TestTraceparent(t *testing.T) {
	const trace, state = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "congo=t61rcWkgMzE"
	inWorld(t, 1, func(t *testing.T, w *world) {
		p := w.launch(vfs.NewCrashableMem())
		time.Sleep(10 * time.Second)
		traced := func(user, name, trace string) *kgo.Record {
			r := event("events", user, name)
			r.Headers = []kgo.RecordHeader{{Key: "other", Value: []byte("x")}, {Key: record.Traceparent, Value: []byte(trace)}, {Key: record.Tracestate, Value: []byte(state)}}
			return r
		}
		w.send(traced("ann", "Cart", trace), event("events", "bob", "Launch"), traced("cyd", "Launch", "00-nonsense"))
		time.Sleep(70 * time.Second)
		w.send(traced("ann", "Launch", trace))
		time.Sleep(30 * time.Second)
		got := map[string]string{}
		for _, r := range w.read("triggers") {
			of, err := record.ParseTrigger(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			got[of.User+" "+of.Campaign] = ""
			for _, h := range r.Headers {
				if h.Key == record.Traceparent || h.Key == record.Tracestate {
					got[of.User+" "+of.Campaign] += string(h.Value)
				}
			}
		}
		for of, want := range map[string]string{"ann launch": trace + state, "ann cart": "", "bob launch": "", "cyd launch": ""} {
			if is, there := got[of]; !there || is != want {
				t.Errorf("the trigger %s has the trace %q, want %q", of, is, want)
			}
		}
		p.stop()
	})
}

// TestCaused holds that a timer which fires in an event's step, since the event lets time pass, is not told from that event.
func TestCaused(t *testing.T) {
	c := &cycle{event: record.Event{Name: "Launch", Time: 5000}}
	happened := func(name string, time int64) []record.Happening {
		return []record.Happening{{Name: "Launch", Time: 1}, {Name: name, Time: time}}
	}
	for i, of := range []struct {
		trigger record.Trigger
		want    bool
	}{
		{record.Trigger{Time: 5000, Events: happened("Launch", 5000)}, true},
		{record.Trigger{Time: 5000, Events: happened("Cart", 5000)}, false},
		{record.Trigger{Time: 4000, Events: happened("Launch", 4000)}, false},
		{record.Trigger{Time: 6000, Events: happened("Launch", 5000)}, false},
		{record.Trigger{Time: 5000}, false},
	} {
		if c.caused(&of.trigger) != of.want {
			t.Errorf("%d: not %v", i, of.want)
		}
	}
}
