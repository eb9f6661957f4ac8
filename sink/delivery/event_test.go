package delivery

import (
	"testing"

	"github.com/tripline/tripline/processor/campaign/record"
)

func TestEvent(t *testing.T) {
	paid := record.Trigger{Events: []record.Happening{{Name: "Paid", Time: 1}}}
	end := Record{TriggerID: "trg_1", Replay: 2, Campaign: "c", Version: "v", User: "ann", Endpoint: "ops", Attempt: 3, Outcome: "failed", Reason: "status", Sent: true, Status: 500,
		Latency: 7, Time: 1_770_000_000_000}
	r := end.Event("events", &paid)
	e, bad := (record.Envelope{}).Event(r.Key, r.Value, 1)
	if bad != nil || e.ID != "delivery_trg_1_2" || e.User != "ann" || e.Name != "Webhook Failed" || e.Time != end.Time || r.Topic != "events" || string(e.Properties.Append(nil)) !=
		`{"trigger_id":"trg_1","replay":2,"campaign":"c","endpoint":"ops","attempt":3,"reason":"status","status":500,"latency_ms":7}` {
		t.Errorf("%s: %v %+v", r.Value, bad, e)
	}
	end.Outcome, end.Reason, end.Replay = "delivered", "", 0
	r = end.Event("events", &paid)
	if e, bad = (record.Envelope{}).Event(r.Key, r.Value, 1); bad != nil || e.Name != "Webhook Delivered" || e.ID != "delivery_trg_1" {
		t.Errorf("%s: %v %+v", r.Value, bad, e)
	}
	for _, name := range []string{EventDelivered, EventFailed} {
		if end.Event("events", &record.Trigger{Events: []record.Happening{{Name: name}, {Name: "Paid"}}}) != nil {
			t.Errorf("the end of what %s has caused is an event", name)
		}
	}
	for _, outcome := range []string{"retry", "dropped"} {
		if end.Outcome = outcome; end.Event("events", &paid) != nil {
			t.Errorf("%s is an event", outcome)
		}
	}
}
