package call

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tripline/tripline/sink/auth"
	"github.com/tripline/tripline/sink/policy"
)

// asking is a Config whose requests need a token of that endpoint.
func asking(t *testing.T, tokenURL string, cfg Config) Config {
	t.Helper()
	a, problems := auth.New(auth.Config{OAuth2: &auth.OAuth2{TokenURL: tokenURL, ClientID: "c", ClientSecret: "s3cret"}})
	if problems != nil {
		t.Fatal(problems)
	}
	cfg.Auth, cfg.Secrets = a, NewSecrets(a.Secrets())
	return cfg
}

func grant(w http.ResponseWriter, token string) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token":%q,"expires_in":3600}`, token)
}

// TestTokenFailures holds that whatever goes wrong at a token endpoint is an attempt that failed for want of a token, and that no request
// is sent without one.
func TestTokenFailures(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	var called atomic.Bool
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Store(true) }))
	defer target.Close()
	var sent atomic.Int64
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		want  string
	}{
		"hangs":    {func(http.ResponseWriter, *http.Request) { <-release }, "did not answer within the endpoint's timeout"},
		"trickles": {func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush(); <-release }, "did not answer within the endpoint's timeout"},
		"fails":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "answered 500"},
		"switches": {func(w http.ResponseWriter, _ *http.Request) {
			if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
				defer c.Close()
				io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
				<-release
			}
		}, "answered 101"},
		"redirects": {http.RedirectHandler(target.URL, http.StatusTemporaryRedirect).ServeHTTP, "answered 307"},
		"redirects to nonsense": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", ":%zz")
			w.WriteHeader(302)
		}, "answered 302"},
		"echoes": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(400)
			_, secret, _ := r.BasicAuth()
			fmt.Fprintf(w, `{"error":"invalid_client","error_description":"%s %s"}`, secret, r.Header.Get("Authorization"))
		}, "answered 400: invalid_client: *** Basic ***"},
		"is endless": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for {
				n, err := w.Write(make([]byte, 1<<16))
				if sent.Add(int64(n)); err != nil {
					return
				}
			}
		}, "cannot parse json"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(c.serve)
			defer server.CloseClientConnections()
			timeout := time.Minute
			if strings.Contains(c.want, "timeout") {
				timeout = 300 * time.Millisecond
			}
			a := one(t, asking(t, server.URL, Config{AllowPrivate: true, Timeout: timeout}), target.URL)
			if a.Reason != policy.Token || a.Status != 0 || !strings.Contains(a.Error, c.want) || strings.Contains(a.Error, "s3cret") || called.Load() {
				t.Errorf("%+v, want %s; called: %v", a, c.want, called.Load())
			}
		})
	}
	if sent.Load() > 64<<20 {
		t.Errorf("%d bytes were read of an answer", sent.Load())
	}
}

// TestTokenEndpointIsCalledAsAnyOther holds that its address is checked, that its certificate is, and that the proxy is used.
func TestTokenEndpointIsCalledAsAnyOther(t *testing.T) {
	tokens := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Host, "id.") {
			grant(w, "t0ken")
			return
		}
		io.WriteString(w, r.Header.Get("Authorization"))
	}))
	tokens.Config.ErrorLog = quiet()
	tokens.StartTLS()
	defer tokens.Close()
	if a := one(t, asking(t, tokens.URL, Config{Network: elsewhere(t)}), "https://hooks.example.com/"); a.Reason != policy.Token || !strings.Contains(a.Error, "private address") {
		t.Errorf("a private address: %+v", a)
	}
	if a := one(t, asking(t, tokens.URL, Config{AllowPrivate: true}), "https://hooks.example.com/"); a.Reason != policy.Token || !strings.Contains(a.Error, "certificate") {
		t.Errorf("an unknown authority: %+v", a)
	}
	h := startHop(t, "http", tokens.URL)
	cfg := asking(t, "https://id.example.com/token", Config{Proxy: Proxy{h.url, true}, TLS: TLS{CA: block("CERTIFICATE", tokens.Certificate().Raw)}})
	a := one(t, cfg, "https://hooks.example.com/")
	if a.Status != 200 || a.Response != "Bearer ***" || h.all() != "CONNECT id.example.com:443 id.example.com:443, CONNECT hooks.example.com:443 hooks.example.com:443" {
		t.Errorf("%+v, the proxy was asked %q", a, h.all())
	}
}

// TestRenewedAfterA401 holds that one try in place follows a 401, with another token, as an attempt of its own; and that the old token
// stays hidden.
func TestRenewedAfterA401(t *testing.T) {
	n := 0
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { n++; grant(w, fmt.Sprint("t0ken-", n)) }))
	defer tokens.Close()
	accepted := "Bearer t0ken-2"
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != accepted {
			w.WriteHeader(401)
		}
		io.WriteString(w, "t0ken-1 "+r.Header.Get("Authorization"))
	}))
	defer target.Close()
	cfg := asking(t, tokens.URL, Config{AllowPrivate: true})
	follow := func(_ int, a Answer) (time.Duration, bool) { return 0, a.Renewed }
	answers := try(t, cfg, target.URL, follow)
	if len(answers) != 2 || answers[0].Status != 401 || answers[1].Status != 200 || answers[1].Response != "*** Bearer ***" || n != 2 {
		t.Errorf("%+v, %d tokens", answers, n)
	}
	accepted = "none"
	if answers := try(t, cfg, target.URL, follow); len(answers) != 2 || answers[1].Status != 401 || answers[1].Renewed || n != 4 {
		t.Errorf("%+v, %d tokens", answers, n)
	}
	c := New(Config{AllowPrivate: true, Timeout: 10 * time.Second, Secrets: NewSecrets(nil), Auth: mustBasic(t)})
	defer c.Close()
	c.Do(t.Context(), request(target.URL), func(a Answer) (time.Duration, bool) {
		if a.Renewed {
			t.Error("a password would be renewed")
		}
		return 0, false
	})
}

func mustBasic(t *testing.T) *auth.Auth {
	t.Helper()
	a, problems := auth.New(auth.Config{Basic: &auth.Basic{Username: "u", Password: "p"}})
	if problems != nil {
		t.Fatal(problems)
	}
	return a
}
