package config

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/calendar"
)

// Options say what a configuration is read with.
type Options struct {
	Environment func(name string) (value string, set bool) // os.LookupEnv; nil: nothing is set
	Overrides   []Override                                 // what the command line sets, in place of the file
	Checks      Checks
}

// Override is a value in place of that in the file.
type Override struct {
	Path  string // the key, as in "http.listen"
	Value string // a scalar as it would stand in the file
	From  string // what a problem calls it, as in "--listen"
}

// Checks are what only those know who use the values. Each may be nil. The paths of their problems begin at what they are given.
type Checks struct {
	Refused  func(addr netip.Addr) bool                   // whether calls to the address are refused
	Endpoint func(e *Endpoint) []campaign.Problem         // url, query and headers as templates
	Delivery func(c *campaign.Definition, i int) Delivery // the i-th entry of deliver
}

// Delivery is what is found in one entry of a campaign's deliver.
type Delivery struct {
	Problems   []campaign.Problem // paths as in "body"
	Properties []string           // of events, that its template names: what history keeps under `properties: referenced`
	Others     bool               // it may ask for others too: history keeps all
}

// Load reads a tripline.yaml; an empty name is a file without content. What it returns is complete even with problems, with defaults where a
// value could not be read.
func Load(name string, o Options) (*Config, *Source, Problems) {
	cfg, src := readConfig(name, o)
	return cfg, src, src.problems()
}

func readConfig(name string, o Options) (*Config, *Source) {
	f, parts := &file{}, []part(nil)
	if name != "" {
		f, parts = readFile(name, maxFile)
	}
	d := &document{file: f, environment: o.Environment}
	if d.environment == nil {
		d.environment = func(string) (string, bool) { return "", false }
	}
	for i, part := range parts {
		if i > 0 {
			f.note(part.line, 1, "a second document; a tripline.yaml has one", "")
			break
		}
		d.root = f.parse(part)
	}
	for _, override := range o.Overrides {
		d.override(override)
	}
	if d.root != nil {
		f.hide(d.root, false, map[*node]bool{})
	}
	cfg := Default()
	d.decodeDocument(cfg)
	cfg.check(d, o.Checks)
	cfg.resolve(d)
	return cfg, &Source{files: []*file{f}, documents: []*document{d}}
}

// override puts a value into the document, as if it stood there.
func (d *document) override(o Override) {
	if d.root == nil || d.root.kind != mapping {
		d.root = &node{kind: mapping, line: 1, column: 1}
	}
	at := d.root
	keys := strings.Split(o.Path, ".")
	for i, key := range keys {
		next := &node{origin: o.From, kind: mapping}
		if i == len(keys)-1 {
			next = &node{origin: o.From, style: outside, text: o.Value}
		}
		j := slices.IndexFunc(at.pairs, func(p pair) bool { return p.key.text == key })
		switch {
		case j < 0:
			at.pairs = append(at.pairs, pair{key: &node{origin: o.From, text: key}, value: next})
		case i == len(keys)-1 || at.pairs[j].value.kind != mapping:
			at.pairs[j].value = next
		default:
			next = at.pairs[j].value
		}
		at = next
	}
}

// resolve makes the paths of the file those of the process.
func (c *Config) resolve(d *document) {
	c.State.Dir = d.path(c.State.Dir)
	for i := range c.Campaigns {
		c.Campaigns[i] = d.path(c.Campaigns[i])
	}
	for _, tls := range []*TLS{c.Kafka.TLS, c.Registry.TLS} {
		if tls == nil {
			continue
		}
		for _, path := range []*string{&tls.CA, &tls.Cert, &tls.Key} {
			if *path != "" {
				*path = d.path(*path)
			}
		}
	}
}

// Rules are what the core needs to know.
func (c *Config) Rules() campaign.Rules {
	zone, _ := calendar.LoadZone(c.Timezone)
	return campaign.Rules{
		Zone:             zone,
		TimezoneProperty: c.TimezoneProperty,
		AllowedLateness:  int64(c.AllowedLateness),
		MaxFuture:        int64(c.MaxFuture),
		Settle:           int64(c.Settle),
		MaxAge:           int64(c.History.MaxAge),
		MaxEvents:        c.History.MaxEvents,
		MaxOpen:          c.History.MaxOpen,
		Referenced:       c.History.Properties == "referenced",
		NotInAudience:    c.Decisions.NotInAudience,
		Caps:             c.Caps,
	}
}

// Loaded is a configuration as a service starts with it, and reloads it.
type Loaded struct {
	Config      *Config
	Definitions []campaign.Definition // in the order of the files
	Set         *campaign.Set         // nil if there is a problem
	Files       []string              // all that was read: what to watch for changes
	Text        []byte                // from which CompileText makes the same Set again, wherever
}

// LoadAll reads a tripline.yaml and the campaign files that it names, and compiles the campaigns. Every problem of all files comes back.
func LoadAll(name string, o Options) (*Loaded, Problems) {
	cfg, src := readConfig(name, o)
	files := cfg.campaignFiles(src.documents[0])
	problems := src.problems()
	defs, campaigns, set, more := compileFiles(files, cfg, o.Checks)
	text := cfg.text()
	for _, d := range campaigns.documents {
		text = append(text, d.text...)
	}
	read := append(src.Files(), campaigns.Files()...)
	slices.Sort(read)
	problems = append(problems, more...).sorted()
	if len(problems) > 0 {
		set = nil
	}
	return &Loaded{Config: cfg, Definitions: defs, Set: set, Files: slices.Compact(read), Text: text}, problems
}

// text is the keys from which Rules come, as a document of a tripline.yaml.
func (c *Config) text() []byte {
	length := func(d campaign.Duration) string { return calendar.FormatDuration(int64(d)) }
	caps := []any{}
	for _, limit := range c.Caps {
		one := map[string]any{"name": limit.Name, "max": limit.Max, "per": length(limit.Per)}
		if len(limit.Tags) > 0 {
			one["tags"] = limit.Tags
		}
		caps = append(caps, one)
	}
	text, err := json.Marshal(map[string]any{
		"timezone": c.Timezone, "timezone_property": c.TimezoneProperty, "allowed_lateness": length(c.AllowedLateness), "max_future": length(c.MaxFuture),
		"settle": length(c.Settle), "caps": caps, "decisions": map[string]any{"not_in_audience": c.Decisions.NotInAudience},
		"history": map[string]any{"max_age": length(c.History.MaxAge), "max_events": c.History.MaxEvents, "max_open": c.History.MaxOpen, "properties": c.History.Properties},
	})
	if err != nil {
		panic(err) // of numbers and strings
	}
	return append(text, '\n')
}

// CompileText compiles a Loaded.Text.
func CompileText(text []byte, checks Checks) (*campaign.Set, Problems) {
	f := &file{name: "the recorded campaigns"}
	parts := f.split(text)
	if len(parts) == 0 {
		f.note(0, 0, "there is nothing in them", "")
		return nil, f.finish()
	}
	cfg, d := Default(), &document{file: f, root: f.parse(parts[0])}
	d.decodeDocument(cfg)
	cfg.check(d, checks)
	src := &Source{files: []*file{f}}
	defs := src.definitions(f, parts[1:])
	set := src.compile(defs, cfg.Rules(), checks)
	return set, src.problems()
}

// CompileFiles reads and compiles campaign files. With a nil config, `deliver.endpoint` may name anything.
func CompileFiles(files []string, cfg *Config, checks Checks) ([]campaign.Definition, *campaign.Set, Problems) {
	defs, _, set, problems := compileFiles(files, cfg, checks)
	return defs, set, problems
}

func compileFiles(files []string, cfg *Config, checks Checks) ([]campaign.Definition, *Source, *campaign.Set, Problems) {
	defs, src := readCampaigns(files)
	rules := Default().Rules()
	if cfg != nil {
		rules = cfg.Rules()
		src.checkEndpoints(defs, cfg)
	}
	return defs, src, src.compile(defs, rules, checks), src.problems()
}

func (s *Source) compile(defs []campaign.Definition, rules campaign.Rules, checks Checks) *campaign.Set {
	for i := range defs {
		keep, others := s.documents[i].checkDeliveries(&defs[i], checks)
		rules.Keep, rules.Referenced = append(rules.Keep, keep...), rules.Referenced && !others
	}
	set, found := campaign.Compile(rules, defs)
	for _, p := range found {
		s.documents[p.Campaign].relay("", p)
	}
	return set
}

// checkDeliveries tries the templates of a campaign, and returns the properties that they name.
func (d *document) checkDeliveries(def *campaign.Definition, checks Checks) (properties []string, others bool) {
	if checks.Delivery == nil {
		return nil, false
	}
	for i := range def.Deliver {
		found := checks.Delivery(def, i)
		for _, p := range found.Problems {
			d.relay(fmt.Sprintf("deliver[%d]", i), p)
		}
		properties, others = append(properties, found.Properties...), others || found.Others
	}
	return properties, others
}

// IsTest says of a file's name whether it is that of tests beside campaigns.
func IsTest(name string) bool {
	return strings.HasSuffix(name, "_test.yaml") || strings.HasSuffix(name, "_test.yml")
}

// campaignFiles expands the globs. A name without a wildcard must be there; tests, which end in _test.yaml, are campaigns only by name.
func (c *Config) campaignFiles(d *document) []string {
	files, bad := expandGlobs(c.Campaigns)
	for i, message := range bad {
		d.wrong(fmt.Sprintf("campaigns[%d]", i), "", "`campaigns`: %s", message)
	}
	return files
}

// expandGlobs expands file names and globs, and says by index what is wrong with them.
func expandGlobs(patterns []string) (files []string, bad map[int]string) {
	bad = map[int]string{}
	for i, pattern := range patterns {
		matches, err := filepath.Glob(pattern)
		plain := !strings.ContainsAny(pattern, `*?[\`)
		switch {
		case err != nil:
			bad[i] = "this is no glob that can be read"
		case plain && len(matches) == 0:
			bad[i] = "no such file"
		}
		for _, match := range matches {
			if plain || !IsTest(match) {
				files = append(files, filepath.Clean(match))
			}
		}
	}
	slices.Sort(files)
	return slices.Compact(files), bad
}

var (
	campaignName = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)
	notInName    = regexp.MustCompile(`[^a-z0-9-]+`)
)

// LoadCampaigns reads campaign files, each of any number of documents. Definitions with problems are among those returned, as far as
// they could be read; Compile finds what else is wrong with them. Their names are unique over all files.
func LoadCampaigns(files []string) ([]campaign.Definition, *Source, Problems) {
	defs, src := readCampaigns(files)
	return defs, src, src.problems()
}

func readCampaigns(files []string) ([]campaign.Definition, *Source) {
	src := &Source{}
	var defs []campaign.Definition
	for _, name := range files {
		f, parts := readFile(name, maxFile)
		src.files = append(src.files, f)
		defs = append(defs, src.definitions(f, parts)...)
	}
	src.checkNames(defs)
	return defs, src
}

// definitions reads a file's documents as campaigns.
func (s *Source) definitions(f *file, parts []part) (defs []campaign.Definition) {
	for _, part := range parts {
		root := f.parse(part)
		if root == nil {
			continue
		}
		d := &document{file: f, root: root, text: part.marked()}
		var def campaign.Definition
		d.decodeDocument(&def)
		def.Version = part.version()
		defs = append(defs, def)
		s.documents = append(s.documents, d)
	}
	return defs
}

func (s *Source) checkNames(defs []campaign.Definition) {
	first := map[string]*document{}
	for i, def := range defs {
		d := s.documents[i]
		switch other := first[def.Name]; {
		case def.Name == "":
			d.missing("name")
		case !campaignName.MatchString(def.Name):
			meant := strings.Trim(notInName.ReplaceAllString(strings.ToLower(def.Name), "-"), "-")
			d.wrong("name", meant[:min(63, len(meant))], "`name`: expected 1 to 63 of the characters a-z, 0-9 and -, not %q", def.Name)
		case other != nil:
			at := other.standing("name")
			d.wrong("name", "", "the name `%s` is taken by the campaign at %s:%d", def.Name, other.file.name, at.line)
		default:
			first[def.Name] = d
		}
	}
}

// checkEndpoints holds what campaigns deliver to against the endpoints that there are.
func (s *Source) checkEndpoints(defs []campaign.Definition, cfg *Config) {
	var names []string
	for _, e := range cfg.Endpoints {
		if e.Name != "" && !slices.Contains(names, e.Name) {
			names = append(names, e.Name)
		}
	}
	known := strings.Join(names, ", ")
	if known == "" {
		known = "none"
	}
	for i := range defs {
		for j := range defs[i].Deliver {
			path, name := fmt.Sprintf("deliver[%d].endpoint", j), defs[i].Deliver[j].Endpoint
			if name == "" || slices.Contains(names, name) {
				continue
			}
			s.documents[i].wrong(path, nearest(name, names), "no endpoint `%s` in tripline.yaml; there is %s", name, known)
		}
	}
}
