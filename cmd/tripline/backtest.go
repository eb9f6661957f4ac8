package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/tripline/tripline/config"
	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/registry"
)

// backtestOptions are the flags of tripline backtest.
type backtestOptions struct {
	from, since, until, config, against, triggers, decisions string
	output                                                   *choice
}

func backtestCommand() *cobra.Command {
	var o backtestOptions
	c := &cobra.Command{
		Use:   "backtest [CAMPAIGN.yaml...] (--since 30d | --from FILE)",
		Short: "Run campaigns over history without sending anything",
		Long: `Run campaigns over recorded events and count what they would have done, by day and by reason. Without campaign files, those that
tripline.yaml names are run.

With --since the events are read from their topics; what users did before that is not known to the campaigns. With --from they come
from a file of one event record a line, in order of arrival. The arrival of a line is the largest time up to and including it, so
a line with a smaller time than an earlier one is a late event.

However many users there are, memory holds a small part of them; a temporary file (in TMPDIR) holds what all of them do, and takes
about as much room as the input.`,
		Example: `  tripline backtest campaigns/abandoned-cart.yaml --since 30d
  tripline backtest new.yaml --against old.yaml --from events.ndjson
  zcat events.gz | tripline backtest campaigns/*.yaml --from - --triggers triggers.ndjson`,
		ValidArgsFunction: yamlFiles,
	}
	f := c.Flags()
	f.StringVar(&o.from, "from", "", "file of event records, one a line; - is standard input")
	f.StringVar(&o.since, "since", "", "read the topics of tripline.yaml from so long ago, or from an RFC 3339 time")
	f.StringVar(&o.until, "until", "", "run time on to this moment, RFC 3339 (default: the last arrival; with --since: now)")
	f.StringVar(&o.config, "config", "", "tripline.yaml with endpoints, zone and history settings (with --since, default: tripline.yaml)")
	f.StringVar(&o.against, "against", "", "compare with the campaigns of this file: which users would be gained and lost")
	f.StringVar(&o.triggers, "triggers", "", "write the trigger records to this file, one a line")
	f.StringVar(&o.decisions, "decisions", "", "write the decision records to this file, one a line")
	o.output = addOutputFlag(c, "text or json")
	c.RunE = func(c *cobra.Command, files []string) error {
		switch {
		case o.from == "" && o.since == "":
			return errors.New("--from FILE or --since 30d is required: where the events come from")
		case o.from != "" && o.since != "":
			return errors.New("--from and --since: choose one of them")
		}
		if o.since != "" && o.config == "" {
			o.config = defaultConfig
		}
		return backtest(c, campaignsOf(files), &o)
	}
	return c
}

// campaignsOf are the files without the tests beside them, which campaigns/*.yaml names too; a test that stands alone is kept, to be refused.
func campaignsOf(files []string) []string {
	if campaigns := slices.DeleteFunc(slices.Clone(files), config.IsTest); len(campaigns) > 0 {
		return campaigns
	}
	return files
}

// backtestPlan is what a backtest runs.
type backtestPlan struct {
	cfg      *loaded
	set, old *campaign.Set // old: --against, or nil
	records  registry.Reader
	until    int64 // 0: not given
}

func newBacktestPlan(files []string, o *backtestOptions) (*backtestPlan, error) {
	p := &backtestPlan{}
	cfg, how := (*config.Config)(nil), options()
	var problems config.Problems
	switch {
	case len(files) == 0 && o.config == "":
		return nil, errors.New("no campaigns: name their files, or a tripline.yaml that does with --config")
	case len(files) == 0:
		var all *config.Loaded
		if all, problems = config.LoadAll(o.config, how); len(problems) > 0 {
			return nil, problems
		}
		cfg, p.set = all.Config, all.Set
	case o.config != "":
		if cfg, _, problems = config.Load(o.config, how); len(problems) > 0 {
			return nil, problems
		}
	}
	if p.set == nil {
		if _, p.set, problems = config.CompileFiles(files, cfg, how.Checks); len(problems) > 0 {
			return nil, problems
		}
	}
	if o.against != "" {
		if _, p.old, problems = config.CompileFiles([]string{o.against}, cfg, how.Checks); len(problems) > 0 {
			return nil, problems
		}
	}
	var err error
	if cfg == nil {
		cfg = config.Default()
	}
	if p.cfg, err = newLoaded(cfg); err != nil {
		return nil, err
	}
	if o.from != "" { // a file has the shape of Tripline's own records
		p.records.Envelope = record.Envelope{KeyIgnored: true, MaxBytes: int(p.cfg.Limits.MaxRecordBytes)}
	} else if p.records, err = p.cfg.reader(nil, nil); err != nil {
		return nil, err
	}
	if o.until != "" {
		if p.until, err = calendar.ParseTime(o.until); err != nil {
			return nil, fmt.Errorf("--until: %w", err)
		}
	}
	return p, nil
}

func backtest(c *cobra.Command, files []string, o *backtestOptions) error {
	p, err := newBacktestPlan(files, o)
	if err != nil {
		return err
	}
	defer p.records.Registry.Close()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(300)
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(int64(p.cfg.Memory) / 8 * 7)) // the rest is what is not Go's
	writers, err := openWriters(o)
	if err != nil {
		return err
	}
	r, err := newRehearsal(p, writers)
	if err != nil {
		return err
	}
	if o.since != "" {
		err = backtestTopics(c.Context(), p, o, r, c.ErrOrStderr())
	} else {
		err = backtestFile(c.Context(), p, o, r, c.InOrStdin(), c.ErrOrStderr())
	}
	if err != nil {
		return err
	}
	if err := writers.close(); err != nil {
		return err
	}
	return r.result().print(c.OutOrStdout(), o.output.word)
}

func backtestFile(ctx context.Context, p *backtestPlan, o *backtestOptions, r *rehearsal, stdin io.Reader, progressTo io.Writer) (err error) {
	in, size, err := openInput(o.from, stdin)
	if err != nil {
		return err
	}
	defer in.Close()
	r.shown = newProgress(progressTo, size, false)
	defer r.shown.done()
	st := r.begin(ctx)
	defer func() { err = errors.Join(err, st.close()) }()
	if err := readBlocks(st, in, p.records.Envelope); err != nil {
		return err
	}
	until := p.until
	if until == 0 {
		until = st.arrival
	}
	if until < st.arrival {
		return fmt.Errorf("--until %s is before the last arrival, %s", o.until, calendar.FormatTime(st.arrival))
	}
	return st.end(until)
}

// sinceWhen reads --since.
func sinceWhen(text string, now time.Time) (time.Time, error) {
	if ms, err := calendar.ParseDuration(text); err == nil && ms > 0 {
		return now.Add(-time.Duration(ms) * time.Millisecond), nil
	}
	ms, err := calendar.ParseTime(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("--since: expected a duration as in 30d, or a time as in 2026-11-01T00:00:00Z, not %q", text)
	}
	return time.UnixMilli(ms), nil
}

func openInput(name string, stdin io.Reader) (io.ReadCloser, int64, error) {
	if name == "-" {
		return io.NopCloser(stdin), 0, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	stat, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, stat.Size(), nil
}
