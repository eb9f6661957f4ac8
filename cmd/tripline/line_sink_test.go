package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/tripline/tripline/sink/delivery"
)

// receiver is a webhook receiver that answers 503 until a trigger has been sent refusals times.
type receiver struct {
	mu       sync.Mutex
	refusals int
	seen     map[string]int // attempts by webhook-id
	unsigned int
	hook     *standardwebhooks.Webhook
}

const lineSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func newReceiver(t *testing.T, refusals int) (*receiver, string) {
	t.Helper()
	hook, err := standardwebhooks.NewWebhook(lineSecret)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{refusals: refusals, seen: map[string]int{}, hook: hook}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return r, server.URL
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body) // a body cut short fails its signature
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hook.Verify(body, req.Header) != nil {
		r.unsigned++
	}
	id := req.Header.Get("webhook-id")
	r.seen[id]++
	if r.seen[id] <= r.refusals {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func (r *receiver) attempts() (triggers, attempts int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.seen {
		attempts += n
	}
	return len(r.seen), attempts
}

// finals are the final delivery records by trigger, and the number of attempts that the records tell of.
func (l *line) finals() (finals map[string][]string, attempts map[string]int) {
	l.t.Helper()
	finals, attempts = map[string][]string{}, map[string]int{}
	for _, r := range l.read(l.cfg.Topics.Deliveries) {
		d, err := delivery.Parse(r.Value)
		if err != nil {
			l.t.Fatalf("delivery record %s: %v", r.Value, err)
		}
		attempts[d.TriggerID] = max(attempts[d.TriggerID], int(d.Attempt))
		if d.Outcome != "retry" {
			finals[d.TriggerID] = append(finals[d.TriggerID], string(d.Outcome))
		}
	}
	return finals, attempts
}

func TestLineSinkKilledInMidRetry(t *testing.T) {
	t.Parallel()
	r, url := newReceiver(t, 2)
	l := newLine(t, 4, url)
	l.sign()
	p, s := l.start("processor", "p"), l.start("sink", "s")
	l.load(1, func(int) {})
	l.whole()
	for range 2 {
		for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(50 * time.Millisecond) {
			if _, attempts := r.attempts(); attempts > 10 {
				break
			}
		}
		s.kill()
		s = l.start("sink", "s")
	}
	var want []string
	var finals map[string][]string
	for began := time.Now(); time.Since(began) < 60*time.Second; time.Sleep(300 * time.Millisecond) {
		want, _ = l.committed() // timers may still fire
		if finals, _ = l.finals(); len(finals) == len(want) {
			break
		}
	}
	if len(want) == 0 || len(finals) != len(want) {
		t.Fatalf("%d triggers, %d of them have a final record", len(want), len(finals))
	}
	s.stop()
	p.stop()
	finals, recorded := l.finals()
	for _, text := range want {
		var trigger struct{ ID string }
		if err := json.Unmarshal([]byte(text), &trigger); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(finals[trigger.ID]); got != "[delivered]" {
			t.Errorf("%s has final records %s", trigger.ID, got)
		}
		// Each kill may lose the outcome of one attempt, which is made again and then has that attempt's number.
		if seen := r.seen[trigger.ID]; seen < 3 || recorded[trigger.ID] > seen || recorded[trigger.ID] < seen-2 {
			t.Errorf("%s: the receiver saw %d attempts, the records tell of %d", trigger.ID, r.seen[trigger.ID], recorded[trigger.ID])
		}
	}
	if r.unsigned > 0 {
		t.Errorf("%d requests failed the reference library's verification", r.unsigned)
	}
}

// sign gives the endpoint a signing secret.
func (l *line) sign() {
	l.t.Helper()
	text := strings.Replace(l.config, "allow_private: true", "allow_private: true, signing: {secrets: ['"+lineSecret+"']}", 1)
	l.config = text
	l.write("tripline.yaml", text)
}

// Ctrl-C ends a service with code 0 while an endpoint hangs.
func TestLineSinkStopsWhileAnEndpointHangs(t *testing.T) {
	t.Parallel()
	began := make(chan struct{}, 1000)
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		began <- struct{}{}
		select {
		case <-release:
		case <-req.Context().Done():
		}
	}))
	defer server.Close()
	defer close(release)
	l := newLine(t, 2, server.URL)
	p, s := l.start("processor", "p"), l.start("sink", "s")
	l.event("ann", "Paid", `{"amount":100}`)
	l.event("ann", "Paid", `{"amount":100}`)
	select {
	case <-began:
	case <-time.After(60 * time.Second):
		t.Fatal("no attempt was made")
	}
	s.stopBy(syscall.SIGINT) // a second signal would end it at once
	if finals, _ := l.finals(); len(finals) != 0 {
		t.Fatalf("an attempt that was cut off has a record: %v", finals)
	}
	p.stop()
}
