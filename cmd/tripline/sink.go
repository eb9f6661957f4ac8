package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/tripline/tripline/config"
	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/sink"
	"github.com/tripline/tripline/sink/auth"
	"github.com/tripline/tripline/sink/call"
	"github.com/tripline/tripline/sink/policy"
	"github.com/tripline/tripline/sink/request"
	"github.com/tripline/tripline/state"
)

func sinkCommand() *cobra.Command {
	var s service
	c := &cobra.Command{
		Use:     "sink",
		Short:   "Read triggers, call webhooks, write what became of each",
		Example: "  tripline sink --config tripline.yaml",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, all, err := loadCampaigns(s.configFile, s.overrides()...)
			if err != nil {
				return err
			}
			listener, err := listen(cfg.HTTP.Listen, "127.0.0.1:8081")
			if err != nil {
				return err
			}
			if os.Getenv("GOGC") == "" {
				// Attempts that meet the collector at work come late. It has to be at work for far less than a hundredth of the time, and the
				// memory limit bounds what it leaves.
				debug.SetGCPercent(400)
			}
			return runSink(c.Context(), cfg, all, listener)
		},
	}
	s.flags(c)
	return c
}

// runSink runs a sink and its pages until ctx ends.
func runSink(ctx context.Context, cfg *loaded, all *config.Loaded, listener net.Listener) error {
	defer listener.Close()
	plan, err := compilePlan(all)
	if err != nil {
		return err
	}
	log, err := cfg.logger()
	if err != nil {
		return err
	}
	memory := shared(cfg.Memory)
	disk := state.Config{Dir: filepath.Join(cfg.State.Dir, "sink"), Memory: memory / 3}
	limitMemory(cfg.Memory, disk)
	// While a backlog is read the store has several memtables beside those that it counts on.
	debug.SetMemoryLimit(debug.SetMemoryLimit(-1) - memory/6)
	registry := newRegistry()
	store, err := openStore(disk, log)
	if err != nil {
		return err
	}
	defer store.Close()
	kafka := cfg.lane("sink", store, log.Named("lane"), registry)
	kafka.Memory /= 4 // triggers are read beside what waits for room; what is fetched takes ten times as much when it is unpacked
	kafka.Address = listener.Addr().String()
	s, err := sink.New(sink.Config{Events: cfg.DeliveryEvents(), Group: cfg.Group, Triggers: cfg.Topics.Triggers, Deliveries: cfg.Topics.Deliveries,
		DeadLetters: cfg.Topics.DeadLetters, Dedupe: int64(cfg.Dedupe), Version: version, Memory: memory / 8, Lane: kafka}, plan)
	if err != nil {
		return err
	}
	again := newReloader(cfg, all, log, func(_ *loaded, all *config.Loaded) error {
		plan, err := compilePlan(all)
		if err == nil {
			s.Follow(plan)
		}
		return err
	})
	log.Info("sink starts", zap.Int("endpoints", len(cfg.Endpoints)), zap.String("pages", listener.Addr().String()), zap.String("version", version))
	err = together(ctx, s.Run, again.run, func(ctx context.Context) error {
		return serve(ctx, listener, registry, func() (bool, any) { return lanesReady(s, again.version(), nil) }, again.page())
	})
	log.Info("sink has stopped", zap.Error(err))
	return err
}

// compilePlan is what the sink makes of a configuration.
func compilePlan(all *config.Loaded) (*sink.Plan, error) {
	plan, problems := sink.Compile(endpoints(all.Config), all.Definitions)
	if len(problems) > 0 {
		return nil, fmt.Errorf("%s: %s", problems[0].Path, problems[0].Message) // loading has tried the templates already
	}
	return plan, nil
}

// endpoints are the configuration's as the sink takes them.
func endpoints(cfg *config.Config) []sink.Endpoint {
	list := make([]sink.Endpoint, len(cfg.Endpoints))
	for i := range cfg.Endpoints {
		list[i] = endpoint(&cfg.Endpoints[i])
		list[i].Group = cfg.Group
	}
	return list
}

func endpoint(e *config.Endpoint) sink.Endpoint {
	secrets := e.URL.Secrets()
	texts := func(m map[string]config.Text) map[string]string {
		out := make(map[string]string, len(m))
		for name, text := range m {
			out[name] = text.Reveal()
			secrets = append(secrets, text.Secrets()...)
		}
		return out
	}
	out := sink.Endpoint{Name: e.Name, URL: e.URL.Reveal(), Method: e.Method, Headers: texts(e.Headers), Query: texts(e.Query),
		Timeout: int64(e.Timeout), Success: statuses(e.Success), InOrder: e.Order == "user", OrderTimeout: int64(e.OrderTimeout), Batch: sink.Batch{Max: e.Batch.Max, Linger: int64(e.Batch.Linger)},
		MaxInFlight: e.MaxInFlight, MaxWaiting: e.MaxWaiting, AllowPrivate: e.AllowPrivate,
		Retry: policy.Backoff{Jitter: float64(e.Retry.Jitter), Quick: e.Retry.Quick, On: statuses(e.Retry.On), Final: statuses(e.Retry.Final)}}
	if b := e.Breaker; b.MinSamples > 0 {
		out.Breaker = policy.Breaking{FailureRate: float64(b.FailureRate), MinSamples: b.MinSamples, Window: int64(b.Window), Open: int64(b.Open)}
	}
	if e.DisableAfter != nil {
		out.DisableAfter = int64(*e.DisableAfter)
	}
	if r := e.RateLimit; r != nil {
		out.Limit = policy.Limit{PerSecond: r.PerSecond, Burst: float64(r.Burst)}
		if r.Burst == 0 {
			out.Limit.Burst = r.PerSecond
		}
	}
	out.Retry.Schedule = make([]int64, len(e.Retry.Schedule))
	for i, wait := range e.Retry.Schedule {
		out.Retry.Schedule[i] = int64(wait)
	}
	if e.Signing != nil {
		for _, s := range e.Signing.Secrets {
			secret := request.Secret{Value: s.Value.Reveal()}
			if s.Until != nil {
				secret.Until = int64(*s.Until)
			}
			out.Signing = append(out.Signing, secret)
		}
	}
	if t := e.TLS; t != nil {
		out.TLS = call.TLS{CA: t.CA.Reveal(), Cert: t.Cert.Reveal(), Key: t.Key.Reveal(), MinVersion: t.MinVersion}
	}
	if p := e.Proxy; p != nil {
		out.Proxy = call.Proxy{URL: p.URL.Reveal(), Resolves: p.Resolves}
	}
	var more []string
	out.Auth, more = caller(e.Auth)
	out.Secrets = append(secrets, more...)
	slices.Sort(out.Secrets) // maps come in any order, and a reload compares them
	return out
}

// caller is an endpoint's auth as the sink takes it, and what the environment and files gave to it besides its secrets.
func caller(a *config.Auth) (out auth.Config, secrets []string) {
	reveal := func(t config.Text) string {
		secrets = append(secrets, t.Secrets()...)
		return t.Reveal()
	}
	token := func(j *config.JWTAuth) *auth.JWT {
		if j == nil {
			return nil
		}
		return &auth.JWT{Alg: j.Alg, Key: j.Key.Reveal(), KeyID: reveal(j.KID), Issuer: reveal(j.Iss), Subject: reveal(j.Sub), Audience: reveal(j.Aud), TTL: int64(j.TTL)}
	}
	switch {
	case a == nil:
	case a.Basic != nil:
		out.Basic = &auth.Basic{Username: reveal(a.Basic.Username), Password: a.Basic.Password.Reveal()}
	case a.Bearer != nil:
		out.Bearer = &auth.Bearer{Token: a.Bearer.Token.Reveal()}
	case a.JWT != nil:
		out.JWT = token(a.JWT)
	case a.OAuth2 != nil:
		o := a.OAuth2
		out.OAuth2 = &auth.OAuth2{Grant: o.Grant, TokenURL: reveal(o.TokenURL), ClientID: reveal(o.ClientID), ClientSecret: o.ClientSecret.Reveal(),
			Username: reveal(o.Username), Password: o.Password.Reveal(), Scopes: o.Scopes, ClientAuth: o.ClientAuth, JWT: token(o.JWT)}
		if len(o.Params) > 0 {
			out.OAuth2.Params = map[string]string{}
		}
		for name, value := range o.Params {
			out.OAuth2.Params[name] = reveal(value)
		}
	}
	return out, secrets
}

func statuses(list []config.Statuses) []policy.Statuses {
	out := make([]policy.Statuses, len(list))
	for i, s := range list {
		out[i] = policy.Statuses{Low: s.Low, High: s.High}
	}
	return out
}

// checks are what the sink knows of addresses and templates, for whoever loads a configuration: one for each, since it
// remembers what the endpoints' templates name.
func checks() config.Checks {
	type named struct {
		properties []string
		others     bool
		batch      bool
	}
	endpoints := map[string]named{}
	return config.Checks{
		Refused: call.Private,
		Endpoint: func(e *config.Endpoint) []campaign.Problem {
			x := endpoint(e)
			target, problems := request.NewTarget(request.Endpoint{Method: x.Method, URL: x.URL, Headers: x.Headers, Query: x.Query, Signing: x.Signing, AllowPrivate: x.AllowPrivate})
			if target != nil {
				properties, others := target.Properties()
				endpoints[e.Name] = named{properties, others, e.Batch.Max > 1}
			}
			return found(append(problems, x.Identity()...))
		},
		Delivery: func(c *campaign.Definition, i int) config.Delivery {
			content, problems := request.NewContent(c.Deliver[i])
			of := endpoints[c.Deliver[i].Endpoint]
			out := config.Delivery{Problems: found(problems), Properties: of.properties, Others: of.others}
			if content != nil {
				names, others := content.Properties()
				if of.batch && content.NoBatch() != "" {
					out.Problems = append(out.Problems, campaign.Problem{Path: "content_type", Message: content.NoBatch()})
				}
				out.Properties, out.Others = slices.Concat(out.Properties, names), out.Others || others
			}
			return out
		},
	}
}

func found(problems []request.Problem) (list []campaign.Problem) {
	for _, p := range problems {
		list = append(list, campaign.Problem{Path: p.Path, Line: p.Line, Column: p.Column, Message: p.Message, Suggestion: p.Suggestion})
	}
	return list
}
