package sink

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/value"
	"github.com/tripline/tripline/sink/auth"
	"github.com/tripline/tripline/sink/call"
	"github.com/tripline/tripline/sink/intake"
	"github.com/tripline/tripline/sink/policy"
	"github.com/tripline/tripline/sink/request"
)

// Endpoint is where webhooks go, and how. Name and URL are required; another field that is zero has the default named
// beside it. Durations are milliseconds. An endpoint is identified by its name: what waits for it waits under that name.
type Endpoint struct {
	Name    string
	URL     string            // a template: outputs only, behind scheme and host
	Method  string            // POST; or GET PUT PATCH DELETE
	Headers map[string]string // templates, but for the names that carry credentials
	Query   map[string]string // templates, added to those of URL
	Signing []request.Secret  // of Standard Webhooks, one signature each; none: unsigned
	Group   string            // `group` of tripline.yaml, which CloudEvents name as their source

	Timeout int64          // of one attempt; 15 s
	Retry   policy.Backoff // a nil Schedule: 5s 5m 30m 2h 5h 10h 14h 20h 24h
	Success []policy.Statuses

	DisableAfter int64 // of failing without a success; 0: never

	Breaker policy.Breaking // no MinSamples: none
	Limit   policy.Limit    // of the group's attempts; no PerSecond: none

	InOrder      bool  // a user's triggers go one after another
	OrderTimeout int64 // how long one of them may keep others behind it; 10 minutes

	Batch Batch

	MaxInFlight  int // attempts at a time in this process, half of them kept for first attempts; 32
	MaxWaiting   int // of more deliveries that wait, the oldest fail; 1,000,000
	AllowPrivate bool
	Auth         auth.Config
	TLS          call.TLS
	Proxy        call.Proxy

	// Secrets are what `${NAME}` and `file:PATH` gave in any field. They, the secrets of Signing, Auth, TLS and Proxy, and tokens are replaced
	// by *** in whatever is recorded or logged.
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
	if e.OrderTimeout == 0 {
		e.OrderTimeout = 600 * second
	}
	if e.MaxInFlight == 0 {
		e.MaxInFlight = 32
	}
	if e.MaxWaiting == 0 {
		e.MaxWaiting = 1_000_000
	}
	return e
}

// Problem is what is wrong with an endpoint or with a campaign's `deliver`. Exactly one of Endpoint and Campaign is an index
// into what Compile was given, the other is -1. Line and Column, where above 0, count from 1 within the scalar at Path.
type Problem struct {
	Endpoint, Campaign int
	Path               string // "headers.X-Team", "deliver[1].body"
	Line, Column       int
	Message            string
	Suggestion         string
}

// Plan is what endpoints and campaigns say, read and checked. It is immutable.
type Plan struct {
	endpoints map[string]*endpoint
	contents  map[route]*request.Content
	campaigns map[string]bool
}

// route is a campaign's delivery to an endpoint.
type route struct{ campaign, endpoint string }

// endpoint is an Endpoint, read.
type endpoint struct {
	Endpoint
	target  *request.Target
	auth    *auth.Auth
	rules   policy.Rules
	secrets *call.Secrets
	print   string // what must change for an endpoint that was disabled to be tried again
}

// Compile reads endpoints and what campaigns say of deliveries: templates are parsed and tried. With problems, all of which
// are returned, the plan is nil. Campaigns whose endpoint is not among endpoints are a problem unless there are no endpoints
// at all, as in a campaign test without a configuration.
func Compile(endpoints []Endpoint, campaigns []campaign.Definition) (*Plan, []Problem) {
	p := &Plan{endpoints: map[string]*endpoint{}, contents: map[route]*request.Content{}, campaigns: map[string]bool{}}
	var problems []Problem
	for i, e := range endpoints {
		read, wrong := p.endpoint(e.defaults())
		for _, w := range wrong {
			problems = append(problems, Problem{i, -1, w.Path, w.Line, w.Column, w.Message, w.Suggestion})
		}
		if _, twice := p.endpoints[e.Name]; !twice {
			p.endpoints[e.Name] = read
		}
	}
	for i, d := range campaigns {
		p.campaigns[d.Name] = true
		for j, to := range d.Deliver {
			path := "deliver"
			if len(d.Deliver) > 1 {
				path = fmt.Sprintf("deliver[%d]", j)
			}
			content, wrong := p.content(to)
			for _, w := range wrong {
				problems = append(problems, Problem{-1, i, path + "." + w.Path, w.Line, w.Column, w.Message, w.Suggestion})
			}
			p.contents[route{d.Name, to.Endpoint}] = content
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return p, nil
}

func (p *Plan) endpoint(e Endpoint) (*endpoint, []request.Problem) {
	target, problems := request.NewTarget(request.Endpoint{
		Method: e.Method, URL: e.URL, Headers: e.Headers, Query: e.Query, Signing: e.Signing, AllowPrivate: e.AllowPrivate, Group: e.Group,
	})
	wrong := func(is bool, path, message string) {
		if is {
			problems = append(problems, request.Problem{Path: path, Message: message})
		}
	}
	_, twice := p.endpoints[e.Name]
	wrong(e.Name == "", "name", "is required")
	wrong(len(e.Name) > intake.MaxName, "name", fmt.Sprintf("has more than %d bytes", intake.MaxName))
	wrong(twice, "name", "the endpoint "+e.Name+" is there twice")
	wrong(e.Timeout < 0, "timeout", "expected a duration above zero")
	wrong(e.Retry.Jitter < 0 || e.Retry.Jitter > 1, "retry.jitter", "expected a share from 0% to 100%")
	wrong(e.Retry.Quick < 0 || e.Retry.Quick > policy.MaxQuick, "retry.quick", fmt.Sprintf("expected 0 to %d", policy.MaxQuick))
	if b := e.Breaker; b.MinSamples != 0 {
		wrong(b.MinSamples < 0, "breaker.min_samples", "expected at least 1")
		wrong(b.FailureRate <= 0 || b.FailureRate > 1, "breaker.failure_rate", "expected a share above 0%, up to 100%")
		wrong(b.Window <= 0, "breaker.window", "expected a duration above zero")
		wrong(b.Open <= 0, "breaker.open", "expected a duration above zero")
	}
	wrong(e.Limit.PerSecond < 0, "rate_limit.per_second", "expected a number above zero")
	wrong(e.Limit.Burst < 0, "rate_limit.burst", "expected at least 1")
	wrong(e.Batch.Max < 0, "batch.max", "expected at least 1")
	wrong(e.Batch.Linger < 0, "batch.linger", "expected a duration, or 0s")
	wrong(e.Batch.Max > 1 && e.InOrder, "batch", "cannot be beside `order: user`, which sends a user's triggers one at a time: leave one of them out")
	wrong(e.Batch.Max > 1 && target != nil && target.Bodyless(), "batch", "method "+e.Method+" sends no body, which a batch is: leave one of them out")
	wrong(e.DisableAfter < 0, "disable_after", "expected a duration above zero")
	wrong(e.OrderTimeout < 0, "order_timeout", "expected a duration above zero")
	wrong(e.MaxInFlight < 0, "max_in_flight", "expected at least 1")
	wrong(e.MaxWaiting < 0, "max_waiting", "expected at least 1")
	for i, wait := range e.Retry.Schedule {
		wrong(wait <= 0, fmt.Sprintf("retry.schedule[%d]", i), "expected a duration above zero")
	}
	caller, more := e.identity()
	if problems = append(problems, more...); len(problems) > 0 {
		return nil, problems
	}
	text := e.Method + " " + e.URL
	if caller != nil {
		text += " " + caller.Print()
	}
	sum := sha256.Sum256([]byte(text))
	return &endpoint{
		Endpoint: e,
		target:   target,
		auth:     caller,
		rules:    policy.Rules{Backoff: e.Retry, Success: e.Success},
		secrets:  call.NewSecrets(slices.Concat(e.Secrets, target.Secrets(), caller.Secrets(), e.Proxy.Secrets(), []string{e.TLS.Key})),
		print:    hex.EncodeToString(sum[:8]),
	}, nil
}

// identity reads how an endpoint is told who calls, and how both are held to be who they are.
func (e *Endpoint) identity() (caller *auth.Auth, problems []request.Problem) {
	caller, wrong := call.Access{Auth: e.Auth, TLS: e.TLS, Proxy: e.Proxy, AllowPrivate: e.AllowPrivate}.Read(slices.Collect(maps.Keys(e.Headers)))
	for _, w := range wrong {
		problems = append(problems, request.Problem{Path: w.Path, Message: w.Message})
	}
	return caller, problems
}

// Identity checks an endpoint's Auth, TLS and Proxy alone.
func (e *Endpoint) Identity() []request.Problem {
	_, problems := e.identity()
	return problems
}

func (p *Plan) content(d campaign.Delivery) (*request.Content, []request.Problem) {
	content, problems := request.NewContent(d)
	to, known := p.endpoints[d.Endpoint]
	if !known && len(p.endpoints) > 0 && d.Endpoint != "" {
		problems = append(problems, request.Problem{Path: "endpoint", Message: "there is no endpoint " + d.Endpoint, Suggestion: p.nearest(d.Endpoint)})
	}
	if to != nil && to.target.Bodyless() && d.Body != "" {
		problems = append(problems, request.Problem{Path: "body", Message: "the endpoint " + to.Name + " has method " + to.Method + ", which sends no body"})
	}
	if to != nil && content != nil && to.Batch.Max > 1 && content.NoBatch() != "" {
		problems = append(problems, request.Problem{Path: "content_type", Message: content.NoBatch()})
	}
	return content, problems
}

// nearest is an endpoint whose name differs in case or by what one of the two has more.
func (p *Plan) nearest(name string) string {
	for _, candidate := range slices.Sorted(maps.Keys(p.endpoints)) {
		if candidate == "" {
			continue
		}
		if strings.EqualFold(candidate, name) || strings.Contains(candidate, name) || strings.Contains(name, candidate) {
			return candidate
		}
	}
	return ""
}

// Print is what an endpoint's disablement holds for: another method, url or auth has another one (of secrets, see auth.Auth.Print). ""
// where there is no such endpoint.
func (p *Plan) Print(endpoint string) string {
	if e := p.endpoints[endpoint]; e != nil {
		return e.print
	}
	return ""
}

// unknown is why a trigger can't be sent by this plan, as `deliveries` names it; "" if it can.
func (p *Plan) unknown(to route) string {
	switch {
	case p.contents[to] != nil && p.endpoints[to.endpoint] != nil:
		return ""
	case !p.campaigns[to.campaign]:
		return unknownCampaign
	}
	return unknownEndpoint
}

// Hide replaces what is secret of an endpoint in a text that is shown.
func (p *Plan) Hide(endpoint, text string) string {
	if e := p.endpoints[endpoint]; e != nil {
		return e.secrets.Hide(text)
	}
	return text
}

// Request renders what would be sent for a trigger's record, signed as of the moment now (ms since the epoch). The error is a
// *request.DroppedError where a template drops it.
func (p *Plan) Request(trigger []byte, now int64) (*request.Rendered, error) {
	t, err := record.ParseTrigger(trigger)
	if err != nil {
		return nil, err
	}
	to := route{t.Campaign, t.Endpoint}
	if reason := p.unknown(to); reason != "" {
		return nil, &request.DroppedError{Reason: reason, Detail: "campaign " + t.Campaign + ", endpoint " + t.Endpoint}
	}
	r, err := request.Render(p.endpoints[t.Endpoint].target, p.contents[to], &t, trigger, 0)
	if err != nil {
		return nil, err
	}
	r.Sign(r.Header, now)
	return r, nil
}

// client makes one that keeps so many connections.
func (e *endpoint) client(network call.Network, connections int) *call.Client {
	return call.New(call.Config{Timeout: time.Duration(e.Timeout) * time.Millisecond, AllowPrivate: e.AllowPrivate, Connections: connections,
		Secrets: e.secrets, Network: network, TLS: e.TLS, Auth: e.auth, Proxy: e.Proxy})
}

// Probe is a sample that was sent to an endpoint, and what came back. It holds no secret.
type Probe struct {
	Campaign string              `json:"campaign"` // whose text was rendered
	Method   string              `json:"method"`
	URL      string              `json:"url"`
	Header   map[string][]string `json:"header"`
	Body     string              `json:"body,omitempty"`

	Outcome  policy.Outcome `json:"outcome"`
	Reason   string         `json:"reason,omitempty"`
	Status   int            `json:"status,omitempty"`
	Latency  int64          `json:"latency_ms"`
	Error    string         `json:"error,omitempty"`
	Response string         `json:"response,omitempty"` // its first KiB
}

// Probe renders a sample trigger by the text of the campaign name, of any that delivers to the endpoint where name is "", or, without
// one, as the payload `standard`, and makes one attempt, signed, with the header webhook-test. Nothing is recorded. An error says why there was no attempt.
func (p *Plan) Probe(ctx context.Context, network call.Network, endpoint, name, version string) (*Probe, error) {
	e := p.endpoints[endpoint]
	if e == nil {
		return nil, fmt.Errorf("there is no endpoint %s; there are %v", endpoint, slices.Sorted(maps.Keys(p.endpoints)))
	}
	for _, candidate := range slices.Sorted(maps.Keys(p.campaigns)) {
		if name == "" && p.contents[route{candidate, endpoint}] != nil {
			name = candidate
		}
	}
	content := p.contents[route{name, endpoint}]
	if content == nil && name != "" {
		return nil, fmt.Errorf("campaign %s does not deliver to %s", name, endpoint)
	}
	if content == nil { // none delivers there yet
		name = "sample"
		content, _ = request.NewContent(campaign.Delivery{Endpoint: endpoint})
	}
	now := time.Now().UnixMilli()
	sample := record.Trigger{ID: fmt.Sprintf("trg_test%x", now), Campaign: name, Version: "test", Category: "single_action", User: "sample-user", Time: now, Endpoint: endpoint,
		Events: []record.Happening{{Name: "Sample", Time: now, Properties: value.Properties{{Name: "sample", Value: value.OfBool(true)}}}}}
	rendered, err := request.Render(e.target, content, &sample, sample.Append(nil, now), 0)
	if err != nil {
		return nil, fmt.Errorf("the sample, which has one event and an empty profile, is not sent: %w", err)
	}
	if e.Batch.Max > 1 {
		rendered = request.Join(e.target, content, name, request.BatchID([]string{sample.ID}), []*request.Rendered{rendered})
	}
	rendered.Header.Set("webhook-test", "true")
	if rendered.Header.Get("user-agent") == "" {
		rendered.Header.Set("user-agent", "tripline/"+version)
	}
	return e.probe(ctx, network, name, rendered), nil
}

func (e *endpoint) probe(ctx context.Context, network call.Network, campaign string, rendered *request.Rendered) *Probe {
	out := &Probe{Campaign: campaign, Method: rendered.Method, URL: e.secrets.Hide(rendered.URL), Body: e.secrets.Hide(string(rendered.Body))}
	sign := rendered.Sign
	rendered.Sign = func(header http.Header, now int64) {
		sign(header, now)
		out.Header = map[string][]string{}
		for name, values := range header {
			for _, v := range values {
				out.Header[name] = append(out.Header[name], e.secrets.Hide(v))
			}
		}
	}
	if e.auth != nil {
		rendered.Header.Set("Authorization", "***") // the client puts its own there
	}
	client := e.client(network, 1)
	defer client.Close()
	client.Do(ctx, rendered.Request, func(a call.Answer) (time.Duration, bool) {
		v := e.rules.Judge(a.Answer, policy.Standing{Delivery: "test", Attempt: 1, Held: true})
		out.Outcome, out.Reason, out.Status, out.Latency = v.Outcome, v.Reason, a.Status, a.Ended-a.Started
		out.Error, out.Response = a.Error, a.Response
		return 0, false
	})
	return out
}
