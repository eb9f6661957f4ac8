package sink

import (
	"context"
	"sync"
	"time"

	"github.com/tripline/tripline/sink/outbox"
	"github.com/tripline/tripline/state/lane"
)

const (
	graceTime  = 3500 * time.Millisecond // of attempts in flight when a lane stops
	stopTime   = 4300 * time.Millisecond // of a lane that stops, its last commit included
	cycleTime  = 50 * time.Millisecond   // what ends is committed after so long at the latest,
	cycleRows  = 2000                    // or at so many rows and records
	cycleBytes = 8 << 20                 // or bytes
	pollSize   = 500
	dueSize    = 500
	unsaved    = 500 // ms: how long a trigger in flight may hold the position back
	unknownFor = 600_000
)

// laneRun is one life of a lane: what is in memory of it. All of it is lost with the lane, and found again by the next life.
type laneRun struct {
	sink    *Sink
	lane    *lane.Lane
	parts   []*part
	sending context.Context // of its attempts

	mu      sync.Mutex
	results []result
	spare   []result      // room for the next ones, of those that were settled
	wake    chan struct{} // there are results, or the sink has something new
	news    bool          // of the plan or of endpoints' states

	hand    map[string]*flight // by key: waiting in an outlet, or in flight
	unsaved []*flight          // of them, those that hold the position back, and some that do no longer
	orders  orders
	batches batches

	reading   reading
	cycle     cycle
	committed chan error     // of the commit that runs; nil: none runs
	ending    map[ending]int // what the commit that runs ends
	dueAt     int64          // ms: when to look for due timers
	tickAt    int64          // ms: when to look at the clocks of endpoints
	rowAt     int64          // ms: when the oldest trigger that holds a position back gets a row; 0: none does
	begun     int            // commits
	done      int            // of them, those that are applied
	heeded    bool           // heed was called
	found     chan found
	taking    *found        // what a walk has found, while it is taken up
	quit      chan struct{} // closed when walks must end
	walking   sync.WaitGroup
}

// part is one partition of a lane.
type part struct {
	number   int32
	book     *outbox.Book
	window   outbox.Window
	of       int32 // how many partitions there are
	position int64 // as last committed, or being committed
	ahead    int64 // offset behind what was last read ahead of it
	sweep    sweep
	marks    map[string]int64 // by endpoint with an order: its outlet's clock when the book's was set by it
}

// loop is lane.Loop.
func (s *Sink) loop(ctx context.Context, ln *lane.Lane) error {
	select {
	case <-s.control.Ready():
	case <-ctx.Done():
		return nil
	}
	sending, cut := context.WithCancel(context.Background())
	defer cut()
	l := &laneRun{sink: s, lane: ln, sending: sending, wake: make(chan struct{}, 1), hand: map[string]*flight{}, orders: newOrders(), batches: newBatches(), found: make(chan found), quit: make(chan struct{})}
	for _, p := range ln.Partitions() {
		book, err := outbox.Open(p.State)
		if err != nil {
			return err
		}
		part := &part{number: p.Number, of: p.State.Position().Partitions, book: book, position: p.State.Position().Inputs[s.cfg.Triggers], marks: map[string]int64{}}
		book.Expiry = func(d *outbox.Delivery) int64 { return l.expiry(part, d) }
		part.window.Start(part.position)
		l.parts = append(l.parts, part)
		for _, name := range book.Endpoints() {
			s.waits(name, book.Waiting(name))
			l.clock(part, name, time.Now().UnixMilli())
		}
	}
	s.enter(l)
	err := l.run(ctx)
	if err != nil {
		cut()
	}
	err = l.stop(err, cut)
	s.leave(l)
	for _, p := range l.parts {
		for _, name := range p.book.Endpoints() {
			s.waits(name, -p.book.Waiting(name))
		}
		s.waitsSince(p, nil)
	}
	return err
}

// run works until ctx ends or something fails.
func (l *laneRun) run(ctx context.Context) error {
	polling, end := context.WithCancel(ctx)
	polled, poller := l.poll(polling)
	defer poller.Wait()
	defer end()
	defer func() { l.reading.ahead.Close() }()
	timer := time.NewTimer(0)
	defer timer.Stop()
	l.inform() // of what the last life did not get to
	for {
		if err := l.turn(); err != nil {
			return err
		}
		timer.Reset(l.rest())
		from, swept := polled, l.found
		if len(l.reading.batches) > 0 {
			from = nil
		}
		if l.taking != nil {
			swept = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case batch := <-from:
			if batch.err != nil {
				return batch.err
			}
			if l.reading.batches = batch.batches; batch.waited {
				l.reading.since = 0
				l.closeAhead()
			}
		case records, ok := <-l.reading.ahead.Came():
			if l.reading.ahead.Take(records); !ok {
				l.breakAhead()
			}
		case err := <-l.committed:
			if err := l.applied(err); err != nil {
				return err
			}
		case f := <-swept:
			l.taking = &f
		case <-l.wake:
		case <-timer.C:
		}
	}
}

type poll struct {
	batches []lane.Batch
	err     error
	waited  bool // all had been read before
}

const idle = 50 * time.Millisecond // in a poll: there was nothing

// poll fetches beside everything else, a batch ahead.
func (l *laneRun) poll(ctx context.Context) (<-chan poll, *sync.WaitGroup) {
	polled := make(chan poll)
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			began := time.Now()
			batches, err := l.lane.Poll(ctx, pollSize)
			if ctx.Err() != nil {
				return
			}
			select {
			case polled <- poll{batches, err, time.Since(began) >= idle}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	})
	return polled, &wait
}

// turn does all that can be done without waiting.
func (l *laneRun) turn() error {
	now := time.Now().UnixMilli()
	l.mu.Lock()
	results, news := l.results, l.news
	l.results, l.news = l.spare, false
	l.mu.Unlock()
	for i := range results {
		if err := l.settle(&results[i]); err != nil {
			return err
		}
	}
	clear(results)
	l.spare = results[:0]
	if news {
		if err := l.heed(); err != nil {
			return err
		}
	}
	if l.rowAt != 0 && now >= l.rowAt {
		l.rowAt = 0 // build looks which, and when the next one does
		l.cycle.touch()
	}
	for _, p := range l.parts {
		l.walk(p)
	}
	for _, do := range [...]func(now int64) error{l.tick, l.proceed, l.takeUp, l.trim, l.due, l.proceed, l.refill, l.admit, l.admitAhead, l.close, l.boardFormed} {
		if l.full() {
			break
		}
		if err := do(now); err != nil {
			return err
		}
	}
	return l.commitIfDue(now)
}

// rest is how long there is nothing to do, as far as is known.
func (l *laneRun) rest() time.Duration {
	now := time.Now().UnixMilli()
	until := min(l.dueAt, now+time.Minute.Milliseconds())
	if l.rowAt != 0 {
		until = min(until, l.rowAt)
	}
	if l.committed == nil && l.cycle.since != 0 {
		until = min(until, l.cycle.since+cycleTime.Milliseconds())
	}
	if !l.full() && (l.taking != nil || l.ripe() || len(l.orders.moved) > 0) {
		until = now
	}
	if l.reading.look != 0 {
		until = min(until, l.reading.look)
	}
	if l.batches.closes != 0 && !l.full() {
		until = min(until, l.batches.closes)
	}
	for _, p := range l.parts {
		if p.sweep.wanted() && !p.sweep.walks && l.done >= p.sweep.after {
			until = min(until, p.sweep.rest)
		}
		if !p.sweep.walks && p.sweep.look < until && p.book.Waits() {
			until = p.sweep.look
		}
		if p.book.Backlog() {
			until = min(until, now+cycleTime.Milliseconds())
		}
	}
	return time.Duration(max(0, until-now)) * time.Millisecond
}

// full says that what has to be committed is so much that nothing more is begun before.
func (l *laneRun) full() bool {
	return l.size() >= 4*cycleRows || l.cycle.bytes >= 2*cycleBytes
}

// tell is how the goroutine of a flight gives its results.
func (l *laneRun) tell(r ...result) {
	l.mu.Lock()
	l.results = append(l.results, r...)
	l.mu.Unlock()
	l.signal()
}

// inform says that the plan or an endpoint's state has changed.
func (l *laneRun) inform() {
	l.mu.Lock()
	l.news = true
	l.mu.Unlock()
	l.signal()
}

func (l *laneRun) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// stop ends the lane: what has not started does not start, what is in flight has its time, what has ended is committed. After a
// failure nothing is committed.
func (l *laneRun) stop(failed error, cut func()) error {
	for _, o := range l.sink.all() {
		for _, f := range o.withdraw(l) {
			l.drop(f)
		}
	}
	l.dropGathered()
	timer := time.AfterFunc(graceTime, cut)
	defer timer.Stop()
	for len(l.hand) > 0 {
		l.mu.Lock()
		results := l.results
		l.results = nil
		l.mu.Unlock()
		for i := range results {
			r := &results[i]
			switch {
			case failed == nil && !r.again:
				failed = l.settle(r)
			case r.last:
				l.drop(r.f)
			}
		}
		if len(results) > 0 {
			continue
		}
		select {
		case <-l.wake:
		case err := <-l.committed:
			if err = l.applied(err); failed == nil {
				failed = err
			}
		case <-l.found: // what a walk finds now, the next life's walk finds
		}
	}
	l.stopWalks()
	if l.committed != nil {
		if err := l.applied(<-l.committed); failed == nil {
			failed = err
		}
	}
	if failed != nil {
		return failed
	}
	return l.commitLast()
}

// drop lets go of a flight as if it had not begun: its row, or its record in `triggers`, brings it back.
func (l *laneRun) drop(f *flight) {
	for _, m := range f.members {
		l.drop(m)
	}
	delete(l.hand, f.key)
	f.part.sweep.vain = false
	if s := f.sequence(); l.orders.front[s] == f {
		delete(l.orders.front, s)
		l.moves(s)
	}
}

// refill takes deliveries out of queues where there is room for them again.
func (l *laneRun) refill(int64) error {
	for _, p := range l.parts {
		if !p.book.Backlog() {
			continue
		}
		for _, name := range p.book.Endpoints() {
			for kind, stage := range [...]outbox.Stage{first: outbox.QueuedFirst, again: outbox.QueuedAgain} {
				if !p.book.Queued(name, stage) {
					continue
				}
				if err := l.pull(p, name, kind, stage); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

const (
	pullSize = 256 // deliveries that are taken out of a queue at a time,
	pullStep = 32  // before it is looked again how much room there is
)

func (l *laneRun) pull(p *part, endpoint string, kind int, stage outbox.Stage) error {
	o := l.sink.outlet(endpoint)
	for range pullSize / pullStep {
		room := pullStep
		if o != nil {
			if room = min(room, o.room(l, kind)); room <= 0 {
				return nil
			}
		}
		pulled, err := p.book.Pull(endpoint, stage, room)
		for _, d := range pulled {
			if err == nil {
				err = l.comes(p, d)
			}
		}
		if err != nil || len(pulled) < room {
			return err
		}
	}
	return nil
}
