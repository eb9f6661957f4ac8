package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// stretch is one input from its beginning to its end: a file, or a partition number of topics, which share no users. What users do does not
// depend on others, so their inputs are first laid into buckets by a hash of their names; then one bucket after the other is gone
// through, on each core one, and all that is needed for it is near at hand, however many users there are. What they decide is merged
// into the order of one run from front to back.
type stretch struct {
	r       *rehearsal
	ctx     context.Context
	cancel  context.CancelCauseFunc
	arrival int64 // the last
	lines   int   // so far
	size    int64 // of its input, as progress counts it
	spool   spool
	buckets [buckets]*strand
	workers []*worker
	room    []byte
}

func (r *rehearsal) begin(parent context.Context) *stretch {
	st := &stretch{r: r, spool: spool{room: int(r.memory)}}
	st.ctx, st.cancel = context.WithCancelCause(parent)
	for i := range st.buckets {
		st.buckets[i] = st.spool.strand()
	}
	return st
}

// take lays the next block of the stretch into the buckets.
func (st *stretch) take(b *block) error {
	for _, bad := range b.bad {
		st.r.sums.unreadable(fmt.Sprintf("line %d", st.lines+bad.number+1), bad.why)
	}
	st.r.sums.Events += b.events
	for i := range b.placed {
		p, end := &b.placed[i], len(b.encoded)
		if i+1 < len(b.placed) {
			end = b.placed[i+1].at
		}
		var head [2 * binary.MaxVarintLen64]byte
		place := binary.AppendUvarint(binary.AppendVarint(head[:0], max(st.arrival, p.arrival)), uint64(st.lines+p.number))
		st.room = append(binary.AppendUvarint(st.room[:0], uint64(len(place)+end-p.at)), place...)
		st.room = append(st.room, b.encoded[p.at:end]...)
		if err := st.spool.write(st.buckets[p.bucket], st.room); err != nil {
			return err
		}
	}
	st.lines += b.lines
	st.arrival = max(st.arrival, b.last)
	return nil
}

// end goes through the buckets, lets time run on, and writes what is decided.
func (st *stretch) end(until int64) error {
	st.r.shown.goThrough(true)
	defer st.r.shown.goThrough(false)
	st.spool.all = nil // what a bucket has in memory goes with it
	runs, next := make([]*track, buckets), atomic.Int32{}
	var working sync.WaitGroup
	for range st.r.workers {
		w := newWorker(st)
		st.workers = append(st.workers, w)
		working.Go(func() {
			if err := w.work(&next, until, runs); err != nil {
				st.cancel(err)
			}
		})
	}
	working.Wait()
	switch err := context.Cause(st.ctx); {
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	case err != nil:
		return err
	}
	for _, w := range st.workers {
		st.r.sums.merge(w.sums)
		if w.versus != nil {
			st.r.versus.merge(w.versus)
		}
	}
	return merge(runs, st.r.writers.write)
}

// work goes through buckets until there are no more.
func (w *worker) work(next *atomic.Int32, until int64, runs []*track) error {
	type written struct {
		bucket int
		to     *strand
	}
	var all []written
	for i := int(next.Add(1)) - 1; i < buckets; i = int(next.Add(1)) - 1 {
		one := written{i, w.spool.strand()}
		if err := w.replay(w.st.spool.entries(w.st.buckets[i], w.block), until, one.to); err != nil {
			return err
		}
		w.st.buckets[i] = nil
		w.st.r.shown.gone(w.st.size)
		all = append(all, one)
	}
	for _, one := range all { // all that is read stays as it is from now on
		runs[one.bucket] = &track{from: w.spool.entries(one.to, make([]byte, 16<<10))}
	}
	return nil
}

// close gives back what the stretch has on disk. It may not have ended.
func (st *stretch) close() error {
	st.cancel(nil)
	err := st.spool.close()
	for _, w := range st.workers {
		err = errors.Join(err, w.spool.close())
	}
	return err
}
