package call

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestAgain holds that tries in place are made as they are asked for, each signed anew on a header of its own.
func TestAgain(t *testing.T) {
	var signatures []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		signatures = append(signatures, strings.Join(r.Header["Signature"], "+"))
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(502)
	}))
	defer server.Close()
	c := New(Config{AllowPrivate: true, Timeout: 10 * time.Second, Secrets: NewSecrets(nil)})
	r := request(server.URL)
	n := 0
	r.Sign = func(h http.Header, now int64) { n++; h.Set("Signature", string(rune('0'+n))) }
	told := 0
	c.Do(t.Context(), r, func(a Answer) (time.Duration, bool) {
		told++
		return time.Millisecond, told < 3
	})
	if strings.Join(signatures, ",") != "1,2,3" || told != 3 {
		t.Errorf("signatures %q, told %d", signatures, told)
	}
}

// TestCutOff holds that an attempt that the caller cuts off is not told of, and one before it is.
func TestCutOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url := raw(t, func(net.Conn) { cancel(); <-ctx.Done() })
	c := New(Config{AllowPrivate: true, Timeout: 10 * time.Second, Secrets: NewSecrets(nil)})
	c.Do(ctx, request(url), func(a Answer) (time.Duration, bool) {
		t.Errorf("told of %+v", a)
		return 0, false
	})
	ctx2, cancel2 := context.WithCancel(t.Context())
	url = raw(t, func(c net.Conn) { io.WriteString(c, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n") })
	told := 0
	c.Do(ctx2, request(url), func(a Answer) (time.Duration, bool) {
		told++
		cancel2()
		return time.Hour, true
	})
	if told != 1 {
		t.Errorf("told %d times", told)
	}
}

func TestSecretsAreHidden(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte(`{"echo":"s3cr\"et", "url":"/s3cr%22et?k=t%2Bk"}`))
	}))
	defer server.Close()
	cfg := Config{AllowPrivate: true, Secrets: NewSecrets([]string{`s3cr"et`, "t+k", ""})}
	if a := one(t, cfg, server.URL); a.Response != `{"echo":"***", "url":"/***?k=***"}` {
		t.Errorf("%q", a.Response)
	}
	cfg.Network.Lookup = func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New(`no s3cr"et host`) }
	if a := one(t, cfg, "http://x.example/?k=t%2Bk"); strings.Contains(a.Error, "s3cr") || strings.Contains(a.Error, "t%2Bk") {
		t.Errorf("%q", a.Error)
	}
}

func TestHideAndCut(t *testing.T) {
	s := NewSecrets([]string{"longsecret", "secret"})
	for text, want := range map[string]string{
		"0123longsecret": "0123***", "012345longsecretx": "012345**", "01234567": "01234567", "0123456é": "0123456", "0123456789": "01234567",
		"secret": "***", "": "",
	} {
		if got := s.HideAndCut(text, 8); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestNothingIsSentTwiceInSilence holds that a connection that was kept open, and is closed instead of an answer, is one attempt that failed:
// net/http itself would send some requests again, of which nobody would be told.
func TestNothingIsSentTwiceInSilence(t *testing.T) {
	for _, of := range []struct{ method, header string }{{"POST", ""}, {"GET", ""}, {"POST", "Idempotency-Key"}, {"PUT", "X-Idempotency-Key"}, {"DELETE", ""}} {
		var seen atomic.Int64
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					in := bufio.NewReader(c)
					for n := range 2 {
						req, err := http.ReadRequest(in)
						if err != nil {
							return
						}
						io.Copy(io.Discard, req.Body)
						if seen.Add(1); n == 0 {
							io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
						}
					}
				}()
			}
		}()
		c := New(Config{AllowPrivate: true, Timeout: 10 * time.Second, Connections: 4, Secrets: NewSecrets(nil)})
		told := 0
		for range 2 {
			r := request("http://" + l.Addr().String())
			if r.Method = of.method; of.method == "GET" || of.method == "DELETE" {
				r.Body = nil
			}
			if of.header != "" {
				r.Header.Set(of.header, "k")
			}
			c.Do(t.Context(), r, func(Answer) (time.Duration, bool) { told++; return 0, false })
		}
		if n := int(seen.Load()); told != 2 || n != 2 {
			t.Errorf("%s %s: the receiver saw %d requests, %d were told of", of.method, of.header, n, told)
		}
		c.Close()
		l.Close()
	}
}
