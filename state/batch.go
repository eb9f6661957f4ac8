package state

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

const (
	// flushAge is how old applied rows may get that are not in Pebble, in ms of
	// WrittenAt. A crash leaves these to the changelog, and what is in memtables.
	flushAge = 10_000
	// putBytes is about what an entry of the timer index takes, not yet in Pebble.
	putBytes = 96
	// keptPuts is how many entries of the timer index memory is kept for.
	keptPuts = 8192
	// boundKey is the key of the timer bound, behind kindMeta.
	boundKey = "b"
)

// writer fills a batch with the keys of one partition. Keys come in order, which
// makes their way into the memtable short.
type writer struct {
	*pebble.Batch
	number int32
	key    []byte
}

func (w *writer) start(kind byte) { w.key = appendPrefix(w.key[:0], w.number, kind) }

// row writes a row's pieces and deletes those it may have beyond them.
func (w *writer) row(r *Row, before int) error {
	n := 0
	if r.Content != nil {
		n = pieces(len(r.Content))
	}
	for piece := range max(n, before, 1) {
		w.start(kindRow)
		w.key = appendRowKey(w.key, r.Key, uint32(piece))
		if piece >= n {
			if err := w.Delete(w.key, nil); err != nil {
				return err
			}
			continue
		}
		op := w.SetDeferred(len(w.key), pieceLen(r, piece))
		copy(op.Key, w.key)
		appendPiece(op.Value[:0], r, piece)
		if err := op.Finish(); err != nil {
			return err
		}
	}
	return nil
}

// split notes in how many pieces a row is.
func (w *writer) split(k Key, n int) error {
	w.start(kindSplit)
	w.key = appendRowKey(w.key, k, 0)
	if n <= 1 {
		return w.Delete(w.key, nil)
	}
	return w.Set(w.key, binary.AppendUvarint(nil, uint64(n)), nil)
}

// state writes the timer index's changes and what goes with them.
func (w *writer) state(pos Position, x *timerIndex) error {
	w.start(kindMeta)
	err := w.Set(w.key, pos.append(nil), nil)
	x.advance()
	err = errors.Join(err, w.Set(append(w.key, boundKey...), x.appendBound(nil), nil))
	for _, put := range x.takePuts() {
		w.start(kindTimer)
		w.key = appendTimerKey(w.key, put.at)
		err = errors.Join(err, w.Set(w.key, put.value(), nil))
	}
	if from, to, ok := x.takeUsed(); ok {
		w.start(kindTimer)
		end := appendTimerKey(slices.Clone(w.key), to)
		err = errors.Join(err, w.DeleteRange(appendTimerKey(w.key, from), end, nil))
	}
	return err
}

// flush writes what is applied as one batch.
func (p *Partition) flush() error {
	if !p.applied && len(p.timers.puts) == 0 {
		return nil
	}
	if err := p.store.health.check(p.number); err != nil {
		return err
	}
	most := int(p.store.cfg.shares().memtable / 4)
	w := writer{Batch: p.store.db.NewBatchWithSize(int(p.rows.dirt()), pebble.WithMaxRetainedSizeBytes(most)), number: p.number}
	puts := p.timers.puts
	err := errors.Join(w.state(p.position, &p.timers), p.writeRows(&w))
	if err == nil {
		err = w.Commit(pebble.NoSync)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		p.timers.puts = puts
		return explain(p.store.cfg.Dir, err)
	}
	p.written, p.applied = true, false
	p.rows.written()
	if clear(puts); len(p.timers.puts) == 0 && cap(puts) <= keptPuts {
		p.timers.puts = puts[:0]
	}
	return nil
}

func (p *Partition) writeRows(w *writer) (err error) {
	var split []Key
	for _, s := range [...]*shelf{&p.rows.heads, &p.rows.parts} {
		for _, ref := range s.unwritten() {
			k, row := s.row(ref)
			if row.pieces > 1 || len(row.content) > pieceSize {
				split = append(split, k)
			}
			if err := w.row(&Row{Key: k, Due: row.due, Content: row.content}, row.pieces); err != nil {
				return err
			}
		}
	}
	for _, k := range split {
		err = errors.Join(err, w.split(k, p.split[k]))
	}
	return err
}

// flushOld begins a flush of memtables when the last one is long ago, so that a
// crash leaves little to the changelog at any load.
func (s *Store) flushOld(now int64) error {
	last := s.flushed.Load()
	if now-last < flushInterval || !s.flushed.CompareAndSwap(last, now) || last == 0 {
		return nil
	}
	_, err := s.db.AsyncFlush()
	return explain(s.cfg.Dir, err)
}

// replace puts tables in the place of everything that the partition has, in one
// step. It is durable when it returns.
func (p *Partition) replace(tables []string) error {
	s := p.store
	if p.written {
		// What is left in memtables would be flushed with all writers waiting.
		if err := s.flushMemtables(); err != nil {
			return err
		}
		p.written = false
	}
	err := s.Err()
	if err == nil {
		err = p.excise(tables)
	}
	if pebble.IsCorruptionError(err) {
		err = errors.Join(err, s.writeFile(damagedFile, ""))
	}
	if err != nil {
		return explain(s.cfg.Dir, err)
	}
	s.health.wiped(p.number)
	return p.load()
}

// excise takes the partition's keys out of all tables. A table that it shares
// with other partitions is read at the edges. Where that finds damage, these
// others go as well, as a whole table needs no reading, and are to be restored.
func (p *Partition) excise(tables []string) (err error) {
	s, first, last := p.store, p.number, p.number
	for {
		span := pebble.KeyRange{Start: appendPrefix(nil, first, 0), End: appendPrefix(nil, last, kindEnd)}
		if len(tables) == 0 {
			err = s.db.Excise(context.Background(), span)
		} else {
			_, err = s.db.IngestAndExcise(context.Background(), tables, nil, nil, span)
		}
		found := pebble.ExtractDataCorruptionInfo(err)
		if found == nil {
			return err
		}
		lo, hi, ok := partitionsOf(found)
		if !ok || lo >= first && hi <= last {
			return err
		}
		s.health.damage(min(lo, first), p.number-1, err)
		s.health.damage(p.number+1, max(hi, last), err)
		first, last = min(lo, first), max(hi, last)
	}
}

// load reads what of the partition is kept in memory, and forgets its rows.
func (p *Partition) load() error {
	p.position, p.applied = Position{}, false
	p.rows.clear()
	p.timers = newTimerIndex()
	clear(p.split)
	for _, read := range []func() error{p.loadMeta, p.loadSplit} {
		if err := read(); err != nil {
			return explain(p.store.cfg.Dir, err)
		}
	}
	return nil
}

func (p *Partition) loadMeta() error {
	it, err := p.store.db.NewIter(p.span(kindMeta))
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		switch string(it.Key()[prefixSize:]) {
		case "":
			p.position, err = DecodePosition(it.Value())
		case boundKey:
			err = p.timers.decodeBound(it.Value())
		}
	}
	return errors.Join(err, it.Close())
}

func (p *Partition) loadSplit() error {
	it, err := p.store.db.NewIter(p.span(kindSplit))
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var k Key
		r := reader{rest: it.Value()}
		if k, _, err = decodeRowKey(it.Key()[prefixSize:]); err == nil {
			p.split[k] = int(r.uvarint())
		}
		if err != nil || r.bad {
			err = fmt.Errorf("split row %x: %w", it.Key(), ErrDamaged)
		}
	}
	return errors.Join(err, it.Close())
}

// unwritten returns the rows that are not in Pebble, in order of key.
func (s *shelf) unwritten() []recordRef {
	kept := s.dirty[:0]
	for _, ref := range s.dirty {
		p := ref.place()
		if !s.has(p) {
			continue
		}
		if e := s.entry(p); e[0]&entryDirty != 0 {
			kept = append(kept, ref)
		} else {
			e[0] &^= entryListed
		}
	}
	s.dirty = kept
	id := func(ref recordRef) []byte { return entryID(s.entry(ref.place())) }
	part := func(ref recordRef) uint32 { return binary.LittleEndian.Uint32(s.entry(ref.place())[16:]) }
	sortRefs(kept, id)
	for i := 0; i < len(kept); {
		end := i + 1
		for end < len(kept) && kept[end].rank == kept[i].rank && string(id(kept[end])) == string(id(kept[i])) {
			end++
		}
		if end > i+1 {
			slices.SortFunc(kept[i:end], func(x, y recordRef) int { return int(int64(part(x)) - int64(part(y))) })
		}
		i = end
	}
	return kept
}

// row returns a row as find does.
func (s *shelf) row(ref recordRef) (Key, shelved) {
	e := s.entry(ref.place())
	return entryKey(e), entryRow(e)
}

// written says that all rows are in Pebble now.
func (s *shelf) written() {
	for _, ref := range s.dirty {
		if p := ref.place(); !s.gone(p) {
			e := s.entry(p)
			e[0] &^= entryDirty | entryListed
			binary.LittleEndian.PutUint32(e[28:], 0)
		}
	}
	s.dirty, s.dirt = s.dirty[:0], 0
	s.shrink()
}

// shelves are two: one for heads, of which each event wants one, and one for parts, which are written once and seldom read, and then soon after.
type shelves struct {
	limit        int64 // of both
	heads, parts shelf
}

// partsShare is which part of the limit those have in any case; they have what heads leave, too.
const partsShare = 4

func (s *shelves) of(k Key) *shelf {
	if k.Part == 0 {
		return &s.heads
	}
	return &s.parts
}

func (s *shelves) place(k Key) (p place, ok bool) { return s.of(k).place(k) }

func (s *shelves) find(k Key) (row shelved, ok bool) { return s.of(k).find(k) }

func (s *shelves) put(k Key, row shelved, dirty bool) (due int64, known bool) {
	s.share()
	return s.of(k).put(k, row, dirty)
}

// share says what the shelves may take.
func (s *shelves) share() {
	least := s.limit / partsShare
	s.parts.limit = max(least, s.limit-s.heads.size())
	s.heads.limit = s.limit - min(least, s.parts.size())
}

// room is about how many heads may be put at once, such that they are there when
// they are asked for.
func (s *shelves) room() int {
	s.share()
	return s.heads.room()
}

func (s *shelves) dirt() int64 { return s.heads.dirt + s.parts.dirt }

func (s *shelves) clear() {
	s.heads.clear()
	s.parts.clear()
}

func (s *shelves) written() {
	s.heads.written()
	s.parts.written()
}
