//go:build synctests

package sink

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/tripline/tripline/sink/call"
	"github.com/tripline/tripline/state"
	"github.com/tripline/tripline/state/lane"
)

// process is one sink on a disk that can crash and a network that can be cut.
type process struct {
	w      *world
	sink   *Sink
	disk   *vfs.MemFS
	store  *state.Store
	logs   *observer.ObservedLogs
	cancel context.CancelFunc
	ended  chan error

	mu    sync.Mutex
	down  bool
	conns []net.Conn
}

func (w *world) launch(disk *vfs.MemFS, plan *Plan, change ...func(*Config)) *process {
	w.t.Helper()
	if disk == nil {
		disk = vfs.NewCrashableMem()
	}
	store, err := state.Open(state.Config{Dir: "state", FS: disk, Memory: 32 << 20})
	if err != nil {
		w.t.Fatal(err)
	}
	p := &process{w: w, disk: disk, store: store, ended: make(chan error, 1)}
	core, logs := observer.New(zapcore.InfoLevel)
	p.logs = logs
	cfg := Config{Group: "g", Triggers: "triggers", Deliveries: "deliveries", DeadLetters: "dead-letters", Version: "test",
		Lane: lane.Config{Client: w.options(p.dial), Store: store, Log: zap.New(core)},
		Network: call.Network{
			Lookup: func(context.Context, string) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr("203.0.113.1")}, nil
			},
			Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
				_, port, _ := net.SplitHostPort(address)
				return p.dial(ctx, network, "localhost:"+port)
			},
		}}
	for _, c := range change {
		c(&cfg)
	}
	if p.sink, err = New(cfg, plan); err != nil {
		w.t.Fatal(err)
	}
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	go func() { p.ended <- p.sink.Run(ctx) }()
	return p
}

func (p *process) dial(ctx context.Context, network, address string) (net.Conn, error) {
	p.mu.Lock()
	down := p.down
	p.mu.Unlock()
	if down {
		return nil, fmt.Errorf("network is cut")
	}
	conn, err := p.w.network.DialContext(ctx, network, address)
	if err == nil {
		p.mu.Lock()
		p.conns = append(p.conns, conn)
		p.mu.Unlock()
	}
	return conn, err
}

// stop ends a process as SIGTERM does.
func (p *process) stop() *vfs.MemFS {
	p.w.t.Helper()
	began := time.Now()
	p.cancel()
	if err := <-p.ended; err != nil {
		p.w.t.Errorf("Run: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		p.w.t.Errorf("stopping took %s", took)
	}
	if err := p.store.Close(); err != nil {
		p.w.t.Error(err)
	}
	return p.disk
}

// crash ends a process as SIGKILL does: no byte leaves it any more. It returns the disk as a restart finds it.
func (p *process) crash() *vfs.MemFS {
	p.w.t.Helper()
	disk := p.disk.CrashClone(vfs.CrashCloneCfg{})
	p.mu.Lock()
	p.down = true
	for _, conn := range p.conns {
		conn.Close()
	}
	p.mu.Unlock()
	p.cancel()
	<-p.ended
	if err := p.store.Close(); err != nil {
		p.w.t.Error(err)
	}
	return disk
}

// lanes are those that the process has. Each is one partition.
func (p *process) lanes() []int32 {
	numbers := []int32{}
	for _, s := range p.sink.Status() {
		numbers = append(numbers, s.Lane)
	}
	return numbers
}

// rows counts the rows of a kind in the process's state, of all partitions unless some are named.
func (p *process) rows(kind byte, of ...int32) (n int) {
	p.w.t.Helper()
	for number := range int32(partitions) {
		if of != nil && !slices.Contains(of, number) {
			continue
		}
		part, err := p.store.Partition(number)
		if err != nil {
			p.w.t.Fatal(err)
		}
		if err := part.Scan(func(r state.Row) error {
			if r.ID[0] == kind && r.Part == 0 {
				n++
			}
			return nil
		}); err != nil {
			p.w.t.Fatal(err)
		}
	}
	return n
}
