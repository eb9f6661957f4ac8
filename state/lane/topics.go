package lane

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// layout is what the start found out about topics. It does not change while a
// group runs.
type layout struct {
	partitions  int32 // of each input topic and of the changelog
	lanes       int32
	changelogID [16]byte
	// retention is how long the changelog keeps tombstones: state that missed
	// more than that may hold what was deleted (KIP-1259).
	retention time.Duration
	// appendTime says that the broker stamps the changelog.
	appendTime bool
}

// changelogConfig makes a topic that compacts soon and in small steps. An
// active segment is never compacted, and with the defaults of 1 GiB and 7 days
// a changelog would not be either.
var changelogConfig = map[string]string{
	"cleanup.policy":            "compact",
	"segment.bytes":             strconv.Itoa(64 << 20),
	"max.compaction.lag.ms":     strconv.Itoa(6 * 3600 * 1000),
	"min.cleanable.dirty.ratio": "0.2",
	"delete.retention.ms":       strconv.Itoa(24 * 3600 * 1000),
	"message.timestamp.type":    "LogAppendTime",
}

// survey waits for Kafka to answer, checks the topics and makes the changelog
// where it is missing. A broker that has just started knows no topics, none
// knows one that was made a moment ago, and one of several may be away while
// the others answer: what may be due to that is asked again.
func (cfg *Config) survey(ctx context.Context, client *kgo.Client) (lay *layout, err error) {
	if err := cfg.reach(ctx, client); err != nil {
		return nil, err
	}
	for away := time.Now().Add(4 * reachTimeout); ; {
		for range 20 {
			lay, err = cfg.look(ctx, kadm.NewClient(client))
			var refused *TopicsError
			missing := errors.As(err, &refused) && refused.Recorded == 0 && slices.Contains(slices.Collect(maps.Values(refused.Counts)), 0)
			if err == nil || !missing && !passing(err) || !pause(ctx, 250*time.Millisecond) {
				return lay, err
			}
		}
		if !passing(err) || time.Now().After(away) {
			return lay, err
		}
	}
}

// passing reports whether an error may be gone when the request is made again:
// a broker that goes away or comes back, not one that refuses.
func passing(err error) bool {
	var dial *net.OpError
	var early *kgo.ErrFirstReadEOF
	return kerr.IsRetriable(err) || kgo.IsRetryableBrokerErr(err) || errors.As(err, &dial) || errors.As(err, &early)
}

func (cfg *Config) look(ctx context.Context, admin *kadm.Client) (*layout, error) {
	names := append([]string{cfg.Changelog}, cfg.Topics...)
	topics, err := admin.ListTopics(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("look at the topics %s: %w", strings.Join(names, ", "), err)
	}
	partitions, err := cfg.countInputs(topics)
	if err != nil {
		return nil, err
	}
	changelog := topics[cfg.Changelog]
	if errors.Is(changelog.Err, kerr.UnknownTopicOrPartition) {
		if changelog, err = cfg.makeChangelog(ctx, admin, partitions); err != nil {
			return nil, err
		}
	}
	if changelog.Err != nil {
		return nil, fmt.Errorf("topic %s: %w", cfg.Changelog, changelog.Err)
	}
	if n := len(changelog.Partitions); n != int(partitions) {
		counts := make(map[string]int)
		for _, topic := range cfg.Topics {
			counts[topic] = int(partitions)
		}
		return nil, &TopicsError{Counts: counts, Recorded: n}
	}
	lay := &layout{partitions: partitions, changelogID: changelog.ID, lanes: int32(cfg.Lanes)}
	if lay.lanes == 0 {
		lay.lanes = defaultLanes
	}
	lay.lanes = min(lay.lanes, partitions)
	return lay, cfg.readChangelogConfig(ctx, admin, lay)
}

// reach tries until some broker answers. A broker that starts at the same time
// as this process is waited for.
func (cfg *Config) reach(ctx context.Context, client *kgo.Client) error {
	within, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	for {
		err := client.Ping(within)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		select {
		case <-within.Done():
			seeds, _ := client.OptValue(kgo.SeedBrokers).([]string)
			return &UnreachableError{Brokers: seeds, Err: err}
		case <-time.After(250 * time.Millisecond):
		}
	}
}

func (cfg *Config) countInputs(topics kadm.TopicDetails) (int32, error) {
	counts := make(map[string]int, len(cfg.Topics))
	same := true
	for _, name := range cfg.Topics {
		topic := topics[name]
		switch {
		case errors.Is(topic.Err, kerr.UnknownTopicOrPartition):
		case topic.Err != nil:
			return 0, fmt.Errorf("topic %s: %w", name, topic.Err)
		default:
			counts[name] = len(topic.Partitions)
		}
		if _, exists := counts[name]; !exists {
			counts[name] = 0
		}
		same = same && counts[name] > 0 && counts[name] == counts[cfg.Topics[0]]
	}
	if !same {
		return 0, &TopicsError{Counts: counts}
	}
	return int32(counts[cfg.Topics[0]]), nil
}

// makeChangelog makes the changelog and waits until brokers tell of it. Another
// member may be doing the same, and an answer may get lost.
func (cfg *Config) makeChangelog(ctx context.Context, admin *kadm.Client, partitions int32) (kadm.TopicDetail, error) {
	configs := make(map[string]*string, len(changelogConfig))
	for name, value := range changelogConfig {
		configs[name] = kadm.StringPtr(value)
	}
	for began := time.Now(); ; {
		within, cancel := context.WithTimeout(ctx, createTimeout)
		_, err := admin.CreateTopic(within, partitions, -1, configs, cfg.Changelog)
		cancel()
		if err == nil {
			cfg.Log.Info("changelog created", zap.String("topic", cfg.Changelog), zap.Int32("partitions", partitions))
		}
		topics, listErr := admin.ListTopics(ctx, cfg.Changelog)
		if topic := topics[cfg.Changelog]; listErr == nil && topic.Err == nil && ready(topic) {
			return topic, nil
		}
		if errors.Is(err, kerr.TopicAlreadyExists) {
			err = nil
		}
		refused := err != nil && !kerr.IsRetriable(err) && !errors.Is(err, context.DeadlineExceeded)
		if refused || time.Since(began) > 4*createTimeout || !pause(ctx, 100*time.Millisecond) {
			return kadm.TopicDetail{}, fmt.Errorf("create topic %s: %w", cfg.Changelog, cmp.Or(err, listErr, ctx.Err(), errors.New("it has no leaders")))
		}
	}
}

func ready(topic kadm.TopicDetail) bool {
	for _, p := range topic.Partitions {
		if p.Err != nil || p.Leader < 0 {
			return false
		}
	}
	return len(topic.Partitions) > 0
}

// readChangelogConfig reads what the restore depends on, and refuses a
// changelog that would lose state.
func (cfg *Config) readChangelogConfig(ctx context.Context, admin *kadm.Client, lay *layout) error {
	described, err := admin.DescribeTopicConfigs(ctx, cfg.Changelog)
	if err != nil {
		return fmt.Errorf("read the settings of topic %s: %w", cfg.Changelog, err)
	}
	for _, resource := range described {
		if resource.Err != nil {
			return fmt.Errorf("read the settings of topic %s: %w", cfg.Changelog, resource.Err)
		}
		for _, setting := range resource.Configs {
			value := setting.MaybeValue()
			switch setting.Key {
			case "cleanup.policy":
				if strings.TrimSpace(value) != "compact" {
					return fmt.Errorf("topic %s has cleanup.policy=%s, which would lose state: set it to compact", cfg.Changelog, value)
				}
			case "delete.retention.ms":
				ms, err := strconv.ParseInt(value, 10, 64)
				if err != nil {
					return fmt.Errorf("topic %s: delete.retention.ms: %w", cfg.Changelog, err)
				}
				lay.retention = time.Duration(min(ms, 1<<43)) * time.Millisecond
			case "message.timestamp.type":
				lay.appendTime = value == "LogAppendTime"
			}
		}
	}
	return nil
}

// GapError says that a position is no longer in its topic, so that records
// between were missed.
type GapError struct {
	Topic       string
	Partition   int32
	Position    int64 // the next offset to read
	First, Last int64 // what the topic has: First <= offset < Last
	Recreated   bool  // it is another topic of that name than the one that the position belongs to
}

func (e *GapError) Error() string {
	if e.Recreated {
		return fmt.Sprintf("topic %s was made anew: partition %d was applied up to offset %d of the one before; "+
			"to go on at the start of the new one set on_gap: skip, or use a new group, whose state begins anew", e.Topic, e.Partition, e.Position)
	}
	if e.Position > e.Last {
		return fmt.Sprintf("topic %s partition %d ends at offset %d, before the position %d: the topic was cut or made anew; "+
			"to go on at its end set on_gap: skip", e.Topic, e.Partition, e.Last, e.Position)
	}
	return fmt.Sprintf("topic %s partition %d begins at offset %d, after the position %d: %d records are gone and were not applied; "+
		"to go on without them set on_gap: skip", e.Topic, e.Partition, e.First, e.Position, e.First-e.Position)
}

// UnreachableError says that no broker answered at the start.
type UnreachableError struct {
	Brokers []string
	Err     error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("Kafka does not answer at %s: %v; check that it runs, that kafka.brokers names it, "+
		"and that its advertised listeners, TLS and SASL settings are those that this machine can use", strings.Join(e.Brokers, ", "), e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// TopicsError says that the topics are not such that a group could run.
type TopicsError struct {
	Counts   map[string]int // partitions of each input topic; 0: missing
	Recorded int            // partitions when the state was made; 0: not the matter
}

func (e *TopicsError) Error() string {
	names := slices.Sorted(maps.Keys(e.Counts))
	var missing, counts []string
	for _, name := range names {
		if e.Counts[name] == 0 {
			missing = append(missing, name)
			continue
		}
		counts = append(counts, fmt.Sprintf("%s has %d", name, e.Counts[name]))
	}
	switch {
	case len(missing) > 0:
		return fmt.Sprintf("missing topics: %s; `tripline topics create` makes them", strings.Join(missing, ", "))
	case e.Recorded > 0:
		return fmt.Sprintf("the input had %d partitions when the state was made, and now %s: users are in other partitions than their state; "+
			"copy the input into topics with %d partitions, or use a new group, whose state begins anew",
			e.Recorded, strings.Join(counts, ", "), e.Recorded)
	default:
		return fmt.Sprintf("input topics must have the same number of partitions, but %s; "+
			"`tripline topics create` makes missing topics with the right one", strings.Join(counts, ", "))
	}
}

// LanesError says that the number of lanes is not the one that the state was made
// with. A partition would be in use under two transactional ids, of which neither
// fences the other.
type LanesError struct{ Recorded, Configured int }

func (e *LanesError) Error() string {
	return fmt.Sprintf("the state was made with lanes: %d, and lanes is %d now: set it back, or use a new group, whose state begins anew",
		e.Recorded, e.Configured)
}
