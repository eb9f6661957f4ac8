package policy

// Gate is what holds one endpoint's attempts back in one process: a pause, a Retry-After, its breaker and its rate. The zero Gate is
// open. Moments are ms since the epoch.
type Gate struct {
	breaker  Breaker
	throttle Throttle
	paused   bool
	held     int64 // nothing is sent before

	free   int64 // ms for which nothing but the rate held the endpoint,
	freeAt int64 // up to here
}

// Blocked is for how many ms nothing may start; below 0: until something happens. With 0 a token has been taken.
func (g *Gate) Blocked(now int64) int64 {
	switch wait := g.breaker.Wait(now); {
	case g.paused:
		return -1
	case g.held > now:
		return g.held - now
	case wait != 0:
		return wait
	}
	return g.throttle.Take(now)
}

// Held reports whether something but the rate holds the endpoint.
func (g *Gate) Held(now int64) bool { return g.paused || g.held > now || g.breaker.Wait(now) != 0 }

// Begin notes an attempt that Blocked allowed. look says that it is the one of a half-open breaker.
func (g *Gate) Begin(now int64) (look bool) {
	g.Free(now)
	return g.breaker.Begin(now)
}

// Release notes that a look ended without an attempt, so that another one may be made.
func (g *Gate) Release(now int64) {
	g.Free(now)
	g.breaker.Release()
}

// Pause holds the endpoint until it is told otherwise. It reports whether that is news.
func (g *Gate) Pause(paused bool, now int64) (news bool) {
	g.Free(now)
	news = g.paused != paused
	g.paused = paused
	return news
}

// Hold holds the endpoint until a moment.
func (g *Gate) Hold(until, now int64) {
	g.Free(now)
	g.held = max(g.held, until)
}

// Limit sets the rate.
func (g *Gate) Limit(l Limit, now int64) { g.throttle.Set(l, now) }

// State is what holds the endpoint now.
type State struct {
	Phase  Phase // of the breaker
	Paused bool
	Rate   float64 // attempts per second; 0: any number
}

// Stands says what holds the endpoint at a moment.
func (g *Gate) Stands(now int64) State {
	return State{Phase: g.breaker.Phase(now), Paused: g.paused, Rate: g.throttle.Rate(now)}
}

// Learned is what an attempt told of its endpoint.
type Learned struct {
	Look    int64 // above 0: it was the look of a half-open breaker, and the next one is so many ms after it
	Held    bool  // a try in place must not follow
	Phase   Phase // of the breaker
	Changed bool  // Phase is new
}

// End notes how an attempt ended. looked says that it was the look of a half-open breaker, quick that a try in place may follow: it
// needs a token as any other attempt does, and none is taken where no such try would follow.
func (g *Gate) End(r Breaking, a Answer, began int64, looked, quick bool) (l Learned) {
	g.Free(a.Ended)
	trouble := Trouble(a)
	if looked {
		l.Look = max(1, r.Open)
	}
	l.Changed = g.breaker.End(r, trouble, looked, a.Ended)
	l.Phase = g.breaker.Phase(a.Ended)
	if Complains(a) {
		g.throttle.Slow(began, a.Ended)
	}
	switch {
	case !trouble && !a.Renewed:
	case trouble && looked || g.paused || g.breaker.Wait(a.Ended) != 0:
		l.Held = true
	default:
		l.Held = (a.Renewed || quick && Quick(a)) && !g.throttle.Spare(a.Ended)
	}
	return l
}

// Free is a clock that stands while the endpoint is held: by a pause, a Retry-After or its breaker. It begins at 0 and is in ms.
func (g *Gate) Free(now int64) int64 {
	from := max(g.freeAt, g.held, g.breaker.until)
	if g.freeAt > 0 && !g.paused && !g.breaker.looking && now > from {
		g.free += now - from
	}
	g.freeAt = max(g.freeAt, now)
	return g.free
}
