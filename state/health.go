package state

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// What can be wrong with a state folder. Every error of this package wraps at
// most one of them, and its text names the folder and says what to do.
var (
	// ErrLocked: another process has the folder open.
	ErrLocked = errors.New("the state folder is in use")
	// ErrDamaged: what is on disk, or in the changelog, cannot be read. The
	// changelog has all that is on disk: wipe the partition (Partition.Wipe), or
	// where Open fails the folder (Clear), and restore.
	ErrDamaged = errors.New("the state is damaged")
	// ErrNewer: the folder or the changelog was written by a newer version.
	ErrNewer = errors.New("the state was written by a newer version of tripline")
	// ErrFull: the disk or the quota is used up. What was applied stays
	// readable; Apply works again once there is room.
	ErrFull = errors.New("the disk is full")
	// ErrReadOnly: the folder may not be written.
	ErrReadOnly = errors.New("the state folder cannot be written")
)

// explain gives err, which came up in the folder dir, its kind and a text that
// says what to do. An error that has been explained stays as it is.
func explain(dir string, err error) error {
	kind, advice := error(nil), ""
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrLocked), errors.Is(err, ErrDamaged), errors.Is(err, ErrNewer),
		errors.Is(err, ErrFull), errors.Is(err, ErrReadOnly):
		if strings.HasPrefix(err.Error(), "state "+dir+":") {
			return err
		}
		return fmt.Errorf("state %s: %w", dir, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		kind, advice = ErrFull, "free some space or set another state.dir; nothing that was committed is lost"
	case errors.Is(err, os.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, pebble.ErrReadOnly):
		kind, advice = ErrReadOnly, "give this user write access to it or set another state.dir"
	case strings.Contains(err.Error(), "unknown format major version"), strings.Contains(err.Error(), "unknown format version"):
		kind, advice = ErrNewer, "upgrade tripline, or delete the folder to have it restored from Kafka"
	case pebble.IsCorruptionError(err), errors.Is(err, os.ErrNotExist):
		kind, advice = ErrDamaged, "it can be wiped and restored from the changelog; if this comes back, check the disk"
	default:
		return fmt.Errorf("state %s: %w", dir, err)
	}
	return fmt.Errorf("state %s: %w: %s: %w", dir, kind, advice, err)
}

// notSystem gives an error of opening a folder, that neither the system nor a
// newer version is the reason of, to damage: Pebble has many for files that do
// not fit together.
func notSystem(err error) error {
	var errno syscall.Errno
	if explained := explain("", err); errors.As(err, &errno) || errors.Is(explained, ErrNewer) || errors.Is(explained, ErrReadOnly) {
		return err
	}
	return fmt.Errorf("%w: it can be wiped and restored from the changelog: %w", ErrDamaged, err)
}

// health knows what Pebble's background work fails with. A store that cannot
// write refuses to apply more, instead of filling its memory and stalling.
type health struct {
	dir    string
	fs     vfs.FS      // as given, without the wrapper that waits for room
	opened atomic.Bool // Open has returned: a write may wait for room

	mu       sync.Mutex
	err      error
	failed   chan struct{} // closed while err is set
	damaged  map[int32]error
	troubled atomic.Bool // damaged is not empty
}

func newHealth(cfg Config) *health {
	return &health{dir: cfg.Dir, fs: cfg.FS,
		failed: make(chan struct{}), damaged: make(map[int32]error)}
}

// check returns why partition n cannot be written or trusted; n < 0: the store.
func (h *health) check(n int32) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return h.err
	}
	return h.damaged[n]
}

// failure returns a channel that is closed once writing fails.
func (h *health) failure() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failed
}

func (h *health) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		close(h.failed)
	}
	h.err = explain(h.dir, err)
}

func (h *health) recovered() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		h.err, h.failed = nil, make(chan struct{})
	}
}

// background takes an error of a flush or a compaction. Pebble calls it with
// locks held.
func (h *health) background(err error) {
	found := pebble.ExtractDataCorruptionInfo(err)
	if found == nil {
		h.fail(err)
		return
	}
	first, last, ok := partitionsOf(found)
	if !ok {
		h.fail(err)
		return
	}
	h.damage(first, last, err)
}

// damage says that partitions first to last cannot be trusted any more.
func (h *health) damage(first, last int32, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for n := first; n <= last; n++ {
		h.damaged[n] = explain(h.dir, err)
	}
	h.troubled.Store(true)
}

// partitionsOf returns which partitions a damaged file holds.
func partitionsOf(found *pebble.DataCorruptionInfo) (first, last int32, ok bool) {
	first, ok = partitionOf(found.Bounds.Start)
	last, end := partitionOf(found.Bounds.End.Key)
	return first, last, ok && end
}

// trusted returns an error if what was just read of partition n may be damage.
func (h *health) trusted(n int32) error {
	if !h.troubled.Load() {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.damaged[n]
}

// Err returns why the partition cannot be trusted any more: it is to be wiped and
// restored. nil if there is no reason.
func (p *Partition) Err() error { return p.trusted() }

// trusted is asked after a read.
func (p *Partition) trusted() error { return p.store.health.trusted(p.number) }

// failed explains an error of a read. Damage is the partition's until it is wiped.
func (p *Partition) failed(err error) error {
	err = explain(p.store.cfg.Dir, err)
	if errors.Is(err, ErrDamaged) {
		p.store.health.damage(p.number, p.number, err)
	}
	return err
}

func (p *Partition) rowError(k Key, err error) error {
	return p.failed(fmt.Errorf("row %q part %d of partition %d: %w", k.ID, k.Part, p.number, err))
}

// wiped says that nothing of partition n is left that could be damaged.
func (h *health) wiped(n int32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.damaged, n)
	h.troubled.Store(len(h.damaged) > 0)
}

const (
	// roomInterval is how long to wait before a full disk is tried again.
	roomInterval = 250 * time.Millisecond
	// enoughRoom is the free space, in bytes, at which it is.
	enoughRoom = 64 << 20
)

// waitForRoom holds up the write that found the disk full, and those behind it,
// until there is room. Without it Pebble would try again without end, and end
// the process where the write was to its manifest.
func (h *health) waitForRoom() {
	if !h.opened.Load() {
		return
	}
	h.fail(syscall.ENOSPC)
	for {
		time.Sleep(roomInterval)
		usage, err := h.fs.GetDiskUsage(h.dir)
		if err != nil || usage.AvailBytes >= enoughRoom {
			h.recovered()
			return
		}
	}
}

// fatalError is what Pebble cannot go on from.
type fatalError struct{ error }

func (e fatalError) Unwrap() error { return e.error }

// logger drops what Pebble logs: what matters comes as an error or through the
// event listener. Pebble relies on Fatalf not to return.
type logger struct{}

func (logger) Infof(string, ...any)  {}
func (logger) Errorf(string, ...any) {}
func (logger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	for _, arg := range args {
		if cause, ok := arg.(error); ok {
			err = fmt.Errorf("%s: %w", format, cause)
		}
	}
	panic(fatalError{err})
}
