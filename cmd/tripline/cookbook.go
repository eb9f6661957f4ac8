package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// cookbook is where the campaigns lie that teams often need, each with its test; they deliver to the endpoint of the sample project.
const cookbook = "template/cookbook/"

// recipe is one campaign of the cookbook.
type recipe struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

func recipeNames() (names []string) {
	files, err := fs.Glob(templates, cookbook+"*.yaml")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	for _, file := range files {
		if name := strings.TrimSuffix(path.Base(file), ".yaml"); !strings.HasSuffix(name, "_test") {
			names = append(names, name)
		}
	}
	return names
}

func recipes() (all []recipe, err error) {
	for _, name := range recipeNames() {
		content, err := templates.ReadFile(cookbook + name + ".yaml")
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(bytes.NewReader(content))
		for lines.Scan() {
			if description, ok := strings.CutPrefix(lines.Text(), "description: "); ok {
				all = append(all, recipe{Name: name, Description: description})
			}
		}
	}
	return all, nil
}

func listRecipes(w io.Writer, output string) error {
	all, err := recipes()
	if err != nil {
		return err
	}
	if output == "json" {
		return printJSON(w, all)
	}
	for _, r := range all {
		fmt.Fprintf(w, "%-24s %s\n", r.Name, r.Description)
	}
	return nil
}

// writeRecipes writes campaigns of the cookbook into the project in dir, which it begins where there is none. It overwrites no campaign: where one of
// the files is there, none is written.
func writeRecipes(w io.Writer, dir string, names []string) error {
	known := recipeNames()
	for _, name := range names {
		if !slices.Contains(known, name) {
			return fmt.Errorf("--template %q: %s", name, expected(name, known))
		}
		for _, file := range []string{name + ".yaml", name + "_test.yaml"} {
			if target := filepath.Join(dir, "campaigns", file); exists(target) {
				return fmt.Errorf("%s is there already; nothing is written", target)
			}
		}
	}
	there, err := hasProject(dir)
	if err != nil {
		return err
	}
	begin := writeBase
	if there {
		begin = writeSchemas
	}
	if err := begin(dir); err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		for _, file := range []string{name + ".yaml", name + "_test.yaml"} {
			if err := writeCampaigns(filepath.Join(dir, "campaigns"), cookbook+file); err != nil {
				return err
			}
		}
		fmt.Fprintf(w, "wrote %s and its test\n", filepath.Join(dir, "campaigns", name+".yaml"))
	}
	return nil
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}
