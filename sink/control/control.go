// Package control is the control topic: what is known of endpoints by all processes of a group, whether they run or not. Its
// records have the endpoint's name as their key; of each key the newest holds.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/tripline/tripline/processor/campaign/calendar"
)

// The states of an endpoint. Another state, and a record without a value, is that of an active one.
const (
	Active   = "active"
	Paused   = "paused"   // by somebody: what is for it waits
	Disabled = "disabled" // it has gone: what is for it fails
	Failing  = "failing"  // since when every attempt has failed, for `disable_after`; under a key of its own, beside the state
	Held     = "held"     // until when it has asked for nothing more (Retry-After); under a key of its own, too
)

// slash is between an endpoint's name and Failing or Held in the key of such a record; names hold none.
const slash = "/"

// State is what a record says.
type State struct {
	Endpoint string `json:"endpoint"`
	State    string `json:"state"`
	Cause    string `json:"cause,omitempty"`      // why: "410"
	Print    string `json:"print,omitempty"`      // of the configuration that it holds for; another one is not disabled
	Trigger  string `json:"trigger_id,omitempty"` // whose delivery met it
	Time     string `json:"time,omitempty"`
	Until    string `json:"until,omitempty"`  // of Held
	Since    string `json:"since,omitempty"`  // of Failing: when that began; "": there was a success
	Warned   int    `json:"warned,omitempty"` // of Failing: percent of `disable_after` that was warned of
}

// At is Time in ms since the epoch; 0 where there is none.
func (s *State) At() int64 { return at(s.Time) }

// Began is Since in ms since the epoch; 0 where there is none.
func (s *State) Began() int64 { return at(s.Since) }

// Ends is Until in ms since the epoch; 0 where there is none.
func (s *State) Ends() int64 { return at(s.Until) }

func at(text string) int64 {
	ms, err := calendar.ParseRFC3339(text)
	if err != nil {
		return 0
	}
	return ms
}

// Record is the record that disables an endpoint from a moment on (ms since the epoch).
func Record(topic, endpoint, cause, print, trigger string, now int64) *kgo.Record {
	return State{Endpoint: endpoint, State: Disabled, Cause: cause, Print: print, Trigger: trigger, Time: calendar.FormatTime(now)}.Record(topic)
}

// Record is the record that makes the state known.
func (s State) Record(topic string) *kgo.Record {
	value, _ := json.Marshal(s) // strings cannot fail
	key := s.Endpoint
	if s.State == Failing || s.State == Held {
		key += slash + s.State
	}
	return &kgo.Record{Topic: topic, Key: []byte(key), Value: value, Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/json")}}}
}

// Parse reads a record.
func Parse(r *kgo.Record) (State, error) {
	name, beside, _ := strings.Cut(string(r.Key), slash)
	s := State{State: Active}
	if len(r.Value) > 0 {
		if err := json.Unmarshal(r.Value, &s); err != nil {
			return State{}, err
		}
	}
	switch beside {
	case Failing, Held:
		s.Endpoint, s.State = name, beside
	default:
		s.Endpoint = string(r.Key)
	}
	if s.At() == 0 && !r.Timestamp.IsZero() {
		s.Time = calendar.FormatTime(r.Timestamp.UnixMilli())
	}
	return s, nil
}

// Follower reads the control topic to its end and then on.
type Follower struct {
	Topic  string
	Client []kgo.Opt
	Log    *zap.Logger
	Apply  func(State) // called for each record, by one goroutine
	ready  chan struct{}
}

// NewFollower returns a follower of a topic.
func NewFollower(topic string, client []kgo.Opt, log *zap.Logger, apply func(State)) *Follower {
	return &Follower{Topic: topic, Client: client, Log: log, Apply: apply, ready: make(chan struct{})}
}

// Ready is closed when everything that was in the topic at the start was applied.
func (f *Follower) Ready() <-chan struct{} { return f.ready }

// Run makes the topic where it is missing and follows it until ctx ends. It goes on after every error: a broker that is away
// comes back, and until Ready nothing is sent.
func (f *Follower) Run(ctx context.Context) {
	for tries := 0; ctx.Err() == nil; tries++ {
		err := f.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		f.Log.Warn("the control topic is read again from its start", zap.String("topic", f.Topic), zap.Error(err))
		select {
		case <-ctx.Done():
		case <-time.After(min(30*time.Second, time.Second<<min(tries, 5))):
		}
	}
}

func (f *Follower) follow(ctx context.Context) error {
	if err := Create(ctx, f.Topic, f.Client); err != nil {
		return err
	}
	opts := append([]kgo.Opt{}, f.Client...)
	client, err := kgo.NewClient(append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.MetadataMinAge(time.Second), kgo.DisableClientMetrics(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{f.Topic: {0: kgo.NewOffset().AtStart()}}))...)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListCommittedOffsets(ctx, f.Topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("end of %s: %w", f.Topic, err)
	}
	end, _ := ends.Lookup(f.Topic, 0)
	at := int64(0)
	starts, err := kadm.NewClient(client).ListStartOffsets(ctx, f.Topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return fmt.Errorf("start of %s: %w", f.Topic, err)
	}
	if start, ok := starts.Lookup(f.Topic, 0); ok {
		at = start.Offset
	}
	// Up to the end only what holds is applied: an endpoint that was disabled and is back was not disabled in between.
	seen := map[string]State{}
	for {
		if at >= end.Offset && seen != nil {
			for _, s := range seen {
				f.Apply(s)
			}
			seen = nil
			f.settled()
		}
		fetches := client.PollFetches(ctx)
		if err := errors.Join(ctx.Err(), fetches.Err()); err != nil {
			return fmt.Errorf("read %s: %w", f.Topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			at = r.Offset + 1
			if s, ok := f.parse(r); ok && seen != nil {
				seen[string(r.Key)] = s
			} else if ok {
				f.Apply(s)
			}
		})
	}
}

func (f *Follower) settled() {
	select {
	case <-f.ready:
	default:
		close(f.ready)
	}
}

func (f *Follower) parse(r *kgo.Record) (s State, ok bool) {
	if r.Attrs.IsControl() {
		return s, false
	}
	s, err := Parse(r)
	if err != nil {
		f.Log.Warn("a control record that cannot be read is left out", zap.String("topic", f.Topic), zap.Int64("offset", r.Offset), zap.Error(err))
	}
	return s, err == nil
}

// Create makes the topic where it is missing: one partition, so that its records have one order, and compacted. It returns when the
// topic can be read.
func Create(ctx context.Context, topic string, opts []kgo.Opt) error {
	client, err := kgo.NewClient(append(append([]kgo.Opt{}, opts...), kgo.DisableClientMetrics())...)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	compact, lag := "compact", "86400000"
	resp, err := admin.CreateTopic(ctx, 1, -1, map[string]*string{"cleanup.policy": &compact, "max.compaction.lag.ms": &lag}, topic)
	if err == nil {
		err = resp.Err
	}
	switch {
	case errors.Is(err, kerr.TopicAlreadyExists), errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return nil // where it may not be made, somebody else has made it, or reading it fails
	case err != nil:
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	// Brokers learn of a new topic one after the other.
	for tries := 0; ; tries++ {
		offsets, err := admin.ListEndOffsets(ctx, topic)
		if err == nil {
			err = offsets.Error()
		}
		if err == nil || ctx.Err() != nil || tries == 100 {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}
