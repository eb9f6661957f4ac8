package record

import "iter"

// The headers in which a trace goes from an event's record to its trigger's, and to the request (W3C Trace Context, which wants both handed
// on). They are handed on as they are: Tripline has no spans of its own that another one could be the child of.
const (
	Traceparent = "traceparent"
	Tracestate  = "tracestate"
)

// maxState is how long, in bytes, a tracestate is that is handed on; 512 have to be.
const maxState = 2 << 10

// Trace is a trace as its headers have it. The zero Trace is none.
type Trace struct {
	Parent string
	State  string // what goes with Parent; "": nothing
}

// Add takes a header of a record: the first Parent that can be read, and every State.
func (t *Trace) Add(name string, value []byte) {
	switch {
	case name == Traceparent && t.Parent == "" && IsTraceparent(value):
		t.Parent = string(value)
	case name != Tracestate || !isState(value) || len(t.State)+1+len(value) > maxState:
	case t.State == "":
		t.State = string(value)
	default:
		t.State += "," + string(value)
	}
}

// Headers are those that hand the trace on; without a Parent there are none.
func (t Trace) Headers() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		if t.Parent != "" && yield(Traceparent, t.Parent) && t.State != "" {
			yield(Tracestate, t.State)
		}
	}
}

// isState reports whether a value has nothing that cannot stand in a header.
func isState(value []byte) bool {
	for _, c := range value {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return len(value) > 0
}

// IsTraceparent reports whether a header's value is of version 00: version, trace id, parent id and flags in hexadecimal digits.
func IsTraceparent(value []byte) bool {
	if len(value) != 55 || value[0] != '0' || value[1] != '0' {
		return false
	}
	for i, c := range value {
		switch {
		case i == 2 || i == 35 || i == 52:
			if c != '-' {
				return false
			}
		case c < '0' || c > '9' && c < 'a' || c > 'f':
			return false
		}
	}
	return !zeros(value[3:35]) && !zeros(value[36:52])
}

func zeros(digits []byte) bool {
	for _, c := range digits {
		if c != '0' {
			return false
		}
	}
	return true
}
