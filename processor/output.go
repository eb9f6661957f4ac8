package processor

import (
	"bytes"
	"fmt"
	"strconv"
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
		c.produce(&kgo.Record{Topic: c.p.cfg.Decisions, Key: []byte(d.User), Value: d.Append(nil), Headers: headers(d.ID, d.Campaign, d.Version)})
	}
	clear(c.out.Triggers)
	clear(c.out.Decisions)
	c.out.Triggers, c.out.Decisions = c.out.Triggers[:0], c.out.Decisions[:0]
}

// trigger writes when it was emitted by this machine's own clock: a client gives up records whose timestamp is, by that
// clock, long ago.
func (c *cycle) trigger(t *record.Trigger) {
	emitted := max(c.clock.now.machine.UnixMilli(), t.Time)
	c.room = t.Append(c.room[:0], emitted)
	c.produce(&kgo.Record{Topic: c.p.cfg.Triggers, Key: []byte(t.User), Value: bytes.Clone(c.room),
		Timestamp: time.UnixMilli(emitted), Headers: headers(t.ID, t.Campaign, t.Version)})
}

func headers(id, campaign, version string) []kgo.RecordHeader {
	return []kgo.RecordHeader{{Key: "tripline-id", Value: []byte(id)}, {Key: "tripline-campaign", Value: []byte(campaign)},
		{Key: "tripline-version", Value: []byte(version)}, {Key: "content-type", Value: contentType}}
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

// letter is a record as it is set aside: whole but for a value, a key or headers that are too large. Of headers those
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
			own = append(own, h)
		}
	}
	if left := len(r.Headers) - len(own); left > 0 {
		detail += fmt.Sprintf("; %d headers did not fit", left)
	}
	number := func(n int64) []byte { return strconv.AppendInt(nil, n, 10) }
	return &kgo.Record{Topic: topic, Key: r.Key[:min(len(r.Key), maxLetterKey)], Value: r.Value[:min(len(r.Value), maxDeadLetter)],
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
