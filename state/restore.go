package state

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Restorer brings a partition up to its changelog: from nothing if the partition
// has no position, else from Position().Changelog on. Nothing of the partition
// may be used until Finish or Abandon has returned.
type Restorer struct {
	p        *Partition
	position Position
	batch    *pebble.Batch
}

// Restore begins a restore.
func (p *Partition) Restore() *Restorer {
	return &Restorer{p: p, batch: p.store.db.NewBatch()}
}

// Add takes one changelog record; offsets ascend. A nil or empty value is a
// tombstone. It keeps neither key nor value.
func (r *Restorer) Add(key, value []byte, offset int64) error {
	if len(key) == 0 {
		return fmt.Errorf("changelog offset %d: %w: no key", offset, ErrDamaged)
	}
	switch key[0] {
	case kindMeta:
		pos, err := DecodePosition(value)
		if err != nil {
			return fmt.Errorf("changelog offset %d: %w", offset, err)
		}
		r.position = pos
		r.position.Changelog = offset + 1
		return nil
	case kindRow:
	default:
		return fmt.Errorf("changelog offset %d: %w: kind %d", offset, ErrNewer, key[0])
	}
	k, piece, err := decodeRowKey(key[1:])
	if err != nil {
		return fmt.Errorf("changelog offset %d: %w: %w", offset, ErrDamaged, err)
	}
	full := append(appendPrefix(nil, r.p.number, kindRow), key[1:]...)
	if len(value) == 0 {
		return r.batch.Delete(full, nil)
	}
	if _, err := decodePiece(k, piece, value); err != nil {
		return fmt.Errorf("changelog offset %d: %w", offset, err)
	}
	return r.batch.Set(full, value, nil)
}

// Position returns the newest position among the records added, with Changelog
// set to the offset behind its record; the zero Position if there was none.
func (r *Restorer) Position() Position { return r.position }

// Finish makes the records added and pos the partition's state: all or, after an
// error or a crash, what was there before Restore.
func (r *Restorer) Finish(pos Position) error {
	err := r.batch.Set(appendPrefix(nil, r.p.number, kindMeta), pos.append(nil), nil)
	if err = errors.Join(err, r.batch.Commit(pebble.NoSync)); err != nil {
		return explain(r.p.store.cfg.Dir, err)
	}
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	return r.p.load()
}

// Abandon ends a restore without Finish and frees what it holds.
func (r *Restorer) Abandon() error { return r.batch.Close() }
