package lane

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ErrAborted says that a cycle was aborted, or that nobody can tell whether
// it was committed. Whatever the cycle decided must be forgotten.
var ErrAborted = errors.New("transaction aborted or its outcome unknown")

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

// troubleError is what Poll, Commit and Ends return for what may pass: the lane
// is fenced and restored and tries again.
type troubleError struct{ err error }

func (e *troubleError) Error() string { return e.err.Error() }
func (e *troubleError) Unwrap() error { return e.err }

// LanesError says that the number of lanes is not the one that the state was made
// with. A partition would be in use under two transactional ids, of which neither
// fences the other.
type LanesError struct{ Recorded, Configured int }

func (e *LanesError) Error() string {
	return fmt.Sprintf("the state was made with lanes: %d, and lanes is %d now: set it back, or use a new group, whose state begins anew",
		e.Recorded, e.Configured)
}
