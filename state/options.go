package state

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// defaultMemory is the bound of the process where Config leaves it out, in bytes.
const defaultMemory = 512 << 20

// shares says what part of the process's memory goes to what, in bytes.
type shares struct {
	memtable int64 // one of the two that are there at most times
	cache    int64 // blocks
	rows     int64 // in memory: not yet in Pebble, or used last; all partitions
	restore  int64 // what restores collect before they write, all partitions
}

func (cfg Config) shares() shares {
	return shares{
		memtable: min(128<<20, max(1<<20, cfg.Memory/24)),
		cache:    max(4<<20, cfg.Memory/16),
		rows:     max(256<<10, cmp.Or(cfg.Rows, cfg.Memory/32)),
		restore:  max(1<<20, cfg.Memory/8),
	}
}

// OffHeap is how much memory a store takes outside of Go's heap, in bytes, where
// the program is built with cgo: GOMEMLIMIT has to leave room for it.
func (cfg Config) OffHeap() int64 {
	share := cfg.withDefaults().shares()
	return 2*share.memtable + share.cache
}

func (cfg Config) withDefaults() Config {
	if cfg.FS == nil {
		cfg.FS = vfs.Default
	}
	if cfg.Memory == 0 {
		cfg.Memory = defaultMemory
	}
	return cfg
}

// options derives Pebble's options. Its defaults are those of a test: a cache of
// 8 MB, memtables of 4 MB, no filters, the oldest format.
func options(cfg Config, lock *pebble.Lock, h *health) *pebble.Options {
	share := cfg.shares()
	o := &pebble.Options{
		FS:       vfs.OnDiskFull(cfg.FS, h.waitForRoom),
		Lock:     lock,
		ReadOnly: cfg.ReadOnly,
		Logger:   logger{},
		// Each batch holds its position, and the changelog what a crash takes.
		DisableWAL:         true,
		FormatMajorVersion: pebble.FormatNewest,
		// Memtables are taken out of the cache's share.
		CacheSize:                   share.cache + 2*share.memtable,
		MemTableSize:                uint64(share.memtable),
		MemTableStopWritesThreshold: 4,
		BytesPerSync:                1 << 20,
		LBaseMaxBytes:               max(64<<20, 4*share.memtable),
		// A flush is cut at 2 MB of a sublevel, so that compactions of different
		// partitions run side by side.
		FlushSplitBytes:             2 << 20,
		L0CompactionThreshold:       8,
		L0StopWritesThreshold:       64,
		CompactionConcurrencyRange:  func() (int, int) { return 1, max(1, runtime.GOMAXPROCS(0)/2) },
		MaxConcurrentDownloads:      func() int { return 1 },
		DisableAutomaticCompactions: false,
		EventListener: &pebble.EventListener{
			BackgroundError: h.background,
			// Reads return it as an error, background work reports it as well.
			DataCorruption: func(pebble.DataCorruptionInfo) {},
			FlushEnd: func(info pebble.FlushInfo) {
				if info.Err == nil {
					h.recovered()
				}
			},
		},
	}
	// What is ingested or excised is on disk when that returns.
	o.Experimental.DisableIngestAsFlushable = func() bool { return true }
	o.TargetFileSizes[0] = 8 << 20
	for i := range o.Levels {
		level := &o.Levels[i]
		level.BlockSize, level.IndexBlockSize = 8<<10, 64<<10
		level.FilterPolicy, level.FilterType = bloom.FilterPolicy(10), pebble.TableFilter
		level.Compression = func() *block.CompressionProfile { return block.NoCompression }
	}
	o.Levels[len(o.Levels)-1].Compression = func() *block.CompressionProfile { return block.FastestCompression }
	o.EnsureDefaults()
	return o
}

// lockFolder takes the lock of the folder, which must exist.
func lockFolder(cfg Config) (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(cfg.Dir, cfg.FS)
	if err == nil {
		return lock, nil
	}
	// Where it is another one's, the error is the bare errno, or Pebble's own for
	// this very process; what is wrong with the file itself names its path.
	var path *fs.PathError
	if errors.Is(err, syscall.EAGAIN) || !errors.As(err, &path) && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EROFS) {
		return nil, fmt.Errorf("state %s: %w by another tripline process: stop it or set another state.dir: %w", cfg.Dir, ErrLocked, err)
	}
	return nil, explain(cfg.Dir, err)
}
