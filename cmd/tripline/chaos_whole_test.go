//go:build synctests

package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/sink/delivery"
	"github.com/tripline/tripline/state"
)

// whole ends the faults and checks that everything moves again within 30 s, and then that everything is whole: triggers
// and decisions are those of one pure run over the input, no timer fired early, each trigger has exactly one final delivery,
// and what is in the changelogs, on the disks and in the pure run's memory is the same.
func (w *chaos) whole() {
	w.t.Helper()
	w.strangers.Wait()
	w.calm.Store(true)
	for _, h := range w.hooks {
		h.calm.Store(true)
	}
	for _, m := range w.members {
		m.heal()
		if m.cancel == nil {
			m.start(m.disk)
		}
	}
	w.tell("faults have ended")
	w.within(30*time.Second, "every partition moves again", w.unmoved)
	w.within(90*time.Second, "triggers and decisions are the model's", w.difference)
	w.within(10*time.Minute, "every trigger has its final delivery", w.undelivered)
	time.Sleep(time.Minute)
	if stuck := w.unmoved(); stuck != "" {
		for _, m := range w.members {
			w.tell("%s: %+v", m.name, m.lanes())
		}
		for _, group := range []string{"g-processor", "g-sink"} {
			w.tell("the broker's view: %+v", *w.cluster.GroupInfo(group))
		}
		w.t.Errorf("in the end: %s", stuck)
		return
	}
	w.t.Logf("%d events, %d triggers, %d decisions, %d delivery records, %d happenings", len(w.read("events")), len(w.read("triggers")),
		len(w.read("decisions")), len(w.read("deliveries")), len(w.told))
	for _, check := range []func() string{w.difference, w.undelivered, w.disorder, w.early, w.letters, w.unlikeChangelog, w.unlikeModel} {
		if diff := check(); diff != "" {
			w.t.Errorf("in the end: %s", diff)
		}
	}
}

// within waits until a check has nothing to say.
func (w *chaos) within(limit time.Duration, what string, check func() string) {
	w.t.Helper()
	diff := ""
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(time.Second) {
		if diff = check(); diff == "" {
			return
		}
	}
	w.t.Errorf("not within %s: %s: %s", limit, what, diff)
}

// unmoved says what does not run or is behind its input's end.
func (w *chaos) unmoved() string {
	for _, of := range []struct {
		sink   bool
		inputs []string
	}{{false, []string{"events", "profiles"}}, {true, []string{"triggers"}}} {
		ends, err := kadm.NewClient(w.client).ListEndOffsets(context.Background(), of.inputs...)
		if err != nil {
			return err.Error()
		}
		owners := w.owners(of.sink)
		for p := range int32(chaosPartitions) {
			part := owners[p]
			if part == nil {
				return fmt.Sprintf("partition %d (sink: %t) has no owner that runs", p, of.sink)
			}
			for _, topic := range of.inputs {
				end, _ := ends.Lookup(topic, p)
				if at := part.Position().Inputs[topic]; at < end.Offset {
					return fmt.Sprintf("partition %d of %s is at %d of %d", p, topic, at, end.Offset)
				}
			}
		}
	}
	return ""
}

// owners are the partitions of the lanes that run.
func (w *chaos) owners(sink bool) map[int32]*state.Partition {
	owners := map[int32]*state.Partition{}
	for _, m := range w.members {
		for _, s := range m.lanes() {
			if m.sink != sink || s.Phase != "running" {
				continue
			}
			part, err := m.store.Partition(s.Lane)
			if err != nil {
				w.t.Fatal(err)
			}
			owners[s.Lane] = part
		}
	}
	return owners
}

// read returns the committed records of a topic, those of a partition in their order.
func (w *chaos) read(topic string) (records []*kgo.Record) {
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
		reader.PollFetches(context.Background()).EachRecord(func(r *kgo.Record) {
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

// early says which trigger was written before its moment.
func (w *chaos) early() string {
	for _, r := range w.read("triggers") {
		if t, err := record.ParseTrigger(r.Value); err == nil && (t.EmittedAt < t.Time || t.EmittedAt < t.Left) {
			return fmt.Sprintf("early: %s", r.Value)
		}
	}
	return ""
}

// undelivered says which trigger does not have one final delivery, or was delivered to nobody.
func (w *chaos) undelivered() string {
	finals, last := map[string]int{}, map[string]*delivery.Record{}
	for _, r := range w.read("deliveries") {
		d, err := delivery.Parse(r.Value)
		if err != nil {
			return err.Error()
		}
		if last[d.TriggerID] = &d; d.Final() {
			finals[d.TriggerID]++
		}
	}
	received, owed := map[string]bool{}, map[string]bool{}
	for _, h := range w.hooks {
		h.mu.Lock()
		for id := range h.seen {
			received[id] = true
		}
		h.mu.Unlock()
	}
	for _, r := range w.read("triggers") {
		if len(r.Value) == 0 {
			continue
		}
		t, err := record.ParseTrigger(r.Value)
		if err != nil {
			return err.Error()
		}
		if owed[t.ID] { // a profile's date that was set to the same moment once more: one id, one delivery
			continue
		}
		owed[t.ID] = true
		if n := finals[t.ID]; n != 1 || !last[t.ID].Final() {
			return fmt.Sprintf("%d final deliveries of trigger %s, the last of all: %+v", n, t.ID, last[t.ID])
		}
		if last[t.ID].Outcome == "delivered" && !received[t.ID] {
			return fmt.Sprintf("trigger %s was delivered to nobody", t.ID)
		}
		delete(finals, t.ID)
	}
	if len(finals) > 0 {
		return fmt.Sprintf("final deliveries of no trigger: %v", finals)
	}
	return ""
}

// disorder says which trigger for the endpoint with an order was tried while one of its user before it had not ended. Records of one
// partition are in the order in which they were written, and a user's are in one.
func (w *chaos) disorder() string {
	records := map[string][]delivery.Record{}
	for _, r := range w.read("deliveries") {
		d, err := delivery.Parse(r.Value)
		if err != nil {
			return err.Error()
		}
		records[d.TriggerID] = append(records[d.TriggerID], d)
	}
	ended := map[string]int64{}
	for _, r := range w.read("triggers") {
		t, err := record.ParseTrigger(r.Value)
		if err != nil || t.Endpoint != "b" {
			continue
		}
		mine := records[t.ID]
		delete(records, t.ID) // one id may come twice, and is delivered once
		for _, d := range mine {
			if began := d.Time - d.Latency; d.Sent && began < ended[t.User] && !d.OutOfOrder {
				return fmt.Sprintf("attempt %d of %s began at %d, and the one before it ended at %d", d.Attempt, t.ID, began, ended[t.User])
			}
			if d.Final() {
				ended[t.User] = max(ended[t.User], d.Time)
			}
		}
	}
	return ""
}

// letters counts the dead letters of the processor: one of each record that cannot be read.
func (w *chaos) letters() string {
	bad, letters := 0, 0
	for _, r := range w.read("events") {
		if string(r.Value) == `{"event":` {
			bad++
		}
	}
	for _, r := range w.read("dead-letters") {
		for _, h := range r.Headers {
			if h.Key == "tripline-source-topic" && string(h.Value) == "events" {
				letters++
			}
		}
	}
	if letters != bad {
		return fmt.Sprintf("%d dead letters of %d records that cannot be read", letters, bad)
	}
	return ""
}

// rows are a partition's.
func rows(part *state.Partition) (map[state.Key]state.Row, error) {
	all := map[state.Key]state.Row{}
	return all, part.Scan(func(r state.Row) error {
		r.Content = bytes.Clone(r.Content)
		all[r.Key] = r
		return nil
	})
}

// unlikeChangelog restores each changelog into an empty store, and compares it with what its owner has.
func (w *chaos) unlikeChangelog() string {
	for _, of := range []struct {
		sink      bool
		changelog string
	}{{false, "g-processor-changelog"}, {true, "g-sink-changelog"}} {
		store, err := state.Open(state.Config{Dir: "again", FS: vfs.NewMem(), Memory: 32 << 20})
		if err != nil {
			return err.Error()
		}
		defer store.Close()
		owners, records := w.owners(of.sink), w.read(of.changelog)
		for p := range int32(chaosPartitions) {
			part, err := store.Partition(p)
			if err != nil {
				return err.Error()
			}
			restorer := part.Restore()
			for _, r := range records {
				if r.Partition == p && err == nil {
					err = restorer.Add(r.Key, r.Value, r.Offset)
				}
			}
			if err == nil {
				err = restorer.Finish(restorer.Position())
			}
			if err != nil {
				return err.Error()
			}
			want, err := rows(part)
			got, err2 := rows(owners[p])
			if err != nil || err2 != nil {
				return fmt.Sprint(err, err2)
			}
			for key, row := range want {
				if mine, ok := got[key]; !ok || !bytes.Equal(mine.Content, row.Content) || mine.Due != row.Due {
					return fmt.Sprintf("row %v of %s partition %d is %q due %d, replayed %q due %d", key, of.changelog, p, mine.Content, mine.Due, row.Content, row.Due)
				}
				delete(got, key)
			}
			if len(got) > 0 {
				return fmt.Sprintf("rows of partition %d that are not in %s: %v", p, of.changelog, slices.Collect(maps.Keys(got)))
			}
		}
	}
	return ""
}
