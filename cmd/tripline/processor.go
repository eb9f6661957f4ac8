package main

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/tripline/tripline/config"
	"github.com/tripline/tripline/processor"
	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/state"
	"github.com/tripline/tripline/state/lane"
)

// service is what the commands of the two services have in common.
type service struct {
	configFile, listen, log string
}

func (s *service) flags(c *cobra.Command) {
	addConfigFlag(c, &s.configFile)
	c.Flags().StringVar(&s.listen, "listen", "", "address of /metrics, /healthz and /readyz, in place of http.listen")
	c.Flags().StringVar(&s.log, "log-level", "", "debug, info, warn or error, in place of log.level")
}

func (s *service) overrides() (list []config.Override) {
	if s.listen != "" {
		list = append(list, config.Override{Path: "http.listen", Value: s.listen, From: "--listen"})
	}
	if s.log != "" {
		list = append(list, config.Override{Path: "log.level", Value: s.log, From: "--log-level"})
	}
	return list
}

func processorCommand() *cobra.Command {
	var s service
	c := &cobra.Command{
		Use:     "processor",
		Short:   "Read events, decide, write triggers",
		Example: "  tripline processor --config tripline.yaml",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, all, err := loadCampaigns(s.configFile, s.overrides()...)
			if err != nil {
				return err
			}
			listener, err := listen(cfg.HTTP.Listen, "127.0.0.1:8080")
			if err != nil {
				return err
			}
			return runProcessor(c.Context(), cfg, all, listener)
		},
	}
	s.flags(c)
	return c
}

// runProcessor runs a processor and its pages until ctx ends.
func runProcessor(ctx context.Context, cfg *loaded, all *config.Loaded, listener net.Listener) error {
	defer listener.Close()
	log, err := cfg.logger()
	if err != nil {
		return err
	}
	registry := newRegistry()
	memory := shared(cfg.Memory)
	disk := state.Config{Dir: filepath.Join(cfg.State.Dir, "processor"), Memory: memory, Rows: memory / 6}
	limitMemory(cfg.Memory, disk)
	store, err := openStore(disk, log)
	if err != nil {
		return err
	}
	defer store.Close()
	records, err := cfg.reader(log.Named("registry"), registry)
	if err != nil {
		return err
	}
	defer records.Registry.Close()
	kafka := cfg.lane("processor", store, log.Named("lane"), registry)
	kafka.Address = listener.Addr().String()
	versions := newVersions(filepath.Join(disk.Dir, "campaigns"))
	p, err := processor.New(processor.Config{
		Lane: kafka, Set: all.Set, Text: all.Text, Earlier: versions.before(all.Set.Version()), Compile: compileText,
		Envelope: records.Envelope, Registry: records.Registry, EventTopics: cfg.Topics.Events, ProfileTopic: cfg.Topics.Profiles,
		Triggers: cfg.Topics.Triggers, Decisions: cfg.Topics.Decisions, DeadLetters: cfg.Topics.DeadLetters,
		Slack: duration(cfg.WatermarkSlack), Users: memory / 32, Cycles: memory / 32, Log: log, Metrics: registry,
	})
	if err != nil {
		return err
	}
	again := newReloader(cfg, all, log, func(_ *loaded, all *config.Loaded) error {
		if err := versions.add(all.Set.Version()); err != nil {
			return err
		}
		p.Follow(all.Set, all.Text)
		return nil
	})
	if err := versions.add(all.Set.Version()); err != nil {
		return err
	}
	log.Info("processor starts", zap.Strings("campaigns", all.Set.Names()), zap.String("campaigns_version", all.Set.Version()), zap.String("pages", listener.Addr().String()), zap.String("version", version))
	err = together(ctx, p.Run, again.run, func(ctx context.Context) error {
		return serve(ctx, listener, registry, func() (bool, any) { return lanesReady(p, p.Version(), p.Sets()) }, page{"GET /why", whyPage(p)}, again.page())
	})
	log.Info("processor has stopped", zap.Error(err))
	return err
}

// openStore opens a service's folder. One that is damaged as a whole is emptied: the changelog has all that was in it.
func openStore(disk state.Config, log *zap.Logger) (*state.Store, error) {
	store, err := state.Open(disk)
	if !errors.Is(err, state.ErrDamaged) {
		return store, err
	}
	log.Warn("state folder is damaged: emptied, to be restored from the changelog", zap.String("folder", disk.Dir), zap.Error(err))
	if err := state.Clear(disk); err != nil {
		return nil, err
	}
	return state.Open(disk)
}

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// lane is the part of a lane's configuration that does not depend on who uses it.
func (cfg *loaded) lane(service string, store *state.Store, log *zap.Logger, metrics prometheus.Registerer) lane.Config {
	start := "earliest"
	switch cfg.Start {
	case config.StartEarliest:
	case config.StartLatest:
		start = "latest"
	default:
		start = time.UnixMilli(int64(cfg.Start)).UTC().Format(time.RFC3339Nano)
	}
	return lane.Config{
		Group: cfg.Group + "-" + service, Changelog: cfg.Group + "-" + service + "-changelog", Lanes: cfg.Lanes,
		Start: start, OnGapSkip: cfg.OnGap == "skip", SessionTimeout: duration(cfg.SessionTimeout),
		TransactionTimeout: duration(cfg.TransactionTimeout), Leave: cfg.OnStop == "leave", Keep: duration(cfg.State.Keep), Standbys: cfg.State.Standbys,
		Memory: shared(cfg.Memory) / 16, Assigned: func(lanes int) {
			if text := crowded(cfg.Memory, lanes); text != "" {
				log.Warn(text, zap.Int("lanes", lanes))
			}
		},
		Client: cfg.client(), Store: store, Log: log, Metrics: metrics,
	}
}

func duration(ms campaign.Duration) time.Duration { return time.Duration(ms) * time.Millisecond }
