package call

import (
	"net/url"
	"strings"

	"github.com/tripline/tripline/sink/auth"
)

// Access is how an endpoint may be called: who says to call, over what, and what is held to be who it is.
type Access struct {
	Auth         auth.Config
	TLS          TLS
	Proxy        Proxy
	AllowPrivate bool
}

// AccessProblem is what is wrong with an Access. It holds no secret.
type AccessProblem struct {
	Path    string // "auth.basic.username"
	Message string
}

// Read checks an Access. headers are the names of the endpoint's own.
func (a Access) Read(headers []string) (*auth.Auth, []AccessProblem) {
	var problems []AccessProblem
	wrong := func(path, message string) { problems = append(problems, AccessProblem{path, message}) }
	caller, bad := auth.New(a.Auth)
	for _, b := range bad {
		wrong("auth."+b.Path, b.Message)
	}
	if caller != nil && a.Auth.OAuth2 != nil {
		if err := a.tokenURL(a.Auth.OAuth2.TokenURL); err != "" {
			wrong("auth.oauth2.token_url", err)
		}
	}
	for _, name := range headers {
		if a.Auth != (auth.Config{}) && strings.EqualFold(name, "Authorization") {
			wrong("headers."+name, "cannot be set beside `auth`, which sets it")
		}
	}
	_, unsafe := a.TLS.Config()
	for _, u := range unsafe {
		wrong("tls."+u.Path, u.Err.Error())
	}
	if _, err := a.Proxy.read(); err != nil {
		wrong("proxy.url", err.Error())
	}
	return caller, problems
}

// tokenURL says what keeps a token endpoint from being called, as an endpoint's url would be.
func (a Access) tokenURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "expected a url"
	case u.Scheme != "https" && !a.AllowPrivate:
		return "expected https; plain http is for what is inside, with allow_private: true"
	}
	if err := CheckHost(u.Hostname(), a.AllowPrivate); err != nil {
		return err.Error()
	}
	return ""
}
