package state

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

const (
	// bufferInterval is how old buffered rows may get, in ms of WrittenAt.
	bufferInterval = 1000
	// rowOverhead is about what a buffered row takes beside its bytes.
	rowOverhead = 96
	// boundKey is the key of the timer bound, behind kindMeta.
	boundKey = "b"
)

// buffer holds the rows that are applied and not yet in Pebble, the newest of
// each. Their position is the partition's.
type buffer struct {
	rows  []bufferedRow
	index map[Key]int32 // in rows
	used  bool          // something was applied, if only a position
	since int64         // WrittenAt of the first Apply in it
	bytes int64
}

type bufferedRow struct {
	Key
	due     int64
	content []byte // nil: deleted
	pieces  int    // that the row may have in Pebble, where more than one
}

func (r *bufferedRow) bytes() int64 { return int64(len(r.ID) + len(r.content) + rowOverhead) }

// find returns a buffered row, nil if it is not buffered.
func (b *buffer) find(k Key) *bufferedRow {
	if i, ok := b.index[k]; ok {
		return &b.rows[i]
	}
	return nil
}

func (b *buffer) put(r bufferedRow) {
	b.bytes += r.bytes()
	if old := b.find(r.Key); old != nil {
		b.bytes -= old.bytes()
		r.pieces = max(r.pieces, old.pieces)
		*old = r
		return
	}
	if b.index == nil {
		b.index = make(map[Key]int32)
	}
	b.index[r.Key] = int32(len(b.rows))
	b.rows = append(b.rows, r)
}

// sorted returns the rows in order of key.
func (b *buffer) sorted() []recordRef {
	refs := make([]recordRef, len(b.rows))
	for i := range refs {
		refs[i].at = uint32(i)
	}
	sortRefs(refs, func(ref recordRef) string { return b.rows[ref.at].ID })
	for i := 0; i < len(refs); {
		end := i + 1
		for end < len(refs) && b.rows[refs[end].at].ID == b.rows[refs[i].at].ID {
			end++
		}
		slices.SortFunc(refs[i:end], func(x, y recordRef) int { return cmp.Compare(b.rows[x.at].Part, b.rows[y.at].Part) })
		i = end
	}
	return refs
}

// empty forgets the rows and keeps their room.
func (b *buffer) empty() {
	clear(b.rows)
	clear(b.index)
	b.rows, b.bytes, b.used = b.rows[:0], 0, false
}

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

// flush writes the buffer as one batch.
func (p *Partition) flush() error {
	if !p.buffer.used && len(p.timers.puts) == 0 {
		return nil
	}
	if err := p.store.health.check(p.number); err != nil {
		return err
	}
	w := writer{Batch: p.store.db.NewBatchWithSize(int(p.buffer.bytes)), number: p.number}
	puts := p.timers.puts
	err := w.state(p.position, &p.timers)
	rows := p.buffer.sorted()
	for i := 0; i < len(rows) && err == nil; i++ {
		b := &p.buffer.rows[rows[i].at]
		err = w.row(&Row{Key: b.Key, Due: b.due, Content: b.content}, b.pieces)
	}
	for i := 0; i < len(rows) && err == nil; i++ {
		if b := &p.buffer.rows[rows[i].at]; b.pieces > 1 || len(b.content) > pieceSize {
			err = w.split(b.Key, p.split[b.Key])
		}
	}
	if err == nil {
		err = w.Commit(pebble.NoSync)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		p.timers.puts = puts
		return explain(p.store.cfg.Dir, err)
	}
	p.written = true
	p.buffer.empty()
	return nil
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
