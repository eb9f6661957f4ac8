package lane

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/state"
)

// Loop runs one restored lane until ctx ends, which says that the lane is
// revoked, lost, or the process stops: it ends its cycle, by Commit or by
// forgetting it, within Config.StopTimeout, and returns nil.
//
// An error of Poll, Commit or Ends is to be returned, wrapped or not; what
// becomes of the lane is then the lane's own decision: after [ErrAborted] and
// other passing troubles it is fenced and restored and Loop is called again
// with a new Lane; after a [*GapError] it stays stopped while other lanes go
// on. Any other error of the caller ends Group.Run with it.
//
// Loop is called on a goroutine per lane, so several run at once.
type Loop func(ctx context.Context, l *Lane) error

// Lane is what a Loop has from its start to its return. It is of no use
// afterwards. One goroutine uses it, except that Poll and Ends may run while
// Commit does.
type Lane struct {
	number     int32
	partitions []*Partition
}

// Partition is one partition number of a lane, over all input topics.
type Partition struct {
	Number int32
	// State holds rows and position as of the last committed cycle; when Loop
	// is called its Position has an offset for each input topic. Loop reads
	// from it and leaves writing to Commit.
	State *state.Partition
}

// Batch is what Poll returns of one partition of one topic.
type Batch struct {
	Topic     string
	Partition int32
	Records   []*kgo.Record // in order of offset; may be empty
	// Next is the position reached when all of Records are applied: behind
	// commit markers, aborted and compacted records. A batch without records
	// says that the position moved only over such.
	Next int64
}

// Cycle is all that one transaction makes true.
type Cycle struct {
	// Records to produce, those of one partition in this order. A record to
	// any topic but the changelog goes to the partition of its key, as Java
	// clients choose it (murmur2).
	Records []*kgo.Record
	// Changes has at most one entry per partition number of the lane.
	Changes []Change
}

// Change is what a cycle makes of one partition's state.
type Change struct {
	Partition int32
	Rows      []state.Row // the last row of a key wins
	// Position after the cycle. The caller sets Inputs, Arrival and Stream;
	// an input topic left out of Inputs keeps its offset. The lane sets the
	// other fields.
	Position state.Position
}

// End is the log end of one partition of one topic, as its leader had it at
// some moment after Ends was called.
type End struct {
	Topic     string
	Partition int32
	Offset    int64 // the offset that the next appended record will get
	// Exact is false where the broker refuses to tell its log end and Offset
	// is the high watermark, which may be seconds behind.
	Exact bool
}

// Number of the lane, from 0.
func (l *Lane) Number() int32 { return l.number }

// Partitions of the lane, in order of number.
func (l *Lane) Partitions() []*Partition { return l.partitions }

// Poll returns fetched input records, at most max, as soon as there are any
// and so many as are there; without any it waits for one or for ctx. It
// returns ctx's error when ctx ends, so a Loop that bounds its wait by a
// timer gives Poll a context with that deadline.
//
// Each partition's batches continue one another from its committed position
// on. The next records are fetched in the background, also during Commit.
func (l *Lane) Poll(ctx context.Context, max int) ([]Batch, error) {
	return nil, errors.ErrUnsupported
}

// Pause keeps Poll from returning records of a topic's partition, and lets
// it go on from the same record after Resume. It bounds what is held while
// another topic of the same partition number has to catch up.
func (l *Lane) Pause(topic string, partition int32) {}

// Resume ends Pause.
func (l *Lane) Resume(topic string, partition int32) {}

// Commit makes a cycle true: it produces c.Records, the changelog's records
// of the rows and the positions in one transaction, ends it, and applies rows
// and positions to the store. An empty cycle is nothing.
//
// On an error nothing of the cycle is in the store; [ErrAborted] says that it
// may still be in the topics, which only fencing and restoring can tell. A
// Lane is of no use after an error. Commit is not cut short when the Loop's
// context ends, and takes no longer than Config.TransactionTimeout.
func (l *Lane) Commit(c Cycle) error { return errors.ErrUnsupported }

// Ends asks the leader of each partition of each input topic for its log end,
// which is not the high watermark: what was appended but is not yet readable
// counts. A partition whose leader did not answer, or whose answer is of an
// older leader epoch, is left out. When the position of a partition has reached
// its End, everything appended before the call is applied.
func (l *Lane) Ends(ctx context.Context) ([]End, error) {
	return nil, errors.ErrUnsupported
}

// Ahead is how far, in ms, this machine's clock is ahead of the broker's
// (negative: behind), from the append times of the changelog's last cycles and
// a few ms too large rather than too small. It is unknown before the lane's
// first Commit, and where the changelog has no append times. What must not
// happen early is judged at the machine's time less a positive Ahead.
func (l *Lane) Ahead() (ms int64, known bool) { return 0, false }
