package value

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// plain bytes stand for themselves in a JSON string.
var plain = func() (table [256]bool) {
	for c := 0x20; c < 256; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()

// string reads a string; the opening quote is next.
func (r *Reader) string() string {
	text, start := r.text, r.at+1
	i := start
	for i < len(text) && plain[text[i]] {
		i++
	}
	if i < len(text) && text[i] == '"' {
		r.at = i + 1
		return text[start:i]
	}
	return r.unescape(start, i)
}

// unescape reads on from the first byte that is not plain, at i, of a string that begins at start.
func (r *Reader) unescape(start, i int) string {
	var b strings.Builder
	for text := r.text; ; {
		b.WriteString(text[start:i])
		r.at = i
		switch {
		case i == len(text):
			r.fail("expected the closing quote of a string")
			return ""
		case text[i] == '"':
			r.at++
			return b.String()
		case text[i] != '\\':
			r.fail("control character in a string")
			return ""
		}
		if !r.escape(&b) {
			r.fail("unknown escape in a string")
			return ""
		}
		start = r.at
		for i = start; i < len(text) && plain[text[i]]; i++ {
		}
	}
}

// escape reads one escape sequence, the backslash is next.
func (r *Reader) escape(b *strings.Builder) bool {
	if r.at+1 >= len(r.text) {
		return false
	}
	c := r.text[r.at+1]
	if c == 'u' {
		return r.escapeUnicode(b)
	}
	i := strings.IndexByte(`"\/bfnrt`, c)
	if i < 0 {
		return false
	}
	b.WriteByte("\"\\/\b\f\n\r\t"[i])
	r.at += 2
	return true
}

func (r *Reader) escapeUnicode(b *strings.Builder) bool {
	c, ok := hex4(r.text, r.at)
	if !ok {
		return false
	}
	r.at += 6
	if utf16.IsSurrogate(c) {
		low, ok := hex4(r.text, r.at)
		if c = utf16.DecodeRune(c, low); ok && c != utf8.RuneError {
			r.at += 6
		} else {
			c = utf8.RuneError
		}
	}
	b.WriteRune(c)
	return true
}

// hex4 reads the six bytes \uXXXX at i.
func hex4(text string, i int) (c rune, ok bool) {
	if len(text)-i < 6 || text[i] != '\\' || text[i+1] != 'u' {
		return 0, false
	}
	for _, d := range []byte(text[i+2 : i+6]) {
		switch {
		case '0' <= d && d <= '9':
			d -= '0'
		case 'a' <= d && d <= 'f':
			d -= 'a' - 10
		case 'A' <= d && d <= 'F':
			d -= 'A' - 10
		default:
			return 0, false
		}
		c = c<<4 | rune(d)
	}
	return c, true
}

const hexDigits = "0123456789abcdef"

// AppendString writes s as a JSON string: only quotes, backslashes and control characters are escaped. What is not
// UTF-8 becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf && plain[c] {
			i++
			continue
		}
		size := 1
		if c >= utf8.RuneSelf {
			var char rune
			if char, size = utf8.DecodeRuneInString(s[i:]); char != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		dst = appendEscape(dst, c)
		i += size
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	if c >= utf8.RuneSelf {
		return utf8.AppendRune(dst, utf8.RuneError)
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}
