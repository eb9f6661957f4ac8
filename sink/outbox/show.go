package outbox

import (
	"encoding/json"
	"fmt"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/state"
)

// Shown is a row as a person can read it. Times are RFC 3339.
type Shown struct {
	Row      string          `json:"row"`                // erased, queue, batch, turn, waiting or ended
	Key      string          `json:"delivery,omitempty"` // trigger id, and the number of the replay
	Campaign string          `json:"campaign,omitempty"`
	Endpoint string          `json:"endpoint,omitempty"`
	User     string          `json:"user_id,omitempty"`
	Offset   *int64          `json:"offset,omitempty"` // of its record, or of the user's tombstone, in `triggers`
	Stage    string          `json:"stage,omitempty"`  // timed, queued, queued_again, unknown, behind
	Attempts int             `json:"attempts,omitempty"`
	Since    string          `json:"since,omitempty"`
	Due      string          `json:"due,omitempty"`
	Waiting  *int64          `json:"waiting,omitempty"` // deliveries of the endpoint
	Keys     []string        `json:"deliveries,omitempty"`
	Batch    string          `json:"batch,omitempty"`
	Trigger  json.RawMessage `json:"trigger,omitempty"` // the record of a delivery that waits
}

var stageNames = []string{Timed: "timed", QueuedFirst: "queued", QueuedAgain: "queued_again", Unknown: "unknown", Behind: "behind"}

// Show takes a row of a partition apart.
func Show(r state.Row) (*Shown, error) {
	if r.ID == "" {
		return nil, errRow
	}
	name, due := r.ID[1:], ""
	if r.Due != 0 {
		due = calendar.FormatTime(r.Due)
	}
	switch r.ID[0] {
	case erasedRow:
		offset, err := decodeOffset(name, r.Content)
		return &Shown{Row: "erased", User: name, Offset: &offset}, err
	case endedRow:
		return &Shown{Row: "ended", Key: name, Due: due}, nil
	case queueRow:
		if r.Part != 0 {
			keys, err := decodeKeys(name, r.Content)
			return &Shown{Row: "queue", Endpoint: name, Keys: keys}, err
		}
		q, err := decodeQueues(name, r.Content)
		return &Shown{Row: "queue", Endpoint: name, Waiting: &q.waiting}, err
	case batchRow:
		shown := &Shown{Row: "batch", Batch: name}
		var err error
		if r.Part != 0 {
			shown.Keys, err = decodeKeys(name, r.Content)
		}
		return shown, err
	case turnRow:
		endpoint, user, err := splitTurn(name)
		shown := &Shown{Row: "turn", Endpoint: endpoint, User: user}
		if r.Part != 0 && len(r.Content) > 0 {
			shown.Key = string(r.Content[1:])
		}
		return shown, err
	case waitingRow:
		if r.Part == 0 {
			return showDelivery(name, r.Content, due)
		}
		shown := &Shown{Row: "waiting", Key: name}
		return shown, shown.record(name, r.Content)
	}
	return nil, fmt.Errorf("%w: %q", errRow, r.ID)
}

// record shows the record of a delivery's trigger.
func (s *Shown) record(key string, content []byte) error {
	_, record, ok := splitRecord(content)
	if !ok || !json.Valid(record) {
		return fmt.Errorf("%w: the record of %q", errRow, key)
	}
	if s.User == "" {
		var whose struct {
			User string `json:"user_id"`
		}
		_ = json.Unmarshal(record, &whose) // it is valid; another type is no user
		s.User = whose.User
	}
	s.Trigger = append(json.RawMessage(nil), record...)
	return nil
}

func showDelivery(key string, content []byte, due string) (*Shown, error) {
	d, err := decodeDelivery(key, content, true)
	if err != nil || int(d.Stage) >= len(stageNames) {
		return nil, fmt.Errorf("%w: %q", errRow, key)
	}
	shown := &Shown{Row: "waiting", Key: d.Key, Campaign: d.Campaign, Endpoint: d.Endpoint, User: d.User, Offset: &d.Offset,
		Stage: stageNames[d.Stage], Attempts: d.Attempts, Batch: d.Batch, Since: calendar.FormatTime(d.Since), Due: due}
	if d.record != "" {
		err = shown.record(key, []byte(d.record))
	}
	return shown, err
}
