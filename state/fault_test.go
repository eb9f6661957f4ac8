package state

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// mustBe holds an error to its kind and its text to what a user needs.
func mustBe(t testing.TB, err, kind error, says ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, want %v", err, kind)
	}
	for _, s := range append(says, "state") {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q does not say %q", err, s)
		}
	}
}

func TestLocked(t *testing.T) {
	for name, cfg := range map[string]Config{
		"memory": {Dir: "state", FS: vfs.NewMem()}, "disk": {Dir: t.TempDir()},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(cfg)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Open(cfg)
			mustBe(t, err, ErrLocked, cfg.Dir, "another tripline process", "stop it", "state.dir")
			mustBe(t, Clear(cfg), ErrLocked, cfg.Dir)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err = Open(cfg); err != nil {
				t.Fatalf("after Close: %v", err)
			}
			s.Close()
		})
	}
}

// failing makes writes fail with an errno once it is on.
func failing(mem vfs.FS, errno syscall.Errno) (vfs.FS, *errorfs.Toggle) {
	toggle := &errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpRemove {
			return &iofs.PathError{Op: "write", Path: op.Path, Err: errno}
		}
		return nil
	})}
	return errorfs.Wrap(mem, toggle), toggle
}

func TestReadOnly(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EROFS, syscall.EACCES, syscall.EPERM} {
		for _, exists := range []bool{false, true} {
			mem := vfs.NewMem()
			if exists {
				open(t, mem, 0).Close()
			}
			fs, toggle := failing(mem, errno)
			toggle.On()
			_, err := Open(Config{Dir: "state", FS: fs})
			mustBe(t, err, ErrReadOnly, "write access", "state.dir")
		}
	}
}

// A disk that is full when the process starts is an error of Open at whatever
// write it shows, and neither ends the process nor hangs.
func TestFullAtOpen(t *testing.T) {
	for at := 0; ; at++ {
		left := at
		fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || op.Kind == errorfs.OpRemove || left > 0 {
				left--
				return nil
			}
			return syscall.ENOSPC
		}))
		_, err := Open(Config{Dir: "state", FS: fs, Memory: 1 << 20})
		if err == nil { // it stays open: Close would wait for room
			if at < 5 {
				t.Fatalf("%d writes were enough", at)
			}
			return
		}
		mustBe(t, err, ErrFull, "free some space")
	}
}

// flip inverts a bit of a file in place.
func flip(t testing.TB, fs vfs.FS, path string, at int64) {
	t.Helper()
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1 << (at % 8)
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

func size(t testing.TB, fs vfs.FS, path string) int64 {
	t.Helper()
	info, err := fs.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// filledFS is a closed store with rows in partitions 0 and 1, and their models.
func filledFS(t testing.TB) (*vfs.MemFS, map[int32]*model) {
	fs := vfs.NewCrashableMem()
	s := open(t, fs, 1<<20)
	models := map[int32]*model{}
	for _, n := range []int32{0, 1} {
		m := &model{rows: map[Key]Row{}}
		c := newCycle(uint64(n), 200)
		for range 100 {
			rows := c.rows(m)
			if err := partition(t, s, n).Apply(rows, m.apply(partition(t, s, n), rows, c.position())); err != nil {
				t.Fatal(err)
			}
		}
		models[n] = m
	}
	if _, err := s.InstanceID(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return fs, models
}

// A flipped bit anywhere in any file is found, or changes nothing; and the way
// back that the error names leads back.
func TestFlippedBit(t *testing.T) {
	fs, models := filledFS(t)
	names, err := fs.List("state")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := fs.PathJoin("state", name)
		length := size(t, fs, path)
		if name == instanceFile || length == 0 {
			continue
		}
		step := max(1, length/16)
		for at := int64(0); at < length; at += step {
			damaged := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0})
			flip(t, damaged, path, at)
			if err := comeBack(t, damaged, models); err != nil {
				t.Errorf("%s, byte %d of %d: %v", name, at, length, err)
			}
		}
	}
}

// comeBack does what a process does with a folder: open, clear where that is
// wanted, read, wipe what is damaged, restore.
func comeBack(t testing.TB, fs vfs.FS, models map[int32]*model) error {
	cfg := Config{Dir: "state", FS: fs, Memory: 1 << 20}
	s, err := Open(cfg)
	if errors.Is(err, ErrDamaged) {
		if err := Clear(cfg); err != nil {
			return err
		}
		s, err = Open(cfg)
	}
	if err != nil {
		return err
	}
	defer func() { s.Close() }()
	for n, m := range models {
		err := m.check(s, n)
		if errors.Is(err, ErrDamaged) {
			p, loadErr := s.Partition(n)
			if loadErr != nil {
				// A partition whose position cannot be read is not even there to wipe.
				s.Close()
				if err := Clear(cfg); err != nil {
					return err
				}
				if s, err = Open(cfg); err != nil {
					return err
				}
				if p, err = s.Partition(n); err != nil {
					return err
				}
			} else if wipeErr := p.Wipe(); wipeErr != nil {
				mustBe(t, wipeErr, ErrDamaged)
				s.Close()
				_, err = Open(cfg)
				mustBe(t, err, ErrDamaged)
				if err = Clear(cfg); err != nil {
					return err
				}
				if s, err = Open(cfg); err != nil {
					return err
				}
				if p, err = s.Partition(n); err != nil {
					return err
				}
			}
			m.restore(t, p, true)
			err = m.check(s, n)
		}
		if err != nil {
			return fmt.Errorf("partition %d: %w", n, err)
		}
	}
	return nil
}

// check reads all that is in a partition: it is the model's, or an error.
func (m *model) check(s *Store, n int32) error {
	p, err := s.Partition(n)
	if err != nil {
		return err
	}
	if p.Position().IsZero() { // cleared: it is restored first
		return ErrDamaged
	}
	rows := map[Key]Row{}
	err = p.Scan(func(r Row) error {
		r.Content = append([]byte{}, r.Content...)
		rows[r.Key] = r
		return nil
	})
	if err != nil {
		return err
	}
	due, err := p.Due(1<<60, 1<<20, nil)
	if err != nil {
		return err
	}
	if want := m.due(1 << 60); fmt.Sprint(due) != fmt.Sprint(want) {
		return fmt.Errorf("due %v, want %v", due, want)
	}
	return sameRows(rows, m.rows)
}
