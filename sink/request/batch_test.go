package request

import (
	"net/http"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
)

// TestJoin holds that a batch is the JSON array of what its members would be alone, of clevertap one object with all profiles, and that its
// signature is over its own id and body.
func TestJoin(t *testing.T) {
	const secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	second := strings.NewReplacer("trg_1", "trg_2", "u-17", "u-18").Replace(raw)
	other, err := record.ParseTrigger([]byte(second))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		d           campaign.Delivery
		contentType string
	}{
		{campaign.Delivery{}, "application/json"},
		{campaign.Delivery{Payload: "cloudevents"}, "application/cloudevents-batch+json"},
		{campaign.Delivery{Body: `{"who": {{ User.id | json }}}`}, "application/json"},
		{campaign.Delivery{Payload: "clevertap", KeyValues: map[string]string{"a": "b"}}, "application/json"},
	} {
		to, how := target(t, Endpoint{Signing: []Secret{{Value: secret}}}), content(t, c.d)
		a, err := RenderMember(to, how, trigger(t), []byte(raw), 0)
		if err != nil {
			t.Fatal(err)
		}
		b, err := RenderMember(to, how, &other, []byte(second), 0)
		if err != nil {
			t.Fatal(err)
		}
		if a.Company() != b.Company() {
			t.Errorf("%q and %q cannot go together", a.Company(), b.Company())
		}
		want := "[" + string(a.Body) + "," + string(b.Body) + "]"
		if c.d.Payload == "clevertap" {
			want = strings.TrimSuffix(string(a.Body), "]}") + "," + string(b.Body)[strings.Index(string(b.Body), `{"identity"`):]
		}
		id := BatchID([]string{"trg_1", "trg_2"})
		r := Join(to, how, "abandoned-cart", id, []*Rendered{a, b})
		if string(r.Body) != want || r.Header.Get("content-type") != c.contentType || r.Header.Get("webhook-id") != id || !strings.HasPrefix(id, "bat_") {
			t.Errorf("%v\n got %s\nwant %s", r.Header, r.Body, want)
		}
		r.Sign(r.Header, 1795518840123)
		reference, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := reference.VerifyIgnoringTimestamp(r.Body, r.Header); err != nil {
			t.Error(err)
		}
	}
}

// TestCompany holds that another url, method, header or replay number keeps deliveries apart.
func TestCompany(t *testing.T) {
	of := func(e Endpoint, replay int64) string {
		r, err := Render(target(t, e), content(t, campaign.Delivery{}), trigger(t), []byte(raw), replay)
		if err != nil {
			t.Fatal(err)
		}
		return r.Company()
	}
	seen := map[string]bool{}
	for _, is := range []string{of(Endpoint{}, 0), of(Endpoint{}, 1), of(Endpoint{Method: "PUT"}, 0), of(Endpoint{URL: "https://ops.example.com/other"}, 0),
		of(Endpoint{Query: map[string]string{"a": "{{ User.id }}"}}, 0), of(Endpoint{Headers: map[string]string{"X-A": "{{ User.id }}"}}, 0)} {
		if seen[is] {
			t.Errorf("twice: %q", is)
		}
		seen[is] = true
	}
	if BatchID([]string{"a", "b"}) != BatchID([]string{"b", "a"}) || BatchID([]string{"a"}) == BatchID([]string{"b"}) {
		t.Error("the id of a batch is not that of its members")
	}
	if !seen[of(Endpoint{}, 0)] || http.CanonicalHeaderKey(headerID) != "Webhook-Id" {
		t.Error("equals are kept apart")
	}
}

// TestNoBatch holds that what is not JSON goes in no array.
func TestNoBatch(t *testing.T) {
	for contentType, can := range map[string]bool{"": true, "application/json; charset=utf-8": true, "application/vnd.x+json": true, "text/plain": false} {
		d := campaign.Delivery{Body: "{}", ContentType: contentType}
		if got := content(t, d).NoBatch(); (got == "") != can {
			t.Errorf("%s: %q", contentType, got)
		}
	}
	_, err := RenderMember(target(t, Endpoint{}), content(t, campaign.Delivery{Body: "{{ User.id }}", ContentType: "application/vnd.x+json"}), trigger(t), []byte(raw), 0)
	if d, ok := err.(*DroppedError); !ok || d.Reason != BadJSON {
		t.Errorf("%v", err)
	}
}
