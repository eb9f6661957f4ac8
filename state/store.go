package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Config says where a store is and what it may use.
type Config struct {
	// Dir is the store's folder. It is made where it does not exist.
	Dir string
	// Memory is the bound of the whole process in bytes, of which the store takes
	// up to half: cache, memtables, buffered rows. 0: 512 MiB.
	Memory int64
	// FS is the file system; nil: the disk.
	FS vfs.FS
}

// Store is a folder with the state of any number of partitions. It is safe for
// concurrent use.
type Store struct {
	cfg  Config
	db   *pebble.DB
	lock *pebble.Lock

	mu         sync.Mutex
	partitions map[int32]*Partition
}

// Open opens the store in cfg.Dir and locks the folder until Close. Its error
// wraps ErrLocked, ErrDamaged (see Clear), ErrNewer, ErrFull or ErrReadOnly
// where it is one of these.
func Open(cfg Config) (*Store, error) {
	if cfg.FS == nil {
		cfg.FS = vfs.Default
	}
	if cfg.Memory == 0 {
		cfg.Memory = 512 << 20
	}
	s := &Store{cfg: cfg, partitions: make(map[int32]*Partition)}
	if err := cfg.FS.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, explain(cfg.Dir, err)
	}
	lock, err := lockFolder(cfg)
	if err != nil {
		return nil, err
	}
	s.lock = lock
	if s.db, err = pebble.Open(cfg.Dir, options(cfg, lock)); err != nil {
		return nil, errors.Join(explain(cfg.Dir, err), lock.Close())
	}
	return s, nil
}

// Clear removes everything from the folder but the instance id, so that Open
// finds an empty store and lanes restore from their changelogs. For a folder on
// which Open fails with ErrDamaged. It takes the lock like Open.
func Clear(cfg Config) error {
	if cfg.FS == nil {
		cfg.FS = vfs.Default
	}
	lock, err := lockFolder(cfg)
	if err != nil {
		return err
	}
	names, err := cfg.FS.List(cfg.Dir)
	for _, name := range names {
		if name != instanceFile && name != "LOCK" {
			err = errors.Join(err, cfg.FS.RemoveAll(cfg.FS.PathJoin(cfg.Dir, name)))
		}
	}
	return explain(cfg.Dir, errors.Join(err, lock.Close()))
}

// Close writes what is buffered to disk and unlocks the folder. Every use of
// the store and its partitions must have ended.
func (s *Store) Close() error {
	err := s.Flush()
	return errors.Join(err, explain(s.cfg.Dir, errors.Join(s.db.Close(), s.lock.Close())))
}

// Flush writes to disk all that was applied. After it a crash loses nothing.
func (s *Store) Flush() error {
	s.mu.Lock()
	partitions := make([]*Partition, 0, len(s.partitions))
	for _, p := range s.partitions {
		partitions = append(partitions, p)
	}
	s.mu.Unlock()
	for _, p := range partitions {
		if err := p.Flush(); err != nil {
			return err
		}
	}
	return explain(s.cfg.Dir, s.db.Flush())
}

// Partition returns partition n, which exists from its first Apply or restore
// on. The same n gives the same *Partition.
func (s *Store) Partition(n int32) (*Partition, error) {
	if n < 0 {
		return nil, fmt.Errorf("state %s: partition %d", s.cfg.Dir, n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.partitions[n]; p != nil {
		return p, nil
	}
	p := &Partition{store: s, number: n}
	if err := p.load(); err != nil {
		return nil, err
	}
	s.partitions[n] = p
	return p, nil
}

// Partitions returns, ascending, the numbers of the partitions that hold
// anything. How long one has been out of use, Position().WrittenAt tells.
func (s *Store) Partitions() (numbers []int32, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{UpperBound: storePrefix})
	if err != nil {
		return nil, explain(s.cfg.Dir, err)
	}
	for ok := it.First(); ok; {
		n := int32(binary.BigEndian.Uint32(it.Key()))
		numbers = append(numbers, n)
		ok = it.SeekGE(appendPrefix(nil, n, kindEnd))
	}
	return numbers, explain(s.cfg.Dir, it.Close())
}
