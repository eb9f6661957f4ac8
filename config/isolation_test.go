package config

import (
	"strings"
	"testing"
)

func TestIsolation(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"breaker: none", ""},
		{"breaker: {min_samples: 5}", ""},
		{"rate_limit: {per_second: 0.5, burst: 3}", ""},
		{"rate_limit: {per_second: 50}", ""},
		{"breaker: off", "`breaker`: expected a mapping or none"},
		{"breaker: {failure_rate: 0%}", "`failure_rate`: expected a share above 0%"},
		{"breaker: {min_samples: 0}", "`min_samples`: expected a number from 1"},
		{"breaker: {window: 0s}", "`window`: expected a duration from"},
		{"breaker: {open: 2d}", "`open`: expected a duration from"},
		{"breaker: {opens: 2d}", "unknown key `opens`"},
		{"rate_limit: {}", "`per_second`: expected a number from"},
		{"rate_limit: {per_second: 1, burst: -1}", "`burst`: expected a number from 0"},
	} {
		t.Chdir(t.TempDir())
		write(t, "tripline.yaml", "endpoints:\n  - name: ops\n    url: https://example.com\n    "+c.text+"\n")
		cfg, _, problems := Load("tripline.yaml", Options{})
		switch {
		case c.want == "" && len(problems) > 0:
			t.Errorf("%s: %v", c.text, problems)
		case c.want != "" && (len(problems) != 1 || !strings.Contains(problems[0].Message, c.want)):
			t.Errorf("%s: %v, want %s", c.text, problems, c.want)
		case c.text == "breaker: none" && cfg.Endpoints[0].Breaker != (Breaker{}):
			t.Errorf("%+v", cfg.Endpoints[0].Breaker)
		case c.text == "breaker: {min_samples: 5}" && cfg.Endpoints[0].Breaker != (Breaker{0.5, 5, 30_000, 30_000}):
			t.Errorf("%+v", cfg.Endpoints[0].Breaker)
		}
	}
}
