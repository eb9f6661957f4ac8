package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/sink/delivery"
)

// told of a replay, as JSON.
type replayReport struct {
	Triggers []replayed     `json:"triggers"`
	Replayed int            `json:"replayed"`
	Dry      bool           `json:"dry_run"`
	Skipped  map[string]int `json:"skipped"`
	Gone     int            `json:"gone"`
}

// story fills the topics of a line on which no process runs.
type story struct {
	*line
	t0 int64
}

// trigger writes a trigger's record, as the original or, above 0, as that replay; at is ms behind the story's begin.
func (s *story) trigger(id, user, campaign, endpoint string, at int64, replay int64) *kgo.Record {
	t := record.Trigger{ID: id, Campaign: campaign, Version: "v1", User: user, Time: s.t0 + at, Endpoint: endpoint}
	r := &kgo.Record{Topic: s.cfg.Topics.Triggers, Value: t.Append(nil, s.t0+at)}
	if replay > 0 {
		r = replayRecord(s.cfg.Topics.Triggers, r, &t, replay)
	}
	r.Key, r.Timestamp = []byte(user), time.UnixMilli(s.t0+at)
	return r
}

// delivery writes a delivery record; a failed one has its dead letter beside it.
func (s *story) delivery(id, user, campaign, endpoint, outcome string, at int64, replay int64) (all []*kgo.Record) {
	d := delivery.Record{TriggerID: id, Campaign: campaign, Endpoint: endpoint, User: user, Outcome: outcome, Attempt: 1, Replay: replay, Time: s.t0 + at}
	if name, reason, ok := strings.Cut(outcome, " "); ok {
		d.Outcome, d.Reason = name, reason
	}
	all = append(all, &kgo.Record{Topic: s.cfg.Topics.Deliveries, Key: []byte(user), Value: d.Append(nil), Timestamp: time.UnixMilli(d.Time)})
	if d.Outcome == failed {
		letter := s.trigger(id, user, campaign, endpoint, at, 0)
		letter.Topic = s.cfg.Topics.DeadLetters
		letter.Headers = []kgo.RecordHeader{{Key: "tripline-reason", Value: []byte("undelivered")}, {Key: "tripline-delivery", Value: d.Append(nil)},
			{Key: "tripline-source-offset", Value: []byte("0")}}
		all = append(all, letter)
	}
	return all
}

// TestReplaySelects holds what a replay takes and what it leaves, and the number that each gets, from the topics alone.
func TestReplaySelects(t *testing.T) {
	t.Setenv("KAFKA_BROKERS", "") // the embedded one is enough
	l := newLine(t, 3, "")
	s := &story{line: l, t0: 1_770_000_000_000}
	var all []*kgo.Record
	put := func(records ...*kgo.Record) { all = append(all, records...) }
	for i, of := range []struct{ id, endpoint, campaign, outcomes string }{
		{"fails", "hook", "cart", "failed"},
		{"back", "hook", "cart", "failed, 1 delivered"},
		{"again", "hook", "cart", "failed, 1 failed"},
		{"sent", "hook", "paid", "delivered"},
		{"tries", "hook", "paid", "retry"},
		{"forced", "hook", "paid", "delivered, 3 failed"},
		{"other", "other", "paid", "failed"},
		{"dropped", "hook", "paid", "dropped aborted"},
		{"erased", "hook", "paid", "dropped erased"},
		{"missing", "hook", "cart", ""},
		{"replays", "hook", "cart", "failed, 1 retry"},
		{"unsent", "hook", "unsent", "failed, 1 "},
	} {
		user, at := "u-"+of.id, int64(i)*60_000
		put(s.trigger(of.id, user, of.campaign, of.endpoint, at, 0))
		for j, text := range strings.Split(of.outcomes, ", ") {
			replay := int64(0)
			if _, err := fmt.Sscanf(text, "%d ", &replay); err == nil {
				_, text, _ = strings.Cut(text, " ")
				put(s.trigger(of.id, user, of.campaign, of.endpoint, at+int64(j)*10, replay))
			}
			if text != "" {
				put(s.delivery(of.id, user, of.campaign, of.endpoint, text, at+int64(j)*10+5, replay)...)
			}
		}
	}
	// One whose trigger retention has deleted, and one who was erased after it failed and came back.
	put(s.delivery("old", "u-old", "cart", "hook", failed, 700_000, 0)...)
	gone := s.trigger("before", "u-gone", "cart", "hook", 710_000, 0)
	put(gone, &kgo.Record{Topic: gone.Topic, Key: gone.Key}, s.trigger("after", "u-gone", "cart", "hook", 720_000, 0))
	put(s.delivery("before", "u-gone", "cart", "hook", failed, 710_005, 0)...)
	put(s.delivery("after", "u-gone", "cart", "hook", "dropped missing", 720_005, 0)...)
	put(&kgo.Record{Topic: s.cfg.Topics.Deliveries, Key: []byte("u-x"), Value: []byte("not ours")}, &kgo.Record{Topic: s.cfg.Topics.DeadLetters, Value: []byte("{")})
	if err := l.client.ProduceSync(t.Context(), all...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	l.write("tripline.yaml", l.config+"  - {name: other, url: 'https://example.com'}\n")
	file := filepath.Join(l.dir, "tripline.yaml")
	at := func(ms int64) string { return time.UnixMilli(s.t0 + ms).UTC().Format("2006-01-02T15:04:05.000Z") }
	for _, c := range []struct{ flags, want, skipped string }{
		{"--outcome failed", "again/2 fails/1 forced/4 old/1 other/1", "map[erased:1 waiting:2]"},
		{"--outcome failed --endpoint other", "other/1", "map[]"},
		{"--outcome failed --campaign paid", "forced/4 other/1", "map[]"},
		{"--outcome failed --since " + at(60_000) + " --until " + at(310_000), "again/2 forced/4", "map[]"},
		{"--outcome dropped", "after/1 dropped/1", "map[erased:1]"},
		{"--outcome delivered --force", "back/2 sent/1", "map[]"},
		{"--missing", "", "map[waiting:2]"}, // the sink that starts reads it
		{"--missing --force", "missing/1 tries/1", "map[]"},
		{"--missing --until " + at(100), "", "map[]"},
		{"--trigger fails", "fails/1", "map[]"},
		{"--trigger sent", "", "map[delivered:1]"},
		{"--trigger sent --force", "sent/1", "map[]"},
		{"--trigger replays --force", "replays/2", "map[]"},
		{"--trigger old", "old/1", "map[]"},
		{"--campaign unsent", "", "map[waiting:1]"},
		{"--campaign unsent --force", "unsent/2", "map[]"},
		{"--trigger before --force", "", "map[erased:1]"},
		{"--trigger erased --force", "", "map[erased:1]"},
		{"--campaign cart --endpoint hook", "after/1 again/2 fails/1 old/1", "map[delivered:1 erased:1 waiting:2]"},
		{"--since " + at(500_000), "after/1 old/1", "map[erased:1 waiting:3]"},
	} {
		got := s.replay(file, "--dry-run "+c.flags)
		var list []string
		for _, r := range got.Triggers {
			list = append(list, fmt.Sprintf("%s/%d", r.Trigger, r.Replay))
		}
		slices.Sort(list)
		if strings.Join(list, " ") != c.want || fmt.Sprint(got.Skipped) != c.skipped || got.Replayed != len(list) || !got.Dry {
			t.Errorf("replay %s: %v skipped %v, want %s skipped %s", c.flags, list, got.Skipped, c.want, c.skipped)
		}
	}
	if n := len(l.read(l.cfg.Topics.Triggers)); n != countOf(all, l.cfg.Topics.Triggers) {
		t.Errorf("dry runs wrote: %d records", n)
	}
	text, err := run(t, "replay", "--config", file, "--dry-run", "--trigger", "fails")
	if want := "fails  cart to hook, user u-fails: failed, of " + at(5) + ", as replay 1\n1 trigger would be replayed\n"; err != nil || text != want {
		t.Errorf("%q %v, want %q", text, err, want)
	}
}

func countOf(all []*kgo.Record, topic string) (n int) {
	for _, r := range all {
		if r.Topic == topic {
			n++
		}
	}
	return n
}

func (l *line) replay(file, flags string) *replayReport {
	l.t.Helper()
	out, err := run(l.t, append([]string{"replay", "--config", file, "--output", "json"}, strings.Fields(flags)...)...)
	if err != nil {
		l.t.Fatalf("replay %s: %v", flags, err)
	}
	report := &replayReport{}
	if err := json.Unmarshal([]byte(out), report); err != nil {
		l.t.Fatalf("replay %s: %v in %s", flags, err, out)
	}
	return report
}

func TestReplayRefuses(t *testing.T) {
	t.Parallel()
	l := newLine(t, 1, "")
	file := filepath.Join(l.dir, "tripline.yaml")
	for flags, want := range map[string]string{
		"":                                      "say what to replay",
		"--force":                               "say what to replay",
		"--dry-run":                             "say what to replay",
		"--missing --outcome failed":            "choose one of them",
		"--outcome delivered":                   "only with --force",
		"--outcome faild":                       "did you mean failed?",
		"--endpoint hok":                        "no endpoint hok; it has hook",
		"--since yesterday":                     "--since: expected a duration",
		"--until tomorrow":                      "--until: expected a duration",
		"--since 1h --until 2h":                 "is after --until",
		"--outcome failed --output yaml":        "expected text or json",
		"--outcome failed more":                 "unknown command",
		"--outcome failed --config nowhere.yml": "nowhere.yml",
	} {
		_, err := run(t, append([]string{"replay", "--config", file}, strings.Fields(flags)...)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("replay %s: %v; want %q in it", flags, err, want)
		}
	}
}

// hooks is a receiver that answers as told, and keeps what it got.
type hooks struct {
	mu     sync.Mutex
	status int
	got    []http.Header
	bodies map[string][]string // by webhook-id
}

func (h *hooks) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got = append(h.got, req.Header.Clone())
	id := req.Header.Get("webhook-id")
	h.bodies[id] = append(h.bodies[id], string(body))
	w.WriteHeader(h.status)
}

func (h *hooks) answer(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = status
}

// replays are the numbers with which a trigger came, in order.
func (h *hooks) replays(id string) (numbers []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, head := range h.got {
		if head.Get("webhook-id") == id {
			numbers = append(numbers, head.Get("webhook-replay"))
		}
	}
	return numbers
}

// A replay is delivered by the sinks that run, with the same id and body; what was delivered or waits is left out, also when neither its
// trigger nor its delivery record is there any more.
func TestLineReplay(t *testing.T) {
	t.Parallel()
	h := &hooks{status: http.StatusBadRequest, bodies: map[string][]string{}}
	server := httptest.NewServer(h)
	defer server.Close()
	l := newLine(t, 2, server.URL)
	file := filepath.Join(l.dir, "tripline.yaml")
	p, s := l.start("processor", "p"), l.start("sink", "s")
	for _, user := range []string{"ann", "bob"} {
		l.event(user, "Paid", `{"amount":100}`)
		l.event(user, "Paid", `{"amount":100}`)
	}
	l.whole()
	want, _ := l.committed()
	ends := func(outcome string, n int) {
		t.Helper()
		l.waitFor(fmt.Sprintf("%d that %s", n, outcome), func() bool {
			count := 0
			finals, _ := l.finals()
			for _, outcomes := range finals {
				for _, o := range outcomes {
					if o == outcome {
						count++
					}
				}
			}
			return count == n
		})
	}
	ends(failed, len(want))
	p.stop()
	l.clear(l.cfg.Topics.Triggers) // as retention does: dead letters have all that a replay needs
	h.answer(http.StatusOK)
	if got := l.replay(file, "--outcome failed --endpoint hook --since 1h"); got.Replayed != len(want) || got.Gone != 0 {
		t.Fatalf("%+v of %d", got, len(want))
	}
	ends(delivered, len(want))
	if got := l.replay(file, "--endpoint hook"); got.Replayed != 0 || got.Skipped[delivered] != len(want) {
		t.Errorf("after they were delivered: %+v", got)
	}
	id := l.replay(file, "--outcome delivered --force --dry-run").Triggers[0].Trigger
	if got := l.replay(file, "--force --trigger "+id); got.Replayed != 1 || got.Triggers[0].Replay != 2 {
		t.Errorf("%+v", got)
	}
	ends(delivered, len(want)+1)
	if got := h.replays(id); fmt.Sprint(got) != "[ 1 2]" {
		t.Errorf("%s came as %q", id, got)
	}
	if b := h.bodies[id]; b[0] != b[1] || b[1] != b[2] {
		t.Errorf("the bodies differ: %q", b)
	}
	l.missing(file, id, len(want), ends, h)
	s.stop()
	unread := (&story{line: l, t0: time.Now().UnixMilli()}).trigger("trg_unread", "u", "paid-big", "hook", 0, 0)
	if err := l.client.ProduceSync(t.Context(), unread).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if got := l.replay(file, "--missing"); got.Replayed != 0 || got.Skipped[waiting] != 1 {
		t.Errorf("what the sink has not read yet: %+v", got)
	}
}

// missing: without delivery records, what the sink does not have any more is missing, and what it has waits.
func (l *line) missing(file, id string, n int, ends func(string, int), h *hooks) {
	l.t.Helper()
	l.clear(l.cfg.Topics.Deliveries)
	if _, err := run(l.t, "endpoint", "pause", "hook", "--config", file); err != nil {
		l.t.Fatal(err)
	}
	if got := l.replay(file, "--missing"); got.Replayed != n {
		l.t.Fatalf("%+v of %d", got, n)
	}
	if got := l.replay(file, "--missing"); got.Replayed != 0 || got.Skipped[waiting] != n {
		l.t.Errorf("while they wait: %+v of %d", got, n)
	}
	if _, err := run(l.t, "endpoint", "resume", "hook", "--config", file); err != nil {
		l.t.Fatal(err)
	}
	ends(delivered, n)
	if got := h.replays(id); fmt.Sprint(got) != "[ 1 2 3]" {
		l.t.Errorf("%s came as %q", id, got)
	}
}

// clear deletes all records of a topic.
func (l *line) clear(topic string) {
	l.t.Helper()
	admin := kadm.NewClient(l.client)
	ends, err := admin.ListEndOffsets(l.t.Context(), topic)
	if err == nil {
		_, err = admin.DeleteRecords(l.t.Context(), ends.Offsets())
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// What is written while it runs into an error is counted.
func TestReplayTells(t *testing.T) {
	var out bytes.Buffer
	told := told{out: &out}
	told.sent(&replayed{Trigger: "trg_1"})
	told.skip(delivered, 2)
	told.skip(waiting, 1)
	told.lost(1)
	if err := told.end(); err != nil || out.String() != "1 trigger replayed, 2 delivered already, 1 still waiting, 1 no longer in triggers or dead letters\n" {
		t.Errorf("%q %v", out.String(), err)
	}
}
