package state

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// storeFormat is the version of the layout of keys.
	storeFormat = 1
	// formatFile holds it.
	formatFile = "format"
	// instanceFile holds the instance id. It survives a Clear.
	instanceFile = "instance-id"
	// damagedFile says that the folder must be cleared.
	damagedFile = "damaged"
	// restoreFolder holds what restores write before it is the store's.
	restoreFolder = "restore"
	// flushInterval is how old what is only in memory may get, in ms of
	// Position.WrittenAt: a crash leaves at most this to the changelog.
	flushInterval = 30_000
)

// Config says where a store is and what it may use.
type Config struct {
	// Dir is the store's folder. It is made where it does not exist.
	Dir string
	// Memory is the bound of the whole process in bytes, of which the store takes
	// about half: memtables, cache, buffered rows, restores. 0: 512 MiB.
	Memory int64
	// Rows is what rows in memory may take, in bytes: reads of these need not go
	// to Pebble. 0: a thirty-second of Memory.
	Rows int64
	// FS is the file system; nil: the disk.
	FS vfs.FS
	// ReadOnly opens what is there and changes nothing: for looking at it.
	ReadOnly bool
}

// Store is a folder with the state of any number of partitions. It is safe for
// concurrent use.
type Store struct {
	cfg       Config
	opts      *pebble.Options
	db        *pebble.DB
	lock      *pebble.Lock
	health    *health
	restoring atomic.Int64 // restores under way
	flushed   atomic.Int64 // Position.WrittenAt at the last flush of memtables

	mu         sync.Mutex
	partitions map[int32]*Partition
}

// Open opens the store in cfg.Dir and locks the folder until Close. Its error
// wraps ErrLocked, ErrDamaged (see Clear), ErrNewer, ErrFull or ErrReadOnly
// where it is one of these.
func Open(cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	if cfg.ReadOnly {
		if _, err := cfg.FS.Stat(cfg.FS.PathJoin(cfg.Dir, formatFile)); errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("state %s: there is none: has a process run with this state.dir?", cfg.Dir)
		}
	} else if err := cfg.FS.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, explain(cfg.Dir, err)
	}
	lock, err := lockFolder(cfg)
	if err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, lock: lock, health: newHealth(cfg), partitions: make(map[int32]*Partition)}
	if err := s.open(); err != nil {
		return nil, errors.Join(explain(cfg.Dir, err), lock.Close())
	}
	return s, nil
}

func (s *Store) open() (err error) {
	if _, err := s.cfg.FS.Stat(s.path(damagedFile)); err == nil {
		return fmt.Errorf("%w: a partition could not be wiped", ErrDamaged)
	}
	if !s.cfg.ReadOnly {
		if err := s.cfg.FS.RemoveAll(s.path(restoreFolder)); err != nil {
			return err
		}
	}
	if err := s.checkFormat(); err != nil {
		return err
	}
	s.opts = options(s.cfg, s.lock, s.health)
	// Pebble ends the process where it cannot write a manifest, and panics at
	// some damage. Here, before its background work, that can be an error.
	defer func() {
		switch r := recover().(type) {
		case nil:
		case error:
			err = notSystem(r)
		default:
			err = fmt.Errorf("%w: %v", ErrDamaged, r)
		}
	}()
	if s.db, err = pebble.Open(s.cfg.Dir, s.opts); err != nil {
		return notSystem(err)
	}
	s.health.opened.Store(true)
	return nil
}

// checkFormat compares the folder's format with ours, and gives it to a new one.
func (s *Store) checkFormat() error {
	content, err := s.readFile(formatFile)
	if errors.Is(err, os.ErrNotExist) {
		return s.writeFile(formatFile, strconv.Itoa(storeFormat))
	}
	if err != nil {
		return err
	}
	format, err := strconv.ParseUint(content, 10, 8)
	if err == nil && format == storeFormat {
		return nil
	}
	if err = formatError("folder", byte(format), storeFormat); errors.Is(err, ErrNewer) {
		err = fmt.Errorf("%w, or delete the folder to have it restored from Kafka", err)
	}
	return err
}

// Clear removes everything from the folder but the instance id, so that Open
// finds an empty store and lanes restore from their changelogs. For a folder on
// which Open fails with ErrDamaged. It takes the lock like Open.
func Clear(cfg Config) error {
	cfg = cfg.withDefaults()
	lock, err := lockFolder(cfg)
	if err != nil {
		return err
	}
	names, err := cfg.FS.List(cfg.Dir)
	for _, name := range names {
		// The mark of damage goes last: a Clear that is cut off is done again.
		if name != instanceFile && name != damagedFile && name != "LOCK" {
			err = errors.Join(err, cfg.FS.RemoveAll(cfg.FS.PathJoin(cfg.Dir, name)))
		}
	}
	if err == nil {
		err = cfg.FS.RemoveAll(cfg.FS.PathJoin(cfg.Dir, damagedFile))
	}
	return explain(cfg.Dir, errors.Join(err, lock.Close()))
}

// Close writes what is buffered to disk and unlocks the folder. Every use of
// the store and its partitions must have ended. While the disk is full it fails
// with ErrFull and leaves the folder locked, as background work still waits for
// room: end the process, which loses nothing, or close again later.
func (s *Store) Close() error {
	var err error
	if !s.cfg.ReadOnly {
		err = s.Flush()
	}
	if errors.Is(err, ErrFull) {
		return err
	}
	return errors.Join(err, explain(s.cfg.Dir, errors.Join(s.db.Close(), s.lock.Close())))
}

// Err returns what keeps the store from writing, nil if nothing does.
func (s *Store) Err() error { return s.health.check(-1) }

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
	return s.flushMemtables()
}

// flushMemtables returns when all that Pebble has is on disk, or writing fails.
func (s *Store) flushMemtables() error {
	failure := s.health.failure()
	if err := s.Err(); err != nil {
		return err
	}
	done, err := s.db.AsyncFlush()
	if err != nil {
		return explain(s.cfg.Dir, err)
	}
	select {
	case <-done:
		return nil
	case <-failure:
		if err := s.Err(); err != nil {
			return err
		}
		return fmt.Errorf("state %s: writing failed for a while: try again", s.cfg.Dir)
	}
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
	p := newPartition(s, n)
	if err := p.load(); err != nil {
		return nil, err
	}
	s.partitions[n] = p
	s.share()
	return p, nil
}

// share gives what rows in memory may take to the partitions that are applied to:
// what only follows a changelog has no use for it.
func (s *Store) share() {
	using := int64(0)
	for _, p := range s.partitions {
		if p.applying.Load() {
			using++
		}
	}
	for _, p := range s.partitions {
		n := using
		if !p.applying.Load() {
			n++
		}
		p.rowsLimit.Store(s.cfg.shares().rows / n)
	}
}

// applies notes whether the partition is applied to, which gives it a share of the
// memory for rows.
func (p *Partition) applies(is bool) {
	if p.applying.Swap(is) != is {
		p.store.mu.Lock()
		defer p.store.mu.Unlock()
		p.store.share()
	}
}

// Wipe is Partition.Wipe for a partition that may be too damaged to be there.
func (s *Store) Wipe(n int32) error {
	s.mu.Lock()
	p := s.partitions[n]
	s.mu.Unlock()
	if p != nil {
		return p.Wipe()
	}
	p = newPartition(s, n)
	if err := p.Wipe(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.partitions[n] == nil {
		s.partitions[n] = p
		s.share()
	}
	return nil
}

// Damaged returns, ascending, the partitions of which something is known to be
// damaged: they are to be wiped. Until then background work tries them again and
// again.
func (s *Store) Damaged() []int32 {
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	return slices.Sorted(maps.Keys(s.health.damaged))
}

// Partitions returns, ascending, the numbers of the partitions that have
// anything on disk. How long one has been out of use, Position().WrittenAt tells.
// Where damage keeps some from being found, Damaged has them.
func (s *Store) Partitions() (numbers []int32, err error) {
	it, err := s.db.NewIter(nil)
	if err == nil {
		for ok := it.First(); ok; {
			n, _ := partitionOf(it.Key())
			numbers = append(numbers, n)
			ok = it.SeekGE(appendPrefix(nil, n, kindEnd))
		}
		err = it.Close()
	}
	if found := pebble.ExtractDataCorruptionInfo(err); found != nil {
		if first, last, ok := partitionsOf(found); ok {
			s.health.damage(first, last, err)
		}
	}
	return numbers, explain(s.cfg.Dir, err)
}

// InstanceID returns the id that the folder was given at the first call, 32
// hexadecimal digits: the static membership id of the process that uses it.
func (s *Store) InstanceID() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, err := s.readFile(instanceFile)
	if errors.Is(err, os.ErrNotExist) {
		return s.newInstanceID()
	}
	if err != nil {
		return "", explain(s.cfg.Dir, err)
	}
	if _, err := hex.DecodeString(id); err != nil || len(id) != 32 {
		return "", fmt.Errorf("state %s: %w: %s does not hold 32 hexadecimal digits: delete that file to get a new instance id", s.cfg.Dir, ErrDamaged, instanceFile)
	}
	return id, nil
}

func (s *Store) newInstanceID() (string, error) {
	var random [16]byte
	rand.Read(random[:]) // never fails
	id := hex.EncodeToString(random[:])
	return id, explain(s.cfg.Dir, s.writeFile(instanceFile, id))
}

func (s *Store) readFile(name string) (string, error) {
	f, err := s.cfg.FS.Open(s.path(name))
	if err != nil {
		return "", err
	}
	content, err := io.ReadAll(f)
	return string(content), errors.Join(err, f.Close())
}

// writeFile makes a file of the folder whole or not at all, and durable: written
// under another name, synced, renamed.
func (s *Store) writeFile(name, content string) error {
	f, err := s.cfg.FS.Create(s.path(name+".new"), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(content))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := s.cfg.FS.Rename(s.path(name+".new"), s.path(name)); err != nil {
		return err
	}
	dir, err := s.cfg.FS.OpenDir(s.cfg.Dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (s *Store) path(name string) string { return s.cfg.FS.PathJoin(s.cfg.Dir, name) }
