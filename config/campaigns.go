package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/tripline/tripline/processor/campaign"
)

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
		f, parts := readFile(name)
		src.files = append(src.files, f)
		for _, part := range parts {
			root := f.parse(part)
			if root == nil {
				continue
			}
			d := &document{file: f, root: root}
			var def campaign.Definition
			d.decodeDocument(&def)
			def.Version = part.version()
			defs = append(defs, def)
			src.documents = append(src.documents, d)
		}
	}
	src.checkNames(defs)
	return defs, src
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
