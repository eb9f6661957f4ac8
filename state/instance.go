package state

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// instanceFile holds the instance id, beside Pebble's own files, so that it
// survives a Clear.
const instanceFile = "instance-id"

// InstanceID returns the id that the folder was given at the first call, 32
// hexadecimal digits: the static membership id of the process that uses it.
func (s *Store) InstanceID() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := s.cfg.FS.PathJoin(s.cfg.Dir, instanceFile)
	f, err := s.cfg.FS.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return s.newInstanceID(path)
	}
	if err != nil {
		return "", explain(s.cfg.Dir, err)
	}
	id, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", explain(s.cfg.Dir, err)
	}
	if _, err := hex.DecodeString(string(id)); err != nil || len(id) != 32 {
		return "", fmt.Errorf("state %s: %w: %s does not hold 32 hexadecimal digits: delete it to get a new instance id", s.cfg.Dir, ErrDamaged, path)
	}
	return string(id), nil
}

// newInstanceID makes the file whole or not at all: written under another name,
// synced, renamed.
func (s *Store) newInstanceID(path string) (string, error) {
	var random [16]byte
	rand.Read(random[:]) // never fails
	id := hex.EncodeToString(random[:])
	f, err := s.cfg.FS.Create(path+".new", vfs.WriteCategoryUnspecified)
	if err != nil {
		return "", explain(s.cfg.Dir, err)
	}
	_, err = f.Write([]byte(id))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", explain(s.cfg.Dir, err)
	}
	if err := s.cfg.FS.Rename(path+".new", path); err != nil {
		return "", explain(s.cfg.Dir, err)
	}
	dir, err := s.cfg.FS.OpenDir(s.cfg.Dir)
	if err != nil {
		return "", explain(s.cfg.Dir, err)
	}
	return id, explain(s.cfg.Dir, errors.Join(dir.Sync(), dir.Close()))
}
