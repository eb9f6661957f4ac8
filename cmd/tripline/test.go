package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/tripline/tripline/config"
)

func testCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "test FILE...",
		Short: "Run unit tests of campaigns in virtual time",
		Long: `Run campaign test files. Each case says what users do and when, and which triggers and decisions must come of it.
The core is the one that runs in production; no Kafka is needed and nothing sleeps.`,
		Example: `  tripline test campaigns/*_test.yaml
  tripline test abandoned-cart_test.yaml --watch
  tripline test campaigns/*_test.yaml --output junit > results.xml`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: yamlFiles,
	}
	output := addOutputFlag(c, "text, json or junit", "junit")
	watch := c.Flags().Bool("watch", false, "run again on every change of the test, campaign and configuration files, until Ctrl-C")
	c.RunE = func(c *cobra.Command, files []string) error {
		if *watch {
			ticker := time.NewTicker(watchInterval)
			defer ticker.Stop()
			return watchTests(c.Context(), files, c.OutOrStdout(), c.ErrOrStderr(), output.word, ticker.C)
		}
		return runTests(files, c.OutOrStdout(), output.word)
	}
	return c
}

// runTests runs test files and reports what became of their cases. What cannot be loaded is an error, and does not hide the others.
func runTests(files []string, out io.Writer, output string) error {
	results, unloaded := runSuites(files)
	if len(results) > 0 {
		if err := report(out, results, output); unloaded == nil || err != nil && err != errSilent {
			return err
		}
	}
	return unloaded
}

// caseResult is what became of one case.
type caseResult struct {
	File     string   `json:"file"`
	Line     int      `json:"line"`
	Name     string   `json:"name"`
	Passed   bool     `json:"passed"`
	Failures []string `json:"failures,omitempty"`
}

func runSuites(files []string) ([]caseResult, error) {
	var results []caseResult
	var problems config.Problems
	for _, file := range files {
		suite, found := loadSuite(file)
		if len(found) > 0 {
			problems = append(problems, found...)
			continue
		}
		for i := range suite.tests {
			t := &suite.tests[i]
			failures := suite.run(t)
			results = append(results, caseResult{File: file, Line: t.Line, Name: t.Name, Passed: len(failures) == 0, Failures: failures})
		}
	}
	return results, problems.Err()
}

func report(w io.Writer, results []caseResult, output string) error {
	failed := 0
	for i := range results {
		if !results[i].Passed {
			failed++
		}
	}
	switch output {
	case "json":
		if err := printJSON(w, results); err != nil {
			return err
		}
	case "junit":
		if err := printJUnit(w, results); err != nil {
			return err
		}
	default:
		for i := range results {
			r := &results[i]
			if r.Passed {
				continue
			}
			fmt.Fprintf(w, "FAIL %s:%d: %s\n", r.File, r.Line, r.Name)
			for _, f := range r.Failures {
				fmt.Fprintf(w, "     %s\n", f)
			}
		}
		fmt.Fprintf(w, "%d passed, %d failed\n", len(results)-failed, failed)
	}
	if failed > 0 {
		return errSilent
	}
	return nil
}
