package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// What a compaction finds damaged is told to every partition it may concern.
func TestDamageInCompaction(t *testing.T) {
	fs, models := filledFS(t)
	s := open(t, fs, 1<<20)
	defer s.Close()
	for n, m := range models {
		p := partition(t, s, n)
		rows := []Row{{Key: Key{ID: "a"}, Content: []byte("1")}, {Key: Key{ID: "z"}, Content: []byte("2")}}
		if err := p.Apply(rows, m.apply(p, rows, Position{WrittenAt: 5})); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	names, _ := fs.List("state")
	for _, name := range names {
		if strings.HasSuffix(name, ".sst") {
			flip(t, fs, fs.PathJoin("state", name), size(t, fs, fs.PathJoin("state", name))/3)
		}
	}
	if err := s.db.Compact(context.Background(), []byte{0}, []byte{0xFF}, false); err == nil {
		t.Fatal("compacted what is damaged")
	}
	if err := s.Err(); err != nil {
		t.Fatalf("the store is not to blame: %v", err)
	}
	for n, m := range models {
		p := partition(t, s, n)
		mustBe(t, p.Apply(nil, Position{WrittenAt: 1}), ErrDamaged, "restored from the changelog")
		if err := p.Wipe(); err != nil {
			t.Fatal(err)
		}
		m.restore(t, p, false)
		if err := m.check(s, n); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNewer(t *testing.T) {
	mem := vfs.NewMem()
	s := open(t, mem, 1<<20)
	p := partition(t, s, 0)
	row := Row{Key: Key{ID: "ann"}, Content: []byte("x")}
	r := p.Restore()
	p.Changelog(row, func(key, value []byte) {
		value[0]++
		mustBe(t, fmt.Errorf("state: %w", r.Add(key, value, 7)), ErrNewer, "offset 7", "upgrade")
	})
	_, pos := Position{WrittenAt: 1}.Record()
	pos[0]++
	mustBe(t, fmt.Errorf("state: %w", r.Add([]byte{kindMeta}, pos, 8)), ErrNewer, "offset 8", "upgrade")
	mustBe(t, fmt.Errorf("state: %w", r.Add([]byte{kindEnd + 3}, []byte{1}, 9)), ErrNewer, "offset 9")
	if err := r.Abandon(); err != nil {
		t.Fatal(err)
	}

	key := appendRowKey(appendPrefix(nil, 0, kindRow), row.Key, 0)
	if err := s.db.Set(key, []byte{rowFormat + 1, 1, 0}, pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	_, _, err := p.Get(row.Key)
	mustBe(t, err, ErrNewer, "ann", "upgrade")

	if err := s.writeFile(formatFile, "2"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Open(Config{Dir: "state", FS: mem})
	mustBe(t, err, ErrNewer, "upgrade", "delete the folder")
}

// A folder that a newer Pebble wrote says so too.
func TestNewerPebble(t *testing.T) {
	mem := vfs.NewMem()
	open(t, mem, 1<<20).Close()
	names, _ := mem.List("state")
	for _, name := range names {
		if strings.HasPrefix(name, "marker.format-version.") {
			newer := name[:strings.LastIndex(name, ".")] + ".999"
			if err := mem.Rename("state/"+name, "state/"+newer); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, err := Open(Config{Dir: "state", FS: mem})
	mustBe(t, err, ErrNewer, "upgrade")
}

func TestInstanceID(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := open(t, mem, 1<<20)
	id, err := s.InstanceID()
	if err != nil || len(id) != 32 {
		t.Fatal(id, err)
	}
	// It is durable when it is returned.
	crash := open(t, mem.CrashClone(vfs.CrashCloneCfg{}), 1<<20)
	if again, err := crash.InstanceID(); err != nil || again != id {
		t.Fatalf("after a crash %q, %v, want %q", again, err, id)
	}
	crash.Close()
	s.Close()
	if err := Clear(Config{Dir: "state", FS: mem}); err != nil {
		t.Fatal(err)
	}
	s = open(t, mem, 1<<20)
	defer s.Close()
	if again, err := s.InstanceID(); err != nil || again != id {
		t.Fatalf("after Clear %q, %v, want %q", again, err, id)
	}
	f, err := mem.Create("state/"+instanceFile, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(f, "not an id")
	f.Close()
	_, err = s.InstanceID()
	mustBe(t, err, ErrDamaged, instanceFile, "delete")
}

// A disk that fills up stops Apply, and nothing else; with room again it goes on.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, full := failing(vfs.NewMem(), syscall.ENOSPC)
		s := open(t, fs, 1<<20)
		p := partition(t, s, 0)
		row := func(content string) []Row { return []Row{{Key: Key{ID: "ann"}, Due: 9, Content: []byte(content)}} }
		apply := func(content string, at int64) error { return p.Apply(row(content), Position{WrittenAt: at}) }
		if err := apply("before", 1); err != nil {
			t.Fatal(err)
		}
		full.On()
		mustBe(t, s.Flush(), ErrFull, "free some space", "nothing that was committed is lost")
		mustBe(t, s.Err(), ErrFull)
		mustBe(t, apply("refused", 2), ErrFull)
		mustBe(t, p.Wipe(), ErrFull)
		mustBe(t, s.Close(), ErrFull)
		content, _, err := p.Get(Key{ID: "ann"})
		due, dueErr := p.Due(10, 1, nil)
		if err != nil || dueErr != nil || string(content) != "before" || len(due) != 1 || p.Position().WrittenAt != 1 {
			t.Fatalf("while full: %q %v %v %v at %d", content, err, due, dueErr, p.Position().WrittenAt)
		}
		time.Sleep(time.Minute)
		mustBe(t, s.Err(), ErrFull)
		full.Off()
		time.Sleep(time.Minute)
		if err := errors.Join(s.Err(), apply("after", 3), s.Flush(), p.Wipe(), s.Close()); err != nil {
			t.Fatalf("with room again: %v", err)
		}
	})
}

// Restores report a full disk too, and leave nothing behind.
func TestFullRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, full := failing(vfs.NewMem(), syscall.ENOSPC)
		s := open(t, fs, 1<<20)
		p := partition(t, s, 0)
		full.On()
		r := p.Restore()
		var err error
		for i := 0; err == nil; i++ {
			p.Changelog(Row{Key: Key{ID: fmt.Sprint(i)}, Content: make([]byte, 100<<10)}, func(key, value []byte) {
				err = r.Add(key, value, int64(i))
			})
		}
		mustBe(t, err, ErrFull)
		mustBe(t, r.Finish(Position{WrittenAt: 1}), ErrFull)
		full.Off()
		time.Sleep(time.Minute)
		if err := p.Apply([]Row{{Key: Key{ID: "ann"}, Content: []byte("x")}}, Position{WrittenAt: 1}); err != nil {
			t.Fatal(err)
		}
		if names, _ := fs.List(fs.PathJoin("state", restoreFolder)); len(names) > 0 {
			t.Fatalf("left behind: %v", names)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// A folder that may not be written any more refuses what is applied, and says what to do; with the right back it goes on.
func TestReadOnlyLater(t *testing.T) {
	fs, protected := failing(vfs.NewMem(), syscall.EROFS)
	s := open(t, fs, 1<<20)
	p := partition(t, s, 0)
	rows := []Row{{Key: Key{ID: "ann"}, Content: []byte("x")}}
	if err := p.Apply(rows, Position{WrittenAt: 1}); err != nil {
		t.Fatal(err)
	}
	protected.On()
	mustBe(t, s.Flush(), ErrReadOnly, "write access")
	mustBe(t, s.Err(), ErrReadOnly)
	mustBe(t, p.Apply(rows, Position{WrittenAt: 2}), ErrReadOnly)
	protected.Off()
	for s.Err() != nil {
		time.Sleep(time.Millisecond) // it is tried again without a pause
	}
	if err := errors.Join(p.Apply(rows, Position{WrittenAt: 3}), s.Close()); err != nil {
		t.Error(err)
	}
}

// A partition that is too damaged to be there can be wiped, and is then as good as new.
func TestWipeOfWhatCannotBeRead(t *testing.T) {
	mem := vfs.NewMem()
	s := open(t, mem, 0)
	defer s.Close()
	key := appendPrefix(nil, 3, kindMeta)
	if err := s.db.Set(key, []byte{positionFormat, 1}, pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	_, err := s.Partition(3)
	mustBe(t, err, ErrDamaged)
	if err := s.Wipe(3); err != nil {
		t.Fatal(err)
	}
	p := partition(t, s, 3)
	if !p.Position().IsZero() || p.Err() != nil || len(s.Damaged()) != 0 {
		t.Errorf("%+v, %v, %v", p.Position(), p.Err(), s.Damaged())
	}
	if err := p.Apply(nil, Position{WrittenAt: 1}); err != nil {
		t.Error(err)
	}
}
