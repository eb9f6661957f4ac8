package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/tripline/tripline/"

// may says what of ours a folder may import, by prefix; the longest matching folder counts. The arrows go
// cmd -> config -> {processor, sink, state, campaign}, and processor and sink do not know each other.
var may = map[string][]string{
	"cmd/":                       {""},
	"config":                     {"processor/campaign", "sink"},
	"processor":                  {"processor/campaign", "processor/registry", "processor/virtual", "state"},
	"processor/registry":         {"processor/campaign", "processor/schema"},
	"processor/schema":           {"processor/campaign/value"},
	"processor/virtual":          {"processor/campaign"},
	"processor/campaign":         {"processor/campaign/"},
	"processor/campaign/explain": {"processor/campaign"},
	"processor/campaign/value":   {},
	"processor/campaign/twin":    {},
	"state":                      {},
	"state/lane":                 {"state"},
	"sink":                       {"processor/campaign", "sink/", "state"},
	"processor/campaign/history": {"processor/campaign/value"},
}

// only says which folders may import a library of the shell.
var only = map[string][]string{
	"github.com/twmb/franz-go":          {"state/lane", "processor", "sink", "cmd/"},
	"github.com/cockroachdb/pebble":     {"state"},
	"github.com/spf13/cobra":            {"cmd/"},
	"github.com/goccy/go-yaml":          {"config"},
	"github.com/expr-lang/expr":         {"processor/campaign/expr"},
	"github.com/hashicorp/go-retryable": {"sink"},
	"github.com/twmb/avro":              {"processor/schema"},
	"github.com/bufbuild/protocompile":  {"processor/schema"},
	"google.golang.org/protobuf":        {"processor/schema"},
	"golang.org/x/oauth2":               {"sink/auth"},
	"github.com/golang-jwt/jwt":         {"sink/auth"},
	"golang.org/x/net":                  {"sink/call"},
}

// pure is the core: no clock, no goroutine, no I/O, no logger. So is what reads a record by its schema, but that a compiler there asks for a context.
const pure = "processor/campaign"

func isPure(folder string) bool {
	return strings.HasPrefix(folder, pure) && folder != pure+"/twin" || folder == "processor/schema"
}

var impure = []string{"os", "net", "net/http", "io/fs", "bufio", "log", "log/slog", "go.uber.org/zap", "math/rand", "math/rand/v2", "context"}

func TestLayers(t *testing.T) {
	files := token.NewFileSet()
	seen := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		folder, err := filepath.Rel("../..", filepath.Dir(path))
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		seen++
		for _, spec := range parsed.Imports {
			if name := strings.Trim(spec.Path.Value, `"`); !allowed(folder, name) {
				t.Errorf("%s must not import %s", path, name)
			}
		}
		if isPure(folder) {
			checkPure(t, files, parsed)
		}
		return nil
	})
	if err != nil || seen < 20 {
		t.Fatalf("read %d files: %v", seen, err)
	}
}

func allowed(folder, name string) bool {
	if ours, ok := strings.CutPrefix(name, module); ok {
		best := ""
		for prefix := range may {
			if strings.HasPrefix(folder, prefix) && len(prefix) > len(best) {
				best = prefix
			}
		}
		if best == "" {
			return false
		}
		for _, prefix := range may[best] {
			if strings.HasPrefix(ours, prefix) {
				return true
			}
		}
		return strings.HasPrefix(ours, folder+"/")
	}
	for library, folders := range only {
		if !strings.HasPrefix(name, library) {
			continue
		}
		for _, f := range folders {
			if strings.HasPrefix(folder, f) {
				return true
			}
		}
		return false
	}
	if isPure(folder) {
		for _, banned := range impure {
			if name == banned && !(name == "context" && folder == "processor/schema") {
				return false
			}
		}
	}
	return true
}

// checkPure finds clocks and goroutines.
func checkPure(t *testing.T, files *token.FileSet, parsed *ast.File) {
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.GoStmt:
			t.Errorf("%s: the core starts no goroutine", files.Position(x.Pos()))
		case *ast.SelectorExpr:
			if of, ok := x.X.(*ast.Ident); ok && of.Name == "time" && (x.Sel.Name == "Now" || x.Sel.Name == "Since" || x.Sel.Name == "Sleep") {
				t.Errorf("%s: the core has no clock", files.Position(x.Pos()))
			}
		}
		return true
	})
}
