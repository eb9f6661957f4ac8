//go:build synctests

package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/tripline/tripline/config"
)

// TestSecretFiles changes mounted secrets under a running service: a new content is taken up, wherever a secret can stand; while a file
// cannot be read, the old content holds, and one log line says so.
func TestSecretFiles(t *testing.T) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // its goroutine must not be one of the bubble
	defer signal.Stop(hangup)
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "tripline.yaml")
	write("tripline.yaml", `
kafka: {sasl: {mechanism: PLAIN, username: u, password: 'file:sasl'}}
endpoints:
  - name: a
    url: 'https://a.example/x?k=file:no'
    headers: {X-Key: 'file:header'}
    auth: {oauth2: {token_url: 'https://id.example/t', client_id: a, client_secret: 'file:client'}}
    signing: {secrets: ['file:signing']}
    proxy: {url: 'file:proxy'}
campaigns: []
`)
	names := []string{"sasl", "header", "client", "signing", "proxy"}
	contents := func(version string) []string {
		return []string{"s-" + version, "h-" + version, "c-" + version, "whsec_" + strings.Repeat(version, 8), "http://u:" + version + "@proxy:3128"}
	}
	for i, text := range contents("AAAA") {
		write(names[i], text+"\n")
	}
	synctest.Test(t, func(t *testing.T) {
		cfg, all, err := loadCampaigns(file)
		if err != nil {
			t.Fatal(err)
		}
		first := cfg
		core, logs := observer.New(zap.InfoLevel)
		now := func(all *config.Loaded) string {
			e := endpoint(&all.Config.Endpoints[0])
			return strings.Join([]string{first.sasl.now.Load().Password.Reveal(), e.Headers["X-Key"], e.Auth.OAuth2.ClientSecret, e.Signing[0].Value, e.Proxy.URL}, " ")
		}
		var current atomic.Pointer[config.Loaded]
		current.Store(all)
		again := newReloader(cfg, all, zap.New(core), func(_ *loaded, all *config.Loaded) error { current.Store(all); return nil })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- again.run(ctx) }()
		holds := func(version string) {
			t.Helper()
			time.Sleep(5 * time.Second)
			if got, want := now(current.Load()), strings.Join(contents(version), " "); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
		holds("AAAA")
		for i, text := range contents("BBBB") {
			write(names[i], text+"\r\n")
		}
		holds("BBBB")
		if err := os.Remove(filepath.Join(dir, "client")); err != nil {
			t.Fatal(err)
		}
		holds("BBBB")
		holds("BBBB")
		if n := logs.FilterLevelExact(zap.ErrorLevel).Len(); n != 1 {
			t.Errorf("%d log lines of a file that cannot be read", n)
		}
		for i, text := range contents("CCCC") {
			write(names[i], text)
		}
		holds("CCCC")
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if n := logs.FilterLevelExact(zap.WarnLevel).Len(); n != 0 {
			t.Errorf("%v", logs.All())
		}
		for _, line := range logs.All() {
			if strings.Contains(line.Message, "BBBB") || strings.Contains(line.Message, "CCCC") {
				t.Errorf("a secret is in a log line: %v", line)
			}
		}
	})
	if _, _, err := loadCampaigns(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "header")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := loadCampaigns(file); err == nil || !strings.Contains(err.Error(), file+":6:22: `X-Key`: the file cannot be read: no such file or directory") {
		t.Errorf("at the start: %v", err)
	}
}

// TestCredentials holds that connections to Kafka are made with the user and password that hold when they are made.
func TestCredentials(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser(mechanism, "u", "new"))
		if err != nil {
			t.Fatal(err)
		}
		defer cluster.Close()
		c := newCredentials(saslOf(t, mechanism, "old"))
		client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.SASL(c.mechanism()), kgo.RetryTimeout(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if err := client.Ping(t.Context()); err == nil {
			t.Errorf("%s: the wrong password", mechanism)
		}
		if !c.adopt(saslOf(t, mechanism, "new")) || c.adopt(saslOf(t, map[bool]string{true: "SCRAM-SHA-512", false: "PLAIN"}[mechanism == "PLAIN"], "x")) {
			t.Errorf("%s: what is adopted", mechanism)
		}
		if err := client.Ping(t.Context()); err != nil {
			t.Errorf("%s: %v", mechanism, err)
		}
	}
}

func saslOf(t *testing.T, mechanism, password string) *config.SASL {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tripline.yaml")
	if err := os.WriteFile(file, []byte("kafka: {sasl: {mechanism: "+mechanism+", username: u, password: '"+password+"'}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _, problems := config.Load(file, config.Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return cfg.Kafka.SASL
}
