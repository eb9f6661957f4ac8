package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/tripline/tripline/sink/delivery"
)

// The endpoint commands work where no sink runs, and the sink that starts then does what they said.
func TestLineEndpointCommands(t *testing.T) {
	t.Parallel()
	_, url := newReceiver(t, 0)
	l := newLine(t, 2, url)
	file := filepath.Join(l.dir, "tripline.yaml")
	status := func(want string) {
		t.Helper()
		out, err := run(t, "endpoint", "status", "--config", file, "--output", "json")
		var got []endpointStatus
		if err != nil || json.Unmarshal([]byte(out), &got) != nil || len(got) != 1 || got[0].Endpoint != "hook" || got[0].State != want {
			t.Fatalf("%s %v, want %s", out, err, want)
		}
	}
	status("active")
	if out, err := run(t, "endpoint", "pause", "hook", "--config", file); err != nil || out != "hook is paused\n" {
		t.Fatalf("%q %v", out, err)
	}
	status("paused")
	p, s := l.start("processor", "p"), l.start("sink", "s")
	l.event("ann", "Paid", `{"amount":100}`)
	l.event("ann", "Paid", `{"amount":100}`)
	l.whole()
	resumed := time.Now().UnixMilli()
	if _, err := run(t, "endpoint", "resume", "hook", "--config", file); err != nil {
		t.Fatal(err)
	}
	status("active")
	want, _ := l.committed()
	var finals map[string][]string
	for began := time.Now(); time.Since(began) < 30*time.Second && len(finals) < len(want); time.Sleep(200 * time.Millisecond) {
		finals, _ = l.finals()
	}
	if len(want) == 0 || len(finals) != len(want) {
		t.Errorf("%d of %d triggers were delivered after the pause", len(finals), len(want))
	}
	for _, r := range l.read(l.cfg.Topics.Deliveries) {
		if d, err := delivery.Parse(r.Value); err != nil || d.Time < resumed {
			t.Errorf("an attempt at an endpoint that is paused: %s %v", r.Value, err)
		}
	}
	s.stop()
	p.stop()
	if text := s.output.String(); strings.Contains(text, `"level":"warn"`) {
		t.Errorf("a first start warns: %s", text)
	}
	if _, err := run(t, "endpoint", "pause", "hok", "--config", file); err == nil || !strings.Contains(err.Error(), "there is no endpoint hok") {
		t.Errorf("%v", err)
	}
}

// A sample is signed and marked, and what is shown holds no secret.
func TestEndpointTest(t *testing.T) {
	code := http.StatusAccepted
	hook, err := standardwebhooks.NewWebhook(lineSecret)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil || hook.Verify(body, req.Header) != nil || req.Header.Get("webhook-test") != "true" ||
			req.Header.Get("Authorization") != "Basic dTpwNHNzdzByZA==" {
			code = http.StatusTeapot
		}
		w.WriteHeader(code)
		io.WriteString(w, "\x1b]0;mine\a\xc2\x9b31m\xff\u202e thank you for "+req.Header.Get("X-Key")+req.Header.Get("Authorization"))
	}))
	defer server.Close()
	dir := t.TempDir()
	t.Setenv("HOOK_KEY", "very-secret")
	t.Setenv("HOOK_PASSWORD", "p4ssw0rd")
	for name, text := range map[string]string{
		"tripline.yaml": "campaigns: [c.yaml]\nendpoints:\n  - {name: hook, url: '" + server.URL + "', allow_private: true, signing: {secrets: ['" + lineSecret +
			"']}, headers: {X-Key: '${HOOK_KEY}'}, auth: {basic: {username: u, password: '${HOOK_PASSWORD}'}}}\n  - {name: spare, url: '" + server.URL + "', allow_private: true, signing: {secrets: ['" + lineSecret +
			"']}, auth: {basic: {username: u, password: '${HOOK_PASSWORD}'}}}\n",
		"c.yaml": "name: paid\ntrigger: {single_action: {event: Paid}}\ndeliver: {endpoint: hook, body: '{\"user\": {{ User.id | json }}}'}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "tripline.yaml")
	out, err := run(t, "endpoint", "test", "hook", "--config", file)
	if err != nil || !strings.Contains(out, "status 202") || !strings.Contains(out, `{"user": "sample-user"}`) || !strings.Contains(out, `\x1b]0;mine\x07\u009b31m\xff\u202e thank you for ***Basic ***`) ||
		!strings.Contains(out, "Webhook-Signature: v1,") || strings.Contains(out, "very-secret") ||
		!strings.Contains(out, "Authorization: ***") || strings.Contains(out, "dTpwNHNzdzByZA") {
		t.Errorf("%v\n%s", err, out)
	}
	code = http.StatusInternalServerError
	if out, err := run(t, "endpoint", "test", "hook", "--config", file, "--output", "json"); err == nil || !strings.Contains(out, `"status": 500`) {
		t.Errorf("%v\n%s", err, out)
	}
	code = http.StatusOK
	if out, err := run(t, "endpoint", "test", "spare", "--config", file); err != nil || !strings.Contains(out, `{"type":"sample",`) {
		t.Errorf("an endpoint that no campaign delivers to: %v\n%s", err, out)
	}
	if _, err := run(t, "endpoint", "test", "hok", "--config", file); err == nil || !strings.Contains(err.Error(), "there is no endpoint hok") {
		t.Errorf("%v", err)
	}
}
