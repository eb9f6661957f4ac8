package policy

import "math"

// Limit is a rate that attempts keep to. The zero Limit is none.
type Limit struct {
	PerSecond float64
	Burst     float64 // attempts that may follow one another at once after a rest; below 1 it is 1
}

// Part is the limit of a member that has a share, from 0 to 1, of the group's partitions.
func (l Limit) Part(share float64) Limit { return Limit{l.PerSecond * share, l.Burst * share} }

const (
	measured = 10     // seconds over which a rate is measured
	backAt   = 10_000 // ms without a complaint after which a part of the rate comes back,
	backBy   = 0.1    // that much of what it was
	slowest  = 1      // attempts per second
)

// Throttle paces one endpoint's attempts in one process: by a bucket of tokens for the limit that is set, and by one for a rate that
// the endpoint's complaints (429, 502, 504) have halved. The zero Throttle lets everything through. Moments are ms since the epoch.
type Throttle struct {
	limit  Limit
	tokens float64
	at     int64 // when tokens was right

	slowed    float64           // attempts per second; 0: the endpoint is not slowed
	whole     float64           // what the rate was before
	since     int64             // of the newest halving: what began before does not halve again
	stepAt    int64             // when a part comes back
	ready     int64             // of a slowed endpoint: when its next attempt may begin, in µs
	counts    [measured + 1]int // by second
	countedTo int64             // the second that the newest of counts is of
}

// Set changes the limit. What there is in the bucket stays: a member that gets more partitions does not get tokens that another
// one may have spent.
func (t *Throttle) Set(l Limit, now int64) {
	t.fill(now)
	t.limit = l
	t.tokens = min(t.tokens, t.size())
}

func (t *Throttle) size() float64 { return max(1, t.limit.Burst) }

func (t *Throttle) fill(now int64) {
	if now > t.at {
		t.tokens = min(t.size(), t.tokens+t.limit.PerSecond*float64(now-t.at)/1000)
		t.at = now
	}
}

// Take begins an attempt, or says how many ms to wait before asking again.
func (t *Throttle) Take(now int64) (wait int64) {
	t.comeBack(now)
	wait = t.short(now)
	if t.slowed > 0 {
		wait = max(wait, (t.ready-now*1000+999)/1000)
	}
	if wait <= 0 {
		t.begin(now)
	}
	return max(0, wait)
}

// Spare begins a try in place if the limit allows one at once. Complaints do not keep those from following.
func (t *Throttle) Spare(now int64) bool {
	if t.short(now) > 0 {
		return false
	}
	t.begin(now)
	return true
}

// short is how many ms it takes until there is a token.
func (t *Throttle) short(now int64) int64 {
	if t.limit.PerSecond == 0 {
		return 0
	}
	if t.fill(now); t.tokens >= 1-1e-9 {
		return 0
	}
	return max(1, int64(math.Ceil((1-t.tokens)/t.limit.PerSecond*1000)))
}

func (t *Throttle) begin(now int64) {
	if t.limit.PerSecond > 0 {
		t.tokens--
	}
	if t.slowed > 0 {
		t.ready = max(t.ready, now*1000) + int64(1e6/t.slowed)
	}
	t.count(now)
}

// count counts an attempt in its second.
func (t *Throttle) count(now int64) {
	second := now / 1000
	for t.countedTo = max(t.countedTo, second-int64(len(t.counts))); t.countedTo < second; {
		t.countedTo++
		t.counts[t.countedTo%int64(len(t.counts))] = 0
	}
	t.counts[second%int64(len(t.counts))]++
}

// recent is how many attempts there were per second of the last ten. Of the second in which those began, a part counts.
func (t *Throttle) recent(now int64) float64 {
	n := 0.0
	for second := now/1000 - measured; second <= now/1000; second++ {
		if second > t.countedTo || second <= t.countedTo-int64(len(t.counts)) {
			continue
		}
		part := 1.0
		if second == now/1000-measured {
			part = 1 - float64(now%1000)/1000
		}
		n += part * float64(t.counts[second%int64(len(t.counts))])
	}
	return n / measured
}

// Slow notes a complaint in the answer to an attempt that began at a moment. All that was sent before a halving took effect
// complains of the same rate, and halves it once. It reports whether the rate changed.
func (t *Throttle) Slow(began, now int64) bool {
	t.comeBack(now)
	t.stepAt = now + backAt
	if t.since > 0 && began < t.since {
		return false
	}
	t.since = now
	if t.slowed == 0 {
		if t.whole = t.limit.PerSecond; t.whole == 0 {
			t.whole = t.recent(now)
		}
		t.slowed = t.whole
	}
	t.slowed = max(slowest, t.slowed/2)
	return true
}

// comeBack gives back what has been earned by now.
func (t *Throttle) comeBack(now int64) {
	for t.slowed > 0 && now >= t.stepAt {
		t.stepAt += backAt
		if t.slowed += t.whole * backBy; t.slowed >= t.whole-1e-9 {
			t.slowed, t.ready = 0, 0
		}
	}
}

// Rate is how many attempts per second may be made; 0 means any number.
func (t *Throttle) Rate(now int64) float64 {
	t.comeBack(now)
	if t.slowed > 0 && (t.limit.PerSecond == 0 || t.slowed < t.limit.PerSecond) {
		return t.slowed
	}
	return t.limit.PerSecond
}

// Complains reports whether an answer asks for a slower rate.
func Complains(a Answer) bool { return a.Status == 429 || a.Status == 502 || a.Status == 504 }
