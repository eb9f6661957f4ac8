// Package auth says who calls an endpoint: it makes the Authorization header of its requests.
package auth

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// Config is an endpoint's `auth`. At most one of its fields is set; none: requests say nothing.
type Config struct {
	Basic  *Basic
	Bearer *Bearer
}

// Basic is RFC 7617.
type Basic struct{ Username, Password string }

// Bearer is RFC 6750.
type Bearer struct{ Token string }

// Problem is what is wrong with a Config. It holds no secret.
type Problem struct {
	Path    string // "basic.username"
	Message string
}

// Auth is a Config, read. It is immutable; a nil *Auth sets no header.
type Auth struct {
	header  string
	print   string
	secrets []string
}

// New reads a Config. With problems, and where nothing is set, the Auth is nil.
func New(c Config) (*Auth, []Problem) {
	r := &reader{}
	switch {
	case c.Basic != nil:
		r.basic(*c.Basic)
	case c.Bearer != nil:
		r.bearer(*c.Bearer)
	default:
		return nil, nil
	}
	if len(r.problems) > 0 {
		return nil, r.problems
	}
	return &r.a, nil
}

// Secrets are what must not be shown, in all the forms in which requests hold it.
func (a *Auth) Secrets() []string {
	if a == nil {
		return nil
	}
	return a.secrets
}

// Print tells one Auth from another by what is not secret of it. It is no hash of a secret, which could be guessed: another password
// alone has the same print.
func (a *Auth) Print() string {
	if a == nil {
		return ""
	}
	return a.print
}

// Header is the value of the header Authorization.
func (a *Auth) Header() string { return a.header }

type reader struct {
	a        Auth
	problems []Problem
}

func (r *reader) wrong(is bool, path, message string) {
	if is {
		r.problems = append(r.problems, Problem{path, message})
	}
}

// given notes a secret that has to be there.
func (r *reader) given(path, secret string) {
	r.wrong(secret == "", path, "is required")
	r.a.secrets = append(r.a.secrets, secret)
}

func (r *reader) basic(b Basic) {
	r.wrong(b.Username == "", "basic.username", "is required")
	r.wrong(strings.Contains(b.Username, ":"), "basic.username", "cannot hold a colon: it would end there")
	r.wrong(strings.ContainsFunc(b.Username, unicode.IsControl), "basic.username", "cannot hold control characters")
	r.wrong(strings.ContainsFunc(b.Password, unicode.IsControl), "basic.password", "cannot hold control characters")
	r.given("basic.password", b.Password)
	pair := base64.StdEncoding.EncodeToString([]byte(b.Username + ":" + b.Password))
	r.a.secrets = append(r.a.secrets, pair)
	r.a.header, r.a.print = "Basic "+pair, fmt.Sprintf("basic %q", b.Username)
}

// tokenForm is what a header can hold of a token; RFC 6750 (2.1) allows less, and tokens that pass it by are in use.
var tokenForm = regexp.MustCompile(`^[!-~]*$`)

func (r *reader) bearer(b Bearer) {
	r.given("bearer.token", b.Token)
	r.wrong(!tokenForm.MatchString(b.Token), "bearer.token", "expected letters, digits and signs of ASCII without a space; `Bearer` is set before it")
	r.a.header, r.a.print = "Bearer "+b.Token, "bearer"
}
