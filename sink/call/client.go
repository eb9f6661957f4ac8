// Package call makes the HTTP requests of one endpoint. It follows no redirect, uses no proxy of the environment, connects to
// no address that it has not checked, and reads no more of an answer than it needs.
//
// The way of a request: client.go makes attempts of it and says how each ended; way.go gives each its time and the header that says
// who calls; network.go resolves, checks (address.go) and connects, through a proxy where there is one (proxy.go), and holds the
// other side to be who it is (trust.go). Requests for tokens go the same way. secrets.go keeps out of what is told what must not be
// shown; access.go finds what is wrong with all that before anything is sent.
package call

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/tripline/tripline/sink/auth"
	"github.com/tripline/tripline/sink/policy"
)

const (
	maxBody     = 64 << 10 // bytes of an answer that are read
	maxResponse = 1 << 10  // bytes of it that are recorded
	maxError    = 1 << 10

	// silence is how long nothing may come over an HTTP/2 connection before it is asked whether it is alive, and half of that for how long it may
	// take to answer.
	silence = 10 * time.Second
)

// Config is an endpoint's.
type Config struct {
	Timeout      time.Duration // of one attempt, from the look-up to the end of the answer
	AllowPrivate bool
	Connections  int // how many are kept open between attempts
	Secrets      *Secrets
	Network      Network
	TLS          TLS
	Auth         *auth.Auth // nil: none
	Proxy        Proxy
}

// Client calls one endpoint. It is safe for concurrent use.
type Client struct {
	http      *http.Client
	transport *http.Transport
	caller    *auth.Caller
	secrets   *Secrets
	exchanges sync.Pool // of *exchange
}

// Request is what is sent. Sign is called before each attempt with the moment (ms since the epoch) and a header of its own, in which
// it sets what it sets each time; Header itself belongs to the first attempt.
type Request struct {
	Method, URL string
	Header      http.Header
	Body        []byte // nil: none
	Sign        func(header http.Header, now int64)
}

// Answer is how one attempt ended. Error and Response hold no secret.
type Answer struct {
	policy.Answer
	Started  int64  // ms since the epoch
	Error    string // what went wrong where there is no status
	Response string // the first KiB of the body
}

// New makes a client. It opens nothing. What Check finds wrong must have been put right.
func New(cfg Config) *Client {
	d := &dialer{network: cfg.Network, allowPrivate: cfg.AllowPrivate, timeout: cfg.Timeout}
	d.tls, _ = cfg.TLS.Config()
	if d.proxy, _ = cfg.Proxy.read(); d.proxy != nil {
		d.proxy.tls = proxyTLS(d.proxy, d.tls, cfg.TLS.CA)
	}
	c := &Client{secrets: cfg.Secrets, transport: &http.Transport{
		DialContext:            d.dial,
		DialTLSContext:         d.dialTLS,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    cfg.Connections,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: maxBody,
		// What an endpoint sends and nobody reads stays in memory with HTTP/2: by default 4 MiB of each answer. And an attempt that times out
		// leaves its connection to the next one: of one that is dead, nobody would ever know.
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: maxBody, MaxReceiveBufferPerConnection: 16 * maxBody,
			SendPingTimeout: silence, PingTimeout: silence / 2, WriteByteTimeout: silence},
	}}
	way := &way{c.transport, d}
	c.caller = cfg.Auth.Caller(unredirected(&bounded{way}), cfg.Secrets.Learn)
	c.http = unredirected(&attempts{way, c.caller, cfg.Timeout})
	return c
}

func unredirected(t http.RoundTripper) *http.Client {
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Secrets hides what requests of the client hold, tokens included.
func (c *Client) Secrets() *Secrets { return c.secrets }

// Close closes the connections that are kept open.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// exchange is the attempts of one Do, as retryablehttp asks for them.
type exchange struct {
	client   *Client
	retrying *retryablehttp.Client
	doing
}

// doing is what an exchange has for one Do.
type doing struct {
	header  http.Header
	sign    func(header http.Header, now int64)
	ended   func(Answer) (wait time.Duration, again bool)
	started int64
	wait    time.Duration
	renewed bool // a 401 has led to a try with another token
}

func (c *Client) newExchange() *exchange {
	x := &exchange{client: c}
	x.retrying = &retryablehttp.Client{
		HTTPClient:     c.http,
		RetryMax:       policy.MaxQuick + 1, // and one with another token
		RequestLogHook: x.begin,
		CheckRetry:     x.end,
		Backoff:        func(_, _ time.Duration, _ int, _ *http.Response) time.Duration { return x.wait },
		ErrorHandler:   retryablehttp.PassthroughErrorHandler,
	}
	return x
}

// Do makes an attempt and tells ended how it ended; where that says so, another one after so long. It returns when the last
// has ended, or when ctx has: an attempt that ctx cuts off is not told of.
func (c *Client) Do(ctx context.Context, r Request, ended func(Answer) (wait time.Duration, again bool)) {
	var body any
	if r.Body != nil {
		body = r.Body
	}
	req, err := retryablehttp.NewRequestWithContext(ctx, r.Method, r.URL, body)
	if err != nil {
		now := time.Now().UnixMilli()
		ended(Answer{Answer: policy.Answer{Reason: policy.Connect, Ended: now}, Started: now, Error: c.text(err)})
		return
	}
	x, ok := c.exchanges.Get().(*exchange)
	if !ok {
		x = c.newExchange()
	}
	x.doing = doing{header: r.Header, sign: r.Sign, ended: ended}
	// There is nothing in what Do returns that end has not seen, but that ctx has ended.
	if resp, err := x.retrying.Do(req); err == nil {
		resp.Body.Close()
	}
	x.doing = doing{}
	c.exchanges.Put(x)
}

// begin is called before each attempt. The transport may still be writing the header of the one before.
func (x *exchange) begin(_ retryablehttp.Logger, req *http.Request, n int) {
	x.started = time.Now().UnixMilli()
	if req.Header = x.header; n > 0 {
		req.Header = x.header.Clone()
	}
	x.sign(req.Header, x.started)
}

// end is called after each attempt.
func (x *exchange) end(ctx context.Context, resp *http.Response, err error) (again bool, _ error) {
	a := Answer{Started: x.started}
	if err != nil {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		a.Reason, a.Error = reason(err), x.client.text(err)
		a.Ended = time.Now().UnixMilli()
	} else {
		a.Status = resp.StatusCode
		a.Response = x.client.read(resp.Body)
		a.Ended = time.Now().UnixMilli()
		a.RetryAfter = policy.RetryAfter(resp.Header.Get("Retry-After"), a.Ended)
		if !x.renewed || a.Status != http.StatusUnauthorized {
			a.Renewed = x.client.caller.Answered(resp.Request.Header.Get("Authorization"), a.Status)
		}
	}
	x.wait, again = x.ended(a)
	x.renewed = x.renewed || again && a.Renewed
	return again, nil
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// read reads what is kept of a body. The status line and headers have decided, whatever becomes of it.
func (c *Client) read(body io.ReadCloser) string {
	if body == http.NoBody {
		return ""
	}
	defer body.Close()
	kept := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(kept)
	kept.Reset()
	kept.ReadFrom(io.LimitReader(body, maxBody)) //nolint:errcheck
	text := kept.String()
	if len(text) == maxBody {
		text = c.secrets.Whole(text)
	}
	return c.secrets.HideAndCut(text, maxResponse)
}

// text is an error without the url that net/http puts before it, which has the query in it.
func (c *Client) text(err error) string {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return c.secrets.HideAndCut(err.Error(), maxError)
}

// reason is what `deliveries` calls the failure of an attempt.
func reason(err error) string {
	var token *auth.TokenError
	var phase *phaseError
	var timeout net.Error
	var remote *net.OpError
	switch {
	case errors.As(err, &token): // whatever went wrong at the token endpoint
		return policy.Token
	case errors.As(err, &phase) && !(phase.reason != policy.RefusedAddress && errors.Is(err, context.DeadlineExceeded)):
		return phase.reason
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return policy.Timeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.EPIPE), strings.Contains(err.Error(), "server closed idle connection"),
		strings.Contains(err.Error(), "client connection lost"): // HTTP/2, which no answer to a ping has come over
		return policy.Closed
	case errors.As(err, &remote) && remote.Op == "remote error": // an alert of crypto/tls: TLS 1.3 refuses a client's certificate after the handshake
		return policy.TLS
	}
	return policy.BadResponse
}
