package state

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// Partition is the state of one partition. It is safe for concurrent use, but
// Changelog, Apply and Restore belong to one loop.
type Partition struct {
	store     *Store
	number    int32
	rowsLimit atomic.Int64 // bytes: this partition's share of shares.rows
	applying  atomic.Bool  // since the last Restore there was an Apply

	mu       sync.Mutex
	position Position
	rows     shelves
	applied  bool        // something that is not in Pebble, if only a position
	since    int64       // WrittenAt of the first Apply of that
	split    map[Key]int // pieces of the rows in more than one, those on the shelf too
	timers   timerIndex
	written  bool   // something may be in memtables
	key      []byte // scratch
}

func newPartition(s *Store, n int32) *Partition {
	return &Partition{store: s, number: n, split: make(map[Key]int)}
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
	content, _, found, err = p.get(nil, k)
	return content, found, errors.Join(err, p.trusted())
}

// Head returns the content of a head, which the caller owns, and its Due: the
// OldDue of a row that replaces it.
func (p *Partition) Head(id string) (content []byte, due int64, found bool, err error) {
	return p.AppendHead(nil, id)
}

// AppendHead is Head with the content appended to dst, which is returned in any case.
func (p *Partition) AppendHead(dst []byte, id string) (content []byte, due int64, found bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	content, due, found, err = p.get(dst, Key{ID: id})
	return content, due, found, errors.Join(err, p.trusted())
}

// get appends a row's content to dst, which it returns in any case.
func (p *Partition) get(dst []byte, k Key) (content []byte, due int64, found bool, err error) {
	if r, ok := p.rows.find(k); ok {
		if dst == nil && r.content != nil {
			dst = make([]byte, 0, len(r.content))
		}
		return append(dst, r.content...), r.due, r.content != nil, nil
	}
	value, closer, err := p.read(k, 0)
	if value == nil || err != nil {
		return dst, 0, false, err
	}
	s, err := decodePiece(k.Part, 0, value)
	if err != nil {
		return dst, 0, false, errors.Join(p.rowError(k, err), closer.Close())
	}
	if dst == nil {
		dst = make([]byte, 0, len(s.content))
	}
	content = append(dst, s.content...)
	if s.pieces == 1 {
		p.shelve(k, s)
	}
	if err := closer.Close(); err != nil {
		return dst, 0, false, explain(p.store.cfg.Dir, err)
	}
	for piece := uint32(1); piece < uint32(s.pieces); piece++ {
		if content, err = p.appendPiece(content, k, piece); err != nil {
			return dst, 0, false, err
		}
	}
	return content, s.due, true, nil
}

// appendPiece appends what a piece holds of a row's content.
func (p *Partition) appendPiece(dst []byte, k Key, piece uint32) ([]byte, error) {
	value, closer, err := p.read(k, piece)
	if err != nil {
		return nil, err
	}
	if value == nil {
		return nil, p.rowError(k, fmt.Errorf("%w: piece %d is missing", ErrDamaged, piece))
	}
	s, err := decodePiece(k.Part, piece, value)
	if err != nil {
		return nil, errors.Join(p.rowError(k, err), closer.Close())
	}
	dst = append(dst, s.content...)
	return dst, explain(p.store.cfg.Dir, closer.Close())
}

// shelve keeps in memory what was read.
func (p *Partition) shelve(k Key, s stored) {
	p.rows.limit = p.rowsLimit.Load()
	p.rows.put(k, shelved{due: s.due, content: s.content}, false)
}

// read returns the stored value of a piece, which holds until closer is closed; nil, and no closer, if there is none.
func (p *Partition) read(k Key, piece uint32) (value []byte, closer io.Closer, err error) {
	p.key = appendRowKey(appendPrefix(p.key[:0], p.number, kindRow), k, piece)
	value, closer, err = p.store.db.Get(p.key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil, nil
	}
	if value == nil && err == nil {
		value = []byte{} // decodePiece says what is wrong with it
	}
	if err != nil {
		return nil, nil, p.failed(err)
	}
	return value, closer, nil
}

// appliedDue returns the Due of a head as last applied, 0 if it has none.
func (p *Partition) appliedDue(id string) (int64, error) {
	k := Key{ID: id}
	if r, ok := p.rows.find(k); ok {
		return r.due, nil
	}
	value, closer, err := p.read(k, 0)
	if value == nil || err != nil {
		return 0, err
	}
	s, err := decodePiece(0, 0, value)
	if err != nil {
		return 0, errors.Join(p.rowError(k, err), closer.Close())
	}
	if s.due != 0 && s.pieces == 1 { // the caller will want the row
		p.shelve(k, s)
	}
	return s.due, explain(p.store.cfg.Dir, closer.Close())
}

// dues returns the Due as last applied of entries' heads, none of which is in
// memory, but of those below before that it can keep in memory. It reads them in
// order of key, which costs a fraction of what appliedDue does.
func (p *Partition) dues(entries []Timer, before int64) (dues map[string]int64, err error) {
	slices.SortFunc(entries, func(a, b Timer) int { return strings.Compare(a.ID, b.ID) })
	it, err := p.store.db.NewIter(p.span(kindRow))
	if err != nil {
		return nil, p.failed(err)
	}
	dues = make(map[string]int64)
	for _, t := range entries {
		k := Key{ID: t.ID}
		p.key = appendRowKey(appendPrefix(p.key[:0], p.number, kindRow), k, 0)
		found := it.SeekPrefixGE(p.key)
		if it.Error() != nil {
			break // Close returns it too
		}
		var s stored
		if found {
			if s, err = decodePiece(0, 0, it.Value()); err != nil {
				return nil, errors.Join(p.rowError(k, err), it.Close())
			}
		}
		if s.due != 0 && s.due < before && s.pieces == 1 {
			p.shelve(k, s)
		} else {
			dues[t.ID] = s.due
		}
	}
	if err := it.Close(); err != nil {
		return nil, p.failed(err)
	}
	return dues, nil
}

// Apply makes rows and pos the partition's state, together. It is called only
// when the changelog has them, committed. No key may be in rows twice.
//
// What is applied is in memory at first, where reads see it, and is written as
// one batch with what came before, of each row the newest version, when that is
// large enough, or 10 s old by WrittenAt, and by Flush.
//
// After an error nothing of it is applied, and the partition is to be restored
// from its position once the cause is gone.
func (p *Partition) Apply(rows []Row, pos Position) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.store.health.check(p.number); err != nil {
		return err
	}
	p.applies(true)
	p.rows.limit = p.rowsLimit.Load()
	for i := range rows {
		p.applyRow(&rows[i])
	}
	if !p.applied {
		p.applied, p.since = true, pos.WrittenAt
	}
	p.position = pos
	if p.rows.dirt()+int64(len(p.timers.puts))*putBytes < p.dirtLimit() && pos.WrittenAt-p.since < flushAge {
		return nil
	}
	if err := p.flush(); err != nil {
		return err
	}
	return p.store.flushOld(pos.WrittenAt)
}

func (p *Partition) applyRow(r *Row) {
	b, was := shelved{content: r.Content}, r.OldDue
	if len(p.split) > 0 || len(r.Content) > pieceSize {
		b.pieces = p.split[r.Key]
		if n := pieces(len(r.Content)); n > 1 {
			p.split[r.Key] = n
		} else {
			delete(p.split, r.Key)
		}
	}
	if r.Part == 0 && r.Content != nil {
		b.due = r.Due
	}
	if due, known := p.rows.put(r.Key, b, true); known {
		was = due
	}
	if r.Part == 0 {
		p.timers.change(r.ID, was, b.due)
	}
}

// dirtLimit is how much may be applied and not in Pebble, in bytes: a batch
// that goes into a memtable with room to spare.
func (p *Partition) dirtLimit() int64 { return min(p.rows.limit/2, p.store.cfg.shares().memtable/4) }

// Flush hands what is buffered to Pebble. Only Store.Flush makes it durable.
func (p *Partition) Flush() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.flush()
}

// Wipe removes everything of the partition, the position too, also where that
// is damaged. It is durable when it returns. Where even that fails with
// ErrDamaged, the next Open fails with ErrDamaged and wants a Clear.
func (p *Partition) Wipe() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.replace(nil)
}

// Scan calls visit for every row in order of key (ID, then part), as applied
// when Scan was called. Content is valid only during the call. An error of visit
// ends it and is in its error.
func (p *Partition) Scan(visit func(Row) error) error {
	var row Row
	missing := 0
	err := p.Records(func(k Key, piece uint32, value []byte) error {
		s, err := decodePiece(k.Part, piece, value)
		if err != nil {
			return p.rowError(k, err)
		}
		switch {
		case piece == 0 && missing == 0:
			row, missing = Row{Key: k, Due: s.due, Content: s.content}, s.pieces
			if missing > 1 {
				row.Content = slices.Clone(row.Content)
			}
		case piece > 0 && missing > 0 && k == row.Key:
			row.Content = append(row.Content, s.content...)
		default:
			return p.rowError(k, fmt.Errorf("%w: piece %d is out of place", ErrDamaged, piece))
		}
		if missing--; missing > 0 {
			return nil
		}
		return visit(row)
	})
	if err == nil && missing > 0 {
		return p.rowError(row.Key, fmt.Errorf("%w: its last piece is missing", ErrDamaged))
	}
	return err
}

// Records calls visit for every piece of a row, in order of key, as it stands in
// the changelog, and as applied when Records was called. value is valid only
// during the call. An error of visit ends it and is in its error.
func (p *Partition) Records(visit func(k Key, piece uint32, value []byte) error) (err error) {
	p.mu.Lock()
	err = p.flush()
	var it *pebble.Iterator
	if err == nil {
		it, err = p.store.db.NewIter(p.span(kindRow))
	}
	p.mu.Unlock()
	if err != nil {
		return p.failed(err)
	}
	defer func() {
		if closed := it.Close(); closed != nil {
			err = errors.Join(err, p.failed(closed))
		}
		err = errors.Join(err, p.trusted())
	}()
	for ok := it.First(); ok; ok = it.Next() {
		k, piece, err := decodeRowKey(it.Key()[prefixSize:])
		if err != nil {
			return p.failed(fmt.Errorf("%w: %w", ErrDamaged, err))
		}
		if err := visit(k, piece, it.Value()); err != nil {
			return err
		}
	}
	return nil
}

// Heads calls visit for the heads behind an ID, in order, as long as there is to be more: those that Flush has written, as they are in Pebble.
// Of a head in several pieces content is the first. Content is valid only during the call, in which the partition may not be used. A head
// that is wanted will be read next, which costs little then.
func (p *Partition) Heads(after string, visit func(id string, content []byte) (wanted, more bool)) (err error) {
	p.mu.Lock() // what is not in memory now is in the iterator as it is
	defer p.mu.Unlock()
	it, err := p.store.db.NewIter(p.span(kindRow))
	if err != nil {
		return explain(p.store.cfg.Dir, err)
	}
	defer func() { err = errors.Join(err, explain(p.store.cfg.Dir, it.Close()), p.trusted()) }()
	behind := func(id string) []byte {
		key := appendRowKey(appendPrefix(nil, p.number, kindRow), Key{ID: id}, 0)
		return append(key[:len(key)-1], 2) // an ID ends with 0x00 0x01, whatever follows
	}
	ok := false
	if after == "" {
		ok = it.First()
	} else {
		ok = it.SeekGE(behind(after))
	}
	for ok {
		k, piece, err := decodeRowKey(it.Key()[prefixSize:])
		if err != nil {
			return explain(p.store.cfg.Dir, fmt.Errorf("%w: %w", ErrDamaged, err))
		}
		if k.Part > 0 || piece > 0 {
			ok = it.SeekGE(behind(k.ID))
			continue
		}
		s, err := decodePiece(0, 0, it.Value())
		if err != nil {
			return p.rowError(k, err)
		}
		wanted, more := visit(k.ID, s.content)
		if _, known := p.rows.find(k); wanted && !known && s.pieces == 1 {
			p.shelve(k, s)
		}
		ok = more && it.Next()
	}
	return nil
}

// span bounds an iterator to one kind of the partition's keys.
func (p *Partition) span(kind byte) *pebble.IterOptions {
	return &pebble.IterOptions{
		LowerBound: appendPrefix(nil, p.number, kind), UpperBound: appendPrefix(nil, p.number, kind+1)}
}
