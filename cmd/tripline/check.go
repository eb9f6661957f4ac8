package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func checkCommand() *cobra.Command {
	var configFile string
	var kafka bool
	c := &cobra.Command{
		Use:     "check",
		Short:   "Load all configuration and report every problem",
		Example: "  tripline check\n  tripline check --config prod.yaml --kafka",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, all, err := loadCampaigns(configFile)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return errSilent
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is sound: %d campaigns, %d endpoints\n", configFile, len(all.Definitions), len(all.Config.Endpoints))
			if !kafka {
				return nil
			}
			return withAdmin(c, configFile, func(ctx context.Context, admin *kadm.Client, cfg *loaded) error {
				return checkTopics(ctx, admin, cfg, c.OutOrStdout())
			})
		},
	}
	addConfigFlag(c, &configFile)
	c.Flags().BoolVar(&kafka, "kafka", false, "check topics and partition counts on the brokers too")
	return c
}
