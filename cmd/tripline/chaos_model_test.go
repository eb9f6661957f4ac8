//go:build synctests

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor"
	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/virtual"
	"github.com/tripline/tripline/state"
)

// decided are triggers and decisions by topic and user, in their order.
type decided map[string][]string

func (d decided) add(o *campaign.Output) {
	for i := range o.Triggers {
		t := &o.Triggers[i]
		d["triggers of "+t.User] = append(d["triggers of "+t.User], string(t.Append(nil, 0)))
	}
	for i := range o.Decisions {
		x := &o.Decisions[i]
		d["decisions of "+x.User] = append(d["decisions of "+x.User], string(x.Append(nil)))
	}
}

// model is one pure run over the input in its order until now.
func (w *chaos) model() (d decided, lines map[int32]*virtual.Line) {
	d, lines = decided{}, map[int32]*virtual.Line{}
	for p := range int32(chaosPartitions) {
		lines[p] = virtual.New(w.crowd.set, d.add)
	}
	inputs := append(w.read("events"), w.read("profiles")...)
	// Of one partition number by the broker's time; those of one topic keep their order.
	slices.SortStableFunc(inputs, func(a, b *kgo.Record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), a.Timestamp.Compare(b.Timestamp))
	})
	envelope := record.Envelope{MaxBytes: 1 << 20}
	for _, r := range inputs {
		if r.Attrs.TimestampType() != 1 {
			w.t.Fatalf("%s/%d@%d has a timestamp of its producer: no two runs need agree", r.Topic, r.Partition, r.Offset)
		}
		line, arrival := lines[r.Partition], r.Timestamp.UnixMilli()
		if r.Topic == "profiles" {
			if p, erase, bad := envelope.Profile(r.Key, r.Value); erase {
				line.Erase(p.User, arrival)
			} else if bad == nil {
				line.Profile(&p, arrival)
			}
		} else if e, bad := envelope.Event(r.Key, r.Value, arrival); bad == nil {
			line.Event(&e, arrival)
		}
	}
	for _, line := range lines {
		line.Until(time.Now().UnixMilli())
	}
	return d, lines
}

// difference compares what was committed with the model's.
func (w *chaos) difference() string {
	got := decided{}
	for _, r := range w.read("triggers") {
		if len(r.Value) == 0 {
			continue
		}
		t, err := record.ParseTrigger(r.Value)
		if err != nil {
			return err.Error()
		}
		got["triggers of "+t.User] = append(got["triggers of "+t.User], string(t.Append(nil, 0)))
	}
	for _, r := range w.read("decisions") {
		of := "decisions of " + string(r.Key)
		got[of] = append(got[of], string(r.Value))
	}
	want, _ := w.model()
	for _, of := range slices.Sorted(maps.Keys(want)) {
		if !slices.Equal(got[of], want[of]) {
			return fmt.Sprintf("%s are\n  %q\nexpected\n  %q", of, got[of], want[of])
		}
		delete(got, of)
	}
	if len(got) > 0 {
		return fmt.Sprintf("beyond the model: %q", got)
	}
	return ""
}

// unlikeModel compares the rows on disk with the users of the pure run, and the timer index with when these are due. A user of whom
// there is nothing to keep has no row.
func (w *chaos) unlikeModel() string {
	_, lines := w.model()
	for p, part := range w.owners(false) {
		got, err := rows(part)
		if err != nil {
			return err.Error()
		}
		timers := map[string]int64{}
		due, err := part.Due(1<<60, 1<<20, nil)
		if err != nil {
			return err.Error()
		}
		for _, timer := range due {
			timers[timer.ID] = timer.Due
		}
		for i := range chaosUsers {
			id := fmt.Sprintf("u-%d", i+1)
			user := lines[p].User(id)
			if user == nil {
				continue
			}
			diff := ""
			user.Rows(func(n uint32, content []byte) {
				key := state.Key{ID: id, Part: n}
				if row := got[key]; !bytes.Equal(row.Content, content) && diff == "" {
					diff = fmt.Sprintf("row %d of %s is\n  %q\nin the state, and in the model\n  %q", n, id, row.Content, content)
				}
				delete(got, key)
			})
			if want, _ := user.Due(); timers[id] != want {
				diff = fmt.Sprintf("%s is due at %d in the index and at %d in the model", id, timers[id], want)
			}
			if diff != "" {
				return diff
			}
			delete(timers, id)
		}
		maps.DeleteFunc(got, func(key state.Key, _ state.Row) bool { return key.ID == processor.SetID })
		if len(got)+len(timers) > 0 {
			return fmt.Sprintf("rows %v and timers %v in the state of partition %d are of no user of the model", slices.Collect(maps.Keys(got)), timers, p)
		}
	}
	return ""
}
