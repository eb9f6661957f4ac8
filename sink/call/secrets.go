package call

import (
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tripline/tripline/processor/campaign/value"
)

// Secrets replaces secrets in what is recorded or logged.
type Secrets struct {
	replacer *strings.Replacer
	longest  int
}

// NewSecrets takes the secrets, which are hidden as they are and in the forms that they have in urls and in JSON.
func NewSecrets(secrets []string) *Secrets {
	var forms []string
	for _, s := range secrets {
		if s == "" {
			continue
		}
		quoted := string(value.AppendString(nil, s))
		forms = append(forms, s, url.PathEscape(s), url.QueryEscape(s), EscapeValue(s), quoted[1:len(quoted)-1])
	}
	slices.SortFunc(forms, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a) // one that holds another goes first
		}
		return strings.Compare(a, b)
	})
	forms = slices.Compact(forms)
	if len(forms) == 0 {
		return &Secrets{replacer: strings.NewReplacer()}
	}
	pairs := make([]string, 0, 2*len(forms))
	for _, form := range forms {
		pairs = append(pairs, form, "***")
	}
	return &Secrets{replacer: strings.NewReplacer(pairs...), longest: len(forms[0])}
}

// Hide returns s with every secret replaced by ***.
func (s *Secrets) Hide(text string) string { return s.replacer.Replace(text) }

// HideAndCut is the first limit bytes of text, as whole characters of UTF-8, with every secret replaced, one across the cut
// too.
func (s *Secrets) HideAndCut(text string, limit int) string {
	text = s.Hide(text[:min(len(text), limit+s.longest)])
	if len(text) <= limit {
		return text
	}
	text = text[:limit]
	for i := 0; i < utf8.UTFMax && len(text) > 0 && !utf8.ValidString(text[max(0, len(text)-utf8.UTFMax):]); i++ {
		if r, size := utf8.DecodeLastRuneInString(text); r != utf8.RuneError || size != 1 {
			break
		}
		text = text[:len(text)-1]
	}
	return text
}

// EscapeValue percent-encodes all but the unreserved characters of RFC 3986, so that what comes out is part of one path
// segment or one query value, whatever it held.
func EscapeValue(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}
