package state

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

// options derives Pebble's options from cfg.
func options(cfg Config, lock *pebble.Lock) *pebble.Options {
	o := &pebble.Options{
		FS:                          cfg.FS,
		Lock:                        lock,
		DisableWAL:                  true,
		FormatMajorVersion:          pebble.FormatNewest,
		CacheSize:                   max(4<<20, cfg.Memory/8),
		MemTableSize:                uint64(min(128<<20, max(1<<20, cfg.Memory/8))),
		MemTableStopWritesThreshold: 4,
	}
	o.EnsureDefaults()
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

// lockFolder takes the lock of the folder, which must exist.
func lockFolder(cfg Config) (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(cfg.Dir, cfg.FS)
	if err == nil {
		return lock, nil
	}
	var path *fs.PathError
	if !errors.As(err, &path) || errors.Is(err, syscall.EAGAIN) {
		return nil, fmt.Errorf("state %s: %w by another tripline process: stop it or set another state.dir: %w", cfg.Dir, ErrLocked, err)
	}
	return nil, explain(cfg.Dir, err)
}
