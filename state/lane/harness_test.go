package lane

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest"
	"go.uber.org/zap/zaptest/observer"

	"github.com/tripline/tripline/state"
)

var users = []string{"ann", "bob", "cid", "dan", "eve", "fay", "gus", "hal"}

func (p *process) mustStop() {
	p.w.t.Helper()
	if err := p.stop(); err != nil {
		p.w.t.Error(err)
	}
}

// world is a broker and what is expected of everything that runs on it.
type world struct {
	t                         testing.TB
	seeds                     []string
	dial                      func(context.Context, string, string) (net.Conn, error)
	in, out, group, changelog string
	partitions                int32
	client                    *kgo.Client         // the test's own
	wrap                      func(vfs.FS) vfs.FS // a process's disk; nil: as it is
	sent                      sent                // by processes
}

// sent are the kinds of requests that clients have sent: a hook of them.
type sent struct {
	mu    sync.Mutex
	kinds map[kmsg.Key]bool
}

func (s *sent) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kinds == nil {
		s.kinds = make(map[kmsg.Key]bool)
	}
	s.kinds[kmsg.Key(key)] = true
}

func (w *world) options(dial func(context.Context, string, string) (net.Conn, error)) []kgo.Opt {
	return []kgo.Opt{kgo.SeedBrokers(w.seeds...), kgo.Dialer(dial),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil))}
}

// send appends n records of each user to in, and waits for them. What is refused
// is sent again: a test's faults may meet its own client.
func (w *world) send(n int, users ...string) {
	w.t.Helper()
	var left []*kgo.Record
	for i := range n {
		for _, user := range users {
			left = append(left, &kgo.Record{Topic: w.in, Key: []byte(user), Value: []byte(strconv.Itoa(i))})
		}
	}
	for tries := 0; len(left) > 0; tries++ {
		var failed []*kgo.Record
		var err error
		for _, result := range w.client.ProduceSync(context.Background(), left...) {
			if result.Err != nil {
				err = result.Err
				failed = append(failed, &kgo.Record{Topic: w.in, Key: result.Record.Key, Value: result.Record.Value})
			}
		}
		if left = failed; err != nil && tries == 20 {
			w.t.Fatal(err)
		}
	}
}

// read returns the committed records of a topic by partition.
func (w *world) read(topic string) map[int32][]*kgo.Record {
	w.t.Helper()
	starts := make(map[int32]kgo.Offset)
	ends := make(map[spot]int64)
	var asks []ask
	for p := range w.partitions {
		starts[p] = kgo.NewOffset().AtStart()
		asks = append(asks, ask{spot{topic, p}, atEnd})
	}
	for tries := 0; len(ends) < len(asks); tries++ {
		if tries > 0 {
			time.Sleep(100 * time.Millisecond)
		}
		for _, a := range list(context.Background(), w.client, asStable, asks) {
			if a.err == nil {
				ends[a.spot] = a.offset
			} else if tries == 300 {
				w.t.Fatal(a.err)
			}
		}
	}
	reader, err := kgo.NewClient(append(w.options(w.dial), kgo.KeepControlRecords(), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: starts}))...)
	if err != nil {
		w.t.Fatal(err)
	}
	defer reader.Close()
	records := make(map[int32][]*kgo.Record)
	for left := func() bool {
		for _, end := range ends {
			if end > 0 {
				return true
			}
		}
		return false
	}; left(); {
		fetches := reader.PollFetches(context.Background())
		if err := fetches.Err(); err != nil {
			w.t.Logf("read %s: %v", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				records[r.Partition] = append(records[r.Partition], r)
			}
			if r.Offset+1 >= ends[spot{topic, r.Partition}] {
				ends[spot{topic, r.Partition}] = 0
			}
		})
	}
	return records
}

// process is one member: a group, a store on a disk that can crash, and a network
// that can be cut.
type process struct {
	w     *world
	disk  *vfs.MemFS
	store *state.Store
	group *Group
	wire  wire
	logs  *observer.ObservedLogs

	cancel context.CancelFunc
	ended  chan error

	// beforeCommit, where set, is called with each cycle before it is committed.
	beforeCommit func(l *Lane, c Cycle)
	// override, where set, is the loop instead of counting.
	override Loop
	starts   map[int32]int // lives of each lane
	mu       sync.Mutex
}

// launch starts a process on a disk. Changes of the config come last.
func (w *world) launch(disk *vfs.MemFS, change ...func(*process, *Config)) *process {
	w.t.Helper()
	fs := vfs.FS(disk)
	if w.wrap != nil {
		fs = w.wrap(fs)
	}
	store, err := state.Open(state.Config{Dir: "state", FS: fs, Memory: 32 << 20})
	if err != nil {
		w.t.Fatal(err)
	}
	p := &process{w: w, disk: disk, store: store, ended: make(chan error, 1), starts: make(map[int32]int)}
	p.wire.dial = w.dial
	core, logs := observer.New(zapcore.InfoLevel)
	p.logs = logs
	log := zaptest.NewLogger(w.t, zaptest.Level(zapcore.WarnLevel)).WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core { return zapcore.NewTee(c, core) }))
	cfg := Config{Group: w.group, Topics: []string{w.in}, Changelog: w.changelog, Client: append(w.options(p.wire.DialContext), kgo.WithHooks(&w.sent)), Store: store, Log: log}
	for _, c := range change {
		c(p, &cfg)
	}
	loop := p.loop
	if p.override != nil {
		loop = p.override
	}
	if p.group, err = New(cfg, loop); err != nil {
		w.t.Fatal(err)
	}
	p.run()
	return p
}

func (p *process) run() {
	ctx, cancel := context.WithCancelCause(context.Background())
	p.cancel = func() { cancel(errors.New("terminated")) } // as a signal does
	go func() { p.ended <- p.group.Run(ctx) }()
}

// stop ends a process as SIGTERM does, and returns what Run returned.
func (p *process) stop() error {
	p.w.t.Helper()
	began := time.Now()
	p.cancel()
	err := <-p.ended
	if took := time.Since(began); took > 5*time.Second {
		p.w.t.Errorf("stopping took %s", took)
	}
	if err := p.store.Close(); err != nil {
		p.w.t.Error(err)
	}
	return err
}

// crash ends a process as SIGKILL does: no byte leaves it any more. It returns the
// disk as a restart finds it.
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

// counts returns the rows of the process's partitions as numbers.
func (p *process) counts() map[int32]map[string]int {
	p.w.t.Helper()
	all := make(map[int32]map[string]int)
	for number := range p.w.partitions {
		part, err := p.store.Partition(number)
		if err != nil {
			p.w.t.Fatal(err)
		}
		all[number] = make(map[string]int)
		if err := part.Scan(func(row state.Row) error {
			all[number][row.ID], err = strconv.Atoi(string(row.Content))
			return err
		}); err != nil {
			p.w.t.Fatal(err)
		}
	}
	return all
}

// logged counts log lines that begin with text.
func (p *process) logged(text string) int { return p.logs.FilterMessage(text).Len() }

// lanes waits until the process runs n lanes, and returns them.
func (p *process) lanes(n int) (lanes []int32) {
	p.w.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-p.ended:
			p.w.t.Fatalf("the process ended: %v", err)
		default:
		}
		lanes = nil
		for _, s := range p.group.Status() {
			if s.Phase == running {
				lanes = append(lanes, s.Lane)
			}
		}
		if len(lanes) == n {
			return lanes
		}
	}
	p.w.t.Fatalf("lanes %v run after a minute, expected %d: %+v", lanes, n, p.group.Status())
	return nil
}

func oneStandby(_ *process, cfg *Config) { cfg.Standbys = 1 }

// follows waits until the process's warm copies are of n lanes and at the
// changelog's end, and returns the lanes.
func (p *process) follows(n int) (lanes []int32) {
	p.w.t.Helper()
	for range 600 {
		lanes = nil
		for _, s := range p.group.Standbys() {
			if s.Phase == following && s.Lag == 0 {
				lanes = append(lanes, s.Lane)
			}
		}
		if len(lanes) == n {
			time.Sleep(lagEvery + time.Second) // the lag is as of then
			return lanes
		}
		time.Sleep(100 * time.Millisecond)
	}
	p.w.t.Fatalf("copies of lanes %v follow after a minute, expected %d: %+v", lanes, n, p.group.Standbys())
	return nil
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
	down := n.down
	n.mu.Unlock()
	if down {
		return nil, errors.New("network is cut")
	}
	conn, err := n.dial(ctx, network, address)
	if err == nil {
		n.mu.Lock()
		n.conns = append(n.conns, conn)
		n.mu.Unlock()
	}
	return conn, err
}

// cut takes the network away until heal.
func (n *wire) cut() {
	n.mu.Lock()
	n.down = true
	n.mu.Unlock()
	n.drop()
}

// drop closes what is open.
func (n *wire) drop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, conn := range n.conns {
		conn.Close()
	}
	n.conns = nil
}

func (n *wire) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = false
}
