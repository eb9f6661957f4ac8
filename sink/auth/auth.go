// Package auth says who calls an endpoint: it makes the Authorization header of its requests.
//
//	Config -> New -> *Auth     what an endpoint's `auth` says, read; immutable
//	Auth.Caller -> *Caller     the same at one client: the header, and the token in it (token.go)
//
// Where tokens come from: jwt.go signs them here, oauth2.go asks for them.
package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Config is an endpoint's `auth`. At most one of its fields is set; none: requests say nothing.
type Config struct {
	Basic  *Basic
	Bearer *Bearer
	OAuth2 *OAuth2
	JWT    *JWT
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

// token is what requests show, and until when it holds.
type token struct {
	header  string
	expires time.Time // zero: it does not say
}

// Auth is a Config, read. It is immutable; a nil *Auth sets no header.
type Auth struct {
	header  string // of what stays the same; "":
	fetch   func(ctx context.Context, client *http.Client, learn func(secret string)) (token, error)
	public  string
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
	case c.OAuth2 != nil:
		r.oauth2(*c.OAuth2)
	case c.JWT != nil:
		r.jwt(*c.JWT)
	default:
		return nil, nil
	}
	if len(r.problems) > 0 {
		return nil, r.problems
	}
	return &r.a, nil
}

// Secrets are what must not be shown, in all the forms in which requests hold it. Tokens are not among them: a Caller tells of those.
func (a *Auth) Secrets() []string {
	if a == nil {
		return nil
	}
	return a.secrets
}

// Print tells one Auth from another. All that is not secret of it is in it, of the secrets eight bits of a hash: another secret has
// another print in 255 of 256 cases, and whoever sees it and guesses cannot tell which of their guesses is right: it fits every 256th.
func (a *Auth) Print() string {
	if a == nil {
		return ""
	}
	sum := sha256.Sum256([]byte("tripline " + a.public + "\x00" + strings.Join(a.secrets, "\x00")))
	return a.public + " " + hex.EncodeToString(sum[:1])
}

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

// public notes what is not secret.
func (r *reader) public(texts ...string) {
	for _, text := range texts {
		r.a.public += strconv.Quote(text) + " "
	}
}

func (r *reader) basic(b Basic) {
	r.wrong(b.Username == "", "basic.username", "is required")
	r.wrong(strings.Contains(b.Username, ":"), "basic.username", "cannot hold a colon: it would end there")
	r.wrong(strings.ContainsFunc(b.Username, unicode.IsControl), "basic.username", "cannot hold control characters")
	r.wrong(strings.ContainsFunc(b.Password, unicode.IsControl), "basic.password", "cannot hold control characters")
	r.given("basic.password", b.Password)
	pair := basicPair(b.Username, b.Password)
	r.a.secrets = append(r.a.secrets, pair)
	r.a.header = "Basic " + pair
	r.public("basic", b.Username)
}

func basicPair(username, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(username + ":" + password))
}

// tokenForm is what a header can hold of a token; RFC 6750 (2.1) allows less, and tokens that pass it by are in use.
var tokenForm = regexp.MustCompile(`^[!-~]+$`)

func (r *reader) bearer(b Bearer) {
	r.given("bearer.token", b.Token)
	r.wrong(b.Token != "" && !tokenForm.MatchString(b.Token), "bearer.token",
		"expected letters, digits and signs of ASCII without a space; `Bearer` is set before it")
	r.a.header = "Bearer " + b.Token
	r.public("bearer")
}
