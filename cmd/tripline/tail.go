package main

import (
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
	var configFile, user, name string
	var beginning bool
	c := &cobra.Command{
		Use:       "tail events|triggers|decisions|deliveries",
		Short:     "Follow a topic",
		Example:   "  tripline tail triggers --campaign abandoned-cart\n  tripline tail events --user u-17 --from-beginning --output json",
		ValidArgs: []string{"events", "triggers", "decisions", "deliveries"},
		Args:      oneOf("events", "triggers", "decisions", "deliveries"),
	}
	addConfigFlag(c, &configFile)
	f := c.Flags()
	f.StringVar(&user, "user", "", "only this user's records")
	f.StringVar(&name, "campaign", "", "only this campaign's records")
	f.BoolVar(&beginning, "from-beginning", false, "begin at the first record, not at the next one")
	output := addOutputFlag(c, "text or json (the record's value, one a line)")
	c.RunE = func(c *cobra.Command, args []string) error {
		cfg, err := loadConfig(c, configFile)
		if err != nil {
			return err
		}
		topics := map[string][]string{"events": cfg.Topics.Events, "triggers": {cfg.Topics.Triggers},
			"decisions": {cfg.Topics.Decisions}, "deliveries": {cfg.Topics.Deliveries}}[args[0]]
		t := &tail{out: c.OutOrStdout(), user: user, campaign: name, json: output.word == "json"}
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
	out            io.Writer
	user, campaign string
	json           bool
	records        *registry.Reader // of events; nil: the records are our own
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
		t.print(r)
		return nil
	}
	if err := t.records.Registry.Await(ctx, r.Value); err != nil {
		return err
	}
	text, bad, err := t.records.JSON(r)
	if err != nil {
		return err
	}
	if r.Value = text; bad != nil {
		r.Value, err = json.Marshal(map[string]string{"unreadable": bad.Reason, "detail": bad.Detail})
	}
	t.print(r)
	return err
}

func (t *tail) print(r *kgo.Record) {
	var of struct {
		Campaign string `json:"campaign"`
		User     string `json:"user_id"`
	}
	_ = json.Unmarshal(r.Value, &of) // what cannot be read passes only without a filter
	if of.User == "" {
		of.User = string(r.Key)
	}
	if t.user != "" && of.User != t.user || t.campaign != "" && of.Campaign != t.campaign {
		return
	}
	if t.json {
		fmt.Fprintf(t.out, "%s\n", r.Value)
		return
	}
	fmt.Fprintf(t.out, "%s %s %s\n", r.Timestamp.UTC().Format("2006-01-02T15:04:05.000Z"), r.Key, r.Value)
}
