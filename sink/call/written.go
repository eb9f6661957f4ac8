package call

import (
	"html"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A receiver that repeats a secret may write it in its own way: which characters it escapes, and in which case the digits are, differs from
// one language to the next. So a text is read back, as a url, a form, JSON and HTML, and once more as one of these within another.

// escape reads what stands for other bytes at the beginning of a text, and how long that is there; 0: it is no escape.
type escape func(text string) (meant string, length int)

// reading is one way to read a text back.
type reading struct {
	signs string // those with which its escapes begin
	read  escape
}

var readings = []reading{{"%", percent}, {"%+", form}, {`\`, backslash}, {"&", entity}}

// nested is how many ways of writing are within each other at most.
const nested = 2

// span is a part of a text.
type span struct{ from, to int }

// readBack is a text that was read back.
type readBack struct {
	text string
	from []int // of each byte, where in the first text it is from, and at last the end
}

// writtenOtherwise returns where a text holds one of the secrets, but not as it is.
func writtenOtherwise(text string, secrets []string) (found []span) {
	layers := []readBack{{text: text}}
	for depth := 0; depth < nested && len(layers) > 0; depth++ {
		var next []readBack
		for _, layer := range layers {
			for _, r := range readings {
				if back, ok := layer.by(r); ok {
					found = append(found, back.find(secrets)...)
					next = append(next, back)
				}
			}
		}
		layers = next
	}
	return found
}

// by reads a text back in one way more. It is not ok if that says nothing new.
func (b readBack) by(r reading) (_ readBack, ok bool) {
	next := strings.IndexAny(b.text, r.signs)
	if next < 0 {
		return readBack{}, false
	}
	out := readBack{from: make([]int, 0, len(b.text)+1)}
	var text strings.Builder
	origin := func(i int) int {
		if b.from == nil {
			return i
		}
		return b.from[i]
	}
	for i := 0; i < len(b.text); {
		meant, length := "", 0
		if strings.IndexByte(r.signs, b.text[i]) >= 0 {
			meant, length = r.read(b.text[i:])
		}
		if length == 0 {
			meant, length = b.text[i:i+1], 1
		} else {
			ok = true
		}
		text.WriteString(meant)
		for range len(meant) {
			out.from = append(out.from, origin(i))
		}
		i += length
	}
	out.text, out.from = text.String(), append(out.from, origin(len(b.text)))
	return out, ok
}

// find returns where secrets stand, in the first text.
func (b readBack) find(secrets []string) (found []span) {
	for _, secret := range secrets {
		for i := 0; ; {
			n := strings.Index(b.text[i:], secret)
			if n < 0 {
				break
			}
			i += n
			found = append(found, span{b.from[i], b.from[i+len(secret)]})
			i += len(secret)
		}
	}
	return found
}

// blot replaces parts of a text, which may overlap, by *** each.
func blot(text string, parts []span) string {
	slices.SortFunc(parts, func(a, b span) int { return a.from - b.from })
	var out strings.Builder
	end := 0
	for i, p := range parts {
		if i == 0 || p.from >= end {
			out.WriteString(text[end:p.from])
			out.WriteString("***")
		}
		end = max(end, p.to)
	}
	out.WriteString(text[end:])
	return out.String()
}

// percent is %2F or %2f, as in urls.
func percent(text string) (string, int) {
	if len(text) < 3 {
		return "", 0
	}
	b, err := strconv.ParseUint(text[1:3], 16, 8)
	if err != nil {
		return "", 0
	}
	return string([]byte{byte(b)}), 3
}

// form is percent, and + for a space, as in forms.
func form(text string) (string, int) {
	if text[0] == '+' {
		return " ", 1
	}
	return percent(text)
}

// backslash is an escape of JSON, or of one of the languages like it.
func backslash(text string) (string, int) {
	if len(text) < 2 {
		return "", 0
	}
	switch c := text[1]; c {
	case 'u':
		r, length := unicodeEscape(text)
		second, more := unicodeEscape(text[length:])
		if pair := utf16.DecodeRune(r, second); pair != utf8.RuneError {
			r, length = pair, length+more
		}
		return string(r), length
	case 'x':
		if len(text) < 4 {
			return "", 0
		}
		b, length := percent(text[1:4])
		return b, length + min(length, 1)
	default:
		if i := strings.IndexByte("nrtbfv0", c); i >= 0 {
			return "\n\r\t\b\f\v\x00"[i : i+1], 2
		}
		_, size := utf8.DecodeRuneInString(text[1:])
		return text[1 : 1+size], 1 + size
	}
}

// unicodeEscape is \u00e9.
func unicodeEscape(text string) (rune, int) {
	if len(text) < 6 || text[:2] != `\u` {
		return 0, 0
	}
	r, err := strconv.ParseUint(text[2:6], 16, 16)
	if err != nil {
		return 0, 0
	}
	return rune(r), 6
}

// maxEntity is how long a character's name in HTML may be.
const maxEntity = 32

// entity is &amp;, &#38; or &#x26;.
func entity(text string) (string, int) {
	end := strings.IndexByte(text[:min(len(text), maxEntity)], ';')
	if end < 0 {
		return "", 0
	}
	name := text[:end+1]
	if meant := html.UnescapeString(name); meant != name {
		return meant, len(name)
	}
	return "", 0
}
