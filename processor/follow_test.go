//go:build synctests

package processor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/state"
)

var opsCenter = []campaign.Delivery{{Endpoint: "ops"}}

// watch is a campaign that waits so many seconds for an event after another one.
func watch(name, after, without string, seconds int64) campaign.Definition {
	within := campaign.Duration(seconds * 1000)
	return campaign.Definition{Name: name, Version: fmt.Sprint(after, without, seconds), Deliver: opsCenter, Trigger: campaign.Trigger{
		InactionWithinTime: &campaign.InactionWithinTime{After: &campaign.Pattern{Event: after}, Without: &campaign.Pattern{Event: without}, Within: &within}}}
}

func each(name, event string) campaign.Definition {
	return campaign.Definition{Name: name, Version: event, Deliver: opsCenter, Trigger: campaign.Trigger{SingleAction: &campaign.SingleAction{
		Pattern: campaign.Pattern{Event: event}}}}
}

// make compiles a set that processes of this world can find by its text.
func (w *world) make(text string, defs ...campaign.Definition) *campaign.Set {
	w.t.Helper()
	set, problems := campaign.Compile(campaign.Rules{MaxFuture: 300_000, Settle: 10_000, MaxAge: 86_400_000, MaxEvents: 1000, MaxOpen: 100}, defs)
	if len(problems) > 0 {
		w.t.Fatal(problems)
	}
	w.texts[text] = set
	return set
}

// follow has a process take up a set that make has made.
func (p *process) follow(text string) { p.Follow(p.w.texts[text], []byte(text)) }

// with starts a process whose files make a set that make has made.
func with(w *world, text string, earlier ...string) func(*Config) {
	return func(cfg *Config) {
		cfg.Set, cfg.Text = w.texts[text], []byte(text)
		for _, e := range earlier {
			cfg.Earlier = append(cfg.Earlier, w.texts[e].Version())
		}
	}
}

// A set that is followed while events come in loses none and judges none twice: what is open under an unchanged trigger goes on, what
// has gone fires no more, what is new sees what comes.
func TestFollow(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		cart := watch("cart", "Cart", "Paid", 60)
		cart.Version = "v2"
		viewed := each("a-viewed", "Viewed")
		viewed.Version = "v1"
		second := w.make("second", cart, viewed)
		p := w.launch(vfs.NewCrashableMem())
		time.Sleep(5 * time.Second)
		w.send(event("events", "ann", "Cart"), event("events", "bob", "Viewed"), event("events", "cid", "Launch"))
		time.Sleep(time.Second)
		done := make(chan struct{})
		go func() { // load, over the change
			defer close(done)
			for i := range 200 {
				w.send(event("events", "load", []string{"Launch", "Viewed"}[i/100]))
				if i == 100 {
					p.follow("second")
				}
				time.Sleep(10 * time.Millisecond)
			}
		}()
		<-done
		time.Sleep(time.Second)
		w.send(event("events", "bob", "Viewed"), event("events", "cid", "Launch"))
		time.Sleep(90 * time.Second)
		versions := map[string]int{}
		for _, r := range w.read("triggers") {
			for _, of := range []string{`"a-viewed","version":"v1"`, `"cart","version":"v2"`, `"launch","version":"v1"`} {
				if strings.Contains(string(r.Value), `"campaign":`+of) {
					versions[string(r.Key)+" "+of[:strings.Index(of, `,`)]]++
				}
			}
		}
		want := map[string]int{`ann "cart"`: 1, `bob "a-viewed"`: 1, `cid "launch"`: 1, `load "launch"`: 1}
		for key, n := range want {
			if versions[key] != n {
				t.Errorf("%s: %d triggers, expected %d", key, versions[key], n)
			}
		}
		// The change came while `Viewed` was being sent: all of them behind it, and it is not known which was the first.
		if n := versions[`load "a-viewed"`]; n < 95 || n > 100 {
			t.Errorf("%d of 100 are seen", n)
		}
		if got := p.Version(); got != second.Version() || slices.Equal(w.set.Names(), second.Names()) {
			t.Errorf("version %s", got)
		}
		p.stop()
	})
}

// replay is what the input decides under the sets that the changelog has: each partition in its order, and each set from the position on
// that was committed before it.
func (w *world) replay() map[string][]string {
	w.t.Helper()
	decided := map[string][]string{}
	changelog, input := w.read("g-processor-changelog"), w.read("events")
	for number := range w.partitions {
		var m model
		var at int64
		upTo := func(end int64) {
			for _, r := range input {
				if r.Partition == number && r.Offset >= at && r.Offset < end {
					m.record(w, r)
				}
			}
			at = max(at, end)
		}
		m.decided = decided
		var before state.Position
		for _, r := range changelog {
			if r.Partition != number {
				continue
			}
			if r.Key[0] == 0 {
				pos, err := state.DecodePosition(r.Value)
				if err != nil {
					w.t.Fatal(err)
				}
				before = pos
			}
			if string(r.Key) == "\x01"+SetID+"\x00\x01" {
				var set recorded
				if err := json.Unmarshal(r.Value[bytes.IndexByte(r.Value, '{'):], &set); err != nil {
					w.t.Fatal(err)
				}
				upTo(before.Inputs["events"])
				m.follow(w, &set, before.Stream)
			}
		}
		upTo(1 << 40)
		m.pass(time.Now().UnixMilli())
	}
	return decided
}

// model is a partition's users, and the set in force.
type model struct {
	set     *campaign.Set
	users   map[string]map[uint32][]byte
	arrival int64
	decided map[string][]string
}

func (m *model) follow(w *world, r *recorded, stream int64) {
	m.pass(stream)
	for _, set := range w.texts {
		if set.Version() == r.Version {
			m.set = set.Under(&r.Ledger, 0)
			return
		}
	}
	w.t.Fatalf("nobody has version %s", r.Version)
}

func (m *model) pass(now int64) {
	for id := range m.users {
		m.step(id, func(u *campaign.User, o *campaign.Output) { u.Passed(now, o) })
	}
}

func (m *model) record(w *world, r *kgo.Record) {
	m.arrival = max(m.arrival, r.Timestamp.UnixMilli())
	envelope := record.Envelope{MaxBytes: 1 << 20}
	if e, bad := envelope.Event(r.Key, r.Value, r.Timestamp.UnixMilli()); bad == nil {
		m.step(e.User, func(u *campaign.User, o *campaign.Output) { u.Event(&e, m.arrival, o) })
	}
}

func (m *model) step(id string, do func(*campaign.User, *campaign.Output)) {
	if m.users == nil {
		m.users = map[string]map[uint32][]byte{}
	}
	if m.users[id] == nil {
		m.users[id] = map[uint32][]byte{}
	}
	rows := m.users[id]
	u, err := m.set.Open(id, rows[0], func(n uint32) []byte { return rows[n] })
	if err != nil {
		panic(err)
	}
	var o campaign.Output
	do(u, &o)
	u.Rows(func(n uint32, content []byte) { rows[n] = bytes.Clone(content) })
	add(m.decided, &o)
}

// To replay is to have the input and the recorded sets: what processes decide that change their campaigns under load, crash, and whose commits fail
// is what one run over the input decides that takes each set up where the changelog has it.
func TestReplayOfSets(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.make("first", watch("cart", "Cart", "Paid", 15), each("launch", "Launch"), watch("gone", "Cart", "Launch", 10))
		backfill := watch("old", "Cart", "Paid", 30)
		backfill.Backfill = true
		w.make("second", watch("cart", "Cart", "Paid", 25), each("launch", "Launch"), backfill, watch("new", "Cart", "Paid", 10))
		sometimes := each("launch", "Launch")
		minute := campaign.Duration(10_000)
		sometimes.Reentry, sometimes.Version = &campaign.Reentry{MinGap: &minute}, "gap"
		w.make("third", watch("cart", "Other", "Cart", 20), sometimes, watch("gone", "Cart", "Launch", 10))
		traffic := func(seconds int) {
			names := []string{"Cart", "Other", "Paid", "Launch", "Cart"}
			for range seconds * 4 {
				w.send(event("events", fmt.Sprint("u", w.rng.IntN(60)), names[w.rng.IntN(len(names))]))
				time.Sleep(250 * time.Millisecond)
			}
		}
		p := w.launch(vfs.NewCrashableMem(), with(w, "first"))
		var n atomic.Int32
		w.cluster.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			if n := n.Add(1); n%9 != 0 || n > 120 {
				return nil, nil, false
			}
			return nil, errors.New("cut"), true
		})
		traffic(25)
		p.follow("second")
		traffic(5)
		p = w.launch(p.crash(), with(w, "second"))
		traffic(45)
		p.follow("third")
		traffic(10)
		p = w.launch(p.stop(), with(w, "second"), func(cfg *Config) { cfg.Users = 1 }) // the third goes on
		traffic(30)
		time.Sleep(3 * time.Minute)
		got, want := map[string][]string{}, w.replay()
		for _, topic := range []string{"triggers", "decisions"} {
			for _, r := range w.read(topic) {
				if t, err := record.ParseTrigger(r.Value); err == nil {
					got[string(r.Key)] = append(got[string(r.Key)], string(t.Append(nil, 0)))
				} else {
					got[string(r.Key)] = append(got[string(r.Key)], string(r.Value))
				}
			}
		}
		all := ""
		for user := range want {
			slices.Sort(got[user])
			slices.Sort(want[user])
			if !slices.Equal(got[user], want[user]) {
				t.Errorf("%s\n  has      %q\n  expected %q", user, got[user], want[user])
			}
			all += strings.Join(want[user], "")
		}
		for _, of := range []string{`"cart","version":"CartPaid15"`, `"cart","version":"CartPaid25"`, `"cart","version":"OtherCart20"`, `"old"`, `"new"`, `"gone"`, `"version":"gap"`} {
			if !strings.Contains(all, of) {
				t.Errorf("nothing is decided by %s", of)
			}
		}
		if sets := p.Sets(); sets[0].Version != w.texts["third"].Version() || !sets[0].Differs {
			t.Errorf("%+v", sets)
		}
		p.stop()
	})
}

// Users of whom nothing comes are rebuilt as well, a few in each cycle: what they wait for under the former trigger does not fire, what they
// wait for under the new one does, in time and once. A crash in the midst goes on where it was.
func TestRebuild(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		backfill := watch("old", "Cart", "Paid", 40)
		backfill.Backfill = true
		w.make("first", watch("cart", "Cart", "Paid", 60))
		w.make("second", watch("cart", "Cart", "Paid", 90), backfill, watch("new", "Cart", "Paid", 40))
		p := w.launch(vfs.NewCrashableMem(), with(w, "first"))
		const users = 3000
		var carts []*kgo.Record
		for i := range users {
			carts = append(carts, event("events", fmt.Sprint("u", i), "Cart"))
		}
		w.send(carts...)
		time.Sleep(20 * time.Second)
		p.follow("second")
		part, err := p.store.Partition(0)
		for set := (&Recorded{}); set.Walk.After == "" && err == nil; set, err = ReadSet(part) { // as it is committed
			time.Sleep(100 * time.Microsecond)
		}
		if err != nil {
			t.Fatal(err)
		}
		if n := p.number("tripline_processor_rebuild_users_total"); n >= users || !p.Sets()[0].Rebuilding || p.number("tripline_processor_rebuilding_lanes") != 1 {
			t.Fatalf("%v users are rebuilt already: %+v", n, p.Sets())
		}
		p = w.launch(p.crash(), with(w, "second"))
		time.Sleep(17 * time.Second)
		done := p.logs.FilterMessage("users are rebuilt").All()
		if len(done) != 1 || done[0].ContextMap()["users"].(int64) >= users || p.Sets()[0].Rebuilding {
			t.Errorf("%v", done)
		}
		time.Sleep(2 * time.Minute)
		counts := map[string]int{}
		for _, list := range w.triggers() {
			counts[fmt.Sprint(list)]++
		}
		if len(counts) != 1 || counts["[old 40000 cart 90000]"] != users {
			t.Errorf("%v", counts)
		}
		p.stop()
	})
}

// number is a metric that there is.
func (p *process) number(name string) float64 {
	p.w.t.Helper()
	n, found := p.metric(name)
	if !found {
		p.w.t.Fatalf("there is no metric %s", name)
	}
	return n
}

// A process that takes a lane over goes on with the recorded set, says that its own differs, and puts its own in force when that changes. Files that
// were those of the recorded set, and are others now, have changed.
func TestRecordedSet(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.make("first", each("a", "Launch"))
		w.make("second", each("b", "Launch"))
		w.make("third", each("c", "Launch"))
		disk := w.launch(vfs.NewCrashableMem(), with(w, "first")).settled(t, "first", false).stop()
		p := w.launch(disk, with(w, "second")).settled(t, "first", true)
		if p.logs.FilterMessageSnippet("recorded campaigns").Len() != 2 || p.number("tripline_processor_campaigns_differ_lanes") != 2 {
			t.Errorf("%v", p.logs.All())
		}
		p.follow("second") // a reload of the same files
		p.settled(t, "second", false)
		if p.number("tripline_processor_campaigns_differ_lanes") != 0 {
			t.Error("they still differ")
		}
		p = w.launch(p.stop(), with(w, "third", "first")).settled(t, "second", true) // what is recorded never was this process's
		p = w.launch(p.stop(), with(w, "third", "second")).settled(t, "third", false)
		if w.triggers(); p.Version() != w.texts["third"].Version() {
			t.Error(p.Version())
		}
		p = w.launch(p.stop(), with(w, "third"))
		p.follow("first") // before a lane runs
		p.settled(t, "first", false).stop()
	})
}

// settled waits, sends an event, and expects it to be decided by a set whose only campaign is of that name's letter.
func (p *process) settled(t *testing.T, text string, differs bool) *process {
	t.Helper()
	time.Sleep(15 * time.Second)
	name := p.w.texts[text].Names()[0]
	p.w.send(event("events", "ann", "Launch"))
	time.Sleep(2 * time.Second)
	list := p.w.triggers()["ann"]
	if len(list) == 0 || !strings.HasPrefix(list[len(list)-1], name+" ") {
		t.Errorf("expected the last to be of %s: %v", name, list)
	}
	for lane, set := range p.Sets() {
		if set.Version != p.w.texts[text].Version() || set.Differs != differs {
			t.Errorf("lane %d: %+v", lane, set)
		}
	}
	return p
}

// A set whose first cycle fails is taken up when the lane is taken anew: that was not a takeover.
func TestFollowAborted(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.make("first", each("a", "Launch"))
		w.make("second", each("b", "Launch"))
		p := w.launch(vfs.NewCrashableMem(), with(w, "first")).settled(t, "first", false)
		fault := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Count: 1})
		p.follow("second")
		p.settled(t, "second", false)
		if fault.Hits() != 1 || p.logs.FilterMessage("lane is taken anew").Len() == 0 {
			t.Errorf("%d ends failed", fault.Hits())
		}
		p.stop()
	})
}
