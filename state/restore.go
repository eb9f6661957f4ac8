package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Variables, so that tests can make them small.
var (
	// tableSize is the size, in bytes of keys and values, of a table of a restore.
	tableSize = 64 << 20
	// tailSize is how much is collected before it is written over what is there,
	// in bytes.
	tailSize = 8 << 20
)

// Restorer brings a partition up to its changelog: from nothing if the partition
// has no position, else from Position().Changelog on. It takes the records in
// one pass and looks up none: from nothing they are sorted, with files where
// they do not fit into memory, and become tables of the store as a whole; else
// they are written over what is there.
//
// Nothing of the partition may be used until Finish or Abandon has returned, one
// of which must be called.
type Restorer struct {
	p        *Partition
	whole    bool // from nothing
	position Position
	rows     sorter
	dir      string
	err      error // of Restore
}

// Restore begins a restore. What is applied is flushed, and no row stays in memory.
func (p *Partition) Restore() *Restorer {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.store
	r := &Restorer{p: p, whole: p.position.IsZero(), err: p.flush()}
	p.applies(false)
	if r.err == nil {
		p.rows.clear()
	}
	r.dir = s.cfg.FS.PathJoin(s.path(restoreFolder), fmt.Sprint(p.number))
	limit := int(max(s.cfg.shares().restore/s.restoring.Add(1), 1<<20))
	if !r.whole {
		limit = min(limit, tailSize)
	}
	r.rows = sorter{fs: s.cfg.FS, dir: r.dir, name: "rows", limit: limit}
	return r
}

// Add takes one changelog record; offsets ascend. An empty value is a tombstone.
// It keeps neither key nor value. Its error wraps ErrNewer or ErrDamaged where
// the record cannot be read.
func (r *Restorer) Add(key, value []byte, offset int64) error {
	if r.err != nil {
		return r.err
	}
	if len(key) > 0 && key[0] == kindMeta {
		pos, err := DecodePosition(value)
		if err != nil {
			return fmt.Errorf("changelog offset %d: %w", offset, err)
		}
		pos.Changelog = offset + 1
		r.position = pos
		return nil
	}
	if err := checkRecord(key, value); err != nil {
		return fmt.Errorf("changelog offset %d: %w", offset, err)
	}
	key = key[1:]
	if !r.rows.fits(key, value) {
		if r.err = r.makeRoom(); r.err != nil {
			return r.err
		}
	}
	r.rows.set(key, value)
	return nil
}

func checkRecord(key, value []byte) error {
	if len(key) == 0 {
		return fmt.Errorf("%w: no key", ErrDamaged)
	}
	if key[0] != kindRow {
		return fmt.Errorf("%w: record of kind %d: upgrade", ErrNewer, key[0])
	}
	_, part, piece, err := splitRowKey(key[1:])
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if len(value) == 0 {
		return nil
	}
	_, err = decodePiece(part, piece, value)
	return err
}

// makeRoom takes the records collected out of memory.
func (r *Restorer) makeRoom() error {
	if r.whole {
		return explain(r.p.store.cfg.Dir, r.rows.spill())
	}
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	return r.write(r.p.position)
}

// Position returns the newest position among the records added, with Changelog
// set to the offset behind its record; the zero Position if there was none.
func (r *Restorer) Position() Position { return r.position }

// Finish makes the records added and pos the partition's state. From nothing
// that is one step, durable when it returns. Else a crash before the next flush
// leaves the partition at the old position, to be restored from there again.
func (r *Restorer) Finish(pos Position) error {
	err := r.err
	if err == nil {
		r.p.mu.Lock()
		if r.whole {
			err = r.replace(pos)
		} else {
			err = r.write(pos)
		}
		r.p.mu.Unlock()
		// What only follows has no Apply, which would see to it.
		err = errors.Join(err, r.p.store.flushOld(pos.WrittenAt))
	}
	return errors.Join(err, r.Abandon())
}

// Abandon ends a restore without Finish. The partition is to be restored again.
func (r *Restorer) Abandon() error {
	r.p.store.restoring.Add(-1)
	r.rows.free()
	if !r.whole {
		return nil
	}
	return explain(r.p.store.cfg.Dir, r.p.store.cfg.FS.RemoveAll(r.dir))
}

// write writes the records collected over what is there, as one batch with pos.
func (r *Restorer) write(pos Position) error {
	p := r.p
	if err := p.store.health.check(p.number); err != nil {
		return err
	}
	w := writer{Batch: p.store.db.NewBatchWithSize(r.rows.size), number: p.number}
	err := r.rows.each(func(key, value []byte) error {
		if err := p.restored(&w, key, value); err != nil {
			return err
		}
		w.start(kindRow)
		w.key = append(w.key, key...)
		if len(value) == 0 {
			return w.Delete(w.key, nil)
		}
		return w.Set(w.key, value, nil)
	})
	err = errors.Join(err, w.state(pos, &p.timers))
	if err == nil {
		err = w.Commit(pebble.NoSync)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return errors.Join(explain(p.store.cfg.Dir, err), p.load())
	}
	p.position, p.written = pos, true
	r.rows.free()
	return nil
}

// restored takes a record that is written over what is there into the timer
// index and the rows in pieces.
func (p *Partition) restored(w *writer, key, value []byte) error {
	id, part, piece, err := splitRowKey(key)
	if err != nil || piece > 0 {
		return err
	}
	var s stored
	if len(value) > 0 {
		if s, err = decodePiece(part, piece, value); err != nil {
			return err
		}
	}
	k := Key{ID: string(id), Part: part}
	if part == 0 {
		p.timers.change(k.ID, 0, s.due)
	}
	if s.pieces > 1 {
		p.split[k] = s.pieces
	} else if p.split[k] > 0 {
		delete(p.split, k)
	} else {
		return nil
	}
	return w.split(k, s.pieces)
}

// replace writes the records collected and pos to tables, which take the place
// of all that the partition has.
func (r *Restorer) replace(pos Position) error {
	s := r.p.store
	if err := s.cfg.FS.MkdirAll(r.dir, 0o755); err != nil {
		return explain(s.cfg.Dir, err)
	}
	t := tables{store: s, dir: r.dir, key: appendPrefix(nil, r.p.number, 0)}
	timers := sorter{fs: s.cfg.FS, dir: r.dir, name: "timers", limit: r.rows.limit / 2}
	var split []splitRow
	err := t.set(kindMeta, nil, pos.append(nil))
	if err == nil {
		split, err = r.writeRows(&t, &timers)
	}
	r.rows.free()
	if err == nil {
		err = timers.each(func(key, _ []byte) error { return t.set(kindTimer, key, nil) })
	}
	timers.free()
	for i := 0; i < len(split) && err == nil; i++ {
		err = t.set(kindSplit, split[i].key, binary.AppendUvarint(nil, uint64(split[i].pieces)))
	}
	if err = errors.Join(err, t.finish()); err != nil {
		return explain(s.cfg.Dir, err)
	}
	return r.p.replace(t.paths)
}

// splitRow is a row in more than one piece.
type splitRow struct {
	key    []byte // of piece 0
	part   uint32
	pieces int
}

// writeRows writes the rows, and collects their timers and which are split.
// Pieces that belong to no row are left out.
func (r *Restorer) writeRows(t *tables, timers *sorter) (split []splitRow, err error) {
	var row splitRow // the newest; next is the piece of it that must follow
	var scratch []byte
	next := 0
	complete := func() error {
		if next < row.pieces {
			return fmt.Errorf("row key %x: %w: the changelog lacks piece %d of %d", row.key, ErrDamaged, next, row.pieces)
		}
		return nil
	}
	err = r.rows.each(func(key, value []byte) error {
		if len(value) == 0 {
			return nil
		}
		id, part, piece, err := splitRowKey(key)
		if err != nil {
			return err
		}
		if piece > 0 {
			if next >= row.pieces || int(piece) != next || part != row.part || !bytes.HasPrefix(key, row.key) {
				return nil
			}
			next++
			return t.set(kindRow, key, value)
		}
		stored, err := decodePiece(part, 0, value)
		if err = errors.Join(err, complete()); err != nil {
			return err
		}
		row.part, row.pieces, next = part, stored.pieces, 1
		if row.pieces > 1 {
			row.key = slices.Clone(key)
			split = append(split, row)
		}
		if stored.due != 0 {
			scratch = append(appendDue(scratch[:0], stored.due), id...)
			if err := timers.put(scratch, nil); err != nil {
				return err
			}
		}
		return t.set(kindRow, key, value)
	})
	return split, errors.Join(err, complete())
}

// tables writes keys of one partition, in order, to tables for the store.
type tables struct {
	store *Store
	dir   string
	paths []string
	w     *sstable.Writer
	size  int
	key   []byte // begins with the partition
}

func (t *tables) set(kind byte, key, value []byte) error {
	if t.w == nil {
		if err := t.begin(); err != nil {
			return err
		}
	}
	t.key = append(append(t.key[:prefixSize-1], kind), key...)
	if err := t.w.Set(t.key, value); err != nil {
		return err
	}
	if t.size += len(t.key) + len(value); t.size < tableSize {
		return nil
	}
	return t.finish()
}

func (t *tables) begin() error {
	path := t.store.cfg.FS.PathJoin(t.dir, fmt.Sprintf("%d.sst", len(t.paths)))
	f, err := t.store.cfg.FS.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	o := t.store.opts.MakeWriterOptions(len(t.store.opts.Levels)-1, t.store.db.TableFormat())
	o.Compression = block.NoCompression // the next compaction takes the time
	t.w = sstable.NewWriter(objstorageprovider.NewFileWritable(f), o)
	t.paths, t.size = append(t.paths, path), 0
	return nil
}

func (t *tables) finish() error {
	if t.w == nil {
		return nil
	}
	w := t.w
	t.w = nil
	return w.Close()
}
