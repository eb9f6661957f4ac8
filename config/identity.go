package config

import (
	"os"
	"strings"

	"github.com/tripline/tripline/processor/campaign"
)

// Auth says who calls an endpoint: exactly one of its fields is set.
type Auth struct {
	Basic  *BasicAuth           `yaml:"basic"`
	Bearer *BearerAuth          `yaml:"bearer"`
	OAuth2 campaign.Unavailable `yaml:"oauth2"`
	JWT    campaign.Unavailable `yaml:"jwt"`
}

// BasicAuth is a user's name and password (RFC 7617).
type BasicAuth struct {
	Username Text   `yaml:"username" required:"true"`
	Password Secret `yaml:"password" required:"true"`
}

// BearerAuth is a token as it is (RFC 6750).
type BearerAuth struct {
	Token Secret `yaml:"token" required:"true"`
}

// EndpointTLS is whom an endpoint's connections trust, and what they show of themselves. Without CA the system's roots hold; Cert
// and Key come together or not at all.
type EndpointTLS struct {
	CA         PEM    `yaml:"ca"`
	Cert       PEM    `yaml:"cert"`
	Key        PEM    `yaml:"key"`
	MinVersion string `yaml:"min_version" values:"1.2|1.3"`
}

func (t *EndpointTLS) setDefaults() { t.MinVersion = "1.2" }

// PEM is a text of PEM blocks, or the name of a file that holds them.
type PEM struct{ Secret }

func (p *PEM) decodeNode(d *document, n *node, path string) {
	if n.kind == scalar && strings.Contains(n.text, pemBegin) {
		d.file.hidden = append(d.file.hidden, n)
	}
	before := len(d.failed)
	p.Secret.decodeNode(d, n, path)
	if len(d.failed) > before || strings.Contains(p.value, pemBegin) {
		return
	}
	name := d.path(p.value)
	content, err := os.ReadFile(name)
	switch {
	case p.value == "" || strings.HasPrefix(n.text, "file:"):
		d.problem(n, path, "", "%s: expected a PEM text, or the name of a file with one", keyName(path))
		return
	case err != nil:
		d.problem(n, path, "", "%s: the file cannot be read: %s", keyName(path), cause(err))
		return
	}
	d.read = append(d.read, name)
	p.value, p.secrets = string(content), []string{string(content)}
}

// pemBegin is how a PEM block begins (RFC 7468).
const pemBegin = "-----BEGIN "

func (e *Endpoint) checkIdentity(d *document, at string) {
	if t := e.TLS; t != nil {
		d.oneOf(at+".tls.min_version", t.MinVersion, "1.2", "1.3")
	}
	a := e.Auth
	if a == nil {
		return
	}
	at += ".auth"
	required := func(key string, t Text) {
		if t.Reveal() == "" {
			d.missing(at + "." + key)
		}
	}
	switch {
	case (a.Basic == nil) == (a.Bearer == nil):
		d.wrong(at, "", "`auth`: expected one of basic and bearer")
	case a.Basic != nil:
		required("basic.username", a.Basic.Username)
		required("basic.password", a.Basic.Password.Text)
	case a.Bearer != nil:
		required("bearer.token", a.Bearer.Token.Text)
	}
}
