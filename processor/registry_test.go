//go:build synctests

package processor

import (
	"context"
	"encoding/binary"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/tripline/tripline/processor/registry"
)

const avroEvent = `{"type":"record","name":"Event","fields":[{"name":"event","type":"string"},
{"name":"properties","type":["null",{"type":"record","name":"Properties","fields":[{"name":"amount","type":"long"}]}],"default":null}]}`

// schemas is a registry in a world's network.
type schemas struct {
	*srfake.Registry
	down  atomic.Bool
	asked atomic.Int64
}

func (w *world) registry() *schemas {
	s := &schemas{Registry: srfake.NewRegistry()}
	s.SeedSchema("events", 1, 1, sr.Schema{Schema: avroEvent})
	s.Intercept(func(rw http.ResponseWriter, _ *http.Request) bool {
		if s.asked.Add(1); s.down.Load() {
			http.Error(rw, "down", http.StatusServiceUnavailable)
		}
		return s.down.Load()
	})
	listener, err := w.network.Listen("tcp", "localhost:8081")
	if err != nil {
		w.t.Fatal(err)
	}
	server := &http.Server{Handler: s.Handler()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	w.t.Cleanup(func() {
		server.Close()
		<-done
	})
	return s
}

// inAvro is an event that happens now, written with a schema.
func inAvro(t *testing.T, id uint32, user, name string, properties any) *kgo.Record {
	value := binary.BigEndian.AppendUint32([]byte{0}, id)
	value, err := avro.MustParse(avroEvent).AppendEncode(value, map[string]any{"event": name, "properties": properties})
	if err != nil {
		t.Fatal(err)
	}
	return &kgo.Record{Topic: "events", Key: []byte(user), Value: value}
}

// While the registry does not answer, the records that need it wait, and with them time: the payment that stands behind them still ends the
// watch of a cart. Other partitions of the lane go on, nothing becomes a dead letter, and nothing is lost. What the registry does not know becomes one.
func TestRegistry(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *world) {
		s := w.registry()
		s.down.Store(true)
		core, logs := observer.New(zap.InfoLevel)
		r, err := registry.New(registry.Config{URL: "http://localhost:8081", Dial: w.network.DialContext, Log: zap.New(core)})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		p := w.launch(vfs.NewCrashableMem(), func(cfg *Config) { cfg.Registry, cfg.Lane.Lanes, cfg.Log = r, 2, zap.New(core) })
		time.Sleep(5 * time.Second)
		w.send(inAvro(t, 1, "ann", "Cart", nil), event("events", "eve", "Cart"))
		time.Sleep(30 * time.Second)
		w.send(event("events", "ann", "Paid")) // plain JSON, behind one that waits
		time.Sleep(10 * time.Minute)
		if got := w.triggers(); len(got["ann"]) != 0 || len(got["eve"]) != 1 {
			t.Errorf("while it is down: %v", got)
		}
		if n := s.asked.Load(); n < 30 || n > 200 {
			t.Errorf("asked %d times", n)
		}
		if n := logs.FilterMessageSnippet("does not answer").Len(); n == 0 {
			t.Error("nothing is logged")
		}
		waits := func() (list []string) {
			for _, set := range p.Sets() {
				if set.Waits != "" {
					list = append(list, set.Waits)
				}
			}
			return list
		}
		if got := waits(); len(got) != 1 || !strings.Contains(got[0], "schema 1: the schema registry at http://localhost:8081 does not answer") {
			t.Errorf("waited for: %q", got)
		}
		s.down.Store(false)
		time.Sleep(15 * time.Second)
		begun, over := logs.FilterMessage("the lane waits for the schema registry").Len(), logs.FilterMessageSnippet("the lane goes on").Len()
		if got := waits(); len(got) != 0 || begun != 1 || over != 1 {
			t.Errorf("when it answers: %q; logged %d and %d times", got, begun, over)
		}
		asked := s.asked.Load()
		w.send(inAvro(t, 1, "cid", "Cart", map[string]any{"amount": int64(9007199254740993)}), inAvro(t, 77, "dan", "Cart", nil))
		time.Sleep(90 * time.Second)
		got := w.triggers()
		if len(got["ann"]) != 0 || len(got["eve"]) != 1 || len(got["cid"]) != 1 {
			t.Errorf("in the end: %v", got)
		}
		if n := s.asked.Load() - asked; n != 2 { // for 77, twice
			t.Errorf("asked %d times for what is known", n)
		}
		if all := w.read("triggers"); !slices.ContainsFunc(all, func(r *kgo.Record) bool { return strings.Contains(string(r.Value), `"amount":9007199254740993`) }) {
			t.Error("the amount has lost digits")
		}
		letters := w.read("dead-letters")
		if len(letters) != 1 || string(letters[0].Key) != "dan" || header(letters[0], "tripline-reason") != "json" || !strings.Contains(header(letters[0], "tripline-detail"), "schema 77") ||
			!slices.Equal(letters[0].Value, inAvro(t, 77, "dan", "Cart", nil).Value) {
			t.Errorf("dead letters %v", letters)
		}
		p.stop()
	})
}

// A registry that answers late holds a record back no longer than that.
func TestRegistryLate(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		s := w.registry()
		s.Intercept(func(http.ResponseWriter, *http.Request) bool {
			time.Sleep(time.Second)
			return false
		})
		r, err := registry.New(registry.Config{URL: "http://localhost:8081", Dial: w.network.DialContext})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		p := w.launch(vfs.NewCrashableMem(), func(cfg *Config) { cfg.Registry = r })
		time.Sleep(5 * time.Second)
		sent := time.Now()
		w.send(inAvro(t, 1, "ann", "Launch", nil))
		for len(w.read("triggers")) == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		if late := time.Since(sent); late > 1500*time.Millisecond {
			t.Errorf("a trigger after %s", late)
		}
		p.stop()
		if err := (&registry.Reader{Registry: r}).Await(context.Background(), inAvro(t, 1, "ann", "Launch", nil)); err != nil {
			t.Error(err)
		}
	})
}

func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}
