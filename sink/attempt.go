package sink

import (
	"errors"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/sink/call"
	"github.com/tripline/tripline/sink/control"
	"github.com/tripline/tripline/sink/delivery"
	"github.com/tripline/tripline/sink/outbox"
	"github.com/tripline/tripline/sink/policy"
	"github.com/tripline/tripline/sink/request"
)

// Reasons of deliveries that end without a request, beside those of package request.
const (
	disabled        = "disabled"
	unknownEndpoint = "unknown_endpoint"
	unknownCampaign = "unknown_campaign"
	expired         = "expired"
	erased          = "erased"
	waitedTooLong   = "waited_too_long"
)

const (
	maxText = 1 << 10 // bytes of an error that are recorded
	maxURL  = 4 << 10
)

// result is what a flight's goroutine tells its lane: how an attempt ended, or why there was none.
type result struct {
	f        *flight
	record   delivery.Record
	verdict  policy.Verdict
	wake     int64          // of a retry: when to look again, ms since the epoch
	disables string         // why the endpoint is to be disabled; "": it is not
	news     *control.State // what others have to know of it; nil: nothing
	last     bool           // the goroutine is done with the flight
	told     bool           // there is a record; without one nothing has happened, as when an attempt is cut off
	unknown  bool           // the plan does not know the flight's route
}

// attempt makes a flight's attempt, with tries in place, and tells its lane. It decides nothing that its lane has to commit.
func (s *Sink) attempt(o *outlet, f *flight) {
	if f.lane.sending.Err() != nil {
		f.lane.tell(result{f: f, last: true})
		return
	}
	now, trigger := time.Now().UnixMilli(), f.trigger
	if f.erased.Load() {
		f.lane.tell(f.ends(policy.Dropped, erased, "", now))
		return
	}
	plan := s.plan.Load()
	e, client, gone := o.current()
	content := plan.contents[route{trigger.Campaign, trigger.Endpoint}]
	switch {
	case plan.unknown(route{trigger.Campaign, trigger.Endpoint}) != "" || e == nil || content == nil:
		f.lane.tell(result{f: f, last: true, unknown: true})
		return
	case gone:
		f.lane.tell(f.ends(policy.Failed, disabled, "", now))
		return
	case content.Expires > 0 && now > trigger.Time+content.Expires:
		f.lane.tell(f.ends(policy.Dropped, expired, "", now))
		return
	}
	rendered, err := request.Render(e.target, content, trigger, f.raw, f.replay)
	var dropped *request.DroppedError
	if errors.As(err, &dropped) {
		f.lane.tell(f.ends(policy.Dropped, dropped.Reason, client.Secrets().HideAndCut(dropped.Detail, maxText), now))
		return
	}
	if rendered.Header.Get("user-agent") == "" {
		rendered.Header.Set("user-agent", s.agent)
	}
	t := try{s: s, o: o, f: f, e: e, attempts: f.attempts, place: f.place, url: client.Secrets().HideAndCut(rendered.Shown, maxURL)}
	if content.Expires > 0 {
		t.expires = trigger.Time + content.Expires
	}
	if f.attempts == 0 {
		s.metrics.firstAttempt(o.name, now-trigger.EmittedAt)
	}
	client.Do(f.lane.sending, rendered.Request, t.ended)
	if !t.last {
		f.lane.tell(result{f: f, last: true})
	}
}

// try is the attempts that follow one another in place.
type try struct {
	s        *Sink
	o        *outlet
	f        *flight
	e        *endpoint
	attempts int
	place    int
	expires  int64 // ms since the epoch; 0: never
	url      string
	last     bool
}

// ended is told how each attempt ended.
func (t *try) ended(a call.Answer) (wait time.Duration, again bool) {
	t.attempts++
	look, held := t.o.learn(t.f, &a, t.place == 0 && t.attempts <= t.e.Retry.Quick)
	v := t.e.rules.Judge(a.Answer, policy.Standing{Delivery: t.f.key, Attempt: t.attempts, Place: t.place, Look: look, Held: held})
	if v.Hold > 0 {
		t.o.hold(v.Hold)
	}
	cause, news := t.o.tally(t.e, v.Outcome == policy.Delivered, a.Ended)
	if v.Disable {
		cause = gone410
	}
	if cause != "" && t.o.disable(t.e.print, cause) {
		t.s.inform()
	} else if cause == disableAfter { // another attempt has told
		cause = ""
	}
	r := result{f: t.f, verdict: v, disables: cause, news: news, told: true, last: !v.Quick, record: t.f.record(t.attempts, v.Outcome, v.Reason, a.Ended)}
	r.record.Sent, r.record.Status, r.record.Latency = true, int64(a.Status), a.Ended-a.Started
	r.record.Error, r.record.URL, r.record.Response, r.record.OutOfOrder = a.Error, t.url, a.Response, t.f.ahead
	if v.Outcome == policy.Retry {
		r.record.NextAttempt = v.Next
		if r.wake = v.Next; t.expires > 0 && t.expires < v.Next && !v.Quick {
			r.wake = t.expires + 1
		}
	}
	t.s.metrics.attempt(&r.record)
	t.s.log.Info("attempt", append(attemptFields(&r.record), zap.Int64("since_emitted_ms", a.Started-t.f.trigger.EmittedAt))...)
	t.last = r.last
	t.f.lane.tell(r)
	return time.Duration(max(0, v.Next-a.Ended)) * time.Millisecond, v.Quick
}

// attemptFields are the fields of the one line that there is per attempt.
func attemptFields(r *delivery.Record) []zap.Field {
	fields := []zap.Field{
		zap.String("trigger", r.TriggerID), zap.String("campaign", r.Campaign), zap.String("version", r.Version), zap.String("user", r.User),
		zap.String("endpoint", r.Endpoint), zap.Int64("attempt", r.Attempt), zap.String("outcome", r.Outcome),
		zap.Int64("status", r.Status), zap.Int64("latency_ms", r.Latency), zap.String("url", r.URL),
	}
	if r.Replay != 0 {
		fields = append(fields, zap.Int64("replay", r.Replay))
	}
	if r.Outcome != string(policy.Delivered) {
		fields = append(fields, zap.String("reason", r.Reason), zap.String("error", r.Error), zap.String("response", r.Response))
	}
	if r.Batch != "" {
		fields = append(fields, zap.String("batch", r.Batch))
	}
	if r.OutOfOrder {
		fields = append(fields, zap.Bool("out_of_order", true))
	}
	if r.NextAttempt != 0 {
		fields = append(fields, zap.Time("next_attempt", time.UnixMilli(r.NextAttempt).UTC()))
	}
	return fields
}

// flight is a delivery in memory: it waits for room at its endpoint, or its attempt is being made. What stands above row does not
// change; what follows belongs to its lane.
type flight struct {
	lane     *laneRun
	part     *part
	key      string
	raw      []byte // the trigger's record
	trigger  *record.Trigger
	replay   int64
	kind     int // first or again
	attempts int // made before
	place    int
	ahead    bool // others of its user that came before it are still open
	look     bool // it is the look of a half-open breaker; set by its outlet

	row      outbox.Delivery // as it would be, or is, in its row
	stored   bool            // it has a row
	windowed bool            // it holds the position back
	admitted int64           // ms since the epoch

	erased atomic.Bool // its user was erased after it came; set by the lane
}

// size is what a flight takes in memory, about.
func (f *flight) size() int { return 2*len(f.raw) + 1024 }

// record begins a record of the delivery.
func (f *flight) record(attempts int, outcome policy.Outcome, reason string, now int64) delivery.Record {
	t := f.trigger
	return delivery.Record{TriggerID: t.ID, Replay: f.replay, Campaign: t.Campaign, Version: t.Version, User: t.User, Endpoint: t.Endpoint,
		Attempt: int64(attempts), Outcome: string(outcome), Reason: reason, Time: now}
}

// ends is the result of a delivery that ends without a request.
func (f *flight) ends(outcome policy.Outcome, reason, detail string, now int64) result {
	r := result{f: f, verdict: policy.Verdict{Outcome: outcome, Reason: reason}, told: true, last: true}
	r.record = f.record(f.attempts, outcome, reason, now)
	r.record.Error = detail
	return r
}
