package lane

import (
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

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
