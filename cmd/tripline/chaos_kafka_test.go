package main

import (
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What only Apache Kafka shows: markers that come later than their transaction's end, followers, brokers that die. These
// tests need KAFKA_BROKERS, and those that touch brokers the folder of deploy/kafka/kafka in KAFKA_DIR.

func needKafka(t *testing.T, variables ...string) {
	t.Helper()
	for _, name := range append(variables, "KAFKA_BROKERS") {
		if os.Getenv(name) == "" {
			t.Skip("needs Apache Kafka: make test-kafka, make chaos-kafka")
		}
	}
}

// broker has deploy/kafka/kafka do something with a node, numbered from 1.
func broker(t *testing.T, command string, node int) {
	t.Helper()
	out, err := exec.Command("../../deploy/kafka/kafka", command, "--dir", os.Getenv("KAFKA_DIR"), "--node", strconv.Itoa(node)).CombinedOutput()
	if err != nil && strings.Contains(string(out), "did not serve") { // a busy machine takes longer than the script waits
		address := strings.Split(os.Getenv("KAFKA_BROKERS"), ",")[node-1]
		for tries := 0; err != nil && tries < 60; tries++ {
			var conn net.Conn
			if conn, err = net.DialTimeout("tcp", address, 3*time.Second); err == nil {
				conn.Close()
			} else {
				time.Sleep(3 * time.Second)
			}
		}
	}
	if err != nil {
		t.Fatalf("kafka %s --node %d: %v: %s", command, node, err, out)
	}
}

// A member that stands still past its session has lost its lanes to another. When it goes on, with nothing but timers to fire,
// it writes nothing: a group's generation does not fence a transaction without offsets.
func TestKafkaTimersOnlyZombie(t *testing.T) {
	needKafka(t)
	l := newLine(t, 1, "")
	a := l.start("processor", "a")
	l.event("warm", "Paid", `{"amount":100}`)
	l.event("warm", "Paid", `{"amount":100}`)
	l.whole()
	for i := range 50 {
		l.event("u"+strconv.Itoa(i), "Cart", `{"cart":"c1","amount":80}`)
	}
	time.Sleep(time.Second) // the watches are open for two more
	a.signal(syscall.SIGSTOP)
	b := l.start("processor", "b")
	l.whole()
	a.signal(syscall.SIGCONT)
	time.Sleep(5 * time.Second) // it must get the chance
	l.whole()
	a.stop()
	b.stop()
}

// While a foreign transaction that holds the ending event is open over the deadline nothing fires, and after its commit neither.
func TestKafkaForeignTransaction(t *testing.T) {
	needKafka(t)
	l := newLine(t, 1, "")
	p := l.start("processor", "a")
	l.event("bob", "Cart", `{"cart":"c1","amount":80}`)
	l.whole()
	l.event("ann", "Cart", `{"cart":"c1","amount":80}`)
	foreign, err := kgo.NewClient(kgo.SeedBrokers(l.brokers...), kgo.TransactionalID(l.group+"-foreign"))
	if err == nil {
		err = foreign.BeginTransaction()
	}
	if err == nil {
		err = foreign.ProduceSync(t.Context(), &kgo.Record{Topic: l.cfg.Topics.Events[0], Key: []byte("ann"),
			Value: []byte(`{"event":"Paid","properties":{"cart":"c1","amount":1}}`)}).FirstErr()
	}
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(8 * time.Second) // the watch ran for three
	l.unfired("ann")
	if err := foreign.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	foreign.Close()
	time.Sleep(3 * time.Second)
	l.whole()
	l.unfired("ann")
	p.stop()
}

// With a follower that stands still the high watermark does too, while records are appended behind it. Such a record ends a watch. The topic has
// two replicas and the broker wants both (KIP-966), so that the watermark stands still for as long as the follower does; the topics that the
// processor writes to have three, and its coordinators are elsewhere, so that it works on soon.
func TestKafkaFrozenFollower(t *testing.T) {
	needKafka(t, "KAFKA_DIR")
	l := newLine(t, 1, "")
	events := l.cfg.Topics.Events[0]
	p := l.start("processor", "a")
	l.event("bob", "Cart", `{"cart":"c1","amount":80}`)
	l.whole()
	follower := l.replicate(events)
	careless, err := kgo.NewClient(kgo.SeedBrokers(l.brokers...), kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	if err != nil {
		t.Fatal(err)
	}
	defer careless.Close()
	send := func(user, value string) (offset int64) {
		r := &kgo.Record{Topic: events, Key: []byte(user), Value: []byte(value)}
		if err := careless.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		return r.Offset
	}
	send("eve", `{"event":"Other"}`) // so that it knows the topic
	l.event("ann", "Cart", `{"cart":"c1","amount":80}`)
	began := time.Now()
	time.Sleep(500 * time.Millisecond) // so that it is applied
	broker(t, "pause", follower)
	defer broker(t, "resume", follower)
	at := send("ann", `{"event":"Paid","properties":{"cart":"c1","amount":1}}`)
	if took := time.Since(began); took > 3*time.Second {
		t.Skipf("the machine is too busy: what ends a watch of three seconds was appended after %s", took)
	}
	time.Sleep(10 * time.Second) // the brokers notice within three
	if ends, err := kadm.NewClient(l.client).ListEndOffsets(t.Context(), events); err != nil || ends[events][0].Offset > at {
		t.Fatalf("the high watermark did not stand still: it is %d, and the record's offset is %d: %v", ends[events][0].Offset, at, err)
	}
	broker(t, "resume", follower)
	l.whole()
	l.unfired("ann")
	p.stop()
}

// replicate leaves a topic of one partition two replicas, of which the second, that it returns, has no part in the processor's transactions but
// for those that three brokers have.
func (l *line) replicate(topic string) (follower int) {
	l.t.Helper()
	admin, ctx := kadm.NewClient(l.client), l.t.Context()
	taken := map[int32]bool{}
	for _, found := range []kadm.FindCoordinatorResponses{
		admin.FindGroupCoordinators(ctx, l.group+"-processor"), admin.FindTxnCoordinators(ctx, l.group+"-processor-0"),
	} {
		if err := found.Error(); err != nil {
			l.t.Fatal(err)
		}
		for _, f := range found {
			taken[f.NodeID] = true
		}
	}
	replicas := []int32{0, 0}
	for node := int32(1); node <= 3; node++ {
		replicas[map[bool]int{true: 0, false: 1}[taken[node]]] = node
	}
	var assign kadm.AlterPartitionAssignmentsReq
	assign.Assign(topic, 0, replicas)
	if _, err := admin.AlterPartitionAssignments(ctx, assign); err != nil {
		l.t.Fatal(err)
	}
	var only kadm.TopicsSet
	only.Add(topic, 0)
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		_, _ = admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, only) // which is not needed where it is the leader
		topics, err := admin.ListTopics(ctx, topic)
		if p := topics[topic].Partitions[0]; err == nil && p.Leader == replicas[0] && slices.Equal(p.Replicas, replicas) && len(p.ISR) == 2 {
			return int(replicas[1])
		}
		if time.Since(began) > time.Minute {
			l.t.Fatalf("the topic's replicas are not %v: %v, %v", replicas, topics[topic].Partitions[0], err)
		}
	}
}

// A processor whose wall clock is an hour ahead fires nothing early, and one whose clock is an hour behind does what records tell it to: by their
// append times all is as with the right clock. deploy/kafka/clock builds what this needs.
func TestKafkaClock(t *testing.T) {
	needKafka(t, "TRIPLINE_TEST_CLOCK")
	l := newLine(t, 1, "")
	for _, name := range []string{"first", "again"} {
		p := l.start("processor", "a")
		ann, bob := name+"-ann", name+"-bob"
		l.event(ann, "Cart", `{"cart":"c1","amount":80}`)
		l.event(bob, "Cart", `{"cart":"c1","amount":80}`)
		time.Sleep(1500 * time.Millisecond)
		l.event(ann, "Paid", `{"cart":"c1","amount":1}`)
		time.Sleep(3 * time.Second) // the watches are over
		l.event(ann, "View", `{}`)
		l.event(bob, "View", `{}`)
		l.whole()
		l.unfired(ann)
		p.stop()
		if said := p.output.String(); !strings.Contains(said, "this machine's clock differs from the broker's") {
			t.Errorf("it says nothing of the clock:\n%s", said)
		}
	}
}

// unfired fails where the user has a trigger of the campaign cart.
func (l *line) unfired(user string) {
	l.t.Helper()
	triggers, _ := l.committed()
	for _, trigger := range triggers {
		if strings.Contains(trigger, `"campaign":"cart"`) && strings.Contains(trigger, `"user_id":"`+user+`"`) {
			l.t.Fatalf("the watch fired although what ends it was appended before its deadline: %s", trigger)
		}
	}
}

// TestChaosKafka runs three processors and two sinks as processes against three brokers under load, for CHAOS_MINUTES, and
// lets one thing after the other go wrong. In the end all is whole.
func TestChaosKafka(t *testing.T) {
	needKafka(t, "KAFKA_DIR", "CHAOS_MINUTES")
	minutes, err := strconv.ParseFloat(os.Getenv("CHAOS_MINUTES"), 64)
	if err != nil {
		t.Fatal(err)
	}
	hook, url := newReceiver(t, 0) // one that refuses is slowed, and has tests of its own
	l := newLine(t, 6, url)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	names := []string{"p1", "p2", "p3", "s1", "s2"}
	running := map[string]*process{}
	start := func(name string) {
		running[name] = l.start(map[byte]string{'p': "processor", 's': "sink"}[name[0]], name)
	}
	for _, name := range names {
		start(name)
	}
	began := time.Now()
	var faults []int // each kind comes once before any comes again
	for time.Since(began).Minutes() < minutes {
		l.produce(rng, 1000, 500)
		name := names[rng.IntN(len(names))]
		node := 1 + rng.IntN(3)
		if len(faults) == 0 {
			faults = rng.Perm(7)
		}
		fault := faults[0]
		faults = faults[1:]
		switch fault {
		case 0, 1:
			for range 4 {
				name = names[rng.IntN(len(names))]
				t.Logf("%s killed %s", time.Since(began), name)
				running[name].kill()
				l.produce(rng, 500, 500)
				start(name)
				time.Sleep(time.Duration(rng.IntN(1000)) * time.Millisecond)
			}
		case 2:
			t.Logf("%s stopped and continued %s", time.Since(began), name)
			running[name].signal(syscall.SIGSTOP)
			for range 18 { // longer than the session and the transaction timeout
				l.produce(rng, 300, 500)
				time.Sleep(time.Second)
			}
			running[name].signal(syscall.SIGCONT)
		case 3, 4:
			command := []string{"kill", "stop"}[rng.IntN(2)]
			t.Logf("%s %s broker %d", time.Since(began), command, node)
			broker(t, command, node)
			l.produce(rng, 1000, 500)
			time.Sleep(time.Duration(rng.IntN(5)) * time.Second)
			broker(t, "start", node)
		case 5:
			t.Logf("%s paused broker %d", time.Since(began), node)
			broker(t, "pause", node)
			time.Sleep(time.Duration(2+rng.IntN(8)) * time.Second)
			broker(t, "resume", node)
		default:
			t.Logf("%s %s goes and comes", time.Since(began), name)
			running[name].stop()
			time.Sleep(2 * time.Second)
			start(name)
		}
		time.Sleep(time.Duration(rng.IntN(4000)) * time.Millisecond)
	}
	l.whole()
	l.delivered(hook)
	for _, name := range names {
		running[name].stop()
	}
}

// delivered waits until each trigger has a final record, and checks that it is one, and that the receiver has got them all.
func (l *line) delivered(hook *receiver) {
	l.t.Helper()
	want := l.read(l.cfg.Topics.Triggers)
	var finals map[string][]string
	for began := time.Now(); time.Since(began) < 3*time.Minute; time.Sleep(time.Second) {
		if finals, _ = l.finals(); len(finals) >= len(want) {
			break
		}
	}
	wrong := 0
	for id, outcomes := range finals {
		if len(outcomes) != 1 || outcomes[0] != "delivered" || hook.seen[id] == 0 {
			wrong++
			l.t.Logf("%s: %v, received %d times", id, outcomes, hook.seen[id])
		}
	}
	if len(want) == 0 || len(finals) != len(want) || wrong > 0 {
		l.t.Errorf("%d triggers, %d of them have a final record, %d wrong", len(want), len(finals), wrong)
	}
	l.t.Logf("%d events, %d triggers, all delivered once", len(l.read(l.cfg.Topics.Events[0])), len(want))
}
