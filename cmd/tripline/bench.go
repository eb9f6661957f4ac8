package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kfake"
)

// benchOptions are the flags of tripline bench.
type benchOptions struct {
	events  int
	users   int
	runs    int
	ids     bool
	loads   []string
	stages  []string
	brokers string // Apache Kafka that runs already
	kafka   string // the script that starts one
	noKfake bool
	micro   bool
	profile string
	dir     string
}

// benchCommand measures the reference workload against real brokers, with a processor that is a process of its own.
func benchCommand() *cobra.Command {
	var o benchOptions
	c := &cobra.Command{
		Use:    "bench",
		Hidden: true,
		Short:  "Measure the reference workloads R1 and R2 and print them beside their bars",
		Example: `  tripline bench --events 500000
  go test -run '^$' -bench . ./processor/campaign | tripline bench --micro --kafka deploy/kafka/kafka`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return bench(c.Context(), &o, c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.IntVar(&o.events, "events", 2_000_000, "events of a run")
	f.IntVar(&o.users, "users", 0, "users; 0: 15 for 100 events, as R1 has")
	f.IntVar(&o.runs, "runs", 1, "runs of each load; the table has the medians")
	f.BoolVar(&o.ids, "ids", false, "events have an id, by which duplicates are found")
	f.StringSliceVar(&o.loads, "loads", []string{"even", "zipf", fewLoad, manyLoad, largeLoad, insideLoad, timersLoad},
		"of R1 even, zipf, and inside: with the broker in the same process; r2: a hundred campaigns, and r2-few: those of them that events concern; r3: users with history; timers: one open for each event that a run has")
	f.StringSliceVar(&o.stages, "stages", []string{"restart", "kill", "restore", "latency", "cases", "sink", "waiting", "isolation"}, "what is measured after the run itself, of tripline test, and of the sink")
	f.StringVar(&o.brokers, "brokers", os.Getenv("KAFKA_BROKERS"), "Apache Kafka to measure against, beside the embedded broker")
	f.StringVar(&o.kafka, "kafka", "", "the script that starts Apache Kafka, where --brokers is empty")
	f.BoolVar(&o.noKfake, "no-embedded", false, "without the embedded broker")
	f.BoolVar(&o.micro, "micro", false, "read lines of go test -bench from standard input and judge them too")
	f.StringVar(&o.profile, "profile", "", "folder for CPU and memory profiles of the processor")
	f.StringVar(&o.dir, "dir", "", "folder for state and logs, kept; empty: a temporary one")
	c.AddCommand(benchBrokerCommand(), benchReceiverCommand(), benchProfiled(processorCommand()), benchProfiled(sinkCommand()))
	return c
}

// benchBrokerCommand is the embedded broker in a process of its own. It prints its address. Told the name of a configuration, it runs a
// processor beside itself.
func benchBrokerCommand() *cobra.Command {
	return &cobra.Command{
		Use:  "broker",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
			if err != nil {
				return err
			}
			defer cluster.Close()
			fmt.Fprintln(c.OutOrStdout(), strings.Join(cluster.ListenAddrs(), ","))
			if file, err := bufio.NewReader(c.InOrStdin()).ReadString('\n'); err == nil {
				p := processorCommand()
				p.SetArgs([]string{"--config", strings.TrimSpace(file)})
				return p.ExecuteContext(c.Context())
			}
			<-c.Context().Done()
			return nil
		},
	}
}

// benchProfiled is a command with profiles: of the CPU from start to end, of allocations at the end.
func benchProfiled(c *cobra.Command) *cobra.Command {
	var profile string
	c.Flags().StringVar(&profile, "profile", "", "folder for profiles")
	run := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		file, err := os.Create(filepath.Join(profile, "cpu.pprof"))
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		err = run(c, args)
		pprof.StopCPUProfile()
		memory, failed := os.Create(filepath.Join(profile, "allocs.pprof"))
		if failed != nil {
			return errors.Join(err, failed)
		}
		return errors.Join(err, pprof.Lookup("allocs").WriteTo(memory, 0), memory.Close())
	}
	return c
}

func bench(ctx context.Context, o *benchOptions, in io.Reader, out, progress io.Writer) error {
	if o.users == 0 {
		o.users = max(1, o.events*15/100)
	}
	if o.dir == "" {
		dir, err := os.MkdirTemp("", "tripline-bench")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.dir = dir
	}
	t := newBenchTable(o)
	if o.micro {
		if err := t.micro(bufio.NewScanner(in), progress); err != nil {
			return err
		}
	}
	if !o.noKfake {
		if err := benchEmbedded(ctx, o, t, progress); err != nil {
			return err
		}
	}
	sink := func(hang bool) func(context.Context, *benchOptions, *benchTable, io.Writer) error {
		return func(ctx context.Context, o *benchOptions, t *benchTable, progress io.Writer) error {
			return benchSink(ctx, o, t, hang, progress)
		}
	}
	for _, stage := range []struct {
		name    string
		measure func(context.Context, *benchOptions, *benchTable, io.Writer) error
	}{{"cases", benchCases}, {"sink", sink(false)}, {"waiting", sink(true)}, {"isolation", benchIsolation}} {
		for range o.runs {
			if o.noKfake || !slices.Contains(o.stages, stage.name) {
				continue
			}
			if err := stage.measure(ctx, o, t, progress); err != nil {
				return fmt.Errorf("%s: %w", stage.name, err)
			}
		}
	}
	if o.brokers != "" || o.kafka != "" {
		if err := benchKafka(ctx, o, t, progress); err != nil {
			return err
		}
	}
	t.print(out)
	return nil
}

// benchEmbedded runs the loads against the embedded broker, a new one for each: it keeps everything in memory.
func benchEmbedded(ctx context.Context, o *benchOptions, t *benchTable, progress io.Writer) error {
	for _, load := range o.loads {
		for range o.runs {
			if load == insideLoad {
				if err := benchInside(ctx, o, t, progress); err != nil {
					return err
				}
				continue
			}
			address, cmd, err := said(ctx, nil, "bench", "broker")
			if err == nil {
				err = benchRun(ctx, o, t, "embedded", address, load, progress)
			}
			kill(cmd)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// benchKafka runs the loads against Apache Kafka, one that is there or one that is started for it.
func benchKafka(ctx context.Context, o *benchOptions, t *benchTable, progress io.Writer) error {
	brokers := o.brokers
	if brokers == "" {
		dir := filepath.Join(o.dir, "kafka")
		port, err := freePort()
		if err != nil {
			return err
		}
		start := exec.CommandContext(ctx, o.kafka, "start", "--dir", dir, "--port", fmt.Sprint(port))
		start.Stderr = progress
		said, err := start.Output()
		if err != nil {
			return fmt.Errorf("%s start: %w", o.kafka, err)
		}
		brokers = strings.TrimSpace(string(said))
		defer func() { _ = exec.Command(o.kafka, "kill", "--dir", dir).Run() }() // it may have ended
	}
	for _, load := range o.loads {
		for range o.runs {
			if load == insideLoad {
				continue
			}
			if err := benchRun(ctx, o, t, "Kafka", brokers, load, progress); err != nil {
				return err
			}
		}
	}
	return nil
}
