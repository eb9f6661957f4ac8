package main

import (
	"fmt"
	"math"
	"slices"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/value"
	"github.com/tripline/tripline/processor/virtual"
)

// worker goes through buckets of users, one after the other, on a goroutine of its own.
type worker struct {
	st        *stretch
	sums      *sums
	versus    *comparison // nil: nothing to compare with
	writers   recordWriters
	spool     spool
	line, old *virtual.Line // of the bucket; old: of the campaigns to compare with, or nil
	at, last  key           // of the input that is being applied; of what was decided last
	passing   bool          // time passes: no input is being applied
	emissions []byte
	block     []byte // of a bucket's inputs
	room      value.Properties
}

func newWorker(st *stretch) *worker {
	p := st.r.plan
	w := &worker{st: st, sums: newSums(p.set), writers: *st.r.writers, spool: spool{room: int(st.r.memory) / st.r.workers},
		block: make([]byte, 256<<10), room: make(value.Properties, 0, 256)}
	if p.old != nil {
		w.versus, _ = newComparison(p.set.Names(), p.old.Names()) // the rehearsal has made one already
	}
	return w
}

// replay runs the campaigns over the inputs of a bucket, and lets time run on. It writes the emissions to a run, in the order of their keys.
func (w *worker) replay(inputs *entries, until int64, to *strand) error {
	w.at, w.last, w.passing = key{time: math.MinInt64}, key{time: math.MinInt64}, true
	w.line, w.old = virtual.New(w.st.r.set, w.decided), nil
	if w.versus != nil {
		w.old = virtual.New(w.st.r.plan.old, func(out *campaign.Output) { w.versus.add(out, old) })
		w.old.Spare(w.st.r.plan.old.Sparing(func(string) bool { return false }))
	}
	w.sums.settle(w.at)
	w.spare()
	var in input
	for n := 1; ; n++ {
		entry, more, err := inputs.next()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if !in.read(entry, w.room) {
			return errSpool
		}
		w.apply(&in)
		if n%256 > 0 {
			continue
		}
		if err := w.st.ctx.Err(); err != nil {
			return err
		}
		if w.sums.settle(w.at) {
			w.spare()
		}
		if err := w.write(to); err != nil {
			return err
		}
	}
	w.until(until)
	w.sums.Users += w.line.Users()
	if w.versus != nil {
		w.versus.count()
	}
	w.line, w.old = nil, nil
	return w.write(to)
}

func (w *worker) write(to *strand) error {
	err := w.spool.write(to, w.emissions)
	w.emissions = w.emissions[:0]
	return err
}

// apply runs the campaigns over an input.
func (w *worker) apply(in *input) {
	w.until(in.arrival)
	w.at, w.passing = key{time: in.arrival, number: in.number}, false
	if bad := in.apply(w.line); bad != nil {
		w.sums.unreadable(fmt.Sprintf("user %q at %s", in.event.User, calendar.AppendTime(nil, in.arrival)), bad)
	}
	if w.old != nil {
		in.apply(w.old)
	}
	w.passing = true
}

func (in *input) apply(l *virtual.Line) *record.Rejection {
	switch in.kind {
	case aProfile:
		return l.Profile(&record.Profile{User: in.event.User, Properties: in.event.Profile}, in.arrival)
	case aTombstone:
		l.Erase(in.event.User, in.arrival)
		return nil
	}
	return l.Event(&in.event, in.arrival)
}

func (w *worker) until(now int64) {
	w.line.Until(now)
	if w.old != nil {
		w.old.Until(now)
	}
}

// spare has history keep less of what only sample users show: nobody is shown any more but those who are.
func (w *worker) spare() {
	w.line.Spare(w.st.r.set.Sparing(func(campaign string) bool { return !w.sums.Campaigns[campaign].settled }))
}

// decided counts and encodes what a step of the bucket's line has decided.
func (w *worker) decided(out *campaign.Output) {
	w.sums.Duplicates += out.Counts.Duplicates
	if !out.Counts.Decided() {
		return
	}
	w.sums.addDecisions(out.Decisions)
	if !w.st.r.plan.cfg.Decisions.NotInAudience {
		out.Decisions = slices.DeleteFunc(out.Decisions, func(d record.Decision) bool { return d.Reason == "not_in_audience" })
	}
	k := w.at
	if w.passing {
		k = key{time: w.line.Now(), passed: true}
		switch {
		case len(out.Triggers) > 0:
			k.user = out.Triggers[0].User
		case len(out.Decisions) > 0:
			k.user = out.Decisions[0].User
		}
	}
	if k.compare(w.last) < 0 { // what was already due when it was set
		k = w.last
	}
	w.last = k
	w.sums.add(out, w.line, k)
	if w.versus != nil {
		w.versus.add(out, fresh)
	}
	w.emissions = w.writers.appendEmission(w.emissions, &k, out)
}
