package request

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
)

const raw = `{"id":"trg_1","campaign":"abandoned-cart","version":"9f2c","category":"inaction_within_time","user_id":"u-17",` +
	`"time":"2026-11-24T11:14:00.123Z","emitted_at":"2026-11-24T11:14:01.000Z",` +
	`"profile":{"name":"Ann","region":"eu","score":1.0,"big":12345678901234567890,"evil":"../admin?x=1#y","dots":"..","break":"a\r\nX-Evil: 1","path":"a/b"},` +
	`"events":[{"event":"Viewed","time":"2026-11-24T10:00:00.000Z","properties":{"sku":"A-0"}},` +
	`{"event":"Added To Cart","time":"2026-11-24T10:44:00.123Z","properties":{"amount":129.95,"a b":"spaced","time":"mine"}}],"endpoint":"ops"}`

func trigger(t testing.TB) *record.Trigger {
	t.Helper()
	trigger, err := record.ParseTrigger([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return &trigger
}

func target(t testing.TB, e Endpoint) *Target {
	t.Helper()
	if e.Method == "" {
		e.Method = "POST"
	}
	if e.URL == "" {
		e.URL = "https://ops.example.com/hooks"
	}
	target, problems := NewTarget(e)
	if problems != nil {
		t.Fatal(problems)
	}
	return target
}

func content(t testing.TB, d campaign.Delivery) *Content {
	t.Helper()
	c, problems := NewContent(d)
	if problems != nil {
		t.Fatal(problems)
	}
	return c
}

func TestStandardBody(t *testing.T) {
	r, err := Render(target(t, Endpoint{}), content(t, campaign.Delivery{KeyValues: map[string]string{"promo": "MT50", "a": "\"b\""}}), trigger(t), []byte(raw+"\n"), 0)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"type":"abandoned-cart","timestamp":"2026-11-24T11:14:00.123Z","data":` + strings.TrimSuffix(raw, "}") + `,"key_values":{"a":"\"b\"","promo":"MT50"}}}`
	if string(r.Body) != want || !json.Valid(r.Body) {
		t.Errorf("\n got %s\nwant %s", r.Body, want)
	}
	for name, want := range map[string]string{"content-type": "application/json", "webhook-id": "trg_1", "accept-encoding": "identity", "webhook-replay": ""} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	r, err = Render(target(t, Endpoint{}), content(t, campaign.Delivery{}), trigger(t), []byte(raw), 3)
	if err != nil || string(r.Body) != `{"type":"abandoned-cart","timestamp":"2026-11-24T11:14:00.123Z","data":`+raw+`}` || r.Header.Get("webhook-replay") != "3" {
		t.Errorf("%s %v %v", r.Body, r.Header, err)
	}
}

func TestLiquidBody(t *testing.T) {
	for body, want := range map[string]string{
		`{"n":{{ Profile.score }},"b":{{ Profile.big }},"a":{{ Event.amount }},"s":{{ Event["a b"] | json }}}`: `{"n":1.0,"b":12345678901234567890,"a":129.95,"s":"spaced"}`,
		`{{ Events.size }}`: `2`,
		`"{{ Events[0].sku }} {{ Events.first.event }}"`:           `"A-0 Viewed"`,
		`"{{ Event.time }} {{ Event.event }}"`:                     `"mine Added To Cart"`,
		`{{ Events.first | json }}`:                                `{"event":"Viewed","time":"2026-11-24T10:00:00.000Z","properties":{"sku":"A-0"}}`,
		`"{{ Campaign.name }} {{ User.id }} {{ Trigger.id }}"`:     `"abandoned-cart u-17 trg_1"`,
		`"{{ now }} {{ "now" | date: "%H:%M" }}"`:                  `"2026-11-24T11:14:01.000Z 11:14"`,
		`{"x":"{{ Profile.nothing }}","y":{{ Profile.z | json }}}`: `{"x":"","y":null}`,
	} {
		for _, payload := range []string{"", "body", "standard"} {
			r, err := Render(target(t, Endpoint{}), content(t, campaign.Delivery{Payload: payload, Body: body}), trigger(t), []byte(raw), 0)
			if err != nil || string(r.Body) != want {
				t.Errorf("%s: %v %v, want %s", body, r, err, want)
			}
		}
	}
}

func TestDropped(t *testing.T) {
	for _, c := range []struct {
		e              Endpoint
		d              campaign.Delivery
		reason, detail string
	}{
		{Endpoint{}, campaign.Delivery{Body: `{% if Profile.name == "Ann" %}{% abort "not Ann" %}{% endif %}`}, Aborted, "not Ann"},
		{Endpoint{}, campaign.Delivery{Body: `"{{ Profile.nothing }}"`, Strict: true}, Missing, "Profile.nothing"},
		{Endpoint{URL: "https://x.example/{{ Profile.nothing }}"}, campaign.Delivery{Strict: true}, Missing, "Profile.nothing"},
		{Endpoint{Headers: map[string]string{"X-A": "{{ Event.nothing }}"}}, campaign.Delivery{Strict: true}, Missing, "Event.nothing"},
		{Endpoint{}, campaign.Delivery{Body: `Hello {{ Profile.name }}`}, BadJSON, "content_type"},
		{Endpoint{}, campaign.Delivery{Body: `{{ Profile.name }}`, ContentType: "Application/JSON; charset=utf-8"}, BadJSON, "content_type"},
		{Endpoint{Headers: map[string]string{"X-A": "{{ Profile.break }}"}}, campaign.Delivery{}, BadHeader, "X-A"},
		{Endpoint{URL: "https://x.example/{{ Profile.nothing }}"}, campaign.Delivery{}, BadURL, `""`},
		{Endpoint{URL: "https://x.example/{{ Profile.nothing }}/b"}, campaign.Delivery{}, BadURL, `""`},
		{Endpoint{URL: "https://x.example/a/{{ Profile.dots }}?x=1"}, campaign.Delivery{}, BadURL, `".."`},
		{Endpoint{URL: "https://x.example/a/.{{ Profile.nothing | default: '.' }}/b"}, campaign.Delivery{}, BadURL, `".."`},
		{Endpoint{URL: "https://x.example/a/%2e{{ Profile.nothing | default: '.' }}/b"}, campaign.Delivery{}, BadURL, `".."`},
		{Endpoint{URL: "https://x.example/a/{{ Profile.name | slice: 9 | append: '.' }}"}, campaign.Delivery{}, BadURL, `"."`},
		{Endpoint{}, campaign.Delivery{Body: `{{ 1 | divided_by: Profile.nothing | json }}`}, Template, "divided by 0"},
	} {
		var content *Content
		var problems []Problem
		if content, problems = NewContent(c.d); problems != nil {
			t.Fatal(problems)
		}
		_, err := Render(target(t, c.e), content, trigger(t), []byte(raw), 0)
		var dropped *DroppedError
		if !errors.As(err, &dropped) || dropped.Reason != c.reason || !strings.Contains(dropped.Detail, c.detail) {
			t.Errorf("%+v %+v: %v", c.e, c.d, err)
		}
	}
}

func TestOtherFormats(t *testing.T) {
	r, err := Render(target(t, Endpoint{}), content(t, campaign.Delivery{Body: "Hello {{ Profile.name }}", ContentType: "text/plain"}), trigger(t), []byte(raw), 0)
	if err != nil || string(r.Body) != "Hello Ann" || r.Header.Get("content-type") != "text/plain" {
		t.Errorf("%+v %v", r, err)
	}
	e := Endpoint{Headers: map[string]string{"content-type": "text/html"}}
	r, err = Render(target(t, e), content(t, campaign.Delivery{Body: "<b>" + "{{ Profile.name }}</b>"}), trigger(t), []byte(raw), 0)
	if err != nil || r.Header.Get("content-type") != "text/html" {
		t.Errorf("%+v %v", r, err)
	}
	for _, method := range []string{"GET", "DELETE"} {
		r, err = Render(target(t, Endpoint{Method: method}), content(t, campaign.Delivery{}), trigger(t), []byte(raw), 0)
		if err != nil || r.Body != nil || r.Header.Get("content-type") != "" || r.Method != method {
			t.Errorf("%+v %v", r, err)
		}
	}
}

func TestURL(t *testing.T) {
	for _, c := range []struct {
		url, want, shown string
		query            map[string]string
	}{
		{`https://ops.example.com/hooks/{{ Profile.region | default: "us" }}`, `https://ops.example.com/hooks/eu`, `https://ops.example.com/hooks/eu`, nil},
		{`https://ops.example.com/hooks/{{ Profile.nothing | default: "us" }}/x`, `https://ops.example.com/hooks/us/x`, `https://ops.example.com/hooks/us/x`, nil},
		{`https://ops.example.com/a/{{ Profile.evil }}/z`, `https://ops.example.com/a/..%2Fadmin%3Fx%3D1%23y/z`, `https://ops.example.com/a/..%2Fadmin%3Fx%3D1%23y/z`, nil},
		{`https://ops.example.com/{{ Profile.path }}`, `https://ops.example.com/a%2Fb`, `https://ops.example.com/a%2Fb`, nil},
		{`https://ops.example.com/{{ Event["a b"] }}{{ Profile.nothing }}?k={{ Profile.break }}&l={{ Profile.nothing }}`,
			`https://ops.example.com/spaced?k=a%0D%0AX-Evil%3A%201&l=`, `https://ops.example.com/spaced`, nil},
		{`https://ops.example.com`, `https://ops.example.com?source=tripline&x%26y=a%2Bb%20%C3%A9`, `https://ops.example.com`, map[string]string{"source": "tripline", "x&y": "a+b é"}},
		{`https://ops.example.com/?a=1`, `https://ops.example.com/?a=1&n=A%26nn`, `https://ops.example.com/`, map[string]string{"n": `{{ Profile.name | replace: "A", "A&" }}`}},
		{`https://OPS.example.com:8443/x`, `https://OPS.example.com:8443/x`, `https://OPS.example.com:8443/x`, nil},
		{`https://ops.example.com/%2e%2e/x`, `https://ops.example.com/%2e%2e/x`, `https://ops.example.com/%2e%2e/x`, nil},
		{`https://ops.example.com/{{ "}} x" | size }}`, `https://ops.example.com/4`, `https://ops.example.com/4`, nil},
	} {
		r, err := Render(target(t, Endpoint{URL: c.url, Query: c.query}), content(t, campaign.Delivery{}), trigger(t), []byte(raw), 0)
		if err != nil || r.URL != c.want || r.Shown != c.shown {
			t.Errorf("%s\n got %+v %v\nwant %s", c.url, r, err, c.want)
			continue
		}
		if req, err := http.NewRequest("POST", r.URL, nil); err != nil || req.URL.String() != c.want {
			t.Errorf("net/http makes %v of it, %v", req.URL, err)
		}
	}
}

func TestHeaders(t *testing.T) {
	e := Endpoint{Headers: map[string]string{"x-team": "growth", "X-User": "{{ User.id }}/é", "Authorization": "Bearer s3cret"}}
	to := target(t, e)
	r, err := Render(to, content(t, campaign.Delivery{}), trigger(t), []byte(raw), 0)
	if err != nil || r.Header.Get("X-Team") != "growth" || r.Header.Get("X-User") != "u-17/é" || r.Header.Get("Authorization") != "Bearer s3cret" {
		t.Errorf("%+v %v", r, err)
	}
	if s := to.Secrets(); !slices.Equal(s, []string{"Bearer s3cret", "s3cret"}) {
		t.Errorf("%q", s)
	}
	e.Headers = map[string]string{"Cookie": "a=1; session=c00kie-value=="}
	e.Signing = []Secret{{Value: "whsec_" + strings.Repeat("QUFB", 10) + "QQ=="}}
	if to := target(t, e); !slices.Equal(to.Secrets(), []string{e.Headers["Cookie"], "c00kie-value==", e.Signing[0].Value, strings.Repeat("QUFB", 10) + "QQ"}) {
		t.Errorf("%q", to.Secrets())
	}
}

func TestTargetProblems(t *testing.T) {
	for _, c := range []struct {
		e          Endpoint
		path, want string
	}{
		{Endpoint{Method: "HEAD"}, "method", "expected one of POST"},
		{Endpoint{URL: "ops.example.com/x"}, "url", "expected a url"},
		{Endpoint{URL: "ftp://ops.example.com/x"}, "url", "expected a url"},
		{Endpoint{URL: "http://ops.example.com/x"}, "url", "plain http"},
		{Endpoint{URL: "https://{{ Profile.host }}/x"}, "url", "scheme and host hold no template"},
		{Endpoint{URL: "https://ops.example.com{{ Profile.host }}/x"}, "url", "scheme and host hold no template"},
		{Endpoint{URL: "https://ops.example.com:{{ Profile.port }}"}, "url", "scheme and host hold no template"},
		{Endpoint{URL: "{{ Profile.scheme }}://ops.example.com"}, "url", "expected a url"},
		{Endpoint{URL: "https:///x"}, "url", "expected a host"},
		{Endpoint{URL: "https://u:p@ops.example.com/x"}, "url", "Authorization"},
		{Endpoint{URL: "https://ops.example.com:/x"}, "url", "port"},
		{Endpoint{URL: "https://127.0.0.1/x"}, "url", "private address"},
		{Endpoint{URL: "https://[::1]/x"}, "url", "private address"},
		{Endpoint{URL: "https://2130706433/x"}, "url", "127.0.0.1"},
		{Endpoint{URL: "https://localhost/x"}, "url", "this machine"},
		{Endpoint{URL: "https://ops.example.com/x#y"}, "url", "#"},
		{Endpoint{URL: "https://ops.example.com/a b"}, "url", "%20"},
		{Endpoint{URL: "https://ops.example.com/{{ Profile.x | nope }}"}, "url", "unknown filter nope"},
		{Endpoint{URL: "https://ops.example.com/{% if x %}"}, "url", "only {{ … }}"},
		{Endpoint{Headers: map[string]string{"Webhook-Id": "x"}}, "headers.Webhook-Id", "cannot be set"},
		{Endpoint{Headers: map[string]string{"webhook-anything": "x"}}, "headers.webhook-anything", "cannot be set"},
		{Endpoint{Headers: map[string]string{"host": "x"}}, "headers.host", "cannot be set"},
		{Endpoint{Headers: map[string]string{"CONTENT-LENGTH": "x"}}, "headers.CONTENT-LENGTH", "cannot be set"},
		{Endpoint{Headers: map[string]string{"Transfer-Encoding": "x"}}, "headers.Transfer-Encoding", "cannot be set"},
		{Endpoint{Headers: map[string]string{"A B": "x"}}, "headers.A B", "not the name"},
		{Endpoint{Headers: map[string]string{"A": "x", "a": "y"}}, "headers.a", "set twice"},
		{Endpoint{Headers: map[string]string{"A": "x\ny"}}, "headers.A", "control character"},
		{Endpoint{Headers: map[string]string{"cookie": "{{ Profile.x }}"}}, "headers.cookie", "never a template"},
		{Endpoint{Headers: map[string]string{"X-API-Key": "{{ Profile.x }}"}}, "headers.X-API-Key", "never a template"},
		{Endpoint{Headers: map[string]string{"proxy-authorization": "{{ Profile.x }}"}}, "headers.proxy-authorization", "never a template"},
		{Endpoint{Query: map[string]string{"a": "{% raw %}"}}, "query.a", "only {{ … }}"},
		{Endpoint{Signing: []Secret{{Value: "whsk_abc"}}}, "signing.secrets[0]", "not base64"},
		{Endpoint{Signing: []Secret{{Value: "whsk_" + secretOf(33)[6:]}}}, "signing.secrets[0]", "32 bytes (its seed) or 64"},
		{Endpoint{Signing: []Secret{{Value: "whsk_" + secretOf(64)[6:]}}}, "signing.secrets[0]", "public key"},
		{Endpoint{Signing: []Secret{{Value: secretOf(24)}, {Value: "hunter2hunter2"}}}, "signing.secrets[1]", "whsec_"},
		{Endpoint{Signing: []Secret{{Value: "whsec_!"}}}, "signing.secrets[0]", "not base64"},
		{Endpoint{Signing: []Secret{{Value: secretOf(23)}}}, "signing.secrets[0]", "24 to 64 bytes"},
		{Endpoint{Signing: []Secret{{Value: secretOf(65)}}}, "signing.secrets[0]", "24 to 64 bytes"},
	} {
		if c.e.Method == "" {
			c.e.Method = "POST"
		}
		if c.e.URL == "" {
			c.e.URL = "https://ops.example.com/hooks"
		}
		to, problems := NewTarget(c.e)
		if to != nil || len(problems) == 0 || problems[0].Path != c.path || !strings.Contains(problems[0].Message, c.want) {
			t.Errorf("%+v: %+v", c.e, problems)
		}
		for _, p := range problems {
			if strings.Contains(p.Message, "hunter2") {
				t.Errorf("a secret in %q", p.Message)
			}
		}
	}
	if _, problems := NewTarget(Endpoint{Method: "PUT", URL: "http://127.0.0.1:8080/x", AllowPrivate: true}); problems != nil {
		t.Errorf("%+v", problems)
	}
}

func TestContentProblems(t *testing.T) {
	for _, c := range []struct {
		d          campaign.Delivery
		path, want string
		line, col  int
	}{
		{campaign.Delivery{Payload: "xml"}, "payload", "unknown payload", 0, 0},
		{campaign.Delivery{Payload: "clevertap", Body: "1"}, "payload", "takes the payload's place", 0, 0},
		{campaign.Delivery{Payload: "cloudevents", Body: "1"}, "payload", "takes the payload's place", 0, 0},
		{campaign.Delivery{Payload: "body"}, "payload", "the text is missing", 0, 0},
		{campaign.Delivery{KeyValues: map[string]string{"a": "b"}, Body: "1"}, "key_values", "would not be sent", 0, 0},
		{campaign.Delivery{Body: "{\n  {{ Profile.x | upcse }}}"}, "body", "unknown filter upcse", 2, 18},
		{campaign.Delivery{Body: "{% for i in (1..20000) %}{% endfor %}"}, "body", "10000 turns", 1, 1},
		{campaign.Delivery{Body: "{{ 1 | divided_by: 0 }}"}, "body", "divided by 0", 1, 8},
		{campaign.Delivery{Body: "Hello"}, "body", "content_type", 0, 0},
		{campaign.Delivery{Body: "1", ContentType: "nonsense"}, "content_type", "text/plain", 0, 0},
		{campaign.Delivery{Body: "1", ContentType: "a/b\r\nX: y"}, "content_type", "text/plain", 0, 0},
	} {
		got, problems := NewContent(c.d)
		if got != nil || len(problems) == 0 {
			t.Errorf("%+v: no problem", c.d)
			continue
		}
		if p := problems[0]; p.Path != c.path || !strings.Contains(p.Message, c.want) || p.Line != c.line || p.Column != c.col {
			t.Errorf("%+v: %+v", c.d, p)
		}
	}
}

func secretOf(n int) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", n)))
}

// TestSignatures verifies what is signed with the reference library of Standard Webhooks.
func TestSignatures(t *testing.T) {
	secrets := []string{secretOf(24), secretOf(32), secretOf(64)}
	var signing []Secret
	for _, s := range secrets {
		signing = append(signing, Secret{Value: s})
	}
	for _, method := range []string{"POST", "GET"} {
		r, err := Render(target(t, Endpoint{Method: method, Signing: signing}), content(t, campaign.Delivery{}), trigger(t), []byte(raw), 0)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now().UnixMilli()
		r.Sign(r.Header, now)
		for _, secret := range secrets {
			verifier, err := standardwebhooks.NewWebhook(secret)
			if err != nil {
				t.Fatal(err)
			}
			if err := verifier.Verify(r.Body, r.Header); err != nil {
				t.Errorf("%s: %v", method, err)
			}
			if err := verifier.Verify(append([]byte("x"), r.Body...), r.Header); err == nil {
				t.Error("another body verifies")
			}
		}
		other, _ := standardwebhooks.NewWebhook(secretOf(40))
		if other.Verify(r.Body, r.Header) == nil {
			t.Error("another secret verifies")
		}
	}
	r, err := Render(target(t, Endpoint{}), content(t, campaign.Delivery{}), trigger(t), []byte(raw), 0)
	if err != nil {
		t.Fatal(err)
	}
	if r.Sign(r.Header, 5000); r.Header.Get("webhook-signature") != "" || r.Header.Get("webhook-timestamp") != "5" {
		t.Errorf("%v", r.Header)
	}
}

// FuzzRender holds for any trigger and any endpoint that Render neither panics nor lets a request through that goes to
// another host, has another path above its outputs, or carries a header more.
func FuzzRender(f *testing.F) {
	f.Add("eu", "..", `{"a":1}`)
	f.Add("a/b", "%2e%2e", "x\r\ny: z")
	f.Fuzz(func(t *testing.T, first, second, third string) {
		profile, err := json.Marshal(map[string]string{"a": first, "b": second, "c": third})
		if err != nil {
			return
		}
		text := []byte(`{"id":"trg_1","campaign":"c","user_id":"u","time":"2026-11-24T11:14:00.123Z","endpoint":"e","profile":` + string(profile) + `}`)
		trg, err := record.ParseTrigger(text)
		if err != nil {
			return
		}
		to := target(t, Endpoint{URL: "https://ops.example.com/base/{{ Profile.a }}/x{{ Profile.b }}?q={{ Profile.c }}", Headers: map[string]string{"X-A": "{{ Profile.a }}"}})
		r, err := Render(to, content(t, campaign.Delivery{Body: `{"v":{{ Profile.c | json }}}`}), &trg, text, 0)
		if err != nil {
			var dropped *DroppedError
			if !errors.As(err, &dropped) {
				t.Fatal(err)
			}
			return
		}
		req, err := http.NewRequest("POST", r.URL, nil)
		if err != nil || req.URL.Host != "ops.example.com" || !strings.HasPrefix(req.URL.EscapedPath(), "/base/") ||
			strings.Count(req.URL.EscapedPath(), "/") != 3 || len(req.URL.Query()) != 1 || req.URL.Fragment != "" || !json.Valid(r.Body) {
			t.Fatalf("%s %s %v", r.URL, r.Body, err)
		}
	})
}
