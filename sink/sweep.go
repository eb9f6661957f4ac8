package sink

import (
	"container/heap"
	"errors"
	"maps"
	"time"

	"go.uber.org/zap"

	"github.com/tripline/tripline/sink/outbox"
	"github.com/tripline/tripline/sink/policy"
)

const (
	sweptSize  = 128     // deliveries that a walk hands over at a time
	maxOldest  = 100_000 // keys that are kept of what is to fail next
	oldestPart = 8       // and at most so much of all that waits
	lookTime   = 10_000  // ms: after which it is looked again for how long something has waited,
	lookPart   = 100     // or after so many times as long as that takes
)

// sweep is what has to be looked for among all that waits in a partition: by a walk over its rows, beside everything else. What
// it finds is judged again when it is taken up, by what the rows are then.
type sweep struct {
	erased bool             // deliveries of erased users
	news   bool             // deliveries of endpoints that have gone, or that are known now
	oldest map[string]int   // by endpoint: how many of those that have waited longest
	after  int              // the commit behind which all that is looked for is in the rows
	walks  bool             // a walk runs
	users  map[string]int64 // erased users whose deliveries are no longer in rows: offset of the tombstone
	ripe   map[string][]outbox.Delivery
	rest   int64 // ms: when the next walk may begin, so that walks take a tenth of the time at most
	look   int64 // ms: when to look for how long what waits has waited, though nothing else is to be found
	vain   bool  // nothing that was found could fail, since all of it is in memory; until some of that lands
}

// found is what a walk hands over. done says that it has ended.
type found struct {
	part   *part
	keys   []string
	oldest map[string][]outbox.Delivery
	since  map[string]int64 // ms: of what waits longest, by endpoint
	done   bool
	users  map[string]int64
	rest   int64
	look   int64
	err    error
}

// ask has a partition walked over once all that has changed so far is in its rows.
func (l *laneRun) ask(p *part) {
	p.sweep.after = l.begun
	if p.book.Pending() > 0 {
		p.sweep.after++
		l.cycle.touch()
	}
	l.walk(p)
}

func (w *sweep) wanted() bool { return w.erased || w.news || len(w.oldest) > 0 }

// walk begins a walk if one is asked for and may begin, or if it is time to see for how long something has waited.
func (l *laneRun) walk(p *part) {
	w, now := &p.sweep, time.Now().UnixMilli()
	asked := l.done >= w.after && w.wanted() && now >= w.rest
	if w.walks || !asked && (now < w.look || !p.book.Waits()) {
		return
	}
	sees := walker{l: l, p: p, oldest: map[string]*oldest{}, since: map[string]int64{}}
	if asked {
		sees.users, sees.news, sees.plan, sees.gone = p.book.ErasedUsers(), w.news, l.sink.plan.Load(), l.sink.gone()
		for endpoint, n := range w.oldest {
			sees.oldest[endpoint] = &oldest{most: n}
		}
		w.erased, w.news, w.oldest = false, false, nil
	}
	w.walks = true
	l.walking.Go(sees.run)
}

// walker is a walk.
type walker struct {
	l      *laneRun
	p      *part
	users  map[string]int64
	news   bool
	plan   *Plan
	gone   map[string]bool
	oldest map[string]*oldest
	since  map[string]int64
	keys   []string
}

func (w *walker) run() {
	began := time.Now()
	err := w.p.book.Walk(w.visit)
	end := found{part: w.p, keys: w.keys, done: true, users: w.users, oldest: map[string][]outbox.Delivery{}, since: w.since}
	took, now := time.Since(began).Milliseconds(), time.Now().UnixMilli()
	end.rest, end.look = now+9*took, now+max(lookTime, lookPart*took)
	if !errors.Is(err, errQuit) {
		end.err = err
	}
	for endpoint, o := range w.oldest {
		end.oldest[endpoint] = o.sorted()
	}
	w.hand(end)
}

var errQuit = errors.New("the lane stops")

func (w *walker) visit(d outbox.Delivery) error {
	if since, ok := w.since[d.Endpoint]; !ok || d.Since < since {
		w.since[d.Endpoint] = d.Since
	}
	offset, isErased := w.users[d.User]
	if isErased && d.Offset < offset || w.news && (w.gone[d.Endpoint] || d.Stage == outbox.Unknown || d.Stage == outbox.Behind && !w.plan.keepsBehind(d)) {
		w.keys = append(w.keys, d.Key)
	} else if o := w.oldest[d.Endpoint]; o != nil {
		o.add(d)
	}
	if len(w.keys) < sweptSize {
		return nil
	}
	keys := w.keys
	w.keys = nil
	return w.hand(found{part: w.p, keys: keys})
}

func (w *walker) hand(f found) error {
	select {
	case w.l.found <- f:
		return nil
	case <-w.l.quit:
		return errQuit
	}
}

// erase takes the tombstone of a user: what waits of the user is dropped. What is in flight is let end, and not tried again.
func (l *laneRun) erase(p *part, user string, offset int64) {
	if user == "" {
		return
	}
	l.sink.metrics.erasures.Inc()
	p.book.Erase(user, offset)
	for _, f := range l.hand {
		if f.part == p && f.row.User == user && f.row.Offset < offset { // what was read ahead came after it
			f.erased.Store(true)
			l.lapse(f, time.Now().UnixMilli())
		}
	}
	p.sweep.erased = true
	l.ask(p)
}

// stopWalks ends walks and waits for them.
func (l *laneRun) stopWalks() {
	close(l.quit)
	l.walking.Wait()
}

// takeUp takes up what a walk has found, as much as one cycle holds.
func (l *laneRun) takeUp(int64) error {
	f := l.taking
	if f == nil {
		return nil
	}
	for len(f.keys) > 0 && !l.full() {
		key := f.keys[0]
		f.keys = f.keys[1:]
		if err := l.swept(f.part, key); err != nil {
			return err
		}
	}
	if len(f.keys) > 0 {
		return nil
	}
	l.taking = nil
	if !f.done {
		return nil
	}
	w := &f.part.sweep
	w.walks, w.rest, w.look = false, f.rest, f.look
	now := time.Now().UnixMilli()
	for _, held := range l.hand {
		l.lapse(held, now)
	}
	if f.err != nil {
		return f.err
	}
	l.sink.waitsSince(f.part, f.since)
	if w.users == nil {
		w.users, w.ripe = map[string]int64{}, map[string][]outbox.Delivery{}
	}
	if maps.Copy(w.users, f.users); len(f.users) > 0 {
		l.cycle.touch()
	}
	maps.Copy(w.ripe, f.oldest)
	l.walk(f.part)
	return nil
}

// swept judges a delivery that a walk has found.
func (l *laneRun) swept(p *part, key string) error {
	if l.hand[key] != nil {
		return nil // it is judged when it is tried
	}
	d, waits, err := p.book.Delivery(key)
	if !waits || err != nil {
		return err
	}
	f, o := l.flight(p, d), l.sink.outlet(d.Endpoint)
	switch {
	case p.book.Erased(d.User, d.Offset):
		return l.refused(f, policy.Dropped, erased, "")
	case o != nil && o.isGone():
		return l.refused(f, policy.Failed, disabled, "")
	case d.Stage == outbox.Behind && !l.sink.plan.Load().keepsBehind(d),
		d.Stage == outbox.Unknown && l.sink.plan.Load().unknown(route{d.Campaign, d.Endpoint}) == "":
		return l.route(f)
	}
	return nil
}

// lapse drops a delivery that waits in memory for its turn at an endpoint, for however long that is held, and need not any more: its user
// was erased, or it has expired. A batch is judged when it is tried.
func (l *laneRun) lapse(f *flight, now int64) {
	reason, content := "", l.sink.plan.Load().contents[route{f.row.Campaign, f.row.Endpoint}]
	switch {
	case f.erased.Load():
		reason = erased
	case content != nil && content.Expires > 0 && f.trigger != nil && now > f.trigger.Time+content.Expires:
		reason = expired
	default:
		return
	}
	if o := l.sink.outlet(f.row.Endpoint); o != nil && f.members == nil && o.release(f) {
		l.tell(f.ends(policy.Dropped, reason, "", now))
	}
}

// forget ends the notes of erased users of whom nothing is left, neither in rows nor in memory.
func (p *part) forget(l *laneRun) {
	if len(p.sweep.users) == 0 {
		return
	}
	held := map[string]bool{}
	for _, f := range l.hand {
		if f.part == p && f.erased.Load() {
			held[f.row.User] = true
		}
	}
	for user, offset := range p.sweep.users {
		if !held[user] {
			p.book.Forget(user, offset)
			delete(p.sweep.users, user)
		}
	}
}

// heed takes up what is new: a plan, or an endpoint that has gone or is back.
func (l *laneRun) heed() error {
	first := !l.heeded
	l.heeded = true
	for _, p := range l.parts {
		waits := false
		for _, name := range p.book.Endpoints() {
			waits = waits || p.book.Waiting(name) > 0
			if err := l.bound(p, name); err != nil {
				return err
			}
		}
		if p.sweep.news = waits; waits || first && len(p.book.ErasedUsers()) > 0 {
			p.sweep.erased = p.sweep.erased || len(p.book.ErasedUsers()) > 0
			l.ask(p)
		}
	}
	l.retell()
	if !first {
		return nil
	}
	for _, r := range l.sink.unconfirmed(time.Now().UnixMilli()) {
		l.cycle.add(r)
	}
	return nil
}

// bound has the oldest deliveries of an endpoint found where more of them wait than may.
func (l *laneRun) bound(p *part, endpoint string) error {
	excess := l.sink.excess(endpoint)
	w := &p.sweep
	if excess <= 0 || w.vain || len(w.ripe[endpoint]) > 0 || w.walks || w.oldest[endpoint] > 0 || p.book.Waiting(endpoint) == 0 {
		return nil
	}
	if w.oldest == nil {
		w.oldest = map[string]int{}
	}
	w.oldest[endpoint] = max(int(min(excess, maxOldest)), min(maxOldest, int(p.book.Waiting(endpoint)/oldestPart)))
	l.sink.log.Warn("more deliveries wait for an endpoint than may: the oldest fail", zap.String("endpoint", endpoint), zap.Int64("over", excess))
	l.ask(p)
	return nil
}

// trim lets those fail that have waited longest, as many as there are too many.
func (l *laneRun) trim(int64) error {
	for _, p := range l.parts {
		for endpoint := range p.sweep.ripe {
			if err := l.trimOne(p, endpoint); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *laneRun) trimOne(p *part, endpoint string) error {
	w := &p.sweep
	failed := false
	for len(w.ripe[endpoint]) > 0 && !l.full() && l.sink.excess(endpoint) > 0 {
		oldest := w.ripe[endpoint][0]
		w.ripe[endpoint] = w.ripe[endpoint][1:]
		d, waits, err := p.book.Delivery(oldest.Key)
		if err != nil {
			return err
		}
		if !waits || l.hand[d.Key] != nil || d.Since != oldest.Since {
			continue
		}
		if err := l.refused(l.flight(p, d), policy.Failed, waitedTooLong, ""); err != nil {
			return err
		}
		failed = true
	}
	if len(w.ripe[endpoint]) == 0 {
		w.vain = !failed
		delete(w.ripe, endpoint)
		return l.bound(p, endpoint)
	}
	return nil
}

// ripe reports whether deliveries are known that are too many.
func (l *laneRun) ripe() bool {
	for _, p := range l.parts {
		for endpoint, ripe := range p.sweep.ripe {
			if len(ripe) > 0 && l.sink.excess(endpoint) > 0 {
				return true
			}
		}
	}
	return false
}

// oldest keeps those that have waited longest: the newest of them is on top of the heap.
type oldest struct {
	most int
	kept []outbox.Delivery
}

func (o *oldest) add(d outbox.Delivery) {
	if heap.Push(o, d); len(o.kept) > o.most {
		heap.Pop(o)
	}
}

func (o *oldest) sorted() []outbox.Delivery {
	all := make([]outbox.Delivery, len(o.kept))
	for i := len(all) - 1; i >= 0; i-- {
		all[i] = heap.Pop(o).(outbox.Delivery)
	}
	return all
}

func (o *oldest) Len() int { return len(o.kept) }
func (o *oldest) Less(i, j int) bool {
	a, b := &o.kept[i], &o.kept[j]
	if a.Since != b.Since {
		return a.Since > b.Since
	}
	return a.Offset > b.Offset
}
func (o *oldest) Swap(i, j int) { o.kept[i], o.kept[j] = o.kept[j], o.kept[i] }
func (o *oldest) Push(x any)    { o.kept = append(o.kept, x.(outbox.Delivery)) }
func (o *oldest) Pop() any {
	last := len(o.kept) - 1
	d := o.kept[last]
	o.kept = o.kept[:last]
	return d
}
