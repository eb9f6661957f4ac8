package delivery

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign/record"
)

// The events that deliveries are with `deliveries_as_events`.
const (
	EventDelivered = "Webhook Delivered"
	EventFailed    = "Webhook Failed"
)

// Event is the event, in Tripline's own form, that the end of a delivery is; nil: it is none. What was dropped is none. So is the end of a
// trigger that such an event has helped to qualify: a campaign that watches deliveries and delivers itself would never rest.
func (r *Record) Event(topic string, of *record.Trigger) *kgo.Record {
	name := map[string]string{"delivered": EventDelivered, "failed": EventFailed}[r.Outcome]
	if name == "" {
		return nil
	}
	for i := range of.Events {
		if n := of.Events[i].Name; n == EventDelivered || n == EventFailed {
			return nil
		}
	}
	id := "delivery_" + r.TriggerID
	w := writer{[]byte("{")}
	w.which(r)
	w.text("endpoint", r.Endpoint)
	w.number("attempt", r.Attempt)
	w.how(r)
	properties := append(w.dst, '}')
	w = writer{[]byte("{")}
	if r.Replay != 0 {
		id += "_" + strconv.FormatInt(r.Replay, 10)
	}
	w.text("id", id)
	w.text("user_id", r.User)
	w.text("event", name)
	w.time("time", r.Time)
	value := append(append(w.name("properties"), properties...), '}')
	return &kgo.Record{Topic: topic, Key: []byte(r.User), Value: value}
}
