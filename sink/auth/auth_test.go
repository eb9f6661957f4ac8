package auth

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// header is what a new caller shows.
func header(t *testing.T, a *Auth) string {
	t.Helper()
	header, err := a.Caller(nil, func(string) {}).Header(t.Context())
	if err != nil {
		t.Error(err)
	}
	return header
}

func TestBasic(t *testing.T) {
	a, problems := New(Config{Basic: &Basic{"us er", "p:ä\"ss"}})
	if problems != nil {
		t.Fatal(problems)
	}
	req := http.Request{Header: http.Header{"Authorization": {header(t, a)}}}
	if user, password, ok := req.BasicAuth(); !ok || user != "us er" || password != "p:ä\"ss" {
		t.Errorf("%q %q %v", user, password, ok)
	}
	_, pair, _ := strings.Cut(header(t, a), " ")
	if got := a.Secrets(); !slices.Contains(got, "p:ä\"ss") || !slices.Contains(got, pair) {
		t.Errorf("secrets %q", got)
	}
}

func TestBearer(t *testing.T) {
	a, problems := New(Config{Bearer: &Bearer{"t0k.en=="}})
	if problems != nil || header(t, a) != "Bearer t0k.en==" || !slices.Equal(a.Secrets(), []string{"t0k.en=="}) {
		t.Errorf("%+v %v", a, problems)
	}
}

func TestNone(t *testing.T) {
	if a, problems := New(Config{}); a != nil || problems != nil || a.Print() != "" || a.Secrets() != nil {
		t.Errorf("%+v %v", a, problems)
	}
}

// TestProblems holds that a problem names the path, and no secret.
func TestProblems(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   string // paths
	}{
		{Config{Basic: &Basic{}}, "basic.username basic.password"},
		{Config{Basic: &Basic{"a:b", "s3cret\n"}}, "basic.username basic.password"},
		{Config{Basic: &Basic{"a\r", "p"}}, "basic.username"},
		{Config{Bearer: &Bearer{}}, "bearer.token"},
		{Config{Bearer: &Bearer{"s3cret s3cret"}}, "bearer.token"},
		{Config{Bearer: &Bearer{"s3crét"}}, "bearer.token"},
	} {
		a, problems := New(c.config)
		var paths []string
		for _, p := range problems {
			paths = append(paths, p.Path)
			if strings.Contains(p.Message, "s3cr") {
				t.Errorf("%s shows a secret: %s", p.Path, p.Message)
			}
		}
		if got := strings.Join(paths, " "); got != c.want || a != nil {
			t.Errorf("%s, want %s; %v", got, c.want, a)
		}
	}
}

// TestPrint holds that a print tells kinds, names and secrets apart, and that it says too little of a secret to be a test of guesses.
func TestPrint(t *testing.T) {
	print := func(c Config) string {
		a, problems := New(c)
		if problems != nil {
			t.Fatal(problems)
		}
		return a.Print()
	}
	asks := func(change func(*OAuth2)) Config {
		o := OAuth2{TokenURL: "https://id.example/token", ClientID: "c", ClientSecret: "s3cret"}
		change(&o)
		return Config{OAuth2: &o}
	}
	key, other := pemOf(t, "ES256"), pemOf(t, "ES256")
	seen := map[string]Config{}
	for _, c := range []Config{{}, {Basic: &Basic{"a", "s3cret"}}, {Basic: &Basic{"b", "s3cret"}}, {Basic: &Basic{"a", "another"}}, {Bearer: &Bearer{"s3cret"}},
		asks(func(*OAuth2) {}), asks(func(o *OAuth2) { o.ClientID = "d" }), asks(func(o *OAuth2) { o.Scopes = []string{"x"} }),
		asks(func(o *OAuth2) { o.Params = map[string]string{"audience": "x"} }), asks(func(o *OAuth2) { o.ClientAuth = "body" }),
		asks(func(o *OAuth2) { o.ClientSecret, o.ClientAuth, o.JWT = "", "jwt", &JWT{Alg: "ES256", Key: key} }),
		{JWT: &JWT{Alg: "ES256", Key: key}}, {JWT: &JWT{Alg: "ES256", Key: key, KeyID: "k"}}, {JWT: &JWT{Alg: "ES256", Key: key, Audience: "x"}},
	} {
		if other, twice := seen[print(c)]; twice {
			t.Errorf("%+v and %+v have the same print", c, other)
		}
		seen[print(c)] = c
	}
	if other == key {
		t.Error("the same key twice")
	}
	bits := map[string]bool{}
	for i := range 5000 {
		bits[print(Config{Bearer: &Bearer{fmt.Sprint("guess-", i)}})] = true
	}
	if len(bits) != 256 {
		t.Errorf("%d prints of 5000 tokens", len(bits))
	}
}
