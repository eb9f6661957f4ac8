package config

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var rewrite = flag.Bool("rewrite", false, "write what comes out into testdata")

// TestProblems reads the files of each testdata/*.txt as a person would have them in a folder, and holds what is said of them
// against the section `problems`. The section `environment` has a variable a line.
func TestProblems(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases", err)
	}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			name, err := filepath.Abs(name)
			if err != nil {
				t.Fatal(err)
			}
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			t.Chdir(t.TempDir())
			environment := map[string]string{}
			want, at := "", -1
			for i, f := range archive.Files {
				switch f.Name {
				case "problems":
					want, at = string(f.Data), i
				case "environment":
					for line := range strings.Lines(string(f.Data)) {
						key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
						environment[key] = value
					}
				default:
					write(t, f.Name, string(f.Data))
				}
			}
			got := strings.TrimSuffix(problemsOf(t, environment).Error(), "\n") + "\n"
			if !*rewrite {
				if got != want {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
				return
			}
			if at < 0 {
				archive.Files = append(archive.Files, txtar.File{Name: "problems"})
				at = len(archive.Files) - 1
			}
			archive.Files[at].Data = []byte(got)
			if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// problemsOf reads what there is in the working directory: a tripline.yaml with its campaigns, else campaigns; and test files.
func problemsOf(t *testing.T, environment map[string]string) Problems {
	t.Helper()
	var problems Problems
	options := Options{
		Environment: func(name string) (string, bool) { value, ok := environment[name]; return value, ok },
		Checks:      Checks{Refused: func(addr netip.Addr) bool { return addr.IsPrivate() || addr.IsLoopback() }},
	}
	if _, err := os.Stat("tripline.yaml"); err == nil {
		_, problems = LoadAll("tripline.yaml", options)
	} else {
		files, _ := expandGlobs([]string{"*.yaml"})
		_, _, problems = CompileFiles(files, nil, options.Checks)
	}
	tests, err := filepath.Glob("*_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range tests {
		_, more := LoadTests(name)
		problems = append(problems, more...)
	}
	if !slices.IsSortedFunc(problems, func(a, b Problem) int { return strings.Compare(a.File, b.File) }) {
		t.Error("problems are not in the order of their files")
	}
	return problems
}
