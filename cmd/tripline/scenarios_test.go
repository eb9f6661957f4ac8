package main

import (
	"path/filepath"
	"testing"
)

// Every behaviour of the campaign language has a scenario: campaign tests as users write them, run as `tripline test` does.
func TestScenarios(t *testing.T) {
	for _, pattern := range []string{"testdata/scenarios/*_test.yaml", "template/campaigns/*_test.yaml", "template/cookbook/*_test.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no scenarios match %s (%v)", pattern, err)
		}
		for _, file := range files {
			t.Run(filepath.Base(file), func(t *testing.T) {
				results, err := runSuites([]string{file})
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range results {
					for _, failure := range r.Failures {
						t.Errorf("%s:%d: %s: %s", r.File, r.Line, r.Name, failure)
					}
				}
			})
		}
	}
}
