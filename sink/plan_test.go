package sink

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/sink/auth"
	"github.com/tripline/tripline/sink/call"
	"github.com/tripline/tripline/sink/policy"
	"github.com/tripline/tripline/sink/request"
)

func TestCompileFindsAllProblems(t *testing.T) {
	body := campaign.Delivery{Endpoint: "ops", Body: "{\n {{ Profile.x | upcse }} }"}
	plan, problems := Compile([]Endpoint{
		{Name: "ops", URL: "https://ops.example.com", Method: "GET"},
		{Name: "ops", URL: "https://ops.example.com"},
		{Name: "", URL: "http://127.1", Timeout: -1, MaxInFlight: -1, MaxWaiting: -1,
			Retry: policy.Backoff{Schedule: []int64{0}, Jitter: 2, Quick: 3}, Headers: map[string]string{"Host": "x"}},
		{Name: strings.Repeat("n", 513), URL: "https://ops.example.com/{{ Profile.x | nope }}"},
		{Name: "auth", URL: "https://ops.example.com", Headers: map[string]string{"authorization": "x"}, Auth: auth.Config{Basic: &auth.Basic{Username: "u"}},
			TLS: call.TLS{Cert: "x"}},
		{Name: "batch", URL: "https://ops.example.com", Batch: Batch{Max: 2}},
		{Name: "bodyless", URL: "https://ops.example.com", Method: "DELETE", Batch: Batch{Max: 2}},
		{Name: "ordered", URL: "https://ops.example.com", InOrder: true, Batch: Batch{Max: 2}},
	}, []campaign.Definition{
		{Name: "a", Deliver: []campaign.Delivery{{Endpoint: "OPS"}, {Endpoint: "batch", Body: "hello", ContentType: "text/plain"}}},
		{Name: "b", Deliver: []campaign.Delivery{{Endpoint: "ops"}, body}},
	})
	if plan != nil {
		t.Error("a plan, in spite of problems")
	}
	var got []string
	for _, p := range problems {
		where := "endpoint " + string(rune('0'+p.Endpoint))
		if p.Endpoint < 0 {
			where = "campaign " + string(rune('0'+p.Campaign))
		}
		got = append(got, where+" "+p.Path+": "+p.Message+"|"+p.Suggestion)
		if p.Path == "deliver[1].body" && strings.HasPrefix(p.Message, "unknown filter") && (p.Line != 2 || p.Column != 17 || p.Suggestion != "upcase") {
			t.Errorf("%+v", p)
		}
	}
	for _, want := range []string{
		"endpoint 1 name: the endpoint ops is there twice", "endpoint 2 url: expected https", "endpoint 2 url: 127.1 reads as the address 127.0.0.1",
		"endpoint 2 headers.Host: cannot be set", "endpoint 2 name: is required", "endpoint 2 timeout: ", "endpoint 2 retry.jitter: ",
		"endpoint 2 retry.quick: ", "endpoint 2 max_in_flight: ", "endpoint 2 max_waiting: ", "endpoint 2 retry.schedule[0]: ",
		"endpoint 3 url: unknown filter nope", "endpoint 3 name: has more", "endpoint 6 batch: method DELETE sends no body", "endpoint 7 batch: cannot be beside `order: user`", "campaign 0 deliver[1].content_type: a batch is a JSON array",
		"campaign 0 deliver[0].endpoint: there is no endpoint OPS|ops",
		"endpoint 4 auth.basic.password: is required", "endpoint 4 headers.authorization: cannot be set beside `auth`", "endpoint 4 tls.cert: belongs",
		"campaign 1 deliver[1].body: unknown filter upcse", "campaign 1 deliver[1].body: the endpoint ops has method GET",
	} {
		found := false
		for _, text := range got {
			found = found || strings.HasPrefix(text, want)
		}
		if !found {
			t.Errorf("missing: %s", want)
		}
	}
	if len(got) != 22 {
		t.Errorf("%d problems: %s", len(got), strings.Join(got, "\n"))
	}
}

// TestPrint holds that a disablement ends with another url, method or auth, and that its print says nothing of a password.
func TestPrint(t *testing.T) {
	print := func(e Endpoint) string {
		e.Name = "ops"
		plan, problems := Compile([]Endpoint{e}, nil)
		if problems != nil {
			t.Fatal(problems)
		}
		return plan.Print("ops")
	}
	basic := func(user, password string) auth.Config {
		return auth.Config{Basic: &auth.Basic{Username: user, Password: password}}
	}
	seen := map[string]bool{}
	for _, e := range []Endpoint{{URL: "https://a.example"}, {URL: "https://b.example"}, {URL: "https://a.example", Method: "PUT"},
		{URL: "https://a.example", Auth: basic("u", "p")}, {URL: "https://a.example", Auth: basic("v", "p")}} {
		if seen[print(e)] {
			t.Errorf("%+v has the print of another", e)
		}
		seen[print(e)] = true
	}
	if seen[print(Endpoint{URL: "https://a.example", Auth: basic("u", "another")})] {
		t.Error("another password has the same print")
	}
	if !seen[print(Endpoint{URL: "https://a.example", Auth: basic("u", "p"), Timeout: 1})] {
		t.Error("a timeout is in the print")
	}
}

func TestCompileWithoutEndpoints(t *testing.T) {
	if _, problems := Compile(nil, []campaign.Definition{{Name: "a", Deliver: []campaign.Delivery{{Endpoint: "anything"}}}}); problems != nil {
		t.Errorf("%+v", problems)
	}
}

func TestPlanRequest(t *testing.T) {
	plan, problems := Compile([]Endpoint{{Name: "ops", URL: "https://ops.example.com/{{ User.id }}"}},
		[]campaign.Definition{{Name: "a", Deliver: []campaign.Delivery{{Endpoint: "ops", Body: `{"id":{{ Trigger.id | json }}}`}}}})
	if problems != nil {
		t.Fatal(problems)
	}
	trigger := record.Trigger{ID: "trg_1", Campaign: "a", User: "u-1", Endpoint: "ops", Time: 1}
	r, err := plan.Request(trigger.Append(nil, 1), time.Now().UnixMilli())
	if err != nil || r.URL != "https://ops.example.com/u-1" || string(r.Body) != `{"id":"trg_1"}` || r.Header.Get("webhook-timestamp") == "" {
		t.Errorf("%+v %v", r, err)
	}
	trigger.Campaign = "b"
	var dropped *request.DroppedError
	if _, err = plan.Request(trigger.Append(nil, 1), 1); !errors.As(err, &dropped) || dropped.Reason != unknownCampaign {
		t.Errorf("%v", err)
	}
	trigger.Campaign, trigger.Endpoint = "a", "crm"
	if _, err = plan.Request(trigger.Append(nil, 1), 1); !errors.As(err, &dropped) || dropped.Reason != unknownEndpoint {
		t.Errorf("%v", err)
	}
	if _, err = plan.Request([]byte("{"), 1); err == nil {
		t.Error("half a record")
	}
}

func TestNewChecks(t *testing.T) {
	plan, _ := Compile(nil, nil)
	if _, err := New(Config{Group: "g", Triggers: "t", Deliveries: "d", DeadLetters: "l"}, plan); err == nil || !strings.Contains(err.Error(), "store") {
		t.Errorf("%v", err)
	}
	if _, err := New(Config{Group: "g"}, plan); err == nil {
		t.Error("no topics")
	}
}
