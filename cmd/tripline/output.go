package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tripline/tripline/processor/campaign/expr"
)

// choice is a flag that takes one of a few words.
type choice struct {
	word    string
	allowed []string
}

func (c *choice) String() string { return c.word }
func (c *choice) Type() string   { return "string" }

// Set takes a word of the command line.
func (c *choice) Set(word string) error {
	if !slices.Contains(c.allowed, word) {
		return errors.New(expected(word, c.allowed))
	}
	c.word = word
	return nil
}

// expected says which words there are, and which was probably meant.
func expected(word string, allowed []string) string {
	last := len(allowed) - 1
	text := fmt.Sprintf("expected %s or %s", strings.Join(allowed[:last], ", "), allowed[last])
	if meant := expr.Nearest(word, allowed); meant != "" {
		text += "; did you mean " + meant + "?"
	}
	return text
}

// addOutputFlag adds --output with text and json, the first of which is the default, and more where there is more.
func addOutputFlag(c *cobra.Command, usage string, more ...string) *choice {
	out := &choice{word: "text", allowed: append([]string{"text", "json"}, more...)}
	c.Flags().Var(out, "output", usage)
	must(c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(out.allowed, cobra.ShellCompDirectiveNoFileComp)))
	return out
}

func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// must is for what only a mistake in the code can make fail.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// oneOf are the arguments of a command that takes one of a few words.
func oneOf(words ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) != 1:
			return errors.New(expected("", words))
		case !slices.Contains(words, args[0]):
			return fmt.Errorf("%q: %s", args[0], expected(args[0], words))
		}
		return nil
	}
}

// finish gives every command what all have in common: arguments that say how the command is used, groups that refuse what
// they do not have, and completion of files.
func finish(c *cobra.Command) {
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return fmt.Errorf("%w; see %s --help", err, c.CommandPath()) })
	if check := c.Args; check != nil && c.Runnable() {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return fmt.Errorf("%w; usage: %s", err, c.UseLine())
			}
			return nil
		}
	}
	if c.HasSubCommands() && !c.Runnable() && c.HasParent() {
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return fmt.Errorf("unknown command %q; see %s --help", c.CommandPath()+" "+args[0], c.CommandPath())
		}
	}
	if c.Example == "" && c.Parent() != nil && c.Parent().Name() == "completion" {
		c.Example = "  tripline completion " + c.Name()
	}
	if c.Flags().Lookup("config") != nil {
		must(c.MarkFlagFilename("config", "yaml", "yml"))
	}
	for _, sub := range c.Commands() {
		finish(sub)
	}
}

// yamlFiles completes arguments that are YAML files.
func yamlFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}
