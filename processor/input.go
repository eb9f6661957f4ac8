package processor

import (
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/state"
	"github.com/tripline/tripline/state/lane"
)

// input is one partition number over all topics: what is fetched and not applied, and how far it is.
type input struct {
	part    *lane.Partition
	topics  []*queue
	arrival int64 // of the last record applied, ms
	stream  int64 // stream time, ms; 0: not known yet
	moved   bool  // a position moved since the last commit
}

// queue is one topic's share of an input.
type queue struct {
	topic    string
	records  []*kgo.Record // fetched, not applied
	polled   []time.Time   // when each was
	head     int
	reached  int64     // the offset behind the last record polled, and behind what needs no applying
	position int64     // the next offset to apply
	empty    time.Time // everything appended before then has been fetched
	paused   bool
}

// maxQueued bounds what is held of one topic while another of the same number is waited for.
const maxQueued = 2 * pollRecords

func newInput(p *Processor, part *lane.Partition) *input {
	at := part.State.Position()
	in := &input{part: part, arrival: at.Arrival, stream: at.Stream}
	for _, topic := range p.cfg.Lane.Topics {
		position, known := at.Inputs[topic]
		if !known {
			position = -1
		}
		in.topics = append(in.topics, &queue{topic: topic, position: position, reached: position})
	}
	return in
}

func (in *input) queue(topic string) *queue {
	for _, q := range in.topics {
		if q.topic == topic {
			return q
		}
	}
	return nil
}

// add takes a polled batch in.
func (in *input) add(b *lane.Batch, now time.Time) {
	q := in.queue(b.Topic)
	if q.head > 0 && q.head == len(q.records) {
		q.records, q.polled, q.head = q.records[:0], q.polled[:0], 0
	}
	for _, r := range b.Records {
		q.records = append(q.records, r)
		q.polled = append(q.polled, now)
	}
	q.reached = b.Next
	in.settle(q)
}

// settle moves the position over what needs no applying once nothing is queued before it.
func (in *input) settle(q *queue) {
	if q.head == len(q.records) && q.position != q.reached {
		q.position = q.reached
		in.moved = true
	}
}

// next takes the record that comes next: the smallest Kafka timestamp of the topics' first ones. A topic with nothing
// fetched is waited for, unless it was seen to have nothing after the candidate had been fetched.
func (in *input) next() *kgo.Record {
	var first *queue
	for _, q := range in.topics {
		if q.head < len(q.records) && (first == nil || q.records[q.head].Timestamp.Before(first.records[first.head].Timestamp)) {
			first = q
		}
	}
	if first == nil {
		return nil
	}
	for _, q := range in.topics {
		if q.head == len(q.records) && q != first && q.empty.Before(first.polled[first.head]) {
			return nil
		}
	}
	r := first.records[first.head]
	first.records[first.head] = nil
	first.head++
	first.position = r.Offset + 1
	in.moved = true
	in.settle(first)
	return r
}

// waits says whether records are held back until another topic is known to have none before them.
func (in *input) waits() bool {
	for _, q := range in.topics {
		if q.head < len(q.records) {
			return true
		}
	}
	return false
}

// flow pauses a topic that is far ahead of the others, and resumes it.
func (in *input) flow(l *lane.Lane) {
	for _, q := range in.topics {
		held := len(q.records) - q.head
		if !q.paused && held > maxQueued {
			q.paused = true
			l.Pause(q.topic, in.part.Number)
		} else if q.paused && held < maxQueued/2 {
			q.paused = false
			l.Resume(q.topic, in.part.Number)
		}
	}
}

// arrive settles a record's arrival: its Kafka timestamp, no later than the wall clock, no earlier than the arrival before.
func (in *input) arrive(r *kgo.Record, wall int64) {
	in.arrival = max(in.arrival, min(r.Timestamp.UnixMilli(), wall))
}

// position is the input's position as the state keeps it.
func (in *input) position() state.Position {
	at := in.part.State.Position()
	at.Inputs = maps.Clone(at.Inputs)
	if at.Inputs == nil {
		at.Inputs = map[string]int64{}
	}
	for _, q := range in.topics {
		if q.position >= 0 {
			at.Inputs[q.topic] = q.position
		}
	}
	at.Arrival, at.Stream = in.arrival, in.stream
	return at
}
