package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/tripline/tripline/config"
)

// loaded is a configuration in use.
type loaded struct {
	*config.Config
	tls       *tls.Config
	sasl      *credentials // nil: none
	file      string       // it was read from, and what the command line set beside it
	overrides []config.Override
}

const defaultConfig = "tripline.yaml"

func addConfigFlag(c *cobra.Command, file *string) {
	c.Flags().StringVar(file, "config", defaultConfig, "configuration file")
}

// loadConfig reads the file; without one, and without --config, the defaults hold.
func loadConfig(c *cobra.Command, file string) (*loaded, error) {
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) && !c.Flags().Changed("config") {
		return newLoaded(config.Default())
	}
	cfg, _, problems := config.Load(file, options())
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return newLoaded(cfg)
}

// options are what every configuration is read with.
func options() config.Options {
	return config.Options{Environment: os.LookupEnv, Checks: checks()}
}

// loadCampaigns reads the configuration file and the campaigns that it names.
func loadCampaigns(file string, overrides ...config.Override) (*loaded, *config.Loaded, error) {
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("there is no %s; `tripline init DIR` writes one, --config names another", file)
	}
	o := options()
	o.Overrides = overrides
	all, problems := config.LoadAll(file, o)
	if err := problems.Err(); err != nil {
		return nil, nil, err
	}
	cfg, err := newLoaded(all.Config)
	if err != nil {
		return nil, nil, err
	}
	cfg.file, cfg.overrides = file, overrides
	return cfg, all, nil
}

func newLoaded(cfg *config.Config) (l *loaded, err error) {
	l = &loaded{Config: cfg, sasl: newCredentials(cfg.Kafka.SASL)}
	if l.tls, err = clientTLS("kafka.tls", cfg.Kafka.TLS); err != nil {
		return nil, err
	}
	return l, nil
}

// clientTLS is whom a client trusts and what it shows of itself; nil where of is.
func clientTLS(at string, of *config.TLS) (*tls.Config, error) {
	if of == nil {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if of.CA != "" {
		pem, err := os.ReadFile(of.CA)
		if err != nil {
			return nil, fmt.Errorf("%s.ca: %w", at, err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s.ca: %s holds no PEM certificate", at, of.CA)
		}
	}
	if of.Cert != "" {
		pair, err := tls.LoadX509KeyPair(of.Cert, of.Key)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// client is how every Kafka client of the process connects. Nothing is compressed, as by Java's default: snappy, franz-go's, is read
// by some clients only with a further library. A topic's compression.type compresses what it keeps.
func (cfg *loaded) client() []kgo.Opt {
	opts := []kgo.Opt{kgo.SeedBrokers(cfg.Kafka.Brokers...), kgo.ClientID("tripline"), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerBatchCompression()}
	if cfg.tls != nil {
		opts = append(opts, kgo.DialTLSConfig(cfg.tls))
	}
	if cfg.sasl != nil {
		opts = append(opts, kgo.SASL(cfg.sasl.mechanism()))
	}
	return opts
}

// credentials are the user and the password by which connections to Kafka are made from now on.
type credentials struct{ now atomic.Pointer[config.SASL] }

func newCredentials(s *config.SASL) *credentials {
	if s == nil {
		return nil
	}
	c := &credentials{}
	c.now.Store(s)
	return c
}

// adopt takes another user and password into use. False: another mechanism, which connections cannot change to.
func (c *credentials) adopt(s *config.SASL) bool {
	if c == nil || s == nil || c.now.Load().Mechanism != s.Mechanism {
		return c == nil && s == nil
	}
	c.now.Store(s)
	return true
}

func (c *credentials) mechanism() sasl.Mechanism {
	of := func(context.Context) (scram.Auth, error) {
		s := c.now.Load()
		return scram.Auth{User: s.Username.Reveal(), Pass: s.Password.Reveal()}, nil
	}
	switch c.now.Load().Mechanism {
	case "SCRAM-SHA-256":
		return scram.Sha256(of)
	case "SCRAM-SHA-512":
		return scram.Sha512(of)
	}
	return plain.Plain(func(ctx context.Context) (plain.Auth, error) {
		a, err := of(ctx)
		return plain.Auth{User: a.User, Pass: a.Pass}, err
	})
}

// explain makes of a Kafka error a sentence that says what to do.
func (cfg *loaded) explain(doing string, err error) error {
	brokers := strings.Join(cfg.Kafka.Brokers, ", ")
	var broker *kerr.Error
	var early *kgo.ErrFirstReadEOF
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return fmt.Errorf("%s: the topic does not exist; `tripline topics create` makes what tripline.yaml names", doing)
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return fmt.Errorf("%s: %s do not take %s; is the password in kafka.sasl right? (%w)", doing, brokers, cfg.who(), err)
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.GroupAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed),
		errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		return fmt.Errorf("%s: %s has no permission; `tripline check --kafka` says which are missing (%w)", doing, cfg.who(), err)
	case errors.As(err, &broker):
		return fmt.Errorf("%s: %w", doing, err)
	case errors.As(err, &early), errors.Is(err, io.EOF):
		return fmt.Errorf("%s: the broker at %s closes the connection at once; are kafka.sasl and kafka.tls what it wants? (%w)", doing, brokers, err)
	}
	return fmt.Errorf("%s: Kafka is not reachable at %s; start it, or set kafka.brokers in tripline.yaml (%w)", doing, brokers, err)
}

// logger writes to standard error, in colour-free lines where that is a terminal.
func (cfg *loaded) logger() (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(cfg.Log.Level)
	if err != nil {
		return nil, err
	}
	z := zap.NewProductionConfig()
	z.Level = zap.NewAtomicLevelAt(level)
	z.Sampling, z.DisableCaller, z.DisableStacktrace = nil, true, true
	z.EncoderConfig.EncodeTime = zapcore.ISO8601TimeEncoder
	if stat, err := os.Stderr.Stat(); err == nil && (cfg.Log.Format == "console" || stat.Mode()&os.ModeCharDevice != 0) {
		z.Encoding = "console"
	}
	return z.Build()
}
