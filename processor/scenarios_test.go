//go:build synctests

package processor

import (
	"errors"
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
		p = w.launch(disk)
		time.Sleep(5 * time.Second)
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
		p := w.launch(vfs.NewCrashableMem(), merged)
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
				foreign, err := kgo.NewClient(append(w.options(w.network.DialContext), kgo.TransactionalID("foreign"), kgo.TransactionTimeout(10*time.Minute))...)
				if err != nil {
					t.Fatal(err)
				}
				if err := foreign.BeginTransaction(); err != nil {
					t.Fatal(err)
				}
				if err := foreign.ProduceSync(t.Context(), event("events", "ann", "Paid")).FirstErr(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(4 * time.Minute)
				w.expect("ann")
				if behind, _ := p.metric("tripline_processor_stream_time_behind_seconds"); behind < 230 || behind > 250 {
					t.Errorf("stream time is %v s behind, held for 4 min", behind)
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

// brokerBehind makes the broker's clock an hour slower than this machine's, as its append times tell.
func (w *world) brokerBehind() {
	w.cluster.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		r := req.(*kmsg.ListOffsetsRequest)
		if r.Topics[0].Topic != "g-processor-changelog" || r.Topics[0].Partitions[0].Timestamp != -3 {
			return nil, nil, false
		}
		resp := r.ResponseKind().(*kmsg.ListOffsetsResponse)
		topic := kmsg.NewListOffsetsResponseTopic()
		topic.Topic = r.Topics[0].Topic
		for _, p := range r.Topics[0].Partitions {
			answer := kmsg.NewListOffsetsResponseTopicPartition()
			answer.Partition, answer.Offset, answer.Timestamp = p.Partition, 1<<40, time.Now().Add(-time.Hour).UnixMilli()
			topic.Partitions = append(topic.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
}

// A machine whose clock is an hour ahead fires nothing early: the broker's clock counts.
func TestClockAhead(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.brokerBehind()
		broker := func() time.Time { return time.Now().Add(-time.Hour) }
		p := w.launch(vfs.NewCrashableMem())
		w.send(at(event("events", "ann", "Cart"), broker()), at(event("events", "bob", "Cart"), broker().Add(30*time.Minute)))
		time.Sleep(59 * time.Second)
		w.expect("ann")
		time.Sleep(2 * time.Second)
		w.expect("ann", fmt.Sprintf("cart %d", 60_000-time.Hour.Milliseconds()))
		if ahead, _ := p.metric("tripline_processor_clock_ahead_seconds"); ahead < 3600 || ahead > 3601 {
			t.Errorf("ahead by %v s", ahead)
		}
		if p.logs.FilterMessageSnippet("clock").Len() != 1 {
			t.Errorf("lines about the clock: %v", p.logs.FilterMessageSnippet("clock").All())
		}
		p.stop()
	})
}

// traffic sends a mixture, the same in every run, over a time.
func (w *world) traffic(seconds int, topics ...string) {
	names := []string{"Cart", "Other", "Paid", "Launch", "Cart"}
	for range seconds * 2 {
		for range 2 {
			w.send(event(topics[w.rng.IntN(len(topics))], people[w.rng.IntN(len(people))], names[w.rng.IntN(len(names))]))
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// Cycles that are aborted, or of which nobody knows, leave nothing twice and nothing out.
func TestAborted(t *testing.T) {
	for _, applied := range []bool{false, true} {
		t.Run(fmt.Sprintf("applied=%v", applied), func(t *testing.T) {
			inWorld(t, 2, func(t *testing.T, w *world) {
				p := w.launch(vfs.NewCrashableMem(), merged)
				time.Sleep(5 * time.Second)
				n := 0
				w.cluster.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
					w.cluster.KeepControl()
					if n++; n%7 != 0 || n > 70 {
						return nil, nil, false
					}
					if applied {
						p.wire.drop()
						return nil, nil, false
					}
					return nil, errors.New("cut"), true
				})
				fault := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Count: 3})
				w.traffic(150, "events", "payments")
				time.Sleep(90 * time.Second)
				if n < 70 || fault.Hits() != 3 || p.logs.FilterMessage("lane is taken anew").Len() == 0 {
					t.Errorf("%d ends, %d refused", n, fault.Hits())
				}
				w.whole()
				p.stop()
			})
		})
	}
}

// A crash between cycles, or in one, with or without the disk, goes on as if it had not been.
func TestCrash(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		disk := vfs.NewCrashableMem()
		for i := range 8 {
			p := w.launch(disk, merged)
			w.traffic(12, "events", "payments")
			time.Sleep(time.Duration(i*137) * time.Millisecond)
			if disk = p.crash(); i%3 == 2 {
				disk = vfs.NewCrashableMem()
			}
			w.traffic(3, "events", "payments")
		}
		p := w.launch(disk, merged)
		time.Sleep(2 * time.Minute)
		w.whole()
		if got := w.triggers(); len(got) != len(people) {
			t.Errorf("triggers of %d users", len(got))
		}
		p.stop()
	})
}
