//go:build synctests

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/tripline/tripline/processor"
	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/sink"
	"github.com/tripline/tripline/sink/call"
	"github.com/tripline/tripline/state"
	"github.com/tripline/tripline/state/lane"
)

// member is a processor or a sink on a disk that can crash and a network that can be cut.
type member struct {
	w    *chaos
	name string
	sink bool

	disk   *vfs.MemFS
	older  *vfs.MemFS // its disk as it was some time ago
	store  *state.Store
	logs   *observer.ObservedLogs
	cancel context.CancelFunc // nil: it is down
	ended  chan error
	status func() []lane.Status

	mu    sync.Mutex
	down  bool
	conns []net.Conn
}

// start runs the member on a disk, nil: an empty one. One that ends with an error, as it may when what it asks at its start is
// refused, is started again a second later, as a supervisor does.
func (m *member) start(disk *vfs.MemFS) {
	m.w.t.Helper()
	if disk == nil {
		disk = vfs.NewCrashableMem()
	}
	m.disk = disk
	m.mu.Lock()
	m.down = false
	m.mu.Unlock()
	cfg := state.Config{Dir: "state", FS: disk, Memory: 32 << 20}
	store, err := state.Open(cfg)
	if errors.Is(err, state.ErrDamaged) {
		m.w.tell("%s clears its folder: %v", m.name, err)
		if err = state.Clear(cfg); err == nil {
			store, err = state.Open(cfg)
		}
	}
	if err != nil {
		m.w.t.Fatal(err)
	}
	m.store = store
	core, logs := observer.New(zapcore.WarnLevel)
	m.logs = logs
	// With every join kfake begins its wait for the other members anew, and where one is replaced while it syncs, only the end of that wait
	// ends it. So with three that come again after the wait and 10 s more, the wait has to be below a third of both: no broker does that.
	kafka := lane.Config{Client: m.w.options(m.dial), Store: store, Log: zap.New(core), SessionTimeout: 6 * time.Second,
		StopTimeout: 500 * time.Millisecond, Standbys: m.w.copies}
	var ctx context.Context
	ctx, m.cancel = context.WithCancel(context.Background())
	m.ended = make(chan error, 1)
	run, err := m.make(kafka)
	if err != nil {
		m.w.t.Fatal(err)
	}
	go func() {
		for {
			err := run(ctx)
			if err == nil || ctx.Err() != nil {
				m.ended <- err
				return
			}
			zap.New(core).Warn("ended and is started again", zap.Error(err))
			time.Sleep(time.Second)
			if run, err = m.make(kafka); err != nil {
				m.ended <- err
				return
			}
		}
	}()
}

func (m *member) make(kafka lane.Config) (run func(context.Context) error, err error) {
	if m.sink {
		s, err := sink.New(sink.Config{Group: "g", Triggers: "triggers", Deliveries: "deliveries", DeadLetters: "dead-letters", Version: "test",
			Lane: kafka, Network: call.Network{Lookup: m.lookup, Dial: m.call}}, m.w.plan)
		if err != nil {
			return nil, err
		}
		m.setStatus(s.Status)
		return s.Run, nil
	}
	kafka.Group, kafka.Changelog = "g-processor", "g-processor-changelog"
	p, err := processor.New(processor.Config{Lane: kafka, Set: m.w.crowd.set, Compile: func([]byte) (*campaign.Set, error) { return m.w.crowd.set, nil }, Envelope: record.Envelope{MaxBytes: 1 << 20},
		EventTopics: []string{"events"}, ProfileTopic: "profiles", Triggers: "triggers", Decisions: "decisions", DeadLetters: "dead-letters",
		Slack: 30 * time.Second, Users: 4 << 10, Log: kafka.Log})
	if err != nil {
		return nil, err
	}
	m.setStatus(p.Status)
	return p.Run, nil
}

func (m *member) setStatus(status func() []lane.Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.status = status
}

// lanes are the lanes that the member has now.
func (m *member) lanes() []lane.Status {
	m.mu.Lock()
	status := m.status
	m.mu.Unlock()
	if m.cancel == nil {
		return nil
	}
	return status()
}

// stop ends the member as SIGTERM does.
func (m *member) stop() {
	m.w.t.Helper()
	if m.cancel == nil {
		return
	}
	m.end()
}

// crash ends the member as SIGKILL and a loss of power do: no byte leaves it any more, and of what its disk had not been told
// to keep some is lost.
func (m *member) crash() {
	m.w.t.Helper()
	disk := m.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[m.w.rng.IntN(3)], RNG: rand.New(rand.NewPCG(m.w.rng.Uint64(), 1))})
	m.cut()
	m.end()
	m.disk = disk
}

func (m *member) end() {
	m.w.t.Helper()
	m.cancel()
	m.cancel = nil
	if err := <-m.ended; err != nil && !m.down {
		m.w.t.Errorf("%s ended with %v", m.name, err)
	}
	if err := m.store.Close(); err != nil && !errors.Is(err, state.ErrDamaged) {
		m.w.t.Errorf("%s: %v", m.name, err)
	}
	for _, line := range m.logs.All() {
		m.w.told = append(m.w.told, fmt.Sprint(line.Time.UTC().Format("15:04:05.000 "), m.name, ": ", line.Message, " ", line.ContextMap()))
	}
}

func (m *member) dial(ctx context.Context, network, address string) (net.Conn, error) {
	m.mu.Lock()
	down := m.down
	m.mu.Unlock()
	if down {
		return nil, errors.New("network is cut")
	}
	conn, err := m.w.network.DialContext(ctx, network, address)
	if err == nil {
		m.mu.Lock()
		m.conns = append(m.conns, conn)
		m.mu.Unlock()
	}
	return conn, err
}

func (m *member) lookup(context.Context, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("203.0.113.1")}, nil
}

func (m *member) call(ctx context.Context, network, address string) (net.Conn, error) {
	_, port, _ := net.SplitHostPort(address)
	return m.dial(ctx, network, "localhost:"+port)
}

// far is a connection on which every request takes a while. Without it a client that is refused and asks again at once would
// never let time pass.
type far struct{ net.Conn }

func (c far) Write(p []byte) (int, error) {
	time.Sleep(500 * time.Microsecond)
	return c.Conn.Write(p)
}

// cut takes the network away, drop what is open of it.
func (m *member) cut() {
	m.mu.Lock()
	m.down = true
	m.mu.Unlock()
	m.drop()
}

func (m *member) heal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = false
}

func (m *member) drop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, conn := range m.conns {
		conn.Close()
	}
	m.conns = nil
}

// hook is a receiver that does anything until it is calm.
type hook struct {
	server *http.Server
	course *course
	name   string
	calm   atomic.Bool

	mu   sync.Mutex
	rng  *rand.Rand
	seen map[string]int // requests by trigger
}

func (w *chaos) listen(port int, seed uint64) *hook {
	w.t.Helper()
	h := &hook{course: w.course, name: fmt.Sprint("receiver ", port), rng: rand.New(rand.NewPCG(seed, uint64(port))), seen: map[string]int{}}
	listener, err := w.network.Listen("tcp", fmt.Sprintf("localhost:%d", port))
	if err != nil {
		w.t.Fatal(err)
	}
	h.server = &http.Server{Handler: h}
	go h.server.Serve(listener)
	return h
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	h.course.note("%s: %s, %d bytes, %08x", h.name, r.Header.Get("webhook-id"), len(body), crc32.ChecksumIEEE(body))
	var members []struct{ Data struct{ ID string } }
	_ = json.Unmarshal(body, &members) // of a batch; what goes alone is no array
	h.mu.Lock()
	h.seen[r.Header.Get("webhook-id")]++
	for _, m := range members {
		h.seen[m.Data.ID]++
	}
	mood, patience := h.rng.IntN(12), time.Duration(h.rng.IntN(20_000))*time.Millisecond
	h.mu.Unlock()
	if h.calm.Load() {
		return
	}
	switch mood {
	case 0:
		time.Sleep(patience)
	case 1, 2:
		w.WriteHeader(http.StatusInternalServerError)
	case 3:
		w.Header().Set("retry-after", "2")
		w.WriteHeader(http.StatusServiceUnavailable)
	case 4:
		panic(http.ErrAbortHandler)
	case 5:
		w.WriteHeader(http.StatusUnprocessableEntity)
	case 6:
		io.WriteString(w, strings.Repeat("x", 1<<20))
	}
}
