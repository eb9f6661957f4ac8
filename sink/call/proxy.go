package call

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"golang.org/x/net/proxy"

	"github.com/tripline/tripline/sink/policy"
)

// Proxy is an endpoint's `proxy`; the zero Proxy is none. Its address is the operator's word, and may be private.
type Proxy struct {
	URL      string // http, https or socks5, with user and password where it asks for them
	Resolves bool   // it is given the target's name; else an address that was resolved and checked here
}

// proxyHop is a Proxy, read.
type proxyHop struct {
	scheme, host, port string
	user, password     string
	authorization      string // of HTTP; "": none
	resolves           bool
	tls                *tls.Config // of https
}

var errUnwelcome = errors.New("it asks for another user and password in proxy.url")

var proxyPorts = map[string]string{"http": "80", "https": "443", "socks5": "1080"}

// read reads a Proxy. The error does not show its url, which may hold a password.
func (p Proxy) read() (*proxyHop, error) {
	if p == (Proxy{}) {
		return nil, nil
	}
	u, err := url.Parse(p.URL)
	switch {
	case err != nil || u.Hostname() == "" || proxyPorts[u.Scheme] == "":
		return nil, errors.New("expected http, https or socks5, as in http://proxy:3128")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("expected nothing behind host and port, as in http://proxy:3128")
	}
	h := &proxyHop{scheme: u.Scheme, host: u.Hostname(), port: u.Port(), resolves: p.Resolves}
	if h.port == "" {
		h.port = proxyPorts[u.Scheme]
	}
	if u.User == nil {
		return h, nil
	}
	h.user = u.User.Username()
	h.password, _ = u.User.Password()
	if u.Scheme == "socks5" && (h.user == "" || h.password == "" || len(h.user) > 255 || len(h.password) > 255) {
		return nil, errors.New("a user and a password of socks5 have 1 to 255 bytes each (RFC 1929)")
	}
	h.authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(h.user+":"+h.password))
	return h, nil
}

// Secrets are what must not be shown of a Proxy, in the forms in which requests hold it.
func (p Proxy) Secrets() []string {
	h, err := p.read()
	if err != nil || h == nil || h.authorization == "" {
		return nil
	}
	secrets := []string{h.authorization[len("Basic "):], p.URL}
	if h.password != "" {
		secrets = append(secrets, h.password)
	} else {
		secrets = append(secrets, h.user) // a token in the place of the name
	}
	return secrets
}

// address is where the proxy listens.
func (h *proxyHop) address() string { return net.JoinHostPort(h.host, h.port) }

// forwards says that the proxy is asked for plain requests in the absolute form, rather than for tunnels.
func (h *proxyHop) forwards() bool { return h.scheme != "socks5" }

// failed is how what goes wrong at a proxy is told. A connection's deadline is the context's, and may be noticed first.
func (h *proxyHop) failed(ctx context.Context, reason string, err error) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		err = context.DeadlineExceeded
	}
	return &phaseError{reason, fmt.Errorf("the proxy %s: %w", h.address(), err)}
}

// hop connects to the proxy.
func (d *dialer) hop(ctx context.Context, network string) (net.Conn, error) {
	h := d.proxy
	addresses, err := d.resolve(ctx, h.host)
	if err != nil {
		return nil, h.failed(ctx, policy.Connect, err)
	}
	var conn net.Conn
	for i, a := range addresses {
		if conn, err = d.connect(ctx, network, a.String(), h.port, len(addresses)-i, nil); err == nil {
			break
		}
	}
	if err != nil {
		return nil, h.failed(ctx, policy.Connect, err)
	}
	if h.scheme != "https" {
		return conn, nil
	}
	cfg := h.tls.Clone()
	if cfg.RootCAs == nil {
		cfg.RootCAs = d.network.Roots
	}
	secured := tls.Client(conn, cfg)
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, h.failed(ctx, policy.TLS, err)
	}
	return secured, nil
}

// tunnel asks the proxy for a connection to a host, a name or an address, and a port.
func (d *dialer) tunnel(ctx context.Context, network, host, port string) (net.Conn, error) {
	h, to := d.proxy, net.JoinHostPort(host, port)
	if h.scheme == "socks5" {
		return d.socks(ctx, network, to)
	}
	conn, err := d.hop(ctx, network)
	if err != nil {
		return nil, err
	}
	if err := h.ask(ctx, conn, to); err != nil {
		conn.Close()
		return nil, h.failed(ctx, policy.Connect, err)
	}
	return conn, nil
}

// ask makes a tunnel of a connection to an HTTP proxy (RFC 9110, 9.3.6).
func (h *proxyHop) ask(ctx context.Context, conn net.Conn, to string) error {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: to}, Host: to, Header: http.Header{}}
	if h.authorization != "" {
		req.Header.Set("Proxy-Authorization", h.authorization)
	}
	if err := req.Write(conn); err != nil {
		return err
	}
	answer := bufio.NewReader(io.LimitReader(conn, maxBody))
	resp, err := http.ReadResponse(answer, req)
	if err != nil {
		return fmt.Errorf("no answer to CONNECT %s: %w", to, err)
	}
	switch {
	case resp.StatusCode == http.StatusProxyAuthRequired:
		return fmt.Errorf("answered %s to CONNECT %s: %w", resp.Status, to, errUnwelcome)
	case resp.StatusCode/100 != 2:
		return fmt.Errorf("answered %s to CONNECT %s", resp.Status, to)
	case answer.Buffered() > 0:
		return fmt.Errorf("sent more than its answer to CONNECT %s", to)
	}
	return nil
}

// hopDialer lets package proxy connect to a socks5 proxy as everything here connects.
type hopDialer struct{ d *dialer }

func (h hopDialer) Dial(network, _ string) (net.Conn, error) {
	return h.d.hop(context.Background(), network)
}

func (h hopDialer) DialContext(ctx context.Context, network, _ string) (net.Conn, error) {
	return h.d.hop(ctx, network)
}

func (d *dialer) socks(ctx context.Context, network, to string) (net.Conn, error) {
	h := d.proxy
	var auth *proxy.Auth
	if h.user != "" {
		auth = &proxy.Auth{User: h.user, Password: h.password}
	}
	socks, err := proxy.SOCKS5("tcp", h.address(), auth, hopDialer{d})
	if err != nil {
		return nil, h.failed(ctx, policy.Connect, err)
	}
	conn, err := socks.(proxy.ContextDialer).DialContext(ctx, network, to)
	var before *phaseError
	if errors.As(err, &before) {
		return nil, before
	}
	if err != nil {
		return nil, h.failed(ctx, policy.Connect, err)
	}
	return conn, nil
}

// proxyTLS is how an https proxy is held to be who it is: by the system's roots and the endpoint's `ca`. It is shown no certificate.
func proxyTLS(h *proxyHop, endpoint *tls.Config, ca string) *tls.Config {
	cfg := &tls.Config{MinVersion: endpoint.MinVersion, ServerName: h.host, NextProtos: []string{"http/1.1"}}
	if ca == "" {
		return cfg
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	roots.AppendCertsFromPEM([]byte(ca))
	cfg.RootCAs = roots
	return cfg
}
