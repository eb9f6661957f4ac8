package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign/record"
)

func sendCommand() *cobra.Command {
	var configFile, properties, profile, id, at, topic string
	c := &cobra.Command{
		Use:   "send USER EVENT",
		Short: "Produce an event",
		Example: `  tripline send u-17 "Added To Cart" --properties '{"cart_id": "c1", "amount": 80}'
  tripline send u-17 Charged --time 2026-11-24T10:44:00Z`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := loadConfig(c, configFile)
			if err != nil {
				return err
			}
			if topic == "" {
				topic = cfg.Topics.Events[0]
			}
			fields := map[string]any{"user_id": args[0], "event": args[1], "time": at}
			if at == "" {
				fields["time"] = time.Now().UTC().Format("2006-01-02T15:04:05.000Z07:00")
			}
			if id != "" {
				fields["id"] = id
			}
			for name, text := range map[string]string{"properties": properties, "profile": profile} {
				if text != "" {
					fields[name] = json.RawMessage(text)
				}
			}
			body, err := json.Marshal(fields)
			if err != nil {
				return fmt.Errorf("--properties and --profile are JSON objects: %w", err)
			}
			if e := cfg.Envelope(); e.Format.Kind != record.FormatTripline {
				return errors.New("send writes Tripline's own form of events, and `format` in tripline.yaml asks for another: produce the record with a producer of yours")
			}
			if _, bad := (record.Envelope{}).Event([]byte(args[0]), body, 0); bad != nil {
				return fmt.Errorf("the event would be a dead letter (%s): %s", bad.Reason, bad.Detail)
			}
			r := &kgo.Record{Topic: topic, Key: []byte(args[0]), Value: body}
			if err := produceOne(c.Context(), cfg, r); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: partition %d, offset %d\n", topic, r.Partition, r.Offset)
			return err
		},
	}
	addConfigFlag(c, &configFile)
	f := c.Flags()
	f.StringVar(&properties, "properties", "", "the event's properties, a JSON object")
	f.StringVar(&profile, "profile", "", "properties to merge into the user's profile, a JSON object")
	f.StringVar(&id, "id", "", "the event's id; a second event with it is dropped")
	f.StringVar(&at, "time", "", "the event's time, RFC 3339 (default: now)")
	f.StringVar(&topic, "topic", "", "the topic (default: the first event topic)")
	return c
}

func produceOne(ctx context.Context, cfg *loaded, r *kgo.Record) error {
	client, err := kgo.NewClient(append(cfg.client(), kgo.RecordDeliveryTimeout(10*time.Second))...)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.ProduceSync(ctx, r).FirstErr(); err != nil {
		return cfg.explain("produce to "+r.Topic, err)
	}
	return nil
}
