//go:build synctests

package processor

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/state"
	"github.com/tripline/tripline/state/lane"
)

// process is a processor on a disk that can crash, and a network that can be cut.
type process struct {
	*Processor
	w        *world
	disk     *vfs.MemFS
	store    *state.Store
	logs     *observer.ObservedLogs
	registry *prometheus.Registry
	wire     wire
	cancel   context.CancelFunc
	ended    chan error
}

// launch starts a processor of the topic events.
func (w *world) launch(disk *vfs.MemFS, change ...func(*Config)) *process {
	w.t.Helper()
	store, err := state.Open(state.Config{Dir: "state", FS: disk, Memory: 32 << 20})
	if err != nil {
		w.t.Fatal(err)
	}
	p := &process{w: w, disk: disk, store: store, registry: prometheus.NewRegistry(), ended: make(chan error, 1)}
	p.wire.dial = w.network.DialContext
	core, logs := observer.New(zapcore.InfoLevel)
	p.logs = logs
	cfg := Config{
		Lane: lane.Config{Group: "g-processor", Changelog: "g-processor-changelog", Client: w.options(p.wire.DialContext), Store: store,
			Log: zap.New(core), Metrics: p.registry},
		Set: w.set, Text: []byte("world"), Compile: func(text []byte) (*campaign.Set, error) { return w.texts[string(text)], nil }, Envelope: record.Envelope{MaxBytes: 1 << 20}, EventTopics: []string{"events"}, Triggers: "triggers", Decisions: "decisions",
		DeadLetters: "dead-letters", Slack: 30 * time.Second, Log: zap.New(core), Metrics: p.registry,
	}
	for _, c := range change {
		c(&cfg)
	}
	if p.Processor, err = New(cfg); err != nil {
		w.t.Fatal(err)
	}
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	go func() { p.ended <- p.Run(ctx) }()
	return p
}

// merged is an input of two event topics and the profiles.
func merged(cfg *Config) {
	cfg.EventTopics, cfg.ProfileTopic = []string{"events", "payments"}, "profiles"
}

// stop ends a process as SIGTERM does.
func (p *process) stop() *vfs.MemFS {
	p.w.t.Helper()
	p.cancel()
	if err := <-p.ended; err != nil {
		p.w.t.Error(err)
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
	p.wire.cut()
	p.cancel()
	<-p.ended
	if err := p.store.Close(); err != nil {
		p.w.t.Error(err)
	}
	return disk
}

// position is a partition's, as it is committed.
func (p *process) position(number int32) state.Position {
	p.w.t.Helper()
	part, err := p.store.Partition(number)
	if err != nil {
		p.w.t.Fatal(err)
	}
	return part.Position()
}

// metric is the sum of a metric over its labels, and whether there is any.
func (p *process) metric(name string) (sum float64, found bool) {
	p.w.t.Helper()
	families, err := p.registry.Gather()
	if err != nil {
		p.w.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name {
				sum, found = sum+m.GetCounter().GetValue()+m.GetGauge().GetValue(), true
			}
		}
	}
	return sum, found
}

// wire is a process's network.
type wire struct {
	dial func(context.Context, string, string) (net.Conn, error)

	mu    sync.Mutex
	down  bool
	conns []net.Conn
}

func (n *wire) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down {
		return nil, errors.New("network is cut")
	}
	conn, err := n.dial(ctx, network, address)
	if err == nil {
		n.conns = append(n.conns, conn)
	}
	return conn, err
}

// cut takes the network away, drop what is open of it.
func (n *wire) cut() {
	n.mu.Lock()
	n.down = true
	n.mu.Unlock()
	n.drop()
}

func (n *wire) drop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, conn := range n.conns {
		conn.Close()
	}
	n.conns = nil
}
