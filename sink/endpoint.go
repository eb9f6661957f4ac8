package sink

import "github.com/tripline/tripline/sink/policy"

// Endpoint is where webhooks go, and how. Name and URL are required; another field that is zero has the default named
// beside it. Durations are milliseconds. An endpoint is identified by its name: what waits for it waits under that name.
type Endpoint struct {
	Name    string
	URL     string            // a template: outputs only, behind scheme and host
	Method  string            // POST; or GET PUT PATCH DELETE
	Headers map[string]string // templates, but for the names that carry credentials
	Query   map[string]string // templates, added to those of URL
	Signing []string          // whsec_ secrets of Standard Webhooks, one signature each; none: unsigned

	Timeout int64          // of one attempt; 15 s
	Retry   policy.Backoff // a nil Schedule: 5s 5m 30m 2h 5h 10h 14h 20h 24h
	Success []policy.Statuses

	MaxInFlight  int // attempts at a time in this process, half of them kept for first attempts; 32
	MaxWaiting   int // of more deliveries that wait, the oldest fail; 1,000,000
	AllowPrivate bool

	// Secrets are what `${NAME}` and `file:PATH` gave in any field. They and the signing secrets are replaced by *** in
	// whatever is recorded or logged.
	Secrets []string
}

// defaults returns the endpoint with its zero fields filled in.
func (e Endpoint) defaults() Endpoint {
	const second = 1000
	if e.Method == "" {
		e.Method = "POST"
	}
	if e.Timeout == 0 {
		e.Timeout = 15 * second
	}
	if e.Retry.Schedule == nil {
		e.Retry.Schedule = policy.Schedule()
	}
	if e.Success == nil {
		e.Success = []policy.Statuses{{Low: 200, High: 299}}
	}
	if e.MaxInFlight == 0 {
		e.MaxInFlight = 32
	}
	if e.MaxWaiting == 0 {
		e.MaxWaiting = 1_000_000
	}
	return e
}
