package state

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"

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

// buffer holds the rows that are applied and not yet in Pebble. Their position
// is the partition's.
type buffer struct {
	rows  map[Key]bufferedRow
	used  bool  // something was applied, if only a position
	since int64 // WrittenAt of the first Apply in it
	bytes int64
}

type bufferedRow struct {
	due     int64
	content []byte // nil: deleted
	pieces  int    // that the row may have in Pebble, where more than one
}

func (b *buffer) put(k Key, r bufferedRow) {
	if b.rows == nil {
		b.rows = make(map[Key]bufferedRow)
	}
	if old, ok := b.rows[k]; ok {
		r.pieces = max(r.pieces, old.pieces)
		b.bytes -= int64(len(k.ID) + len(old.content) + rowOverhead)
	}
	b.bytes += int64(len(k.ID) + len(r.content) + rowOverhead)
	b.rows[k] = r
}

func compareKeys(a, b Key) int {
	if c := strings.Compare(a.ID, b.ID); c != 0 {
		return c
	}
	return cmp.Compare(a.Part, b.Part)
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
	keys := make([]Key, 0, len(p.buffer.rows))
	for k := range p.buffer.rows {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compareKeys)
	w := writer{Batch: p.store.db.NewBatchWithSize(int(p.buffer.bytes)), number: p.number}
	err := w.state(p.position, &p.timers)
	for _, k := range keys {
		b := p.buffer.rows[k]
		err = errors.Join(err, w.row(&Row{Key: k, Due: b.due, Content: b.content}, b.pieces))
		if n := p.split[k]; n > 1 || b.pieces > 1 {
			err = errors.Join(err, w.split(k, n))
		}
	}
	if err == nil {
		err = w.Commit(pebble.NoSync)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return explain(p.store.cfg.Dir, err)
	}
	p.written = true
	clear(p.buffer.rows)
	p.buffer.bytes, p.buffer.used = 0, false
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
	span := pebble.KeyRange{Start: appendPrefix(nil, p.number, 0), End: appendPrefix(nil, p.number, kindEnd)}
	if p.written {
		// What is left in memtables would be flushed with all writers waiting.
		if err := p.store.flushMemtables(); err != nil {
			return err
		}
		p.written = false
	}
	err := p.store.Err()
	if err == nil && len(tables) == 0 {
		err = p.store.db.Excise(context.Background(), span)
	} else if err == nil {
		_, err = p.store.db.IngestAndExcise(context.Background(), tables, nil, nil, span)
	}
	if pebble.IsCorruptionError(err) {
		err = errors.Join(err, p.store.writeFile(damagedFile, ""))
	}
	if err != nil {
		return explain(p.store.cfg.Dir, err)
	}
	p.store.health.wiped(p.number)
	return p.load()
}
