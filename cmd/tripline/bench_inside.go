package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// insideLoad is R1, evenly spread, with broker and processor in one process.
const insideLoad = "inside"

// insideConfig has room for what the broker keeps in memory.
const insideConfig = "memory: 4GiB\n"

// benchInside measures R1 with the embedded broker in the processor's process.
func benchInside(ctx context.Context, o *benchOptions, t *benchTable, progress io.Writer) error {
	in, tell := io.Pipe()
	address, cmd, err := said(ctx, in, "bench", "broker")
	defer kill(cmd)
	defer tell.Close()
	if err != nil {
		return err
	}
	b, err := newBenched(ctx, o, t, "embedded", address, insideLoad, progress)
	if err != nil {
		return err
	}
	defer b.client.Close()
	if err := b.load.produce(ctx, b.client, o.events); err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	pages := fmt.Sprintf("127.0.0.1:%d", port)
	file, err := b.configure(pages, "keep")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(tell, file); err != nil {
		return err
	}
	p := &benchProcess{b: b, cmd: cmd, pages: "http://" + pages, ended: make(chan struct{})}
	_, rate, err := p.applied(ctx)
	if err != nil {
		return err
	}
	b.t.add(rowInside, b.broker, "even", rate)
	return nil
}

// benchCases measures tripline test with a thousand cases of the campaigns of R2 that an event concerns.
func benchCases(ctx context.Context, o *benchOptions, t *benchTable, progress io.Writer) error {
	dir := filepath.Join(o.dir, "cases")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var cases strings.Builder
	cases.WriteString("campaigns: [campaigns.yaml]\ntests:\n")
	for i := range 1000 {
		fmt.Fprintf(&cases, "  - name: case %d\n    start: 2026-01-05T10:00:00Z\n    events:\n", i)
		for j, event := range []string{"Added To Cart", "Product Viewed", "Added To Cart"} {
			fmt.Fprintf(&cases, "      - {at: %dm, user: u, event: %s, properties: {price: %d}}\n", 3*j, event, 100+i%100)
		}
		cases.WriteString("    until: 1h\n    expect:\n      triggers: [{at: 36m, campaign: abandoned}]\n")
	}
	file := filepath.Join(dir, "cases_test.yaml")
	for name, text := range map[string]string{file: cases.String(), filepath.Join(dir, "campaigns.yaml"): benchCampaigns} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, os.Args[0], "test", file)
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out[:min(len(out), 2000)])
	}
	t.add(rowCases, "", "", time.Since(began).Seconds())
	fmt.Fprintf(progress, "tripline test: 1,000 cases in %s, %s of CPU\n", time.Since(began).Round(time.Millisecond),
		(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Round(time.Millisecond))
	return nil
}
