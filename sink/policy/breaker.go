package policy

// Breaking says when an endpoint's breaker opens. The zero Breaking is none. Times are milliseconds.
type Breaking struct {
	FailureRate float64 // 0.5: open where half of the attempts of the window failed,
	MinSamples  int     // and there were as many as that
	Window      int64
	Open        int64 // how long it stays open before it looks
}

// Phase is what a breaker lets through.
type Phase int

// The phases, as the metric numbers them.
const (
	Normal   Phase = iota // everything
	Open                  // nothing
	HalfOpen              // one attempt, by which it closes or opens again
)

// slots is how many parts a window has: what an attempt counted for is forgotten up to a tenth of the window late.
const slots = 10

// Breaker is one endpoint's in one process. The zero Breaker is closed. Moments are ms since the epoch.
type Breaker struct {
	counts  [slots]slot
	until   int64 // of Open: when it ends; 0: the breaker is closed
	looking bool  // of HalfOpen: the attempt is being made
}

type slot struct {
	number    int64
	n, failed int
}

// Phase is the breaker's at a moment.
func (b *Breaker) Phase(now int64) Phase {
	switch {
	case b.until == 0:
		return Normal
	case now < b.until:
		return Open
	}
	return HalfOpen
}

// Wait is how many ms from now on nothing may begin: 0 where an attempt may, -1 where that depends on how one ends.
func (b *Breaker) Wait(now int64) int64 {
	switch {
	case b.Phase(now) == Open:
		return b.until - now
	case b.looking:
		return -1
	}
	return 0
}

// Begin notes an attempt that Wait allowed. look says that it is the one of a half-open breaker.
func (b *Breaker) Begin(now int64) (look bool) {
	b.looking = b.Phase(now) == HalfOpen
	return b.looking
}

// Release notes that a look ended without an attempt, so that another one may be made.
func (b *Breaker) Release() { b.looking = false }

// End notes how an attempt ended. What began before the breaker opened does not close it. It reports whether the phase changed.
func (b *Breaker) End(r Breaking, failed, look bool, now int64) (changed bool) {
	switch {
	case r.MinSamples == 0:
		changed = b.until != 0
		*b = Breaker{}
		return changed
	case look && failed:
		b.looking, b.until = false, now+r.Open
		return true
	case look:
		*b = Breaker{}
		return true
	case b.until != 0:
		return false
	}
	length := max(1, r.Window/slots)
	at := &b.counts[now/length%slots]
	if at.number != now/length {
		*at = slot{number: now / length}
	}
	if at.n++; failed {
		at.failed++
	}
	n, bad := 0, 0
	for _, s := range b.counts {
		if s.number > now/length-slots {
			n, bad = n+s.n, bad+s.failed
		}
	}
	if n < r.MinSamples || float64(bad) < r.FailureRate*float64(n) {
		return false
	}
	*b = Breaker{until: now + r.Open}
	return true
}

// Trouble reports whether an answer counts against an endpoint: connection errors, timeouts, 429 and 5xx do.
func Trouble(a Answer) bool {
	switch a.Status {
	case 0:
		switch a.Reason {
		case Timeout, DNS, Connect, TLS, Closed, BadResponse:
			return true
		}
		return false
	case 429:
		return true
	}
	return a.Status >= 500
}
