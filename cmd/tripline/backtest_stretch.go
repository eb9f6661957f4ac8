package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// stretch is one input from its beginning to its end: a file, or a partition number of topics, which share no users. Blocks of it are applied
// in order, and by shards side by side.
type stretch struct {
	r       *rehearsal
	ctx     context.Context
	cancel  context.CancelCauseFunc
	shards  []*shard
	workers sync.WaitGroup
	ahead   int         // how many blocks there are
	free    chan *block // those that are not in use
	applied chan *block // in order
	writing sync.WaitGroup
	stopped bool
	arrival int64 // the last
	lines   int   // so far

	deferred bool   // emissions go to a run: others will have their places among them
	run      strand // in spool
	spool    spool
}

func (r *rehearsal) begin(parent context.Context) *stretch {
	n := r.shards
	st := &stretch{r: r, ahead: 2 * (n + 1)}
	st.ctx, st.cancel = context.WithCancelCause(parent)
	st.free, st.applied = make(chan *block, st.ahead), make(chan *block, st.ahead)
	for range st.ahead {
		st.free <- newBlock(n)
	}
	for i := range n {
		s := newShard(st, i, n)
		st.shards = append(st.shards, s)
		st.workers.Go(func() { s.work(n) })
	}
	st.writing.Go(st.write)
	return st
}

// apply has the shards apply the next block of the stretch.
func (st *stretch) apply(b *block) error {
	if st.ctx.Err() != nil {
		return fmt.Errorf("%w behind line %d", st.why(), st.lines)
	}
	b.first, b.base = st.lines, st.arrival
	st.lines += b.lines
	st.arrival = max(st.arrival, b.last)
	b.end = st.arrival
	for _, bad := range b.bad {
		st.r.sums.unreadable(fmt.Sprintf("line %d", b.first+bad.number+1), bad.why)
	}
	for i := range b.inputs {
		if b.inputs[i].kind == anEvent {
			st.r.sums.Events++
		}
	}
	b.applied.Add(len(st.shards))
	for _, s := range st.shards {
		s.blocks <- b
	}
	st.applied <- b
	return nil
}

var errInterrupted = errors.New("interrupted")

// why is what has ended the stretch before its end.
func (st *stretch) why() error {
	switch err := context.Cause(st.ctx); err {
	case nil, context.Canceled:
		return errInterrupted
	default:
		return err
	}
}

// write takes the blocks that all shards have applied, in order, and writes their emissions.
func (st *stretch) write() {
	for b := range st.applied {
		b.applied.Wait()
		if err := st.emit(b); err != nil {
			st.cancel(err)
		}
		st.free <- b
	}
}

// emit writes a block's emissions, or has them wait for those of the buckets that have been suspended.
func (st *stretch) emit(b *block) error {
	var room []byte
	err := inOrder(b.emissions, func(k *key, triggers, decisions []byte) error {
		if !st.deferred {
			st.r.writers.write(triggers, decisions)
			return nil
		}
		room = appendEmission(room[:0], k, triggers, decisions)
		return st.spool.write(&st.run, room)
	})
	for _, suspends := range b.suspends {
		st.deferred = st.deferred || suspends
	}
	return err
}

// stop waits for those at work on the stretch.
func (st *stretch) stop() {
	if st.stopped {
		return
	}
	st.stopped = true
	for _, s := range st.shards {
		close(s.blocks)
	}
	st.workers.Wait()
	close(st.applied)
	st.writing.Wait()
}

// close gives back what the stretch has on disk. It may not have ended.
func (st *stretch) close() error {
	st.stop()
	err := st.spool.close()
	for _, s := range st.shards {
		err = errors.Join(err, s.spool.close())
	}
	st.cancel(nil)
	return err
}

// end lets time run on, and ends the stretch.
func (st *stretch) end(until int64) error {
	st.stop()
	if st.ctx.Err() != nil {
		return st.why()
	}
	last := newBlock(len(st.shards))
	last.end = until
	st.each(func(s *shard) { s.finish(last) })
	if err := st.emit(last); err != nil {
		return err
	}
	runs := make([][]*strand, len(st.shards))
	st.each(func(s *shard) {
		var err error
		if runs[s.index], err = s.resume(until); err != nil {
			st.cancel(err)
		}
	})
	if st.ctx.Err() != nil {
		return st.why()
	}
	for _, s := range st.shards {
		st.r.sums.merge(s.sums)
		if s.versus != nil {
			st.r.versus.merge(s.versus)
		}
	}
	if err := st.spool.flush(&st.run); err != nil {
		return err
	}
	return st.merge(runs)
}

func (st *stretch) each(do func(*shard)) {
	var all sync.WaitGroup
	for _, s := range st.shards {
		all.Go(func() { do(s) })
	}
	all.Wait()
}

// runHead is the next emission of a run.
type runHead struct {
	from                *entries
	key                 key
	triggers, decisions []byte
}

func (w *runHead) next() (more bool, err error) {
	entry, err := w.from.next()
	if err != nil || entry == nil {
		return false, err
	}
	w.key, w.triggers, w.decisions, err = readEmission(entry)
	return true, err
}

// merge writes what waits in runs in the order of its keys.
func (st *stretch) merge(runs [][]*strand) error {
	if !st.deferred {
		return nil
	}
	var heads []*runHead // a heap: the first comes first
	add := func(s *spool, run *strand) error {
		w := &runHead{from: s.entries(run)}
		more, err := w.next()
		if more {
			heads = append(heads, w)
		}
		return err
	}
	err := add(&st.spool, &st.run)
	for i, s := range st.shards {
		for _, run := range runs[i] {
			err = errors.Join(err, add(&s.spool, run))
		}
	}
	if err != nil {
		return err
	}
	for i := len(heads)/2 - 1; i >= 0; i-- {
		settleDown(heads, i)
	}
	for len(heads) > 0 {
		w := heads[0]
		st.r.writers.write(w.triggers, w.decisions)
		more, err := w.next()
		if err != nil {
			return err
		}
		if !more {
			heads[0] = heads[len(heads)-1]
			heads = heads[:len(heads)-1]
		}
		settleDown(heads, 0)
	}
	return nil
}

func settleDown(heads []*runHead, i int) {
	for {
		child := 2*i + 1
		if child+1 < len(heads) && heads[child+1].key.compare(heads[child].key) < 0 {
			child++
		}
		if child >= len(heads) || heads[i].key.compare(heads[child].key) <= 0 {
			return
		}
		heads[i], heads[child] = heads[child], heads[i]
		i = child
	}
}
