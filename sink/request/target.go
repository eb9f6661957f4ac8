package request

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/tripline/tripline/sink/call"
	"github.com/tripline/tripline/sink/liquid"
)

// Problem is what is wrong with a part of an endpoint or of a campaign's delivery. Line and Column, where above 0, count from
// 1 within the value at Path.
type Problem struct {
	Path         string
	Line, Column int
	Message      string
	Suggestion   string
}

// Endpoint is what a request takes from its endpoint.
type Endpoint struct {
	Method         string
	URL            string
	Headers, Query map[string]string
	Signing        []Secret // one signature each
	AllowPrivate   bool
	Group          string // `group` of tripline.yaml: CloudEvents name it as their source
}

// Target is an Endpoint, read. It is immutable.
type Target struct {
	method      string
	url         *liquid.Template
	host        string
	query       []named
	headers     []named
	contentType bool // headers has one
	keys        []key
	group       string
	secrets     []string
	fixedURL    *rendering // where no template is in url and query
}

// rendering is a rendered url.
type rendering struct{ whole, shown string }

// named is a template with a name.
type named struct {
	name     string
	template *liquid.Template
}

// Methods are those that an endpoint can have.
var Methods = []string{"POST", "GET", "PUT", "PATCH", "DELETE"}

// NewTarget reads an endpoint. With problems the target is nil.
func NewTarget(e Endpoint) (*Target, []Problem) {
	r := &targetReader{t: &Target{method: e.Method, group: e.Group}}
	if !slices.Contains(Methods, e.Method) {
		r.problem("method", "expected one of "+strings.Join(Methods, ", "))
	}
	r.url(e)
	r.query(e.Query)
	r.headers(e.Headers)
	for i, secret := range e.Signing {
		key, err := parseSecret(secret)
		if err != nil {
			r.problem(fmt.Sprintf("signing.secrets[%d]", i), err.Error())
		}
		r.t.keys = append(r.t.keys, key)
		r.t.secrets = append(r.t.secrets, secret.Value)
		if _, key, ok := strings.Cut(secret.Value, "_"); ok { // as libraries of Standard Webhooks keep it
			r.t.secrets = append(r.t.secrets, strings.TrimRight(key, "="))
		}
	}
	if len(r.problems) > 0 {
		return nil, r.problems
	}
	if r.t.url.Constant() && !slices.ContainsFunc(r.t.query, func(n named) bool { return !n.template.Constant() }) {
		if u, err := (&renderer{}).url(r.t); err == nil {
			r.t.fixedURL = &u
		}
	}
	return r.t, nil
}

// Bodyless reports whether requests have no body.
func (t *Target) Bodyless() bool { return t.method == "GET" || t.method == "DELETE" }

// Secrets are those that stand in the target: signing secrets, and the values of headers that carry credentials.
func (t *Target) Secrets() []string { return t.secrets }

// Properties are those of events that the target's templates name, and whether they may ask for others too.
func (t *Target) Properties() (names []string, others bool) {
	templates := []*liquid.Template{t.url}
	for _, n := range slices.Concat(t.query, t.headers) {
		templates = append(templates, n.template)
	}
	for _, template := range templates {
		more, unknown := template.Members(notEvents...)
		names, others = append(names, more...), others || unknown
	}
	return names, others
}

type targetReader struct {
	t        *Target
	problems []Problem
}

func (r *targetReader) problem(path, message string) {
	r.problems = append(r.problems, Problem{Path: path, Message: message})
}

func (r *targetReader) template(path, text string) *liquid.Template {
	t, problems := liquid.ParseOutputs(text, scope)
	r.problems = append(r.problems, located(path, problems)...)
	return t
}

func located(path string, problems []*liquid.Error) (all []Problem) {
	for _, p := range problems {
		all = append(all, Problem{path, p.Line, p.Column, p.Message, p.Suggestion})
	}
	return all
}

// url checks all of a url that stands fixed. Scheme and host do, so that no trigger can choose where a request goes.
func (r *targetReader) url(e Endpoint) {
	r.t.url = r.template("url", e.URL)
	if r.t.url == nil {
		return
	}
	scheme, rest, ok := strings.Cut(e.URL, "://")
	if !ok || scheme != "https" && scheme != "http" {
		r.problem("url", "expected a url as in https://example.com/hook")
		return
	}
	if scheme == "http" && !e.AllowPrivate {
		r.problem("url", "expected https; plain http is for an endpoint inside, with allow_private: true")
	}
	authority := rest[:min(len(rest), max(0, indexAny(rest, "/?#")))]
	if strings.Contains(authority, "{{") {
		r.problem("url", "scheme and host hold no template")
		return
	}
	u, err := url.Parse(scheme + "://" + authority)
	switch {
	case err != nil || u.Hostname() == "":
		r.problem("url", "expected a host as in https://example.com/hook")
		return
	case u.User != nil:
		r.problem("url", "a url holds no user and password: a header Authorization does")
	case strings.HasSuffix(u.Host, ":"):
		r.problem("url", "a port is missing behind the colon")
	}
	if err := call.CheckHost(u.Hostname(), e.AllowPrivate); err != nil {
		r.problem("url", err.Error())
	}
	r.t.host = u.Host
	r.fixed(r.t.url.Fixed("x"))
}

func indexAny(s, chars string) int {
	if i := strings.IndexAny(s, chars); i >= 0 {
		return i
	}
	return len(s)
}

// fixed checks the text of a url around its outputs.
func (r *targetReader) fixed(text string) {
	switch _, err := url.Parse(text); {
	case strings.Contains(text, "#"):
		r.problem("url", "what follows a # is never sent")
	case err != nil || strings.ContainsFunc(text, unicode.IsSpace):
		r.problem("url", "is not a url: encode what it must not hold, as %20 for a space")
	}
}

func (r *targetReader) query(query map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(query)) {
		path := "query." + name
		if name == "" {
			r.problem("query", "a name is empty")
		}
		r.t.query = append(r.t.query, named{name, r.template(path, query[name])})
	}
}

// credentials are the headers that a trigger has no say in.
var credentials = []string{"Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key"}

// own are the headers that are the request's own business.
var own = []string{"Host", "Content-Length", "Transfer-Encoding"}

func (r *targetReader) headers(headers map[string]string) {
	seen := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		path, text, canonical := "headers."+name, headers[name], http.CanonicalHeaderKey(name)
		switch {
		case !isToken(name):
			r.problem(path, "is not the name of a header")
			continue
		case slices.Contains(own, canonical) || strings.HasPrefix(canonical, "Webhook-"):
			r.problem(path, "cannot be set")
			continue
		case seen[canonical] != "":
			r.problem(path, "is set twice, here and as "+seen[canonical])
			continue
		}
		seen[canonical] = name
		r.t.contentType = r.t.contentType || canonical == "Content-Type"
		template := r.template(path, text)
		if slices.Contains(credentials, canonical) {
			if strings.Contains(text, "{{") || strings.Contains(text, "{%") {
				r.problem(path, "may be a constant or ${NAME}, never a template")
			}
			r.t.secrets = append(append(r.t.secrets, text), within(canonical, text)...)
		}
		if strings.ContainsFunc(text, unicode.IsControl) {
			r.problem(path, "holds a control character")
		}
		r.t.headers = append(r.t.headers, named{canonical, template})
	}
}

// minCookie is how long a cookie's value must be to be taken for a secret: a shorter one is found where it is not meant.
const minCookie = 6

// within are the secrets within a header that carries credentials: a receiver may repeat them without the rest.
func within(canonical, text string) (secrets []string) {
	if canonical != "Cookie" {
		_, token, _ := strings.Cut(text, " ")
		return []string{token}
	}
	for pair := range strings.SplitSeq(text, ";") {
		if _, v, _ := strings.Cut(pair, "="); len(v) >= minCookie {
			secrets = append(secrets, v)
		}
	}
	return secrets
}

// isToken is RFC 9110, 5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c >= unicode.MaxASCII || !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
	})
}
