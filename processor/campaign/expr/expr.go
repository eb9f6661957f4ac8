// Package expr compiles and judges the expressions of campaigns: `where`, which sees one event, and `audience`, which
// also sees the user's profile and history. The language is expr-lang's (https://expr-lang.org), which parses and
// type-checks; evaluation is this package's own, closures over value.Value, with the rules for missing properties of
// the campaign language. It reads no clock and starts nothing: the moment judged and the history are arguments.
package expr

import (
	"github.com/tripline/tripline/processor/campaign/value"
)

// Scope says what an expression may see.
type Scope uint8

const (
	Where    Scope = iota // the event, user_id, now()
	Audience              // also the profile and the user's history
)

// Function is a function over the user's history.
type Function uint8

const (
	Count Function = iota
	Sum
	Avg
	Min
	Max
	First
	Last
	Since
)

// Lookup is one call of a history function: the question that an expression asks about what the user did. Its window
// is (now - Window, now], now being the moment judged.
type Lookup struct {
	Function  Function
	Event     string   // the event's name
	Property  string   // Sum, Avg, Min, Max: the numeric property; values that are not numbers are left out
	Window    int64    // ms, positive; 0 for First, Last and Since, which look back for ever
	Predicate *Program // Count: a Where program, nil: every event counts
	Members   []string // First, Last: the properties that the expression reads, sorted; "time" is not among them
	All       bool     // First, Last: it uses the event as a whole, so that Members does not say all
}

// Answer is what history says to a Lookup. OK false is nil: nothing was found.
type Answer struct {
	Number float64          // Count, Sum, Avg, Min, Max; Since: ms from the event to the moment judged
	OK     bool             // Count and Sum always answer
	Event  value.Properties // First, Last
	Time   int64            // First, Last: the event's time, ms since the epoch
}

// Env is what an expression is judged against. The properties are read, never changed or kept.
type Env struct {
	Event    value.Properties
	HasEvent bool // false: `event` is nil (a profile set the timer)
	Profile  value.Properties
	User     string
	Now      int64                // the moment judged, ms since the epoch
	Look     func(*Lookup) Answer // answers history functions; nil: nothing was ever done
}

// Error is what is wrong with an expression's text.
type Error struct {
	Line, Column int    // 1-based, in characters of the text
	Message      string // one line, without position
	Suggestion   string // what was probably meant; may be empty
}
