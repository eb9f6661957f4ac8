// Package deadletter is the shape of what the sink puts into `dead-letters`: records of `triggers` that are none, and deliveries that
// have failed.
package deadletter

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/sink/delivery"
)

// BadTrigger is the reason of a record in `triggers` that is no trigger.
const BadTrigger = "bad_trigger"

const (
	maxValue   = 512 << 10 // bytes of a value that cannot be read
	maxHeaders = 128 << 10 // bytes of the headers that come with it
)

// Unread sets a record aside that cannot be read. So that no broker refuses it, its value is cut, and too many headers are left
// out.
func Unread(topic string, r *kgo.Record, detail string) *kgo.Record {
	headers := append(source(r.Topic, r.Partition, r.Offset),
		kgo.RecordHeader{Key: "tripline-source-timestamp", Value: strconv.AppendInt(nil, r.Timestamp.UnixMilli(), 10)},
		kgo.RecordHeader{Key: "tripline-size", Value: strconv.AppendInt(nil, int64(len(r.Value)), 10)},
		kgo.RecordHeader{Key: "tripline-reason", Value: []byte(BadTrigger)},
		kgo.RecordHeader{Key: "tripline-detail", Value: []byte(detail)})
	size := len(r.Key)
	for _, h := range r.Headers {
		size += len(h.Key) + len(h.Value)
	}
	key := r.Key
	if size <= maxHeaders {
		headers = append(headers, r.Headers...)
	} else if len(key) > maxHeaders {
		key = key[:maxHeaders]
	}
	return &kgo.Record{Topic: topic, Key: key, Value: r.Value[:min(len(r.Value), maxValue)], Headers: headers}
}

// Undelivered holds all that a replay of a delivery that failed needs: the trigger's record, which stood in a topic at a partition and
// offset, with the headers that a replay of it is to have, and its final delivery record.
func Undelivered(topic string, trigger *kgo.Record, final *delivery.Record) *kgo.Record {
	headers := append(source(trigger.Topic, trigger.Partition, trigger.Offset),
		kgo.RecordHeader{Key: "tripline-reason", Value: []byte("undelivered")},
		kgo.RecordHeader{Key: "tripline-delivery", Value: final.Append(nil)},
		kgo.RecordHeader{Key: "tripline-id", Value: []byte(final.TriggerID)},
		kgo.RecordHeader{Key: "tripline-campaign", Value: []byte(final.Campaign)},
		kgo.RecordHeader{Key: "content-type", Value: []byte("application/json")})
	return &kgo.Record{Topic: topic, Key: trigger.Key, Value: trigger.Value, Headers: append(headers, trigger.Headers...)}
}

func source(topic string, partition int32, offset int64) []kgo.RecordHeader {
	return []kgo.RecordHeader{
		{Key: "tripline-source-topic", Value: []byte(topic)},
		{Key: "tripline-source-partition", Value: strconv.AppendInt(nil, int64(partition), 10)},
		{Key: "tripline-source-offset", Value: strconv.AppendInt(nil, offset, 10)},
	}
}
