package outbox

import "github.com/tripline/tripline/state"

// perPart is how many keys one row of a queue holds.
const perPart = 256

// line is what a book knows of one endpoint: how many of its deliveries wait, and its two queues.
type line struct {
	endpoint string
	waiting  int64
	clock    int64 // ms
	kept     int64 // of clock, as it is in the row
	queues   [2]queue
	held     map[string]place // deliveries that were pulled and have not left
	dirty    bool             // the head's row is to be written
}

// place is a part of a queue.
type place struct {
	stage Stage
	n     uint32
}

// queue is keys in rows that are numbered from first to before next.
type queue struct {
	first, next uint32
	tail        []string       // to be written to row next
	at          uint32         // the row to read next
	ahead       []string       // read, and not yet pulled
	reading     uint32         // the row that ahead is of
	holds       map[uint32]int // by row: deliveries that were pulled and have not left
	done        map[uint32]bool
}

func newLine(endpoint string, q queues) *line {
	l := &line{endpoint: endpoint, waiting: q.waiting, clock: q.clock, kept: q.clock, held: map[string]place{}}
	for i, r := range q.ranges {
		l.queues[i] = queue{first: r.first, next: r.next, at: r.first, holds: map[uint32]int{}, done: map[uint32]bool{}}
	}
	return l
}

// number is the part of the endpoint's row that a row of a queue is; the queues take turns, and 0 is the head.
func (p place) number() uint32 { return 1 + 2*p.n + uint32(p.stage-QueuedFirst) }

func (l *line) queue(stage Stage) *queue { return &l.queues[stage-QueuedFirst] }

// enter puts a delivery at the end of a queue.
func (l *line) enter(stage Stage, key string) {
	q := l.queue(stage)
	q.tail = append(q.tail, key)
}

// leave says that a delivery that may have been pulled has a row of another kind now, or none.
func (l *line) leave(b *Book, key string) {
	p, ok := l.held[key]
	if !ok {
		return
	}
	delete(l.held, key)
	q := l.queue(p.stage)
	if q.holds[p.n]--; q.holds[p.n] == 0 {
		delete(q.holds, p.n)
		if p.n != q.reading || len(q.ahead) == 0 {
			l.finish(b, p)
		}
	}
}

// finish deletes a row of which nothing is left.
func (l *line) finish(b *Book, p place) {
	q := l.queue(p.stage)
	b.put(state.Row{Key: queueKey(l.endpoint, p.number())})
	q.done[p.n] = true
	for q.first < q.next && q.done[q.first] {
		delete(q.done, q.first)
		q.first++
	}
	if q.first == q.next && len(q.ahead) == 0 {
		q.first, q.next, q.at = 0, 0, 0
	}
	l.dirty = true
}

// flush writes what has changed into rows. gone says that nothing waits any more and all rows are deleted.
func (l *line) flush(b *Book) (gone bool) {
	if l.waiting == 0 {
		for stage := QueuedFirst; stage <= QueuedAgain; stage++ {
			for q, n := l.queue(stage), l.queue(stage).first; n < q.next; n++ {
				b.put(state.Row{Key: queueKey(l.endpoint, place{stage, n}.number())})
			}
		}
		b.put(state.Row{Key: queueKey(l.endpoint, 0)})
		return true
	}
	for stage := QueuedFirst; stage <= QueuedAgain; stage++ {
		for q := l.queue(stage); len(q.tail) > 0; l.dirty = true {
			n := min(perPart, len(q.tail))
			b.put(state.Row{Key: queueKey(l.endpoint, place{stage, q.next}.number()), Content: appendKeys(nil, q.tail[:n])})
			q.next++
			q.tail = append(q.tail[:0:0], q.tail[n:]...)
		}
	}
	if l.dirty {
		l.dirty = false
		state := queues{waiting: l.waiting, clock: l.clock}
		l.kept = l.clock
		for i, q := range l.queues {
			state.ranges[i].first, state.ranges[i].next = q.first, q.next
		}
		b.putHead(l.endpoint, state)
	}
	return false
}

func (b *Book) putHead(endpoint string, q queues) {
	b.put(state.Row{Key: queueKey(endpoint, 0), Content: q.append(nil)})
}

// Queued reports whether an endpoint's queue of that stage may hold anything.
func (b *Book) Queued(endpoint string, stage Stage) bool {
	l := b.endpoints[endpoint]
	if l == nil {
		return false
	}
	q := l.queue(stage)
	return q.at < q.next || len(q.ahead) > 0 || len(q.tail) > 0
}

// Backlog reports whether any queue may hold anything.
func (b *Book) Backlog() bool {
	if !b.backlog {
		return false
	}
	for name := range b.endpoints {
		if b.Queued(name, QueuedFirst) || b.Queued(name, QueuedAgain) {
			return true
		}
	}
	b.backlog = false
	return false
}

// Pull takes up to n deliveries off the front of an endpoint's queue into the caller's hands. They keep their rows, and after a
// crash their places, until Save or End is called for them. What was put into the queue since the last Changes stays.
func (b *Book) Pull(endpoint string, stage Stage, n int) (pulled []Delivery, err error) {
	l := b.endpoints[endpoint]
	if l == nil {
		return nil, nil
	}
	q := l.queue(stage)
	for len(pulled) < n {
		if len(q.ahead) == 0 {
			if q.at >= q.next {
				break
			}
			if err := l.read(b, stage); err != nil {
				return nil, err
			}
			continue
		}
		key := q.ahead[0]
		q.ahead = q.ahead[1:]
		d, found, err := b.Delivery(key)
		if err != nil {
			return nil, err
		}
		if _, held := l.held[key]; found && d.Stage == stage && !held {
			l.held[key] = place{stage, q.reading}
			q.holds[q.reading]++
			pulled = append(pulled, d)
		}
		if len(q.ahead) == 0 && q.holds[q.reading] == 0 {
			l.finish(b, place{stage, q.reading})
		}
	}
	return pulled, nil
}

// read reads the next row of a queue. One that is not there was finished before those in front of it.
func (l *line) read(b *Book, stage Stage) error {
	q := l.queue(stage)
	q.reading = q.at
	q.at++
	content, found, err := b.get(queueKey(l.endpoint, place{stage, q.reading}.number()))
	if err != nil {
		return err
	}
	if found {
		q.ahead, err = decodeKeys(l.endpoint, content)
	}
	if err == nil && len(q.ahead) == 0 {
		l.finish(b, place{stage, q.reading})
	}
	return err
}
