package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/tripline/tripline/config"
)

// Every campaign of the cookbook says in a sentence what it is for, fires in one test of its own and is silent in another. TestScenarios runs them.
func TestCookbook(t *testing.T) {
	all, err := recipes()
	if err != nil || len(all) < 20 || len(all) != len(recipeNames()) {
		t.Fatalf("%d of %d: %v", len(all), len(recipeNames()), err)
	}
	for _, r := range all {
		defs, _, problems := config.LoadCampaigns([]string{cookbook + r.Name + ".yaml"})
		if len(problems) > 0 || len(defs) != 1 || defs[0].Name != r.Name || defs[0].Description != r.Description || len(r.Description) < 20 {
			t.Errorf("%s: %q %v", r.Name, r.Description, problems)
		}
		suite, problems := config.LoadTests(cookbook + r.Name + "_test.yaml")
		if len(problems) > 0 {
			t.Error(problems)
		}
		fires, silent := 0, 0
		for _, test := range suite.Tests {
			switch {
			case len(test.Expect.Triggers) > 0:
				fires++
			case test.Expect.Triggers != nil:
				silent++
			}
		}
		if fires == 0 || silent == 0 {
			t.Errorf("%s fires in %d tests and is silent in %d", r.Name, fires, silent)
		}
	}
}

func TestInitFromTheCookbook(t *testing.T) {
	list, err := run(t, "init", "--list")
	if err != nil || !strings.Contains(list, "win-back ") || strings.Count(list, "\n") != len(recipeNames()) {
		t.Fatalf("%s%v", list, err)
	}
	dir := filepath.Join(t.TempDir(), "demo")
	if _, err := run(t, "init", "--template", "win-bak", dir); err == nil || !strings.Contains(err.Error(), "did you mean win-back?") || exists(dir) {
		t.Errorf("%v", err)
	}
	if _, err := run(t, "init", "--template", "win-back", dir); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, "init", "--template", "birthday", "--template", "win-back", dir); err == nil || exists(filepath.Join(dir, "campaigns", "birthday.yaml")) {
		t.Errorf("win-back is there already: %v", err)
	}
	rest := strings.ReplaceAll(","+strings.Join(recipeNames(), ",")+",", ",win-back,", ",")
	if _, err := run(t, "init", "--template", strings.Trim(rest, ","), dir); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, "check", "--config", filepath.Join(dir, "tripline.yaml")); err != nil {
		t.Errorf("check: %s%v", out, err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "campaigns", "*_test.yaml"))
	if err != nil || len(files) != len(recipeNames()) {
		t.Fatalf("%d tests: %v", len(files), err)
	}
	if out, err := run(t, append([]string{"test"}, files...)...); err != nil {
		t.Errorf("test: %s%v", out, err)
	}
}
