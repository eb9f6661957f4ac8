// Package intake reads what comes in `triggers`.
package intake

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign/record"
)

// MaxName is how large (bytes) a name or an id may be.
const MaxName = 512

// Trigger reads a record of `triggers`: the trigger, and its replay number, 0 for the original. detail says why it is no trigger; with "" it is one.
func Trigger(r *kgo.Record) (t record.Trigger, replay int64, detail string) {
	if len(r.Value) > record.MaxBytes {
		return t, 0, "larger than " + strconv.Itoa(record.MaxBytes) + " bytes"
	}
	t, err := record.ParseTrigger(r.Value)
	if err != nil {
		return t, 0, err.Error()
	}
	for _, c := range [...]struct{ name, text string }{{"campaign", t.Campaign}, {"version", t.Version}, {"user_id", t.User}, {"endpoint", t.Endpoint}} {
		if len(c.text) > MaxName {
			return t, 0, c.name + " has more than " + strconv.Itoa(MaxName) + " bytes"
		}
	}
	if len(t.ID) > MaxName || !isID(t.ID) {
		return t, 0, "id: expected up to " + strconv.Itoa(MaxName) + " visible characters of ASCII without a dot"
	}
	for _, h := range r.Headers {
		if h.Key == "tripline-replay" {
			n, err := strconv.ParseInt(string(h.Value), 10, 64)
			if err != nil || n < 1 {
				return t, 0, "the header tripline-replay is not a number from 1"
			}
			replay = n
		}
	}
	return t, replay, ""
}

// isID: the id is a header, is signed with dots around it, and names a row.
func isID(id string) bool {
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c >= 0x7f || c == '.' {
			return false
		}
	}
	return true
}

// Trace is the trace that came with a record.
func Trace(r *kgo.Record) (t record.Trace) {
	for _, h := range r.Headers {
		t.Add(h.Key, h.Value)
	}
	return t
}
