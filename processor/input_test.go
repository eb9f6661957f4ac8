package processor

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/registry"
	"github.com/tripline/tripline/state/lane"
)

// second is a moment on both clocks: so many seconds after the tests' beginning.
func second(n float64) time.Time {
	return time.UnixMilli(1_800_000_000_000).Add(time.Duration(n * float64(time.Second)))
}

// sketch is an input of some topics.
func sketch(topics ...string) *input {
	in := &input{}
	for _, topic := range topics {
		in.topics = append(in.topics, &queue{topic: topic})
	}
	return in
}

// fetch takes records of a topic in, with their timestamps and one byte of value each, polled at some time.
func (in *input) fetch(topic string, polled float64, stamps ...float64) {
	b := lane.Batch{Topic: topic, Next: in.queue(topic).reached + int64(len(stamps))}
	for i, at := range stamps {
		b.Records = append(b.Records, &kgo.Record{Topic: topic, Offset: in.queue(topic).reached + int64(i), Timestamp: second(at), Value: []byte("x")})
	}
	in.add(&b, second(polled))
}

// seen takes in that the leaders, asked at some time, told these ends.
func (in *input) seen(asked float64, ends ...int64) bool {
	in.look(sight{asked: second(asked), before: second(asked).UnixMilli(), ends: ends})
	return in.learn()
}

// taken applies all that can be, and names the topics.
func (in *input) taken() string {
	var topics []string
	for {
		r, ok := in.next(new(registry.Reader))
		if !ok {
			return strings.Join(topics, " ")
		}
		topics = append(topics, r.Topic)
	}
}

func TestMerge(t *testing.T) {
	in := sketch("a", "b", "c")
	in.fetch("a", 10, 1, 4, 7)
	expect(t, in.taken(), "") // b and c may have something older
	in.fetch("b", 11, 2, 3)
	in.fetch("c", 11, 6)
	expect(t, in.taken(), "a b b") // b may have more up to 4
	in.seen(9, 3, 2, 1)
	expect(t, in.taken(), "") // at 9 b had nothing more, but a's was fetched at 10
	in.seen(12, 4, 2, 1)
	expect(t, in.taken(), "a c a") // and c has nothing up to 7 either
	if in.topics[0].position != 3 || in.topics[1].position != 2 || in.topics[2].position != 1 || in.waits() {
		t.Errorf("positions %+v", in.topics)
	}
	in.fetch("b", 13, 5)
	in.fetch("a", 13, 5, 5)
	in.fetch("c", 13, 5)
	in.seen(14, 5, 3, 2)
	expect(t, in.taken(), "a a b c") // of equals the topic named first
}

func TestMergeWaitsForABacklog(t *testing.T) {
	in := sketch("a", "b")
	in.fetch("a", 10, 5)
	in.seen(11, 1, 100) // b has 100 records, of which none has come yet
	expect(t, in.taken(), "")
	in.fetch("b", 12, 4, 6)
	expect(t, in.taken(), "b a")
	in.fetch("a", 13, 7)
	expect(t, in.taken(), "b")
	in.topics[1].reached = 100
	in.seen(12.5, 2, 100)
	expect(t, in.taken(), "") // asked before a's was fetched
	in.seen(13, 2, 100)
	expect(t, in.taken(), "a")
}

// A backlog that the broker stamped needs no new answer for each fetch.
func TestMergeOfStamped(t *testing.T) {
	in := sketch("a", "b")
	in.seen(100, 1000, 0)
	in.fetch("a", 101, 50, 99.9, 100, 100.1)
	in.stamped()
	expect(t, in.taken(), "a a a")
	in.seen(101, 1000, 0)
	expect(t, in.taken(), "a")
	in.fetch("a", 102, 50)
	expect(t, in.taken(), "") // a producer's stamp says nothing of when it was appended
}

// A record may be stamped a little before it is in its log: only an end that was asked for that much later tells what comes before a record
// that another topic's broker has stamped.
func TestMergeOfStampedLeavesRoomForTheRace(t *testing.T) {
	seen := func(in *input, asked float64, ends ...int64) {
		in.look(in.sightOf(&answer{asked: moment{second(asked), second(asked).UnixMilli()}, ends: []lane.End{
			{Topic: "a", Offset: ends[0], Exact: true}, {Topic: "b", Offset: ends[1], Exact: true}}}, 0))
		in.learn()
	}
	in := sketch("a", "b")
	in.part = new(lane.Partition)
	in.fetch("a", 100.002, 100)
	in.stamped()
	seen(in, 100.005, 1, 0)
	expect(t, in.taken(), "") // b's may be stamped 99.999, and come to its log only now
	if from, is := in.blocked(); !is || !from.Equal(second(100.012)) {
		t.Errorf("blocked: %t, to be asked at %s", is, from)
	}
	in.fetch("b", 100.007, 99.999)
	in.stamped()
	expect(t, in.taken(), "b")
	seen(in, 100.010, 1, 1)
	expect(t, in.taken(), "a") // of equals a's would be first
	in.fetch("b", 101, 100.9)
	in.stamped()
	seen(in, 100.910, 1, 2)
	expect(t, in.taken(), "") // and here it would be too
	seen(in, 100.911, 1, 2)
	expect(t, in.taken(), "b")

	// What a machine's clock that is far behind says of stamps is no help, but when it was polled is.
	in.fetch("a", 102, 3600)
	in.stamped()
	seen(in, 102.009, 2, 2)
	expect(t, in.taken(), "")
	seen(in, 102.010, 2, 2)
	expect(t, in.taken(), "a")
	if _, is := in.blocked(); is {
		t.Error("blocked with nothing fetched")
	}
}

// stamped makes what is fetched records that a broker has stamped.
func (in *input) stamped() {
	for _, q := range in.topics {
		for i := range q.records {
			q.records[i].stamped = true
		}
	}
}

func TestOneTopicWaitsForNone(t *testing.T) {
	in := sketch("a")
	in.fetch("a", 1, 9, 3, 5)
	in.stamped()
	if _, is := in.blocked(); is {
		t.Error("blocked by no other topic")
	}
	expect(t, in.taken(), "a a a")
}

// The position moves over markers and aborted records, but not past what is queued.
func TestPositionOverMarkers(t *testing.T) {
	in := sketch("a", "b")
	in.add(&lane.Batch{Topic: "a", Next: 7}, second(1))
	if in.topics[0].position != 7 || !in.moved {
		t.Errorf("position %d", in.topics[0].position)
	}
	in.fetch("a", 2, 1)
	in.add(&lane.Batch{Topic: "a", Next: 12}, second(3))
	if in.topics[0].position != 7 {
		t.Errorf("position %d before what is queued is applied", in.topics[0].position)
	}
	in.seen(4, 12, 0)
	expect(t, in.taken(), "a")
	if in.topics[0].position != 12 {
		t.Errorf("position %d", in.topics[0].position)
	}
}

func TestArrival(t *testing.T) {
	in := sketch("a")
	for i, c := range []struct {
		stamp, wall float64
		stamped     bool
		want        float64
	}{
		{stamp: 5, wall: 10, want: 5},
		{stamp: 3, wall: 11, want: 5},                  // never back
		{stamp: 3600, wall: 12, want: 12},              // a future one is cut
		{stamp: 3600, wall: 11, want: 12},              // also where the clock was set back
		{stamp: 20, wall: 13, stamped: true, want: 20}, // the broker's is not
		{stamp: 15, wall: 30, stamped: true, want: 20},
	} {
		in.arrive(&queued{Record: &kgo.Record{Timestamp: second(c.stamp)}, stamped: c.stamped}, second(c.wall).UnixMilli())
		if in.arrival != second(c.want).UnixMilli() {
			t.Errorf("%d: arrival %s, not %s", i, time.UnixMilli(in.arrival), second(c.want))
		}
	}
}

// What is held of one topic while another is waited for is bounded, in records and in bytes, and its place is given back.
func TestFlow(t *testing.T) {
	in := sketch("a", "b")
	a := in.topics[0]
	step := func(want bool) {
		t.Helper()
		if a.paused = a.ahead(); a.paused != want {
			t.Errorf("paused %v with %d records, %d bytes", a.paused, len(a.records)-a.head, a.bytes)
		}
	}
	in.fetch("a", 1, make([]float64, maxQueued)...)
	step(false)
	in.fetch("a", 1, 0)
	step(true)
	b := in.topics[1]
	b.asked = second(1)
	for range maxQueued / 2 {
		in.next(new(registry.Reader))
	}
	step(true)
	in.next(new(registry.Reader))
	in.next(new(registry.Reader))
	step(false)
	expect(t, strings.TrimLeft(in.taken(), "a "), "")
	in.add(&lane.Batch{Topic: "a", Next: a.reached + 1, Records: []*kgo.Record{{Value: make([]byte, maxQueuedBytes+1)}}}, second(1))
	step(true)
	in.next(new(registry.Reader))
	step(false)
	if a.bytes != 0 || !a.drained() {
		t.Errorf("%d bytes, %d records left", a.bytes, len(a.records)-a.head)
	}
	for range 1000 { // always one in the queue
		in.fetch("a", 1, 0, 0)
		in.next(new(registry.Reader))
		if len(a.records)-a.head > 1 {
			in.next(new(registry.Reader))
		}
	}
	if len(a.records) > 10 {
		t.Errorf("the queue has grown to %d places", len(a.records))
	}
}

func expect(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%q, expected %q", got, want)
	}
}

// No dead letter is so large that it cannot be written.
func TestLetterIsBounded(t *testing.T) {
	big := make([]byte, 600<<10)
	r := letter("dead", &kgo.Record{Topic: "events", Key: big, Value: big, Headers: []kgo.RecordHeader{
		{Key: "first", Value: []byte("1")}, {Key: "big", Value: big}, {Key: "last", Value: []byte("2")}}}, &record.Rejection{Reason: "json", Detail: "d"})
	if n := size(r); n > 900<<10 {
		t.Errorf("%d bytes", n)
	}
	var names []string
	for _, h := range r.Headers {
		names = append(names, h.Key)
	}
	if !slices.Contains(names, "first") || !slices.Contains(names, "last") || slices.Contains(names, "big") {
		t.Errorf("headers %q", names)
	}
	expect(t, string(r.Headers[6].Value), "d; the key of 614400 bytes is cut; 1 headers did not fit")
}
