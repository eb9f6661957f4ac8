//go:build synctests

package lane

import (
	"context"
	"encoding/binary"
	"maps"
	"net"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestStandby loses one of two members. The other has warm copies of its lanes,
// and reads only the changelog's tail.
func TestStandby(t *testing.T) {
	inWorld(t, 6, func(t *testing.T, w *bubble) {
		registry := prometheus.NewRegistry()
		a := w.launch(vfs.NewCrashableMem(), oneStandby)
		b := w.launch(vfs.NewCrashableMem(), oneStandby, func(p *process, cfg *Config) { cfg.Metrics = registry })
		b.lanes(3)
		lost := a.lanes(3) // not before: of what it has given up it may get one back in exchange for one that is copied already
		starts, taken := maps.Clone(b.starts), gathered(t, registry, "tripline_lane_taken_total")
		for range 20 {
			w.send(20, users...)
		}
		w.settle()
		if copies := b.follows(3); !slices.Equal(copies, lost) {
			t.Errorf("copies of %v, the other's lanes are %v", copies, lost)
		}
		a.follows(3)
		b.checkState() // its own lanes and the copies
		if lag, n := gathered(t, registry, "tripline_lane_standby_lag_records"), gathered(t, registry, "tripline_lane_standbys"); lag != 0 || n != 3 {
			t.Errorf("%g standbys, %g records behind", n, lag)
		}
		if now := gathered(t, registry, "tripline_lane_taken_total"); !maps.Equal(b.starts, starts) || taken != now {
			t.Errorf("a copy was run: starts %v became %v, %g lives %g", starts, b.starts, taken, now)
		}
		restored := gathered(t, registry, "tripline_lane_restored_total")
		w.send(1, users...)
		a.crash()
		began := time.Now()
		b.lanes(6)
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("all lanes run %s after the loss, of which the session takes 10s", took)
		}
		if n := b.logged("local state wiped, to be restored from the changelog"); n != 0 {
			t.Errorf("%d partitions wiped", n)
		}
		if more := gathered(t, registry, "tripline_lane_restored_total") - restored; more > 5000 { // bytes and records
			t.Errorf("%g records and bytes read at the takeover", more)
		}
		w.send(1, users...)
		w.settle()
		b.checkState()
		if copies := b.group.Standbys(); len(copies) != 0 {
			t.Errorf("copies of its own lanes: %+v", copies)
		}
		b.mustStop()
	})
}

// TestStandbyOfMany has three members, of which one leaves and comes back: each
// time its lanes go to those who have copies of them, and nothing is read from
// the start.
func TestStandbyOfMany(t *testing.T) {
	inWorld(t, 12, func(t *testing.T, w *bubble) {
		leaves := func(_ *process, cfg *Config) { cfg.Leave = true }
		all := make([]*process, 3)
		for i := range all {
			all[i] = w.launch(vfs.NewCrashableMem(), oneStandby, leaves)
		}
		w.send(100, users...)
		for _, p := range all {
			p.lanes(4)
		}
		w.settle()
		for _, p := range all {
			p.follows(4)
		}
		read := func() (records int64) {
			for _, p := range all {
				for _, s := range p.group.Status() {
					records += s.Records
				}
			}
			return records
		}
		before := read()
		all[0].mustStop()
		all[1].lanes(6)
		all[2].lanes(6)
		if more := read() - before; more > 100 {
			t.Errorf("%d records read to take lanes over", more)
		}
		all[1].follows(6)
		all[2].follows(6)
		w.send(5, users...)
		w.settle()
		all[0] = w.launch(all[0].disk, oneStandby, leaves)
		for _, p := range all {
			p.lanes(4)
		}
		w.settle()
		for _, p := range all {
			p.follows(4)
			p.checkCopies()
		}
		for _, p := range all {
			p.mustStop()
		}
	})
}

// checkCopies compares the rows of the lanes that a process has, and has copies
// of, with what is expected.
func (p *process) checkCopies() {
	p.w.t.Helper()
	_, expected := p.w.expected()
	got := p.counts()
	here := make(map[int32]bool)
	for _, s := range p.group.Status() {
		here[s.Lane] = true
	}
	for _, s := range p.group.Standbys() {
		here[s.Lane] = true
	}
	for n := range here {
		if !reflect.DeepEqual(got[n], expected[n]) {
			p.w.t.Errorf("lane %d: state %v, expected %v", n, got[n], expected[n])
		}
	}
}

// TestStandbyKeepsFresh lets a copy wait for longer than the changelog tells what
// was deleted: it has missed nothing, and is not wiped when there is something new.
func TestStandbyKeepsFresh(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *bubble) {
		if err := w.cluster.CreateTopic(w.changelog, 2, map[string]string{"cleanup.policy": "compact", "delete.retention.ms": "1200000"}); err != nil {
			t.Fatal(err)
		}
		a := w.launch(vfs.NewCrashableMem(), oneStandby)
		b := w.launch(vfs.NewCrashableMem(), oneStandby)
		a.lanes(1)
		b.lanes(1)
		w.send(5, users...)
		w.settle()
		b.follows(1)
		time.Sleep(30 * time.Minute)
		a.crash()
		w.send(5, users...)
		b.lanes(2)
		w.settle()
		b.checkState()
		if n := b.logged("local state wiped, to be restored from the changelog"); n != 0 {
			t.Errorf("%d partitions wiped", n)
		}
		b.mustStop()
	})
}

// TestStandbyIsDropped keeps what a copy leaves behind for state.keep, and no longer.
func TestStandbyIsDropped(t *testing.T) {
	inWorld(t, 6, func(t *testing.T, w *bubble) {
		w.send(5, users...)
		short := func(_ *process, cfg *Config) { cfg.Keep = 5 * time.Minute }
		all := []*process{w.launch(vfs.NewCrashableMem(), oneStandby, short), w.launch(vfs.NewCrashableMem(), oneStandby, short)}
		for _, p := range all {
			p.lanes(3)
			p.follows(3)
		}
		all = append(all, w.launch(vfs.NewCrashableMem(), oneStandby, short))
		for _, p := range all {
			p.lanes(2)
			p.follows(2)
		}
		held := func() (n int) {
			for _, p := range all {
				for number := range w.partitions {
					if part, err := p.store.Partition(number); err != nil || !part.Position().IsZero() {
						n++
					}
				}
			}
			return n
		}
		time.Sleep(3 * time.Minute)
		if n := held(); n != 16 { // the first two have kept all
			t.Errorf("%d partitions held soon after", n)
		}
		time.Sleep(3 * time.Minute)
		if n := held(); n != 12 { // six lanes and a copy of each
			t.Errorf("%d partitions held in the end", n)
		}
		for _, p := range all {
			p.mustStop()
		}
	})
}

// TestStandbysThatChange restarts members with another number of copies, one after
// the other and within their sessions, so that no rebalance comes by itself.
func TestStandbysThatChange(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *bubble) {
		all := []*process{w.launch(vfs.NewCrashableMem()), w.launch(vfs.NewCrashableMem())}
		restart := func(standbys int) {
			for i, p := range all {
				p.mustStop()
				all[i] = w.launch(p.disk, func(_ *process, cfg *Config) { cfg.Standbys = standbys })
				all[i].lanes(2)
				time.Sleep(10 * time.Second)
			}
		}
		for _, p := range all {
			p.lanes(2)
		}
		w.send(5, users...)
		w.settle()
		for _, standbys := range []int{1, 0, 2} {
			restart(standbys)
			for _, p := range all {
				p.follows(2 * min(1, standbys))
			}
		}
		for _, p := range all {
			p.checkState()
			p.mustStop()
		}
	})
}

// TestStandbyThatMisses cuts the changelog in front of a copy that cannot read for
// a while. It says so and is restored anew, and the process goes on.
func TestStandbyThatMisses(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *bubble) {
		a := w.launch(vfs.NewCrashableMem(), oneStandby)
		b := w.launch(vfs.NewCrashableMem(), oneStandby)
		owned := a.lanes(1)[0]
		b.lanes(1)
		w.send(5, users...)
		w.settle()
		b.follows(1)
		var read atomic.Bool
		w.cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			fetch := req.(*kmsg.FetchRequest)
			if read.Load() || fetch.MaxWaitMillis != int32(followWait.Milliseconds()) {
				return nil, nil, false
			}
			resp := fetch.ResponseKind().(*kmsg.FetchResponse)
			resp.Version = fetch.Version
			resp.ErrorCode = kerr.UnknownServerError.Code
			return resp, nil, true
		})
		for range 5 {
			w.send(5, users...)
			time.Sleep(time.Second)
		}
		w.settle()
		part, err := a.store.Partition(owned)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.cluster.DeleteRecords(w.changelog, owned, part.Position().Changelog-2); err != nil {
			t.Fatal(err)
		}
		read.Store(true)
		time.Sleep(time.Minute)
		b.follows(1)
		if n := b.logged("warm copy is restored anew") + b.logged("local state wiped, to be restored from the changelog"); n == 0 {
			t.Error("nothing was said")
		}
		w.send(5, users...)
		w.settle()
		a.mustStop()
		b.mustStop()
	})
}

// TestStandbyOfWhatIsCompacted compacts the changelog while a copy is being restored from nothing: of what was there when it began, the
// position is gone, as a newer one has come. The rows are still there, and are what the copy has.
func TestStandbyOfWhatIsCompacted(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *bubble) {
		a := w.launch(vfs.NewCrashableMem(), oneStandby)
		a.lanes(1)
		w.send(5, users[:4]...)
		w.settle()
		w.cluster.Compact() // kfake lets a log begin with what is left, and what is left now stays
		var held atomic.Bool
		held.Store(true)
		w.cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			if req.(*kmsg.FetchRequest).MaxBytes == 8<<20 { // a restore
				w.cluster.SleepControl(func() {
					for held.Load() {
						time.Sleep(100 * time.Millisecond)
					}
				})
			}
			return nil, nil, false
		})
		b := w.launch(vfs.NewCrashableMem(), oneStandby)
		time.Sleep(8 * time.Second)
		w.send(5, users[4:]...)
		time.Sleep(2 * time.Second)
		w.cluster.Compact()
		held.Store(false)
		b.follows(1)
		w.settle()
		a.crash()
		b.lanes(1)
		w.settle()
		b.checkState()
		b.mustStop()
	})
}

// sniffed is a connection of which the kinds of requests are noted.
type sniffed struct {
	net.Conn
	kinds *sync.Map // kmsg.Key: struct{}
}

// Write takes one request, as the client writes them.
func (s sniffed) Write(request []byte) (int, error) {
	if len(request) >= 6 {
		s.kinds.Store(kmsg.Key(binary.BigEndian.Uint16(request[4:])), struct{}{})
	}
	return s.Conn.Write(request)
}

// TestStandbyOnlyReads has a process that owns no lane and keeps a warm copy of the
// only one: it begins no transaction and produces nothing, and runs no loop.
func TestStandbyOnlyReads(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *bubble) {
		a := w.launch(vfs.NewCrashableMem(), oneStandby)
		a.lanes(1)
		var kinds sync.Map
		b := w.launch(vfs.NewCrashableMem(), oneStandby, func(p *process, cfg *Config) {
			cfg.Client = w.options(func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := p.wire.DialContext(ctx, network, address)
				return sniffed{conn, &kinds}, err
			})
		})
		w.send(50, users...)
		w.settle()
		b.follows(1)
		b.checkState()
		time.Sleep(time.Minute)
		if _, fetched := kinds.Load(kmsg.Fetch); !fetched || len(b.starts) != 0 {
			t.Errorf("fetched: %t, lives: %v", fetched, b.starts)
		}
		for _, kind := range []kmsg.Key{kmsg.Produce, kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn, kmsg.EndTxn, kmsg.TxnOffsetCommit, kmsg.OffsetCommit} {
			if _, sent := kinds.Load(kind); sent {
				t.Errorf("a warm copy sends %s", kind.Name())
			}
		}
		a.crash()
		b.lanes(1)
		if _, fenced := kinds.Load(kmsg.InitProducerID); !fenced {
			t.Error("the new owner did not fence the old one")
		}
		w.settle()
		b.checkState()
		b.mustStop()
	})
}
