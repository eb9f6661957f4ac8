package processor

import (
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/tripline/tripline/processor/campaign/record"
)

// emit turns what a step decided into records of the cycle.
func (c *cycle) emit(in *input) {
	for i := range c.out.Triggers {
		c.trigger(&c.out.Triggers[i])
	}
	for i := range c.out.Decisions {
		d := &c.out.Decisions[i]
		c.produce(&kgo.Record{Topic: c.p.cfg.Decisions, Key: []byte(d.User), Value: d.Append(nil), Headers: headers(d.ID, d.Campaign, d.Version)})
	}
	c.p.metrics.counted(c, in)
	c.out.Reset()
}

func (c *cycle) trigger(t *record.Trigger) {
	emitted := max(c.clock.wall(c.clock.now()), t.Time)
	c.produce(&kgo.Record{Topic: c.p.cfg.Triggers, Key: []byte(t.User), Value: t.Append(nil, emitted),
		Timestamp: time.UnixMilli(emitted), Headers: headers(t.ID, t.Campaign, t.Version)})
}

func headers(id, campaign, version string) []kgo.RecordHeader {
	return []kgo.RecordHeader{{Key: "tripline-id", Value: []byte(id)}, {Key: "tripline-campaign", Value: []byte(campaign)},
		{Key: "tripline-version", Value: []byte(version)}, {Key: "content-type", Value: []byte("application/json")}}
}

func (c *cycle) produce(r *kgo.Record) {
	c.records = append(c.records, r)
	c.bytes += len(r.Key) + len(r.Value)
}

// erased tells the sink, by an empty value under the user's key, that a user is gone.
func (c *cycle) erased(user string) {
	c.produce(&kgo.Record{Topic: c.p.cfg.Triggers, Key: []byte(user)})
}

// maxDeadLetter is where a dead letter's value is cut.
const maxDeadLetter = 512 << 10

// deadLetter sets aside a record that cannot be read.
func (c *cycle) deadLetter(r *kgo.Record, bad *record.Rejection) {
	value := r.Value
	if len(value) > maxDeadLetter {
		value = value[:maxDeadLetter]
	}
	own := []kgo.RecordHeader{
		{Key: "tripline-source-topic", Value: []byte(r.Topic)},
		{Key: "tripline-source-partition", Value: strconv.AppendInt(nil, int64(r.Partition), 10)},
		{Key: "tripline-source-offset", Value: strconv.AppendInt(nil, r.Offset, 10)},
		{Key: "tripline-source-timestamp", Value: strconv.AppendInt(nil, r.Timestamp.UnixMilli(), 10)},
		{Key: "tripline-size", Value: strconv.AppendInt(nil, int64(len(r.Value)), 10)},
		{Key: "tripline-reason", Value: []byte(bad.Reason)},
		{Key: "tripline-detail", Value: []byte(bad.Detail)},
	}
	c.produce(&kgo.Record{Topic: c.p.cfg.DeadLetters, Key: r.Key, Value: value, Headers: append(own, r.Headers...)})
	c.p.metrics.deadLetter(bad.Reason)
	c.p.cfg.Log.Debug("dead letter", zap.String("topic", r.Topic), zap.Int32("partition", r.Partition),
		zap.Int64("offset", r.Offset), zap.String("reason", bad.Reason), zap.String("detail", bad.Detail))
}
