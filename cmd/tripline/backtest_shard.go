package main

import (
	"encoding/binary"
	"math"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/virtual"
)

// buckets is into how many parts the users of a stretch are divided by a hash of their names. Where memory has no room for all, some buckets are
// suspended: their users' state and what they do from then on are put on disk, to be gone through when the input has ended.
const buckets = 256

// shard runs the campaigns over every so manieth bucket, on a goroutine of its own.
type shard struct {
	st      *stretch
	index   int
	memory  int64 // what its users may take, about, bytes
	blocks  chan *block
	buckets []*bucket
	old     *campaign.Set // as sparing as it can be
	sums    *sums
	versus  *comparison
	out     *emissions // of the block
	spool   spool
	room    []byte
}

// bucket is a part of the users.
type bucket struct {
	line, old *virtual.Line // nil: it has been suspended; old: of the campaigns to compare with
	at, last  key           // of the event that is being applied; of what was decided last
	passing   bool          // time passes: no event is being applied

	suspended               bool
	border                  key // what was decided before it was suspended lies before
	inputs, state, oldState strand
}

func newShard(st *stretch, index, of int) *shard {
	p := st.r.plan
	s := &shard{st: st, index: index, memory: st.r.memory / int64(of), blocks: make(chan *block, st.ahead), old: p.old, sums: newSums(p.set)}
	if p.old != nil {
		s.versus, _ = newComparison(p.set.Names(), p.old.Names()) // the stretch's rehearsal has one already
		s.old = p.old.Sparing(func(string) bool { return false })
	}
	for i := index; i < buckets; i += of {
		b := &bucket{}
		s.begin(b)
		s.buckets = append(s.buckets, b)
	}
	return s
}

func (s *shard) begin(b *bucket) {
	b.line = virtual.New(s.st.r.plan.set, func(out *campaign.Output) { s.take(b, out) })
	if s.versus != nil {
		b.old = virtual.New(s.st.r.plan.old, func(out *campaign.Output) { s.versus.add(out, old) })
		b.old.Spare(s.old)
	}
}

// take counts and writes what a step of a bucket's line has decided.
func (s *shard) take(b *bucket, out *campaign.Output) {
	s.sums.Duplicates += out.Counts.Duplicates
	if !out.Counts.Decided() {
		return
	}
	k := b.at
	if b.passing {
		k = key{time: b.line.Now(), passed: true}
		switch {
		case len(out.Triggers) > 0:
			k.user = out.Triggers[0].User
		case len(out.Decisions) > 0:
			k.user = out.Decisions[0].User
		}
	}
	if k.compare(b.last) < 0 { // what was already due when it was set
		k = b.last
	}
	b.last = k
	s.sums.add(out, b.line, k)
	if s.versus != nil {
		s.versus.add(out, fresh)
	}
	s.out.add(k, out, s.st.r.writers)
}

// work applies the blocks until there are no more.
func (s *shard) work(n int) {
	for b := range s.blocks {
		if s.st.ctx.Err() == nil {
			if err := s.block(b, n); err != nil {
				s.st.cancel(err)
			}
		}
		b.applied.Done()
	}
}

func (s *shard) block(b *block, n int) error {
	s.out = b.emissions[s.index]
	for _, i := range b.shares[s.index] {
		in := &b.inputs[i]
		in.arrival = max(in.arrival, b.base)
		if in.timeless {
			in.event.Time = in.arrival
		}
		in.number += b.first
		of := s.buckets[int(in.bucket)/n]
		if of.line != nil {
			s.apply(of, in)
			continue
		}
		s.room = in.append(s.room[:0])
		s.st.r.shown.later(len(s.room))
		if err := s.spool.write(&of.inputs, s.room); err != nil {
			return err
		}
	}
	bytes := int64(0)
	for _, of := range s.buckets {
		if of.line != nil {
			s.until(of, b.end)
			bytes += of.bytes()
		}
	}
	s.spare(key{time: b.end})
	for bytes > s.memory {
		gone, err := s.suspend(key{time: b.end})
		if err != nil {
			return err
		}
		if gone == 0 {
			break
		}
		bytes -= gone
		b.suspends[s.index] = true
	}
	return nil
}

func (b *bucket) bytes() int64 {
	bytes := b.line.Bytes()
	if b.old != nil {
		bytes += b.old.Bytes()
	}
	return bytes
}

func (b *bucket) lines() []*virtual.Line {
	if b.old == nil {
		return []*virtual.Line{b.line}
	}
	return []*virtual.Line{b.line, b.old}
}

// apply runs the campaigns over an input of a bucket's user.
func (s *shard) apply(b *bucket, in *input) {
	s.until(b, in.arrival)
	b.at, b.passing = key{time: in.arrival, number: in.number}, false
	apply(b.line, in)
	if b.old != nil {
		apply(b.old, in)
	}
	b.passing = true
}

func apply(l *virtual.Line, in *input) {
	switch in.kind {
	case anEvent:
		l.Event(&in.event, in.arrival)
	case aProfile:
		l.Profile(&record.Profile{User: in.event.User, Properties: in.event.Profile}, in.arrival)
	case aTombstone:
		l.Erase(in.event.User, in.arrival)
	}
}

func (s *shard) until(b *bucket, now int64) {
	b.passing = true
	b.line.Until(now)
	if b.old != nil {
		b.old.Until(now)
	}
}

// spare has history keep less once the sample users of campaigns are known: nobody else's history is shown. What is decided from now on lies behind a key.
func (s *shard) spare(behind key) {
	if s.sums.settle(behind) {
		s.sparing()
	}
}

func (s *shard) sparing() {
	set := s.st.r.plan.set.Sparing(func(campaign string) bool { return !s.sums.Campaigns[campaign].settled })
	for _, b := range s.buckets {
		if b.line != nil {
			b.line.Spare(set)
		}
	}
}

// suspend puts the largest bucket on disk and says how many bytes that makes room for; 0: there is none.
func (s *shard) suspend(border key) (bytes int64, err error) {
	var b *bucket
	for _, of := range s.buckets {
		if of.line != nil && (b == nil || of.bytes() > b.bytes()) {
			b = of
		}
	}
	if b == nil {
		return 0, nil
	}
	bytes = b.bytes()
	for i, l := range b.lines() {
		to := []*strand{&b.state, &b.oldState}[i]
		err := l.Save(func(id string, parts map[uint32][]byte) error {
			s.room = appendField(s.room[:0], id)
			for part, content := range parts {
				s.room = appendField(binary.AppendUvarint(s.room, uint64(part)), content)
			}
			return s.spool.write(to, s.room)
		})
		if err == nil {
			err = s.spool.flush(to)
		}
		if err != nil {
			return 0, err
		}
		to.buffer = nil
	}
	b.line, b.old, b.suspended, b.border = nil, nil, true, border
	s.st.r.shown.suspended()
	return bytes, nil
}

// finish lets time run on for the users in memory, as of a last block.
func (s *shard) finish(b *block) {
	s.out = b.emissions[s.index]
	for _, of := range s.buckets {
		if of.line != nil {
			s.until(of, b.end)
			s.sums.Users += of.line.Users()
			of.line, of.old = nil, nil
		}
	}
}

// resume goes through the buckets that have been suspended, each with memory for itself, and answers with their emissions.
func (s *shard) resume(until int64) (runs []*strand, err error) {
	for _, b := range s.buckets {
		if !b.suspended {
			continue
		}
		if err := s.st.ctx.Err(); err != nil {
			return nil, err
		}
		run := &strand{}
		if err := s.replay(b, until, run); err != nil {
			return nil, err
		}
		runs = append(runs, run)
	}
	return runs, nil
}

func (s *shard) replay(b *bucket, until int64, run *strand) error {
	s.begin(b)
	for i, l := range b.lines() {
		if err := s.load(l, []*strand{&b.state, &b.oldState}[i]); err != nil {
			return err
		}
	}
	if err := s.spool.flush(&b.inputs); err != nil {
		return err
	}
	s.sums.settle(b.border)
	s.sparing()
	out := &emissions{}
	s.out = out
	write := func() error {
		err := inOrder([]*emissions{out}, func(k *key, triggers, decisions []byte) error {
			s.room = appendEmission(s.room[:0], k, triggers, decisions)
			return s.spool.write(run, s.room)
		})
		out.reset()
		return err
	}
	all := s.spool.entries(&b.inputs)
	for n := 1; ; n++ {
		entry, err := all.next()
		if err != nil {
			return err
		}
		if entry == nil {
			break
		}
		in, err := readInput(entry)
		if err != nil {
			return err
		}
		s.apply(b, &in)
		s.st.r.shown.again(len(entry))
		if n%1000 == 0 {
			if err := s.st.ctx.Err(); err != nil {
				return err
			}
			s.spare(key{time: in.arrival, number: math.MaxInt})
			if err := write(); err != nil {
				return err
			}
		}
	}
	s.until(b, until)
	s.sums.Users += b.line.Users()
	b.line, b.old, b.suspended = nil, nil, false
	if err := write(); err != nil {
		return err
	}
	err := s.spool.flush(run)
	run.buffer = nil
	return err
}

// load makes the users of a line again.
func (s *shard) load(l *virtual.Line, from *strand) error {
	all := s.spool.entries(from)
	for {
		entry, err := all.next()
		if err != nil || entry == nil {
			return err
		}
		f := fields{src: append([]byte{}, entry...)} // the users keep it
		id, parts := string(f.bytes()), map[uint32][]byte{}
		for len(f.src) > 0 {
			part := uint32(f.uvarint())
			parts[part] = f.bytes()
		}
		if f.bad {
			return errSpool
		}
		if err := l.Load(id, parts); err != nil {
			return err
		}
	}
}
