package sink

import (
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/tripline/tripline/processor/campaign/record"
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
	l.sink.log.Error("endpoint is disabled: it answered 410; what waits for it fails until its url or method change or `tripline endpoint resume`",
		zap.String("endpoint", r.Endpoint), zap.String("trigger", r.TriggerID))
	l.cycle.add(control.Record(l.sink.controlTopic(), r.Endpoint, "410", e.print, r.TriggerID, r.Time))
}

// badTrigger is the reason of a record in `triggers` that is no trigger.
const badTrigger = "bad_trigger"

const (
	maxDeadLetter = 512 << 10 // bytes of a value that cannot be read
	maxHeaders    = 128 << 10 // bytes of the headers that come with it
)

// unread sets a record aside that cannot be read. So that no broker refuses it, its value is cut, and too many headers are left
// out.
func unread(topic string, r *kgo.Record, detail string) *kgo.Record {
	headers := append(source(r.Topic, r.Partition, r.Offset),
		kgo.RecordHeader{Key: "tripline-source-timestamp", Value: strconv.AppendInt(nil, r.Timestamp.UnixMilli(), 10)},
		kgo.RecordHeader{Key: "tripline-size", Value: strconv.AppendInt(nil, int64(len(r.Value)), 10)},
		kgo.RecordHeader{Key: "tripline-reason", Value: []byte(badTrigger)},
		kgo.RecordHeader{Key: "tripline-detail", Value: []byte(detail)})
	size := len(r.Key)
	for _, h := range r.Headers {
		size += len(h.Key) + len(h.Value)
	}
	key := r.Key
	if size <= maxHeaders {
		headers = append(headers, r.Headers...)
	} else if len(key) > maxHeaders {
		key = key[:maxHeaders]
	}
	return &kgo.Record{Topic: topic, Key: key, Value: r.Value[:min(len(r.Value), maxDeadLetter)], Headers: headers}
}

// undelivered holds all that a replay of a delivery that failed needs: the trigger's record, and its final delivery record.
func (l *laneRun) undelivered(f *flight, final *delivery.Record) *kgo.Record {
	headers := append(source(l.sink.cfg.Triggers, f.part.number, f.row.Offset),
		kgo.RecordHeader{Key: "tripline-reason", Value: []byte("undelivered")},
		kgo.RecordHeader{Key: "tripline-delivery", Value: final.Append(nil)},
		kgo.RecordHeader{Key: "tripline-id", Value: []byte(final.TriggerID)},
		kgo.RecordHeader{Key: "tripline-campaign", Value: []byte(final.Campaign)},
		kgo.RecordHeader{Key: "content-type", Value: []byte("application/json")})
	return &kgo.Record{Topic: l.sink.cfg.DeadLetters, Key: []byte(f.row.User), Value: f.raw, Headers: headers}
}

func source(topic string, partition int32, offset int64) []kgo.RecordHeader {
	return []kgo.RecordHeader{
		{Key: "tripline-source-topic", Value: []byte(topic)},
		{Key: "tripline-source-partition", Value: strconv.AppendInt(nil, int64(partition), 10)},
		{Key: "tripline-source-offset", Value: strconv.AppendInt(nil, offset, 10)},
	}
}

// readTrigger reads a record of `triggers`. detail says why it is no trigger; with "" it is one.
func readTrigger(r *kgo.Record) (t record.Trigger, replay int64, detail string) {
	if len(r.Value) > record.MaxBytes {
		return t, 0, "larger than " + strconv.Itoa(record.MaxBytes) + " bytes"
	}
	t, err := record.ParseTrigger(r.Value)
	if err != nil {
		return t, 0, err.Error()
	}
	for name, text := range map[string]string{"campaign": t.Campaign, "version": t.Version, "user_id": t.User, "endpoint": t.Endpoint} {
		if len(text) > maxName {
			return t, 0, name + " has more than " + strconv.Itoa(maxName) + " bytes"
		}
	}
	if len(t.ID) > maxName || !isID(t.ID) {
		return t, 0, "id: expected up to " + strconv.Itoa(maxName) + " visible characters of ASCII without a dot"
	}
	for _, h := range r.Headers {
		if h.Key == "tripline-replay" {
			n, err := strconv.ParseInt(string(h.Value), 10, 64)
			if err != nil || n < 1 {
				return t, 0, "the header tripline-replay is not a number from 1"
			}
			replay = n
		}
	}
	return t, replay, ""
}

// isID: the id is a header, is signed with dots around it, and names a row.
func isID(id string) bool {
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c >= 0x7f || c == '.' {
			return false
		}
	}
	return true
}
