package config

import (
	"fmt"
	"strings"
	"testing"
)

// A registry is a URL or a mapping; what is secret of it is shown nowhere.
func TestRegistry(t *testing.T) {
	environment := func(name string) (string, bool) { return "s3cret", name == "PW" }
	for _, c := range []struct{ text, want, url string }{
		{`registry: ""`, "", ""},
		{"registry: http://registry:8081", "", "http://registry:8081"},
		{"registry: 'https://u:${PW}@registry/path'", "", "https://u:s3cret@registry/path"},
		{"registry: {url: https://registry, username: u, password: '${PW}', tls: {ca: ca.pem}}", "", "https://registry"},
		{"registry: registry:8081", "expected a URL", ""},
		{"registry: 'https://u:s3cret/#@registry'", "expected a URL", ""},
		{"registry: {username: u, password: s3cret}", "`url` is missing", ""},
		{"registry: {url: https://registry, username: u}", "username and password belong together", ""},
		{"registry: {url: 'https://u:s3cret@registry', username: u, password: s3cret}", "given twice", ""},
		{"registry: {url: https://registry, tls: {cert: c.pem}}", "cert and key belong together", ""},
		{"registry: {url: https://registry, user: u}", "unknown key `user`", ""},
		{"registry: [a]", "expected text", ""},
	} {
		t.Chdir(t.TempDir())
		write(t, "etc/tripline.yaml", c.text+"\n")
		cfg, _, problems := Load("etc/tripline.yaml", Options{Environment: environment})
		switch {
		case c.want == "" && (len(problems) > 0 || cfg.Registry.URL.Reveal() != c.url):
			t.Errorf("%s: %q, %v", c.text, cfg.Registry.URL.Reveal(), problems)
		case c.want != "" && (len(problems) != 1 || !strings.Contains(problems[0].Message, c.want)):
			t.Errorf("%s: %v; expected %s", c.text, problems, c.want)
		}
		if shown := fmt.Sprintf("%v %+v %#v %v", cfg.Registry, cfg.Registry, cfg.Registry, problems); strings.Contains(shown, "s3cret") {
			t.Errorf("%s: shown as %s", c.text, shown)
		}
		if tls := cfg.Registry.TLS; tls != nil && tls.CA != "" && tls.CA != "etc/ca.pem" {
			t.Errorf("ca is %s", tls.CA)
		}
	}
}
