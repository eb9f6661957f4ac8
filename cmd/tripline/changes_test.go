package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tripline/tripline/config"
	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/value"
)

// TestChanges lets a user live while campaigns are changed, as each testdata/changes/*.txt tells. A line of a `life` is a minute and what
// happens then: an event, with its properties and, where it came late, the minute of its own time behind "of"; "profile" with
// properties; "campaigns" with the files that are in force from then on (seen by nobody yet, if "unseen" stands before them);
// "erased"; or "nothing". A line that begins with => has the triggers, and decisions with their reasons, since the one before.
func TestChanges(t *testing.T) {
	archives, err := filepath.Glob("testdata/changes/*.txt")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		for _, f := range archive.Files {
			if strings.HasSuffix(f.Name, ".yaml") {
				if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o644); err != nil {
					t.Fatal(err)
				}
				continue
			}
			t.Run(strings.TrimSuffix(filepath.Base(name), ".txt")+"/"+f.Name, func(t *testing.T) {
				l := &changed{t: t, dir: dir, rows: map[uint32][]byte{}}
				for i, line := range strings.Split(strings.TrimSpace(string(f.Data)), "\n") {
					l.line(i+1, strings.TrimSpace(line))
				}
				l.expect(0, "")
			})
		}
	}
}

// changed is a user's rows under the set that is in force.
type changed struct {
	t      *testing.T
	dir    string
	set    *campaign.Set
	ledger *campaign.Ledger
	rows   map[uint32][]byte
	events int
	got    []string
}

const perMinute = 60_000 // ms

func (l *changed) line(n int, line string) {
	if line == "" || line[0] == '#' {
		return
	}
	if want, ok := strings.CutPrefix(line, "=>"); ok {
		l.expect(n, strings.TrimSpace(want))
		return
	}
	minute, what, _ := strings.Cut(line, " ")
	at := l.minute(n, minute)
	what, rest, _ := strings.Cut(strings.TrimSpace(what), " ")
	switch what {
	case "campaigns":
		l.campaigns(at, strings.Fields(rest))
	case "profile":
		l.step(func(u *campaign.User, o *campaign.Output) {
			u.Profile(&record.Profile{Properties: l.properties(n, rest)}, at, o)
		})
	case "erased":
		l.step(func(u *campaign.User, o *campaign.Output) { u.Erase(at, o) })
	case "nothing":
		l.step(func(u *campaign.User, o *campaign.Output) { u.Passed(at, o) })
	default:
		properties, of, late := strings.Cut(rest, "of ")
		time := at
		if late {
			time = l.minute(n, of)
		}
		l.events++
		e := record.Event{ID: strconv.Itoa(l.events), Name: what, Time: time, Properties: l.properties(n, properties)}
		l.step(func(u *campaign.User, o *campaign.Output) { u.Event(&e, at, o) })
	}
}

func (l *changed) minute(n int, text string) int64 {
	m, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		l.t.Fatalf("line %d: %v", n, err)
	}
	return m * perMinute
}

func (l *changed) properties(n int, text string) (p value.Properties) {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	p, err := value.ParseObject([]byte(text))
	if err != nil {
		l.t.Fatalf("line %d: %v", n, err)
	}
	return p
}

// campaigns puts files in force at a stream time.
func (l *changed) campaigns(stream int64, files []string) {
	unseen := len(files) > 0 && files[0] == "unseen"
	if unseen {
		files = files[1:]
	}
	for i := range files {
		files[i] = filepath.Join(l.dir, files[i])
	}
	_, set, problems := config.CompileFiles(files, nil, config.Checks{})
	if err := problems.Err(); err != nil {
		l.t.Fatal(err)
	}
	if l.set != nil && !unseen {
		l.step(func(u *campaign.User, o *campaign.Output) { u.Passed(stream, o) })
	}
	l.ledger = set.Succeed(l.ledger, stream)
	l.set = set.Under(l.ledger, 0)
}

// step opens the user from the rows, and keeps what comes of it there.
func (l *changed) step(do func(*campaign.User, *campaign.Output)) {
	u, err := l.set.Open("ann", l.rows[0], func(n uint32) []byte { return l.rows[n] })
	if err != nil {
		l.t.Fatal(err)
	}
	var o campaign.Output
	do(u, &o)
	wrote, changed := false, u.Changed()
	u.Rows(func(n uint32, content []byte) {
		wrote = wrote || n == 0
		if l.rows[n] = slices.Clone(content); content == nil {
			delete(l.rows, n)
		}
	})
	if wrote != changed || wrote && l.set.Behind(l.rows[0]) {
		l.t.Errorf("the user's head was written: %t, and had changed: %t; or it is still to be brought to this set", wrote, changed)
	}
	for _, t := range o.Triggers {
		l.got = append(l.got, fmt.Sprint(t.Campaign, " ", t.Time/perMinute))
	}
	for _, d := range o.Decisions {
		l.got = append(l.got, fmt.Sprint(d.Campaign, " ", d.Time/perMinute, " ", d.Reason))
	}
}

func (l *changed) expect(n int, want string) {
	if got := strings.Join(l.got, ", "); got != want {
		l.t.Errorf("line %d: %q, expected %q", n, got, want)
	}
	l.got = nil
}
