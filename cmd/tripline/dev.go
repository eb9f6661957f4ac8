package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// devOptions are the flags of tripline dev.
type devOptions struct {
	dir            string
	port, receiver int
	quiet          bool // no sample users
	processor      string
	sink           string
}

func devCommand() *cobra.Command {
	var o devOptions
	c := &cobra.Command{
		Use:   "dev",
		Short: "Run everything in one process, with an embedded broker and sample users",
		Long: `Run broker, processor, sink and a receiver in one process, with sample users who live through all kinds of campaigns.
Every trigger and delivery is a line. Real Kafka clients can use the broker. The second start goes on with the first one's state.`,
		Example: "  tripline dev\n  tripline dev --port 19092 --no-users",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return dev(c.Context(), &o, c.OutOrStdout()) },
	}
	f := c.Flags()
	f.StringVar(&o.dir, "dir", ".tripline", "folder of the broker's data, the state and the sample campaigns")
	f.IntVar(&o.port, "port", 9092, "port of the embedded broker")
	f.IntVar(&o.receiver, "receiver-port", 9099, "port of the local receiver")
	f.StringVar(&o.processor, "processor-listen", "127.0.0.1:8080", "address of the processor's pages")
	f.StringVar(&o.sink, "sink-listen", "127.0.0.1:8081", "address of the sink's pages")
	f.BoolVar(&o.quiet, "no-users", false, "without sample users")
	return c
}

func dev(ctx context.Context, o *devOptions, out io.Writer) error {
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	lock, err := lockFile(filepath.Join(o.dir, "lock"))
	if err != nil {
		return fmt.Errorf("%s is in use by another tripline dev (%w); stop that one, or choose another folder with --dir", o.dir, err)
	}
	defer lock.Close()
	file, err := writeDev(o)
	if err != nil {
		return err
	}
	receiver, err := listenPort(o.receiver, "--receiver-port")
	if err != nil {
		return err
	}
	defer receiver.Close()
	processorPages, err := listenFlag(o.processor, "--processor-listen")
	if err != nil {
		return err
	}
	defer processorPages.Close()
	sinkPages, err := listenFlag(o.sink, "--sink-listen")
	if err != nil {
		return err
	}
	defer sinkPages.Close()
	broker, err := startBroker(o)
	if err != nil {
		return err
	}
	defer broker.Close()
	cfg, all, err := loadCampaigns(file)
	if err != nil {
		return err
	}
	if err := prepareBroker(ctx, cfg); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	fmt.Fprintf(out, "broker     localhost:%d (any Kafka client; topics %s, %s, %s)\n", o.port, cfg.Topics.Events[0], cfg.Topics.Triggers, cfg.Topics.Deliveries)
	fmt.Fprintf(out, "campaigns  %s\nreceiver   http://%s\npages      http://%s/metrics http://%s/metrics\n", filepath.Join(o.dir, "campaigns"), receiver.Addr(), processorPages.Addr(), sinkPages.Addr())
	fmt.Fprintln(out, "Ctrl-C ends it; the next start goes on from here")
	services := []func(context.Context) error{
		func(ctx context.Context) error { return receive(ctx, receiver, out) },
		func(ctx context.Context) error { return runProcessor(ctx, cfg, all, processorPages) },
		func(ctx context.Context) error { return runSink(ctx, cfg, all, sinkPages) },
		func(ctx context.Context) error { return narrate(ctx, cfg, out) },
	}
	if !o.quiet {
		services = append(services, func(ctx context.Context) error { return live(ctx, cfg) })
	}
	return together(ctx, services...)
}

// writeDev writes the configuration, and the sample campaigns where there are none yet.
func writeDev(o *devOptions) (file string, err error) {
	campaigns := filepath.Join(o.dir, "campaigns")
	if err := os.MkdirAll(campaigns, 0o755); err != nil {
		return "", err
	}
	if old, err := filepath.Glob(filepath.Join(campaigns, "*.yaml")); err != nil || len(old) == 0 {
		text, err := templates.ReadFile("template/dev/campaigns.yaml")
		if err != nil {
			return "", err
		}
		if err := writeNew(filepath.Join(campaigns, "campaigns.yaml"), text); err != nil {
			return "", err
		}
	}
	file = filepath.Join(o.dir, "tripline.yaml")
	text := fmt.Sprintf(`# Written by every start of tripline dev; the campaigns beside it are yours to change.
kafka: {brokers: ["localhost:%d"]}
campaigns: ["campaigns/*.yaml"]
state: {dir: state}
settle: 1s
log: {level: warn}
endpoints:
  - {name: receiver, url: 'http://127.0.0.1:%d/hooks', allow_private: true}
`, o.port, o.receiver)
	return file, os.WriteFile(file, []byte(text), 0o644)
}

func listenPort(port int, flag string) (net.Listener, error) {
	return listenFlag(fmt.Sprintf("127.0.0.1:%d", port), flag)
}

func listenFlag(address, flag string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s is taken by another process (%w); stop that one, or choose another with %s", address, err, flag)
	}
	return l, nil
}

// receive is a webhook receiver that accepts everything.
func receive(ctx context.Context, listener net.Listener, out io.Writer) error {
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(readable{out}, "%s webhook   %s %s %s\n", clockTime(time.Now()), r.Method, r.Header.Get("webhook-id"), shorten(body, 160))
		w.WriteHeader(http.StatusNoContent)
	})}
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

func clockTime(t time.Time) string { return t.Format("15:04:05.000") }

// shorten is the text up to so many bytes, cut between characters.
func shorten(text []byte, most int) string {
	if len(text) <= most {
		return string(text)
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return string(text[:most]) + "…"
}
