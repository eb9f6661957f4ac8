// Tripline watches what users do on Kafka and calls a webhook when they cross a line.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the build.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the process at once
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
