package call

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
)

// errOnce ends an attempt that net/http would make again.
var errOnce = fmt.Errorf("the receiver broke off instead of answering: %w", io.ErrUnexpectedEOF)

// once is a request that is sent at most once. When a connection that was kept open is closed instead of an answer, net/http sends a GET, and
// whatever has an Idempotency-Key, again; over HTTP/2 any request that is refused, reset for a breach of the protocol, or beyond the last that
// a connection which ends has taken, up to seven times. The first request is in nobody's record then. It asks for the body once more before,
// and gets none if the head has gone out.
func once(req *http.Request) *http.Request {
	if !repeats(req) {
		return req
	}
	var sent atomic.Bool
	trace := &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }}
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), trace))
	body := req.GetBody
	if req.Body == nil || req.Body == http.NoBody { // of none it does not ask
		body = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), nil }
		req.Body, _ = body()
	}
	req.GetBody = func() (io.ReadCloser, error) {
		if sent.Load() || body == nil {
			return nil, errOnce
		}
		return body()
	}
	return req
}

// repeats reports whether net/http may send a request again of which the head has gone out.
func repeats(req *http.Request) bool {
	return req.URL.Scheme != "http" || req.Method == http.MethodGet || req.Header["Idempotency-Key"] != nil || req.Header["X-Idempotency-Key"] != nil
}
