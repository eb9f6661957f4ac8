package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/tripline/tripline/config"
	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/virtual"
)

// backtestOptions are the flags of tripline backtest.
type backtestOptions struct {
	from, until, config, triggers, decisions string
	output                                   *choice
}

func backtestCommand() *cobra.Command {
	var o backtestOptions
	c := &cobra.Command{
		Use:   "backtest CAMPAIGN.yaml...",
		Short: "Run campaigns over history without sending anything",
		Long: `Run campaigns over recorded events and count what they would have done, by day and by reason.

The file has one event record a line, in order of arrival. The arrival of a line is the largest time up to and including
it, so a line with a smaller time than an earlier one is a late event.`,
		Example: "  tripline backtest campaigns/abandoned-cart.yaml --from events.ndjson\n" +
			"  zcat events.gz | tripline backtest campaigns/*.yaml --from - --triggers triggers.ndjson",
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, files []string) error {
			return backtest(c, files, &o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.from, "from", "", "file of event records, one a line; - is standard input")
	f.String("since", "", "read the event topics from this long ago (not available yet)")
	f.StringVar(&o.until, "until", "", "run time on to this moment, RFC 3339 (default: the last arrival)")
	f.StringVar(&o.config, "config", "", "tripline.yaml with endpoints, zone and history settings")
	f.StringVar(&o.triggers, "triggers", "", "write the trigger records to this file, one a line")
	f.StringVar(&o.decisions, "decisions", "", "write the decision records to this file, one a line")
	o.output = addOutputFlag(c, "text or json")
	c.ValidArgsFunction = yamlFiles
	c.PreRunE = func(c *cobra.Command, _ []string) error {
		if c.Flags().Changed("since") {
			return errors.New("--since is not available yet; use --from FILE")
		}
		if o.from == "" {
			return errors.New("--from is required: a file of event records, one a line, or - for standard input")
		}
		return nil
	}
	return c
}

func backtest(c *cobra.Command, files []string, o *backtestOptions) error {
	cfg, how := (*config.Config)(nil), options()
	if o.config != "" {
		var problems config.Problems
		if cfg, _, problems = config.Load(o.config, how); len(problems) > 0 {
			return problems
		}
	}
	_, set, problems := config.CompileFiles(files, cfg, how.Checks)
	if len(problems) > 0 {
		return problems
	}
	envelope := record.Envelope{KeyIgnored: true, MaxBytes: int(config.Default().Limits.MaxRecordBytes)}
	if cfg != nil {
		envelope.MaxBytes = int(cfg.Limits.MaxRecordBytes)
	}
	until, err := int64(0), error(nil)
	if o.until != "" {
		if until, err = calendar.ParseTime(o.until); err != nil {
			return fmt.Errorf("--until: %w", err)
		}
	}
	in, size, err := openInput(o.from, c.InOrStdin())
	if err != nil {
		return err
	}
	defer in.Close()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(300) // all users are in memory anyway
	}
	sums := newSums(set)
	writers, err := openWriters(o)
	if err != nil {
		return err
	}
	line := virtual.New(set, func(out *campaign.Output) {
		sums.add(out)
		writers.write(out)
	})
	last, err := feed(c.Context(), line, in, newProgress(c.ErrOrStderr(), size), sums, envelope)
	if err != nil {
		return err
	}
	if until == 0 {
		until = last
	}
	if until < last {
		return fmt.Errorf("--until %s is before the last arrival, %s", o.until, calendar.FormatTime(last))
	}
	line.Until(until)
	sums.Users = line.Users()
	if err := writers.close(); err != nil {
		return err
	}
	return sums.print(c.OutOrStdout(), o.output.word)
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

// recordWriters write the very records that the topics would get.
type recordWriters struct {
	files               []*os.File
	triggers, decisions *bufio.Writer
	buffer              []byte
}

func openWriters(o *backtestOptions) (*recordWriters, error) {
	w := &recordWriters{}
	for _, one := range []struct {
		name string
		to   **bufio.Writer
	}{{o.triggers, &w.triggers}, {o.decisions, &w.decisions}} {
		if one.name == "" {
			continue
		}
		f, err := os.Create(one.name)
		if err != nil {
			return nil, err
		}
		w.files = append(w.files, f)
		*one.to = bufio.NewWriterSize(f, 1<<16)
	}
	return w, nil
}

func (w *recordWriters) write(out *campaign.Output) {
	for i := range out.Triggers {
		if t := &out.Triggers[i]; w.triggers != nil {
			w.buffer = append(t.Append(w.buffer[:0], t.Left), '\n')
			w.triggers.Write(w.buffer) // a bufio.Writer keeps the first error for Flush
		}
	}
	for i := range out.Decisions {
		if d := &out.Decisions[i]; w.decisions != nil {
			w.buffer = append(d.Append(w.buffer[:0]), '\n')
			w.decisions.Write(w.buffer)
		}
	}
}

func (w *recordWriters) close() error {
	var err error
	for _, b := range []*bufio.Writer{w.triggers, w.decisions} {
		if b != nil {
			err = errors.Join(err, b.Flush())
		}
	}
	for _, f := range w.files {
		err = errors.Join(err, f.Close())
	}
	return err
}

// progress is a bar on a terminal's standard error; elsewhere it is silent.
type progress struct {
	to         io.Writer
	size, seen int64
	began      time.Time
	shown      time.Time
}

func newProgress(to io.Writer, size int64) *progress {
	if f, ok := to.(*os.File); ok {
		if stat, err := f.Stat(); err == nil && stat.Mode()&os.ModeCharDevice != 0 {
			return &progress{to: to, size: size, began: time.Now()}
		}
	}
	return &progress{}
}

func (p *progress) read(n int) {
	if p.seen += int64(n); p.to == nil {
		return
	}
	now := time.Now()
	if now.Sub(p.shown) < 200*time.Millisecond {
		return
	}
	p.shown = now
	rate := float64(p.seen) / max(now.Sub(p.began).Seconds(), 0.001)
	if p.size == 0 {
		fmt.Fprintf(p.to, "\r%8.1f MB, %.1f MB/s ", float64(p.seen)/1e6, rate/1e6)
		return
	}
	const width = 30
	part := float64(p.seen) / float64(p.size)
	full := int(part * width)
	bar := make([]byte, width)
	for i := range bar {
		if bar[i] = '.'; i < full {
			bar[i] = '#'
		}
	}
	left := time.Duration(float64(p.size-p.seen) / rate * float64(time.Second)).Round(time.Second)
	fmt.Fprintf(p.to, "\r[%s] %3.0f %%, %.1f MB/s, %s left ", bar, part*100, rate/1e6, left)
}

func (p *progress) done() {
	if p.to != nil {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}
