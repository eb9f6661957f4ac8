package state

import (
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

// Pebble's defaults are those of a test: 8 MB of cache, memtables of 4 MB, no filters, the oldest format.
func TestOptions(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}.withDefaults()
	o := options(cfg, nil, newHealth(cfg))
	if o.CacheSize <= 8<<20 || o.MemTableSize <= 4<<20 || o.FormatMajorVersion != pebble.FormatNewest || !o.DisableWAL {
		t.Errorf("cache %d, memtables %d, format %s, no log: %t", o.CacheSize, o.MemTableSize, o.FormatMajorVersion, o.DisableWAL)
	}
	for i := range o.Levels {
		if o.Levels[i].FilterPolicy == pebble.NoFilterPolicy {
			t.Errorf("level %d has no filter", i)
		}
	}
}
