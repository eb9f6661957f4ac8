package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/sink/delivery"
)

func traceCommand() *cobra.Command {
	var configFile, since string
	c := &cobra.Command{
		Use:     "trace TRIGGER_ID",
		Short:   "Follow a trigger from its events to its deliveries",
		Long:    "Print, from the topics, the way of one trigger: the events that qualified the user, the qualification, the trigger, each attempt.",
		Example: "  tripline trace trg_0123456789abcdef0123456789abcdef\n  tripline trace trg_0123456789abcdef0123456789abcdef --since 90d --output json",
		Args:    cobra.ExactArgs(1),
	}
	addConfigFlag(c, &configFile)
	c.Flags().StringVar(&since, "since", "30d", "how far back the trigger is looked for")
	output := addOutputFlag(c, "text or json")
	c.ValidArgsFunction = cobra.NoFileCompletions
	c.RunE = func(c *cobra.Command, args []string) error {
		cfg, err := loadConfig(c, configFile)
		if err != nil {
			return err
		}
		back, err := calendar.ParseDuration(since)
		if err != nil || back <= 0 {
			return fmt.Errorf("--since: expected a duration as in 30d, not %q", since)
		}
		t := &trace{cfg: cfg, id: args[0]}
		if err := t.find(c.Context(), time.Now().Add(-time.Duration(back)*time.Millisecond)); err != nil {
			return err
		}
		if output.word == "json" {
			return printJSON(c.OutOrStdout(), t.steps)
		}
		return t.print(readable{c.OutOrStdout()})
	}
	return c
}

// traceStep is one thing on the way of a trigger.
type traceStep struct {
	Time   string          `json:"time"`
	Step   string          `json:"step"` // event, qualified, trigger, replay, attempt, converted, dead letter
	Text   string          `json:"text"`
	Place  string          `json:"place,omitempty"` // topic/partition@offset
	Record json.RawMessage `json:"record,omitempty"`
}

type trace struct {
	cfg     *loaded
	id      string
	trigger *record.Trigger
	steps   []traceStep
}

// find reads the trigger first, since it tells whose it is, and then of all other topics only that user's partition.
func (t *trace) find(ctx context.Context, since time.Time) error {
	topics := &t.cfg.Topics
	var owed []traceStep
	err := scan{topics: []string{topics.Triggers}, since: since}.each(ctx, t.cfg, func(r *kgo.Record) error {
		if header(r, "tripline-id") != t.id && !strings.Contains(string(r.Value), t.id) {
			return nil
		}
		found, err := record.ParseTrigger(r.Value)
		if err != nil || found.ID != t.id {
			return nil
		}
		t.trigger = &found
		s := traceStep{Time: calendar.FormatTime(found.EmittedAt), Step: "trigger", Text: "to " + found.Endpoint, Place: place(r), Record: r.Value}
		if n := header(r, "tripline-replay"); n != "" {
			s.Step, s.Time, s.Text = "replay", calendar.FormatTime(r.Timestamp.UnixMilli()), "number "+n+", to "+found.Endpoint
		}
		owed = append(owed, s)
		return nil
	})
	if err != nil {
		return err
	}
	if t.trigger == nil {
		return fmt.Errorf("there is no trigger %s in %s since %s; look further back with --since", t.id, topics.Triggers, since.UTC().Format(time.RFC3339))
	}
	if err := t.events(ctx); err != nil {
		return err
	}
	t.steps = append(t.steps, traceStep{Time: calendar.FormatTime(t.trigger.Time), Step: "qualified",
		Text: fmt.Sprintf("%s in %s (%s, version %s)", t.trigger.User, t.trigger.Campaign, t.trigger.Category, t.trigger.Version)})
	return t.after(ctx, owed)
}

// events finds where the trigger's events stand in their topics. Their arrival is at most max_future before their time.
func (t *trace) events(ctx context.Context) error {
	happened := t.trigger.Events
	places := make([]string, len(happened))
	if len(happened) > 0 {
		since := time.UnixMilli(happened[0].Time - int64(t.cfg.MaxFuture))
		records, err := t.cfg.reader(nil, nil)
		if err != nil {
			return err
		}
		defer records.Registry.Close()
		err = scan{topics: t.cfg.Topics.Events, key: t.key(), since: since}.each(ctx, t.cfg, func(r *kgo.Record) error {
			if err := records.Await(ctx, r); err != nil {
				return err
			}
			e, bad, err := records.Event(r)
			if err != nil || bad != nil || e.User != t.trigger.User {
				return err
			}
			for i := range happened {
				if places[i] == "" && happened[i].Name == e.Name && happened[i].Time == e.Time {
					places[i] = place(r)
					break
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for i, h := range happened {
		t.steps = append(t.steps, traceStep{Time: calendar.FormatTime(h.Time), Step: "event", Place: places[i],
			Text: h.Name + " " + string(h.Properties.Append(nil)), Record: h.Properties.Append(nil)})
	}
	return nil
}

// key is the key of the user's records, where records are partitioned by it; one that is written with a schema is another.
func (t *trace) key() string {
	if t.cfg.Key == "ignored" || t.cfg.Registry.URL.Reveal() != "" {
		return ""
	}
	return t.trigger.User
}

// after adds what came of the trigger, in order of time.
func (t *trace) after(ctx context.Context, owed []traceStep) error {
	topics := &t.cfg.Topics
	later := owed
	all := scan{topics: []string{topics.Deliveries, topics.Decisions, topics.DeadLetters}, key: t.trigger.User, since: time.UnixMilli(min(t.trigger.EmittedAt, t.trigger.Time))}
	err := all.each(ctx, t.cfg, func(r *kgo.Record) error {
		if !strings.Contains(string(r.Value), t.id) {
			return nil
		}
		s := traceStep{Time: calendar.FormatTime(r.Timestamp.UnixMilli()), Place: place(r), Record: r.Value}
		switch r.Topic {
		case topics.Deliveries:
			d, err := delivery.Parse(r.Value)
			if err != nil || d.TriggerID != t.id {
				return nil
			}
			s.Step, s.Text, s.Time = "attempt", attempt(&d), calendar.FormatTime(d.Time)
		case topics.Decisions:
			d, err := record.ParseDecision(r.Value)
			if err != nil || d.TriggerID != t.id {
				return nil
			}
			s.Step, s.Text, s.Time = d.Decision, d.Group, calendar.FormatTime(d.Time)
		default:
			s.Step, s.Text = "dead letter", header(r, "tripline-reason")
		}
		later = append(later, s)
		return nil
	})
	slices.SortStableFunc(later, func(a, b traceStep) int { return strings.Compare(a.Time, b.Time) })
	t.steps = append(t.steps, later...)
	return err
}

// attempt is what a line shows of a delivery record.
func attempt(d *delivery.Record) string {
	text := fmt.Sprintf("%d to %s: %s", d.Attempt, d.Endpoint, d.Outcome)
	if d.Sent && d.Status > 0 {
		text += fmt.Sprintf(", %d in %d ms", d.Status, d.Latency)
	}
	text += behind(", ", d.Reason) + behind(": ", d.Error)
	if d.NextAttempt > 0 {
		text += ", next at " + calendar.FormatTime(d.NextAttempt)
	}
	return text
}

func (t *trace) print(w io.Writer) error {
	for _, s := range t.steps {
		where := ""
		if s.Place != "" {
			where = "  [" + s.Place + "]"
		}
		if _, err := fmt.Fprintf(w, "%s  %-11s  %s%s\n", s.Time, s.Step, s.Text, where); err != nil {
			return err
		}
	}
	return nil
}

func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

func place(r *kgo.Record) string { return fmt.Sprintf("%s/%d@%d", r.Topic, r.Partition, r.Offset) }
