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
)

// topic is one that Tripline reads or writes, with the settings that it needs.
type topic struct {
	name     string
	settings map[string]*string
	input    bool // must have as many partitions as the other inputs
}

func (cfg *loaded) topics() []topic {
	appendTime, compact := "LogAppendTime", "compact"
	var all []topic
	for _, name := range cfg.Topics.Events {
		all = append(all, topic{name: name, input: true, settings: map[string]*string{"message.timestamp.type": &appendTime}})
	}
	if cfg.Topics.Profiles != "" {
		all = append(all, topic{name: cfg.Topics.Profiles, input: true,
			settings: map[string]*string{"message.timestamp.type": &appendTime, "cleanup.policy": &compact}})
	}
	for _, name := range []string{cfg.Topics.Triggers, cfg.Topics.Decisions, cfg.Topics.Deliveries, cfg.Topics.DeadLetters} {
		all = append(all, topic{name: name})
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
		Short:   "Check that the topics exist and fit together",
		Example: "  tripline topics check --config tripline.yaml",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return withAdmin(c, configFile, func(ctx context.Context, admin *kadm.Client, cfg *loaded) error {
				return checkTopics(ctx, admin, cfg, c.OutOrStdout())
			})
		},
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
		return cfg.explain("reach Kafka", err)
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
			fmt.Fprintf(out, "%s: exists, %d partitions\n", t.name, len(d.Partitions))
			continue
		}
		_, err := admin.CreateTopic(ctx, partitions, replication, t.settings, t.name)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return cfg.explain("create "+t.name, err)
		}
		fmt.Fprintf(out, "%s: created, %d partitions\n", t.name, partitions)
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

// checkTopics reports every topic and fails if the processor could not start.
func checkTopics(ctx context.Context, admin *kadm.Client, cfg *loaded, out io.Writer) error {
	details, err := admin.ListTopics(ctx)
	if err != nil {
		return cfg.explain("list topics", err)
	}
	bad, first, count := 0, "", 0
	for _, t := range cfg.topics() {
		d, ok := details[t.name]
		if !ok {
			bad++
			fmt.Fprintf(out, "%s: missing; `tripline topics create` makes it\n", t.name)
			continue
		}
		note := ""
		if t.input && first == "" {
			first, count = t.name, len(d.Partitions)
		} else if t.input && len(d.Partitions) != count {
			bad++
			note = fmt.Sprintf("; but %s has %d: event topics and the profile topic must have the same number", first, count)
		}
		if t.input {
			note += timestampNote(ctx, admin, t.name)
		}
		fmt.Fprintf(out, "%s: %d partitions%s\n", t.name, len(d.Partitions), note)
	}
	if bad > 0 {
		return errSilent
	}
	return nil
}

// timestampNote recommends LogAppendTime, under which the broker settles a record's arrival.
func timestampNote(ctx context.Context, admin *kadm.Client, name string) string {
	configs, err := admin.DescribeTopicConfigs(ctx, name)
	if err != nil {
		return ""
	}
	for _, c := range configs {
		for _, kv := range c.Configs {
			if kv.Key == "message.timestamp.type" && kv.MaybeValue() != "LogAppendTime" {
				return "; message.timestamp.type=LogAppendTime is recommended: producers' timestamps are only as good as their clocks"
			}
		}
	}
	return ""
}
