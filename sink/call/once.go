package call

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
)

// errOnce ends an attempt that net/http would make again.
var errOnce = fmt.Errorf("the connection was closed instead of an answer: %w", io.ErrUnexpectedEOF)

// once is a request that is sent at most once. When a connection that was kept open is closed instead of an answer, net/http sends a GET, and
// whatever has an Idempotency-Key, again, and the first request is in nobody's record. It asks for the body once more before, and gets
// none if the head has gone out. What HTTP/2 sends again, the receiver has said not to have looked at.
func once(req *http.Request) *http.Request {
	var sent, h2 atomic.Bool
	trace := &httptrace.ClientTrace{
		GotConn: func(of httptrace.GotConnInfo) {
			c, ok := of.Conn.(*tls.Conn)
			h2.Store(ok && c.ConnectionState().NegotiatedProtocol == "h2")
		},
		WroteHeaders: func() { sent.Store(true) },
	}
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), trace))
	body := req.GetBody
	if req.Body == nil || req.Body == http.NoBody { // of none it does not ask
		body = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), nil }
		req.Body, _ = body()
	}
	req.GetBody = func() (io.ReadCloser, error) {
		if sent.Load() && !h2.Load() || body == nil {
			return nil, errOnce
		}
		return body()
	}
	return req
}
