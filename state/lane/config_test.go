package lane

import (
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/tripline/tripline/state"
)

func TestConfig(t *testing.T) {
	if _, err := New(Config{}, nil); err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("an empty config has %v", err)
	}
	store, err := state.Open(state.Config{Dir: "state", FS: vfs.NewMem(), Memory: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	good := Config{Group: "g", Topics: []string{"in"}, Changelog: "log", Store: store}
	checked, err := good.check()
	if err != nil {
		t.Fatal(err)
	}
	if checked.SessionTimeout != 10*time.Second || checked.TransactionTimeout != 15*time.Second || checked.Start != "earliest" {
		t.Errorf("defaults %+v", checked)
	}
	for text, spoil := range map[string]func(*Config){
		"topics: in is named twice":          func(c *Config) { c.Topics = []string{"in", "in"} },
		"topics: log is the changelog":       func(c *Config) { c.Topics = []string{"log"} },
		"lanes: -1 is negative":              func(c *Config) { c.Lanes = -1 },
		"session_timeout: 10ms is below 1s":  func(c *Config) { c.SessionTimeout = 10 * time.Millisecond },
		`start: "yesterday" is neither`:      func(c *Config) { c.Start = "yesterday" },
		`start: "1969-12-31T23:59:59Z" is n`: func(c *Config) { c.Start = "1969-12-31T23:59:59Z" },
	} {
		bad := good
		spoil(&bad)
		if _, err := bad.check(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, expected %s", err, text)
		}
	}
}

// Clients that fetch are told what their batches grow to.
func TestClientsKnowGrowth(t *testing.T) {
	cfg := &Config{Group: "g", Changelog: "log", Memory: 64 << 20, TransactionTimeout: 15 * time.Second, Log: zap.NewNop()}
	for name, make := range map[string]func() (*kgo.Client, error){
		"lane": func() (*kgo.Client, error) { client, _, err := cfg.laneClient(0, 4); return client, err }, "restore": func() (*kgo.Client, error) { return cfg.restoreClient(0, 0) },
		"copy": func() (*kgo.Client, error) { return cfg.followClient(4) },
	} {
		client, err := make()
		if err != nil {
			t.Fatal(err)
		}
		was := client.OptValue(kgo.FetchMaxBytes).(int32)
		for _, hook := range client.OptValue(kgo.WithHooks).([]kgo.Hook) {
			if g, ok := hook.(kgo.HookFetchBatchRead); ok {
				g.OnFetchBatchRead(kgo.BrokerMetadata{}, "in", 0, kgo.FetchBatchMetrics{CompressedBytes: 1000, UncompressedBytes: 16_000})
			}
		}
		if now := client.OptValue(kgo.FetchMaxBytes).(int32); now != was/4 {
			t.Errorf("%s: %d bytes are fetched of what grows as usual, and %d of what grows by 16", name, was, now)
		}
		client.Close()
	}
}
