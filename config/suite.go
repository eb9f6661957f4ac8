package config

import (
	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/value"
)

// Suite is a campaign test file.
type Suite struct {
	Campaigns []string `yaml:"campaigns"` // files and globs; LoadTests makes them relative to the working directory
	Config    string   `yaml:"config"`    // a tripline.yaml; empty: the defaults, and `deliver.endpoint` may name anything
	Tests     []Test   `yaml:"tests"`

	// File is the name of the test file.
	File string `yaml:"-"`
}

// Test is one case: what happens from Start to Until, and what must come of it.
type Test struct {
	Name     string                      `yaml:"name"`
	Start    *campaign.Time              `yaml:"start"` // never nil after LoadTests
	Profiles map[string]value.Properties `yaml:"profiles"`
	Events   []TestRecord                `yaml:"events"` // in the order of the file; a stable sort by At gives the order of arrival
	Until    *Moment                     `yaml:"until"`  // nil: the last arrival
	Expect   Expect                      `yaml:"expect"`

	// Line is where the case stands in the file.
	Line int `yaml:"-"`
}

// TestRecord is an event record or, without Event, a profile record or a tombstone.
type TestRecord struct {
	At         Moment           `yaml:"at"` // the arrival
	User       string           `yaml:"user"`
	Event      string           `yaml:"event"`
	ID         string           `yaml:"id"`
	Time       *Moment          `yaml:"time"` // the event's time; nil: the arrival
	Properties value.Properties `yaml:"properties"`
	Profile    value.Properties `yaml:"profile"`
	Erase      bool             `yaml:"erase"`
}

// Expect is what must come of a case. A nil list is not checked; any other is exactly what there must be, in any order.
type Expect struct {
	Triggers  []ExpectedTrigger    `yaml:"triggers"`
	Decisions []ExpectedDecision   `yaml:"decisions"`
	Requests  campaign.Unavailable `yaml:"requests"`
}

// ExpectedTrigger describes a trigger; what is nil or empty matches anything.
type ExpectedTrigger struct {
	At       *Moment          `yaml:"at"`      // the trigger's time
	Emitted  *Moment          `yaml:"emitted"` // when it left
	User     string           `yaml:"user"`
	Campaign string           `yaml:"campaign"`
	Category string           `yaml:"category"`
	Endpoint string           `yaml:"endpoint"`
	ID       string           `yaml:"id"`
	Profile  value.Properties `yaml:"profile"` // these properties, whatever others there are
	Events   []ExpectedEvent  `yaml:"events"`  // these events in this order, and no others

	// Line is where the expectation stands in the file.
	Line int `yaml:"-"`
}

// ExpectedEvent describes an event of a trigger; what is nil or empty matches anything.
type ExpectedEvent struct {
	Event      string           `yaml:"event"`
	At         *Moment          `yaml:"at"` // the event's time
	Properties value.Properties `yaml:"properties"`
}

// ExpectedDecision describes a decision; what is nil or empty matches anything.
type ExpectedDecision struct {
	At       *Moment     `yaml:"at"` // the decision's time
	Emitted  *Moment     `yaml:"emitted"`
	User     string      `yaml:"user"`
	Campaign string      `yaml:"campaign"`
	Decision string      `yaml:"decision"` // suppressed | converted
	Reason   string      `yaml:"reason"`
	Detail   string      `yaml:"detail"`
	Trigger  string      `yaml:"trigger_id"`
	Group    string      `yaml:"group"`
	Value    value.Value `yaml:"value"`

	// Line is where the expectation stands in the file.
	Line int `yaml:"-"`
}

// Moment is a time in a test: an offset from the test's start, or an absolute time.
type Moment struct {
	ms       int64
	absolute bool
}

// In is the moment in milliseconds since the epoch, in a test that starts at start.
func (m Moment) In(start int64) int64 {
	if m.absolute {
		return m.ms
	}
	return start + m.ms
}
