package main

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tripline/tripline/config"
)

//go:embed schema/*.json
var schemas embed.FS

func schemaCommand() *cobra.Command {
	names := schemaNames()
	return &cobra.Command{
		Use:       "schema " + strings.Join(names, "|"),
		Short:     "Print the JSON Schema of a record or of a file",
		Long:      "Print the JSON Schema (2020-12) of a record, or of campaign files, tripline.yaml and campaign test files, for editors.",
		Example:   "  tripline schema trigger\n  tripline schema campaign > .schema/campaign.json",
		ValidArgs: names,
		Args:      oneOf(names...),
		RunE: func(c *cobra.Command, args []string) error {
			text, ok := config.Schema(args[0])
			if !ok {
				var err error
				if text, err = schemas.ReadFile("schema/" + args[0] + ".json"); err != nil {
					return err
				}
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "%s", text)
			return err
		},
	}
}

func schemaNames() []string {
	files, err := fs.Glob(schemas, "schema/*.json")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(path.Base(f), ".json")
	}
	names = append(names, config.Schemas...)
	slices.Sort(names)
	return names
}
