package main

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// readable writes text for people. What came from outside, an answer of a receiver or a user's ID, can hold what a terminal obeys: a
// control character, or one by which the order of what is read is another than of what is written, is shown as its number.
type readable struct{ to io.Writer }

// Write takes whole characters.
func (r readable) Write(text []byte) (int, error) {
	if _, err := io.WriteString(r.to, plainText(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}

func plainText(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); {
		c, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case c == utf8.RuneError && size == 1:
			fmt.Fprintf(&out, `\x%02x`, text[i])
		case c == '\n', c == '\t', c == '\r' && strings.HasPrefix(text[i:], "\r\n"):
			out.WriteRune(c)
		case unicode.IsControl(c) && c < 0x80:
			fmt.Fprintf(&out, `\x%02x`, c)
		case unicode.IsControl(c), unicode.Is(unicode.Bidi_Control, c):
			fmt.Fprintf(&out, `\u%04x`, c)
		default:
			out.WriteString(text[i : i+size])
		}
		i += size
	}
	return out.String()
}
