package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/registry"
)

func tailCommand() *cobra.Command {
	var configFile string
	var beginning bool
	t := &tail{outcome: choice{allowed: []string{delivered, "retry", failed, dropped}}}
	c := &cobra.Command{
		Use:   "tail events|triggers|decisions|deliveries",
		Short: "Follow a topic",
		Example: `  tripline tail triggers --campaign abandoned-cart
  tripline tail deliveries --endpoint ops-center --outcome failed --from-beginning
  tripline tail events --user u-17 --from-beginning --output json`,
		ValidArgs: []string{"events", "triggers", "decisions", "deliveries"},
		Args:      oneOf("events", "triggers", "decisions", "deliveries"),
	}
	addConfigFlag(c, &configFile)
	f := c.Flags()
	f.StringVar(&t.user, "user", "", "only this user's records")
	f.StringVar(&t.campaign, "campaign", "", "only this campaign's records; events have none")
	f.StringVar(&t.endpoint, "endpoint", "", "only what is for this endpoint, of triggers and deliveries")
	f.Var(&t.outcome, "outcome", "only deliveries with this outcome: delivered, retry, failed or dropped")
	f.BoolVar(&beginning, "from-beginning", false, "begin at the first record, not at the next one")
	must(c.RegisterFlagCompletionFunc("outcome", cobra.FixedCompletions(t.outcome.allowed, cobra.ShellCompDirectiveNoFileComp)))
	output := addOutputFlag(c, "text or json (the record's value, one a line)")
	c.RunE = func(c *cobra.Command, args []string) error {
		cfg, err := loadConfig(c, configFile)
		if err != nil {
			return err
		}
		if err := t.applies(args[0]); err != nil {
			return err
		}
		topics := map[string][]string{"events": cfg.Topics.Events, "triggers": {cfg.Topics.Triggers},
			"decisions": {cfg.Topics.Decisions}, "deliveries": {cfg.Topics.Deliveries}}[args[0]]
		t.out, t.json = c.OutOrStdout(), output.word == "json"
		if args[0] == "events" {
			records, err := cfg.reader(nil, nil)
			if err != nil {
				return err
			}
			defer records.Registry.Close()
			t.records = &records
		}
		return t.follow(c.Context(), cfg, topics, beginning)
	}
	return c
}

// tail prints records that pass a filter.
type tail struct {
	out                      io.Writer
	user, campaign, endpoint string
	outcome                  choice
	json                     bool
	records                  *registry.Reader // of events; nil: the records are our own
}

// applies refuses filters by what records of a topic do not have.
func (t *tail) applies(topic string) error {
	switch {
	case topic == "events" && t.campaign != "":
		return errors.New("--campaign: events belong to none; `tripline why USER --campaign " + t.campaign + "` says what a campaign made of them")
	case t.endpoint != "" && topic != "triggers" && topic != "deliveries":
		return errors.New("--endpoint: only triggers and deliveries have one")
	case t.outcome.word != "" && topic != "deliveries":
		return errors.New("--outcome: only deliveries have one")
	}
	return nil
}

func (t *tail) follow(ctx context.Context, cfg *loaded, topics []string, beginning bool) error {
	offset := kgo.NewOffset().AtEnd()
	if beginning {
		offset = kgo.NewOffset().AtStart()
	}
	client, err := kgo.NewClient(append(cfg.client(), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(offset),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))...)
	if err != nil {
		return err
	}
	defer client.Close()
	check, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := client.Ping(check); err != nil {
		return cfg.explain("follow", err)
	}
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		for _, e := range fetches.Errors() {
			if !errors.Is(e.Err, context.Canceled) {
				return cfg.explain("follow "+e.Topic, e.Err)
			}
		}
		for i := fetches.RecordIter(); !i.Done(); {
			if err := t.next(ctx, i.Next()); err != nil {
				return err
			}
		}
	}
}

// next prints a record, an event as the JSON that campaigns see.
func (t *tail) next(ctx context.Context, r *kgo.Record) error {
	if t.records == nil {
		t.print(r, "")
		return nil
	}
	if err := t.records.Await(ctx, r); err != nil {
		return err
	}
	text, bad, err := t.records.JSON(r)
	if err != nil {
		return err
	}
	user := ""
	if e, wrong, err := t.records.Event(r); err == nil && wrong == nil {
		user = e.User
	}
	if r.Value = text; bad != nil {
		r.Value, err = json.Marshal(map[string]string{"unreadable": bad.Reason, "detail": bad.Detail})
	}
	t.print(r, user)
	return err
}

// print prints a record that passes. Whose it is, where that is not known, its value or else its key says.
func (t *tail) print(r *kgo.Record, user string) {
	if !t.passes(r, user) || t.json && len(r.Value) == 0 {
		return
	}
	if t.json {
		fmt.Fprintf(t.out, "%s\n", r.Value)
		return
	}
	value := string(r.Value)
	if value == "" {
		value = "(empty: the user is erased)"
	}
	fmt.Fprintf(readable{t.out}, "%s %s %s\n", r.Timestamp.UTC().Format("2006-01-02T15:04:05.000Z"), r.Key, value)
}

// passes: what cannot be read passes only without a filter, or by its key.
func (t *tail) passes(r *kgo.Record, user string) bool {
	if t.user == "" && t.campaign == "" && t.endpoint == "" && t.outcome.word == "" {
		return true
	}
	var of struct {
		Campaign string `json:"campaign"`
		User     string `json:"user_id"`
		Endpoint string `json:"endpoint"`
		Outcome  string `json:"outcome"`
	}
	_ = json.Unmarshal(r.Value, &of)
	user = cmp.Or(user, of.User, string(r.Key))
	return (t.user == "" || user == t.user) && (t.campaign == "" || of.Campaign == t.campaign) &&
		(t.endpoint == "" || of.Endpoint == t.endpoint) && (t.outcome.word == "" || of.Outcome == t.outcome.word)
}
