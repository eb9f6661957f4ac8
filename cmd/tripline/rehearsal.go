package main

import (
	"runtime"

	"github.com/tripline/tripline/processor/campaign"
)

// rehearsal runs campaigns, and those of --against beside them, over one stretch of input after the other.
type rehearsal struct {
	plan    *backtestPlan
	set     *campaign.Set // that of the plan, telling when somebody was not in an audience, written or not
	sums    *sums
	versus  *comparison // nil: nothing to compare with
	writers *recordWriters
	shown   *progress
	workers int   // how many buckets of users are gone through side by side
	block   int   // bytes of the input that are read at once, about
	memory  int64 // what a spool may have in memory, bytes
}

func newRehearsal(p *backtestPlan, writers *recordWriters) (*rehearsal, error) {
	r := &rehearsal{plan: p, set: p.set.Telling(), sums: newSums(p.set), writers: writers, shown: &progress{}, workers: runtime.GOMAXPROCS(0), block: 512 << 10, memory: int64(p.cfg.Memory) / 8}
	if p.old != nil {
		var err error
		if r.versus, err = newComparison(p.set.Names(), p.old.Names()); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *rehearsal) result() *sums {
	if r.versus != nil {
		r.versus.sum(r.sums)
	}
	return r.sums
}
