package policy

// Flow tells how quickly an endpoint takes what it is given. The zero Flow knows of nothing. Moments are ms since the epoch.
type Flow struct {
	since     int64 // of the first attempt that ended after none had for a while
	began     int64 // of the window that is being counted
	now, last int   // attempts that ended in it, and in the one before
}

const (
	flowWindow = 100   // ms
	swift      = 4_000 // a second
)

// End counts an attempt that has ended.
func (f *Flow) End(now int64) {
	if f.silent(now) {
		*f = Flow{since: now, began: now}
	} else if now-f.began >= flowWindow {
		f.began, f.last, f.now = now, f.now, 0
	}
	f.now++
}

// silent reports whether no attempt has ended in this window and the one before.
func (f *Flow) silent(now int64) bool { return now-f.began >= 2*flowWindow }

// Swift is how many attempts a second have ended of late, where those are so many that what comes for the endpoint is better waited
// with than written down: it has gone before that would be done. 0: they are not.
func (f *Flow) Swift(now int64) int {
	if rate := max(f.now, f.last) * (1000 / flowWindow); rate >= swift && !f.silent(now) {
		return rate
	}
	return 0
}

// New reports whether too little is known yet to say how quick the endpoint is.
func (f *Flow) New(now int64) bool { return f.silent(now) || now-f.since < flowWindow }
