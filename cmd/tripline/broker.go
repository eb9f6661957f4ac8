package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// startBroker starts the embedded broker on what an earlier start has left in the folder.
func startBroker(o *devOptions) (*kfake.Cluster, error) {
	probe, err := listenPort(o.port, "--port")
	if err != nil {
		return nil, err
	}
	probe.Close()
	// It describes topics (KIP-966) without the replicas that Java's admin client then dereferences; that falls back to Metadata.
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(int16(kmsg.DescribeTopicPartitions), -1)
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(o.port), kfake.DataDir(filepath.Join(o.dir, "broker")), kfake.SyncWrites(),
		kfake.MaxVersions(versions))
	if err != nil {
		return nil, fmt.Errorf("start the embedded broker in %s: %w", o.dir, err)
	}
	return broker, nil
}

// prepareBroker makes the topics that are missing, and mends those that a kill has left with an open end.
func prepareBroker(ctx context.Context, cfg *loaded) error {
	client, err := kgo.NewClient(cfg.client()...)
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if err := createTopics(ctx, admin, cfg, 4, 1, io.Discard); err != nil {
		return err
	}
	// The sink would make it too, but asks for its end before a new topic is known everywhere.
	compact, lag := "compact", "86400000"
	settings := map[string]*string{"cleanup.policy": &compact, "max.compaction.lag.ms": &lag}
	control := cfg.Group + "-sink-control"
	if _, err := admin.CreateTopic(ctx, 1, -1, settings, control); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return cfg.explain("create "+control, err)
	}
	return closeEnds(ctx, admin, cfg)
}

// closeEnds puts an aborted transaction behind one that was cut off by a kill. The broker takes that one for aborted when it
// starts again, but without the marker that Kafka writes: whoever reads committed records up to the end waits for ever.
func closeEnds(ctx context.Context, admin *kadm.Client, cfg *loaded) error {
	newest := map[string]map[int32]kgo.Offset{}
	events := map[string]bool{}
	for _, name := range cfg.Topics.Events {
		events[name] = true
	}
	ends, err := admin.ListEndOffsets(ctx)
	if err != nil {
		return cfg.explain("list the ends of topics", err)
	}
	left := 0
	ends.Each(func(o kadm.ListedOffset) {
		if o.Err != nil || o.Offset == 0 || events[o.Topic] {
			return
		}
		if newest[o.Topic] == nil {
			newest[o.Topic] = map[int32]kgo.Offset{}
		}
		newest[o.Topic][o.Partition] = kgo.NewOffset().At(o.Offset - 1)
		left++
	})
	if left == 0 {
		return nil
	}
	reader, err := kgo.NewClient(append(cfg.client(), kgo.ConsumePartitions(newest), kgo.KeepControlRecords())...)
	if err != nil {
		return err
	}
	defer reader.Close()
	within, cancel := context.WithTimeout(ctx, 2*time.Second) // the newest record can be gone where a topic was compacted
	defer cancel()
	var open []*kgo.Record
	for left > 0 && within.Err() == nil {
		reader.PollFetches(within).EachRecord(func(r *kgo.Record) {
			left--
			if r.Attrs.IsTransactional() && !r.Attrs.IsControl() {
				open = append(open, &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: []byte("open end")})
			}
		})
	}
	if len(open) == 0 {
		return ctx.Err()
	}
	return abort(ctx, cfg, open)
}

// abort writes records in a transaction that is aborted.
func abort(ctx context.Context, cfg *loaded, records []*kgo.Record) error {
	client, err := kgo.NewClient(append(cfg.client(), kgo.TransactionalID(cfg.Group+"-dev"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		return err
	}
	err = client.ProduceSync(ctx, records...).FirstErr()
	return errors.Join(err, client.EndTransaction(ctx, kgo.TryAbort))
}
