package sink

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/tripline/tripline/processor/campaign/calendar"
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

// Why an endpoint is disabled, as the control topic has it.
const (
	gone410      = "410"
	disableAfter = "disable_after"
)

const maxText = 1 << 10 // bytes of an error that are recorded

// result is what a flight's goroutine tells its lane: how an attempt ended, or why there was none.
type result struct {
	f        *flight
	record   delivery.Record
	verdict  policy.Verdict
	wake     int64            // of a retry: when to look again, ms since the epoch
	disables string           // why the endpoint is to be disabled; "": it is not
	news     []*control.State // what others have to know of it
	last     bool             // the goroutine is done with the flight
	told     bool             // there is a record; without one nothing has happened, as when an attempt is cut off
	again    bool             // of a batch that has other members now: it is to go with those
	unknown  bool             // the plan does not know the flight's route
}

// attempt makes a flight's attempt, with tries in place, and tells its lane. It decides nothing that its lane has to commit.
func (s *Sink) attempt(o *outlet, f *flight) {
	if f.members != nil {
		s.attemptBatch(o, f)
		return
	}
	if f.lane.sending.Err() != nil {
		f.lane.tell(result{f: f, last: true})
		return
	}
	now := time.Now().UnixMilli()
	to := s.course(o, f)
	r, ends := to.ends(f, now)
	var rendered *request.Rendered
	if !ends {
		rendered, r, ends = to.render(f, request.Render, now)
	}
	if ends {
		f.lane.tell(r)
		return
	}
	s.send(o, f, nil, to, rendered, now)
}

// course is where a flight goes, as the plan has it now.
type course struct {
	e       *endpoint // nil: the plan does not know it
	client  *call.Client
	content *request.Content // nil: the plan does not know it
	gone    bool
}

func (s *Sink) course(o *outlet, f *flight) (c course) {
	c.e, c.client, c.gone = o.current()
	c.content = s.plan.Load().contents[route{f.row.Campaign, f.row.Endpoint}]
	return c
}

// ends says that a flight ends before its request, and how.
func (c *course) ends(f *flight, now int64) (r result, ends bool) {
	switch {
	case f.erased.Load():
		return f.ends(policy.Dropped, erased, "", now), true
	case c.e == nil || c.content == nil:
		return result{f: f, last: true, unknown: true}, true
	case c.gone:
		return f.ends(policy.Failed, disabled, "", now), true
	case c.content.Expires > 0 && now > f.trigger.Time+c.content.Expires:
		return f.ends(policy.Dropped, expired, "", now), true
	}
	return r, false
}

// renderer is request.Render, or RenderMember.
type renderer = func(*request.Target, *request.Content, *record.Trigger, []byte, int64) (*request.Rendered, error)

// render renders a flight's request; where that drops it, the flight ends.
func (c *course) render(f *flight, by renderer, now int64) (rendered *request.Rendered, r result, ends bool) {
	rendered, err := by(c.e.target, c.content, f.trigger, f.raw, f.replay)
	var dropped *request.DroppedError
	if errors.As(err, &dropped) {
		return nil, f.ends(policy.Dropped, dropped.Reason, c.client.Secrets().HideAndCut(dropped.Detail, maxText), now), true
	}
	return rendered, r, false
}

// send sends what has been rendered of a flight, or of its members.
func (s *Sink) send(o *outlet, f *flight, members []*flight, to course, rendered *request.Rendered, now int64) {
	if rendered.Header.Get("User-Agent") == "" {
		rendered.Header.Set("User-Agent", s.agent)
	}
	if members == nil && rendered.Header.Get(record.Traceparent) == "" {
		for name, value := range f.row.Trace.Headers() {
			rendered.Header.Set(name, value)
		}
	}
	t := &try{s: s, o: o, f: f, members: members, e: to.e, attempts: f.attempts, place: f.place, expires: to.content.Expires, url: to.client.Secrets().HideURL(rendered.Shown)}
	if members == nil {
		t.alone[0] = f
		t.members = t.alone[:]
	}
	if f.attempts == 0 {
		s.metrics.firstAttempt(o.name, now-f.trigger.EmittedAt)
	}
	to.client.Do(f.lane.sending, rendered.Request, t.ended)
	if !t.last {
		results := make([]result, len(t.members))
		for i, m := range t.members {
			results[i] = result{f: m, last: true}
		}
		f.lane.tell(results...)
	}
}

// try is the attempts that follow one another in place.
type try struct {
	s        *Sink
	o        *outlet
	f        *flight
	members  []*flight // of a batch; else the flight itself
	alone    [1]*flight
	e        *endpoint
	attempts int
	place    int
	expires  int64 // ms after a trigger's time; 0: never
	url      string
	last     bool
	room     [1]result // for results of one that goes alone
}

// ended is told how each attempt ended.
func (t *try) ended(a call.Answer) (wait time.Duration, again bool) {
	t.attempts++
	look, held := t.o.learn(t.f, &a, t.place == 0 && t.attempts <= t.e.Retry.Quick)
	v := t.e.rules.Judge(a.Answer, policy.Standing{Delivery: t.f.key, Attempt: t.attempts, Place: t.place, Look: look, Held: held})
	var news []*control.State
	if v.Hold > 0 {
		news = t.o.hold(t.e, v.Hold, a.Ended)
	}
	cause, fails := t.o.tally(t.e, v.Outcome == policy.Delivered, a.Ended)
	if fails != nil {
		news = append(news, fails)
	}
	if v.Disable {
		cause = gone410
	}
	if cause != "" && t.o.disable(t.e.print, cause) {
		t.s.inform()
	} else if cause == disableAfter { // another attempt has told
		cause = ""
	}
	t.last = !v.Quick
	results := t.room[:0]
	for _, f := range t.members {
		results = append(results, t.result(f, &a, &v))
	}
	results[0].disables, results[0].news = cause, news
	t.s.metrics.attempt(&results[0].record)
	fields := rooms.Get().(*[]zap.Field)
	*fields = append(attemptFields((*fields)[:0], &results[0].record, len(t.members)), zap.Int64("since_emitted_ms", a.Started-t.f.trigger.EmittedAt))
	t.s.log.Info("attempt", *fields...)
	rooms.Put(fields)
	t.f.lane.tell(results...)
	return time.Duration(max(0, v.Next-a.Ended)) * time.Millisecond, v.Quick
}

// result is what an attempt comes to for one delivery.
func (t *try) result(f *flight, a *call.Answer, v *policy.Verdict) result {
	r := result{f: f, verdict: *v, told: true, last: t.last, record: f.record(t.attempts, v.Outcome, v.Reason, a.Ended)}
	r.record.Sent, r.record.Status, r.record.Latency, r.record.Batch = true, int64(a.Status), a.Ended-a.Started, t.f.batch
	r.record.Error, r.record.URL, r.record.Response, r.record.OutOfOrder = a.Error, t.url, a.Response, f.ahead
	if v.Outcome == policy.Retry {
		r.record.NextAttempt, r.wake = v.Next, v.Next
		if expires := f.trigger.Time + t.expires; t.expires > 0 && expires < v.Next && t.last {
			r.wake = expires + 1
		}
	}
	return r
}

// rooms are for the fields of lines.
var rooms = sync.Pool{New: func() any { return new([]zap.Field) }}

// attemptFields appends the fields of the one line that there is per attempt, of a batch with the first of its members.
func attemptFields(fields []zap.Field, r *delivery.Record, members int) []zap.Field {
	fields = append(fields,
		zap.String("trigger", r.TriggerID), zap.String("campaign", r.Campaign), zap.String("version", r.Version), zap.String("user", r.User),
		zap.String("endpoint", r.Endpoint), zap.Int64("attempt", r.Attempt), zap.String("outcome", r.Outcome),
		zap.Int64("status", r.Status), zap.Int64("latency_ms", r.Latency), zap.String("url", r.URL))
	if r.Replay != 0 {
		fields = append(fields, zap.Int64("replay", r.Replay))
	}
	if r.Outcome != string(policy.Delivered) {
		fields = append(fields, zap.String("reason", r.Reason), zap.String("error", r.Error), zap.String("response", r.Response))
	}
	if r.Batch != "" {
		fields = append(fields, zap.String("batch", r.Batch), zap.Int("members", members))
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
	members  []*flight // of a batch, which has no row of its own
	batch    string    // its webhook-id
	ahead    bool      // others of its user that came before it are still open
	look     bool      // it is the look of a half-open breaker; set by its outlet

	row      outbox.Delivery // as it would be, or is, in its row
	stored   bool            // it has a row
	windowed bool            // it holds the position back
	early    bool            // it was read ahead, and the position has not come to it
	admitted int64           // ms since the epoch

	erased atomic.Bool // its user was erased after it came; set by the lane
}

// size is what a flight takes in memory, about.
func (f *flight) size() int {
	n := 2*len(f.raw) + 1024
	for _, m := range f.members {
		n += m.size()
	}
	return n
}

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

// learn takes what an attempt tells of the endpoint: its breaker, and its rate. first says that a try in place may follow.
func (o *outlet) learn(f *flight, a *call.Answer, first bool) (look int64, held bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.endpoint == nil {
		return 0, true
	}
	looked := f.look
	f.look = false
	l := o.gate.End(o.endpoint.Breaker, o.endpoint.rules.Seen(a.Answer), a.Started, looked, first)
	if l.Changed {
		if l.Phase == policy.Open && !looked {
			o.log.Warn("breaker is open: what is for the endpoint waits", zap.String("endpoint", o.name), zap.Int64("open_ms", o.endpoint.Breaker.Open))
		} else if l.Phase == policy.Normal {
			o.log.Info("breaker is closed again", zap.String("endpoint", o.name))
		}
		o.pump()
	}
	return l.Look, l.Held
}

// tally notes how an attempt ended for `disable_after`. It returns why the endpoint is to be disabled, and what others have to know.
func (o *outlet) tally(e *endpoint, success bool, now int64) (disables string, news *control.State) {
	if e.DisableAfter == 0 {
		return "", nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.endpoint == nil || o.endpoint.print != e.print {
		return "", nil
	}
	t := o.failing.End(e.DisableAfter, success, now)
	o.metrics.fails(o.name, t.Share)
	if t.Warn > 0 {
		o.metrics.warned(o.name, t.Warn)
		o.log.Warn("endpoint fails: no attempt has succeeded for so much of disable_after, after all of which it is disabled", zap.String("endpoint", o.name),
			zap.Int("percent", t.Warn), zap.Time("since", time.UnixMilli(t.Told.Since).UTC()), zap.Duration("disable_after", time.Duration(e.DisableAfter)*time.Millisecond))
	}
	if t.Tell {
		news = tells(o.name, e.print, t.Told, now)
	}
	if t.Disable {
		disables = disableAfter
	}
	return disables, news
}

// tells is what the control topic says of an endpoint that fails, or does no longer.
func tells(endpoint, print string, t policy.Told, now int64) *control.State {
	s := &control.State{Endpoint: endpoint, State: control.Failing, Print: print, Time: calendar.FormatTime(now), Warned: t.Warned}
	if t.Since != 0 {
		s.Since = calendar.FormatTime(t.Since)
	}
	return s
}

// hear takes what the control topic says of an endpoint that fails. again says that this process knows better.
func (o *outlet) hear(s control.State) (again bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.endpoint == nil || o.endpoint.print != s.Print || s.At() < o.stateAt {
		return false
	}
	return o.failing.Hear(policy.Told{Since: s.Began(), Warned: s.Warned}, s.At())
}

// forgive begins the clock of `disable_after` anew: somebody has paused or resumed the endpoint.
func (o *outlet) forgive(at int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stateAt = max(o.stateAt, at)
	o.failing = policy.Failing{}
	o.metrics.fails(o.name, 0)
}

// untold is what the control topic has still to say of the endpoint, by what this process knows; nil: nothing.
func (o *outlet) untold(now int64) *control.State {
	o.mu.Lock()
	defer o.mu.Unlock()
	t, is := o.failing.Unsaid()
	if !is || o.endpoint == nil || o.endpoint.DisableAfter == 0 {
		return nil
	}
	return tells(o.name, o.endpoint.print, t, now)
}
