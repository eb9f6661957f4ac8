package auth

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// asked is a request for a token.
type asked struct {
	user, password string // of Basic
	form           url.Values
}

// endpoint is a token endpoint that answers as answer does, and what it was asked.
func endpoint(t *testing.T, answer http.HandlerFunc) (url string, all *[]asked) {
	t.Helper()
	all = new([]asked)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.Method != "POST" {
			t.Errorf("%s %v", r.Method, err)
		}
		a := asked{form: r.PostForm}
		a.user, a.password, _ = r.BasicAuth()
		*all = append(*all, a)
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, all
}

// gives answers with tokens t1, t2, and so on, that hold for so many seconds; 0: it does not say how long.
func gives(seconds int) http.HandlerFunc {
	n := 0
	return func(w http.ResponseWriter, _ *http.Request) {
		n++
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"t%d","token_type":"bearer","expires_in":%d}`, n, seconds)
	}
}

// asks is a caller by an OAuth2.
func asks(t *testing.T, o OAuth2) *Caller {
	t.Helper()
	a, problems := New(Config{OAuth2: &o})
	if problems != nil {
		t.Fatal(problems)
	}
	return a.Caller(http.DefaultClient, func(string) {})
}

func TestGrants(t *testing.T) {
	key := newKey(t, "ES256", 0)
	for name, c := range map[string]struct {
		o              OAuth2
		user, password string
		form           string // without an assertion
	}{
		"client_credentials": {OAuth2{ClientID: "a:b", ClientSecret: "s/3 cret", Scopes: []string{"x", "y"}, Params: map[string]string{"audience": "ops"}},
			"a%3Ab", "s%2F3+cret", "audience=ops&grant_type=client_credentials&scope=x+y"}, // RFC 6749, 2.3.1
		"body": {OAuth2{ClientID: "a", ClientSecret: "s", ClientAuth: "body"}, "", "", "client_id=a&client_secret=s&grant_type=client_credentials"},
		"password": {OAuth2{Grant: "password", ClientID: "a", ClientSecret: "s", Username: "u", Password: "p&"},
			"a", "s", "grant_type=password&password=p%26&username=u"},
		"password, public": {OAuth2{Grant: "password", ClientID: "a", ClientAuth: "body", Username: "u", Password: "p"}, "", "",
			"client_id=a&grant_type=password&password=p&username=u"},
		"password, nobody": {OAuth2{Grant: "password", Username: "u", Password: "p"}, "", "", "grant_type=password&password=p&username=u"},
		"jwt": {OAuth2{ClientID: "a", ClientAuth: "jwt", JWT: &JWT{Alg: "ES256", Key: pkcs8(t, key)}}, "", "",
			"client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_id=a&grant_type=client_credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			at, all := endpoint(t, gives(3600))
			c.o.TokenURL = at + "/token?tenant=1"
			if header, err := asks(t, c.o).Header(t.Context()); header != "Bearer t1" || err != nil {
				t.Fatal(header, err)
			}
			got := (*all)[0]
			if assertion := got.form.Get("client_assertion"); name == "jwt" {
				holdAssertion(t, assertion, key, c.o.TokenURL)
			} else if assertion != "" {
				t.Error(assertion)
			}
			got.form.Del("client_assertion")
			if got.user != c.user || got.password != c.password || got.form.Encode() != c.form {
				t.Errorf("%q %q %s", got.user, got.password, got.form.Encode())
			}
		})
	}
}

// holdAssertion holds a client's assertion to RFC 7523, 3: by default the client is both issuer and subject, the endpoint the audience.
func holdAssertion(t *testing.T, assertion string, key crypto.Signer, audience string) {
	t.Helper()
	claims := jwt.MapClaims{}
	_, err := jwt.NewParser(jwt.WithIssuer("a"), jwt.WithSubject("a"), jwt.WithAudience(audience), jwt.WithExpirationRequired()).
		ParseWithClaims(assertion, claims, func(*jwt.Token) (any, error) { return key.Public(), nil })
	if err != nil || claims["jti"] == nil {
		t.Errorf("%v %v", claims, err)
	}
}

// TestTokenFailures holds that whatever a token endpoint does is a TokenError that says what it was, and shows no body.
func TestTokenFailures(t *testing.T) {
	answers := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	for want, answer := range map[string]http.HandlerFunc{
		"answered 500": answers(500, "text/html", "<p>s3cret</p>"),
		"answered 401: invalid_client: no such client": answers(401, "application/json", `{"error":"invalid_client","error_description":"no such client","x":"s3cret"}`),
		"answered 200: invalid_scope":                  answers(200, "application/json", `{"error":"invalid_scope"}`),
		"gave none: oauth2: cannot parse json":         answers(200, "application/json", `s3cret`),
		"gave none: oauth2: server response missing":   answers(200, "application/json", `{"token":"s3cret"}`),
		"answered with a token that no header can":     answers(200, "application/json", `{"access_token":"s3cret\r\nX: y"}`),
		"cannot be asked: EOF": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				conn.Close()
			}
		},
	} {
		at, _ := endpoint(t, answer)
		c := asks(t, OAuth2{TokenURL: at + "/?s3cret", ClientID: "a", ClientSecret: "s3cret"})
		_, err := c.Header(t.Context())
		var token *TokenError
		host, _ := strings.CutPrefix(at, "http://")
		if !errors.As(err, &token) || !strings.HasPrefix(err.Error(), "no token: the token endpoint "+host+" "+want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestTokenEndpointHangs holds that an attempt waits for a token as long as it has time, whoever asks.
func TestTokenEndpointHangs(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{})
	at, all := endpoint(t, func(http.ResponseWriter, *http.Request) { close(entered); <-release })
	defer close(release)
	c := asks(t, OAuth2{TokenURL: at, ClientID: "a", ClientSecret: "s"})
	long, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := c.Header(long)
		ended <- err
	}()
	<-entered
	short, end := context.WithTimeout(t.Context(), 1)
	defer end()
	var token *TokenError
	if _, err := c.Header(short); !errors.As(err, &token) || !strings.Contains(err.Error(), "another attempt") {
		t.Error(err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) || errors.As(err, &token) {
		t.Error(err)
	}
	if len(*all) != 1 {
		t.Errorf("asked %d times", len(*all))
	}
}

func TestOAuth2Problems(t *testing.T) {
	good := OAuth2{TokenURL: "https://id.example/t", ClientID: "a", ClientSecret: "s3cret"}
	for want, change := range map[string]func(*OAuth2){
		"":                      func(*OAuth2) {},
		"oauth2.grant":          func(o *OAuth2) { o.Grant = "implicit" },
		"oauth2.client_auth":    func(o *OAuth2) { o.ClientAuth = "header" },
		"oauth2.token_url":      func(o *OAuth2) { o.TokenURL = "id.example" },
		"oauth2.client_id":      func(o *OAuth2) { o.ClientID = "" },
		"oauth2.client_secret":  func(o *OAuth2) { o.ClientSecret = "" },
		"oauth2":                func(o *OAuth2) { o.Username = "u" },
		"oauth2.password":       func(o *OAuth2) { o.Grant, o.Username = "password", "u" },
		"oauth2.username":       func(o *OAuth2) { o.Grant, o.Password = "password", "s3cret" },
		"oauth2.jwt":            func(o *OAuth2) { o.ClientSecret, o.ClientAuth = "", "jwt" },
		"oauth2.params.scope":   func(o *OAuth2) { o.Params = map[string]string{"scope": "x"} },
		"oauth2.jwt.alg":        func(o *OAuth2) { o.ClientSecret, o.ClientAuth, o.JWT = "", "jwt", &JWT{Key: "s3cret"} },
		"oauth2.token_url user": func(o *OAuth2) { o.TokenURL = "https://u:s3cret@id.example/t" },
	} {
		o := good
		change(&o)
		a, problems := New(Config{OAuth2: &o})
		want, _, _ = strings.Cut(want, " ")
		if want == "" && a != nil && problems == nil {
			continue
		}
		if len(problems) != 1 || problems[0].Path != want || strings.Contains(fmt.Sprint(problems), "s3cret") || a != nil {
			t.Errorf("%s: %v", want, problems)
		}
	}
}
