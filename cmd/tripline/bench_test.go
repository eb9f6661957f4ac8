package main

import (
	"bufio"
	"io"
	"slices"
	"strings"
	"testing"
)

// Of the benchmarks' lines the table takes the core's events only: the record package has a BenchmarkEvent of its own.
func TestBenchMicro(t *testing.T) {
	table := newBenchTable(&benchOptions{})
	lines := "BenchmarkEvent/step-2  239106  4982 ns/op  5786 cpu-ns/op  1394 B/op  12 allocs/op\n" +
		"BenchmarkEvent-2  890887  1344 ns/op  293.88 MB/s  800 B/op  2 allocs/op\nPASS\n"
	if err := table.micro(bufio.NewScanner(strings.NewReader(lines)), io.Discard); err != nil {
		t.Fatal(err)
	}
	step, allocs := benchKey{rowStep, "", "step"}, benchKey{rowAllocs, "", "step"}
	if !slices.Equal(table.order, []benchKey{step, allocs}) || table.measured[step][0] != 5.786 || table.measured[allocs][0] != 12 {
		t.Fatalf("measured %v", table.measured)
	}
}
