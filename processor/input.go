package processor

import (
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/registry"
	"github.com/tripline/tripline/state"
	"github.com/tripline/tripline/state/lane"
)

// input is one partition number over all topics: what is fetched and not applied, and how far it is.
type input struct {
	part    *lane.Partition
	topics  []*queue
	set     *campaign.Set    // in force, by the ledger
	ledger  *campaign.Ledger // of the sets that have been in force; nil: there is none yet
	walk    walk
	users   map[string]*user // open
	rows    []state.Row      // that the cycle has changed so far
	at      map[string]int   // where the heads stand in rows
	parts   map[state.Key]int
	sights  []sight         // of log ends that the positions have not all reached, oldest first
	arrival int64           // of the last record applied, ms
	stream  int64           // stream time, ms; 0: not known yet
	moved   bool            // a position moved since the last commit
	schema  <-chan struct{} // closed when the answer is there that the next record waits for; nil: none is asked for
	held    *kgo.Record     // the next record, if it waits for a schema
}

// queue is one topic's share of an input.
type queue struct {
	topic    string
	records  []queued // fetched; those from head on are not applied
	head     int
	bytes    int   // of those not applied
	reached  int64 // the offset behind the last record polled, and behind what needs no applying
	position int64 // the next offset to apply
	paused   bool

	// All that was appended before these has been fetched: by this machine's clock, and by the one that stamps, in ms.
	asked  time.Time
	before int64
}

// queued is a record that waits to be applied.
type queued struct {
	*kgo.Record
	polled  time.Time
	stamped bool // its timestamp is when the broker appended it
}

const (
	// A topic of which so much is held, while another of the same number is waited for, is not fetched for a while.
	maxQueued      = 8_000
	maxQueuedBytes = 4 << 20
)

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

func size(r *kgo.Record) int {
	n := len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return n
}

// add takes a polled batch in.
func (in *input) add(b *lane.Batch, now time.Time) {
	q := in.queue(b.Topic)
	if q.head > len(q.records)/2 {
		n := copy(q.records, q.records[q.head:])
		clear(q.records[n:])
		q.records, q.head = q.records[:n], 0
	}
	for _, r := range b.Records {
		q.records = append(q.records, queued{r, now, r.Attrs.TimestampType() == 1})
		q.bytes += size(r)
	}
	q.reached = b.Next
	in.settle(q)
}

func (q *queue) drained() bool { return q.head == len(q.records) }

// settle moves the position over what needs no applying once nothing is queued before it.
func (in *input) settle(q *queue) {
	if q.drained() && q.position != q.reached {
		q.position = q.reached
		in.moved = true
	}
}

// first is the topic whose record comes next: the smallest Kafka timestamp of the topics' first ones, of equals that of the topic named first.
// nil: nothing is fetched.
func (in *input) first() *queue {
	var first *queue
	for _, q := range in.topics {
		if !q.drained() && (first == nil || q.records[q.head].Timestamp.Before(first.records[first.head].Timestamp)) {
			first = q
		}
	}
	return first
}

// next takes the record that comes next. A topic with nothing fetched is waited for, unless it is known to have nothing that was there
// before the candidate; and a record is whose schema the registry has not given yet.
func (in *input) next(reader *registry.Reader) (r queued, ok bool) {
	in.schema, in.held = nil, nil
	first := in.first()
	if first == nil {
		return queued{}, false
	}
	r = first.records[first.head]
	earliest := r.Timestamp.UnixMilli() + 1 // of what would come behind it; of equals it does from the topics named later
	for _, q := range in.topics {
		if q == first {
			earliest--
		}
		if q.drained() && !q.without(&r, earliest) {
			return queued{}, false
		}
	}
	if ok, in.schema = reader.Ready(r.Record); !ok {
		in.held = r.Record
		return queued{}, false
	}
	first.records[first.head] = queued{}
	first.head++
	first.bytes -= size(r.Record)
	first.position = r.Offset + 1
	in.moved = true
	in.settle(first)
	return r, true
}

// without says that all is fetched that was in the topic when r was polled, or, where brokers stamp it, all of which the stamp is below
// earliest. In a backlog that is so long before a new answer comes.
func (q *queue) without(r *queued, earliest int64) bool {
	return !q.asked.Before(r.settled()) || r.stamped && q.before >= earliest
}

// settled is from when on a log end that is asked for has below it all that comes before the record. Where brokers stamp what is appended,
// that is the race of another topic's later than it was there.
func (r *queued) settled() time.Time {
	if r.stamped {
		return r.polled.Add(race)
	}
	return r.polled
}

// blocked says whether the next record waits for a topic with nothing fetched, and from when on a log end of that can tell.
func (in *input) blocked() (from time.Time, is bool) {
	first := in.first()
	if first == nil || !slices.ContainsFunc(in.topics, (*queue).drained) {
		return time.Time{}, false
	}
	return first.records[first.head].settled(), true
}

// waits says whether records are held back until another topic is known to have none before them.
func (in *input) waits() bool {
	for _, q := range in.topics {
		if !q.drained() {
			return true
		}
	}
	return false
}

// flow stops and starts the fetching of topics.
func (in *input) flow(l *lane.Lane) {
	for _, q := range in.topics {
		was := q.paused
		if q.paused = q.ahead(); q.paused == was {
			continue
		}
		if q.paused {
			l.Pause(q.topic, in.part.Number)
		} else {
			l.Resume(q.topic, in.part.Number)
		}
	}
}

// ahead says whether so much is held of a topic that it is not to be fetched: once it was, until half of that is left.
func (q *queue) ahead() bool {
	held := len(q.records) - q.head
	if q.paused {
		return held >= maxQueued/2 || q.bytes >= maxQueuedBytes/2
	}
	return held > maxQueued || q.bytes > maxQueuedBytes
}

// arrive settles a record's arrival: no earlier than the arrival before, and its Kafka timestamp. A producer's own is cut
// to the wall clock; one of the broker is taken as it is, so that every run over the topic gives the same arrivals.
func (in *input) arrive(r *queued, wall int64) {
	at := r.Timestamp.UnixMilli()
	if !r.stamped {
		at = min(at, wall)
	}
	in.arrival = max(in.arrival, at)
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
