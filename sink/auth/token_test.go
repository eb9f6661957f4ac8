//go:build synctests

package auth

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// issuer is a token endpoint in a bubble: its tokens are t1, t2, and so on.
type issuer struct {
	mu     sync.Mutex
	issued int
	at     []time.Time
	answer func(n int, w http.ResponseWriter)
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	i.issued++
	n := i.issued
	i.at = append(i.at, time.Now())
	i.mu.Unlock()
	i.answer(n, w)
}

// withIssuer runs a test with a caller that asks an issuer for tokens.
func withIssuer(t *testing.T, answer func(n int, w http.ResponseWriter), test func(t *testing.T, i *issuer, c *Caller)) {
	synctest.Test(t, func(t *testing.T) {
		var network kfake.VirtualNetwork
		listener, err := network.Listen("tcp", "localhost:80")
		if err != nil {
			t.Fatal(err)
		}
		i := &issuer{answer: answer}
		server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: i}}
		server.Start()
		transport := &http.Transport{DialContext: network.DialContext}
		a, problems := New(Config{OAuth2: &OAuth2{TokenURL: "http://localhost/token", ClientID: "a", ClientSecret: "s"}})
		if problems != nil {
			t.Fatal(problems)
		}
		test(t, i, a.Caller(&http.Client{Transport: transport}, func(string) {}))
		transport.CloseIdleConnections()
		server.Close()
	})
}

func lasting(d time.Duration) func(n int, w http.ResponseWriter) {
	return func(n int, w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"t%d","expires_in":%d}`, n, int(d.Seconds()))
	}
}

func must(t *testing.T, c *Caller, want string) {
	t.Helper()
	if got, err := c.Header(t.Context()); got != "Bearer "+want || err != nil {
		t.Errorf("%q %v, want %s", got, err, want)
	}
}

// TestCached holds that a token is kept, and renewed before it expires.
func TestCached(t *testing.T) {
	for life, ahead := range map[time.Duration]time.Duration{time.Hour: time.Minute, 10 * time.Second: 2 * time.Second} {
		withIssuer(t, lasting(life), func(t *testing.T, i *issuer, c *Caller) {
			must(t, c, "t1")
			time.Sleep(life - ahead - time.Millisecond)
			must(t, c, "t1")
			time.Sleep(time.Millisecond)
			must(t, c, "t2")
			if i.issued != 2 {
				t.Errorf("%d tokens", i.issued)
			}
		})
	}
	withIssuer(t, lasting(0), func(t *testing.T, _ *issuer, c *Caller) {
		must(t, c, "t1")
		time.Sleep(1000 * time.Hour)
		must(t, c, "t1")
	})
}

// TestOneRenewalAtATime holds that attempts that need a token wait for the one that asks.
func TestOneRenewalAtATime(t *testing.T) {
	slow := func(n int, w http.ResponseWriter) { time.Sleep(time.Second); lasting(time.Hour)(n, w) }
	withIssuer(t, slow, func(t *testing.T, i *issuer, c *Caller) {
		all := func(want string) {
			var wait sync.WaitGroup
			for range 50 {
				wait.Go(func() { must(t, c, want) })
			}
			wait.Wait()
		}
		all("t1")
		if i.issued != 1 {
			t.Errorf("%d tokens", i.issued)
		}
		time.Sleep(59*time.Minute + time.Second) // one renews, for the others the old one still holds
		first := make(chan bool)
		go func() { must(t, c, "t2"); close(first) }()
		synctest.Wait()
		all("t1")
		<-first
		all("t2")
		if i.issued != 2 {
			t.Errorf("%d tokens", i.issued)
		}
	})
}

// TestFailureIsShared holds that those who waited for a renewal that failed do not each ask again, and that the next attempt does.
func TestFailureIsShared(t *testing.T) {
	withIssuer(t, func(n int, w http.ResponseWriter) {
		if n > 1 {
			lasting(time.Hour)(n, w)
			return
		}
		time.Sleep(time.Second)
		w.WriteHeader(500)
	}, func(t *testing.T, i *issuer, c *Caller) {
		var wait sync.WaitGroup
		for range 50 {
			wait.Go(func() {
				if _, err := c.Header(t.Context()); err == nil || !strings.Contains(err.Error(), "answered 500") {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if i.issued != 1 {
			t.Errorf("asked %d times", i.issued)
		}
		must(t, c, "t2")
	})
}

// TestOldTokenIsUsedOn holds that a failure ends nothing while the old token holds.
func TestOldTokenIsUsedOn(t *testing.T) {
	withIssuer(t, func(n int, w http.ResponseWriter) {
		if n == 1 {
			lasting(time.Hour)(n, w)
			return
		}
		w.WriteHeader(500)
	}, func(t *testing.T, i *issuer, c *Caller) {
		must(t, c, "t1")
		time.Sleep(time.Hour - 30*time.Second)
		must(t, c, "t1")
		must(t, c, "t1")
		if i.issued != 2 {
			t.Errorf("asked %d times", i.issued)
		}
		time.Sleep(5 * time.Second)
		must(t, c, "t1")
		if i.issued != 3 {
			t.Errorf("asked %d times", i.issued)
		}
		time.Sleep(30 * time.Second)
		if _, err := c.Header(t.Context()); err == nil {
			t.Error("a token that has expired is used")
		}
	})
}

// TestRenewedOnceAfterA401 holds that a 401 ends a token, and that one which no other token helps against does not end one after another.
func TestRenewedOnceAfterA401(t *testing.T) {
	withIssuer(t, lasting(0), func(t *testing.T, i *issuer, c *Caller) {
		must(t, c, "t1")
		for range 2 { // in flight
			if !c.Answered("Bearer t1", 401) {
				t.Error("another token would not be tried")
			}
		}
		must(t, c, "t2")
		if c.Answered("Bearer t2", 401) {
			t.Error("a token that never held is renewed at once")
		}
		must(t, c, "t2")
		time.Sleep(time.Minute)
		if !c.Answered("Bearer t2", 401) {
			t.Error("it is never renewed again")
		}
		must(t, c, "t3")
		for _, n := range []string{"t3", "t4"} { // what was accepted once may be revoked at any time
			if c.Answered("Bearer "+n, 200) || !c.Answered("Bearer "+n, 401) {
				t.Error("a token that was accepted is not renewed")
			}
			must(t, c, map[string]string{"t3": "t4", "t4": "t5"}[n])
		}
	})
}

// TestCutOffIsNoFailure holds that an attempt that is cut off while it asks leaves the question to the next.
func TestCutOffIsNoFailure(t *testing.T) {
	withIssuer(t, func(n int, w http.ResponseWriter) { time.Sleep(time.Second); lasting(0)(n, w) }, func(t *testing.T, i *issuer, c *Caller) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		var wait sync.WaitGroup
		wait.Go(func() {
			if _, err := c.Header(ctx); err != context.Canceled {
				t.Error(err)
			}
		})
		synctest.Wait()
		wait.Go(func() { must(t, c, "t2") })
		wait.Wait()
		time.Sleep(time.Second)
	})
}
