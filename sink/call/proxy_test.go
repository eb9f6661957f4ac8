package call

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tripline/tripline/sink/policy"
)

// hop is a proxy that leads everywhere to one server, and notes what it was asked for.
type hop struct {
	t       *testing.T
	to      string // host:port
	refuse  string // an answer, in place of doing it
	welcome string // user:password that it asks for
	url     string // without user and password

	mu    sync.Mutex
	asked []string
}

func (h *hop) note(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, text)
}

func (h *hop) all() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.asked, ", ")
}

// startHop starts a proxy of that scheme.
func startHop(t *testing.T, scheme, to string) *hop {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hop{t: t, to: strings.TrimPrefix(strings.TrimPrefix(to, "http://"), "https://"), url: scheme + "://" + l.Addr().String()}
	if scheme == "https" {
		server := httptest.NewUnstartedServer(nil) // for its certificate
		server.StartTLS()
		t.Cleanup(server.Close)
		l = tls.NewListener(l, &tls.Config{Certificates: server.TLS.Certificates})
	}
	t.Cleanup(func() { l.Close() })
	serve := h.http
	if scheme == "socks5" {
		serve = h.socks
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c, bufio.NewReader(c))
			}()
		}
	}()
	return h
}

// join copies both ways until either ends.
func (h *hop) join(c net.Conn, from io.Reader) {
	to, err := net.Dial("tcp", h.to)
	if err != nil {
		return
	}
	go func() {
		io.Copy(to, from)
		to.Close()
	}()
	io.Copy(c, to)
}

func (h *hop) http(c net.Conn, r *bufio.Reader) {
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		h.note(strings.TrimSpace(req.Method + " " + req.RequestURI + " " + req.Host))
		authorization := req.Header.Get("Proxy-Authorization")
		switch {
		case h.refuse != "":
			io.WriteString(c, h.refuse)
			return
		case h.welcome != "" && authorization != "Basic "+base64.StdEncoding.EncodeToString([]byte(h.welcome)):
			fmt.Fprintf(c, "HTTP/1.1 407 Proxy Authentication Required: not %s\r\nContent-Length: 0\r\n\r\n", authorization)
			return
		case req.Method == "CONNECT":
			io.WriteString(c, "HTTP/1.1 200 Go on\r\n\r\n")
			h.join(c, r)
			return
		}
		req.URL.Host, req.RequestURI = h.to, ""
		req.Header.Del("Proxy-Authorization")
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			h.t.Error(err)
			return
		}
		resp.Write(c)
		resp.Body.Close()
	}
}

// socks is RFC 1928 and RFC 1929.
func (h *hop) socks(c net.Conn, r *bufio.Reader) {
	take := func(n int) []byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			h.t.Error(err)
		}
		return b
	}
	methods := take(int(take(2)[1]))
	if h.welcome == "" {
		c.Write([]byte{5, 0})
	} else if !bytes.Contains(methods, []byte{2}) {
		c.Write([]byte{5, 0xff})
		return
	} else {
		c.Write([]byte{5, 2})
		user := take(int(take(2)[1]))
		password := take(int(take(1)[0]))
		if string(user)+":"+string(password) != h.welcome {
			c.Write([]byte{1, 1})
			return
		}
		c.Write([]byte{1, 0})
	}
	var host string
	switch take(4)[3] {
	case 1:
		host = netip.AddrFrom4([4]byte(take(4))).String()
	case 3:
		host = string(take(int(take(1)[0])))
	case 4:
		host = netip.AddrFrom16([16]byte(take(16))).String()
	}
	port := take(2)
	h.note(fmt.Sprintf("socks %s %d", host, int(port[0])<<8+int(port[1])))
	if h.refuse != "" {
		c.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
		return
	}
	c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	h.join(c, r)
}

// elsewhere is a network in which hooks.example.com has these addresses; what is dialled is dialled.
func elsewhere(t *testing.T, addresses ...string) Network {
	return Network{Lookup: func(_ context.Context, host string) (all []netip.Addr, _ error) {
		if host != "hooks.example.com" {
			t.Errorf("looked up %s", host)
			return nil, errors.New("no such host")
		}
		for _, a := range addresses {
			all = append(all, netip.MustParseAddr(a))
		}
		return all, nil
	}}
}

func TestProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("ALL_PROXY", "socks5://127.0.0.1:1")
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header["Proxy-Authorization"]; got != nil {
			t.Errorf("the target is told %q", got)
		}
		fmt.Fprint(w, r.Host, " ", r.RequestURI)
	})
	plain := httptest.NewServer(handler)
	defer plain.Close()
	secure := httptest.NewUnstartedServer(handler)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	defer secure.Close()
	ca := block("CERTIFICATE", secure.Certificate().Raw) // of all of httptest's servers; it is for example.com, too
	network := elsewhere(t, "203.0.113.7")
	resolves := Network{Lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
		t.Errorf("looked up %s", host)
		return nil, errors.New("no such host")
	}}
	for _, scheme := range []string{"http", "https", "socks5"} {
		for _, target := range []struct {
			url, tunnel, forward string
			resolves             bool
		}{
			{"https://hooks.example.com/a?b=c", "203.0.113.7:443", "", false},
			{"https://hooks.example.com/a?b=c", "hooks.example.com:443", "", true},
			{"http://hooks.example.com/a%20b?b=c", "203.0.113.7:80", "http://203.0.113.7:80/a%20b?b=c", false},
			{"http://hooks.example.com:8080", "hooks.example.com:8080", "http://hooks.example.com:8080/", true},
			{"http://[2606:4700::1111]/", "[2606:4700::1111]:80", "http://[2606:4700::1111]:80/", true},
		} {
			to, cfg := secure.URL, Config{TLS: TLS{CA: ca}, Network: network}
			if target.forward != "" {
				to = plain.URL
			}
			h := startHop(t, scheme, to)
			h.welcome = "us er:p@ss"
			if cfg.Proxy = (Proxy{strings.Replace(h.url, "://", "://us%20er:p%40ss@", 1), target.resolves}); target.resolves {
				cfg.Network = resolves
			}
			a := one(t, cfg, target.url)
			asked := "CONNECT " + target.tunnel + " " + target.tunnel
			if scheme == "socks5" {
				host, port, _ := net.SplitHostPort(target.tunnel)
				asked = "socks " + host + " " + port
			} else if target.forward != "" {
				host, _, _ := strings.Cut(strings.TrimPrefix(target.forward, "http://"), "/")
				asked = "POST " + target.forward + " " + host
			}
			path := "/a"
			if strings.HasSuffix(a.Response, "/") {
				path = "/"
			}
			if a.Status != 200 || h.all() != asked || !strings.Contains(a.Response, path) {
				t.Errorf("%s, %+v: %+v, asked %q, want %q", scheme, target, a, h.all(), asked)
			}
		}
	}
}

// TestProxyChecksTargets holds that a proxy is given no address that must not be called, and that its own may be any.
func TestProxyChecksTargets(t *testing.T) {
	for _, scheme := range []string{"http", "socks5"} {
		for _, c := range []struct {
			url       string
			addresses []string
			resolves  bool
			want      string
		}{
			{"https://hooks.example.com/", []string{"10.0.0.1"}, false, ""},
			{"http://hooks.example.com/", []string{"::ffff:169.254.169.254"}, false, ""},
			{"http://hooks.example.com/", []string{"127.0.0.1", "203.0.113.9"}, false, "203.0.113.9"},
			{"https://hooks.example.com/", []string{"127.0.0.1", "203.0.113.9"}, false, "203.0.113.9"},
			{"http://169.254.169.254/", nil, true, ""},
			{"https://[64:ff9b::7f00:1]/", nil, true, ""},
			{"http://2130706433/", nil, true, ""},
			{"https://0x7f.1/", nil, false, ""},
		} {
			h := startHop(t, scheme, "127.0.0.1:1")
			h.refuse = "HTTP/1.1 502 No\r\n\r\n"
			a := one(t, Config{Network: elsewhere(t, c.addresses...), Proxy: Proxy{h.url, c.resolves}}, c.url)
			if (a.Reason == policy.RefusedAddress) != (c.want == "") || (h.all() == "") != (c.want == "") || !strings.Contains(h.all(), c.want) {
				t.Errorf("%s %+v: %+v, asked %q", scheme, c, a, h.all())
			}
		}
	}
}

// TestProxyFailures holds that what goes wrong at a proxy says so, and shows no password.
func TestProxyFailures(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	refusing := func(scheme, answer string) string {
		h := startHop(t, scheme, "127.0.0.1:1")
		h.refuse = answer
		return h.url
	}
	asking := func(scheme string) string {
		h := startHop(t, scheme, "127.0.0.1:1")
		h.welcome = "u:another"
		return h.url
	}
	for _, c := range []struct{ proxy, reason, text string }{
		{"http://" + closed.Addr().String(), policy.Connect, "connection refused"},
		{"socks5://" + closed.Addr().String(), policy.Connect, "connection refused"},
		{"http://" + silent.Addr().String(), policy.Timeout, "deadline exceeded"},
		{"https://" + silent.Addr().String(), policy.Timeout, "deadline exceeded"},
		{"socks5://" + silent.Addr().String(), policy.Timeout, "deadline exceeded"},
		{"https" + strings.TrimPrefix(refusing("https", "-"), "https"), policy.TLS, "certificate"},
		{refusing("http", "HTTP/1.1 403 Not there\r\n\r\n"), policy.Connect, "answered 403 Not there to CONNECT 203.0.113.7:443"},
		{refusing("http", "220 mail\r\n\r\n"), policy.Connect, "no answer to CONNECT"},
		{refusing("http", "HTTP/1.1 200 OK\r\n\r\nmore"), policy.Connect, "sent more than its answer"},
		{refusing("http", "HTTP/1.1 200 OK\r\n"+strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 100)), policy.Connect, "no answer to CONNECT"},
		{asking("http"), policy.Connect, "answered 407 Proxy Authentication Required: not Basic *** to CONNECT 203.0.113.7:443: it asks for another user and password"},
		{asking("socks5"), policy.Connect, "username/password authentication failed"},
		{refusing("socks5", "-"), policy.Connect, "connection refused"},
	} {
		p := Proxy{URL: strings.Replace(c.proxy, "://", "://u:s3cret@", 1)}
		timeout := time.Minute
		if c.reason == policy.Timeout {
			timeout = 300 * time.Millisecond
		}
		a := one(t, Config{Timeout: timeout, Network: elsewhere(t, "203.0.113.7"), Proxy: p, Secrets: NewSecrets(p.Secrets())}, "https://hooks.example.com/")
		host := c.proxy[strings.Index(c.proxy, "://")+3:]
		if a.Reason != c.reason || !strings.HasPrefix(a.Error, "the proxy "+host+": ") && c.reason != policy.Timeout || !strings.Contains(a.Error, c.text) ||
			strings.Contains(a.Error, "s3cret") || strings.Contains(a.Error, "dTpzM2NyZXQ") {
			t.Errorf("%s: %+v, want %s", c.proxy, a, c.text)
		}
	}
}

// TestProxyAsksForAPassword holds that a 407 is a proxy's, and no answer of the target.
func TestProxyAsksForAPassword(t *testing.T) {
	h := startHop(t, "http", "127.0.0.1:1")
	h.welcome = "u:another"
	p := Proxy{URL: strings.Replace(h.url, "://", "://u:s3cret@", 1)}
	a := one(t, Config{Network: elsewhere(t, "203.0.113.7"), Proxy: p, Secrets: NewSecrets(p.Secrets())}, "http://hooks.example.com/")
	if a.Reason != policy.Connect || a.Status != 0 || !strings.HasSuffix(a.Error, "answered 407 Proxy Authentication Required: not Basic ***: it asks for another user and password in proxy.url") {
		t.Errorf("%+v", a)
	}
}

func TestProxyProblems(t *testing.T) {
	for url, good := range map[string]bool{
		"http://proxy:3128": true, "http://proxy": true, "https://u:s3cret@proxy/": true, "socks5://10.0.0.1": true, "http://s3cret@proxy": true,
		"proxy:3128": false, "socks5h://proxy": false, "ftp://proxy": false, "http://": false, "http://u:s3cret@": false, "http://proxy/x": false,
		"http://proxy?x": false, "http://u:s3cret%zz@proxy": false, "socks5://u@proxy": false, "socks5://u:" + strings.Repeat("s3cret", 50) + "@proxy": false, "": false,
	} {
		_, err := Proxy{url, true}.read()
		if (err == nil) != good || err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
