package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/tripline/tripline/processor/campaign/calendar"
)

func replayCommand() *cobra.Command {
	var configFile, since, until string
	var dry bool
	a := &asked{outcome: &choice{allowed: []string{failed, dropped, delivered}}}
	c := &cobra.Command{
		Use:   "replay",
		Short: "Send again what was not delivered",
		Long: `Write triggers to their topic again, so that the sinks deliver them as any other, with the same webhook-id and the header webhook-replay.

Which ones, the filters say; a trigger must pass all that are given. What was delivered and what still waits is left out unless --force;
what belongs to a user who was erased is left out always. --since and --until ask when a trigger's newest outcome was recorded, or, of one
without any, when it was emitted.`,
		Example: `  tripline replay --endpoint ops-center --outcome failed --since 2h --dry-run
  tripline replay --trigger trg_0123456789abcdef0123456789abcdef --force
  tripline replay --missing --since 2026-11-24T10:00:00Z --until 2026-11-24T12:00:00Z`,
		Args: cobra.NoArgs,
	}
	addConfigFlag(c, &configFile)
	f := c.Flags()
	f.StringVar(&a.endpoint, "endpoint", "", "only what is for this endpoint")
	f.StringVar(&a.campaign, "campaign", "", "only what is of this campaign")
	f.StringVar(&a.trigger, "trigger", "", "only the trigger of this id")
	f.Var(a.outcome, "outcome", "only what ended so: failed, dropped, or, with --force, delivered")
	f.BoolVar(&a.missing, "missing", false, "only triggers without any final record in deliveries")
	f.StringVar(&since, "since", "", "from this time on: RFC 3339, or a duration back as in 2h")
	f.StringVar(&until, "until", "", "up to this time: RFC 3339, or a duration back as in 2h")
	f.BoolVar(&dry, "dry-run", false, "show what would be sent, and write nothing")
	f.BoolVar(&a.force, "force", false, "also what was delivered or still waits")
	must(c.RegisterFlagCompletionFunc("outcome", cobra.FixedCompletions(a.outcome.allowed, cobra.ShellCompDirectiveNoFileComp)))
	output := addOutputFlag(c, "text or json")
	c.ValidArgsFunction = cobra.NoFileCompletions
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := a.times(since, until, time.Now()); err != nil {
			return err
		}
		cfg, err := loadConfig(c, configFile)
		if err == nil {
			err = a.check(cfg)
		}
		if err != nil {
			return err
		}
		debug.SetMemoryLimit(int64(cfg.Memory))
		var out io.Writer = readable{c.OutOrStdout()}
		if output.word == "json" {
			out = c.OutOrStdout()
		}
		r := &replay{cfg: cfg, asked: a, now: time.Now(), told: told{out: out, json: output.word == "json", dry: dry}}
		return r.run(c.Context(), c.ErrOrStderr())
	}
	return c
}

// asked is what a replay is asked for. Times are ms since the epoch.
type asked struct {
	endpoint, campaign, trigger string
	outcome                     *choice
	missing, force              bool
	since, until                int64 // 0: no bound
}

// Outcomes of records.md.
const (
	delivered = "delivered"
	failed    = "failed"
	dropped   = "dropped"
)

func (a *asked) times(since, until string, now time.Time) error {
	for _, of := range []struct {
		flag, text string
		to         *int64
	}{{"since", since, &a.since}, {"until", until, &a.until}} {
		if of.text == "" {
			continue
		}
		t, err := sinceWhen(of.text, now)
		if err != nil {
			return errors.New(strings.Replace(err.Error(), "--since", "--"+of.flag, 1))
		}
		*of.to = max(1, t.UnixMilli())
	}
	if a.since > 0 && a.until > 0 && a.since > a.until {
		return fmt.Errorf("--since %s is after --until %s", calendar.FormatTime(a.since), calendar.FormatTime(a.until))
	}
	return nil
}

func (a *asked) check(cfg *loaded) error {
	switch {
	case a.endpoint == "" && a.campaign == "" && a.trigger == "" && a.outcome.word == "" && !a.missing && a.since == 0 && a.until == 0:
		return errors.New("say what to replay: --outcome failed, --missing, --endpoint, --campaign, --trigger or --since; --dry-run shows what that would send")
	case a.missing && a.outcome.word != "":
		return errors.New("--missing and --outcome: choose one of them; what is missing has no outcome")
	case a.outcome.word == delivered && !a.force:
		return errors.New("--outcome delivered: what was delivered is sent again only with --force")
	case a.endpoint != "" && len(cfg.Endpoints) > 0:
		names := make([]string, len(cfg.Endpoints))
		for i, e := range cfg.Endpoints {
			names[i] = e.Name
		}
		if !slices.Contains(names, a.endpoint) {
			return fmt.Errorf("--endpoint: tripline.yaml has no endpoint %s; it has %s", a.endpoint, strings.Join(names, ", "))
		}
	}
	return nil
}

// told is what a replay says. Its methods may be called by several at once.
type told struct {
	out       io.Writer
	json, dry bool

	mu       sync.Mutex
	replayed int
	skipped  map[string]int // by why: delivered, waiting, erased
	gone     int            // neither topic holds the record any more
	err      error          // of out
}

// replayed is one trigger that is sent again.
type replayed struct {
	Trigger  string `json:"trigger_id"`
	Replay   int64  `json:"replay"`
	Campaign string `json:"campaign"`
	Endpoint string `json:"endpoint"`
	User     string `json:"user_id"`
	Time     string `json:"time"`
	Outcome  string `json:"outcome,omitempty"` // so far; "": it is missing
	From     string `json:"from"`              // topic/partition@offset of the record that is sent again
}

func (t *told) sent(r *replayed) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.replayed++
	switch {
	case t.json:
		line, err := json.Marshal(r)
		must(err)
		separator := ",\n"
		if t.replayed == 1 {
			separator = "{\"triggers\": [\n"
		}
		t.write("%s  %s", separator, line)
	case t.dry:
		so := r.Outcome
		if so == "" {
			so = "missing"
		}
		t.write("%s  %s to %s, user %s: %s, of %s, as replay %d\n", r.Trigger, r.Campaign, r.Endpoint, r.User, so, r.Time, r.Replay)
	}
}

func (t *told) skip(why string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.skipped == nil {
		t.skipped = map[string]int{}
	}
	t.skipped[why] += n
}

func (t *told) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.replayed
}

// waits is how many were left out since they wait.
func (t *told) waits() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.skipped[waiting]
}

func (t *told) lost(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gone += n
}

func (t *told) write(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.out, format, args...)
	}
}

// end says how many there were.
func (t *told) end() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.json {
		if t.replayed == 0 {
			t.write("{\"triggers\": [")
		}
		rest, err := json.Marshal(struct {
			Replayed int            `json:"replayed"`
			Dry      bool           `json:"dry_run"`
			Skipped  map[string]int `json:"skipped,omitempty"`
			Gone     int            `json:"gone,omitempty"`
		}{t.replayed, t.dry, t.skipped, t.gone})
		must(err)
		t.write("\n], %s\n", rest[1:])
		return t.err
	}
	did := ""
	if t.dry {
		did = "would be "
	}
	text := plural(t.replayed, "trigger") + " " + did + "replayed"
	for _, of := range []struct{ why, text string }{{delivered, "delivered already"}, {waiting, "still waiting"}, {erased, "of erased users"}} {
		if n := t.skipped[of.why]; n > 0 {
			text += fmt.Sprintf(", %d %s", n, of.text)
		}
	}
	if t.gone > 0 {
		text += fmt.Sprintf(", %d no longer in triggers or dead letters", t.gone)
	}
	t.write("%s\n", text)
	return t.err
}

// run replays, and says so.
func (r *replay) run(ctx context.Context, errTo io.Writer) error {
	if err := r.open(ctx); err != nil {
		return err
	}
	defer r.close()
	r.shown = newProgress(errTo, r.total, true)
	err := r.all(ctx)
	r.shown.done()
	if err != nil {
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = r.client.Flush(within) // so that what is on its way is counted
		if n := r.told.count(); n > 0 && !r.told.dry {
			return fmt.Errorf("%s replayed, then: %w; run it again for the rest: what is on its way is left out", plural(n, "trigger"), err)
		}
		return err
	}
	switch {
	case !r.noSink:
	case r.told.count() > 0 && !r.told.dry:
		fmt.Fprintf(errTo, "no sink of the group %s has run yet: one that starts may send what is in %s besides\n", r.cfg.Group, r.cfg.Topics.Triggers)
	case r.told.waits() > 0:
		fmt.Fprintf(errTo, "no sink of the group %s has run yet: one that starts sends what waits in %s\n", r.cfg.Group, r.cfg.Topics.Triggers)
	}
	return r.told.end()
}
