package processor

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/tripline/tripline/processor/campaign/record"
)

// emit turns what a step decided into records of the cycle. What it counted is left for the commit.
func (c *cycle) emit() {
	for i := range c.out.Triggers {
		c.trigger(&c.out.Triggers[i])
	}
	for i := range c.out.Decisions {
		d := &c.out.Decisions[i]
		r := c.made.record(c.p.cfg.Decisions, d.User)
		c.made.scratch = d.Append(c.made.scratch[:0])
		r.Value, r.Headers = c.made.bytes(c.made.scratch), c.made.headers(d.ID, d.Campaign, d.Version)
		c.produce(r)
	}
	clear(c.out.Triggers)
	clear(c.out.Decisions)
	c.out.Triggers, c.out.Decisions = c.out.Triggers[:0], c.out.Decisions[:0]
}

// trigger writes when it was emitted by this machine's own clock: a client gives up records whose timestamp is, by that
// clock, long ago.
func (c *cycle) trigger(t *record.Trigger) {
	emitted := max(c.clock.now.machine.UnixMilli(), t.Time)
	r := c.made.record(c.p.cfg.Triggers, t.User)
	c.made.scratch = t.Append(c.made.scratch[:0], emitted)
	r.Value, r.Headers = c.made.bytes(c.made.scratch), c.made.headers(t.ID, t.Campaign, t.Version)
	r.Timestamp = time.UnixMilli(emitted)
	if c.source != nil && c.caused(t) {
		var trace record.Trace
		for _, h := range c.source.Headers {
			trace.Add(h.Key, h.Value)
		}
		for name, value := range trace.Headers() {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
		}
	}
	c.produce(r)
}

// caused reports whether the step's event has completed a trigger, and has not only let time pass.
func (c *cycle) caused(t *record.Trigger) bool {
	n := len(t.Events)
	return n > 0 && t.Events[n-1].Name == c.event.Name && t.Events[n-1].Time == c.event.Time && t.Time == c.event.Time
}

// made is the memory of the records that a cycle makes. When one is committed nobody has them any more, and the next cycle
// takes it again.
type made struct {
	records []kgo.Record
	heads   []kgo.RecordHeader
	room    []byte // keys, values, headers
	scratch []byte // one value
}

const (
	madeRecords = 256      // that room is made for at first,
	mostRecords = 4096     // and that is kept of it
	mostRoom    = 1 << 20  // bytes
	leastRoom   = 16 << 10 // bytes
)

func (m *made) record(topic, user string) *kgo.Record {
	if len(m.records) == cap(m.records) { // the cycle has those made so far
		m.records = make([]kgo.Record, 0, max(madeRecords, min(2*cap(m.records), mostRecords)))
	}
	m.records = append(m.records, kgo.Record{Topic: topic, Key: m.text(user)})
	return &m.records[len(m.records)-1]
}

func (m *made) headers(id, campaign, version string) []kgo.RecordHeader {
	if cap(m.heads)-len(m.heads) < 4 {
		m.heads = make([]kgo.RecordHeader, 0, max(4*madeRecords, min(2*cap(m.heads), 4*mostRecords)))
	}
	at := len(m.heads)
	m.heads = append(m.heads, kgo.RecordHeader{Key: "tripline-id", Value: m.text(id)}, kgo.RecordHeader{Key: "tripline-campaign", Value: m.text(campaign)},
		kgo.RecordHeader{Key: "tripline-version", Value: m.text(version)}, kgo.RecordHeader{Key: "content-type", Value: contentType})
	return m.heads[at:len(m.heads):len(m.heads)]
}

func (m *made) text(s string) []byte {
	m.fit(len(s))
	at := len(m.room)
	m.room = append(m.room, s...)
	return m.room[at:len(m.room):len(m.room)]
}

func (m *made) bytes(b []byte) []byte {
	m.fit(len(b))
	at := len(m.room)
	m.room = append(m.room, b...)
	return m.room[at:len(m.room):len(m.room)]
}

// fit makes room for n bytes more; those made so far are the cycle's.
func (m *made) fit(n int) {
	if cap(m.room)-len(m.room) < n {
		m.room = make([]byte, 0, max(n, leastRoom, min(2*cap(m.room), mostRoom)))
	}
}

// reuse forgets the records of a committed cycle, and keeps memory for the next one, within bounds.
func (m *made) reuse() {
	clear(m.records)
	clear(m.heads)
	m.records, m.heads, m.room = m.records[:0], m.heads[:0], m.room[:0]
	if cap(m.room) > mostRoom {
		m.room = nil
	}
	if cap(m.scratch) > mostRoom/16 {
		m.scratch = nil
	}
}

var contentType = []byte("application/json")

func (c *cycle) produce(r *kgo.Record) {
	c.records = append(c.records, r)
	c.bytes += size(r)
}

// erased tells the sink, by an empty value under the user's key, that a user is gone.
func (c *cycle) erased(user string) {
	c.produce(&kgo.Record{Topic: c.p.cfg.Triggers, Key: []byte(user)})
}

const (
	// maxDeadLetter is where a dead letter's value is cut.
	maxDeadLetter = 512 << 10
	// maxLetterKey and maxLetterHeaders bound the rest, so that no record aborts its cycle for ever: with them it is
	// below 900 KiB.
	maxLetterKey     = 128 << 10
	maxLetterHeaders = 192 << 10
)

// deadLetter sets aside a record that cannot be read.
func (c *cycle) deadLetter(r *kgo.Record, bad *record.Rejection) {
	c.produce(letter(c.p.cfg.DeadLetters, r, bad))
	c.letters[bad.Reason]++
	c.p.cfg.Log.Debug("dead letter", zap.String("topic", r.Topic), zap.Int32("partition", r.Partition),
		zap.Int64("offset", r.Offset), zap.String("reason", bad.Reason), zap.String("detail", bad.Detail))
}

// letter is a record as it is set aside, a copy: whole but for a value, a key or headers that are too large. Of headers those
// are left out that do not fit.
func letter(topic string, r *kgo.Record, bad *record.Rejection) *kgo.Record {
	detail := bad.Detail
	if len(r.Key) > maxLetterKey {
		detail += fmt.Sprintf("; the key of %d bytes is cut", len(r.Key))
	}
	var own []kgo.RecordHeader
	room := maxLetterHeaders
	for _, h := range r.Headers {
		if n := len(h.Key) + len(h.Value) + 16; n <= room {
			room -= n
			own = append(own, kgo.RecordHeader{Key: strings.Clone(h.Key), Value: bytes.Clone(h.Value)})
		}
	}
	if left := len(r.Headers) - len(own); left > 0 {
		detail += fmt.Sprintf("; %d headers did not fit", left)
	}
	number := func(n int64) []byte { return strconv.AppendInt(nil, n, 10) }
	return &kgo.Record{Topic: topic, Key: bytes.Clone(r.Key[:min(len(r.Key), maxLetterKey)]), Value: bytes.Clone(r.Value[:min(len(r.Value), maxDeadLetter)]),
		Headers: append([]kgo.RecordHeader{
			{Key: "tripline-source-topic", Value: []byte(r.Topic)},
			{Key: "tripline-source-partition", Value: number(int64(r.Partition))},
			{Key: "tripline-source-offset", Value: number(r.Offset)},
			{Key: "tripline-source-timestamp", Value: number(r.Timestamp.UnixMilli())},
			{Key: "tripline-size", Value: number(int64(len(r.Value)))},
			{Key: "tripline-reason", Value: []byte(bad.Reason)},
			{Key: "tripline-detail", Value: []byte(detail)},
		}, own...)}
}
