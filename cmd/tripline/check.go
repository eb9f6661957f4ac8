package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/tripline/tripline/config"
)

// checkReport is what tripline check has found.
type checkReport struct {
	File      string         `json:"file"`
	Campaigns int            `json:"campaigns"`
	Endpoints int            `json:"endpoints"`
	Problems  []checkProblem `json:"problems"`
	Memory    string         `json:"memory,omitempty"`   // that there is too little of it for the lanes, as far as they are known
	Topics    []topicReport  `json:"topics,omitempty"`   // with --kafka
	Access    []string       `json:"access,omitempty"`   // likewise: what else is not permitted
	Registry  string         `json:"registry,omitempty"` // likewise: what is wrong with it, or ok; "": there is none
}

type checkProblem struct {
	File       string `json:"file"`
	Line       int    `json:"line,omitempty"`
	Column     int    `json:"column,omitempty"`
	Message    string `json:"message"`
	Suggestion string `json:"suggestion,omitempty"`
	Text       string `json:"text,omitempty"`
}

func checkCommand() *cobra.Command {
	var configFile string
	var kafka bool
	c := &cobra.Command{
		Use:     "check",
		Short:   "Load all configuration and report every problem",
		Example: "  tripline check\n  tripline check --config prod.yaml --kafka",
		Args:    cobra.NoArgs,
	}
	addConfigFlag(c, &configFile)
	output := addOutputFlag(c, "text or json")
	c.Flags().BoolVar(&kafka, "kafka", false, "check topics, partition counts and permissions on the brokers too, and that the schema registry answers")
	c.RunE = func(c *cobra.Command, _ []string) error { return check(c, configFile, kafka, output.word) }
	return c
}

func check(c *cobra.Command, configFile string, kafka bool, output string) error {
	cfg, all, err := loadCampaigns(configFile)
	var problems config.Problems
	if err != nil && !errors.As(err, &problems) {
		return err
	}
	report := &checkReport{File: configFile, Problems: []checkProblem{}}
	for _, p := range problems {
		report.Problems = append(report.Problems, checkProblem(p))
	}
	if err != nil {
		if output == "json" {
			return errors.Join(printJSON(c.OutOrStdout(), report), errSilent)
		}
		fmt.Fprintf(c.ErrOrStderr(), "%s\n\n%s\n", problems, plural(len(problems), "problem"))
		return errSilent
	}
	report.Campaigns, report.Endpoints = len(all.Definitions), len(all.Config.Endpoints)
	if output == "text" {
		fmt.Fprintf(c.OutOrStdout(), "%s is sound: %s, %s\n", configFile, plural(report.Campaigns, "campaign"), plural(report.Endpoints, "endpoint"))
		if report.Campaigns == 0 {
			fmt.Fprintf(c.OutOrStdout(), "no file matches %s\n", strings.Join(all.Config.Campaigns, ", "))
		}
	}
	bad := false
	if kafka {
		if err := withAdmin(c, configFile, func(ctx context.Context, admin *kadm.Client, cfg *loaded) error {
			if report.Registry, err = inspectRegistry(ctx, cfg); err != nil {
				return err
			}
			report.Topics, err = inspectTopics(ctx, admin, cfg)
			report.Access = inspectAccess(ctx, admin, cfg)
			return err
		}); err != nil {
			return err
		}
		bad = printTopics(c.OutOrStdout(), report.Topics, output == "text")
		for _, problem := range report.Access {
			if bad = true; output == "text" {
				fmt.Fprintln(c.OutOrStdout(), problem)
			}
		}
		if report.Registry != "" && output == "text" {
			fmt.Fprintf(c.OutOrStdout(), "schema registry: %s\n", report.Registry)
		}
		bad = bad || report.Registry != "" && report.Registry != "ok"
	}
	if report.Memory = crowded(cfg.Memory, cfg.lanes(report.Topics)); report.Memory != "" && output == "text" {
		fmt.Fprintln(c.OutOrStdout(), report.Memory)
	}
	if output == "json" {
		err = printJSON(c.OutOrStdout(), report)
	}
	if err == nil && bad {
		return errSilent
	}
	return err
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
