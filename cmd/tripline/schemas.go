package main

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tripline/tripline/processor/registry"
)

// reader reads the records of the input topics. Its registry is to be closed, if there is one.
func (cfg *loaded) reader(log *zap.Logger, metrics prometheus.Registerer) (registry.Reader, error) {
	r := registry.Reader{Envelope: cfg.Envelope()}
	of := &cfg.Registry
	if of.URL.Reveal() == "" {
		return r, nil
	}
	tls, err := clientTLS("registry.tls", of.TLS)
	if err != nil {
		return r, err
	}
	r.Registry, err = registry.New(registry.Config{URL: of.URL.Reveal(), Username: of.Username.Reveal(), Password: of.Password.Reveal(), TLS: tls,
		Hidden: append(of.URL.Secrets(), of.Username.Secrets()...), Log: log, Metrics: metrics})
	return r, err
}

// inspectRegistry asks the registry whether it is there.
func inspectRegistry(ctx context.Context, cfg *loaded) (string, error) {
	records, err := cfg.reader(nil, nil)
	if err != nil || records.Registry == nil {
		return "", err
	}
	defer records.Registry.Close()
	if err := records.Registry.Check(ctx); err != nil {
		return err.Error(), nil
	}
	return "ok", nil
}
