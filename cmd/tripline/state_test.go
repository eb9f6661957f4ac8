package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/tripline/tripline/state"
)

// dumped is what dump prints of rows, by user or kind of row.
type dumped struct {
	text  string
	rows  map[string]int
	users map[string]map[string]any
}

func (l *line) dump(args ...string) dumped {
	l.t.Helper()
	out, err := run(l.t, append([]string{"state", "dump", "--config", filepath.Join(l.dir, "tripline-a.yaml")}, args...)...)
	if err != nil {
		l.t.Fatalf("dump %v: %v\n%s", args, err, out)
	}
	d := dumped{text: out, rows: map[string]int{}, users: map[string]map[string]any{}}
	for text := range strings.Lines(out) {
		var row map[string]any
		if err := json.Unmarshal([]byte(text), &row); err != nil {
			l.t.Fatalf("%v: %s", err, text)
		}
		if kind, ok := row["row"].(string); ok {
			d.rows[kind]++
		} else if user, ok := row["user_id"].(string); ok {
			d.users[user] = row
		} else if _, ok := row["position"]; ok {
			d.rows["position"]++
		} else {
			l.t.Errorf("what is %s", text)
		}
	}
	return d
}

// What a processor and a sink keep is printed from the folder and from the changelog, and is the same; verify says so, and finds
// every row that is not.
func TestLineState(t *testing.T) {
	t.Parallel()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	defer receiver.Close()
	l := newLine(t, 2, receiver.URL)
	l.config = strings.Replace(l.config, "schedule: [1s, 1s", "schedule: [1h, 1h", 1) + "on_stop: leave\n"
	p, s := l.start("processor", "a"), l.start("sink", "a")
	l.event("ann", "Cart", `{"cart":"c1","amount":80}`)
	for range 3 {
		l.event("ann", "Paid", `{"cart":"c2","amount":95}`)
	}
	l.produce(rand.New(rand.NewPCG(1, 1)), 400, 40)
	l.whole()
	l.waitFor("a delivery that waits", func() bool { return len(l.read(l.cfg.Topics.Deliveries)) > 0 })
	if _, err := run(t, "state", "dump", "--config", filepath.Join(l.dir, "tripline-a.yaml")); err == nil || !strings.Contains(err.Error(), "--from changelog") {
		t.Errorf("dump of a folder in use: %v", err)
	}
	l.waitFor("an end of all watches, in the changelog of a running process", func() bool {
		running := l.dump("--from", "changelog")
		return running.users["ann"] != nil && !strings.Contains(running.text, `"due":`)
	})
	p.stop()
	s.stop()

	disk, changelog := l.dump(), l.dump("--from", "changelog")
	if !slices.Equal(slices.Sorted(maps.Keys(disk.users)), slices.Sorted(maps.Keys(changelog.users))) || len(disk.users) < 40 || disk.rows["position"] != 2 {
		t.Errorf("%d users on disk and %d in the changelog, %v", len(disk.users), len(changelog.users), disk.rows)
	}
	one, other := l.dump("--user", "ann"), l.dump("--user", "ann", "--from", "changelog")
	if one.text != other.text || len(one.users) != 1 || strings.Count(one.text, "\n") != 1 {
		t.Errorf("one user:\n%s\n%s", one.text, other.text)
	}
	if events := one.users["ann"]["history"].([]any); len(events) != 4 || events[0].(map[string]any)["event"] != "Cart" {
		t.Errorf("history %v", events)
	}
	if sink := l.dump("--sink"); sink.rows["waiting"] == 0 || sink.text == l.dump("--sink", "--partition", "0").text {
		t.Errorf("%v\n%s", sink.rows, sink.text)
	}
	// Another process goes on with the state: what it has written since is told, and is no difference.
	p = l.start("processor", "b")
	l.event("ann", "Paid", `{"cart":"c9","amount":99}`)
	l.whole()
	p.stop()
	l.verified(disk)
}

// verified expects the folders to be like the changelog, and then spoils one.
func (l *line) verified(before dumped) {
	l.t.Helper()
	file := filepath.Join(l.dir, "tripline-a.yaml")
	for _, args := range [][]string{{}, {"--sink"}, {"--partition", "1"}} {
		out, err := run(l.t, append([]string{"state", "verify", "--config", file}, args...)...)
		if err != nil || !strings.Contains(out, "partition 1: the same") {
			l.t.Errorf("verify %v: %v\n%s", args, err, out)
		}
	}
	if out, err := run(l.t, "state", "verify", "--config", file, "--partition", fmt.Sprint(before.users["ann"]["partition"])); err != nil || strings.Contains(out, " 0 more written since") {
		l.t.Errorf("verify where another has gone on: %v\n%s", err, out)
	}
	store, err := state.Open(state.Config{Dir: filepath.Join(l.dir, "state-a", "processor")})
	if err != nil {
		l.t.Fatal(err)
	}
	p, err := store.Partition(int32(before.users["ann"]["partition"].(float64)))
	if err != nil {
		l.t.Fatal(err)
	}
	head, due, _, err := p.Head("ann")
	if err != nil {
		l.t.Fatal(err)
	}
	gone, changed := "", "" // of whom nothing can have changed since
	for user, row := range before.users {
		if row["partition"] == before.users["ann"]["partition"] && user != "ann" && row["due"] == nil {
			gone, changed = changed, user
		}
	}
	rows := []state.Row{{Key: state.Key{ID: "ann"}, Content: head, Due: due + 1}, {Key: state.Key{ID: changed}, Content: head}, {Key: state.Key{ID: "added"}, Content: head}, {Key: state.Key{ID: gone}}}
	if err := p.Apply(rows, p.Position()); err != nil {
		l.t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		l.t.Fatal(err)
	}
	out, err := run(l.t, "state", "verify", "--config", file, "--output", "json")
	var all []verified
	if err == nil || !strings.Contains(err.Error(), "differs from the changelog in 3 records") || json.Unmarshal([]byte(out), &all) != nil {
		l.t.Fatalf("%v\n%s", err, out)
	}
	found := map[string]string{}
	for _, v := range all {
		for _, d := range v.First {
			found[d.Row] = d.What
		}
	}
	if !maps.Equal(found, map[string]string{changed: differing, "added": onlyLocal, gone: onlyChangelog}) {
		l.t.Errorf("found %v", found)
	}
	if out, err = run(l.t, "state", "verify", "--config", file, "--user", "added"); err == nil || !strings.Contains(out, `"added": only in the local store`) || strings.Contains(out, `"ann"`) {
		l.t.Errorf("%v\n%s", err, out)
	}
}

func TestStateRefuses(t *testing.T) {
	t.Parallel()
	l := newLine(t, 1, "")
	p := l.start("processor", "a") // which writes the configuration, too
	l.event("ann", "Cart", `{"cart":"c1","amount":80}`)
	l.whole()
	p.stop()
	for args, want := range map[string]string{
		"dump --partition 7":                  "holds no partition 7",
		"dump --partition 7 --from changelog": "has no partition 7",
		"dump --user nobody":                  "nothing is kept of user nobody",
		"dump --from kafka":                   "expected pebble or changelog",
		"dump --sink":                         "there is none",
		"verify --sink":                       "-sink-changelog",
		"dump now":                            "usage: tripline state dump",
	} {
		_, err := run(t, append(append([]string{"state"}, strings.Fields(args)...), "--config", filepath.Join(l.dir, "tripline-a.yaml"))...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("state %s: %v; want %q in it", args, err, want)
		}
	}
}

// A folder that is damaged as a whole is emptied, and one line says so; one of a newer version is refused and stays as it is.
func TestOpenStore(t *testing.T) {
	for name, c := range map[string]struct{ file, content, refused string }{
		"damaged": {"MANIFEST-000001", "no manifest", ""},
		"newer":   {"format", "9", "upgrade"},
	} {
		t.Run(name, func(t *testing.T) {
			disk := state.Config{Dir: t.TempDir()}
			store, err := state.Open(disk)
			if err != nil {
				t.Fatal(err)
			}
			id, err := store.InstanceID()
			if err != nil {
				t.Fatal(err)
			}
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(disk.Dir, c.file), []byte(c.content), 0o644); err != nil {
				t.Fatal(err)
			}
			core, logs := observer.New(zapcore.WarnLevel)
			store, err = openStore(disk, zap.New(core))
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) || logs.Len() > 0 {
					t.Errorf("%v, %v", err, logs.All())
				}
				return
			}
			if err != nil || logs.FilterMessage("state folder is damaged: emptied, to be restored from the changelog").Len() != 1 {
				t.Fatalf("%v, %v", err, logs.All())
			}
			if again, err := store.InstanceID(); err != nil || again != id {
				t.Errorf("instance %s became %s, %v", id, again, err)
			}
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
