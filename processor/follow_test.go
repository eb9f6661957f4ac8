//go:build synctests

package processor

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tripline/tripline/processor/campaign"
)

// A set that is followed while events come in loses none and judges none twice: what is open under an unchanged trigger goes on, what
// has gone fires no more, what is new sees what comes.
func TestFollow(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		minute, deliver := campaign.Duration(60_000), []campaign.Delivery{{Endpoint: "ops"}}
		cart := campaign.Definition{Name: "cart", Version: "v2", Deliver: deliver, Trigger: campaign.Trigger{InactionWithinTime: &campaign.InactionWithinTime{
			After: &campaign.Pattern{Event: "Cart"}, Without: &campaign.Pattern{Event: "Paid"}, Within: &minute}}}
		viewed := campaign.Definition{Name: "a-viewed", Version: "v1", Deliver: deliver, Trigger: campaign.Trigger{SingleAction: &campaign.SingleAction{
			Pattern: campaign.Pattern{Event: "Viewed"}}}}
		second, problems := campaign.Compile(campaign.Rules{MaxFuture: 300_000, Settle: 10_000, MaxAge: 86_400_000, MaxEvents: 1000, MaxOpen: 100},
			[]campaign.Definition{cart, viewed})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		p := w.launch(vfs.NewCrashableMem())
		time.Sleep(5 * time.Second)
		w.send(event("events", "ann", "Cart"), event("events", "bob", "Viewed"), event("events", "cid", "Launch"))
		time.Sleep(time.Second)
		done := make(chan struct{})
		go func() { // load, over the change
			defer close(done)
			for i := range 200 {
				w.send(event("events", "load", []string{"Launch", "Viewed"}[i/100]))
				if i == 100 {
					p.Follow(second)
				}
				time.Sleep(10 * time.Millisecond)
			}
		}()
		<-done
		time.Sleep(time.Second)
		w.send(event("events", "bob", "Viewed"), event("events", "cid", "Launch"))
		time.Sleep(90 * time.Second)
		versions := map[string]int{}
		for _, r := range w.read("triggers") {
			for _, of := range []string{`"a-viewed","version":"v1"`, `"cart","version":"v2"`, `"launch","version":"v1"`} {
				if strings.Contains(string(r.Value), `"campaign":`+of) {
					versions[string(r.Key)+" "+of[:strings.Index(of, `,`)]]++
				}
			}
		}
		want := map[string]int{`ann "cart"`: 1, `bob "a-viewed"`: 1, `cid "launch"`: 1, `load "launch"`: 1}
		for key, n := range want {
			if versions[key] != n {
				t.Errorf("%s: %d triggers, expected %d", key, versions[key], n)
			}
		}
		// The change came while `Viewed` was being sent: all of them behind it, and it is not known which was the first.
		if n := versions[`load "a-viewed"`]; n < 95 || n > 100 {
			t.Errorf("%d of 100 are seen", n)
		}
		if got := p.Version(); got != second.Version() || slices.Equal(w.set.Names(), second.Names()) {
			t.Errorf("version %s", got)
		}
		p.stop()
	})
}
