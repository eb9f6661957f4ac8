//go:build synctests

package lane

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// bubble is a world in fake time, with a broker that does what it is told.
type bubble struct {
	*world
	cluster *kfake.Cluster
	network kfake.VirtualNetwork
}

// inWorld runs a test against a broker with the topics in and out.
func inWorld(t *testing.T, partitions int32, test func(t *testing.T, w *bubble), opts ...kfake.Opt) {
	synctest.Test(t, func(t *testing.T) {
		w := &bubble{world: &world{t: t, partitions: partitions, in: "in", out: "out", group: "g-processor", changelog: "g-processor-changelog",
			seeds: []string{"localhost:9092", "localhost:9093", "localhost:9094"}}}
		w.dial = w.network.DialContext
		cluster, err := kfake.NewCluster(append(opts, kfake.NumBrokers(3), kfake.Ports(9092, 9093, 9094), kfake.ListenFn(w.network.Listen),
			kfake.SeedTopics(partitions, "in", "out"), kfake.GroupMinSessionTimeout(time.Second))...)
		if err != nil {
			t.Fatal(err)
		}
		w.cluster = cluster
		w.client, err = kgo.NewClient(w.options(w.dial)...)
		if err != nil {
			t.Fatal(err)
		}
		test(t, w)
		for kind := range w.sent.kinds {
			if !slices.Contains(kinds, kind) {
				t.Errorf("%s is sent, and TestEachKind does not let it fail", kind.Name())
			}
		}
		w.client.Close()
		cluster.Close()
	})
}

// partitionOf is where a user's records are.
func (w *world) partitionOf(user string) int32 {
	return int32(kgo.StickyKeyPartitioner(nil).ForTopic(w.in).Partition(&kgo.Record{Key: []byte(user)}, int(w.partitions)))
}
