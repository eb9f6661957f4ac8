//go:build synctests

package call

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestDeadConnection holds that an HTTP/2 connection over which nothing comes any more is given up, whatever is sent over it: an attempt that
// times out does not end it, as one over HTTP/1 does, and all that follow would be made over it.
func TestDeadConnection(t *testing.T) {
	server := httptest.NewUnstartedServer(nil) // for its certificate
	server.StartTLS()
	defer server.Close()
	identity := &tls.Config{Certificates: server.TLS.Certificates, NextProtos: []string{"h2"}}
	ca := block("CERTIFICATE", server.Certificate().Raw)
	synctest.Test(t, func(t *testing.T) {
		var connections atomic.Int64
		network := Network{Dial: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go answerFirst(tls.Server(there, identity), connections.Add(1) == 1)
			return here, nil
		}}
		c := New(Config{AllowPrivate: true, Timeout: 2 * time.Second, Connections: 4, Secrets: NewSecrets(nil), TLS: TLS{CA: ca}, Network: network})
		var last Answer
		for range 20 {
			c.Do(t.Context(), request("https://127.0.0.1/x"), func(a Answer) (time.Duration, bool) { last = a; return 0, false })
			time.Sleep(time.Second)
		}
		if last.Status != 204 || connections.Load() != 2 {
			t.Errorf("%d connections, and at last %+v", connections.Load(), last)
		}
		c.Close()
		synctest.Wait()
	})
}

// answerFirst answers the first request over a connection, or all; it reads on.
func answerFirst(c net.Conn, only bool) {
	defer c.Close()
	out := make(chan func(*http2.Framer), 64) // a pipe has no room, and the client may be writing
	f := http2.NewFramer(c, c)
	if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	defer close(out)
	go func() {
		for write := range out {
			write(f)
		}
	}()
	out <- func(f *http2.Framer) { f.WriteSettings() }
	for silent := false; ; {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.HeadersFrame:
			if id := frame.StreamID; !silent {
				out <- func(f *http2.Framer) {
					f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: noContent(), EndStream: true, EndHeaders: true})
				}
				silent = only
			}
		case *http2.PingFrame:
			if data := frame.Data; !frame.IsAck() && !silent {
				out <- func(f *http2.Framer) { f.WritePing(true, data) }
			}
		}
	}
}

// noContent is the head of an answer.
func noContent() []byte {
	var block bytes.Buffer
	hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: "204"})
	return block.Bytes()
}
