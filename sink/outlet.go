package sink

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/tripline/tripline/sink/call"
	"github.com/tripline/tripline/sink/policy"
)

// Which of an endpoint's two queues in memory a flight waits in.
const (
	first = iota // first attempts
	again        // retries
)

// firstRoom is how many first attempts of one lane wait for an endpoint in memory; what comes beyond waits in rows.
const firstRoom = 1024

// crowded is for how long a swift endpoint has enough to do, in ms: what comes beyond may wait in `triggers`. It is less than what is in
// memory may hold a position back.
const crowded = unsaved / 2

// outlet is one endpoint's share of the process: its attempts in flight, and the flights that wait for room, of all lanes. It
// outlives plans.
type outlet struct {
	name    string
	attempt func(*flight) // makes a flight's attempts; called on a goroutine of the outlet
	wait    *sync.WaitGroup
	metrics *metrics
	log     *zap.Logger

	waiting atomic.Int64 // rows of its deliveries, over all lanes

	mu        sync.Mutex
	endpoint  *endpoint // of the plan; nil: the plan has none of this name
	client    *call.Client
	disabled  string // print of the configuration that has gone; "": none
	cause     string // why, as this process found
	failing   policy.Failing
	stateAt   int64 // ms: of the newest state in the control topic
	heldUntil int64 // ms: until when the group knows it to be held
	queues    [2][]*flight
	lanes     map[*laneRun]*[2]int // flights of each lane, in flight or waiting
	bytes     int                  // of their records
	maxBytes  int
	flying    [2]int
	gate      policy.Gate
	flow      policy.Flow // of first attempts
	awaiting  []*laneRun  // have what waits for room, in the order in which they came
	crowd     int         // flights that there were when the last one of them came
	share     float64     // of the group's partitions that this process has
	timer     *time.Timer // of the next moment at which something may start
	timerAt   int64       // ms

	since map[*part]int64 // ms: since when what has waited longest waits, as a walk has found last
}

// configure takes what a plan says of the endpoint; nil: nothing. It returns the client that is of no use any more, if any.
func (o *outlet) configure(e *endpoint, client *call.Client, maxBytes int) (old *call.Client) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.client != client {
		old = o.client
	}
	if e == nil || o.endpoint == nil || o.endpoint.print != e.print {
		o.failing = policy.Failing{}
	}
	o.endpoint, o.client, o.maxBytes = e, client, maxBytes
	o.pace(time.Now().UnixMilli())
	o.pump()
	return old
}

// gone reports whether the endpoint, as it is configured, is disabled.
func (o *outlet) gone() bool { return o.endpoint != nil && o.disabled == o.endpoint.print }

// isGone is gone for those who do not hold the lock.
func (o *outlet) isGone() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.gone()
}

// why is the cause of a disablement.
func (o *outlet) why() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.cause
}

// disable notes that the endpoint with the configuration of that print has gone, and why if this process found so; "" that none has. It
// reports whether that was news for the endpoint as it is configured.
func (o *outlet) disable(print, cause string) (news bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	was := o.gone()
	o.disabled, o.cause = print, cause
	o.pump()
	return was != o.gone()
}

// current is the endpoint and its client, and whether it is disabled.
func (o *outlet) current() (e *endpoint, client *call.Client, gone bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.endpoint, o.client, o.gone()
}

// room is how many more flights of a lane the outlet takes.
func (o *outlet) room(l *laneRun, kind int) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.roomFor(l, kind)
}

func (o *outlet) roomFor(l *laneRun, kind int) int {
	limit := firstRoom
	if kind == again {
		limit = o.limit()
	}
	if counts := o.lanes[l]; counts != nil {
		limit -= counts[kind]
	}
	if o.bytes >= o.maxBytes {
		return 0
	}
	// As many as fit if they are as large as those that are there. What is taken out of a queue and has no room goes to its end.
	if n := o.flights(); n > 0 {
		limit = min(limit, 1+(o.maxBytes-o.bytes)*n/o.bytes)
	}
	return limit
}

// flights is how many there are, of all lanes.
func (o *outlet) flights() int {
	return len(o.queues[first]) + len(o.queues[again]) + o.flying[first] + o.flying[again]
}

// limit is how many attempts there are at a time.
func (o *outlet) limit() int {
	if o.endpoint == nil {
		return 1
	}
	return o.endpoint.MaxInFlight
}

// offer gives a flight to the outlet, which may start it at once. False: there is no room for it.
func (o *outlet) offer(f *flight) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.roomFor(f.lane, f.kind) <= 0 {
		return false
	}
	o.admit(f)
	return true
}

// accept is offer for what has had its room before.
func (o *outlet) accept(f *flight) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.admit(f)
}

func (o *outlet) admit(f *flight) {
	if o.lanes[f.lane] == nil {
		o.lanes[f.lane] = new([2]int)
	}
	o.lanes[f.lane][f.kind]++
	o.bytes += f.size()
	o.queues[f.kind] = append(o.queues[f.kind], f)
	o.pump()
}

// pump starts what may start. The lock is held.
func (o *outlet) pump() {
	for {
		f := o.take()
		if f == nil {
			return
		}
		o.wait.Go(func() {
			for f := f; f != nil; f = o.landed(f) {
				o.attempt(f)
			}
		})
	}
}

// take takes the next flight that may start, first attempts before retries. Half of the places are not for retries. An endpoint
// that has gone, or that the plan does not have, holds nothing back.
func (o *outlet) take() *flight {
	limit := o.limit()
	if o.flying[first]+o.flying[again] >= limit {
		return nil
	}
	kind, i := o.next(limit)
	if kind < 0 {
		return nil
	}
	look := false
	if o.endpoint != nil && !o.gone() {
		now := time.Now().UnixMilli()
		if wait := o.gate.Blocked(now); wait != 0 {
			o.wakeAt(now, wait)
			return nil
		}
		if look = o.gate.Begin(now); look {
			kind, i = o.oldest()
		}
	}
	queue := o.queues[kind]
	f := queue[i]
	copy(queue[1:i+1], queue[:i])
	queue[0] = nil
	o.queues[kind] = queue[1:]
	f.look = look
	o.flying[kind]++
	return f
}

// next is the place of the flight whose turn it is; kind -1: there is none.
func (o *outlet) next(limit int) (kind, i int) {
	switch {
	case len(o.queues[first]) > 0:
		return first, 0
	case len(o.queues[again]) > 0 && o.flying[again] < limit-limit/2:
		return again, 0
	}
	return -1, 0
}

// oldest is the place of the flight that has waited longest. There is one.
func (o *outlet) oldest() (kind, i int) {
	var found *flight
	for k := range o.queues {
		for j, f := range o.queues[k] {
			if found == nil || f.row.Since < found.row.Since {
				found, kind, i = f, k, j
			}
		}
	}
	return kind, i
}

// wakeAt sees to it that somebody pumps after so many ms, unless that is below 0.
func (o *outlet) wakeAt(now, wait int64) {
	if wait < 0 || o.timer != nil && o.timerAt <= now+wait {
		return
	}
	if o.timer != nil {
		o.timer.Stop()
	}
	var timer *time.Timer
	timer = time.AfterFunc(time.Duration(wait)*time.Millisecond, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.timer == timer {
			o.timer = nil
		}
		o.pump()
	})
	o.timer, o.timerAt = timer, now+wait
}

// awaits reports whether a first attempt of a lane is better kept where it is, in `triggers`, than in a row: there is no room for it now,
// or others are queued before it, and the endpoint is swift, or may be. What is in memory of such a one has gone before it would need a
// row. The lane is woken when there is room.
func (o *outlet) awaits(l *laneRun, queued bool, now int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, rate := o.flights(), o.flow.Swift(now)
	switch queue := o.queues[first]; {
	case rate == 0 && !(o.flow.New(now) && len(queue) > 0 && now-queue[0].admitted < lookForRoom):
		return false
	case !queued && o.roomFor(l, first) > 0 && (rate == 0 || n < rate*crowded/1000):
		return false
	}
	if o.crowd = n; !slices.Contains(o.awaiting, l) {
		o.awaiting = append(o.awaiting, l)
	}
	return true
}

// wake wakes the lane that has waited longest for room, when a part of it has become free.
func (o *outlet) wake() {
	if len(o.awaiting) > 0 && o.flights() <= o.crowd*3/4 {
		o.awaiting[0].signal()
		o.awaiting = slices.Delete(o.awaiting, 0, 1)
	}
}

// landed ends a flight and returns the next one for the same goroutine.
func (o *outlet) landed(f *flight) *flight {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flying[f.kind]--
	if o.forget(f); f.kind == first {
		o.flow.End(time.Now().UnixMilli())
	}
	o.wake()
	if f.look { // it ended without an attempt
		f.look = false
		o.gate.Release(time.Now().UnixMilli())
	}
	return o.take()
}

func (o *outlet) forget(f *flight) {
	o.bytes -= f.size()
	counts := o.lanes[f.lane]
	if counts[f.kind]--; *counts == [2]int{} {
		delete(o.lanes, f.lane)
	}
}

// withdraw takes a lane's flights that have not started back.
func (o *outlet) withdraw(l *laneRun) (withdrawn []*flight) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.awaiting = slices.DeleteFunc(o.awaiting, func(waits *laneRun) bool { return waits == l })
	for kind := range o.queues {
		kept := o.queues[kind][:0:0]
		for _, f := range o.queues[kind] {
			if f.lane != l {
				kept = append(kept, f)
				continue
			}
			o.forget(f)
			withdrawn = append(withdrawn, f)
		}
		o.queues[kind] = kept
	}
	return withdrawn
}

// release takes a flight back that waits for its turn. It reports whether it did: one that has started it leaves.
func (o *outlet) release(f *flight) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	queue := o.queues[f.kind]
	i := slices.Index(queue, f)
	if i < 0 {
		return false
	}
	o.queues[f.kind] = slices.Delete(queue, i, i+1)
	o.forget(f)
	o.wake()
	return true
}

// stop ends the outlet when nothing is in flight any more.
func (o *outlet) stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.timer != nil {
		o.timer.Stop()
	}
	if o.client != nil {
		o.client.Close()
	}
}

// pace sets the rate anew: this process's part of what the group may do. The lock is held.
func (o *outlet) pace(now int64) {
	var limit policy.Limit
	if o.endpoint != nil {
		limit = o.endpoint.Limit
	}
	o.gate.Limit(limit.Part(o.share), now)
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
	news = o.gate.Pause(paused, time.Now().UnixMilli())
	o.pump()
	return news
}
