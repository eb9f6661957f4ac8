package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tripline/tripline/config"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/sink/delivery"
)

const watching = `
name: paid
trigger: {single_action: {event: Paid}}
deliver: {endpoint: hook}
---
name: gave-up
trigger: {single_action: {event: Webhook Failed, where: 'event.campaign == "paid" && event.status == 400'}}
deliver: {endpoint: hook}
---
name: arrived
trigger: {single_action: {event: Webhook Delivered}}
deliver: {endpoint: hook}
`

// With deliveries_as_events a campaign watches how others' webhooks end. What it delivers itself is no such event, so that nothing goes round.
func TestLineDeliveriesAsEvents(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.Contains(req.Header.Get("X-User"), "ann") {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	defer server.Close()
	l := newLine(t, 3, server.URL)
	l.config = strings.Replace(l.config, "allow_private: true", "allow_private: true, headers: {X-User: '{{ User.id }}'}", 1) + "deliveries_as_events: true\n"
	l.write("campaigns.yaml", watching)
	p, s := l.start("processor", "p"), l.start("sink", "s")
	l.event("ann", "Paid", `{}`)
	l.event("bob", "Paid", `{}`)
	counts := func() string {
		n := map[string]int{}
		for _, r := range l.read(l.cfg.Topics.Deliveries) {
			d, err := delivery.Parse(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			n[d.Campaign+" "+d.User+" "+d.Outcome]++
		}
		for _, r := range l.read(l.cfg.Topics.Events[0]) {
			e, bad := (record.Envelope{}).Event(r.Key, r.Value, 1)
			if bad != nil {
				t.Fatal(bad)
			}
			n[e.Name]++
		}
		return fmt.Sprint(n)
	}
	const want = "map[Paid:2 Webhook Delivered:1 Webhook Failed:1 arrived bob delivered:1 gave-up ann failed:1 paid ann failed:1 paid bob delivered:1]"
	last := ""
	l.waitFor("what the watching campaigns deliver", func() bool { last = counts(); return last == want })
	l.event("cyd", "Paid", `{}`) // what would go round has had its time when this one is through
	l.waitFor("the next one", func() bool { return strings.Contains(counts(), "arrived cyd delivered:1") })
	if got := counts(); got != strings.NewReplacer("Paid:2", "Paid:3", "Delivered:1", "Delivered:2", "arrived bob delivered:1", "arrived bob delivered:1 arrived cyd delivered:1",
		"paid bob delivered:1", "paid bob delivered:1 paid cyd delivered:1").Replace(want) {
		t.Errorf("%s", got)
	}
	p.stop()
	s.stop()
}

// The sink must be permitted to write where deliveries become events.
func TestTopicsOfDeliveryEvents(t *testing.T) {
	cfg := &loaded{Config: config.Default()}
	for _, as := range []bool{false, true} {
		cfg.DeliveriesAsEvents = as
		if of := cfg.topics()[0]; of.name != "events" || slices.Contains(of.needs, kmsg.ACLOperationWrite) != as {
			t.Errorf("%v: %+v", as, of)
		}
	}
}
