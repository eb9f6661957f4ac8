package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// readiness says whether a service does its work, and what it is doing.
type readiness func() (ready bool, detail any)

// page is what a service answers besides /metrics, /healthz and /readyz.
type page struct {
	pattern string // of http.ServeMux
	answer  http.HandlerFunc
}

// serve answers /metrics, /healthz, /readyz and the service's own pages on listener until ctx ends.
func serve(ctx context.Context, listener net.Listener, registry *prometheus.Registry, ready readiness, own ...page) error {
	mux := http.NewServeMux()
	for _, p := range own {
		mux.HandleFunc(p.pattern, p.answer)
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		ok, detail := ready()
		w.Header().Set("content-type", "application/json")
		if !ok {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"ready": ok, "detail": detail}) // the client has gone: nothing to do
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-ctx.Done()
		server.Close()
	}()
	err := server.Serve(listener)
	<-done
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// listen takes the address for a service's pages.
func listen(address, fallback string) (net.Listener, error) {
	if address == "" {
		address = fallback
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; another process has it: stop that, or set another address with --listen or http.listen", address, err)
	}
	return l, nil
}

// together runs services until the first fails or ctx ends, then ends the others and returns the first error.
func together(ctx context.Context, services ...func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, len(services))
	for _, run := range services {
		go func() { ended <- run(ctx) }()
	}
	var first error
	for range services {
		if err := <-ended; err != nil && first == nil {
			first = err
		}
		cancel()
	}
	return first
}
