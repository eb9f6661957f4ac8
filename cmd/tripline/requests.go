package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tripline/tripline/config"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/value"
	"github.com/tripline/tripline/sink/request"
)

// sent is the request that a trigger would cause.
type sent struct {
	trigger  *record.Trigger
	rendered *request.Rendered
}

// requests renders what would be sent, with the sink's own code, as the first attempts right after the triggers. dropped says of
// the others, by trigger, why a template drops them.
func (s *suite) requests(triggers []record.Trigger) (all []sent, dropped []string) {
	for i := range triggers {
		t := &triggers[i]
		r, err := s.plan.Request(t.Append(nil, t.Left), t.Left)
		if err != nil {
			dropped = append(dropped, fmt.Sprintf("that of user %s and campaign %s is dropped: %s", t.User, t.Campaign, s.plan.Hide(t.Endpoint, err.Error())))
			continue
		}
		all = append(all, sent{t, r})
	}
	return all, dropped
}

func (s *suite) compareRequests(t *config.Test, start int64, got *outcome) (failures []string) {
	want := t.Expect.Requests
	all, dropped := s.requests(got.triggers)
	c := compare(len(want), len(all), start, func(w, g int, d *differences) { d.request(&want[w], &all[g]) })
	for _, w := range c.missing {
		e := &want[w]
		text := fmt.Sprintf("line %d: missing request%s", e.Line, behind(" to ", e.Endpoint)+described(nil, start, e.User, e.Campaign))
		g, list := c.nearest(w, func(g int) bool {
			of := all[g].trigger
			return (e.User == "" || e.User == of.User) && (e.Campaign == "" || e.Campaign == of.Campaign)
		})
		switch {
		case g >= 0:
			text += ": the nearest differs in " + s.plan.Hide(all[g].trigger.Endpoint, strings.Join(list, "; "))
		case len(dropped) > 0:
			text += ": " + strings.Join(dropped, "; ")
		case len(got.triggers) == 0:
			text += ": nothing triggered"
		}
		failures = append(failures, text)
	}
	for _, g := range c.extra {
		of, r := all[g].trigger, all[g].rendered
		failures = append(failures, s.plan.Hide(of.Endpoint, fmt.Sprintf("unexpected request to %s for user %s, campaign %s: %s %s %s",
			of.Endpoint, of.User, of.Campaign, r.Method, r.URL, excerpt(string(r.Body), ""))))
	}
	return failures
}

func (d *differences) request(e *config.ExpectedRequest, got *sent) {
	r := got.rendered
	d.text("endpoint", e.Endpoint, got.trigger.Endpoint)
	d.text("user", e.User, got.trigger.User)
	d.text("campaign", e.Campaign, got.trigger.Campaign)
	d.text("method", e.Method, r.Method)
	d.text("url", e.URL, r.URL)
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		if want, have := e.Headers[name], r.Header.Get(name); want != have {
			d.differ("headers."+name, func() string { return strconv.Quote(want) }, func() string { return strconv.Quote(have) })
		}
	}
	if e.BodyContains != "" && !strings.Contains(string(r.Body), e.BodyContains) {
		d.differ("body_contains", func() string { return strconv.Quote(e.BodyContains) }, func() string { return excerpt(string(r.Body), e.BodyContains) })
	}
	switch e.Body.Kind() {
	case value.Nil:
	case value.String:
		d.text("body", e.Body.Text(), string(r.Body))
	default:
		body, err := value.Parse(r.Body)
		if err != nil {
			d.differ("body", func() string { return string(e.Body.Append(nil)) }, func() string { return "what is not JSON: " + excerpt(string(r.Body), "") })
			return
		}
		d.members("body", e.Body, body)
	}
}

// excerpt is a body as a failure shows it: whole where it is short, else from where it begins to look like what was wanted.
func excerpt(body, wanted string) string {
	const most = 300
	if len(body) <= most {
		return body
	}
	from := 0
	if word, _, _ := strings.Cut(wanted, " "); word != "" {
		from = max(0, strings.Index(body, word)-most/2)
	}
	from = min(from, len(body)-most)
	return "…" + strings.ToValidUTF8(body[from:from+most], "") + "…"
}
