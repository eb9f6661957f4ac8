package auth

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestBasic(t *testing.T) {
	a, problems := New(Config{Basic: &Basic{"us er", "p:ä\"ss"}})
	if problems != nil {
		t.Fatal(problems)
	}
	req := http.Request{Header: http.Header{"Authorization": {a.Header()}}}
	if user, password, ok := req.BasicAuth(); !ok || user != "us er" || password != "p:ä\"ss" {
		t.Errorf("%q %q %v", user, password, ok)
	}
	_, pair, _ := strings.Cut(a.Header(), " ")
	if got := a.Secrets(); !slices.Contains(got, "p:ä\"ss") || !slices.Contains(got, pair) {
		t.Errorf("secrets %q", got)
	}
}

func TestBearer(t *testing.T) {
	a, problems := New(Config{Bearer: &Bearer{"t0k.en=="}})
	if problems != nil || a.Header() != "Bearer t0k.en==" || !slices.Equal(a.Secrets(), []string{"t0k.en=="}) {
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

// TestPrint holds that a print tells kinds and names apart, and says nothing of secrets.
func TestPrint(t *testing.T) {
	print := func(c Config) string {
		a, problems := New(c)
		if problems != nil {
			t.Fatal(problems)
		}
		return a.Print()
	}
	one := print(Config{Basic: &Basic{"a", "s3cret"}})
	for _, other := range []Config{{}, {Basic: &Basic{"b", "s3cret"}}, {Bearer: &Bearer{"s3cret"}}} {
		if print(other) == one {
			t.Errorf("%+v has the same print", other)
		}
	}
	if print(Config{Basic: &Basic{"a", "another"}}) != one {
		t.Error("a password is in the print")
	}
}
