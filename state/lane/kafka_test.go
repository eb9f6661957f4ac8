package lane

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// onKafka runs a test on Apache Kafka, where KAFKA_BROKERS says one is. Markers,
// high watermarks and coordinators take their time there.
func onKafka(t testing.TB, partitions int32) *world {
	seeds := os.Getenv("KAFKA_BROKERS")
	if seeds == "" {
		t.Skip("KAFKA_BROKERS is not set")
	}
	name := fmt.Sprintf("lane-%s-%d", strings.ReplaceAll(t.Name(), "/", "-"), time.Now().UnixMilli())
	w := &world{t: t, partitions: partitions, seeds: strings.Split(seeds, ","), dial: new(net.Dialer).DialContext,
		in: name + "-in", out: name + "-out", group: name, changelog: name + "-changelog"}
	var err error
	if w.client, err = kgo.NewClient(w.options(w.dial)...); err != nil {
		t.Fatal(err)
	}
	admin := kadm.NewClient(w.client)
	created, err := admin.CreateTopics(t.Context(), partitions, -1, nil, w.in, w.out)
	if err == nil {
		err = created.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.DeleteTopics(context.Background(), w.in, w.out, w.changelog); err != nil {
			t.Error(err)
		}
		w.client.Close()
	})
	return w
}

// TestChurnOnKafka is churn with what a test can do to a real broker.
func TestChurnOnKafka(t *testing.T) {
	w := onKafka(t, 4)
	rng := rand.New(rand.NewPCG(1, 4))
	disks := []*vfs.MemFS{vfs.NewCrashableMem(), vfs.NewCrashableMem(), vfs.NewCrashableMem()}
	procs := make([]*process, len(disks))
	for range 25 {
		i := rng.IntN(len(disks))
		p := procs[i]
		switch action := rng.IntN(6); {
		case p == nil:
			procs[i] = w.launch(disks[i])
		case action == 0:
			p.mustStop()
			procs[i] = nil
		case action == 1:
			disks[i], procs[i] = p.crash(), nil
		case action == 2:
			p.wire.cut()
			w.send(1, users...)
			p.wire.heal()
		case action == 3:
			p.wire.drop()
		}
		w.send(1+rng.IntN(5), users[rng.IntN(len(users)):]...)
	}
	for i, p := range procs {
		if p == nil {
			procs[i] = w.launch(disks[i])
		}
	}
	w.settle()
	for _, p := range procs {
		p.mustStop()
	}
}

// TestStandbysOnKafka restarts members one after the other with standbys: 1, so
// that no rebalance comes by itself, and then loses one.
func TestStandbysOnKafka(t *testing.T) {
	w := onKafka(t, 4)
	all := []*process{w.launch(vfs.NewCrashableMem()), w.launch(vfs.NewCrashableMem())}
	for i, p := range all {
		p.lanes(2)
		p.mustStop()
		all[i] = w.launch(p.disk, oneStandby)
		all[i].lanes(2)
	}
	w.send(50, users...)
	w.settle()
	for _, p := range all {
		p.follows(2)
		p.checkState()
	}
	all[0].crash()
	began := time.Now()
	all[1].lanes(4)
	t.Logf("all lanes run %s after the loss", time.Since(began))
	w.send(1, users...)
	w.settle()
	all[1].checkState()
	if n := all[1].logged("local state wiped, to be restored from the changelog"); n != 0 {
		t.Errorf("%d partitions wiped", n)
	}
	all[1].mustStop()
}

// TestWarmRestartOnKafka restarts a process a few times: it keeps its place in the
// group, and reads none of the changelog again.
func TestWarmRestartOnKafka(t *testing.T) {
	w := onKafka(t, 4)
	disk := vfs.NewCrashableMem()
	for range 3 {
		began := time.Now()
		p := w.launch(disk)
		p.lanes(4)
		t.Logf("running after %s", time.Since(began))
		w.send(10, users...)
		w.settle()
		p.checkState()
		if n := p.logged("partition restored"); n != 0 {
			t.Errorf("%d partitions restored", n)
		}
		p.mustStop()
	}
}

func TestForeignTransactionOnKafka(t *testing.T) {
	w := onKafka(t, 1)
	lanes := make(chan *Lane, 1)
	p := w.launch(vfs.NewCrashableMem(), func(p *process, _ *Config) {
		p.beforeCommit = func(l *Lane, _ Cycle) {
			select {
			case lanes <- l:
			default:
			}
		}
	})
	w.send(1, users...)
	w.settle()
	l := <-lanes
	foreign, err := kgo.NewClient(append(w.options(w.dial), kgo.TransactionalID(w.group+"-foreign"))...)
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	if err := foreign.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := foreign.ProduceSync(t.Context(), &kgo.Record{Topic: w.in, Key: []byte("ann")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	ends, err := l.Ends(t.Context())
	if err != nil || len(ends) != 1 || ends[0].Offset != 9 || !ends[0].Exact {
		t.Errorf("%v %v: the log ends at 9", ends, err)
	}
	if ms, known := l.Ahead(); !known || ms < 0 || ms > 1000 {
		t.Errorf("ahead %d, known %t: the broker has this machine's clock", ms, known)
	}
	if err := foreign.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); l.Partitions()[0].State.Position().Inputs[w.in] < 10; {
		if time.Now().After(deadline) {
			t.Fatal("the position did not pass the abort's marker")
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.mustStop()
}
