package main

import (
	"bufio"
	"io"
	"slices"
	"strings"
	"testing"
)

// Of the benchmarks' lines the table takes those that have bars: the record package has a BenchmarkEvent of its own.
func TestBenchMicro(t *testing.T) {
	table := newBenchTable(&benchOptions{})
	lines := "BenchmarkEvent/step-2  239106  4982 ns/op  5786 cpu-ns/op  1394 B/op  12 allocs/op\n" +
		"BenchmarkEvent-2  890887  1344 ns/op  293.88 MB/s  800 B/op  2 allocs/op\n" +
		"BenchmarkHistory/warm-10-2  10  19503728 ns/op  8048 cpu-ns/event\nBenchmarkHistory/warm-10000-2  10  676743909 ns/op  12072 cpu-ns/event\n" +
		"BenchmarkDue/rows=1000000-2  3  1 ns/op  0.5 p99-look-ms  400000 rows/s\n" +
		"BenchmarkBacktest-2  3  1 ns/op  3500 cpu-ns/event  570000 events/s\nPASS\n"
	if err := table.micro(bufio.NewScanner(strings.NewReader(lines)), io.Discard); err != nil {
		t.Fatal(err)
	}
	step, allocs := benchKey{rowStep, "", "step"}, benchKey{rowAllocs, "", "step"}
	long, cpu, backtest := benchKey{rowHistory, "", ""}, benchKey{rowBacktestCPU, "", ""}, benchKey{rowBacktest, "", ""}
	look, fired := benchKey{rowLook, "", "1000000 open"}, benchKey{rowFired, "", "1000000 open"}
	if !slices.Equal(table.order, []benchKey{step, allocs, long, look, fired, cpu, backtest}) || table.measured[look][0] != 0.5 || table.measured[fired][0] != 400 || table.measured[step][0] != 5.786 || table.measured[allocs][0] != 12 ||
		table.measured[long][0] != 1.5 || table.measured[cpu][0] != 3.5 || table.measured[backtest][0] != 570 {
		t.Fatalf("measured %v", table.measured)
	}
}
