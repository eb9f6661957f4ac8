//go:build synctests

package main

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Where the header of a batch has what a broker that stamps it sets (KIP-98, record batch v2).
const (
	batchCRC        = 17 // of all behind it
	batchAttributes = 21
	batchFirstTime  = 27
	batchMaxTime    = 35
	batchRecords    = 57

	stampedByBroker = 1 << 3 // attribute
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// stamping has the brokers stamp what is appended to topics with message.timestamp.type=LogAppendTime. By itself kfake keeps
// that setting and does not act on it: only a batch that comes with the attribute is stamped, without a new checksum.
func stamping(cluster *kfake.Cluster) {
	cluster.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		produce := request.(*kmsg.ProduceRequest)
		for _, topic := range produce.Topics {
			about := cluster.TopicInfo(topic.Topic)
			if topic.TopicID != [16]byte{} {
				about = cluster.TopicIDInfo(topic.TopicID)
			}
			if about == nil {
				continue
			}
			if kind := about.Configs["message.timestamp.type"]; kind == nil || *kind != "LogAppendTime" {
				continue
			}
			for _, p := range topic.Partitions {
				stamp(p.Records, time.Now().UnixMilli())
			}
		}
		return nil, nil, false
	})
}

// stamp makes a batch one that the broker has stamped.
func stamp(batch []byte, now int64) {
	if len(batch) < batchRecords {
		return // the broker refuses it
	}
	order := binary.BigEndian
	order.PutUint16(batch[batchAttributes:], order.Uint16(batch[batchAttributes:])|stampedByBroker)
	order.PutUint64(batch[batchFirstTime:], uint64(now))
	order.PutUint64(batch[batchMaxTime:], uint64(now))
	order.PutUint32(batch[batchCRC:], crc32.Checksum(batch[batchAttributes:], castagnoli))
}
