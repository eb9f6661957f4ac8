package call

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/tripline/tripline/sink/auth"
	"github.com/tripline/tripline/sink/policy"
)

// way is how requests go out, each once: by the transport, and where a proxy forwards plain requests, in the form that it takes.
type way struct {
	transport *http.Transport
	dialer    *dialer
}

func (w *way) RoundTrip(req *http.Request) (*http.Response, error) {
	req = once(req)
	p := w.dialer.proxy
	if p == nil || !p.forwards() || req.URL.Scheme != "http" {
		return heard(w.transport.RoundTrip(req))
	}
	forwarded, err := w.forwarded(req)
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	resp, err := heard(w.transport.RoundTrip(forwarded))
	if err == nil && resp.StatusCode == http.StatusProxyAuthRequired { // the target has no say in that
		resp.Body.Close()
		return nil, p.failed(req.Context(), policy.Connect, fmt.Errorf("answered %s: %w", resp.Status, errUnwelcome))
	}
	return resp, err
}

// heard is an answer of which a status can be judged. The body of a 101, for which nobody asked, is the connection, which net/http
// leaves to the caller: no context ends a read of it.
func heard(resp *http.Response, err error) (*http.Response, error) {
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode == http.StatusSwitchingProtocols:
		resp.Body.Close()
		resp.Body = http.NoBody
	case resp.StatusCode < 100: // net/http reads 000, too
		resp.Body.Close()
		return nil, fmt.Errorf("malformed HTTP status code %03d", resp.StatusCode)
	}
	return resp, nil
}

// forwarded is a plain request as an HTTP proxy takes it: in the absolute form (RFC 9112, 3.2.2), which names an address that was
// checked here, unless the proxy resolves. The header Host keeps the name.
func (w *way) forwarded(req *http.Request) (*http.Request, error) {
	host := req.URL.Hostname()
	if !w.dialer.named(host) {
		addresses, err := w.dialer.addresses(req.Context(), host)
		if err != nil {
			return nil, err
		}
		host = addresses[0].String()
	}
	port := req.URL.Port()
	if port == "" {
		port = "80"
	}
	u := *req.URL
	u.Opaque = "//" + net.JoinHostPort(host, port) + u.EscapedPath()
	if u.EscapedPath() == "" {
		u.Opaque += "/"
	}
	out := req.WithContext(req.Context())
	out.URL = &u
	if w.dialer.proxy.authorization != "" {
		out.Header.Set("Proxy-Authorization", w.dialer.proxy.authorization)
	}
	return out, nil
}

// attempts is the transport of an endpoint's requests. Each is an attempt of its own, with a header of its own: it says who calls,
// and has its time. It hides the transport's CloseIdleConnections from retryablehttp, which would close those of everybody after
// any failure.
type attempts struct {
	way     *way
	caller  *auth.Caller
	timeout time.Duration
}

func (a *attempts) RoundTrip(req *http.Request) (*http.Response, error) {
	// http.Client's own Timeout would put its error in place of the one that says what took so long.
	ctx, cancel := context.WithTimeout(req.Context(), a.timeout)
	resp, err := a.send(req.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Header.Del("Location") // http.Client fails where it cannot read it
	if resp.Body == http.NoBody {
		cancel()
		return resp, nil
	}
	resp.Body = &ending{resp.Body, cancel}
	return resp, nil
}

func (a *attempts) send(req *http.Request) (*http.Response, error) {
	if a.caller != nil {
		header, err := a.caller.Header(req.Context())
		if err != nil {
			if req.Body != nil {
				req.Body.Close()
			}
			return nil, err
		}
		req.Header.Set("Authorization", header)
	}
	return a.way.RoundTrip(req)
}

// ending is a body whose end is that of its request.
type ending struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (e *ending) Close() error {
	defer e.cancel()
	return e.ReadCloser.Close()
}

// bounded is the transport of token requests: no more is read of an answer than of an endpoint's.
type bounded struct{ way *way }

func (b *bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.way.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Header.Del("Location")
	resp.Body = &limited{io.LimitReader(resp.Body, maxBody), resp.Body}
	return resp, nil
}

type limited struct {
	io.Reader
	io.Closer
}
