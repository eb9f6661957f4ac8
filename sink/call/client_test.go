package call

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/tripline/tripline/sink/policy"
)

// try makes one Do and returns what it tells of.
func try(t *testing.T, cfg Config, url string, again func(n int, a Answer) (time.Duration, bool)) []Answer {
	t.Helper()
	if cfg.Secrets == nil {
		cfg.Secrets = NewSecrets(nil)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	c := New(cfg)
	defer c.Close()
	var answers []Answer
	c.Do(t.Context(), request(url), func(a Answer) (time.Duration, bool) {
		answers = append(answers, a)
		if again == nil {
			return 0, false
		}
		return again(len(answers), a)
	})
	return answers
}

func request(url string) Request {
	return Request{Method: "POST", URL: url, Header: http.Header{}, Body: []byte(`{"a":1}`), Sign: func(http.Header, int64) {}}
}

func one(t *testing.T, cfg Config, url string) Answer {
	t.Helper()
	answers := try(t, cfg, url, nil)
	if len(answers) != 1 {
		t.Fatalf("%d answers", len(answers))
	}
	return answers[0]
}

// raw is a server that does with each connection what serve does, after it has read a request.
func raw(t *testing.T, serve func(c net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					io.Copy(io.Discard, req.Body)
					serve(c)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

var inside = Config{AllowPrivate: true}

func TestAnswers(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if string(body) != `{"a":1}` {
			t.Errorf("body %q", body)
		}
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(503)
		w.Write([]byte("busy \xff"))
	}))
	defer server.Close()
	a := one(t, inside, server.URL)
	if a.Status != 503 || a.RetryAfter != 7000 || a.Response != "busy \xff" || a.Reason != "" || a.Error != "" || a.Started == 0 || a.Ended < a.Started {
		t.Errorf("%+v", a)
	}
}

// TestHanging holds that an endpoint that never answers is left after the timeout, in whichever way it hangs.
func TestHanging(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	short := Config{AllowPrivate: true, Timeout: 100 * time.Millisecond}
	for name, url := range map[string]string{
		"no answer":   raw(t, func(net.Conn) { <-release }),
		"half a line": raw(t, func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 O"); <-release }),
		"half a head": raw(t, func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nA: b\r\n"); <-release }),
	} {
		if a := one(t, short, url); a.Reason != policy.Timeout || a.Status != 0 {
			t.Errorf("%s: %+v", name, a)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts by the system, never speaks TLS
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a := one(t, short, "https://"+l.Addr().String()); a.Reason != policy.Timeout {
		t.Errorf("TLS: %+v", a)
	}
}

// TestHeadDecides holds that status line and headers decide, whatever becomes of the body.
func TestHeadDecides(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	short := Config{AllowPrivate: true, Timeout: 2 * time.Second}
	for name, serve := range map[string]func(c net.Conn){
		"hangs":  func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"); <-release },
		"closes": func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc") },
		"chunks": func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz")
		},
		"trickles": func(c net.Conn) { trickle(c, release) },
	} {
		a := one(t, short, raw(t, serve))
		if a.Status != 200 || a.Reason != "" || !strings.HasPrefix(a.Response, "abc") {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func trickle(c net.Conn, release chan struct{}) {
	io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nabc")
	for {
		select {
		case <-release:
			return
		case <-time.After(time.Millisecond):
			if _, err := c.Write([]byte(".")); err != nil {
				return
			}
		}
	}
}

func TestBroken(t *testing.T) {
	for name, c := range map[string]struct {
		serve func(c net.Conn)
		want  string
	}{
		"closes at once":    {func(net.Conn) {}, policy.Closed},
		"closes in a line":  {func(c net.Conn) { io.WriteString(c, "HTTP/1.1 20") }, policy.BadResponse},
		"resets":            {func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }, policy.Closed},
		"is no HTTP":        {func(c net.Conn) { io.WriteString(c, "220 mail.example.com ESMTP\r\n\r\n") }, policy.BadResponse},
		"has an odd status": {func(c net.Conn) { io.WriteString(c, "HTTP/1.1 abc OK\r\n\r\n") }, policy.BadResponse},
		"has no status":     {func(c net.Conn) { io.WriteString(c, "HTTP/1.1 000 OK\r\n\r\n") }, policy.BadResponse},
		"has endless heads": {func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			for {
				if _, err := io.WriteString(c, "A: "+strings.Repeat("b", 1000)+"\r\n"); err != nil {
					return
				}
			}
		}, policy.BadResponse},
	} {
		if a := one(t, inside, raw(t, c.serve)); a.Reason != c.want || a.Status != 0 || a.Error == "" {
			t.Errorf("%s: %+v, want %s", name, a, c.want)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if a := one(t, inside, "http://"+l.Addr().String()); a.Reason != policy.Connect {
		t.Errorf("%+v", a)
	}
}

// TestGibibyte holds that of an answer without end little is read, and little taken into memory.
func TestGibibyte(t *testing.T) {
	for _, newer := range []bool{false, true} {
		var sent atomic.Int64
		done := make(chan struct{})
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer close(done)
			if (r.ProtoMajor == 2) != newer {
				t.Error(r.Proto)
			}
			piece := make([]byte, 16<<10)
			for range 1 << 16 {
				n, err := w.Write(piece)
				sent.Add(int64(n))
				if err != nil {
					return
				}
			}
		}))
		server.EnableHTTP2 = newer
		server.StartTLS()
		a := one(t, Config{AllowPrivate: true, TLS: TLS{CA: block("CERTIFICATE", server.Certificate().Raw)}}, server.URL)
		if a.Status != 200 || len(a.Response) != 1024 {
			t.Errorf("%d, %d bytes", a.Status, len(a.Response))
		}
		<-done
		if most := map[bool]int64{false: 64 << 20, true: 1 << 20}[newer]; sent.Load() > most { // the system has buffers of its own
			t.Errorf("HTTP/2 %v: the server could send %d bytes", newer, sent.Load())
		}
		server.Close()
	}
}

// TestLittleRoomForAnswers holds what a server is told of how much it may send, of HTTP/2, before anybody reads it.
func TestLittleRoomForAnswers(t *testing.T) {
	server := httptest.NewUnstartedServer(nil) // for its certificate
	server.StartTLS()
	defer server.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: server.TLS.Certificates, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	room := make(chan uint32, 1)
	go func() {
		defer close(room)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		framer := http2.NewFramer(c, c)
		if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
			t.Error(err)
		}
		frame, err := framer.ReadFrame()
		settings, ok := frame.(*http2.SettingsFrame)
		if err != nil || !ok {
			t.Errorf("%v %v", frame, err)
			return
		}
		bytes, _ := settings.Value(http2.SettingInitialWindowSize)
		room <- bytes
	}()
	one(t, Config{AllowPrivate: true, TLS: TLS{CA: block("CERTIFICATE", server.Certificate().Raw)}}, "https://"+l.Addr().String())
	if bytes := <-room; bytes != maxBody {
		t.Errorf("it may send %d bytes", bytes)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var called atomic.Bool
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Store(true) }))
	defer inner.Close()
	for _, to := range []string{"http://169.254.169.254/latest/meta-data", inner.URL, ":%zz", "http://[", ""} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Location"] = []string{to}
			w.WriteHeader(http.StatusTemporaryRedirect)
		}))
		a := one(t, inside, server.URL)
		server.Close()
		if a.Status != 307 || called.Load() {
			t.Errorf("%+v, called: %v", a, called.Load())
		}
	}
}

// outside makes a network in which names resolve to what lookup says, and public addresses lead to server.
func outside(server *httptest.Server, dialled *[]string, lookup func(n int) []string) Network {
	n := 0
	return Network{
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			n++
			var all []netip.Addr
			for _, text := range lookup(n) {
				all = append(all, netip.MustParseAddr(text))
			}
			return all, nil
		},
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			*dialled = append(*dialled, address)
			return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
		},
	}
}

// TestRebinding holds that a name is judged by the address at hand: one that leads outside at first and inside later.
func TestRebinding(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Connection", "close") }))
	defer server.Close()
	var dialled []string
	c := New(Config{Timeout: 10 * time.Second, Secrets: NewSecrets(nil), Network: outside(server, &dialled, func(n int) []string {
		return [][]string{{"203.0.113.7"}, {"127.0.0.1"}, {"::ffff:169.254.169.254"}, {"10.0.0.1", "203.0.113.8"}}[n-1]
	})})
	var got []string
	for range 4 {
		c.Do(t.Context(), request("http://hooks.example.com/x"), func(a Answer) (time.Duration, bool) {
			got = append(got, a.Reason)
			return 0, false
		})
	}
	if strings.Join(got, ",") != ",refused_address,refused_address," || strings.Join(dialled, ",") != "203.0.113.7:80,203.0.113.8:80" {
		t.Errorf("reasons %q, dialled %q", got, dialled)
	}
}

func TestRefusedAddresses(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	for _, url := range []string{server.URL, "http://[::1]:1/", "http://169.254.169.254/", "http://2130706433/", "http://0x7f.1/", "http://１２７.０.０.１/", "http://localhost:1/"} {
		if a := one(t, Config{}, url); a.Reason != policy.RefusedAddress || a.Status != 0 {
			t.Errorf("%s: %+v", url, a)
		}
	}
	d := &dialer{}
	if d.control(t.Context(), "tcp", "127.0.0.1:80", nil) == nil || d.control(t.Context(), "tcp", "203.0.113.7:80", nil) != nil {
		t.Error("the look at what is about to be connected to")
	}
}

func TestNoName(t *testing.T) {
	cfg := Config{Network: Network{Lookup: func(context.Context, string) ([]netip.Addr, error) {
		return nil, &net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}
	}}}
	if a := one(t, cfg, "https://hooks.example.com/"); a.Reason != policy.DNS || !strings.Contains(a.Error, "no such host") {
		t.Errorf("%+v", a)
	}
	cfg.Network.Lookup = func(context.Context, string) ([]netip.Addr, error) { return nil, nil }
	if a := one(t, cfg, "https://hooks.example.com/"); a.Reason != policy.DNS {
		t.Errorf("%+v", a)
	}
}

func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	server.Config.ErrorLog = quiet()
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.Config.ErrorLog = quiet()
	old.StartTLS()
	defer old.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	trusting := Config{AllowPrivate: true, Network: Network{Roots: roots}}

	if a := one(t, trusting, server.URL); a.Status != 200 {
		t.Errorf("a certificate that verifies: %+v", a)
	}
	if a := one(t, inside, server.URL); a.Reason != policy.TLS {
		t.Errorf("an unknown authority: %+v", a)
	}
	if a := one(t, trusting, strings.Replace(server.URL, "127.0.0.1", "localhost", 1)); a.Reason != policy.TLS {
		t.Errorf("the wrong host: %+v", a)
	}
	if a := one(t, trusting, old.URL); a.Reason != policy.TLS {
		t.Errorf("TLS 1.1: %+v", a)
	}
	if a := one(t, inside, strings.Replace(plain.URL, "http:", "https:", 1)); a.Reason != policy.TLS {
		t.Errorf("no TLS at all: %+v", a)
	}
	if a := one(t, inside, strings.Replace(server.URL, "https:", "http:", 1)); a.Status != 400 {
		t.Errorf("TLS where none is asked for: %+v", a)
	}
}
