package call

import (
	"encoding/base64"
	"encoding/hex"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/tripline/tripline/processor/campaign/value"
)

// Secrets replaces secrets in what is recorded or logged. It is safe for concurrent use.
type Secrets struct {
	now atomic.Pointer[forms]

	mu      sync.Mutex
	given   []string
	learned []string // the newest last
}

// forms are secrets as they may stand in a text.
type forms struct {
	all      []string
	bare     []string // those that may stand within what is written otherwise
	signs    string   // with one of which such a writing has to have begun
	replacer *strings.Replacer
	url      atomic.Pointer[hidden] // the one that HideURL had last
}

// hidden is a text, and what is shown of it.
type hidden struct{ text, shown string }

// keptTokens is how many tokens stay hidden: answers to requests that had an older one may still come.
const keptTokens = 16

// NewSecrets takes the secrets, which are hidden as they are, in base64, in hexadecimal digits, and however urls, forms, JSON and HTML write them.
func NewSecrets(secrets []string) *Secrets {
	s := &Secrets{given: secrets}
	s.build()
	return s
}

// Learn takes one more secret, such as a token. The newest of them stay hidden.
func (s *Secrets) Learn(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.learned, secret) {
		return
	}
	s.learned = append(s.learned[max(0, len(s.learned)-keptTokens+1):], secret)
	s.build()
}

func (s *Secrets) build() {
	var all []string
	f := &forms{signs: `%\&`}
	for _, secret := range slices.Concat(s.given, s.learned) {
		if secret != "" {
			all = append(all, written(secret)...)
			f.bare = append(append(f.bare, secret), encoded(secret)...)
		}
		if strings.Contains(secret, " ") {
			f.signs = `%\&+`
		}
	}
	slices.SortFunc(all, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a) // one that holds another goes first
		}
		return strings.Compare(a, b)
	})
	all = slices.Compact(all)
	f.all = all
	pairs := make([]string, 0, 2*len(all))
	for _, form := range all {
		pairs = append(pairs, form, "***")
	}
	f.replacer = strings.NewReplacer(pairs...)
	s.now.Store(f)
}

// minEncoded is how long a secret must be for its base64 or its digits to be looked for: that of a shorter one is found where it is not meant.
const minEncoded = 6

// written are the ways in which a secret may be written where it is repeated.
func written(secret string) []string {
	ascii := strconv.QuoteToASCII(secret) // \u00e9, as encoders of JSON do that keep to ASCII
	quoted := quote(secret)
	all := []string{secret, html.EscapeString(secret), quoted, ascii[1 : len(ascii)-1], escapeHTML.Replace(quoted)}
	for _, form := range all {
		all = append(all, strings.ReplaceAll(form, "/", `\/`)) // as PHP's JSON
	}
	for _, form := range all {
		all = append(all, quote(form)) // JSON within JSON
	}
	for _, e := range []string{url.PathEscape(secret), url.QueryEscape(secret), EscapeValue(secret)} {
		all = append(all, e, lowerEscapes(e))
	}
	return append(all, encoded(secret)...)
}

// encoded are a secret's base64 and hexadecimal forms.
func encoded(secret string) []string {
	if len(secret) < minEncoded {
		return nil
	}
	b, digits := []byte(secret), hex.EncodeToString([]byte(secret))
	return []string{strings.TrimRight(base64.StdEncoding.EncodeToString(b), "="), strings.TrimRight(base64.URLEncoding.EncodeToString(b), "="),
		digits, strings.ToUpper(digits)}
}

// escapeHTML is how Go and others keep JSON safe within HTML.
var escapeHTML = strings.NewReplacer("<", `\u003c`, ">", `\u003e`, "&", `\u0026`)

// quote is a text as JSON has it within quotes.
func quote(text string) string {
	quoted := string(value.AppendString(nil, text))
	return quoted[1 : len(quoted)-1]
}

// lowerEscapes is a percent-encoded text with its escapes in lower case.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i:], strings.ToLower(s[i:i+3]))
		}
	}
	return string(b)
}

// Hide returns text with every secret replaced by ***.
func (s *Secrets) Hide(text string) string {
	if text == "" {
		return ""
	}
	return s.now.Load().hide(text)
}

func (f *forms) hide(text string) string {
	if strings.ContainsAny(text, f.signs) {
		if found := writtenOtherwise(text, f.bare); len(found) > 0 {
			text = blot(text, found)
		}
	}
	return f.replacer.Replace(text)
}

// maxURL is how much of a url is shown, in bytes.
const maxURL = 4 << 10

// HideURL is HideAndCut for the url of a request, of which there are many in a row to the same one.
func (s *Secrets) HideURL(text string) string {
	f := s.now.Load()
	if last := f.url.Load(); last != nil && last.text == text {
		return last.shown
	}
	h := &hidden{text, cut(f.hide(text), maxURL)}
	f.url.Store(h)
	return h.shown
}

// HideAndCut is the first limit bytes of text with every secret replaced, as whole characters of UTF-8.
func (s *Secrets) HideAndCut(text string, limit int) string { return cut(s.Hide(text), limit) }

// cut is the first limit bytes of a text, less a character of UTF-8 that is not whole.
func cut(text string, limit int) string {
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

// Whole is a text that was cut without the part of a secret that it may end with.
func (s *Secrets) Whole(text string) string {
	least := len(text)
	for _, form := range s.now.Load().all {
		for n := min(len(form)-1, len(text)); n > 0; n-- {
			if strings.HasSuffix(text, form[:n]) {
				least = min(least, len(text)-n)
				break
			}
		}
	}
	return text[:least]
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
