package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topic is one that Tripline reads or writes, with the settings that it needs.
type topic struct {
	name     string
	settings map[string]*string
	input    bool // must have as many partitions as the other inputs
	needs    []kadm.ACLOperation
}

func (cfg *loaded) topics() []topic {
	appendTime, compact := "LogAppendTime", "compact"
	reads := []kadm.ACLOperation{kmsg.ACLOperationRead}
	var all []topic
	for _, name := range cfg.Topics.Events {
		needs := reads
		if name == cfg.DeliveryEvents() {
			needs = append(needs, kmsg.ACLOperationWrite)
		}
		all = append(all, topic{name: name, input: true, needs: needs, settings: map[string]*string{"message.timestamp.type": &appendTime}})
	}
	if cfg.Topics.Profiles != "" {
		all = append(all, topic{name: cfg.Topics.Profiles, input: true, needs: reads,
			settings: map[string]*string{"message.timestamp.type": &appendTime, "cleanup.policy": &compact}})
	}
	all = append(all, topic{name: cfg.Topics.Triggers, needs: append(reads, kmsg.ACLOperationWrite)})
	for _, name := range []string{cfg.Topics.Decisions, cfg.Topics.Deliveries, cfg.Topics.DeadLetters} {
		all = append(all, topic{name: name, needs: []kadm.ACLOperation{kmsg.ACLOperationWrite}})
	}
	return all
}

func topicsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "topics",
		Short:   "Create or check the topics that tripline.yaml names",
		Example: "  tripline topics create --partitions 12\n  tripline topics check",
	}
	var configFile string
	var partitions int32
	var replication int16
	create := &cobra.Command{
		Use:     "create",
		Short:   "Create what is missing, with the right settings",
		Example: "  tripline topics create --partitions 12 --replication 3",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return withAdmin(c, configFile, func(ctx context.Context, admin *kadm.Client, cfg *loaded) error {
				return createTopics(ctx, admin, cfg, partitions, replication, c.OutOrStdout())
			})
		},
	}
	create.Flags().Int32Var(&partitions, "partitions", 12, "partitions of each topic that is made, where no input topic exists yet")
	create.Flags().Int16Var(&replication, "replication", -1, "replication factor; -1 is the broker's default")
	check := &cobra.Command{
		Use:     "check",
		Short:   "Check that the topics exist, fit together and are permitted",
		Example: "  tripline topics check --config tripline.yaml\n  tripline topics check --output json",
		Args:    cobra.NoArgs,
	}
	output := addOutputFlag(check, "text or json")
	check.RunE = func(c *cobra.Command, _ []string) error {
		return withAdmin(c, configFile, func(ctx context.Context, admin *kadm.Client, cfg *loaded) error {
			all, err := inspectTopics(ctx, admin, cfg)
			if err == nil && output.word == "json" {
				err = printJSON(c.OutOrStdout(), all)
			}
			if err == nil && printTopics(c.OutOrStdout(), all, output.word == "text") {
				return errSilent
			}
			return err
		})
	}
	for _, sub := range []*cobra.Command{create, check} {
		addConfigFlag(sub, &configFile)
		c.AddCommand(sub)
	}
	return c
}

func withAdmin(c *cobra.Command, configFile string, do func(context.Context, *kadm.Client, *loaded) error) error {
	cfg, err := loadConfig(c, configFile)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(cfg.client()...)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(c.Context(), 30*time.Second)
	defer cancel()
	first, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	if err := client.Ping(first); err != nil {
		return cfg.explain("connect", err)
	}
	return do(ctx, kadm.NewClient(client), cfg)
}

// createTopics makes what is missing. All topics get as many partitions as the inputs that exist, else partitions.
func createTopics(ctx context.Context, admin *kadm.Client, cfg *loaded, partitions int32, replication int16, out io.Writer) error {
	details, err := admin.ListTopics(ctx)
	if err != nil {
		return cfg.explain("list topics", err)
	}
	wanted := cfg.topics()
	for _, t := range wanted {
		if d, ok := details[t.name]; ok && t.input {
			partitions = int32(len(d.Partitions))
		}
	}
	for _, t := range wanted {
		if d, ok := details[t.name]; ok {
			fmt.Fprintf(out, "%s: exists, %s\n", t.name, plural(len(d.Partitions), "partition"))
			continue
		}
		_, err := admin.CreateTopic(ctx, partitions, replication, t.settings, t.name)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return cfg.explain("create "+t.name, err)
		}
		fmt.Fprintf(out, "%s: created, %s\n", t.name, plural(int(partitions), "partition"))
	}
	return awaitTopics(ctx, admin, cfg)
}

// awaitTopics returns when every topic has its leaders: brokers learn of a new topic one after the other.
func awaitTopics(ctx context.Context, admin *kadm.Client, cfg *loaded) error {
	names := []string{}
	for _, t := range cfg.topics() {
		names = append(names, t.name)
	}
	for {
		ends, err := admin.ListEndOffsets(ctx, names...)
		if err == nil {
			err = ends.Error()
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return cfg.explain("wait for the new topics", err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
