//go:build synctests

package processor

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/virtual"
)

// Users are closed and opened again within a cycle.
func init() { mostRecent = 3 }

// inputs are the topics that tests use as input, as far as their Config names them.
var inputs = []string{"events", "payments", "profiles"}

var people = []string{"ann", "bob", "cid", "dan", "eve", "fay", "gus", "hal"}

// world is a broker in a bubble of fake time.
type world struct {
	t          *testing.T
	partitions int32
	cluster    *kfake.Cluster
	network    kfake.VirtualNetwork
	client     *kgo.Client
	set        *campaign.Set
	texts      map[string]*campaign.Set
	rng        *rand.Rand
}

func inWorld(t *testing.T, partitions int32, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, partitions: partitions, set: compile(t), rng: rand.New(rand.NewPCG(1, 2))}
		w.texts = map[string]*campaign.Set{"world": w.set}
		topics := append([]string{"triggers", "decisions", "dead-letters"}, inputs...)
		cluster, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.Ports(9092, 9093), kfake.ListenFn(w.network.Listen),
			kfake.SeedTopics(partitions, topics...), kfake.GroupMinSessionTimeout(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		w.cluster = cluster
		if w.client, err = kgo.NewClient(w.options(w.network.DialContext)...); err != nil {
			t.Fatal(err)
		}
		for _, topic := range topics {
			w.move(topic, 0)
		}
		test(t, w)
		w.client.Close()
		cluster.Close()
	})
}

func (w *world) options(dial func(context.Context, string, string) (net.Conn, error)) []kgo.Opt {
	return []kgo.Opt{kgo.SeedBrokers("localhost:9092"), kgo.Dialer(dial), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerLinger(0)}
}

// compile gives the campaigns of all tests: a cart that is not paid within a minute, each launch, and an order that is not taken
// back within a minute.
func compile(t *testing.T) *campaign.Set {
	minute, hours, deliver := campaign.Duration(60_000), campaign.Duration(7_200_000), []campaign.Delivery{{Endpoint: "ops"}}
	set, problems := campaign.Compile(campaign.Rules{MaxFuture: 300_000, Settle: 10_000, MaxAge: 86_400_000, MaxEvents: 1000, MaxOpen: 100},
		[]campaign.Definition{
			{Name: "cart", Version: "v1", Deliver: deliver, Trigger: campaign.Trigger{InactionWithinTime: &campaign.InactionWithinTime{
				After: &campaign.Pattern{Event: "Cart"}, Without: &campaign.Pattern{Event: "Paid"}, Within: &minute}}},
			{Name: "launch", Version: "v1", Deliver: deliver, Reentry: &campaign.Reentry{MinGap: &minute},
				Trigger: campaign.Trigger{SingleAction: &campaign.SingleAction{Pattern: campaign.Pattern{Event: "Launch"}}}},
			{Name: "order", Version: "v1", Deliver: deliver, Delay: &minute, Exit: []campaign.Pattern{{Event: "Refund"}},
				Goal:    &campaign.Goal{Pattern: campaign.Pattern{Event: "Review"}, Within: &hours},
				Trigger: campaign.Trigger{SingleAction: &campaign.SingleAction{Pattern: campaign.Pattern{Event: "Order"}}}},
		})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return set
}

// event is a record of an event topic that happens now.
func event(topic, user, name string) *kgo.Record {
	return &kgo.Record{Topic: topic, Key: []byte(user), Value: fmt.Appendf(nil, `{"event":%q}`, name)}
}

// at gives a record a Kafka timestamp.
func at(r *kgo.Record, when time.Time) *kgo.Record {
	r.Timestamp = when
	return r
}

// send appends records, and waits for them.
func (w *world) send(records ...*kgo.Record) {
	w.t.Helper()
	if err := w.client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// foreign appends a record in a transaction that it leaves open.
func (w *world) foreign(r *kgo.Record) *kgo.Client {
	w.t.Helper()
	client, err := kgo.NewClient(append(w.options(w.network.DialContext), kgo.TransactionalID("foreign"), kgo.TransactionTimeout(10*time.Minute))...)
	if err == nil {
		err = client.BeginTransaction()
	}
	if err == nil {
		err = client.ProduceSync(context.Background(), r).FirstErr()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return client
}

// slow keeps what is in a topic from being fetched, until it is told to go on. The topic gets a broker of its own: of a
// fetch that fails in part the rest would be asked for again without a pause.
func (w *world) slow(topic string) (on func()) {
	w.move(topic, 1)
	fault := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Err: kerr.NotLeaderForPartition, Count: -1})
	return fault.Remove
}

func (w *world) move(topic string, node int32) {
	for p := range w.partitions {
		if err := w.cluster.MoveTopicPartition(topic, p, node); err != nil {
			w.t.Fatal(err)
		}
	}
}

// read returns the committed records of a topic, those of a partition in their order.
func (w *world) read(topic string) (records []*kgo.Record) {
	w.t.Helper()
	ends, err := kadm.NewClient(w.client).ListCommittedOffsets(context.Background(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	starts, left := map[int32]kgo.Offset{}, map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			starts[o.Partition], left[o.Partition] = kgo.NewOffset().AtStart(), o.Offset
		}
	})
	if len(left) == 0 {
		return nil
	}
	reader, err := kgo.NewClient(append(w.options(w.network.DialContext), kgo.KeepControlRecords(), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: starts}))...)
	if err != nil {
		w.t.Fatal(err)
	}
	defer reader.Close()
	for len(left) > 0 {
		fetches := reader.PollFetches(context.Background())
		if err := fetches.Err(); err != nil {
			w.t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				records = append(records, r)
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	slices.SortStableFunc(records, func(a, b *kgo.Record) int { return cmp.Compare(a.Partition, b.Partition) })
	return records
}

// triggers returns each user's triggers, as campaign and seconds since the bubble began; an erasure is "erased".
func (w *world) triggers() map[string][]string {
	w.t.Helper()
	all := map[string][]string{}
	for _, r := range w.read("triggers") {
		if len(r.Value) == 0 {
			all[string(r.Key)] = append(all[string(r.Key)], "erased")
			continue
		}
		t, err := record.ParseTrigger(r.Value)
		if err != nil {
			w.t.Fatal(err)
		}
		if t.User != string(r.Key) || r.Timestamp.UnixMilli() != t.EmittedAt || t.EmittedAt < t.Time {
			w.t.Errorf("key %s, timestamp %d: %s", r.Key, r.Timestamp.UnixMilli(), r.Value)
		}
		all[t.User] = append(all[t.User], t.Campaign+" "+since(t.Time))
	}
	return all
}

// epoch is when every bubble begins.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func since(ms int64) string { return strconv.FormatInt(ms-epoch.UnixMilli(), 10) }

// expect compares one user's triggers.
func (w *world) expect(user string, want ...string) {
	w.t.Helper()
	if got := w.triggers()[user]; !slices.Equal(got, want) {
		w.t.Errorf("%s has the triggers %q, expected %q", user, got, want)
	}
}

// modelled returns what one pure run over the input in its order decides until now, by user.
func (w *world) modelled(envelope record.Envelope) map[string][]string {
	w.t.Helper()
	var all []*kgo.Record
	for _, topic := range inputs {
		all = append(all, w.read(topic)...)
	}
	// Of one partition number by timestamp; those of one topic keep their order.
	slices.SortStableFunc(all, func(a, b *kgo.Record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), a.Timestamp.Compare(b.Timestamp))
	})
	decided := map[string][]string{}
	var line *virtual.Line
	var arrival int64
	for i, r := range all {
		if i == 0 || r.Partition != all[i-1].Partition {
			if line != nil {
				line.Until(time.Now().UnixMilli())
			}
			arrival, line = 0, virtual.New(w.set, func(o *campaign.Output) { add(decided, o) })
		}
		arrival = max(arrival, r.Timestamp.UnixMilli())
		if r.Topic == "profiles" {
			if p, erase, bad := envelope.Profile(r.Key, r.Value); erase {
				line.Erase(p.User, arrival)
			} else if bad == nil {
				line.Profile(&p, arrival)
			}
		} else if e, bad := envelope.Event(r.Key, r.Value, r.Timestamp.UnixMilli()); bad == nil {
			line.Event(&e, arrival)
		}
	}
	if line != nil {
		line.Until(time.Now().UnixMilli())
	}
	return decided
}

func add(decided map[string][]string, o *campaign.Output) {
	for i := range o.Triggers {
		t := &o.Triggers[i]
		decided[t.User] = append(decided[t.User], string(t.Append(nil, 0)))
	}
	for i := range o.Decisions {
		d := &o.Decisions[i]
		decided[d.User] = append(decided[d.User], string(d.Append(nil)))
	}
}

// whole compares all committed triggers and decisions with the model's, but for when they were emitted.
func (w *world) whole() {
	w.t.Helper()
	got := map[string][]string{}
	for _, r := range w.read("triggers") {
		if len(r.Value) > 0 {
			t, err := record.ParseTrigger(r.Value)
			if err != nil {
				w.t.Fatal(err)
			}
			got[t.User] = append(got[t.User], string(t.Append(nil, 0)))
		}
	}
	for _, r := range w.read("decisions") {
		got[string(r.Key)] = append(got[string(r.Key)], string(r.Value))
	}
	want := w.modelled(record.Envelope{MaxBytes: 1 << 20})
	for user := range want {
		// Triggers and decisions are in two topics: the order is compared within each.
		slices.SortStableFunc(want[user], func(a, b string) int { return cmp.Compare(kind(a), kind(b)) })
		slices.SortStableFunc(got[user], func(a, b string) int { return cmp.Compare(kind(a), kind(b)) })
		if !slices.Equal(got[user], want[user]) {
			w.t.Errorf("%s\n  has      %q\n  expected %q", user, got[user], want[user])
		}
		delete(got, user)
	}
	if len(got) > 0 {
		w.t.Errorf("beyond the model: %q", got)
	}
}

// kind tells the values of triggers and decisions apart.
func kind(value string) int {
	if _, err := record.ParseTrigger([]byte(value)); err != nil {
		return 1
	}
	return 0
}
