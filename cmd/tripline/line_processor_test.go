package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// load produces in bursts while do happens after each.
func (l *line) load(bursts int, do func(burst int)) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range bursts {
		l.produce(rng, 1500, 200)
		do(i)
	}
}

func TestLineProcessorKilled(t *testing.T) {
	l := newLine(t, 6, "")
	p := l.start("processor", "a")
	l.load(6, func(burst int) {
		time.Sleep(400 * time.Millisecond) // in mid-load is the point
		if burst%2 == 1 {
			p.kill()
			p = l.start("processor", "a")
		}
	})
	l.whole()
	p.stop()
}

func TestLineTwoProcessors(t *testing.T) {
	l := newLine(t, 6, "")
	a, b := l.start("processor", "a"), l.start("processor", "b")
	l.load(4, func(burst int) {
		time.Sleep(500 * time.Millisecond) // load goes on while members come and go
		if burst == 1 {
			b.kill()
		}
		if burst == 2 {
			b = l.start("processor", "b")
		}
	})
	l.whole()
	a.stop()
	b.stop()
}

func TestLineEmptiedState(t *testing.T) {
	l := newLine(t, 4, "")
	p := l.start("processor", "a")
	l.load(2, func(int) {})
	l.whole()
	p.stop()
	if err := os.RemoveAll(filepath.Join(l.dir, "state-a")); err != nil {
		t.Fatal(err)
	}
	p = l.start("processor", "a")
	l.load(2, func(int) {})
	l.whole()
	p.stop()
}

// A processor that stands still while the event that ends a watch comes in must not fire it when it goes on.
func TestLineStoppedAndContinued(t *testing.T) {
	l := newLine(t, 2, "")
	p := l.start("processor", "a")
	l.event("warm", "Paid", `{"amount":100}`)
	l.event("warm", "Paid", `{"amount":100}`)
	l.whole()
	l.event("ann", "Cart", `{"cart":"c1","amount":80}`)
	time.Sleep(time.Second) // the watch is open: it runs for three
	p.signal(syscall.SIGSTOP)
	time.Sleep(time.Second)
	l.event("ann", "Paid", `{"cart":"c1","amount":1}`)
	time.Sleep(10 * time.Second) // longer than the watch, and than the session
	p.signal(syscall.SIGCONT)
	l.event("bob", "Cart", `{"cart":"c1","amount":80}`)
	time.Sleep(4 * time.Second)
	l.whole()
	triggers, _ := l.committed()
	for _, trigger := range triggers {
		if strings.Contains(trigger, `"user_id":"ann"`) {
			t.Fatalf("the watch fired although the backlog held the event that ends it: %s", trigger)
		}
	}
	p.stop()
}
