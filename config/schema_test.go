package config

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tripline/tripline/processor/campaign"
)

func compiledSchemas(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	all := map[string]*jsonschema.Schema{}
	for _, name := range Schemas {
		text, ok := Schema(name)
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if !ok || err != nil {
			t.Fatal(name, err)
		}
		c := jsonschema.NewCompiler()
		if err := c.AddResource(name, doc); err != nil {
			t.Fatal(err)
		}
		if all[name], err = c.Compile(name); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// schemaName is the kind of a file, by its name.
func schemaName(file string) string {
	switch {
	case strings.HasSuffix(file, "_test.yaml"):
		return "test"
	case strings.HasSuffix(file, "tripline.yaml"):
		return "config"
	}
	return "campaign"
}

// validate holds each document of a file against its schema; decoded are the problems of decoding alone.
func validate(t *testing.T, all map[string]*jsonschema.Schema, name string, content []byte) (decoded Problems, err error) {
	t.Helper()
	f := &file{name: name}
	for _, part := range f.split(content) {
		d := &document{file: f, root: f.parse(part)}
		if d.root == nil {
			continue
		}
		plain, ok := d.appendJSON(nil, d.root, "")
		if !ok {
			return f.finish(), nil
		}
		document, bad := jsonschema.UnmarshalJSON(bytes.NewReader(plain))
		if bad != nil {
			t.Fatal(name, bad)
		}
		if bad := all[schemaName(name)].Validate(document); bad != nil {
			err = bad
		}
		if schemaName(name) == "config" {
			d.environment = func(string) (string, bool) { return "", true }
		}
		d.decodeDocument(map[string]any{"campaign": new(campaign.Definition), "config": Default(), "test": new(Suite)}[schemaName(name)])
	}
	return f.finish(), err
}

// Every file that ships, and every file of the scenarios, fits its schema.
func TestSchemasFitFiles(t *testing.T) {
	all := compiledSchemas(t)
	seen := 0
	for _, pattern := range []string{"template/*/*.yaml", "template/*/*/*.yaml", "testdata/scenarios/*.yaml"} {
		files, err := filepath.Glob(filepath.Join("..", "cmd", "tripline", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			seen++
			if decoded, err := validate(t, all, name, content); err != nil || len(decoded) > 0 {
				t.Errorf("%s: %v (decoding: %v)", name, err, decoded)
			}
		}
	}
	if seen < 60 {
		t.Errorf("%d files", seen)
	}
	if _, err := validate(t, all, "tripline.yaml", Reference()); err != nil {
		t.Error(err)
	}
}

// The cases of the loader are cases of the schemas: what loads without a problem fits, what decoding refuses for a key or a type does not.
func TestSchemasAgreeWithDecoding(t *testing.T) {
	all := compiledSchemas(t)
	cases, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(cases) == 0 {
		t.Fatal(err)
	}
	fit, refused := 0, 0
	for _, name := range cases {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		good := true
		for _, part := range archive.Files {
			good = good && (part.Name != "problems" || len(bytes.TrimSpace(part.Data)) == 0)
		}
		for _, part := range archive.Files {
			if !strings.HasSuffix(part.Name, ".yaml") || part.Name == "campaigns/all_test.yaml" { // that one is there to be left out by a glob
				continue
			}
			decoded, err := validate(t, all, part.Name, part.Data)
			switch {
			case good && err != nil:
				t.Errorf("%s: %s loads, and does not fit: %v", name, part.Name, err)
			case good:
				fit++
			case err == nil:
				for _, p := range decoded {
					if strings.HasPrefix(p.Message, "unknown key") || strings.Contains(p.Message, "expected") {
						t.Errorf("%s: %s fits, but: %s", name, part.Name, p.Message)
					}
				}
			default:
				refused++
			}
		}
	}
	if fit < 3 || refused < 5 {
		t.Errorf("%d files fit, %d do not", fit, refused)
	}
}

const schemaCampaign = "name: a\ntrigger: {inaction_within_time: {after: {event: A}, without: {event: B}, within: 1d12h}}\ndeliver: {endpoint: x}\n"

func TestSchemasRefuse(t *testing.T) {
	all := compiledSchemas(t)
	campaigns := func(replace, by string) string { return strings.Replace(schemaCampaign, replace, by, 1) }
	for _, one := range []struct{ file, content, instead string }{
		{"a.yaml", campaigns("name:", "nam:"), schemaCampaign},
		{"a.yaml", campaigns("within: 1d12h", "within: 90"), campaigns("within: 1d12h", "within: 90s")},
		{"a.yaml", campaigns("within: 1d12h", "within: 1.5h"), campaigns("within: 1d12h", "within: 1h30m")},
		{"a.yaml", campaigns(", within: 1d12h", ""), schemaCampaign},
		{"a.yaml", campaigns("1d12h", "1d, on_repeat: again"), campaigns("1d12h", "1d, on_repeat: ignore")},
		{"a.yaml", campaigns("{event: A}", "A"), schemaCampaign},
		{"a.yaml", campaigns("trigger: {", "trigger: {single_action: {event: A}, "), schemaCampaign},
		{"a.yaml", campaigns("{endpoint: x}", "[{endpoint: 5}]"), campaigns("{endpoint: x}", "[{endpoint: x}, {endpoint: y}]")},
		{"a.yaml", schemaCampaign + "backfill: ever\n", schemaCampaign + "backfill: true\n"},
		{"a.yaml", schemaCampaign + "control_group: 10\n", schemaCampaign + "control_group: 10%\n"},
		{"a.yaml", schemaCampaign + "quiet_hours: {from: 9, to: 10:00}\n", schemaCampaign + "quiet_hours: {from: 09:00, to: 10:00, days: [mon]}\n"},
		{"a.yaml", schemaCampaign + "goal: {event: C}\n", schemaCampaign + "goal: {event: C, where: x, within: 3d}\n"},
		{"tripline.yaml", "memory: much", "memory: 64MiB"},
		{"tripline.yaml", "lanes: '3'", "lanes: ${LANES}"},
		{"tripline.yaml", "on_stop: leaf", "on_stop: leave"},
		{"tripline.yaml", "registry: {user: u}", "registry: ''"},
		{"tripline.yaml", "registry: {username: u, password: p}", "registry: {url: 'http://r', username: u, password: p}"},
		{"tripline.yaml", "state: {standbys: one}", "state: {standbys: 1}"},
		{"tripline.yaml", "endpoints: [{name: x, url: 'https://x.y', retry: {on: [99]}}]", "endpoints: [{name: x, url: 'https://x.y', retry: {on: [404, 500-503]}}]"},
		{"tripline.yaml", "endpoints: [{name: x}]", "endpoints: [{name: x, url: '${URL}'}]"},
		{"tripline.yaml", "endpoints: [{name: x, url: 'https://x.y', auth: {}}]", "endpoints: [{name: x, url: 'https://x.y', auth: {bearer: {token: t}}}]"},
		{"tripline.yaml", "endpoints: [{name: x, url: 'https://x.y', tls: {min_version: '1.1'}}]", "endpoints: [{name: x, url: 'https://x.y', tls: {min_version: '1.3'}}]"},
		{"tripline.yaml", "endpoints: [{name: x, url: 'https://x.y', auth: {jwt: {alg: HS256, key: k}}}]", "endpoints: [{name: x, url: 'https://x.y', auth: {jwt: {alg: ES256, key: k, ttl: 1m}}}]"},
		{"tripline.yaml", "endpoints: [{name: x, url: 'https://x.y', auth: {oauth2: {grant: password}}}]",
			"endpoints: [{name: x, url: 'https://x.y', auth: {oauth2: {token_url: 'https://x', client_id: a, scopes: [b], params: {c: d}, client_auth: jwt, jwt: {alg: RS256, key: k}}}}]"},
		{"tripline.yaml", "endpoints: [{name: x, url: 'https://x.y', proxy: {resolves: true}}]", "endpoints: [{name: x, url: 'https://x.y', proxy: {url: 'http://p', resolves: true}}]"},
		{"tripline.yaml", "format: {user: id}", "format: {event: name}"},
		{"a_test.yaml", "campaigns: [a.yaml]\ntests: [{name: a, start: today}]", "campaigns: [a.yaml]\ntests: [{name: a, start: 2026-01-05T10:00:00Z}]"},
		{"a.yaml", campaigns("{event: A}", "{where: x}"), schemaCampaign},
		{"a_test.yaml", "campaigns: [a.yaml]\ntests: [{name: a, start: 2026-01-05T10:00:00Z, expect: {decisions: [{reason: quiet}]}}]",
			"campaigns: [a.yaml]\ntests: [{name: a, start: 2026-01-05T10:00:00Z, expect: {decisions: [{reason: quiet_hours}]}}]"},
		{"a_test.yaml", "campaigns: a.yaml\ntests: []", "campaigns: [a.yaml]\ntests: []"},
	} {
		if _, err := validate(t, all, one.file, []byte(one.content)); err == nil {
			t.Errorf("fits: %s", one.content)
		}
		if _, err := validate(t, all, one.file, []byte(one.instead)); err != nil {
			t.Errorf("%s: %v", one.instead, err)
		}
	}
	if _, ok := Schema("trigger"); ok {
		t.Error("a schema that there is not")
	}
}

// Every type that reads itself has a schema; without one an editor would not look at its values.
func TestSchemasKnowEveryType(t *testing.T) {
	b := schemaBuilder{defs: schema{}}
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || (typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map) && typ != properties {
			typ = typ.Elem()
		}
		if seen[typ] || typ == anyValue || typ == unavailable {
			return
		}
		seen[typ] = true
		s, own := b.known(typ)
		if own && len(s) == 0 {
			t.Errorf("%s reads itself, and Schema does not know how", typ)
		}
		if !own && typ.Kind() == reflect.Struct {
			for _, f := range fieldsOf(typ) {
				walk(typ.FieldByIndex(f.index).Type)
			}
		}
	}
	for _, root := range []any{campaign.Definition{}, Config{}, Suite{}} {
		walk(reflect.TypeOf(root))
	}
	if len(seen) < 30 {
		t.Errorf("%d types", len(seen))
	}
}

// The texts that the tags list are those that load, and no others.
func TestValuesAreThoseThatLoad(t *testing.T) {
	t.Chdir(t.TempDir())
	seen := 0
	check := func(of reflect.Type, key string, loads func(value string) Problems) {
		f, _ := fieldsOf(of).find(key)
		values := of.FieldByIndex(f.index).Tag.Get("values")
		for _, value := range strings.Split(values, "|") {
			if problems := loads(value); values == "" || len(problems) > 0 {
				t.Errorf("%s: %q: %v", key, value, problems)
			}
		}
		if len(loads("another")) == 0 {
			t.Errorf("%s takes another", key)
		}
		seen++
	}
	for of, path := range map[reflect.Type]string{reflect.TypeFor[Config](): "", reflect.TypeFor[Log](): "log", reflect.TypeFor[History](): "history"} {
		for _, f := range fieldsOf(of) {
			if of.FieldByIndex(f.index).Tag.Get("values") != "" {
				check(of, f.name, func(value string) Problems {
					_, _, problems := Load("", Options{Overrides: []Override{{Path: join(path, f.name), Value: value}}})
					return problems
				})
			}
		}
	}
	const inaction = "inaction: {did: {event: A}, did_not: {event: B}, in_last: 7d, check: {every: 7d, on: VALUE}}"
	for _, one := range []struct {
		of        reflect.Type
		key, text string
	}{
		{reflect.TypeFor[campaign.InactionWithinTime](), "on_repeat", "inaction_within_time: {after: {event: A}, without: {event: B}, within: 1d, on_repeat: VALUE}"},
		{reflect.TypeFor[campaign.Check](), "on", inaction},
		{reflect.TypeFor[campaign.DateTimeProperty](), "repeat", "date_time_property: {event: A, property: p, repeat: VALUE}"},
		{reflect.TypeFor[campaign.DateTimeProperty](), "if_past", "date_time_property: {event: A, property: p, if_past: VALUE}"},
		{reflect.TypeFor[campaign.QuietHours](), "days", "single_action: {event: A}\nquiet_hours: {from: 22:00, to: 08:00, days: [VALUE]}"},
		{reflect.TypeFor[campaign.QuietHours](), "then", "single_action: {event: A}\nquiet_hours: {from: 22:00, to: 08:00, then: VALUE}"},
	} {
		check(one.of, one.key, func(value string) Problems {
			write(t, "a.yaml", "name: a\ndeliver: {endpoint: x}\ntrigger:\n  "+strings.Replace(one.text, "VALUE", value, 1)+"\n")
			_, _, problems := CompileFiles([]string{"a.yaml"}, nil, Checks{})
			return problems
		})
	}
	for _, key := range []string{"decision", "reason", "group"} {
		check(reflect.TypeFor[ExpectedDecision](), key, func(value string) Problems {
			write(t, "a_test.yaml", "campaigns: [a.yaml]\ntests: [{name: a, start: 2026-01-05T10:00:00Z, expect: {decisions: [{"+key+": "+value+"}]}}]\n")
			_, problems := LoadTests("a_test.yaml")
			return problems
		})
	}
	if seen < 15 {
		t.Errorf("%d keys", seen)
	}
}
