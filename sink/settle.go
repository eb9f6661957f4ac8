package sink

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/tripline/tripline/sink/control"
	"github.com/tripline/tripline/sink/delivery"
	"github.com/tripline/tripline/sink/outbox"
	"github.com/tripline/tripline/sink/policy"
)

// settle takes what a flight's goroutine tells into the cycle.
func (l *laneRun) settle(r *result) error {
	f := r.f
	switch {
	case r.unknown:
		l.drop(f)
		return l.keepUnknown(f)
	case !r.told:
		l.drop(f)
		return nil
	}
	f.row.Attempts = int(r.record.Attempt)
	if r.verdict.Disable {
		l.disabled(f, &r.record)
	}
	if r.verdict.Outcome == policy.Retry && r.last && f.erased.Load() {
		r.verdict.Outcome, r.record.Outcome, r.record.Reason, r.record.NextAttempt = policy.Dropped, string(policy.Dropped), erased, 0
	}
	l.produce(f, &r.record)
	if r.verdict.Outcome == policy.Retry {
		f.row.Place = r.verdict.Place
		if r.last {
			l.drop(f)
		}
		return l.keep(f, outbox.Timed, r.wake)
	}
	l.end(f, r)
	return nil
}

// end ends a delivery: its rows go, what has ended is known for a while, and what failed becomes a dead letter.
func (l *laneRun) end(f *flight, r *result) {
	l.drop(f)
	f.part.book.End(f.row, f.stored, time.Now().UnixMilli()+l.sink.cfg.Dedupe)
	if f.stored {
		l.sink.waits(f.row.Endpoint, -1)
	}
	l.pass(f)
	l.cycle.touch()
	l.sink.end(&r.record)
	if !r.record.Sent {
		l.sink.log.Info("delivery ended without an attempt", endFields(&r.record)...)
	}
	if r.verdict.Outcome == policy.Failed {
		l.cycle.add(l.undelivered(f, &r.record))
	}
}

func endFields(r *delivery.Record) []zap.Field {
	return []zap.Field{
		zap.String("trigger", r.TriggerID), zap.String("campaign", r.Campaign), zap.String("version", r.Version), zap.String("user", r.User),
		zap.String("endpoint", r.Endpoint), zap.Int64("replay", r.Replay), zap.Int64("attempt", r.Attempt), zap.String("outcome", r.Outcome),
		zap.String("reason", r.Reason), zap.String("error", r.Error),
	}
}

// produce adds a record of `deliveries`.
func (l *laneRun) produce(f *flight, r *delivery.Record) {
	l.cycle.add(&kgo.Record{Topic: l.sink.cfg.Deliveries, Key: []byte(f.row.User), Value: r.Append(nil), Timestamp: time.UnixMilli(r.Time),
		Headers: []kgo.RecordHeader{{Key: "tripline-id", Value: []byte(r.TriggerID)}, {Key: "tripline-campaign", Value: []byte(r.Campaign)},
			{Key: "content-type", Value: []byte("application/json")}}})
}

// disabled tells the group, in the transaction of the attempt that met it, that an endpoint has gone.
func (l *laneRun) disabled(f *flight, r *delivery.Record) {
	e := l.sink.plan.Load().endpoints[r.Endpoint]
	if e == nil {
		return
	}
	l.sink.log.Error("endpoint is disabled: it answered 410; what waits for it fails until its url or method change",
		zap.String("endpoint", r.Endpoint), zap.String("trigger", r.TriggerID))
	l.cycle.add(control.Record(l.sink.controlTopic(), r.Endpoint, "410", e.print, r.TriggerID, r.Time))
}
