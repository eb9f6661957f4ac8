package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tripline/tripline/config"
)

//go:embed template
var templates embed.FS

// sampleEndpoint takes the place of the reference's empty list of endpoints.
const sampleEndpoint = `endpoints:                                     # where webhooks go; campaigns name them under deliver
  - name: ops-center
    url: https://example.com/hooks/tripline
`

func initCommand() *cobra.Command {
	var list bool
	var names []string
	c := &cobra.Command{
		Use:   "init DIR",
		Short: "Write a commented tripline.yaml and a campaign of each kind with its test",
		Long: `Write a project: a commented tripline.yaml, a campaign of each kind with its test, and JSON Schemas for editors. With --template,
write campaigns of the cookbook instead, into a new project or one that is there.`,
		Example: `  tripline init demo && cd demo && tripline check && tripline test campaigns/*_test.yaml
  tripline init --list
  tripline init --template win-back --template trial-ending demo`,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if list {
			return cobra.NoArgs(c, args)
		}
		return cobra.ExactArgs(1)(c, args)
	}
	c.Flags().StringSliceVar(&names, "template", nil, "a campaign of the cookbook, with its test; may be given more than once")
	c.Flags().BoolVar(&list, "list", false, "list the campaigns of the cookbook")
	output := addOutputFlag(c, "text or json")
	c.MarkFlagsMutuallyExclusive("list", "template")
	must(c.RegisterFlagCompletionFunc("template", cobra.FixedCompletions(recipeNames(), cobra.ShellCompDirectiveNoFileComp)))
	c.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case list:
			return listRecipes(c.OutOrStdout(), output.word)
		case len(names) > 0:
			return writeRecipes(c.OutOrStdout(), args[0], names)
		}
		if err := writeProject(args[0]); err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "wrote %s: now try\n  cd %s && tripline check && tripline test campaigns/*_test.yaml\n", args[0], args[0])
		return nil
	}
	return c
}

// writeProject writes the sample project into dir and overwrites nothing.
func writeProject(dir string) error {
	if there, err := hasProject(dir); err != nil {
		return err
	} else if there {
		return fmt.Errorf("%s has a tripline.yaml already; choose another folder", dir)
	}
	if err := writeBase(dir); err != nil {
		return err
	}
	return writeCampaigns(filepath.Join(dir, "campaigns"), "template/campaigns/*.yaml")
}

func hasProject(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, "tripline.yaml"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// writeBase writes what a project has without its campaigns.
func writeBase(dir string) error {
	if err := writeSchemas(dir); err != nil {
		return err
	}
	return writeNew(filepath.Join(dir, "tripline.yaml"), append(modeline(".", "tripline.yaml"), projectConfig()...))
}

// writeCampaigns writes the campaigns and tests that match a pattern of templates.
func writeCampaigns(dir, pattern string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	files, err := fs.Glob(templates, pattern)
	if err != nil {
		return err
	}
	for _, name := range files {
		content, err := templates.ReadFile(name)
		if err != nil {
			return err
		}
		base := path.Base(name)
		if err := writeNew(filepath.Join(dir, base), append(modeline("..", base), content...)); err != nil {
			return err
		}
	}
	return nil
}

// schemaDir is where editors find the schemas of a project's files; they are written anew where they are there already.
const schemaDir = ".schema"

func writeSchemas(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, schemaDir), 0o755); err != nil {
		return err
	}
	for _, name := range config.Schemas {
		text, _ := config.Schema(name)
		if err := os.WriteFile(filepath.Join(dir, schemaDir, name+".json"), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// modeline tells editors with the YAML language server the schema of a file; root is the project's folder, seen from the file's.
func modeline(root, file string) []byte {
	name := "campaign"
	switch {
	case file == "tripline.yaml":
		name = "config"
	case strings.HasSuffix(file, "_test.yaml"):
		name = "test"
	}
	return fmt.Appendf(nil, "# yaml-language-server: $schema=%s\n", path.Join(root, schemaDir, name+".json"))
}

// projectConfig is the reference with one endpoint.
func projectConfig() []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(config.Reference()) {
		if bytes.HasPrefix(line, []byte("endpoints:")) {
			out.WriteString(sampleEndpoint)
			continue
		}
		out.Write(line)
	}
	return out.Bytes()
}

func writeNew(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}
