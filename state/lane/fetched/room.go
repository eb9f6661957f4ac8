// Package fetched bounds the memory of what clients have fetched and unpacked, over all lanes of a process.
//
// A fetch is bounded in bytes as they are sent. What it unpacks to is known only behind it, and a batch always comes whole: of equal records a
// hundred times as much is usual, with two dozen lanes at once. So each batch is let into a Room before it is unpacked, a client's next fetch
// is bounded by what its last ones have grown to, and memory is used again.
//
// Non-obvious:
//   - Who waits holds up only the fetches of one client, and is let in anyway where nobody goes on (patience): a lane may wait for what
//     another broker or a registry does not give, and keep its place meanwhile. Each client has one fetch at a time of each broker, so
//     that what comes too early then is bounded, too.
//   - Of the responses that have begun to come in one at a time is let in whole, room or not: two that have half of what they need would
//     wait for each other.
//   - What a client fetches first is one batch, as nobody knows yet how much it grows.
//   - What a client's user has recycled is free at once; of users that do not recycle all is, when they ask for more and there is none.
package fetched

import (
	"runtime"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// patience is how long a batch waits for room while nobody gets on, and mostPatience how long at most.
	patience     = time.Second
	mostPatience = 20 * patience
)

// Room is the memory for what is fetched and not yet applied. The nil Room has no bound.
type Room struct {
	size    int64         // bytes
	unpacks chan struct{} // one place for each batch that is unpacked at a time: that takes memory beside the batch's own

	mu      sync.Mutex
	used    int64         // bytes
	kept    int64         // bytes that were used, and are kept to be used again, as far as there is room
	waiting int           // batches
	whole   *Place        // whose response is let in whole; nil: none has to be
	moved   time.Time     // when somebody got on last
	freed   chan struct{} // closed when less is used
	bytes   pool[byte]
	records pool[kgo.Record]
}

// NewRoom makes room for so many bytes.
func NewRoom(size int64) *Room {
	unpacks := min(int64(runtime.GOMAXPROCS(0)), size>>23)
	return &Room{size: size, unpacks: make(chan struct{}, max(1, unpacks)), freed: make(chan struct{})}
}

// Used is how much is in use, in bytes.
func (r *Room) Used() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.used
}

// Place is what one client has of a room.
type Place struct {
	room  *Room
	least int64 // bytes that it may have whatever the others have

	// Under the room's lock.
	fresh    int64   // bytes that are being unpacked, or wait to be polled
	given    int64   // bytes that were polled and may be in use
	expected []int64 // of fresh: what batches are expected to take that are being unpacked
	closed   bool
}

// NewPlace makes a place for one of so many clients.
func (r *Room) NewPlace(of int32) *Place {
	p := &Place{room: r}
	if r != nil {
		p.least = r.size / 2 / int64(max(1, of))
	}
	return p
}

// enter waits until there is room for a batch that is expected to take so many bytes, of which so many are for what it unpacks to. It
// returns memory for these. entered has to follow.
func (p *Place) enter(bytes int64, unpacked int) []byte {
	r := p.room
	if r == nil {
		piece, _ := new(pool[byte]).take(unpacked)
		return piece
	}
	r.unpacks <- struct{}{} // before it is looked whether there is room: what is being unpacked may take far more than was expected
	r.mu.Lock()
	if !p.fits(bytes) {
		p.await(bytes)
	}
	if r.whole == nil && p.fresh > 0 && r.used+bytes > r.size {
		r.whole = p
	}
	if p.expected = append(p.expected, bytes); !p.closed {
		p.fresh, r.used = p.fresh+bytes, r.used+bytes
	}
	piece, kept := r.bytes.take(unpacked)
	r.kept -= kept
	r.trim()
	r.mu.Unlock()
	return piece
}

// fits says whether a batch may be let in. The lock is held.
func (p *Place) fits(bytes int64) bool {
	r := p.room
	return p.closed || r.used+bytes <= r.size || p.fresh == 0 && p.given+bytes <= p.least || r.used == 0 ||
		p.fresh > 0 && (r.whole == nil || r.whole == p)
}

// await waits until a batch fits, or for too long. The lock is held, and one of the places for unpacking, but for the waiting.
func (p *Place) await(bytes int64) {
	r, began := p.room, time.Now()
	r.waiting++
	for now := began; !p.fits(bytes) && now.Sub(began) < mostPatience; now = time.Now() {
		idle := now.Sub(began)
		if r.moved.After(began) {
			idle = now.Sub(r.moved)
		}
		if idle >= patience {
			break
		}
		freed := r.freed
		r.mu.Unlock()
		<-r.unpacks // for another one
		timer := time.NewTimer(patience - idle)
		select {
		case <-freed:
		case <-timer.C:
		}
		timer.Stop()
		r.unpacks <- struct{}{}
		r.mu.Lock()
	}
	r.waiting--
}

// entered says what a batch takes, whether it had to enter or not.
func (p *Place) entered(bytes int64) {
	r := p.room
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(p.expected) > 0 {
		bytes -= p.expected[0]
		p.expected = append(p.expected[:0], p.expected[1:]...)
		<-r.unpacks
	}
	if !p.closed {
		p.fresh, r.used = p.fresh+bytes, r.used+bytes
		r.trim()
	}
}

// Polled says that there were records for the client's user.
func (p *Place) Polled() {
	if r := p.room; r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		p.given, p.fresh = p.given+p.fresh, 0
		r.moved = time.Now()
		p.complete()
	}
}

// Done says that the client holds nothing, and that its user is done with what was polled.
func (p *Place) Done() {
	if p.room != nil {
		p.room.mu.Lock()
		defer p.room.mu.Unlock()
		p.free(p.given)
	}
}

// Close gives the place up. Nobody waits for room in it any longer.
func (p *Place) Close() {
	if p.room != nil {
		p.room.mu.Lock()
		defer p.room.mu.Unlock()
		p.closed = true
		p.free(p.given + p.fresh)
		p.complete()
		p.room.wake()
	}
}

// complete ends the client's response. The lock is held.
func (p *Place) complete() {
	if r := p.room; r.whole == p {
		r.whole = nil
		r.wake()
	}
}

// free takes back what the client has, first of what was polled. The lock is held.
func (p *Place) free(bytes int64) {
	r := p.room
	given := min(bytes, max(0, p.given))
	fresh := min(bytes-given, max(0, p.fresh))
	if given+fresh == 0 {
		return
	}
	p.given, p.fresh, r.used = p.given-given, p.fresh-fresh, r.used-given-fresh
	r.moved = time.Now()
	r.wake()
}

// wake has who waits look again. The lock is held.
func (r *Room) wake() {
	if r.waiting > 0 {
		close(r.freed)
		r.freed = make(chan struct{})
	}
}

// trim forgets what is kept as far as there is no room for it. The lock is held.
func (r *Room) trim() {
	for r.kept > 0 && r.used+r.kept > r.size {
		dropped := r.bytes.drop()
		if dropped == 0 {
			dropped = r.records.drop()
		}
		if r.kept -= dropped; dropped == 0 {
			return
		}
	}
}
