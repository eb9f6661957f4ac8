package lane

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/tripline/tripline/state"
	"github.com/tripline/tripline/state/lane/fetched"
)

// Config says what a Group consumes, where its state is, and how it behaves
// when things move. Group, Topics, Changelog and Store are required; the rest
// has the defaults named below.
type Config struct {
	Group     string   // consumer group, and the prefix of transactional ids
	Topics    []string // input topics; all must have the same number of partitions
	Changelog string   // compacted topic of the state; created when missing
	Outputs   []string // other topics that cycles write to; "" is none
	Lanes     int      // 0: one per partition, at most 48

	// Start is where a partition without a position begins: "earliest" (the
	// default), "latest", or an RFC 3339 time.
	Start string
	// OnGapSkip goes on behind a gap instead of stopping the lane.
	OnGapSkip bool

	SessionTimeout     time.Duration // 10s: how long a silent member keeps its lanes
	TransactionTimeout time.Duration // 15s: how long the broker lets a transaction stay open
	StopTimeout        time.Duration // 4s: how long a lane that must stop may take to end its cycle
	// Keep is how long the state of a lane that others have stays on disk, in case
	// it comes back. 1h.
	Keep time.Duration
	// Standbys is how many warm copies of each lane the group keeps on members that do not own it, as far as there are such. The
	// largest number that a member asks for holds.
	Standbys int
	// Leave gives the member's place up when Run ends. Otherwise the place
	// is kept for SessionTimeout, and a restart within it moves nothing.
	Leave bool
	// Assigned is told how many lanes this process has whenever it is given some; nil: nobody is.
	Assigned func(lanes int)
	// Address is where this process serves HTTP. It travels in the member's
	// metadata; see Owners.
	Address string
	// Memory is what the fetched records of all lanes together may take until they
	// are applied, in bytes. Of what comes compressed a quarter of it is fetched, as
	// that grows, or less where it grows more; a batch comes whole, and waits until
	// there is room for it (package fetched). 64 MiB.
	Memory int64

	// Client options come first in every client that the group makes:
	// seed brokers, TLS, SASL, dialer.
	Client []kgo.Opt
	Store  *state.Store
	Log    *zap.Logger // nil: silent
	// Metrics takes the group's metrics, labelled with the group. nil: none.
	Metrics prometheus.Registerer

	room *fetched.Room // for Memory
}

const (
	defaultLanes  = 48
	defaultMemory = 64 << 20

	// A transaction that cannot be ended in this time will not be soon.
	fenceTimeout = 30 * time.Second
	// createTimeout is how long one try to create the changelog may take.
	createTimeout = 5 * time.Second
	// reachTimeout is how long the start waits for any broker to answer.
	reachTimeout = 8 * time.Second
	// joinMargin is how much longer than StopTimeout the group waits for members to
	// give lanes up and join again.
	joinMargin = 4 * time.Second
	// memberOverhead is how much longer than that a member waits for the answer.
	// A broker may put the end off with each member that asks again, so that the
	// longest pause between two of them must be longer than the wait itself.
	memberOverhead = 10 * time.Second
	// closeTimeout bounds each of the last things said to the group.
	closeTimeout = 300 * time.Millisecond
	// fetchWait is how long a fetch stays at the broker when there is nothing,
	// and so how long a resumed partition may wait for another's fetch.
	fetchWait = 500 * time.Millisecond
)

// check returns cfg with its defaults, or everything that is wrong with it.
func (cfg Config) check() (Config, error) {
	var problems []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	cfg.Start = cmp.Or(cfg.Start, "earliest")
	cfg.SessionTimeout = cmp.Or(cfg.SessionTimeout, 10*time.Second)
	cfg.TransactionTimeout = cmp.Or(cfg.TransactionTimeout, 15*time.Second)
	cfg.StopTimeout = cmp.Or(cfg.StopTimeout, 4*time.Second)
	cfg.Keep = cmp.Or(cfg.Keep, time.Hour)
	cfg.Memory = cmp.Or(cfg.Memory, defaultMemory)
	cfg.Log = cmp.Or(cfg.Log, zap.NewNop())
	wrong(cfg.Group == "", "group: must not be empty")
	wrong(len(cfg.Topics) == 0, "topics: at least one is needed")
	for i, topic := range cfg.Topics {
		wrong(topic == "", "topics: a name is empty")
		wrong(slices.Contains(cfg.Topics[:i], topic), "topics: %s is named twice", topic)
		wrong(topic == cfg.Changelog, "topics: %s is the changelog", topic)
	}
	wrong(cfg.Changelog == "", "changelog: must not be empty")
	wrong(cfg.Lanes < 0, "lanes: %d is negative", cfg.Lanes)
	wrong(cfg.SessionTimeout < time.Second, "session_timeout: %s is below 1s", cfg.SessionTimeout)
	wrong(cfg.TransactionTimeout < time.Second, "transaction_timeout: %s is below 1s", cfg.TransactionTimeout)
	wrong(cfg.StopTimeout < 0, "stop timeout: %s is negative", cfg.StopTimeout)
	wrong(cfg.Keep < 0, "state.keep: %s is negative", cfg.Keep)
	wrong(cfg.Standbys < 0, "state.standbys: %d is negative", cfg.Standbys)
	wrong(cfg.Memory < 0, "memory: %d is negative", cfg.Memory)
	wrong(cfg.Store == nil, "a store is needed")
	if _, err := startAt(cfg.Start); err != nil {
		problems = append(problems, err)
	}
	if len(problems) > 0 {
		return cfg, fmt.Errorf("lanes: %w", errors.Join(problems...))
	}
	cfg.room = fetched.NewRoom(cfg.Memory)
	return cfg, nil
}

// startAt is Start as ListOffsets takes it.
func startAt(start string) (int64, error) {
	switch start {
	case "earliest":
		return atStart, nil
	case "latest":
		return atEnd, nil
	}
	at, err := time.Parse(time.RFC3339, start)
	if err != nil || at.UnixMilli() < 0 {
		return 0, fmt.Errorf("start: %q is neither earliest, latest nor an RFC 3339 time", start)
	}
	return at.UnixMilli(), nil
}

// client makes a client for anything but a lane or the group.
func (cfg *Config) client(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(cfg.common(), opts...)...)
}

func (cfg *Config) common() []kgo.Opt {
	opts := append(slices.Clone(cfg.Client),
		kgo.MetadataMinAge(time.Second),
		kgo.RequestTimeoutOverhead(5*time.Second),
		kgo.DisableClientMetrics(),
	)
	if cfg.Log.Core().Enabled(zap.DebugLevel) {
		opts = append(opts, kgo.WithLogger(clientLog{cfg.Log.Named("kgo").WithOptions(zap.WithCaller(false)).Sugar()}))
	}
	return opts
}

// writer makes a client with a lane's transactional id.
func (cfg *Config) writer(number int32, opts ...kgo.Opt) (*kgo.Client, error) {
	return cfg.client(append(opts,
		kgo.TransactionalID(fmt.Sprintf("%s-%d", cfg.Group, number)),
		kgo.TransactionTimeout(cfg.TransactionTimeout),
		kgo.RecordDeliveryTimeout(cfg.TransactionTimeout),
		kgo.ProduceRequestTimeout(min(10*time.Second, cfg.TransactionTimeout)),
		kgo.ProducerLinger(0))...)
}

// laneClient makes the client of one life of a lane: its transactional producer
// and the consumer of its input. It opens nothing yet.
func (cfg *Config) laneClient(number, lanes int32) (*kgo.Client, *fetched.Fetches, error) {
	perLane := int32(min(16<<20, max(128<<10, cfg.Memory/fetched.UsualGrowth/int64(lanes))))
	fetches := fetched.New(perLane, min(perLane, 1<<18), cfg.room.NewPlace(lanes))
	client, err := cfg.writer(number, append(fetches.Options(),
		kgo.RecordPartitioner(partitioner{cfg.Changelog}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(fetchWait),
		kgo.WithPools(fetches),
	)...)
	fetches.Of(client)
	return client, fetches, err
}

// restoreClient makes a consumer of one changelog partition from an offset on.
func (cfg *Config) restoreClient(partition int32, from int64) (*kgo.Client, error) {
	most := int32(min(8<<20, max(128<<10, cfg.Memory/fetched.UsualGrowth)))
	fetches := fetched.New(most, most, nil)
	client, err := cfg.client(append(fetches.Options(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{cfg.Changelog: {partition: kgo.NewOffset().At(from)}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(fetchWait),
	)...)
	fetches.Of(client)
	return client, err
}

// followClient makes the consumer of a warm copy. It reads nothing yet.
func (cfg *Config) followClient(lanes int32) (*kgo.Client, error) {
	perLane := int32(min(8<<20, max(128<<10, cfg.Memory/fetched.UsualGrowth/int64(lanes))))
	fetches := fetched.New(perLane, perLane, nil)
	client, err := cfg.client(append(fetches.Options(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(followWait),
	)...)
	fetches.Of(client)
	return client, err
}

// partitioner sends the changelog's records where they say, and all others where
// a Java client would send their key.
type partitioner struct{ changelog string }

func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	if topic == p.changelog {
		return kgo.ManualPartitioner().ForTopic(topic)
	}
	return kgo.StickyKeyPartitioner(nil).ForTopic(topic)
}

// clientLog shows what a client says of itself where debug logging is on.
type clientLog struct{ *zap.SugaredLogger }

func (clientLog) Level() kgo.LogLevel { return kgo.LogLevelInfo }

func (l clientLog) Log(_ kgo.LogLevel, text string, pairs ...any) { l.Debugw(text, pairs...) }
