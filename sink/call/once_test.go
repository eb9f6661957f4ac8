package call

import (
	"crypto/tls"
	"io"
	"net"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// TestNothingIsSentTwiceOverHTTP2 holds that a request which an HTTP/2 server turns away after it has seen it is one attempt that failed, whatever
// the server says it did with it.
func TestNothingIsSentTwiceOverHTTP2(t *testing.T) {
	for name, refuse := range map[string]func(f *http2.Framer, stream uint32) error{
		"refused": func(f *http2.Framer, stream uint32) error {
			return f.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
		},
		"protocol": func(f *http2.Framer, stream uint32) error { return f.WriteRSTStream(stream, http2.ErrCodeProtocol) },
		"goaway":   func(f *http2.Framer, _ uint32) error { return f.WriteGoAway(0, http2.ErrCodeNo, nil) },
	} {
		var seen atomic.Int64
		url, ca := frames(t, func(f *http2.Framer, stream uint32) error {
			seen.Add(1)
			return refuse(f, stream)
		})
		for _, method := range []string{"POST", "GET"} {
			c := New(Config{AllowPrivate: true, Timeout: 10 * time.Second, Connections: 4, Secrets: NewSecrets(nil), TLS: TLS{CA: ca}})
			r := request(url)
			if r.Method = method; method == "GET" {
				r.Body = nil
			}
			var told []Answer
			c.Do(t.Context(), r, func(a Answer) (time.Duration, bool) { told = append(told, a); return 0, false })
			if n := seen.Swap(0); n != 1 || len(told) != 1 || told[0].Reason != "closed" {
				t.Errorf("%s %s: the receiver saw %d requests, told of were %+v", method, name, n, told)
			}
			c.Close()
		}
		told := one(t, asking(t, url, Config{AllowPrivate: true, TLS: TLS{CA: ca}}), url)
		if n := seen.Load(); n != 1 || told.Reason != "token" {
			t.Errorf("%s: asked %d times for a token, then %+v", name, n, told)
		}
	}
}

// frames is a server of HTTP/2 that does with the head of each request what it is told to.
func frames(t *testing.T, request func(f *http2.Framer, stream uint32) error) (url, ca string) {
	server := httptest.NewUnstartedServer(nil) // for its certificate
	server.StartTLS()
	t.Cleanup(server.Close)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: server.TLS.Certificates, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	serve := func(c net.Conn) {
		defer c.Close()
		f := http2.NewFramer(c, c)
		if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil || f.WriteSettings() != nil {
			return
		}
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			if head, ok := frame.(*http2.HeadersFrame); ok && request(f, head.StreamID) != nil {
				return
			}
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return "https://" + l.Addr().String(), block("CERTIFICATE", server.Certificate().Raw)
}
