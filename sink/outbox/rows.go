package outbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/state"
)

// The kinds of rows, by the first byte of their ID.
const (
	erasedRow  = 'e'
	queueRow   = 'q'
	batchRow   = 's' // sent together; the rows that Open reads come before
	turnRow    = 't'
	waitingRow = 'w'
	endedRow   = 'x'
)

// format is the first byte of every row's content.
const format = 1

// Stage is what a delivery waits for.
type Stage uint8

const (
	Timed       Stage = iota // its Due
	QueuedFirst              // room among its endpoint's first attempts
	QueuedAgain              // room among its endpoint's retries
	Unknown                  // a configuration that knows its endpoint and its campaign; Due is when it has waited enough
	Behind                   // the end of those of its user that came before it; Due, if not 0, is when to look whether it has waited enough
)

// Delivery is a delivery that waits. Times are ms since the epoch.
type Delivery struct {
	Key      string // see Key
	Campaign string
	Endpoint string
	User     string
	Offset   int64 // of its record in `triggers`
	Attempts int   // requests so far
	Place    int   // waits of the schedule that are used up
	Since    int64 // when it began to wait
	Stage    Stage
	Trace    record.Trace // which stands with its record
	Due      int64        // of Timed, Unknown and Behind
	Turn     uint32       // from 1: its place among its user's deliveries to its endpoint; 0: it keeps no order
	Free     int64        // of one that has a turn: Clock of its endpoint when it came
	Batch    string       // with whose members it goes; "": alone

	record string // of its trigger, as in a row of its own; "": it has such a row
}

// Key names a delivery: its trigger's id, and the number of its replay if that is not 0.
func Key(trigger string, replay int64) string {
	if replay == 0 {
		return trigger
	}
	return trigger + "." + strconv.FormatInt(replay, 10)
}

// Split is the inverse of Key.
func Split(key string) (trigger string, replay int64) {
	i := strings.LastIndexByte(key, '.')
	if i < 0 {
		return key, 0
	}
	n, err := strconv.ParseInt(key[i+1:], 10, 64)
	if err != nil {
		return key, 0
	}
	return key[:i], n
}

func erasedKey(user string) state.Key      { return state.Key{ID: string(erasedRow) + user} }
func waitingKey(delivery string) state.Key { return state.Key{ID: string(waitingRow) + delivery} }
func recordKey(delivery string) state.Key {
	return state.Key{ID: string(waitingRow) + delivery, Part: 1}
}
func endedKey(delivery string) state.Key { return state.Key{ID: string(endedRow) + delivery} }
func queueKey(endpoint string, part uint32) state.Key {
	return state.Key{ID: string(queueRow) + endpoint, Part: part}
}

var errRow = errors.New("outbox: a row that this version cannot read")

func (d *Delivery) append(dst []byte) []byte {
	dst = append(dst, format, byte(d.Stage))
	for _, n := range []int64{d.Offset, int64(d.Attempts), int64(d.Place), d.Since, d.Due} {
		dst = binary.AppendVarint(dst, n)
	}
	dst = appendText(appendText(appendText(dst, d.Campaign), d.Endpoint), d.User)
	if d.Turn != 0 || d.Batch != "" || d.record != "" {
		dst = binary.AppendVarint(binary.AppendUvarint(dst, uint64(d.Turn)), d.Free)
	}
	if d.Batch != "" || d.record != "" {
		dst = appendText(dst, d.Batch)
	}
	if d.record != "" {
		dst = appendText(dst, d.record)
	}
	return dst
}

// decodeDelivery reads a row, with the trigger's record where whole is set and that is in it.
func decodeDelivery(key string, content []byte, whole bool) (d Delivery, err error) {
	r := reader{rest: content}
	r.format()
	d.Key = key
	d.Stage = Stage(r.byte())
	d.Offset, d.Attempts, d.Place, d.Since, d.Due = r.varint(), int(r.varint()), int(r.varint()), r.varint(), r.varint()
	d.Campaign, d.Endpoint, d.User = r.text(), r.text(), r.text()
	if len(r.rest) > 0 {
		d.Turn, d.Free = uint32(r.uvarint()), r.varint()
	}
	if len(r.rest) > 0 {
		d.Batch = r.text()
	}
	if len(r.rest) > 0 {
		if record := r.take(int(min(r.uvarint(), maxInline+1))); whole {
			d.record = string(record)
		}
	}
	return d, r.end(waitingRow, key)
}

// queues is what is known of an endpoint's deliveries.
type queues struct {
	waiting int64 // rows of deliveries
	clock   int64 // ms
	ranges  [2]struct{ first, next uint32 }
}

func (q *queues) append(dst []byte) []byte {
	dst = binary.AppendVarint(append(dst, format), q.waiting)
	for _, r := range q.ranges {
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(r.first)), uint64(r.next))
	}
	if q.clock != 0 {
		dst = binary.AppendVarint(dst, q.clock)
	}
	return dst
}

func decodeQueues(endpoint string, content []byte) (q queues, err error) {
	r := reader{rest: content}
	r.format()
	q.waiting = r.varint()
	for i := range q.ranges {
		q.ranges[i].first, q.ranges[i].next = uint32(r.uvarint()), uint32(r.uvarint())
	}
	if len(r.rest) > 0 {
		q.clock = r.varint()
	}
	return q, r.end(queueRow, endpoint)
}

// The formats of a record that has its trace before it: a traceparent, and behind that a tracestate.
const (
	tracedFormat = 2
	statedFormat = 3
)

func appendRecord(dst []byte, trace record.Trace, record []byte) []byte {
	switch {
	case trace.Parent == "":
		dst = append(dst, format)
	case trace.State == "":
		dst = appendText(append(dst, tracedFormat), trace.Parent)
	default:
		dst = appendText(appendText(append(dst, statedFormat), trace.Parent), trace.State)
	}
	return append(dst, record...)
}

func splitRecord(content []byte) (trace record.Trace, record []byte, ok bool) {
	r := reader{rest: content}
	switch r.byte() {
	case format:
	case tracedFormat:
		trace.Parent = r.text()
	case statedFormat:
		trace.Parent, trace.State = r.text(), r.text()
	default:
		r.bad = true
	}
	return trace, r.rest, !r.bad
}

func appendKeys(dst []byte, keys []string) []byte {
	dst = binary.AppendUvarint(append(dst, format), uint64(len(keys)))
	for _, key := range keys {
		dst = appendText(dst, key)
	}
	return dst
}

func decodeKeys(endpoint string, content []byte) (keys []string, err error) {
	r := reader{rest: content}
	r.format()
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		keys = append(keys, r.text())
	}
	return keys, r.end(queueRow, endpoint)
}

func appendOffset(dst []byte, offset int64) []byte {
	return binary.AppendVarint(append(dst, format), offset)
}

func decodeOffset(id string, content []byte) (offset int64, err error) {
	r := reader{rest: content}
	r.format()
	offset = r.varint()
	return offset, r.end(erasedRow, id)
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// reader takes values off the front of rest; once bad, all are zero.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) take(n int) []byte {
	if n <= 0 || n > len(r.rest) {
		r.bad = r.bad || n != 0
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) format() { r.bad = r.byte() != format }

func (r *reader) varint() int64 {
	n, size := binary.Varint(r.rest)
	if size <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.take(size)
	return n
}

func (r *reader) uvarint() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.take(size)
	return n
}

func (r *reader) text() string { return string(r.take(int(min(r.uvarint(), 1<<20)))) }

func (r *reader) end(kind byte, id string) error {
	if r.bad || len(r.rest) > 0 {
		return fmt.Errorf("%w: %q", errRow, string(kind)+id)
	}
	return nil
}

// Waits reads the key of a record of the changelog. key is that of the delivery (see Key) whose row it is, "" if it is another
// row's; with a value the delivery waits, without one it does no longer. A position has none.
func Waits(changelog []byte) (key string, err error) {
	k, err := state.ChangelogKey(changelog)
	if err != nil || k.Part != 0 || k.ID == "" || k.ID[0] != waitingRow {
		return "", err
	}
	return k.ID[1:], nil
}
