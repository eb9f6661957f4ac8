package sink

import (
	"time"

	"go.uber.org/zap"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/sink/control"
	"github.com/tripline/tripline/sink/delivery"
	"github.com/tripline/tripline/sink/policy"
)

// Why an endpoint is disabled, as the control topic has it.
const (
	gone410      = "410"
	disableAfter = "disable_after"
)

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

// retell tells what the control topic does not say.
func (l *laneRun) retell() {
	now := time.Now().UnixMilli()
	for _, o := range l.sink.all() {
		if s := o.untold(now); s != nil {
			l.cycle.add(s.Record(l.sink.controlTopic()))
		}
	}
}

// disabled tells the group, in the transaction of the attempt that met it, that an endpoint is disabled.
func (l *laneRun) disabled(cause string, r *delivery.Record) {
	e := l.sink.plan.Load().endpoints[r.Endpoint]
	if e == nil {
		return
	}
	why := "it answered 410"
	if cause == disableAfter {
		why = "no attempt has succeeded for all of disable_after"
	}
	l.sink.log.Error("endpoint is disabled: "+why+"; what waits for it fails until its url, method or auth change or `tripline endpoint resume`",
		zap.String("endpoint", r.Endpoint), zap.String("trigger", r.TriggerID))
	l.cycle.add(control.Record(l.sink.controlTopic(), r.Endpoint, cause, e.print, r.TriggerID, r.Time))
}
