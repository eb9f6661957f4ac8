package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The campaigns of R1: a third of the events ends in a watch that fires, and one in twenty is big.
const benchCampaigns = `
name: abandoned
trigger:
  inaction_within_time: {after: {event: Added To Cart}, without: {event: Charged}, within: 30m, on_repeat: restart}
deliver: {endpoint: hook}
---
name: expensive
trigger:
  single_action: {event: Product Viewed, where: 'event.price >= 250'}
deliver: {endpoint: hook}
`

const (
	benchSpan   = 4 * time.Hour    // the event time of a load
	benchWindow = 30 * time.Minute // the watch of benchCampaigns
	benchBytes  = 400              // of an event
)

// benchLoad makes the events of R1 in order of time, and knows what they must bring about.
type benchLoad struct {
	topic string
	users int
	ids   bool
	rng   *rand.Rand
	zipf  *rand.Zipf // nil: evenly

	now     int64   // of the last event, ms
	step    float64 // between two
	open    []int64 // by user: the deadline of the open watch; 0: none
	made    int     // events
	fired   int     // triggers, those of open watches included
	partial float64 // of a millisecond
}

func newBenchLoad(o *benchOptions, kind, topic string) *benchLoad {
	l := &benchLoad{topic: topic, users: o.users, ids: o.ids, rng: rand.New(rand.NewPCG(1, 2))}
	if kind == largeLoad {
		l.users = largeUsers()
	}
	l.open = make([]int64, l.users)
	if kind == "zipf" {
		l.zipf = rand.NewZipf(l.rng, 1.1, 1, uint64(o.users-1))
	}
	l.step = float64(benchSpan.Milliseconds()) / float64(o.events)
	l.now = time.Now().Add(-2 * benchSpan).UnixMilli()
	return l
}

// tail goes on with n events of the last seconds: by now stream time has passed whatever is older, and would fire their
// watches before what ends them is read. Those of before have fired, and those of now will not during the run.
func (l *benchLoad) tail(n int) {
	for u, deadline := range l.open {
		if deadline < time.Now().UnixMilli() {
			l.open[u] = 0
		}
	}
	l.now = time.Now().Add(-10 * time.Second).UnixMilli()
	l.step = 9000 / float64(n)
}

// due is how many triggers are to be there by now.
func (l *benchLoad) due() (n int) {
	n = l.fired
	for _, deadline := range l.open {
		if deadline > time.Now().UnixMilli() {
			n--
		}
	}
	return n
}

// produce appends n events and returns when the broker has them.
func (l *benchLoad) produce(ctx context.Context, client *kgo.Client, n int) error {
	var failed atomic.Pointer[error]
	for range n {
		client.Produce(ctx, l.next(), func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(&err)
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return fmt.Errorf("produce the load: %w", *err)
	}
	return nil
}

func (l *benchLoad) next() *kgo.Record {
	l.partial += l.step
	l.now += int64(l.partial)
	l.partial -= float64(int64(l.partial))
	return l.event(l.now, "")
}

// event makes one at a moment; mark, if it is not empty, takes the place of its cart and makes it an expensive view.
func (l *benchLoad) event(at int64, mark string) *kgo.Record {
	u := 0
	if l.zipf != nil {
		u = int(l.zipf.Uint64())
	} else {
		u = l.rng.IntN(l.users)
	}
	name, price := "Added To Cart", float64(l.rng.IntN(30_000))/100
	switch k := l.rng.IntN(10); {
	case mark != "":
		name, price = "Product Viewed", 299
	case k == 9:
		name = "Charged"
	case k >= 6:
		name = "Product Viewed"
	}
	l.count(u, name, price, at)
	user := benchUser(u)
	b := make([]byte, 0, benchBytes+1)
	b = append(b, '{')
	if l.ids {
		b = fmt.Appendf(b, `"id":"%016x%08x",`, l.rng.Uint64(), l.made)
	}
	if mark == "" {
		mark = strconv.FormatUint(l.rng.Uint64()>>20, 36)
	}
	b = fmt.Appendf(b, `"user_id":%q,"event":%q,"time":%d,"properties":{"cart_id":%q,"product_id":"p-%05d","name":"Trail shoe, waterproof",`+
		`"category":"shoes/outdoor","price":%.2f,"quantity":%d,"currency":"USD","url":"https://shop.example/p/`,
		user, name, at, mark, l.rng.IntN(100_000), price, 1+l.rng.IntN(4))
	for len(b) < benchBytes-3 {
		b = append(b, "abcdefghijklmnopqrstuvwxyz012345"[l.rng.IntN(32)])
	}
	return &kgo.Record{Topic: l.topic, Key: []byte(user), Value: append(b, `"}}`...), Timestamp: time.UnixMilli(at)}
}

// benchUser is the ID of a user.
func benchUser(u int) string { return fmt.Sprintf("user-%07d", u) }

// count is R1 in four lines: the triggers that are to come.
func (l *benchLoad) count(u int, name string, price float64, at int64) {
	l.made++
	switch {
	case name == "Product Viewed" && price >= 250:
		l.fired++
	case name == "Charged", name == "Added To Cart":
		if l.open[u] >= at {
			l.fired-- // ended, or begun anew
		}
		l.open[u] = 0
	}
	if name == "Added To Cart" {
		l.open[u] = at + benchWindow.Milliseconds()
		l.fired++
	}
}
