//go:build synctests

package processor

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/state"
)

// A leader whose follower hangs tells consumers an old high watermark for seconds, while records that it has appended wait behind it.
// What they ended does not fire.
func TestWatermarkBehindTheLogEnd(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		p := w.launch(vfs.NewCrashableMem())
		w.send(event("events", "ann", "Cart"))
		time.Sleep(30 * time.Second)
		var frozen atomic.Bool
		frozen.Store(true)
		w.cluster.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			asked := req.(*kmsg.ListOffsetsRequest)
			if !frozen.Load() || asked.ReplicaID != -1 || asked.Topics[0].Topic != "events" {
				return nil, nil, false
			}
			return listed(asked, 1, -1), nil, true
		})
		on := w.slow("events")
		w.send(event("events", "ann", "Paid"))
		time.Sleep(time.Minute)
		frozen.Store(false)
		w.expect("ann")
		on()
		time.Sleep(10 * time.Second)
		w.whole()
		w.expect("ann")
		p.stop()
	})
}

// listed answers a question about one topic's log with an offset and a time in ms.
func listed(asked *kmsg.ListOffsetsRequest, offset, ms int64) kmsg.Response {
	resp := asked.ResponseKind().(*kmsg.ListOffsetsResponse)
	topic := kmsg.NewListOffsetsResponseTopic()
	topic.Topic = asked.Topics[0].Topic
	for _, p := range asked.Topics[0].Partitions {
		answer := kmsg.NewListOffsetsResponseTopicPartition()
		answer.Partition, answer.Offset, answer.Timestamp = p.Partition, offset, ms
		topic.Partitions = append(topic.Partitions, answer)
	}
	resp.Topics = append(resp.Topics, topic)
	return resp
}

// advances are by how many records of events each committed cycle has moved the position, from the changelog.
func (w *world) advances() (by []int64) {
	w.t.Helper()
	last := int64(0)
	for _, r := range w.read("g-processor-changelog") {
		if at, err := state.DecodePosition(r.Value); err == nil && len(r.Key) == 1 {
			by = append(by, at.Inputs["events"]-last)
			last = at.Inputs["events"]
		}
	}
	return by
}

// An open transaction holds up all who read committed records: a cycle ends at so many records, at so many bytes, and
// after so long, however much comes.
func TestCyclesAreBounded(t *testing.T) {
	padded := fmt.Sprintf(`{"event":"Launch","properties":{"note":%q}}`, strings.Repeat("x", 10<<10))
	for name, send := range map[string]func(w *world){
		"records": func(w *world) {
			var records []*kgo.Record
			for i := range 3 * cycleRecords {
				records = append(records, event("events", people[i%8], "Other"))
			}
			w.send(records...)
		},
		"bytes": func(w *world) {
			var records []*kgo.Record
			for i := range 3 * cycleBytes / len(padded) {
				records = append(records, &kgo.Record{Topic: "events", Key: fmt.Append(nil, "u", i), Value: []byte(padded)})
			}
			w.send(records...)
		},
		"time": func(w *world) {
			for range 2000 {
				w.send(event("events", "ann", "Other"))
				time.Sleep(500 * time.Microsecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 1, func(t *testing.T, w *world) {
				disk := w.launch(vfs.NewCrashableMem()).stop() // which makes the changelog
				if name != "time" {
					send(w)
				}
				p := w.launch(disk)
				time.Sleep(5 * time.Second)
				if name == "time" {
					send(w)
				}
				time.Sleep(5 * time.Second)
				most := map[string]int64{"records": cycleRecords, "bytes": int64(2 * cycleBytes / len(padded)), "time": 2 * int64(cycleTime/(500*time.Microsecond))}[name]
				for _, n := range w.advances() {
					if n > most {
						t.Errorf("a cycle of %d records", n)
					}
				}
				w.whole()
				p.stop()
			})
		})
	}
}

// What is at hand is left to the next cycle when this one's time is up: the clock is looked at while records are applied, not only between
// two polls.
func TestCyclesEndWithinWhatIsAtHand(t *testing.T) {
	in := sketch("events")
	in.fetch("events", 0, make([]float64, 1000)...)
	c := &cycle{p: &Processor{cfg: Config{DeadLetters: "dead-letters", Log: zap.NewNop()}}, inputs: []*input{in}, clock: &clock{}, letters: map[string]int{},
		users: &users{}, most: cycleBytes}
	if err := c.apply(time.Now().Add(-time.Millisecond)); err != nil || !c.ready || c.count > 100 {
		t.Errorf("%d records in a cycle whose time is up, more: %v, %v", c.count, c.ready, err)
	}
	if err := c.apply(time.Now().Add(time.Hour)); err != nil || c.ready || c.count != 1000 {
		t.Errorf("%d records, more: %v, %v", c.count, c.ready, err)
	}
}

// A profile is at most 256 KiB: what would make it larger is a dead letter, whole, whichever way it comes, and lets time pass like any
// other record. Its user goes on.
func TestProfileIsBounded(t *testing.T) {
	large := func(name string) string { return fmt.Sprintf("%q:%q", name, strings.Repeat("x", 150<<10)) }
	inWorld(t, 1, func(t *testing.T, w *world) {
		p := w.launch(vfs.NewCrashableMem(), merged)
		send := func(topic, value string) {
			w.send(&kgo.Record{Topic: topic, Key: []byte("ann"), Value: []byte(value)})
			time.Sleep(time.Second)
		}
		send("events", `{"event":"Cart"}`)
		send("profiles", `{"properties":{`+large("a")+`}}`)
		time.Sleep(2 * time.Minute)
		send("profiles", `{"properties":{`+large("b")+`,"c":1}}`)
		send("events", `{"event":"Launch","profile":{`+large("b")+`}}`)
		send("events", `{"event":"Launch","profile":{"d":2}}`)
		send("profiles", `{"properties":{"a":null}}`)
		send("events", `{"event":"Order","profile":{`+large("b")+`}}`)
		w.whole()
		w.expect("ann", "cart 60000", "launch 124000")
		letters := w.read("dead-letters")
		for _, r := range letters {
			if reason := header(r, "tripline-reason"); reason != "too_large" || !strings.Contains(header(r, "tripline-detail"), "profile") {
				t.Errorf("%s: %s", reason, header(r, "tripline-detail"))
			}
		}
		if n, _ := p.metric("tripline_processor_dead_letters_total"); len(letters) != 2 || n != 2 {
			t.Errorf("%d dead letters, counted %v", len(letters), n)
		}
		time.Sleep(time.Minute)
		for _, r := range w.read("triggers")[2:] {
			order, err := record.ParseTrigger(r.Value)
			if err != nil || order.Profile.Has("a") || !order.Profile.Has("b") || order.Profile.Has("c") || !order.Profile.Has("d") {
				t.Errorf("%s %v", order.Profile.Append(nil)[:40], err)
			}
		}
		p.stop()
	})
}

// A profile that is stamped before an event of the same user, and comes to its log a few milliseconds after it, is applied before it: an end
// that is asked for at once does not tell of it. The profile's stamp is its producer's here, from before what delays it: kfake stamps last.
func TestMergeLeavesRoomForTheRace(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.move("profiles", 1)
		w.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			for _, topic := range req.(*kmsg.ProduceRequest).Topics {
				switch w.cluster.TopicIDInfo(topic.TopicID).Topic {
				case "events":
					stampNow(topic.Partitions[0].Records)
				case "profiles":
					w.cluster.SleepControl(func() { time.Sleep(race / 2) })
				}
			}
			return nil, nil, false
		})
		p := w.launch(vfs.NewCrashableMem(), merged)
		w.send(event("events", "bob", "Other"), &kgo.Record{Topic: "profiles", Key: []byte("bob"), Value: []byte(`{"properties":{}}`)})
		time.Sleep(10 * time.Second)
		for n := range 5 {
			written := make(chan time.Time, 1)
			w.client.Produce(t.Context(), &kgo.Record{Topic: "profiles", Key: []byte("ann"), Value: fmt.Appendf(nil, `{"properties":{"n":%d}}`, n)},
				func(*kgo.Record, error) { written <- time.Now() })
			time.Sleep(race / 5)
			w.send(event("events", "ann", "Launch"))
			if sent := time.Now(); !(<-written).After(sent) {
				t.Fatal("the profile was there before the event")
			}
			time.Sleep(2 * time.Minute)
		}
		w.whole()
		triggers := w.read("triggers")
		for n, r := range triggers {
			if text := string(r.Value); !strings.Contains(text, fmt.Sprintf(`"profile":{"n":%d}`, n)) {
				t.Errorf("launch %d: %s", n, text)
			}
		}
		if len(triggers) != 5 {
			t.Errorf("%d triggers", len(triggers))
		}
		p.stop()
	})
}

// stampNow makes a batch (KIP-98, version 2) one that the broker has stamped: the attribute, both times, and a new checksum.
func stampNow(batch []byte) {
	now := uint64(time.Now().UnixMilli())
	binary.BigEndian.PutUint16(batch[21:], binary.BigEndian.Uint16(batch[21:])|1<<3)
	binary.BigEndian.PutUint64(batch[27:], now)
	binary.BigEndian.PutUint64(batch[35:], now)
	binary.BigEndian.PutUint32(batch[17:], crc32.Checksum(batch[21:], crc32.MakeTable(crc32.Castagnoli)))
}

// The cycles of all lanes share what there is for them, and each ends where its part does: at records, rows, or parts of older history.
func TestCyclesOfManyLanes(t *testing.T) {
	p := &Processor{cfg: Config{DeadLetters: "dead-letters", Log: zap.NewNop()}}
	for _, of := range []struct{ all, lanes, want int64 }{{0, 100, cycleBytes}, {16 << 20, 12, cycleBytes}, {2 << 20, 8, 256 << 10}, {2 << 20, 100, leastBytes}} {
		p.cfg.Cycles = of.all
		p.running.Store(of.lanes)
		if got := p.cycleBytes(); int64(got) != of.want {
			t.Errorf("%d bytes of %d for one of %d lanes, want %d", got, of.all, of.lanes, of.want)
		}
	}
	in := sketch("events")
	in.fetch("events", 0, make([]float64, 1000)...)
	c := &cycle{p: p, inputs: []*input{in}, clock: &clock{}, letters: map[string]int{}, users: &users{}, most: 10_000}
	if err := c.apply(time.Now().Add(time.Hour)); err != nil || !c.ready || c.bytes < c.most || c.bytes > 2*c.most {
		t.Errorf("%d records and %d bytes in a cycle of %d bytes, more: %v, %v", c.count, c.bytes, c.most, c.ready, err)
	}
	c.bytes, c.users.parts = 0, c.most
	if err := c.apply(time.Now().Add(time.Hour)); err != nil || !c.ready {
		t.Errorf("a cycle goes on with %d bytes of older history of %d: %v", c.users.parts, c.most, err)
	}
}
