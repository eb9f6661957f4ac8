package value

import (
	"math/bits"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// eight are eight bytes of text from i on, the first one lowest.
func eight(text string, i int) uint64 {
	s := text[i : i+8]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// special has the high bit set of the lowest byte that does not stand for itself in a JSON string: a quote, a backslash
// or a control character. It is 0 if there is none; bits above the lowest may be set wrongly, by a borrow.
func special(bytes uint64) uint64 {
	quote, backslash := bytes^('"'*ones), bytes^('\\'*ones)
	return ((bytes-0x20*ones)&^bytes | (quote-ones)&^quote | (backslash-ones)&^backslash) & highs
}

// plain is the first place from i on of a byte that does not stand for itself in a JSON string; len(text) if there is
// none.
func plain(text string, i int) int {
	for ; len(text)-i >= 8; i += 8 {
		if s := special(eight(text, i)); s != 0 {
			return i + bits.TrailingZeros64(s)/8
		}
	}
	for i < len(text) && text[i] >= 0x20 && text[i] != '"' && text[i] != '\\' {
		i++
	}
	return i
}

// string reads a string; the opening quote is next.
func (r *Reader) string() string {
	start := r.at + 1
	i := plain(r.text, start)
	if i < len(r.text) && r.text[i] == '"' {
		r.at = i + 1
		return r.text[start:i]
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
		i = plain(text, start)
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
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, string(utf8.RuneError))
	}
	dst = append(dst, '"')
	for {
		i := plain(s, 0)
		dst = append(dst, s[:i]...)
		if i == len(s) {
			return append(dst, '"')
		}
		dst = appendEscape(dst, s[i])
		s = s[i+1:]
	}
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
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}
