package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor"
	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/state"
)

// Campaigns change under load, in two processes that see it at different moments, one of which is killed: nothing is lost and nothing
// judged twice. What is committed is what one run over the input decides that takes each set up where the changelog has it.
func TestLineReload(t *testing.T) {
	l := newLine(t, 6, "")
	a, b := l.start("processor", "a"), l.start("processor", "b")
	for began := time.Now(); strings.Count(a.output.String()+b.output.String(), "campaigns are in force") < 6; time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > 60*time.Second {
			t.Fatal("the lanes do not run")
		}
	}
	longer := strings.Replace(lineCampaigns, "within: 3s", "within: 4s", 1)
	backfill := "---\nname: any-cart\ntrigger:\n  inaction_within_time: {after: {event: Cart}, without: {event: Paid}, within: 300ms}\nbackfill: true\ndeliver: {endpoint: hook}\n"
	changes := []string{longer, longer + backfill, lineCampaigns + "---\nname: new\ntrigger:\n  single_action: {event: View}\nreentry: {min_gap: 1s}\ndeliver: {endpoint: hook}\n"}
	l.load(12, func(burst int) {
		time.Sleep(600 * time.Millisecond) // in mid-load is the point
		if burst%4 == 1 {
			l.write("campaigns.yaml", changes[burst/4])
			a.signal(syscall.SIGHUP) // b looks by itself
		}
		if burst == 7 {
			b.kill()
			b = l.start("processor", "b")
		}
	})
	var diff string
	var sets int
	for began := time.Now(); time.Since(began) < 90*time.Second; time.Sleep(300 * time.Millisecond) {
		gotT, gotD := l.committed()
		var wantT, wantD []string
		if wantT, wantD, sets = l.decidedAgain(); sets < 6*2 { // a lane that moves may miss some
			diff = fmt.Sprintf("%d sets are recorded", sets)
		} else if diff = difference("triggers", wantT, gotT) + difference("decisions", wantD, gotD); diff == "" {
			for _, name := range []string{"cart", "any-cart", "new"} {
				if !slices.ContainsFunc(gotT, func(text string) bool { return strings.Contains(text, `"campaign":"`+name+`"`) }) {
					t.Errorf("%s has no trigger", name)
				}
			}
			a.stop()
			b.stop()
			return
		}
	}
	t.Fatalf("committed records are not those of the model:\n%s", diff)
}

// decidedAgain is what the input decides under the sets that the changelog has, and how many it has.
func (l *line) decidedAgain() (triggers, decisions []string, sets int) {
	l.t.Helper()
	changelog, input := l.read(l.group+"-processor-changelog"), l.read(l.cfg.Topics.Events[0])
	now := time.Now().UnixMilli()
	for number := range int32(6) {
		m := decider{t: l.t.T, users: map[string]map[uint32][]byte{}}
		for _, r := range input {
			if r.Partition == number {
				m.input = append(m.input, r)
			}
		}
		for _, r := range changelog {
			if r.Partition != number {
				continue
			}
			switch string(r.Key) {
			case "\x01" + processor.SetID + "\x00\x01":
				sets++
				m.head = r.Value
			case "\x01" + processor.SetID + "\x00\x01\x00\x00\x00\x01":
				m.follow(r.Value)
			default:
				m.position(r)
			}
		}
		m.upTo(1 << 40)
		m.pass(now)
		triggers, decisions = append(triggers, m.triggers...), append(decisions, m.decisions...)
	}
	slices.Sort(triggers)
	slices.Sort(decisions)
	return triggers, decisions, sets
}

// decider is a partition that is decided once more.
type decider struct {
	t                   *testing.T
	input               []*kgo.Record
	before              state.Position // of the cycle before
	head                []byte         // of the set that comes
	set                 *campaign.Set
	users               map[string]map[uint32][]byte
	arrival             int64
	triggers, decisions []string
}

func (m *decider) position(r *kgo.Record) {
	if r.Key[0] != 0 {
		return
	}
	before, err := state.DecodePosition(r.Value)
	if err != nil {
		m.t.Fatal(err)
	}
	m.before = before
}

// follow takes up a set where the cycle before it has ended.
func (m *decider) follow(text []byte) {
	var r processor.Recorded
	if err := json.Unmarshal(m.head[bytes.IndexByte(m.head, '{'):], &r); err != nil {
		m.t.Fatal(err)
	}
	set, err := compileText(text[bytes.IndexByte(text, '{'):])
	if err != nil {
		m.t.Fatal(err)
	}
	for topic := range m.before.Inputs {
		if strings.HasSuffix(topic, "-events") {
			m.upTo(m.before.Inputs[topic])
		}
	}
	m.pass(m.before.Stream)
	m.set = set.Under(&r.Ledger, 0)
}

func (m *decider) upTo(end int64) {
	for ; len(m.input) > 0 && m.input[0].Offset < end; m.input = m.input[1:] {
		r := m.input[0]
		m.arrival = max(m.arrival, r.Timestamp.UnixMilli())
		if e, bad := (record.Envelope{}).Event(r.Key, r.Value, r.Timestamp.UnixMilli()); bad == nil {
			m.step(e.User, func(u *campaign.User, o *campaign.Output) { u.Event(&e, m.arrival, o) })
		}
	}
}

func (m *decider) pass(now int64) {
	for id := range m.users {
		m.step(id, func(u *campaign.User, o *campaign.Output) { u.Passed(now, o) })
	}
}

func (m *decider) step(id string, do func(*campaign.User, *campaign.Output)) {
	rows := m.users[id]
	if rows == nil {
		rows = map[uint32][]byte{}
		m.users[id] = rows
	}
	u, err := m.set.Open(id, rows[0], func(n uint32) []byte { return rows[n] })
	if err != nil {
		m.t.Fatal(err)
	}
	var o campaign.Output
	do(u, &o)
	u.Rows(func(n uint32, content []byte) { rows[n] = bytes.Clone(content) })
	for i := range o.Triggers {
		m.triggers = append(m.triggers, without(o.Triggers[i].Append(nil, 0), "emitted_at"))
	}
	for i := range o.Decisions {
		m.decisions = append(m.decisions, string(o.Decisions[i].Append(nil)))
	}
}
