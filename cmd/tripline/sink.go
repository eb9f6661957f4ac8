package main

import (
	"context"
	"net"

	"github.com/spf13/cobra"

	"github.com/tripline/tripline/config"
)

func checks() config.Checks { return config.Checks{} }

func sinkCommand() *cobra.Command {
	return &cobra.Command{Use: "sink"}
}

func runSink(ctx context.Context, cfg *loaded, all *config.Loaded, listener net.Listener) error {
	<-ctx.Done()
	return nil
}
