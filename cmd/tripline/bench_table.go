package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// benchRow is one thing that is measured. Its bars are those that quality asks for.
type benchRow struct {
	name      string
	unit      string
	bar, goal float64 // 0: none
	zipf      [2]float64
	more      bool // more is better
}

var (
	rowCPU     = benchRow{name: "R1 CPU of the processor", unit: "s/M", bar: 8, goal: 4, zipf: [2]float64{5, 3.3}}
	rowWall    = benchRow{name: "R1 events applied, broker on the same cores", unit: "k/s", bar: 120, goal: 220, more: true}
	rowMemory  = benchRow{name: "R1 peak memory", unit: "MiB", bar: 500, goal: 250}
	rowLatency = benchRow{name: "event to readable trigger at 5,000/s, p99", unit: "ms", bar: 100, goal: 25}
	rowRestore = benchRow{name: "restore from an empty disk", unit: "k rows/s", bar: 800, goal: 1500, more: true}
	rowRestart = benchRow{name: "warm restart to the first record", unit: "s", bar: 1, goal: 0.2}
	rowKill    = benchRow{name: "SIGKILL to the first record", unit: "s", bar: 3, goal: 0.5}
	rowWiped   = benchRow{name: "partitions wiped after SIGKILL", unit: ""}
	// R2's bar is what is left of R1's events for each second of CPU.
	rowMany       = benchRow{name: "R2, events per second of CPU, relative to R1", unit: "%", bar: 60, more: true}
	rowManyFew    = benchRow{name: "R2, the same relative to the 6 of its 100 campaigns that events concern", unit: "%", more: true}
	rowManyCPU    = benchRow{name: "R2 CPU of the processor", unit: "s/M"}
	rowManyMemory = benchRow{name: "R2 peak memory", unit: "MiB", bar: 500}
	// R3's is the same.
	rowLarge       = benchRow{name: "R3, events per second of CPU, relative to R1", unit: "%", bar: 25, more: true}
	rowLargeCPU    = benchRow{name: "R3 CPU of the processor", unit: "s/M"}
	rowLargeMemory = benchRow{name: "R3 peak memory", unit: "MiB", bar: 512}
	rowInside      = benchRow{name: "R1 events applied, broker in the same process", unit: "k/s", bar: 150, more: true}
	rowTimer       = benchRow{name: "timer due to readable trigger, p99", unit: "ms", bar: 250}
	rowBurst       = benchRow{name: "timers due at once, to their triggers", unit: "k/s"}
	rowFired       = benchRow{name: "timers fired in a burst", unit: "k/s", bar: 300, more: true}
	rowLook        = benchRow{name: "timers, a look at the index in and after a burst, p99", unit: "ms", bar: 5}
	rowCases       = benchRow{name: "tripline test, 1,000 cases", unit: "s", bar: 2}
	rowStep        = benchRow{name: "one event, core only, CPU", unit: "µs", bar: 2}
	rowAllocs      = benchRow{name: "one event, core only", unit: "allocs", bar: 5}
	rowHistory     = benchRow{name: "one event, core only, with 10,000 events of history against 10", unit: "×", bar: 2}

	rowBacktest    = benchRow{name: "tripline backtest from a file", unit: "k/s", bar: 500, more: true}
	rowBacktestCPU = benchRow{name: "tripline backtest from a file, CPU", unit: "µs", bar: 4} // of two cores, at its bar
)

// benchTable gathers what was measured and prints it beside the bars.
type benchTable struct {
	o        *benchOptions
	order    []benchKey
	measured map[benchKey][]float64
	versions []string
}

type benchKey struct {
	row          benchRow
	broker, load string
}

func newBenchTable(o *benchOptions) *benchTable {
	return &benchTable{o: o, measured: map[benchKey][]float64{}}
}

func (t *benchTable) add(row benchRow, broker, load string, measured float64) {
	if row.unit == "k/s" || row.unit == "k rows/s" {
		measured /= 1000
	}
	if row.zipf[0] > 0 && load == "zipf" {
		row.bar, row.goal = row.zipf[0], row.zipf[1]
	}
	key := benchKey{row, broker, load}
	if t.measured[key] == nil {
		t.order = append(t.order, key)
	}
	t.measured[key] = append(t.measured[key], measured)
}

// micro takes the results of go test -bench that have bars, and passes all lines on.
func (t *benchTable) micro(lines *bufio.Scanner, progress io.Writer) error {
	short := 0. // of BenchmarkHistory: what an event costs a user with little history
	for lines.Scan() {
		fmt.Fprintln(progress, lines.Text())
		f := strings.Fields(lines.Text())
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name := strings.TrimRight(f[0], "0123456789") // the number of cores
		for i := 2; i+1 < len(f); i += 2 {
			v, err := strconv.ParseFloat(f[i], 64)
			if err != nil {
				continue
			}
			rows, isDue := strings.CutPrefix(strings.TrimSuffix(name, "-"), "BenchmarkDue/rows=")
			step, isStep := strings.CutPrefix(strings.TrimSuffix(name, "-"), "BenchmarkEvent/")
			switch {
			case isStep && f[i+1] == "cpu-ns/op":
				t.add(rowStep, "", step, v/1000)
			case isStep && f[i+1] == "allocs/op":
				t.add(rowAllocs, "", step, v)
			case name == "BenchmarkHistory/warm-10-" && f[i+1] == "cpu-ns/event":
				short = v
			case name == "BenchmarkHistory/warm-10000-" && f[i+1] == "cpu-ns/event" && short > 0:
				t.add(rowHistory, "", "", v/short)
			case isDue && f[i+1] == "rows/s":
				t.add(rowFired, "", rows+" open", v)
			case isDue && f[i+1] == "p99-look-ms":
				t.add(rowLook, "", rows+" open", v)
			case name == "BenchmarkBacktest-" && f[i+1] == "cpu-ns/event":
				t.add(rowBacktestCPU, "", "", v/1000)
			case name == "BenchmarkBacktest-" && f[i+1] == "events/s":
				t.add(rowBacktest, "", "", v)
			}
		}
	}
	return lines.Err()
}

// version notes what kind of broker answers.
func (t *benchTable) version(ctx context.Context, broker string, client *kgo.Client) {
	text := broker + " broker"
	if r, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, client); err == nil && broker != "embedded" {
		text = "Apache Kafka " + kversion.FromApiVersionsResponse(r).VersionGuess()
	}
	if !slices.Contains(t.versions, text) {
		t.versions = append(t.versions, text)
	}
}

func (t *benchTable) print(out io.Writer) {
	fmt.Fprintf(out, "\nR1: %d events of %d bytes, %d users, %d partitions", t.o.events, benchBytes, t.o.users, benchPartitions)
	if t.o.events != 2_000_000 {
		fmt.Fprint(out, "; R1 has 2000000 of 300000 (BENCH_EVENTS=2000000)")
	}
	fmt.Fprintf(out, "\n%s, %d cores, %s/%s, %s, %s, tripline %s, medians of %d\n", cpuModel(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH,
		runtime.Version(), strings.Join(t.versions, ", "), version, t.o.runs)
	fmt.Fprintf(out, "load average %s: where it is above the cores, wall times say little\n", loadAverage())
	fmt.Fprint(out, "ratio: to the bar, above 1 is better than it\n\n")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "row\tload\tbroker\tmeasured\tbar\tgoal\tratio")
	for _, key := range t.order {
		all := slices.Sorted(slices.Values(t.measured[key]))
		median := all[len(all)/2]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s %s\t%s\t%s\t%s\n", key.row.name, key.load, key.broker, digits(median), key.row.unit,
			orDash(key.row.bar), orDash(key.row.goal), key.row.ratio(median))
	}
	w.Flush()
}

func (r *benchRow) ratio(measured float64) string {
	switch {
	case r.bar == 0 || measured == 0:
		return "-"
	case r.more:
		return fmt.Sprintf("%.2f", measured/r.bar)
	}
	return fmt.Sprintf("%.2f", r.bar/measured)
}

func digits(v float64) string {
	if v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func orDash(v float64) string {
	if v == 0 {
		return "-"
	}
	return digits(v)
}

// loadAverage is that of the last one, five and fifteen minutes, as Linux tells it.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	f := strings.Fields(string(text))
	if err != nil || len(f) < 3 {
		return "unknown"
	}
	return strings.Join(f[:3], " ")
}

// cpuModel is what Linux calls the processor.
func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown CPU"
	}
	_, rest, _ := strings.Cut(string(text), "model name")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), ":"))
}
