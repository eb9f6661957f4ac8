package config

import (
	"bytes"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tripline/tripline/processor/campaign"
)

// TestReference holds reference.yaml to the defaults, and to naming every key there is, with a comment.
func TestReference(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "tripline.yaml", string(Reference()))
	got, src, problems := Load("tripline.yaml", Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := Default()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	for _, key := range keysOf(reflect.TypeFor[Config](), "") {
		switch key {
		case "kafka.tls", "kafka.sasl", "endpoints", "registry.url", "registry.username", "registry.password", "registry.tls":
			continue // these have no default: they are shown in a comment
		}
		if _, ok := src.documents[0].found[key]; !ok {
			t.Errorf("reference.yaml does not have %s", key)
		}
	}
	for i, line := range strings.Split(string(Reference()), "\n") {
		if strings.Contains(line, ":") && !strings.Contains(line, "#") && !strings.HasSuffix(line, ":") {
			t.Errorf("line %d of reference.yaml has no comment: %s", i+1, line)
		}
	}
}

// keysOf are the paths of all keys of a struct, but for those inside of lists.
func keysOf(typ reflect.Type, path string) []string {
	var keys []string
	for _, f := range fieldsOf(typ) {
		at := join(path, f.name)
		keys = append(keys, at)
		if inner := typ.FieldByIndex(f.index).Type; inner.Kind() == reflect.Struct && inner != unavailable {
			keys = append(keys, keysOf(inner, at)...)
		}
	}
	return keys
}

// TestReferenceEndpoint reads the endpoint that reference.yaml shows in comments: it names every key, at its default.
func TestReferenceEndpoint(t *testing.T) {
	t.Chdir(t.TempDir())
	text := string(Reference())
	text = text[strings.Index(text, "endpoints:"):]
	text = strings.Replace(text, "endpoints: []", "endpoints:", 1)
	text = regexp.MustCompile(`(?m)^#`).ReplaceAllString(text, "")
	write(t, "tripline.yaml", text)
	for _, name := range []string{"ca.pem", "client.pem", "client-key.pem"} {
		write(t, name, name)
	}
	environment := func(string) (string, bool) { return "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", true }
	cfg, src, problems := Load("tripline.yaml", Options{Environment: environment})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	got, want := cfg.Endpoints[0], DefaultEndpoint()
	if len(got.Headers) != 1 || len(got.Query) != 1 || len(got.Signing.Secrets) != 1 || got.Auth.Basic == nil || got.DisableAfter == nil || got.TLS.Key.Reveal() != "client-key.pem" ||
		got.Proxy.URL.Reveal() == "" {
		t.Errorf("got %+v", got)
	}
	got.Name, got.URL, got.Headers, got.Query, got.Signing, got.RateLimit, got.Auth, got.TLS, got.DisableAfter = "", Text{}, nil, nil, nil, nil, nil, nil, nil
	got.Proxy = nil
	got.Retry.On, got.Retry.Final = nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	for _, f := range fieldsOf(reflect.TypeFor[Endpoint]()) {
		if _, ok := src.documents[0].found["endpoints[0]."+f.name]; !ok {
			t.Errorf("%s is not shown", f.name)
		}
	}
}

func TestEmptyFileIsTheDefaults(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "tripline.yaml", "# nothing\n---\n")
	for _, name := range []string{"", "tripline.yaml"} {
		cfg, _, problems := Load(name, Options{})
		if len(problems) > 0 || !reflect.DeepEqual(cfg, Default()) {
			t.Errorf("%q: %+v %v", name, cfg, problems)
		}
	}
}

func TestPathsAreRelativeToTheFile(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "etc/tripline.yaml", "kafka: {tls: {ca: ca.pem, cert: /c.pem, key: k.pem}}\ncampaigns: ['c/*.yaml']\n")
	cfg, _, problems := Load("etc/tripline.yaml", Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if got, want := fmt.Sprint(cfg.State.Dir, cfg.Campaigns, *cfg.Kafka.TLS), "etc/data[etc/c/*.yaml] {etc/ca.pem /c.pem etc/k.pem}"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSecretsComeFromOutsideAndStayHidden(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "password", "from-file\r\n")
	write(t, "tripline.yaml", `
lanes: ${LANES}
decisions: {not_in_audience: "${YES}"}
kafka: {sasl: {mechanism: PLAIN, username: '${USER}', password: 'file:password'}}
endpoints:
  - {name: a, url: 'https://x.y/${KEY}', headers: {X-A: plain, Authorization: in-file, X-B: 'a ${USER} b'}}
`)
	environment := map[string]string{"LANES": "3", "YES": "true", "USER": "12", "KEY": "from-env"}
	cfg, src, problems := Load("tripline.yaml", Options{
		Environment: func(name string) (string, bool) { value, ok := environment[name]; return value, ok },
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	sasl, e := cfg.Kafka.SASL, cfg.Endpoints[0]
	for _, c := range []struct{ got, want any }{
		{cfg.Lanes, 3}, {cfg.Decisions.NotInAudience, true}, {sasl.Username.Reveal(), "12"}, {sasl.Password.Reveal(), "from-file"},
		{e.URL.Reveal(), "https://x.y/from-env"}, {e.Headers["X-B"].Reveal(), "a 12 b"}, {e.Headers["X-B"].Secrets(), []string{"12"}},
		{e.Headers["X-A"].Hidden(), false}, {e.Headers["Authorization"].Secrets(), []string{"in-file"}}, {e.URL.Secrets(), []string{"from-env"}},
		{src.Files(), []string{"password", "tripline.yaml"}},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("got %v, want %v", c.got, c.want)
		}
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		printed := fmt.Sprintf(format, *sasl) + fmt.Sprintf(format, e)
		for _, secret := range []string{"from-file", "from-env", "in-file"} {
			if strings.Contains(printed, secret) {
				t.Errorf("%s shows %s: %s", format, secret, printed)
			}
		}
	}
}

func TestOverrides(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "tripline.yaml", "memory: 1GiB\nlog: {level: debug}\n")
	cfg, _, problems := Load("tripline.yaml", Options{Overrides: []Override{
		{Path: "memory", Value: "64MiB", From: "--memory"},
		{Path: "http.listen", Value: ":0", From: "--listen"},
		{Path: "log.format", Value: "console", From: "--log-format"},
		{Path: "lanes", Value: "x", From: "--lanes"},
		{Path: "settle", Value: "-1s", From: "--settle"},
		{Path: "on_stop", Value: "leaf", From: "--on-stop"},
	}})
	if cfg.Memory != 64<<20 || cfg.HTTP.Listen != ":0" || cfg.Log != (Log{Level: "debug", Format: "console"}) {
		t.Errorf("%+v", cfg)
	}
	want := "--lanes: `lanes`: expected a whole number, not the text \"x\"\n\n" +
		"--on-stop: `on_stop`: expected keep or leave, not \"leaf\"\n\n" +
		"--settle: `settle`: expected a duration from 0s to 366d, not -1s"
	if got := problems.Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestVersion holds that a campaign's version is that of its own document, whatever stands before or behind it.
func TestVersion(t *testing.T) {
	t.Chdir(t.TempDir())
	one := "name: one\ntrigger: {single_action: {event: A}}\ndeliver: {endpoint: x}\n"
	two := strings.Replace(one, "one", "two", 1)
	write(t, "alone.yaml", one)
	write(t, "both.yaml", "# two campaigns\n---\n"+strings.ReplaceAll(one, "\n", "\r\n")+"---\n"+two)
	write(t, "no-newline.yaml", strings.TrimSuffix(one, "\n"))
	versions := func(name string) (all []string) {
		defs, _, problems := LoadCampaigns([]string{name})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		for _, def := range defs {
			all = append(all, def.Version)
		}
		return all
	}
	alone, both := versions("alone.yaml"), versions("both.yaml")
	if len(alone[0]) != 16 || alone[0] != both[0] || both[0] == both[1] || versions("no-newline.yaml")[0] != alone[0] {
		t.Errorf("%v %v", alone, both)
	}
}

// TestAliases covers anchors, aliases and merge keys in a campaign file.
func TestAliases(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "a.yaml", `
name: a
tags: &tags [x, y]
trigger:
  actions:
    all:
      - &first {event: A, where: 'event.x == 1', at_least: 2}
      - {<<: *first, event: B}
      - <<: [{at_least: 3}, *first]
        event: C
    within: 1d
    same: *tags
deliver: {endpoint: x}
`)
	defs, _, problems := LoadCampaigns([]string{"a.yaml"})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	two, three := 2, 3
	want := []campaign.Pattern{
		{Event: "A", Where: "event.x == 1", AtLeast: &two}, {Event: "B", Where: "event.x == 1", AtLeast: &two},
		{Event: "C", Where: "event.x == 1", AtLeast: &three},
	}
	if got := defs[0].Trigger.Actions; !reflect.DeepEqual(got.All, want) || !slices.Equal(got.Same, defs[0].Tags) {
		t.Errorf("%+v", got)
	}
}

func TestGlobsLeaveTestsOut(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"a.yaml", "a_test.yaml", "b.yaml"} {
		write(t, filepath.Join("campaigns", name), "")
	}
	got, bad := expandGlobs([]string{"campaigns/*.yaml", "campaigns/b.yaml", "campaigns/a_test.yaml", "more/*.yaml"})
	if want := []string{"campaigns/a.yaml", "campaigns/a_test.yaml", "campaigns/b.yaml"}; !slices.Equal(got, want) || len(bad) > 0 {
		t.Errorf("%v %v", got, bad)
	}
}

// TestHooks holds that what the sink finds in templates is shown at its place, and that it is asked about every entry.
func TestHooks(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "tripline.yaml", "campaigns: [c.yaml]\nendpoints:\n  - name: x\n    url: |-\n      https://x.y/\n       {{ a | b }}\n    timeout: 1s\n  - {name: y, url: 'https://x.y'}\n")
	write(t, "c.yaml", "name: c\ntrigger: {single_action: {event: A}}\ndeliver:\n  - {endpoint: x, body: \"a {{ b }}\"}\n  - {endpoint: y, key_values: {k: v}}\n")
	_, problems := LoadAll("tripline.yaml", Options{Checks: Checks{
		Endpoint: func(e *Endpoint) []campaign.Problem {
			if e.Name != "x" {
				return nil
			}
			return []campaign.Problem{{Path: "url", Line: 2, Column: 9, Message: "no filter b"}}
		},
		Delivery: func(c *campaign.Definition, i int) Delivery {
			if i == 0 {
				return Delivery{Problems: []campaign.Problem{{Path: "body", Line: 1, Column: 6, Message: "no b", Suggestion: "c"}}}
			}
			return Delivery{Problems: []campaign.Problem{{Path: "key_values.k", Message: "is odd"}}}
		},
	}})
	want := "c.yaml:4:31: no b\n      - {endpoint: x, body: \"a {{ b }}\"}\n                                  ^ did you mean `c`?\n\n" +
		"c.yaml:5:35: `k` is odd\n      - {endpoint: y, key_values: {k: v}}\n                                      ^\n\n" +
		"tripline.yaml:6:15: no filter b\n           {{ a | b }}\n                  ^"
	if got := problems.Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestLoadAll(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "tripline.yaml", "history: {properties: referenced}\nendpoints: [{name: x, url: 'https://x.y'}]\n")
	write(t, "campaigns/a.yaml", "name: b\ntrigger: {single_action: {event: A}}\ndeliver: {endpoint: x}\n---\nname: a\ntrigger: {single_action: {event: A}}\ndeliver: {endpoint: x}\n")
	loaded, problems := LoadAll("tripline.yaml", Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if got := fmt.Sprint(loaded.Set.Names(), loaded.Definitions[0].Name, loaded.Files); got != "[a b]b[campaigns/a.yaml tripline.yaml]" {
		t.Error(got)
	}
}

func TestMissingFile(t *testing.T) {
	t.Chdir(t.TempDir())
	_, problems := LoadAll("tripline.yaml", Options{})
	if got, want := problems.Error(), "tripline.yaml: cannot be read: no such file or directory"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The text of a set makes the same one wherever it is read, with nothing of the process that had it.
func TestText(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "tripline.yaml", "timezone: ${ZONE}\nsettle: 1m30s\nallowed_lateness: 1d2h\nhistory: {properties: referenced, max_events: 77}\n"+
		"decisions: {not_in_audience: true}\ncaps: [{name: week, max: 3, per: 1w, tags: [a]}, {name: all, max: 9, per: 1d}]\n"+
		"campaigns: ['*.c.yaml']\nendpoints: [{name: e, url: 'https://x.y', headers: {a: '${SECRET}'}}]\n")
	write(t, "a.c.yaml", "# first\nname: a\ntrigger: {single_action: {event: A, where: 'event.x > 1'}}\ndeliver: {endpoint: e}\n--- # second\nname: b\n"+
		"trigger: {inaction_within_time: {after: {event: A}, without: {event: B}, within: 30m}}\nbackfill: true\ntags: [a]\ndeliver: {endpoint: e}\n")
	write(t, "0.c.yaml", "\n\n\nname: z\ntrigger: {single_action: {event: Z}}\ndeliver: {endpoint: e}\n\n\n---\n\n\nname: y\ntrigger: {single_action: {event: Z}}\ndeliver: {endpoint: e}\n")
	write(t, "b.c.yaml", "%YAML 1.2\n---\nname: c\ndescription: 'ends: [in a comment]'\ntrigger: {single_action: {event: \"C\\n\"}}\ndeliver: {endpoint: e}\n...\n")
	all, problems := LoadAll("tripline.yaml", Options{Environment: func(name string) (string, bool) {
		return map[string]string{"ZONE": "Europe/Berlin", "SECRET": "s3cret"}[name], true
	}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	again, problems := CompileText(all.Text, Checks{})
	if len(problems) > 0 {
		t.Fatalf("%v\n%s", problems, all.Text)
	}
	if again.Version() != all.Set.Version() || !slices.Equal(again.Names(), []string{"a", "b", "c", "y", "z"}) {
		t.Errorf("%v, version %s, of\n%s", again.Names(), again.Version(), all.Text)
	}
	if bytes.Contains(all.Text, []byte("s3cret")) {
		t.Error("a secret is in the text")
	}
	other := bytes.Replace(all.Text, []byte("1m30s"), []byte("2m"), 1)
	if changed, problems := CompileText(other, Checks{}); len(problems) > 0 || changed.Version() == again.Version() {
		t.Errorf("another rule is another version: %v", problems)
	}
	if _, problems := CompileText([]byte("{}\n---\nname: a\nnews: 1\n"), Checks{}); !strings.Contains(problems.Error(), "unknown key `news`") {
		t.Errorf("%v", problems)
	}
}

// TestDeliveriesAsEvents holds that events whose partition, or whose form, only the producer knows are refused.
func TestDeliveriesAsEvents(t *testing.T) {
	t.Chdir(t.TempDir())
	for text, want := range map[string]string{
		"":                        "",
		"key: ignored\n":          "needs `key: user`",
		"format: segment\n":       "needs `format: tripline`",
		"format: {event: name}\n": "needs `format: tripline`",
	} {
		write(t, "tripline.yaml", text+"topics: {events: [first, second]}\ndeliveries_as_events: true\n")
		cfg, _, problems := Load("tripline.yaml", Options{})
		if want == "" && (len(problems) > 0 || cfg.DeliveryEvents() != "first") || want != "" && (len(problems) != 1 || !strings.Contains(problems[0].Message, want)) {
			t.Errorf("%q: %v, want %q", text, problems, want)
		}
	}
}
