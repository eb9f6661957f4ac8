package intake

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign/record"
)

// TestLeaves holds that a record of an endpoint that is left behind is seen to be one without being read whole, and that no other is taken
// for it.
func TestLeaves(t *testing.T) {
	a := &Ahead{Behind: map[string]bool{"ops": true}}
	written := func(endpoint string) string {
		trigger := record.Trigger{ID: "trg_1", Campaign: "c", Version: "v", User: "u", Time: 1, Endpoint: endpoint}
		return string(trigger.Append(nil, 2))
	}
	for text, want := range map[string]bool{
		written("ops"):   true,
		written("crm"):   false,
		written("x-ops"): false,
		written(`"ops`):  false,
		written(`\"ops`): false,
		"":               false,
		`"}`:             false,
		`{"id":"trg_1","user_id":",\"endpoint\":\"ops"}`: false,
		`{"id":"trg_1","endpoint":"crm","x":"ops"}`:      false,
		`{"id":"trg_1","an,\"endpoint":"ops"}`:           false,
	} {
		if got := a.Leaves(&kgo.Record{Value: []byte(text)}); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
