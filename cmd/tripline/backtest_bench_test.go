package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// BenchmarkBacktest is tripline backtest over a file of R1's events, with R1's campaigns.
func BenchmarkBacktest(b *testing.B) {
	const events, users = 500_000, 75_000
	dir := b.TempDir()
	campaigns, from := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "events.ndjson")
	if err := os.WriteFile(campaigns, []byte(`name: abandoned
trigger: {inaction_within_time: {after: {event: Added To Cart}, without: {event: Charged}, within: 30m, on_repeat: restart}}
deliver: {endpoint: x}
---
name: expensive
trigger: {single_action: {event: Product Viewed, where: 'event.price >= 250'}}
deliver: {endpoint: x}
`), 0o644); err != nil {
		b.Fatal(err)
	}
	f, err := os.Create(from)
	if err != nil {
		b.Fatal(err)
	}
	w, rng, start := bufio.NewWriterSize(f, 1<<20), rand.New(rand.NewPCG(1, 2)), time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	for i := range events {
		name := []string{"Added To Cart", "Added To Cart", "Added To Cart", "Added To Cart", "Added To Cart", "Added To Cart",
			"Product Viewed", "Product Viewed", "Product Viewed", "Charged"}[rng.IntN(10)]
		fmt.Fprintf(w, `{"id":"e-%08d","user_id":"user-%07d","event":%q,"time":"%s","properties":{"cart_id":"%012x","product_id":"p-%05d",`+
			`"name":"Trail shoe, waterproof","category":"shoes/outdoor","price":%.2f,"quantity":%d,"currency":"USD","url":"https://shop.example/p/%090x"}}`+"\n",
			i, rng.IntN(users), name, start.Add(4*time.Hour*time.Duration(i)/events).Format("2006-01-02T15:04:05.000Z"),
			rng.Uint64()>>16, rng.IntN(100_000), float64(rng.IntN(30_000))/100, 1+rng.IntN(4), rng.Uint64())
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	f.Close()
	began := processorTime()
	for b.Loop() {
		if _, err := run(b, "backtest", campaigns, "--from", from); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(processorTime()-began)/float64(b.N)/events, "cpu-ns/event")
	b.ReportMetric(float64(b.N)*events/b.Elapsed().Seconds(), "events/s")
}

// processorTime is the process's CPU time so far, in ns: wall time says little on a machine that is shared.
func processorTime() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
