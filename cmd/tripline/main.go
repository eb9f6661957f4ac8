// Tripline watches what users do on Kafka and calls a webhook when they cross a line.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// version is set by the build.
var version = "dev"

func main() {
	log.SetOutput(libraryLog{os.Stderr})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	service := len(os.Args) > 1 && slices.Contains([]string{"processor", "sink"}, os.Args[1])
	if service {
		signal.Ignore(syscall.SIGHUP) // until it has read its files; what changes from then on is seen
	}
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the process at once
		if service {
			cutOff(os.Stderr, os.Exit)
		}
	}()
	err := root().ExecuteContext(ctx)
	if err == nil {
		return
	}
	if !errors.Is(err, errSilent) {
		fmt.Fprintln(os.Stderr, "tripline: "+err.Error())
	}
	os.Exit(1)
}

// cutOff ends a service that a signal has not ended in time. What hangs then is most likely the store, on a disk that is full: it writes before it
// closes. Nothing that was committed is lost by that, as by any crash.
func cutOff(to io.Writer, exit func(code int)) {
	time.Sleep(4900 * time.Millisecond)
	fmt.Fprintln(to, "tripline: cut off, as it did not end by itself within 5 s: is the disk full? What was committed is in the changelog")
	exit(0)
}

// libraryLog is where libraries log. net/http logs there what an endpoint sends beyond its answer, which may repeat secrets: of such a line
// only the beginning is written.
type libraryLog struct{ to io.Writer }

func (l libraryLog) Write(line []byte) (int, error) {
	told, _, more := bytes.Cut(line, []byte(" starting with "))
	if more {
		told = append(bytes.Clone(told), '\n')
	}
	if _, err := l.to.Write(told); err != nil {
		return 0, err
	}
	return len(line), nil
}

// errSilent ends a command with exit code 1 when all that is to be said has been printed.
var errSilent = errors.New("")

func root() *cobra.Command {
	c := &cobra.Command{
		Use:   "tripline",
		Short: "Watch what users do on Kafka and call a webhook when they cross a line",
		Example: `  tripline dev                                 everything in one process, with sample users
  tripline init demo                           a commented tripline.yaml and a campaign of each kind
  tripline test demo/campaigns/*_test.yaml     unit tests of campaigns in virtual time`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	c.AddCommand(devCommand(), processorCommand(), sinkCommand(), initCommand(), checkCommand(), testCommand(), backtestCommand(), whyCommand(), traceCommand(),
		sendCommand(), replayCommand(), endpointCommand(), stateCommands(), tailCommand(), topicsCommand(), schemaCommand(), versionCommand(), benchCommand())
	c.InitDefaultCompletionCmd()
	c.InitDefaultHelpCmd()
	finish(c)
	return c
}

func versionCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  tripline version\n  tripline version --output json",
		Args:    cobra.NoArgs,
	}
	output := addOutputFlag(c, "text or json")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if output.word == "json" {
			return printJSON(c.OutOrStdout(), map[string]string{"version": version, "go": runtime.Version()})
		}
		_, err := fmt.Fprintln(c.OutOrStdout(), "tripline "+version)
		return err
	}
	return c
}
