package auth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// OAuth2 is how a token is asked for at a token endpoint (RFC 6749, 4.3 and 4.4).
type OAuth2 struct {
	Grant              string // client_credentials (also ""), password
	TokenURL           string
	ClientID           string
	ClientSecret       string
	Username, Password string // of the grant password
	Scopes             []string
	Params             map[string]string // further parameters of the request
	ClientAuth         string            // basic (also ""), body, jwt
	JWT                *JWT              // of the ClientAuth jwt; Issuer, Subject: ClientID, Audience: TokenURL where they are empty
}

// Grants and ClientAuths are what an OAuth2 can say.
var (
	Grants      = []string{"client_credentials", "password"}
	ClientAuths = []string{"basic", "body", "jwt"}
)

// reserved are the parameters that have keys of their own.
var reserved = []string{"grant_type", "scope", "client_id", "client_secret", "username", "password", "client_assertion", "client_assertion_type"}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523, 2.2

// asker asks for tokens.
type asker struct {
	cfg    clientcredentials.Config // EndpointParams but for the assertion
	host   string
	signer *signer // nil: the client has a secret, or none
}

func (r *reader) oauth2(o OAuth2) {
	o.Grant, o.ClientAuth = orFirst(o.Grant, Grants), orFirst(o.ClientAuth, ClientAuths)
	r.wrong(!slices.Contains(Grants, o.Grant), "oauth2.grant", "expected one of "+strings.Join(Grants, ", "))
	r.wrong(!slices.Contains(ClientAuths, o.ClientAuth), "oauth2.client_auth", "expected one of "+strings.Join(ClientAuths, ", "))
	a := &asker{host: r.tokenURL(o.TokenURL)}
	params := url.Values{}
	for name, value := range o.Params {
		r.wrong(slices.Contains(reserved, name), "oauth2.params."+name, "cannot be set here: it has a key of its own, or follows from others")
		params.Set(name, value)
	}
	if o.Grant == "password" {
		params.Set("grant_type", "password") // in place of client_credentials
		params.Set("username", o.Username)
		params.Set("password", o.Password)
		r.wrong(o.Username == "", "oauth2.username", "is required by the grant password")
		r.wrong(o.Password == "", "oauth2.password", "is required by the grant password")
		r.a.secrets = append(r.a.secrets, o.Password)
	} else {
		r.wrong(o.Username != "" || o.Password != "", "oauth2", "username and password belong to the grant password")
	}
	style := oauth2.AuthStyleInParams
	if o.ClientAuth == "basic" && o.ClientID != "" {
		style = oauth2.AuthStyleInHeader
	}
	r.public("oauth2", o.Grant, o.TokenURL, o.ClientID, o.Username, o.ClientAuth, strings.Join(o.Scopes, " "))
	for _, name := range slices.Sorted(maps.Keys(o.Params)) {
		r.public(name, o.Params[name])
	}
	r.client(o, a)
	a.cfg = clientcredentials.Config{ClientID: o.ClientID, ClientSecret: o.ClientSecret, TokenURL: o.TokenURL, Scopes: o.Scopes,
		EndpointParams: params, AuthStyle: style}
	r.a.fetch = a.fetch
}

func orFirst(text string, of []string) string {
	if text == "" {
		return of[0]
	}
	return text
}

// tokenURL checks it but for its host, and returns that.
func (r *reader) tokenURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case text == "":
		r.wrong(true, "oauth2.token_url", "is required")
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.Fragment != "":
		r.wrong(true, "oauth2.token_url", "expected a url as in https://id.example.com/token")
	case u.User != nil:
		r.wrong(true, "oauth2.token_url", "holds no user and password: client_id and client_secret do")
	default:
		return u.Host
	}
	return ""
}

// client reads how the client says who it is.
func (r *reader) client(o OAuth2, a *asker) {
	public := o.Grant == "password" // a client without a secret can have it
	r.wrong(o.ClientID == "" && (!public || o.ClientSecret != "" || o.ClientAuth == "jwt"), "oauth2.client_id", "is required")
	if o.ClientAuth != "jwt" {
		r.wrong(o.ClientSecret == "" && !public, "oauth2.client_secret", "is required by client_auth "+o.ClientAuth)
		r.wrong(o.JWT != nil, "oauth2.jwt", "belongs to client_auth jwt")
		if o.ClientSecret != "" {
			r.a.secrets = append(r.a.secrets, o.ClientSecret, basicPair(url.QueryEscape(o.ClientID), url.QueryEscape(o.ClientSecret)))
		}
		return
	}
	r.wrong(o.ClientSecret != "", "oauth2.client_secret", "does not go with client_auth jwt, whose key takes its place")
	if o.JWT == nil {
		r.wrong(true, "oauth2.jwt", "is required by client_auth jwt")
		return
	}
	j := *o.JWT
	for claim, or := range map[*string]string{&j.Issuer: o.ClientID, &j.Subject: o.ClientID, &j.Audience: o.TokenURL} {
		if *claim == "" {
			*claim = or
		}
	}
	a.signer = r.signer("oauth2.jwt", j)
	a.signer.once = true
}

// fetch asks for a token. Its error does not name the url, which may hold what is secret, but its host.
func (a *asker) fetch(ctx context.Context, client *http.Client, learn func(secret string)) (token, error) {
	cfg := clientcredentials.Config{ClientID: a.cfg.ClientID, ClientSecret: a.cfg.ClientSecret, TokenURL: a.cfg.TokenURL, Scopes: a.cfg.Scopes,
		EndpointParams: maps.Clone(a.cfg.EndpointParams), AuthStyle: a.cfg.AuthStyle}
	if a.signer != nil {
		assertion, _, err := a.signer.token(time.Now())
		if err != nil {
			return token{}, fmt.Errorf("sign the client's assertion: %w", err)
		}
		learn(assertion)
		cfg.EndpointParams.Set("client_assertion_type", assertionType)
		cfg.EndpointParams.Set("client_assertion", assertion)
	}
	got, err := cfg.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
	if err != nil {
		return token{}, fmt.Errorf("the token endpoint %s %w", a.host, answered(ctx, err))
	}
	learn(got.AccessToken)
	if !tokenForm.MatchString(got.AccessToken) || !tokenForm.MatchString(got.Type()) {
		return token{}, fmt.Errorf("the token endpoint %s answered with a token that no header can hold", a.host)
	}
	return token{got.Type() + " " + got.AccessToken, got.Expiry}, nil
}

// answered says what a token endpoint did in place of giving a token. Of a body it shows the error's code and description only.
func answered(ctx context.Context, err error) error {
	var refused *oauth2.RetrieveError
	var wrapped *url.Error
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("did not answer within the endpoint's timeout: %w", context.DeadlineExceeded)
	case errors.As(err, &refused):
		text := fmt.Sprintf("answered %d", refused.Response.StatusCode)
		for _, more := range []string{refused.ErrorCode, refused.ErrorDescription} {
			if more != "" {
				text += ": " + more
			}
		}
		return errors.New(text)
	case errors.As(err, &wrapped):
		return fmt.Errorf("cannot be asked: %w", wrapped.Err)
	}
	return fmt.Errorf("gave none: %w", err)
}
