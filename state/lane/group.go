package lane

import (
	"context"
	"errors"
)

// Group is a process's membership in a consumer group and the lanes it has.
type Group struct {
	cfg  Config
	loop Loop
}

// New checks cfg and fills in its defaults. It opens nothing.
func New(cfg Config, loop Loop) (*Group, error) {
	return &Group{cfg: cfg, loop: loop}, nil
}

// Run checks the topics, makes the changelog where it is missing, joins the
// group and runs the lanes that it is assigned until ctx ends. Then each lane
// ends its cycle, and Run returns nil when all of them have, within
// Config.StopTimeout and a second. It closes all that it opened, and leaves
// Config.Store open.
//
// It returns [*UnreachableError] when Kafka does not answer at the start,
// [*TopicsError] when the input is missing or its partition counts differ, and
// the first error of a Loop that is not the lane's.
func (g *Group) Run(ctx context.Context) error {
	return errors.ErrUnsupported
}

// Status is one of the process's lanes as an operator wants to see it.
type Status struct {
	Lane  int32
	Phase string // "fencing", "restoring", "running" or "stopped"
	Err   error  // why it is stopped, or what it is being tried again after
	// Restored counts changelog records read since the lane was taken, of
	// about Restored + Left.
	Restored, Left int64
}

// Status of the lanes that this process has now, in order of lane. It may be
// called at any time, also before and after Run.
func (g *Group) Status() []Status { return nil }
