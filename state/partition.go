package state

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// Partition is the state of one partition. It is safe for concurrent use, but
// Changelog, Apply and Restore belong to one loop.
type Partition struct {
	store  *Store
	number int32

	mu       sync.Mutex
	position Position
	known    func(id string) (ms int64, ok bool)
	split    map[Key]int // pieces of the rows in more than one
}

// Number is the partition's number.
func (p *Partition) Number() int32 { return p.number }

// Position returns the position of the newest Apply; the zero Position if there
// is none.
func (p *Partition) Position() Position {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.position
}

// Get returns the content of a row. The caller owns it.
func (p *Partition) Get(k Key) (content []byte, found bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	value, found, err := p.read(k, 0)
	if !found || err != nil {
		return nil, false, err
	}
	s, err := decodePiece(k, 0, value)
	if err != nil {
		return nil, false, explain(p.store.cfg.Dir, err)
	}
	content = s.content
	for piece := 1; piece < s.pieces; piece++ {
		value, found, err := p.read(k, uint32(piece))
		if err == nil && !found {
			err = fmt.Errorf("row %q part %d: %w: piece %d is missing", k.ID, k.Part, ErrDamaged, piece)
		}
		if err != nil {
			return nil, false, err
		}
		more, err := decodePiece(k, uint32(piece), value)
		if err != nil {
			return nil, false, explain(p.store.cfg.Dir, err)
		}
		content = append(content, more.content...)
	}
	return content, true, nil
}

func (p *Partition) read(k Key, piece uint32) ([]byte, bool, error) {
	key := appendRowKey(appendPrefix(nil, p.number, kindRow), k, piece)
	value, closer, err := p.store.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, explain(p.store.cfg.Dir, err)
	}
	value = slices.Clone(value)
	return value, true, explain(p.store.cfg.Dir, closer.Close())
}

// Apply makes rows and pos the partition's state, together. It is called only
// when the changelog has them, committed. It keeps each row's Content, which
// must not change any more. No key may be in rows twice.
//
// What is applied is in memory at first, where reads see it, and is written as
// one batch with what came before when that is large enough, or 5 s old by
// WrittenAt, and by Flush.
func (p *Partition) Apply(rows []Row, pos Position) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	batch := p.store.db.NewBatch()
	defer batch.Close()
	for i := range rows {
		var err error
		p.eachRecord(&rows[i], func(key, value []byte) {
			key = append(appendPrefix(nil, p.number, key[0]), key[1:]...)
			if value == nil {
				err = errors.Join(err, batch.Delete(key, nil))
			} else {
				err = errors.Join(err, batch.Set(key, value, nil))
			}
		})
		if err != nil {
			return explain(p.store.cfg.Dir, err)
		}
		if n := pieces(len(rows[i].Content)); n > 1 {
			p.split[rows[i].Key] = n
		} else {
			delete(p.split, rows[i].Key)
		}
	}
	if err := batch.Set(appendPrefix(nil, p.number, kindMeta), pos.append(nil), nil); err != nil {
		return explain(p.store.cfg.Dir, err)
	}
	if err := batch.Commit(pebble.NoSync); err != nil {
		return explain(p.store.cfg.Dir, err)
	}
	p.position = pos
	return nil
}

// Flush hands what is buffered to Pebble. Only Store.Flush makes it durable.
func (p *Partition) Flush() error { return nil }

// Wipe removes everything of the partition, the position too. It also gets rid
// of what is damaged.
func (p *Partition) Wipe() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.store.db.DeleteRange(appendPrefix(nil, p.number, 0), appendPrefix(nil, p.number, kindEnd), pebble.NoSync)
	if err != nil {
		return explain(p.store.cfg.Dir, err)
	}
	p.position, p.split = Position{}, make(map[Key]int)
	return nil
}

// Scan calls visit for every row in order of key (ID, then part), as applied
// when Scan was called. Content is valid only during the call. An error of visit
// ends it and is returned as it is.
func (p *Partition) Scan(visit func(Row) error) error {
	it, err := p.store.db.NewIter(&pebble.IterOptions{
		LowerBound: appendPrefix(nil, p.number, kindRow), UpperBound: appendPrefix(nil, p.number, kindRow+1)})
	if err != nil {
		return explain(p.store.cfg.Dir, err)
	}
	var row Row
	missing := 0
	for ok := it.First(); ok; ok = it.Next() {
		k, piece, err := decodeRowKey(it.Key()[prefixSize:])
		if err != nil {
			return errors.Join(explain(p.store.cfg.Dir, err), it.Close())
		}
		s, err := decodePiece(k, piece, it.Value())
		if err != nil {
			return errors.Join(explain(p.store.cfg.Dir, err), it.Close())
		}
		if piece == 0 {
			row, missing = Row{Key: k, Due: s.due, Content: s.content}, s.pieces
		} else {
			row.Content = append(slices.Clip(row.Content), s.content...)
		}
		if missing--; missing > 0 {
			row.Content = slices.Clone(row.Content)
			continue
		}
		if err := visit(row); err != nil {
			return errors.Join(err, it.Close())
		}
	}
	return explain(p.store.cfg.Dir, it.Close())
}

func (p *Partition) load() error {
	p.split = make(map[Key]int)
	value, closer, err := p.store.db.Get(appendPrefix(nil, p.number, kindMeta))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return explain(p.store.cfg.Dir, err)
	}
	p.position, err = DecodePosition(value)
	return explain(p.store.cfg.Dir, errors.Join(err, closer.Close()))
}

func (p *Partition) due(before int64, limit int, dst []Timer) ([]Timer, error) {
	var due []Timer
	err := p.Scan(func(r Row) error {
		if r.Due != 0 && r.Due < before {
			due = append(due, Timer{Due: r.Due, ID: r.ID})
		}
		return nil
	})
	slices.SortFunc(due, func(a, b Timer) int {
		if a.Due != b.Due {
			return int(a.Due - b.Due)
		}
		return strings.Compare(a.ID, b.ID)
	})
	return append(dst, due[:min(limit, len(due))]...), err
}

func (p *Partition) nextDue() (ms int64, ok bool, err error) {
	due, err := p.due(math.MaxInt64, 1, nil)
	if len(due) == 0 {
		return 0, false, err
	}
	return due[0].Due, true, err
}
