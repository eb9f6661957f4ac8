package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// holding is a receiver that keeps requests while it is told to.
type holding struct {
	mu       sync.Mutex
	seen     map[string]int // requests by webhook-id
	inFlight map[string]int
	release  chan struct{} // closed: answer
}

func (h *holding) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	io.Copy(io.Discard, req.Body) // only then is it seen that the other side is gone
	id := req.Header.Get("webhook-id")
	h.mu.Lock()
	h.seen[id]++
	h.inFlight[id]++
	release := h.release
	h.mu.Unlock()
	select {
	case <-release:
	case <-req.Context().Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.inFlight[id]--; h.inFlight[id] == 0 {
		delete(h.inFlight, id)
	}
}

func (h *holding) hold() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.release = make(chan struct{})
}

func (h *holding) flying() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := map[string]int{}
	for id, n := range h.inFlight {
		out[id] = n
	}
	return out
}

// Two sinks share the work. One that is killed in mid-attempt, with its disk gone, loses nothing: what was in flight there is made again with
// the same id, nothing else is, and each trigger has one final record.
func TestLineTwoSinks(t *testing.T) {
	t.Parallel()
	h := &holding{seen: map[string]int{}, inFlight: map[string]int{}, release: make(chan struct{})}
	close(h.release)
	server := httptest.NewServer(h)
	defer server.CloseClientConnections()
	l := newLine(t, 4, server.URL)
	p, a, b := l.start("processor", "p"), l.start("sink", "a"), l.start("sink", "b")
	sent := 0
	batch := func() {
		t.Helper()
		for range 12 {
			user := fmt.Sprint("u-", sent)
			l.event(user, "Paid", `{"amount":10}`)
			l.event(user, "Paid", `{"amount":100}`)
			sent++
		}
	}
	ended := func(n int) {
		t.Helper()
		l.waitFor(fmt.Sprintf("the end of %d triggers", n), func() bool {
			finals, _ := l.finals()
			return len(finals) == n
		})
	}
	l.waitFor("each sink to have lanes", func() bool { return a.says("lanes assigned") && b.says("lanes assigned") })
	batch()
	ended(sent)
	h.hold()
	batch()
	l.waitFor("all of the batch in flight", func() bool { return len(h.flying()) == 12 })
	atKill := h.flying()
	a.kill()
	if err := os.RemoveAll(filepath.Join(l.dir, "state-a")); err != nil {
		t.Fatal(err)
	}
	l.waitFor("what was in flight there to be cut off", func() bool { return len(h.flying()) < 12 })
	close(h.release)
	a2 := l.start("sink", "a")
	ended(sent)
	batch()
	ended(sent)
	p.stop()
	a2.stop()
	b.stop()
	if !a.says(`"msg":"attempt"`) || !b.says(`"msg":"attempt"`) {
		t.Error("one of two sinks has made no attempt")
	}
	finals, recorded := l.finals()
	again := 0
	for id, outcomes := range finals {
		extra := h.seen[id] - recorded[id]
		if fmt.Sprint(outcomes) != "[delivered]" || extra < 0 || extra > atKill[id] {
			t.Errorf("%s ended as %v; the receiver saw it %d times, records tell of %d attempts, %d of it were in flight at the kill", id, outcomes, h.seen[id], recorded[id], atKill[id])
		}
		again += extra
	}
	if again == 0 {
		t.Error("nothing was in flight at the sink that was killed")
	}
}

// says reports whether a process has written a text.
func (p *process) says(text string) bool {
	return strings.Contains(p.output.String(), text)
}
