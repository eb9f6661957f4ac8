package outbox

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tripline/tripline/state"
)

func partition(t testing.TB) *state.Partition {
	t.Helper()
	store, err := state.Open(state.Config{Dir: "data", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	p, err := store.Partition(0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func open(t testing.TB, p *state.Partition) *Book {
	t.Helper()
	b, err := Open(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func commit(t testing.TB, p *state.Partition, b *Book) {
	t.Helper()
	rows := b.Changes()
	if err := p.Apply(rows, state.Position{Inputs: map[string]int64{"triggers": 1}, WrittenAt: 1}); err != nil {
		t.Fatal(err)
	}
	b.Committed()
}

func TestKey(t *testing.T) {
	for key, want := range map[string]struct {
		trigger string
		replay  int64
	}{"trg_1": {"trg_1", 0}, "trg_1.2": {"trg_1", 2}} {
		trigger, replay := Split(key)
		if trigger != want.trigger || replay != want.replay || Key(trigger, replay) != key {
			t.Errorf("%s: %s %d", key, trigger, replay)
		}
	}
}

func TestRowsRoundTrip(t *testing.T) {
	d := Delivery{Key: "trg_1", Campaign: "c", Endpoint: "ops", User: "ü", Offset: 1 << 40, Attempts: 3, Place: 2, Since: 7, Stage: Unknown, Due: -1}
	got, err := decodeDelivery("trg_1", d.append(nil), true)
	if err != nil || got != d {
		t.Errorf("%+v %v", got, err)
	}
	for _, more := range []Delivery{{Turn: 7, Free: 1 << 40, Stage: Behind}, {Batch: "bat_1"}, {Turn: 1, Batch: "bat_1"}, {record: "r"}, {Turn: 1, Batch: "bat_1", record: "r"}} {
		if got, err := decodeDelivery("", more.append(nil), true); err != nil || got != more {
			t.Errorf("%+v %v", got, err)
		}
	}
	q := queues{waiting: 9, clock: 1 << 40}
	q.ranges[1].next = 1 << 31
	if got, err := decodeQueues("ops", q.append(nil)); err != nil || got != q {
		t.Errorf("%+v %v", got, err)
	}
	for n := range d.append(nil) {
		if d, err := decodeDelivery("trg_1", d.append(nil)[:n], true); err == nil {
			t.Errorf("%d bytes: %+v", n, d)
		}
	}
}

func TestWindow(t *testing.T) {
	var w Window
	w.Start(10)
	if w.Position() != 10 {
		t.Fatal(w.Position())
	}
	for offset := int64(10); offset < 5010; offset++ {
		w.Add(offset)
		w.Passed(offset + 1)
	}
	w.Done(11)
	w.Done(13)
	if w.Position() != 10 {
		t.Error(w.Position())
	}
	w.Done(10)
	if w.Position() != 12 {
		t.Error(w.Position())
	}
	r := rand.New(rand.NewPCG(1, 1))
	left := map[int64]bool{}
	for offset := int64(12); offset < 5010; offset++ {
		left[offset] = offset != 13
	}
	order := slices.Sorted(maps.Keys(left))
	r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for _, offset := range order {
		if !left[offset] {
			continue
		}
		left[offset] = false
		w.Done(offset)
		want := int64(5010)
		for o := int64(12); o < 5010; o++ {
			if left[o] {
				want = o
				break
			}
		}
		if w.Position() != want {
			t.Fatalf("position %d, want %d", w.Position(), want)
		}
	}
}

func TestErased(t *testing.T) {
	p := partition(t)
	b := open(t, p)
	b.Erase("u", 10)
	if !b.Erased("u", 9) || b.Erased("u", 11) || b.Erased("v", 9) {
		t.Error("who is erased")
	}
	commit(t, p, b)
	if b = open(t, p); !b.Erased("u", 9) {
		t.Error("an erasure is lost")
	}
	b.Erase("u", 20)
	b.Forget("u", 10)
	if !b.Erased("u", 19) {
		t.Error("the end of an older erasure ended a newer one")
	}
	b.Forget("u", 20)
	commit(t, p, b)
	if b = open(t, p); len(b.ErasedUsers()) != 0 {
		t.Error("an erasure that has ended is back")
	}
}

// TestEnded holds that what has ended is known for as long as it says, and not seen by a walk over what waits.
func TestEnded(t *testing.T) {
	p := partition(t)
	b := open(t, p)
	d := Delivery{Key: "a", Endpoint: "ops", Due: 5}
	b.Save(&d, []byte("{}"))
	if _, err := b.End(d, true, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := b.End(Delivery{Key: "b"}, false, 200); err != nil {
		t.Fatal(err)
	}
	commit(t, p, b)
	known := func(key string) bool {
		ended, err := b.Ended(key)
		if err != nil {
			t.Fatal(err)
		}
		return ended
	}
	none := func(string) bool { return false }
	if due, _, err := b.Due(99, 10, none); err != nil || len(due) != 0 || !known("a") || !known("b") || b.Waiting("ops") != 0 {
		t.Errorf("%v %v", due, err)
	}
	if due, _, err := b.Due(100, 10, none); err != nil || len(due) != 0 || known("a") || !known("b") {
		t.Errorf("%v %v", due, err)
	}
	b.Walk(func(d Delivery) error { t.Errorf("%+v waits", d); return nil })
}

// model is what a Book must agree with.
type model struct {
	waiting map[string]Delivery
	ended   map[string]bool
}

func (m model) clone() model { return model{maps.Clone(m.waiting), maps.Clone(m.ended)} }

// TestAgainstModel does random things to a book, commits and crashes at random, and holds that every delivery that waits can be
// found, in one place, with its record.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { walk(t, rand.New(rand.NewPCG(seed, 7))) })
	}
}

func walk(t *testing.T, r *rand.Rand) {
	p := partition(t)
	b := open(t, p)
	now := model{map[string]Delivery{}, map[string]bool{}}
	applied := now.clone()
	var committing *model
	var rows []state.Row
	hand := map[string]Delivery{}
	names := []string{"ops", "crm"}
	for step := range 3000 {
		switch r.IntN(12) {
		case 0, 1, 2, 3:
			d := Delivery{Key: fmt.Sprintf("trg_%d", step), Endpoint: names[r.IntN(2)], User: "u", Offset: int64(step), Stage: Stage(r.IntN(3)), Due: int64(step)}
			record := []byte(d.Key)
			if r.IntN(4) == 0 {
				record = append(record, make([]byte, maxInline)...)
			}
			b.Save(&d, record)
			now.waiting[d.Key] = d
		case 4, 5:
			stage := QueuedFirst + Stage(r.IntN(2))
			pulled, err := b.Pull(names[r.IntN(2)], stage, r.IntN(300))
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range pulled {
				if _, twice := hand[d.Key]; twice || now.waiting[d.Key] != d {
					t.Fatalf("step %d: pulled %+v, in hand %v, should be %+v", step, d, twice, now.waiting[d.Key])
				}
				hand[d.Key] = d
			}
		case 6:
			due, _, err := b.Due(int64(step), 1+r.IntN(50), func(key string) bool { _, held := hand[key]; return held })
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range due {
				if now.waiting[d.Key] != d || d.Stage != Timed {
					t.Fatalf("step %d: due %+v, should be %+v", step, d, now.waiting[d.Key])
				}
				hand[d.Key] = d
			}
		case 7, 8:
			for key, d := range some(hand, r.IntN(200)) {
				delete(hand, key)
				switch r.IntN(6) {
				case 4, 5: // it is let go of as it is
					if d.Stage == Timed {
						b.Again(key)
						break
					}
					fallthrough
				case 0:
					d.Stage, d.Due, d.Attempts = Timed, int64(step+r.IntN(500)), d.Attempts+1
					b.Save(&d, nil)
					now.waiting[key] = d
				case 1:
					d.Stage = QueuedAgain
					b.Save(&d, nil)
					now.waiting[key] = d
				default:
					if _, err := b.End(d, true, 1<<40); err != nil {
						t.Fatal(err)
					}
					delete(now.waiting, key)
					now.ended[key] = true
				}
			}
		case 9: // something that is not in hand ends, as by a walk
			for key, d := range some(now.waiting, 1) {
				if _, err := b.End(d, true, 1<<40); err != nil {
					t.Fatal(err)
				}
				delete(now.waiting, key)
				delete(hand, key)
				now.ended[key] = true
			}
		case 10:
			if committing == nil {
				rows = b.Changes()
				c := now.clone()
				committing = &c
				break
			}
			if err := p.Apply(rows, state.Position{Inputs: map[string]int64{"triggers": 1}, WrittenAt: 1}); err != nil {
				t.Fatal(err)
			}
			b.Committed()
			applied, committing = *committing, nil
		case 11:
			if r.IntN(4) == 0 {
				b, now, committing = open(t, p), applied.clone(), nil
				clear(hand)
			}
		}
	}
	if committing != nil {
		if err := p.Apply(rows, state.Position{Inputs: map[string]int64{"triggers": 1}, WrittenAt: 1}); err != nil {
			t.Fatal(err)
		}
		b.Committed()
	}
	commit(t, p, b)
	held := func(key string) bool { _, is := hand[key]; return is }
	due, more, err := b.Due(1<<30, 1<<20, held)
	if err != nil || more {
		t.Fatal(more, err)
	}
	found := map[string]Delivery{}
	for _, d := range due {
		found[d.Key] = d
	}
	for key, d := range now.waiting {
		if _, is := found[key]; is != (d.Stage == Timed && !held(key)) {
			t.Errorf("%+v, in hand %v, found %v", d, held(key), is)
		}
	}
	verify(t, open(t, p), now)
}

// some is up to n entries of a map, the first by key.
func some(from map[string]Delivery, n int) map[string]Delivery {
	chosen := map[string]Delivery{}
	for _, key := range slices.Sorted(maps.Keys(from)) {
		if len(chosen) == n {
			break
		}
		chosen[key] = from[key]
	}
	return chosen
}

// verify finds everything that waits by the ways that there are, and nothing else.
func verify(t *testing.T, b *Book, want model) {
	t.Helper()
	counts := map[string]int64{}
	for key, d := range want.waiting {
		counts[d.Endpoint]++
		if record, trace, err := b.Record(want.waiting[key]); err != nil || !bytes.HasPrefix(record, []byte(key)) || trace != want.waiting[key].Trace {
			t.Fatalf("record of %s: %q %q %v", key, record, trace, err)
		}
	}
	found := map[string]Delivery{}
	take := func(all []Delivery, err error) {
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range all {
			if _, twice := found[d.Key]; twice {
				t.Fatalf("%s found twice", d.Key)
			}
			found[d.Key] = d
		}
	}
	due, _, err := b.Due(1<<30, 1<<20, func(string) bool { return false })
	take(due, err)
	for _, endpoint := range b.Endpoints() {
		if b.Waiting(endpoint) != counts[endpoint] {
			t.Errorf("%s: %d wait, should be %d", endpoint, b.Waiting(endpoint), counts[endpoint])
		}
		take(b.Pull(endpoint, QueuedFirst, 1<<20))
		take(b.Pull(endpoint, QueuedAgain, 1<<20))
	}
	if !maps.Equal(found, want.waiting) {
		t.Errorf("found %d deliveries, should be %d", len(found), len(want.waiting))
	}
	walked := 0
	b.Walk(func(d Delivery) error { walked++; return nil })
	if walked != len(want.waiting) {
		t.Errorf("a walk sees %d deliveries, should be %d", walked, len(want.waiting))
	}
	for key := range want.ended {
		if ended, err := b.Ended(key); err != nil || !ended {
			t.Fatalf("%s has not ended: %v", key, err)
		}
	}
}

// TestNothingIsLeft holds that a backlog leaves no rows but those of what has ended.
func TestNothingIsLeft(t *testing.T) {
	p := partition(t)
	b := open(t, p)
	const n = 1000
	for i := range n {
		b.Save(&Delivery{Key: fmt.Sprint(i), Endpoint: "ops", Stage: QueuedFirst}, []byte("{}"))
		if i%300 == 0 {
			commit(t, p, b)
		}
	}
	commit(t, p, b)
	all, err := b.Pull("ops", QueuedFirst, 2*n)
	if err != nil || len(all) != n {
		t.Fatalf("%d pulled, %v", len(all), err)
	}
	for i, d := range all {
		if d.Key != fmt.Sprint(i) {
			t.Fatalf("the %d-th is %s", i, d.Key)
		}
		if i%2 == 0 {
			if _, err := b.End(d, true, 1<<40); err != nil {
				t.Fatal(err)
			}
		}
	}
	commit(t, p, b)
	b = open(t, p)
	if all, err = b.Pull("ops", QueuedFirst, 2*n); err != nil || len(all) != n/2 {
		t.Fatalf("%d pulled after a crash, %v", len(all), err)
	}
	for _, d := range all {
		if _, err := b.End(d, true, 1<<40); err != nil {
			t.Fatal(err)
		}
	}
	commit(t, p, b)
	if err := p.Scan(func(r state.Row) error {
		if r.ID[0] != endedRow {
			return fmt.Errorf("row %q part %d is left", r.ID, r.Part)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if b.Queued("ops", QueuedFirst) || len(b.Endpoints()) != 0 {
		t.Error("an empty queue says that it is not")
	}
}

// Every kind of row can be shown, and what is none is an error.
func TestShow(t *testing.T) {
	p := partition(t)
	b := open(t, p)
	b.Erase("ann", 7)
	b.Save(&Delivery{Key: "trg_1", Campaign: "c", Endpoint: "ops", User: "bob", Offset: 9, Attempts: 2, Stage: QueuedAgain}, []byte(`{"user_id":"bob"}`))
	if _, err := b.End(Delivery{Key: "trg_2", Endpoint: "ops"}, false, 5000); err != nil {
		t.Fatal(err)
	}
	if err := b.Join(&Delivery{Key: "trg_1", Endpoint: "ops", User: "bob"}); err != nil {
		t.Fatal(err)
	}
	b.Bind("bat_1", []string{"trg_1"})
	commit(t, p, b)
	var got []string
	if err := p.Scan(func(r state.Row) error {
		x, err := Show(r)
		if err != nil {
			return err
		}
		got = append(got, fmt.Sprint(x.Row, x.Key, x.User, x.Stage, x.Attempts, x.Keys, string(x.Trigger), x.Due))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	want := []string{"erasedann0 []", "queue0 []", "queue0 [trg_1]", "batch0 []", "batch0 [trg_1]", "turnbob0 []", "turntrg_1bob0 []", `waitingtrg_1bobqueued_again2 []{"user_id":"bob"}`, "endedtrg_20 []1970-01-01T00:00:05.000Z"}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant\n%q", got, want)
	}
	for _, r := range []state.Row{{}, {Key: state.Key{ID: "z"}}, {Key: state.Key{ID: "wtrg"}}, {Key: state.Key{ID: "wtrg", Part: 1}}, {Key: state.Key{ID: "qops"}, Content: []byte{9}}} {
		if x, err := Show(r); err == nil {
			t.Errorf("%q is %+v", r.ID, x)
		}
	}
}
