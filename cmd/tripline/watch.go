package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/tripline/tripline/config"
)

// watchInterval is how often files are looked at. They are read, and not only asked for their times, since editors and checkouts
// do with those what they like; test files are few and small.
const watchInterval = 300 * time.Millisecond

// watchTests runs test files, and again on every change of what they are made of, until ctx ends.
func watchTests(ctx context.Context, files []string, out, notes io.Writer, output string, ticks <-chan time.Time) error {
	for {
		before := fingerprint(files)
		var problems config.Problems
		if err := runTests(files, out, output); errors.As(err, &problems) {
			fmt.Fprintf(notes, "%v\n", err)
		} else if err != nil && err != errSilent {
			return err
		}
		fmt.Fprintf(notes, "waiting for changes; Ctrl-C ends\n\n")
		for fingerprint(files) == before {
			select {
			case <-ctx.Done():
				return nil
			case <-ticks:
			}
		}
	}
}

// fingerprint is another text whenever a test file or what it names is: campaigns, those that its globs begin to match too, and
// the configuration.
func fingerprint(files []string) string {
	var all []string
	for _, file := range files {
		all = append(all, madeOf(file)...)
	}
	return contents(all)
}

// contents is a hash of files' names and contents.
func contents(files []string) string {
	slices.Sort(files)
	h := sha256.New()
	for _, name := range slices.Compact(files) {
		content, err := os.ReadFile(name)
		fmt.Fprintf(h, "%q %v %q\n", name, err, content)
	}
	return string(h.Sum(nil))
}

// madeOf are the files that a test file is made of.
func madeOf(file string) []string {
	tests, _ := config.LoadTests(file)
	files := append([]string{file}, tests.Campaigns...)
	if tests.Config != "" {
		_, src, _ := config.Load(tests.Config, options())
		files = append(files, src.Files()...)
	}
	return files
}
