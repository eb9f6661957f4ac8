//go:build synctests

package processor

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What an event in the backlog of an outage ended does not fire, however long ago its deadline was.
func TestBacklogAfterAnOutage(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		p := w.launch(vfs.NewCrashableMem())
		for _, user := range people {
			w.send(event("events", user, "Cart"))
		}
		time.Sleep(10 * time.Second)
		disk := p.stop()
		time.Sleep(30 * time.Second)
		w.send(event("events", "ann", "Paid"), event("events", "bob", "Paid"))
		time.Sleep(time.Hour)
		w.send(event("events", "cid", "Paid")) // too late
		on := w.slow("events")
		p = w.launch(disk)
		time.Sleep(15 * time.Second)
		for _, user := range people[:3] {
			w.expect(user)
		}
		on()
		time.Sleep(10 * time.Second)
		w.expect("ann")
		w.expect("bob")
		w.expect("cid", "cart 60000")
		w.expect("dan", "cart 60000")
		w.whole()
		p.stop()
	})
}

// A watch that was set in one topic is ended by the backlog of another, though that one comes in later.
func TestSlowerTopicEndsAWatch(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		// Much in one topic, so that it takes several fetches; what ends the watches is at the end of the other.
		for i := range 20 {
			var records []*kgo.Record
			for range 300 {
				for _, user := range people {
					records = append(records, event("events", user+fmt.Sprint(i), "Other"))
				}
			}
			w.send(records...)
			time.Sleep(time.Second)
		}
		for _, user := range people {
			w.send(event("events", user, "Cart"))
		}
		time.Sleep(30 * time.Second)
		for _, user := range people[1:] {
			w.send(event("payments", user, "Paid"))
		}
		time.Sleep(10 * time.Minute)
		for _, user := range people { // by these records' arrival the watches are past
			w.send(event("events", user, "Other"))
		}
		on := w.slow("payments")
		p := w.launch(vfs.NewCrashableMem(), merged)
		time.Sleep(10 * time.Second)
		w.expect("ann")
		on()
		time.Sleep(10 * time.Second)
		w.expect("ann", "cart 80000")
		w.expect("bob")
		w.whole()
		p.stop()
	})
}

// A silent topic holds neither events nor stream time up.
func TestSilentTopic(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		p := w.launch(vfs.NewCrashableMem(), merged)
		time.Sleep(3 * time.Second)
		w.send(event("events", "ann", "Launch"), event("events", "bob", "Cart"))
		time.Sleep(time.Second)
		w.expect("ann", "launch 3000")
		time.Sleep(time.Minute)
		w.expect("bob", "cart 63000")
		w.whole()
		p.stop()
	})
}

// While a producer has a transaction open that holds the event which ends a watch, the watch does not fire.
func TestForeignTransaction(t *testing.T) {
	for _, commit := range []bool{true, false} {
		t.Run(fmt.Sprintf("commit=%v", commit), func(t *testing.T) {
			inWorld(t, 1, func(t *testing.T, w *world) {
				p := w.launch(vfs.NewCrashableMem())
				w.send(event("events", "ann", "Cart"))
				time.Sleep(20 * time.Second)
				foreign := w.foreign(event("events", "ann", "Paid"))
				time.Sleep(4 * time.Minute)
				w.expect("ann")
				if behind, _ := p.metric("tripline_processor_stream_time_behind_seconds"); behind < 230 || behind > 250 {
					t.Errorf("stream time is %v s behind, held for 4 min", behind)
				}
				if age, _ := p.metric("tripline_processor_oldest_due_timer_seconds"); age < 195 || age > 200 {
					t.Errorf("the oldest due timer is %v s old, 260 s after a watch of a minute began", age)
				}
				if err := foreign.EndTransaction(t.Context(), kgo.TransactionEndTry(commit)); err != nil {
					t.Fatal(err)
				}
				foreign.Close()
				time.Sleep(5 * time.Second)
				if commit {
					w.expect("ann")
				} else {
					w.expect("ann", "cart 60000")
				}
				w.whole()
				p.stop()
				if _, left := p.metric("tripline_processor_stream_time_behind_seconds"); left {
					t.Error("a lane that has ended still shows its stream time")
				}
			})
		})
	}
}

// Duplicates are one event, and a late one takes its place: it ends a watch whose moment has passed but which settles.
func TestDuplicateAndLate(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		p := w.launch(vfs.NewCrashableMem())
		timed := func(user, name string, at time.Time, id string) *kgo.Record {
			return &kgo.Record{Topic: "events", Key: []byte(user), Value: fmt.Appendf(nil, `{"event":%q,"time":%d,"id":%q}`, name, at.UnixMilli(), id)}
		}
		time.Sleep(10 * time.Minute)
		now := time.Now()
		w.send(timed("ann", "Launch", now, "1"), timed("ann", "Launch", now, "1"))
		w.send(timed("bob", "Cart", now.Add(-5*time.Minute), "1"), timed("cid", "Cart", now.Add(-5*time.Minute), "1"))
		time.Sleep(5 * time.Second)
		w.expect("bob")
		w.send(timed("bob", "Paid", now.Add(-4*time.Minute-30*time.Second), "2"), timed("cid", "Paid", now.Add(-time.Minute), "2"))
		w.send(timed("bob", "Paid", now.Add(-4*time.Minute-30*time.Second), "2"))
		time.Sleep(time.Minute)
		w.expect("ann", "launch 600000")
		w.expect("bob")
		w.expect("cid", "cart 360000")
		if odd, _ := p.metric("tripline_processor_input_oddities_total"); odd != 2 {
			t.Errorf("%v duplicates counted", odd)
		}
		w.whole()
		p.stop()
	})
}

// An erasure ends what is open, and the empty value stands behind all that the user triggered before.
func TestErasure(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		p := w.launch(vfs.NewCrashableMem(), merged)
		tombstone := func(user string) *kgo.Record { return &kgo.Record{Topic: "profiles", Key: []byte(user)} }
		w.send(event("events", "ann", "Launch"), event("events", "ann", "Cart"), event("events", "bob", "Cart"))
		time.Sleep(30 * time.Second)
		w.send(tombstone("ann"), tombstone("nobody"))
		time.Sleep(time.Second)
		w.expect("ann", "launch 0", "erased")
		w.expect("nobody", "erased")
		again := event("events", "ann", "Launch")
		w.send(again) // within min_gap of what nobody remembers
		time.Sleep(time.Minute)
		w.expect("ann", "launch 0", "erased", "launch "+since(again.Timestamp.UnixMilli()))
		w.expect("bob", "cart 60000")
		w.send(tombstone("ann"))
		time.Sleep(time.Second)
		part, err := p.store.Partition(0)
		if err != nil {
			t.Fatal(err)
		}
		if head, _, found, err := part.Head("ann"); found || err != nil {
			t.Errorf("a row is left: %q, %v", head, err)
		}
		w.whole()
		p.stop()
	})
}

// Records that cannot be read are set aside whole, each with its reason, and hold nothing up.
func TestDeadLetters(t *testing.T) {
	long := strings.Repeat("x", 513)
	huge := []byte(`{"event":"` + strings.Repeat("x", 1<<20) + `"}`)
	bad := []struct{ reason, topic, key, value string }{
		{"null", "events", "ann", ""},
		{"too_large", "events", "ann", string(huge)},
		{"utf8", "events", "ann", "{\"event\":\"\xff\"}"},
		{"json", "events", "ann", `{`},
		{"no_user", "events", long, `{"event":"A"}`},
		{"no_key", "events", "", `{"event":"A","user_id":"ann"}`},
		{"user_differs", "events", "ann", `{"event":"A","user_id":"bob"}`},
		{"no_event", "events", "ann", `{}`},
		{"bad_time", "events", "ann", `{"event":"A","time":"soon"}`},
		{"bad_properties", "events", "ann", `{"event":"A","properties":1}`},
		{"bad_properties", "profiles", "ann", `{}`},
		{"no_user", "profiles", "", ""},
	}
	inWorld(t, 1, func(t *testing.T, w *world) {
		client, err := kgo.NewClient(append(w.options(w.network.DialContext), kgo.ProducerBatchMaxBytes(4<<20))...)
		if err != nil {
			t.Fatal(err)
		}
		p := w.launch(vfs.NewCrashableMem(), merged)
		var sent []*kgo.Record
		for i, b := range bad {
			r := &kgo.Record{Topic: b.topic, Headers: []kgo.RecordHeader{{Key: "own", Value: []byte{byte(i)}}, {Key: "own", Value: nil}}}
			if b.key != "" {
				r.Key = []byte(b.key)
			}
			if b.value != "" {
				r.Value = []byte(b.value)
			}
			sent = append(sent, r)
			if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		client.Close()
		w.send(event("events", "ann", "Launch"))
		time.Sleep(5 * time.Second)
		w.expect("ann", fmt.Sprintf("launch %d", len(bad)*1000))
		letters := w.read("dead-letters")
		if len(letters) != len(bad) {
			t.Fatalf("%d dead letters of %d", len(letters), len(bad))
		}
		for i, r := range letters {
			checkLetter(t, bad[i].reason, sent[i], r)
		}
		if n, _ := p.metric("tripline_processor_dead_letters_total"); int(n) != len(bad) {
			t.Errorf("%v dead letters counted", n)
		}
		w.whole()
		p.stop()
	})
}

func checkLetter(t *testing.T, reason string, was, r *kgo.Record) {
	t.Helper()
	headers := map[string]string{}
	for _, h := range r.Headers {
		headers[h.Key] += string(h.Value)
	}
	for name, want := range map[string]string{
		"tripline-source-topic": was.Topic, "tripline-source-partition": fmt.Sprint(was.Partition), "tripline-source-offset": fmt.Sprint(was.Offset),
		"tripline-source-timestamp": fmt.Sprint(was.Timestamp.UnixMilli()), "tripline-size": fmt.Sprint(len(was.Value)), "tripline-reason": reason,
		"own": string(was.Headers[0].Value),
	} {
		if headers[name] != want {
			t.Errorf("%s: header %s is %q, not %q", reason, name, headers[name], want)
		}
	}
	if headers["tripline-detail"] == "" {
		t.Errorf("%s: no detail", reason)
	}
	if string(r.Key) != string(was.Key) || (r.Key == nil) != (was.Key == nil) {
		t.Errorf("%s: key %q", reason, r.Key)
	}
	if want := was.Value[:min(len(was.Value), 512<<10)]; string(r.Value) != string(want) || (r.Value == nil) != (want == nil) {
		t.Errorf("%s: %d bytes of value, not %d", reason, len(r.Value), len(want))
	}
}

// A record dated in the future moves no time: neither stream time nor other users' timers.
func TestFutureRecord(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		p := w.launch(vfs.NewCrashableMem(), merged)
		w.send(event("events", "ann", "Cart"))
		time.Sleep(10 * time.Second)
		w.send(at(event("events", "bob", "Cart"), time.Now().Add(24*time.Hour)), at(event("payments", "ann", "Other"), time.Now().Add(time.Hour)))
		time.Sleep(5 * time.Second)
		w.expect("ann")
		w.send(event("payments", "ann", "Paid"), event("events", "cid", "Cart"))
		time.Sleep(58 * time.Second)
		w.expect("ann")
		w.expect("cid")
		time.Sleep(5 * time.Second)
		w.expect("cid", "cart 75000")
		// bob's was cut to the clock when it was applied.
		if got := w.triggers()["bob"]; len(got) != 1 || got[0] < "cart 70000" || got[0] > "cart 70300" {
			t.Errorf("bob has %q", got)
		}
		p.stop()
	})
}

// More timers that are due at once than fit into a cycle fire all, and once, in several cycles: as many as so many users, or as so many bytes.
func TestBurst(t *testing.T) {
	for name, padding := range map[string]int{"users": 0, "bytes": 50 << 10} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 1, func(t *testing.T, w *world) {
				p := w.launch(vfs.NewCrashableMem())
				time.Sleep(3 * time.Second)
				n := dueUsers + dueUsers/4
				if padding > 0 {
					n = 3 * cycleBytes / padding
				}
				for i := 0; i < n; i += 500 {
					var records []*kgo.Record
					for j := i; j < min(n, i+500); j++ {
						records = append(records, &kgo.Record{Topic: "events", Key: fmt.Append(nil, "u", j),
							Value: fmt.Appendf(nil, `{"event":"Cart","properties":{"note":%q}}`, strings.Repeat("x", padding))})
					}
					w.send(records...)
				}
				time.Sleep(65 * time.Second)
				triggers := w.read("triggers")
				if len(triggers) != n {
					t.Errorf("%d triggers of %d", len(triggers), n)
				}
				users, bytes := 0, 0 // of one cycle: the marker of each transaction takes an offset
				for i, r := range triggers {
					if i > 0 && r.Offset > triggers[i-1].Offset+1 {
						users, bytes = 0, 0
					}
					users, bytes = users+1, bytes+len(r.Value)
					if users > dueUsers || bytes > cycleBytes {
						t.Fatalf("%d users, %d bytes and more in one cycle", users, bytes)
					}
				}
				p.stop()
			})
		})
	}
}

// With keys that say nothing of the user, one name in two partitions is two users, though one lane has both.
func TestKeyIgnored(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		keys := map[int32]string{}
		for i := 0; len(keys) < 2; i++ {
			key := fmt.Sprint(i)
			keys[int32(kgo.StickyKeyPartitioner(nil).ForTopic("events").Partition(&kgo.Record{Key: []byte(key)}, 2))] = key
		}
		p := w.launch(vfs.NewCrashableMem(), func(cfg *Config) { cfg.Lane.Lanes, cfg.Envelope.KeyIgnored = 1, true })
		for _, r := range []struct {
			number int32
			event  string
		}{{0, "Cart"}, {1, "Cart"}, {1, "Paid"}} {
			w.send(&kgo.Record{Topic: "events", Key: []byte(keys[r.number]), Value: fmt.Appendf(nil, `{"user_id":"ann","event":%q}`, r.event)})
			time.Sleep(time.Second)
		}
		time.Sleep(65 * time.Second)
		w.expect("ann", "cart 60000")
		for number, want := range []int64{1, 2} {
			if at := p.position(int32(number)); at.Inputs["events"] != want {
				t.Errorf("position %+v", at)
			}
		}
		p.stop()
	})
}

// Log ends are asked for often only while a timer is due within a second.
func TestAsking(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		asked := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: "events", Observe: true, Count: -1,
			When: func(req kmsg.Request) bool {
				return req.(*kmsg.ListOffsetsRequest).Topics[0].Partitions[0].Timestamp == -1
			}})
		p := w.launch(vfs.NewCrashableMem())
		time.Sleep(5 * time.Second)
		w.send(event("events", "ann", "Cart"))
		count := func(d time.Duration) int {
			before := asked.Hits()
			time.Sleep(d)
			return int(asked.Hits() - before)
		}
		time.Sleep(5 * time.Second)
		if n := count(50 * time.Second); n < 40 || n > 51 {
			t.Errorf("%d questions in 50 s without a timer that is due soon", n)
		}
		time.Sleep(4100 * time.Millisecond)
		if n := count(900 * time.Millisecond); n < 7 || n > 10 {
			t.Errorf("%d questions in the 0.9 s before a timer is due", n)
		}
		w.expect("ann")
		time.Sleep(time.Second)
		w.expect("ann", "cart 65000")
		if n := count(50 * time.Second); n < 40 || n > 51 {
			t.Errorf("%d questions in 50 s after the last timer", n)
		}
		p.stop()
	})
}
