package lane

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/tripline/tripline/state"
)

// Config says what a Group consumes, where its state is, and how it behaves
// when things move. Group, Topics, Changelog, Client, Store and Log are
// required; the rest has the defaults named below.
type Config struct {
	Group     string   // consumer group, and the prefix of transactional ids
	Topics    []string // input topics; all must have the same number of partitions
	Changelog string   // compacted topic of the state; created when missing
	Lanes     int      // 0: one per partition, at most 48

	// Start is where a partition without a position begins: "earliest" (the
	// default), "latest", or an RFC 3339 time.
	Start string
	// OnGapSkip goes on behind a gap instead of stopping the lane.
	OnGapSkip bool

	SessionTimeout     time.Duration // 10s: how long a silent member keeps its lanes
	TransactionTimeout time.Duration // 15s: how long the broker lets a transaction stay open
	StopTimeout        time.Duration // 4s: how long a lane that must stop may take to end its cycle
	// Leave gives the member's place up when Run ends. Otherwise the place
	// is kept for SessionTimeout, and a restart within it moves nothing.
	Leave bool
	// Address is where this process serves HTTP. It travels in the member's
	// metadata; see Owners.
	Address string
	// Memory bounds, in bytes, the fetched and not yet polled records of all
	// lanes together. 64 MiB.
	Memory int64

	// Client options come first in every client that the group makes:
	// seed brokers, TLS, SASL, dialer.
	Client []kgo.Opt
	Store  *state.Store
	Log    *zap.Logger
	// Metrics takes the group's metrics, labelled with the group. nil: none.
	Metrics prometheus.Registerer
}
