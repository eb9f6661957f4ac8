package liquid

import (
	"encoding/base64"
	"html"
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

var textFilters = map[string]*filter{
	"append":                 onTexts(func(s, more string) string { return s + more }),
	"base64_decode":          {apply: decode64(base64.StdEncoding)},
	"base64_encode":          onText(func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }),
	"base64_url_safe_decode": {apply: decode64(base64.URLEncoding)},
	"base64_url_safe_encode": onText(func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) }),
	"capitalize":             onText(capitalize),
	"downcase":               onText(strings.ToLower),
	"escape":                 onText(escape),
	"escape_once":            onText(func(s string) string { return escape(html.UnescapeString(s)) }),
	"lstrip":                 onText(func(s string) string { return strings.TrimLeftFunc(s, unicode.IsSpace) }),
	"newline_to_br":          onText(func(s string) string { return lineBreak.ReplaceAllString(s, "<br />\n") }),
	"prepend":                onTexts(func(s, more string) string { return more + s }),
	"remove":                 {apply: replace(all), least: 1, most: 1},
	"remove_first":           {apply: replace(first), least: 1, most: 1},
	"remove_last":            {apply: replace(last), least: 1, most: 1},
	"replace":                {apply: replace(all), least: 1, most: 2},
	"replace_first":          {apply: replace(first), least: 1, most: 2},
	"replace_last":           {apply: replace(last), least: 2, most: 2},
	"rstrip":                 onText(func(s string) string { return strings.TrimRightFunc(s, unicode.IsSpace) }),
	"split":                  {apply: split, least: 1, most: 1},
	"strip":                  onText(strings.TrimSpace),
	"strip_html":             onText(func(s string) string { return markup.ReplaceAllString(s, "") }),
	"strip_newlines":         onText(func(s string) string { return lineBreak.ReplaceAllString(s, "") }),
	"truncate":               {apply: truncate, least: 0, most: 2},
	"truncatewords":          {apply: truncateWords, least: 0, most: 2},
	"upcase":                 onText(strings.ToUpper),
	"url_decode":             {apply: unescape},
	"url_encode":             onText(url.QueryEscape),
}

var (
	lineBreak = regexp.MustCompile(`\r?\n`)
	markup    = regexp.MustCompile(`(?is)<script.*?</script>|<!--.*?-->|<style.*?</style>|<.*?>`)
	entities  = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;")
)

func escape(s string) string { return entities.Replace(s) }

func capitalize(s string) string {
	for i, c := range s {
		return s[:i] + string(unicode.ToUpper(c)) + strings.ToLower(s[i+len(string(c)):])
	}
	return s
}

func decode64(encoding *base64.Encoding) func(c *call) (Value, error) {
	return func(c *call) (Value, error) {
		decoded, err := encoding.DecodeString(c.text())
		if err != nil {
			return nil, c.fault("not base64")
		}
		return strings.ToValidUTF8(string(decoded), "\ufffd"), nil
	}
}

func unescape(c *call) (Value, error) {
	s, err := url.QueryUnescape(c.text())
	if err != nil {
		return nil, c.fault("not url-encoded")
	}
	return strings.ToValidUTF8(s, "\ufffd"), nil
}

// which occurrences to replace.
type which uint8

const (
	all which = iota
	first
	last
)

func replace(w which) func(c *call) (Value, error) {
	return func(c *call) (Value, error) {
		s, old, with := c.text(), text(c.arg(0)), text(c.arg(1))
		switch w {
		case first:
			return strings.Replace(s, old, with, 1), nil
		case last:
			if i := strings.LastIndex(s, old); i >= 0 {
				s = s[:i] + with + s[i+len(old):]
			}
			return s, nil
		}
		if grown := len(s) + strings.Count(s, old)*max(0, len(with)-len(old)); grown > MaxOutput {
			return nil, c.bound("more than %d bytes of text", MaxOutput)
		}
		return strings.ReplaceAll(s, old, with), nil
	}
}

// split cuts text at a separator, at each character if that is empty. Empty pieces at the end are left out.
func split(c *call) (Value, error) {
	s, by := c.text(), text(c.arg(0))
	if err := c.r.charge(16*(strings.Count(s, by)+1), c.at); err != nil {
		return nil, err
	}
	var pieces []string
	if by == " " {
		pieces = strings.Fields(s)
	} else {
		pieces = strings.Split(s, by)
	}
	for len(pieces) > 0 && pieces[len(pieces)-1] == "" {
		pieces = pieces[:len(pieces)-1]
	}
	list := make([]Value, len(pieces))
	for i, piece := range pieces {
		list[i] = piece
	}
	return list, nil
}

// truncate cuts text to so many characters, those of the ellipsis included.
func truncate(c *call) (Value, error) {
	n, ellipsis := c.number(0, 50), "..."
	if len(c.args) > 1 {
		ellipsis = text(c.args[1])
	}
	runes := []rune(c.text())
	if int64(len(runes)) <= n {
		return string(runes), nil
	}
	kept := max(0, min(n, int64(len(runes)))-int64(len([]rune(ellipsis))))
	return string(runes[:kept]) + ellipsis, nil
}

func truncateWords(c *call) (Value, error) {
	n, ellipsis := max(1, c.number(0, 15)), "..."
	if len(c.args) > 1 {
		ellipsis = text(c.args[1])
	}
	words := strings.Fields(c.text())
	if int64(len(words)) <= n {
		return c.text(), nil
	}
	return strings.Join(words[:n], " ") + ellipsis, nil
}
