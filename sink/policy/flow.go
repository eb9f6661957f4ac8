package policy

// Flow tells how quickly an endpoint takes what it is given. The zero Flow knows of nothing. Moments are ms since the epoch.
type Flow struct {
	since int64 // of the first attempt that ended after a silence,
	ended int64 // and of the last one
	began int64 // of the window that is being counted
	count int   // attempts that ended in it
	rate  int   // a second: the best of the windows that were swift of late
	at    int64 // of that
}

const (
	flowWindow = 100   // ms
	swift      = 4_000 // a second
	swiftKept  = 1_000 // ms, after which another window may take the best one's place,
	swiftFor   = 1_500 // and after which it says nothing any more: a busy machine has moments in which little ends
	silence    = 300   // ms in which none has ended
)

// End counts an attempt that has ended.
func (f *Flow) End(now int64) {
	if f.silent(now) {
		*f = Flow{since: now, began: now}
	}
	if f.ended = now; now-f.began >= flowWindow {
		f.began, f.count = now, 0
	}
	f.count++
	if rate := f.count * (1000 / flowWindow); rate >= swift && (rate > f.rate || now-f.at >= swiftKept) {
		f.rate, f.at = rate, now
	}
}

func (f *Flow) silent(now int64) bool { return now-f.ended >= silence }

// Swift is how many attempts a second have ended of late, where those are so many that what comes for the endpoint is better waited
// with than written down: it has gone before that would be done. 0: they are not.
func (f *Flow) Swift(now int64) int {
	if f.silent(now) || now-f.at >= swiftFor {
		return 0
	}
	return f.rate
}

// New reports whether too little is known yet to say how quick the endpoint is.
func (f *Flow) New(now int64) bool { return f.silent(now) || now-f.since < flowWindow }
