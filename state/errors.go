package state

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
)

// What can be wrong with a state folder. Every error of this package wraps at
// most one of them, and its text names the folder and says what to do.
var (
	// ErrLocked: another process has the folder open.
	ErrLocked = errors.New("the state folder is in use")
	// ErrDamaged: what is on disk cannot be read. The changelog has all of it:
	// wipe the partition (Partition.Wipe), or where Open fails the folder
	// (Clear), and restore.
	ErrDamaged = errors.New("the state on disk is damaged")
	// ErrNewer: the folder or the changelog was written by a newer version.
	ErrNewer = errors.New("the state was written by a newer version of tripline")
	// ErrFull: the disk or the quota is used up. What was applied stays
	// readable; Apply works again once there is room.
	ErrFull = errors.New("the disk is full")
	// ErrReadOnly: the folder may not be written.
	ErrReadOnly = errors.New("the state folder cannot be written")
)

// explain gives err, which came up in the folder dir, its kind and a text that
// says what to do. Errors that already have one stay as they are.
func explain(dir string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrLocked), errors.Is(err, ErrDamaged), errors.Is(err, ErrNewer),
		errors.Is(err, ErrFull), errors.Is(err, ErrReadOnly):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("state %s: %w: free some space or set another state.dir; nothing committed is lost: %w", dir, ErrFull, err)
	case errors.Is(err, os.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, pebble.ErrReadOnly):
		return fmt.Errorf("state %s: %w: give this user write access to it or set another state.dir: %w", dir, ErrReadOnly, err)
	case strings.Contains(err.Error(), "unknown format major version"):
		return fmt.Errorf("state %s: %w: upgrade, or delete the folder to have it restored from Kafka: %w", dir, ErrNewer, err)
	case pebble.IsCorruptionError(err), errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("state %s: %w: it is restored from the changelog; if this comes back, check the disk: %w", dir, ErrDamaged, err)
	}
	return fmt.Errorf("state %s: %w", dir, err)
}
