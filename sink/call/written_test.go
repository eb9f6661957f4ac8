package call

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/url"
	"strings"
	"testing"
)

// TestSecretsWrittenOtherwise holds that a secret is hidden however a receiver writes it, and that nothing else is.
func TestSecretsWrittenOtherwise(t *testing.T) {
	const secret = "p@ss/w\"\u00f6 <rd+1>\U0001f511"
	quoted := func(s string) string {
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[1 : len(b)-1])
	}
	ways := map[string]func(string) string{
		"as it is":              func(s string) string { return s },
		"a path segment":        url.PathEscape,
		"a query value":         url.QueryEscape,
		"a path":                func(s string) string { return strings.ReplaceAll(url.PathEscape(s), "%2F", "/") },
		"a path, in lower case": func(s string) string { return strings.ReplaceAll(lowerEscapes(url.PathEscape(s)), "%2f", "/") },
		"all of it in %":        func(s string) string { return "%" + strings.Join(pairs(hex.EncodeToString([]byte(s))), "%") },
		"JSON":                  quoted,
		"JSON, more of it": func(s string) string {
			return strings.NewReplacer("/", `\/`, "\u00f6", `\u00f6`, "\U0001f511", `\ud83d\udd11`).Replace(quoted(s))
		},
		"JSON, in other digits": func(s string) string {
			return strings.NewReplacer("\u00f6", `\u00F6`, "+", `\u002B`).Replace(quoted(s))
		},
		"an entity with a name": func(s string) string {
			return strings.NewReplacer(`"`, "&quot;", "<", "&lt;", ">", "&gt;", "\u00f6", "&ouml;").Replace(s)
		},
		"an entity with digits": func(s string) string {
			return strings.NewReplacer("/", "&#x2F;", "+", "&#43;", `"`, "&#x22;", "<", "&lt;", ">", "&gt;").Replace(s)
		},
		"another language's text": func(s string) string {
			return strings.NewReplacer("\u00f6", `\xc3\xb6`, `"`, `\"`, "<", `\x3c`).Replace(s)
		},
		"HTML":              html.EscapeString,
		"base64":            func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"base64 of urls":    func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
		"hexadecimal":       func(s string) string { return hex.EncodeToString([]byte(s)) },
		"large hexadecimal": func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
	}
	secrets := NewSecrets([]string{secret})
	for first, inner := range ways {
		for second, outer := range ways {
			if strings.Contains(second, "base64") || strings.Contains(second, "hexadecimal") {
				continue // of a whole text, in which a secret begins anywhere
			}
			shown := strings.ReplaceAll(secrets.Hide(outer("("+inner(secret)+")")), outer("="), "") // which may fill up base64
			if want := outer("(") + "***" + outer(")"); shown != want {
				t.Errorf("%s within %s is shown as %s", first, second, shown)
			}
		}
	}
	for _, text := range []string{"", "ok", `{"error":"a % of \"b\" & c; +1"}`, "100%", "%zz %4", `\u12`, `\`, "&;&amp;&nothing;", "p@ss%2Fw", `\x4`, `\ud83d`} {
		if shown := secrets.Hide(text); shown != text {
			t.Errorf("%q is shown as %q", text, shown)
		}
	}
}

// pairs cuts digits in two each.
func pairs(digits string) (out []string) {
	for ; len(digits) >= 2; digits = digits[2:] {
		out = append(out, digits[:2])
	}
	return out
}

// FuzzHide holds that whatever is read back is within the text, and that nothing of a secret is left of a text that holds it.
func FuzzHide(f *testing.F) {
	for _, text := range []string{`\u00e9%41&amp;`, `\ud83d\ude00`, `\ud83d\u0041`, "%+", `\\\"`, "&#x26;amp;", "&#55357;"} {
		f.Add(text, "secret+ of %41")
	}
	f.Fuzz(func(t *testing.T, text, secret string) {
		if secret == "" {
			return
		}
		NewSecrets([]string{secret}).Hide(text)
		if shown := NewSecrets([]string{secret}).Hide("<" + url.QueryEscape(secret) + ">"); !strings.HasPrefix(shown, "<***") && !strings.Contains("***<", secret[:1]) {
			t.Errorf("%q is shown as %q", secret, shown)
		}
	})
}
