package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign/dump"
	"github.com/tripline/tripline/state"
)

// stateOptions are the flags of tripline state.
type stateOptions struct {
	config, user string
	partition    int32
	sink         bool
	from         choice
	output       *choice
}

func stateCommands() *cobra.Command {
	c := &cobra.Command{
		Use:   "state",
		Short: "Look at what a processor or a sink keeps",
		Example: "  tripline state dump --user u-17\n" +
			"  tripline state verify",
	}
	c.AddCommand(stateDumpCommand(), stateVerifyCommand())
	return c
}

func (o *stateOptions) flags(c *cobra.Command) {
	addConfigFlag(c, &o.config)
	c.Flags().Int32Var(&o.partition, "partition", -1, "only this partition")
	c.Flags().StringVar(&o.user, "user", "", "only this user")
	c.Flags().BoolVar(&o.sink, "sink", false, "the sink's state, not the processor's")
	c.Args = cobra.NoArgs
	must(c.RegisterFlagCompletionFunc("user", cobra.NoFileCompletions))
	must(c.RegisterFlagCompletionFunc("partition", cobra.NoFileCompletions))
}

func stateDumpCommand() *cobra.Command {
	o := stateOptions{from: choice{word: "pebble", allowed: []string{"pebble", "changelog"}}}
	c := &cobra.Command{
		Use:   "dump",
		Short: "Print the state as JSON, one row a line",
		Long: `Print what is kept, one JSON object a line: of each partition its position, then of each user the profile, history, what is open
in each campaign, timers and counters. --from pebble reads the folder of the process, which must not run; --from changelog reads
Kafka, also while it runs, and needs room for the state in the folder for temporary files.`,
		Example: "  tripline state dump --user u-17\n  tripline state dump --from changelog --partition 3 > state.ndjson\n  tripline state dump --sink",
	}
	o.flags(c)
	c.Flags().Var(&o.from, "from", "pebble or changelog")
	must(c.RegisterFlagCompletionFunc("from", cobra.FixedCompletions(o.from.allowed, cobra.ShellCompDirectiveNoFileComp)))
	o.output = &choice{word: "json", allowed: []string{"json", "ndjson"}}
	c.Flags().Var(o.output, "output", "json: one object a line")
	must(c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(o.output.allowed, cobra.ShellCompDirectiveNoFileComp)))
	c.RunE = func(c *cobra.Command, _ []string) error {
		s, err := o.open()
		if err != nil {
			return err
		}
		d := newDumper(c.OutOrStdout(), &o, s.names)
		if o.from.word == "changelog" {
			err = s.eachInChangelog(c.Context(), d.partition)
		} else {
			err = s.eachOnDisk(d.partition)
		}
		return errors.Join(err, d.finish())
	}
	return c
}

// stored is the state of one service.
type stored struct {
	*stateOptions
	cfg       *loaded
	names     dump.Names
	dir       string
	changelog string
}

func (o *stateOptions) open() (*stored, error) {
	cfg, all, err := loadCampaigns(o.config)
	if err != nil {
		return nil, err
	}
	service := "processor"
	if o.sink {
		service = "sink"
	}
	return &stored{stateOptions: o, cfg: cfg, names: dump.NamesOf(all.Set.Names()), dir: filepath.Join(cfg.State.Dir, service),
		changelog: cfg.Group + "-" + service + "-changelog"}, nil
}

// store opens the folder of the process, to be looked at.
func (s *stored) store() (*state.Store, error) {
	store, err := state.Open(state.Config{Dir: s.dir, Memory: 64 << 20, ReadOnly: true})
	if errors.Is(err, state.ErrLocked) {
		return nil, fmt.Errorf("%s is in use by a running process: stop it, or see what is in Kafka with `tripline state dump --from changelog`", s.dir)
	}
	return store, err
}

// eachOnDisk visits the partitions in the process's folder.
func (s *stored) eachOnDisk(visit func(*state.Partition) error) error {
	store, err := s.store()
	if err != nil {
		return err
	}
	defer store.Close()
	numbers, err := store.Partitions()
	if err != nil {
		return err
	}
	if s.partition >= 0 {
		if !slices.Contains(numbers, s.partition) {
			return fmt.Errorf("%s holds no partition %d; it holds %v", s.dir, s.partition, numbers)
		}
		numbers = []int32{s.partition}
	}
	for _, n := range numbers {
		p, err := store.Partition(n)
		if err == nil {
			err = visit(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// extent is a partition of the changelog: start <= offset < end.
type extent struct{ start, end int64 }

// extents are the partitions of the changelog that are asked for, and the id of the topic.
func (s *stored) extents(ctx context.Context) (id state.ID, found map[int32]extent, err error) {
	client, err := kgo.NewClient(s.cfg.client()...)
	if err != nil {
		return id, nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	admin := kadm.NewClient(client)
	topics, err := admin.ListTopics(ctx, s.changelog)
	if err == nil {
		err = topics.Error()
	}
	if err != nil {
		return id, nil, s.cfg.explain("read "+s.changelog, err)
	}
	first, err := admin.ListStartOffsets(ctx, s.changelog)
	if err == nil {
		err = first.Error()
	}
	last, failed := admin.ListCommittedOffsets(ctx, s.changelog)
	if err = errors.Join(err, failed); err == nil {
		err = last.Error()
	}
	if err != nil {
		return id, nil, s.cfg.explain("read "+s.changelog, err)
	}
	found = map[int32]extent{}
	last.Each(func(end kadm.ListedOffset) {
		start, _ := first.Lookup(s.changelog, end.Partition)
		found[end.Partition] = extent{start.Offset, end.Offset}
	})
	return topics[s.changelog].ID, found, nil
}

// wanted are the numbers of the partitions to look at, in order.
func (s *stored) wanted(found map[int32]extent) ([]int32, error) {
	if s.partition >= 0 {
		if _, there := found[s.partition]; !there {
			return nil, fmt.Errorf("%s has no partition %d: it has %d", s.changelog, s.partition, len(found))
		}
		return []int32{s.partition}, nil
	}
	if s.user != "" && !s.sink && s.cfg.Key == "user" { // elsewhere the key does not tell
		return []int32{partitionOf(s.user, len(found))}, nil
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// eachInChangelog restores one partition after the other from the changelog, as a process does, and visits it.
func (s *stored) eachInChangelog(ctx context.Context, visit func(*state.Partition) error) error {
	_, found, err := s.extents(ctx)
	if err != nil {
		return err
	}
	numbers, err := s.wanted(found)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		err := inRoom(func(store *state.Store) error {
			p, err := store.Partition(n)
			if err != nil {
				return err
			}
			r := p.Restore()
			if err := s.read(ctx, n, found[n], r.Add); err != nil {
				return errors.Join(err, r.Abandon())
			}
			position := r.Position()
			if position.IsZero() {
				return r.Abandon() // nothing was ever committed
			}
			if err := r.Finish(position); err != nil {
				return err
			}
			return visit(p)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// inRoom opens a store for as long as use takes.
func inRoom(use func(*state.Store) error) error {
	dir, err := os.MkdirTemp("", "tripline-state-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	store, err := state.Open(state.Config{Dir: dir, Memory: 128 << 20})
	if err != nil {
		return err
	}
	return errors.Join(use(store), store.Close())
}

// read reads a part of a changelog partition, in order.
func (s *stored) read(ctx context.Context, n int32, part extent, visit func(key, value []byte, offset int64) error) error {
	if part.start >= part.end {
		return nil
	}
	from := map[string]map[int32]kgo.Offset{s.changelog: {n: kgo.NewOffset().At(part.start)}}
	return drain(ctx, s.cfg, map[spot]int64{{s.changelog, n}: part.end}, from, func(r *kgo.Record) error {
		return visit(r.Key, r.Value, r.Offset)
	})
}
