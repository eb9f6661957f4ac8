//go:build synctests

package lane

import (
	"maps"
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestOneProcess(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *bubble) {
		w.send(20, "ann", "bob", "cid", "dan", "eve")
		p := w.launch(vfs.NewCrashableMem())
		w.settle()
		w.send(20, "ann", "bob", "fay")
		w.settle()
		_, expected := w.expected()
		if got := p.counts(); !reflect.DeepEqual(got, expected) {
			t.Errorf("state %v, expected %v", got, expected)
		}
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestTwoProcessesShareLanes(t *testing.T) {
	inWorld(t, 6, func(t *testing.T, w *bubble) {
		users := []string{"ann", "bob", "cid", "dan", "eve", "fay", "gus", "hal"}
		w.send(10, users...)
		a := w.launch(vfs.NewCrashableMem(), func(_ *process, cfg *Config) { cfg.Leave = true; cfg.Lanes = 4 })
		all := a.lanes(4)
		before := maps.Clone(a.starts)
		b := w.launch(vfs.NewCrashableMem(), func(_ *process, cfg *Config) { cfg.Leave = true; cfg.Lanes = 4 })
		kept, moved := a.lanes(2), b.lanes(2)
		for _, n := range kept {
			if a.starts[n] != before[n] {
				t.Errorf("lane %d stayed and was started %d times", n, a.starts[n])
			}
		}
		t.Log(all, kept, moved)
		w.send(10, users...)
		w.settle()
		if err := b.stop(); err != nil {
			t.Error(err)
		}
		a.lanes(4)
		w.send(10, users...)
		w.settle()
		_, expected := w.expected()
		if got := a.counts(); !reflect.DeepEqual(got, expected) {
			t.Errorf("state %v, expected %v", got, expected)
		}
		if err := a.stop(); err != nil {
			t.Error(err)
		}
	})
}
