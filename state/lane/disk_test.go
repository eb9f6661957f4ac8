//go:build synctests

package lane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tripline/tripline/state"
)

// failing makes a disk whose writes fail with an errno once it is on.
func failing(errno syscall.Errno) (wrap func(vfs.FS) vfs.FS, on *atomic.Bool) {
	on = &atomic.Bool{}
	return func(disk vfs.FS) vfs.FS {
		return errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if on.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpRemove {
				return &fs.PathError{Op: "write", Path: op.Path, Err: errno}
			}
			return nil
		}))
	}, on
}

// TestFullDisk lets the disk be full for a while: lanes wait and say so, and go on
// with nothing wrong once there is room.
func TestFullDisk(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *bubble) {
		wrap, full := failing(syscall.ENOSPC)
		w.wrap = wrap
		p := w.launch(vfs.NewCrashableMem())
		w.send(5, users...)
		w.settle()
		full.Store(true)
		go p.store.Flush() // which waits for room, as what comes by itself does
		for range 3 {      // what comes once the store has found the disk full is what must wait
			w.send(5, users...)
			time.Sleep(11 * time.Second)
		}
		lines := p.logs.FilterMessage("lane waits for room on the disk").All()
		if len(lines) == 0 || !strings.Contains(fmt.Sprint(lines[0].ContextMap()["error"]), "free some space") {
			t.Errorf("it was said in %v", lines)
		}
		full.Store(false)
		w.settle()
		p.checkState()
		p.mustStop()
	})
}

// spoil flips a bit in each table of a disk.
func spoil(t *testing.T, disk vfs.FS) {
	t.Helper()
	names, err := disk.List("state")
	if err != nil {
		t.Fatal(err)
	}
	spoiled := 0
	for _, name := range names {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		f, err := disk.OpenReadWrite(disk.PathJoin("state", name), vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		var b [1]byte
		const at = 20 // within the first block
		if _, err := f.ReadAt(b[:], at); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 4
		if _, err := f.WriteAt(b[:], at); err != nil {
			t.Fatal(err)
		}
		f.Close()
		spoiled++
	}
	if spoiled == 0 {
		t.Fatal("no tables")
	}
}

// TestDamagedTables starts on a disk with flipped bits, which only reads find: each
// partition is wiped and restored by itself, with one line.
func TestDamagedTables(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *bubble) {
		w.send(5, users...)
		p := w.launch(vfs.NewCrashableMem())
		w.settle()
		p.mustStop()
		spoil(t, p.disk)
		p = w.launch(p.disk)
		p.lanes(2)
		w.send(5, users...)
		w.settle()
		p.checkState()
		const line = "state on disk is damaged: wiped, to be restored from the changelog"
		if n := p.logged(line); n == 0 || n > 2 {
			t.Errorf("it was said %d times of 2 partitions", n)
		}
		if n := p.logged("partition restored"); n != 2 {
			t.Errorf("%d partitions restored", n)
		}
		p.mustStop()
	})
}

// TestDamageThatNobodyUses wipes, at once, what is found damaged in state that is
// only kept in case a lane comes back.
func TestDamageThatNobodyUses(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *bubble) {
		w.send(5, users...)
		a := w.launch(vfs.NewCrashableMem())
		w.settle()
		b := w.launch(vfs.NewCrashableMem())
		a.lanes(1)
		gone := b.lanes(1)[0]
		a.mustStop()
		spoil(t, a.disk)
		a = w.launch(a.disk)
		a.lanes(1)
		time.Sleep(5 * time.Second)
		lines := a.logs.FilterMessage("state of a lost lane wiped").All()
		if len(lines) != 1 || lines[0].ContextMap()["reason"] != "damaged" || lines[0].ContextMap()["partition"] != gone || len(a.store.Damaged()) > 0 {
			t.Errorf("it was said in %v, and is damaged: %v", lines, a.store.Damaged())
		}
		w.send(5, users...)
		w.settle()
		a.mustStop()
		b.mustStop()
	})
}

// TestChangelogWithoutPosition has rows in the changelog and none of the positions that come with each: what they stand for is not known, so
// that the process ends instead of applying the input to them once more.
func TestChangelogWithoutPosition(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *bubble) {
		w.send(5, users...)
		p := w.launch(vfs.NewCrashableMem())
		w.settle()
		p.mustStop()
		var rows []*kgo.Record
		for _, r := range w.read(w.changelog)[0] {
			if key, _ := (state.Position{}).Record(); !bytes.Equal(r.Key, key) {
				rows = append(rows, &kgo.Record{Topic: "rows", Key: r.Key, Value: r.Value})
			}
		}
		written := len(w.written()[0])
		err := errors.Join(w.cluster.CreateTopic("rows", 1, map[string]string{"cleanup.policy": "compact"}), w.client.ProduceSync(t.Context(), rows...).FirstErr())
		if err != nil {
			t.Fatal(err)
		}
		err = w.refusal(func(_ *process, cfg *Config) { cfg.Changelog = "rows" })
		if !errors.Is(err, state.ErrDamaged) || !strings.Contains(err.Error(), "partition 0") || !strings.Contains(err.Error(), "rows, and no position") {
			t.Errorf("it ended with %v", err)
		}
		if n := len(w.written()[0]) - written; n != 0 {
			t.Errorf("%d records written", n)
		}
	})
}

// TestNewerChangelog refuses what a newer version has written, and leaves it.
func TestNewerChangelog(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *bubble) {
		w.send(5, users...)
		p := w.launch(vfs.NewCrashableMem())
		w.settle()
		p.mustStop()
		if err := w.client.ProduceSync(context.Background(), &kgo.Record{Topic: w.changelog, Key: []byte{99}, Value: []byte{1}}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		p = w.launch(p.disk)
		if err := <-p.ended; err == nil || !strings.Contains(err.Error(), "newer version of tripline") || !strings.Contains(err.Error(), "upgrade") {
			t.Errorf("it ended with %v", err)
		}
		if n := p.logged("local state wiped, to be restored from the changelog"); n != 0 {
			t.Error("state was wiped")
		}
		if err := p.store.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestRestoreProgress restores one of two lanes slowly: the other works on, and
// the log, the metrics and the status say how far it is, and that nothing comes.
func TestRestoreProgress(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *bubble) {
		for range 40 {
			w.send(5, users...)
		}
		p := w.launch(vfs.NewCrashableMem(), func(_ *process, cfg *Config) { cfg.Lanes = 2 })
		w.settle()
		p.mustStop()
		slow := w.partitionOf("ann")
		var held int
		var until time.Time
		w.cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			fetch := req.(*kmsg.FetchRequest)
			if fetch.MaxBytes != 8<<20 || len(fetch.Topics) != 1 || fetch.Topics[0].Partitions[0].Partition != slow {
				return nil, nil, false // not a restore of that partition
			}
			fetch.MaxBytes, fetch.Topics[0].Partitions[0].PartitionMaxBytes = 500, 500
			pace := 2 * time.Second
			if held++; held == 5 {
				until = time.Now().Add(time.Minute)
			}
			if time.Now().Before(until) {
				pace = 10 * time.Second // which no client waits
			}
			w.cluster.SleepControl(func() { time.Sleep(pace) })
			return nil, nil, false
		})
		registry := prometheus.NewRegistry()
		p = w.launch(vfs.NewCrashableMem(), func(_ *process, cfg *Config) { cfg.Lanes, cfg.Metrics = 2, registry })
		p.lanes(1) // the other
		time.Sleep(7 * time.Second)
		s := p.group.Status()[slow]
		if s.Phase != restoring || s.Records == 0 || s.Bytes == 0 || s.Left == 0 || s.Rate == 0 || s.Estimate == 0 {
			t.Errorf("%+v", s)
		}
		for _, name := range []string{"restore_left_records", "restore_records_per_second", "restore_estimate_seconds", "restored_total"} {
			if gathered(t, registry, "tripline_lane_"+name) <= 0 {
				t.Errorf("no %s", name)
			}
		}
		for _, user := range users {
			if w.partitionOf(user) != slow {
				w.send(1, user)
			}
		}
		time.Sleep(2 * time.Minute)
		p.lanes(2)
		lines := p.logs.FilterMessage("restoring").All()
		if len(lines) < 2 {
			t.Fatalf("%d lines", len(lines))
		}
		for _, name := range []string{"records", "bytes", "left", "records_per_second", "estimate"} {
			if _, there := lines[0].ContextMap()[name]; !there {
				t.Errorf("no %s in %v", name, lines[0].ContextMap())
			}
		}
		if n := p.logs.FilterMessageSnippet("the changelog's end cannot be reached").Len(); n == 0 || n > 2 {
			t.Errorf("%d warnings in a minute", n)
		}
		if s := p.group.Status()[slow]; s.Left != 0 || s.Rate != 0 || s.Estimate != 0 {
			t.Errorf("when it is done: %+v", s)
		}
		w.settle()
		p.checkState()
		p.mustStop()
	})
}
