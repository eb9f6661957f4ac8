// Package policy decides what becomes of a delivery after an attempt. It is pure: the same answer at the same place in the
// schedule always has the same verdict, jitter included.
package policy

import (
	"hash/fnv"
	"strconv"
)

// Outcome of an attempt, or of a delivery that ends without one; the names are those of `deliveries`.
type Outcome string

// The outcomes. All but Retry are final.
const (
	Delivered Outcome = "delivered"
	Retry     Outcome = "retry"
	Failed    Outcome = "failed"  // given up; also a dead letter
	Dropped   Outcome = "dropped" // by its template, expiry or erasure; no dead letter
)

// Reasons of an attempt that was not a success; the names are those of `deliveries`.
const (
	Status         = "status"          // an answer, but not one of success
	Timeout        = "timeout"         // no answer in time
	DNS            = "dns"             // the host's name did not resolve
	Connect        = "connect"         // no connection
	TLS            = "tls"             // no TLS, or a certificate that does not verify
	Closed         = "closed"          // the connection ended without an answer
	BadResponse    = "bad_response"    // an answer that is not HTTP
	RefusedAddress = "refused_address" // an address that must not be called
	Token          = "token"           // no token by which to say who calls
)

// Statuses is a range of HTTP statuses, both ends in it.
type Statuses struct{ Low, High int }

func within(status int, ranges []Statuses) bool {
	for _, r := range ranges {
		if r.Low <= status && status <= r.High {
			return true
		}
	}
	return false
}

// Backoff is when a failed attempt is made again. Times are milliseconds.
type Backoff struct {
	Schedule []int64 // n waits are n + 1 attempts; each from the end of an attempt
	Jitter   float64 // 0.2: each wait is times 0.8 to 1.2
	Quick    int     // tries in place after a first attempt that met no server, at most 2
	On       []Statuses
	Final    []Statuses
}

// Schedule is the default one: 5s 5m 30m 2h 5h 10h 14h 20h 24h.
func Schedule() []int64 {
	const second, minute, hour = 1000, 60_000, 3_600_000
	return []int64{5 * second, 5 * minute, 30 * minute, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour}
}

// Rules are an endpoint's.
type Rules struct {
	Backoff
	Success []Statuses
}

// Answer is how an attempt ended.
type Answer struct {
	Status     int    // 0: there was none
	Reason     string // why there was none
	Ended      int64  // ms since the epoch
	RetryAfter int64  // ms, at most an hour; 0: the answer named none
	Renewed    bool   // it refused a token, and there is another one to try at once
}

// Standing is where a delivery stands when its attempt has ended.
type Standing struct {
	Delivery string // its trigger's id, from which jitter comes
	Attempt  int    // requests so far, this one included
	Place    int    // waits of the schedule that are used up
	Look     int64  // ms > 0: it was the look of a half-open breaker, and the next one is after so long
	Held     bool   // the endpoint may get nothing at once: there is no try in place
}

// Verdict is what becomes of the delivery, and of its endpoint.
type Verdict struct {
	Outcome Outcome
	Reason  string // "" for Delivered
	Next    int64  // of Retry: when the next attempt is due, ms since the epoch
	Place   int    // of Retry: the place in the schedule then
	Quick   bool   // of Retry: the attempt at Next is one in place
	Hold    int64  // the endpoint gets nothing before this moment; 0: it is free
	Disable bool   // the endpoint has gone (410)
}

// finals are the statuses that end a delivery at once.
var finals = []Statuses{{400, 400}, {405, 406}, {411, 411}, {413, 415}, {422, 422}, {431, 431}}

// quicks are the waits of the tries in place, in ms.
var quicks = [...]int64{100, 400}

// MaxQuick is how many tries in place there can be.
const MaxQuick = len(quicks)

// Judge says what becomes of a delivery by an answer.
func (r *Rules) Judge(a Answer, s Standing) Verdict {
	v := Verdict{Reason: a.Reason}
	if a.Status != 0 {
		v.Reason = Status
	}
	switch {
	case a.Status != 0 && within(a.Status, r.Success):
		return Verdict{Outcome: Delivered}
	case a.Reason == RefusedAddress || a.Status != 0 && r.final(a.Status):
		v.Outcome, v.Disable = Failed, a.Status == 410
		return v
	}
	if a.RetryAfter > 0 {
		v.Hold = a.Ended + a.RetryAfter
	}
	if a.Renewed && !s.Held && v.Hold == 0 {
		v.Outcome, v.Place, v.Quick, v.Next = Retry, s.Place, true, a.Ended
		return v
	}
	if s.Look > 0 { // the schedule stands still
		v.Outcome, v.Place, v.Next = Retry, s.Place, max(a.Ended+s.Look, v.Hold)
		return v
	}
	if !s.Held && s.Place == 0 && s.Attempt <= min(r.Quick, MaxQuick) && Quick(a) {
		v.Outcome, v.Quick, v.Next = Retry, true, a.Ended+quicks[s.Attempt-1]
		return v
	}
	if s.Place >= len(r.Schedule) {
		v.Outcome = Failed
		return v
	}
	v.Outcome, v.Place = Retry, s.Place+1
	v.Next = max(a.Ended+r.wait(s), v.Hold)
	return v
}

// Seen is an answer as the endpoint's breaker and rate take it: what is a success by `success` is one, whatever its status.
func (r *Rules) Seen(a Answer) Answer {
	if a.Status != 0 && within(a.Status, r.Success) {
		a.Status = 200
	}
	return a
}

// final: 410 has a row of its own in the table, but `on` and `final` hold for it as for the others.
func (r *Rules) final(status int) bool {
	switch {
	case within(status, r.Final):
		return true
	case within(status, r.On):
		return false
	}
	return status == 410 || within(status, finals)
}

// Quick reports whether an attempt may have met no server at all, so that another one may do at once.
func Quick(a Answer) bool {
	switch a.Status {
	case 502, 503, 504:
		return a.RetryAfter == 0
	case 0:
		return a.Reason == DNS || a.Reason == Connect || a.Reason == Closed
	}
	return false
}

// wait is the schedule's at that place, with jitter. Jitter spreads what failed together, so it differs between deliveries
// and between places, but not between two runs.
func (r *Rules) wait(s Standing) int64 {
	wait := r.Schedule[s.Place]
	h := fnv.New64a()
	h.Write([]byte(s.Delivery))
	h.Write(strconv.AppendInt([]byte{'/'}, int64(s.Place), 10))
	spread := mix(h.Sum64())
	share := float64(spread>>11)/(1<<53)*2 - 1 // of [-1, 1)
	return max(0, wait+int64(float64(wait)*r.Jitter*share))
}

// mix spreads a hash over all its bits: FNV hardly moves the high ones when the last byte differs (splitmix64's finish).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
