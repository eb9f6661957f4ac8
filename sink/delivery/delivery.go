// Package delivery is the shape of a record in `deliveries`: an attempt, or the end of a delivery without one.
package delivery

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/value"
)

// Record is one record. Fields without a value are left out of its JSON.
type Record struct {
	TriggerID               string
	Replay                  int64 // 0: the original
	Campaign, Version, User string
	Endpoint                string

	Attempt int64  // requests so far, one that this record tells of included
	Outcome string // delivered | retry | failed | dropped
	Reason  string // why it was not delivered
	Sent    bool   // there was a request: latency_ms is there
	Status  int64  // HTTP; 0: no answer
	Latency int64  // ms

	Error, URL, Response string

	Batch      string
	OutOfOrder bool

	Time        int64 // ms since the epoch: the end of the attempt
	NextAttempt int64 // ms since the epoch, of a retry
}

// Final reports whether nothing of the delivery is to come.
func (r *Record) Final() bool { return r.Outcome != "retry" }

// Append writes the record's value.
func (r *Record) Append(dst []byte) []byte {
	w := writer{append(dst, '{')}
	w.which(r)
	w.text("version", r.Version)
	w.text("user_id", r.User)
	w.text("endpoint", r.Endpoint)
	w.number("attempt", r.Attempt)
	w.text("outcome", r.Outcome)
	w.how(r)
	w.text("error", r.Error)
	w.text("url", r.URL)
	w.text("response", r.Response)
	w.text("batch", r.Batch)
	if r.OutOfOrder {
		w.dst = append(w.name("out_of_order"), "true"...)
	}
	w.time("time", r.Time)
	if r.NextAttempt != 0 {
		w.time("next_attempt", r.NextAttempt)
	}
	return append(w.dst, '}')
}

// writer writes the fields of an object.
type writer struct{ dst []byte }

// which writes whose record it is.
func (w *writer) which(r *Record) {
	w.text("trigger_id", r.TriggerID)
	if r.Replay != 0 {
		w.number("replay", r.Replay)
	}
	w.text("campaign", r.Campaign)
}

// how writes how an attempt ended.
func (w *writer) how(r *Record) {
	w.text("reason", r.Reason)
	if r.Status != 0 {
		w.number("status", r.Status)
	}
	if r.Sent {
		w.number("latency_ms", r.Latency)
	}
}

func (w *writer) name(name string) []byte {
	if w.dst[len(w.dst)-1] != '{' {
		w.dst = append(w.dst, ',')
	}
	return append(append(append(w.dst, '"'), name...), `":`...)
}

func (w *writer) text(name, text string) {
	if text != "" {
		w.dst = value.AppendString(w.name(name), text)
	}
}

func (w *writer) number(name string, n int64) { w.dst = strconv.AppendInt(w.name(name), n, 10) }

func (w *writer) time(name string, ms int64) {
	w.dst = append(calendar.AppendTime(append(w.name(name), '"'), ms), '"')
}

// Parse reads what Append writes. A record without trigger, outcome or time is an error; fields that it does not know are
// skipped.
func Parse(json []byte) (Record, error) {
	if !utf8.Valid(json) {
		return Record{}, errors.New("not UTF-8")
	}
	p, err := value.ParseObject(json)
	if err != nil {
		return Record{}, err
	}
	f := fields{Properties: p}
	r := Record{
		TriggerID: f.text("trigger_id"), Replay: f.number("replay"),
		Campaign: f.text("campaign"), Version: f.text("version"), User: f.text("user_id"), Endpoint: f.text("endpoint"),
		Attempt: f.number("attempt"), Outcome: f.text("outcome"), Reason: f.text("reason"),
		Sent: p.Has("latency_ms"), Status: f.number("status"), Latency: f.number("latency_ms"),
		Error: f.text("error"), URL: f.text("url"), Response: f.text("response"),
		Batch: f.text("batch"), OutOfOrder: f.bool("out_of_order"),
		Time: f.time("time"), NextAttempt: f.time("next_attempt"),
	}
	for _, name := range []string{"trigger_id", "outcome", "time"} {
		if f.err == nil && f.text(name) == "" {
			f.err = fmt.Errorf("%s is missing", name)
		}
	}
	if f.err != nil {
		return Record{}, f.err
	}
	return r, nil
}

// fields reads fields of the types that they must have; the first that has another is err.
type fields struct {
	value.Properties
	err error
}

func (f *fields) value(name string, kind value.Kind) value.Value {
	v := f.Get(name)
	if v.Kind() != kind && !v.IsNil() {
		if f.err == nil {
			f.err = fmt.Errorf("%s is %v, not %v", name, v.Kind(), kind)
		}
		return value.Value{}
	}
	return v
}

func (f *fields) text(name string) string { return f.value(name, value.String).Text() }

func (f *fields) bool(name string) bool {
	b, _ := f.value(name, value.Bool).Bool()
	return b
}

func (f *fields) number(name string) int64 {
	v := f.value(name, value.Number)
	if v.IsNil() {
		return 0
	}
	n, err := strconv.ParseInt(v.Text(), 10, 64)
	if err != nil && f.err == nil {
		f.err = fmt.Errorf("%s is not a whole number", name)
	}
	return n
}

func (f *fields) time(name string) int64 {
	v := f.value(name, value.String)
	if v.IsNil() {
		return 0
	}
	ms, err := calendar.ParseRFC3339(v.Text())
	if err != nil && f.err == nil {
		f.err = fmt.Errorf("%s: %w", name, err)
	}
	return ms
}
