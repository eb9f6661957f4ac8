package sink

import (
	"time"

	"go.uber.org/zap"

	"github.com/tripline/tripline/sink/call"
	"github.com/tripline/tripline/sink/policy"
)

// learn takes what an attempt tells of the endpoint: its breaker, and its rate. look is above 0 where the attempt was the look of a
// half-open breaker: how many ms after it the next one would be. held says that a try in place must not follow,
// which it may where first holds.
func (o *outlet) learn(f *flight, a *call.Answer, first bool) (look int64, held bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.endpoint == nil {
		return 0, true
	}
	rules, looked, trouble := o.endpoint.Breaker, f.look, policy.Trouble(a.Answer)
	if f.look = false; looked {
		look = max(1, rules.Open)
	}
	if o.breaker.End(rules, trouble, looked, a.Ended) {
		phase := o.breaker.Phase(a.Ended)
		o.metrics.phase(o.name, phase)
		if phase == policy.Open && !looked {
			o.log.Warn("breaker is open: what is for the endpoint waits", zap.String("endpoint", o.name), zap.Int64("open_ms", rules.Open))
		} else if phase == policy.Normal {
			o.log.Info("breaker is closed again", zap.String("endpoint", o.name))
		}
		o.pump()
	}
	if policy.Complains(a.Answer) && o.throttle.Slow(a.Started, a.Ended) {
		o.metrics.rate(o.name, o.throttle.Rate(a.Ended))
	}
	if !trouble {
		return look, false
	}
	if looked || o.paused || o.breaker.Wait(a.Ended) != 0 {
		return look, true
	}
	// A try in place needs a token as any other attempt does; none is taken where no such try would follow.
	return look, first && policy.Quick(a.Answer) && !o.throttle.Spare(a.Ended)
}

// pace sets the rate anew: this process's part of what the group may do. The lock is held.
func (o *outlet) pace(now int64) {
	var limit policy.Limit
	if o.endpoint != nil {
		limit = o.endpoint.Limit
	}
	o.throttle.Set(limit.Part(o.share), now)
	o.metrics.rate(o.name, o.throttle.Rate(now))
}

// assign says which part of the group's partitions this process has.
func (o *outlet) assign(share float64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.share != share {
		o.share = share
		o.pace(time.Now().UnixMilli())
		o.pump()
	}
}

// pause holds the endpoint, or lets it go on. It reports whether that is news.
func (o *outlet) pause(paused bool) (news bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	news = o.paused != paused
	o.paused = paused
	o.pump()
	return news
}

// share is the part of the group's partitions that this process has. The lock is held.
func (s *Sink) share() float64 {
	mine, all := 0, int32(1)
	for l := range s.lanes {
		for _, p := range l.parts {
			mine, all = mine+1, max(all, p.of)
		}
	}
	return min(1, float64(mine)/float64(all))
}
