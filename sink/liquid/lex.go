package liquid

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tokenKind is what a template's source is made of.
type tokenKind uint8

const (
	textToken tokenKind = iota
	outputToken
	tagToken
	endToken
)

// token is a piece of source. Of an output and a tag, body is what stands between the delimiters (of a tag: behind its
// name), and at is where the body begins.
type token struct {
	kind tokenKind
	name string // of a tag
	body string
	at   int // of the body
	from int // of the whole token
}

// lexer cuts source into tokens.
type lexer struct {
	source string
	at     int
	lines  int  // above 0: up to here each line is a tag, as within liquid
	trim   bool // the token before ended with -}} or -%}: space at the start of the text that follows goes
}

const space = " \t\n\r\v\f"

// next returns the next token.
func (l *lexer) next() (token, *Error) {
	if l.lines > 0 {
		return l.line(), nil
	}
	if l.at >= len(l.source) {
		return token{kind: endToken, at: len(l.source), from: len(l.source)}, nil
	}
	rest := l.source[l.at:]
	open := opening(rest)
	if open != 0 {
		return l.text(rest, open), nil
	}
	return l.marked(rest)
}

// line returns the next line that is not empty as a tag.
func (l *lexer) line() token {
	for l.at < l.lines {
		from := l.at
		line, _, _ := strings.Cut(l.source[from:l.lines], "\n")
		l.at += len(line) + 1
		if name, body, at := tagName(line, from); name != "" || strings.Trim(body, space) != "" {
			return token{kind: tagToken, name: name, body: body, at: at, from: from + len(line) - len(strings.TrimLeft(line, space))}
		}
	}
	return token{kind: endToken, at: l.lines, from: l.lines}
}

// opening is where the next {{ or {% begins, -1 if nowhere.
func opening(s string) int {
	for from := 0; ; {
		i := strings.IndexByte(s[from:], '{')
		if i < 0 || from+i+1 >= len(s) {
			return -1
		}
		if c := s[from+i+1]; c == '{' || c == '%' {
			return from + i
		}
		from += i + 1
	}
}

func (l *lexer) text(rest string, open int) token {
	from := l.at
	if open < 0 {
		open = len(rest)
	}
	text := rest[:open]
	l.at += open
	if l.trim {
		text = strings.TrimLeft(text, space)
		l.trim = false
	}
	if open+2 < len(rest) && rest[open+2] == '-' {
		text = strings.TrimRight(text, space)
	}
	return token{kind: textToken, body: text, at: from, from: from}
}

// marked reads {{ … }} or {% … %}.
func (l *lexer) marked(rest string) (token, *Error) {
	t := token{kind: outputToken, from: l.at}
	closing := "}}"
	if rest[1] == '%' {
		t.kind, closing = tagToken, "%}"
	}
	start := 2
	if len(rest) > 2 && rest[2] == '-' {
		start = 3
	}
	quoted := t.kind == outputToken || !strings.HasPrefix(strings.TrimLeft(rest[start:], space), "#")
	end, ok := closed(rest, start, closing, quoted)
	if !ok {
		return t, l.fault(l.at, "this "+rest[:2]+" is not closed: expected "+closing)
	}
	l.trim = false
	l.at += end + 2
	body := rest[start:end]
	if strings.HasSuffix(body, "-") {
		l.trim, body = true, body[:len(body)-1]
	}
	t.body, t.at = body, t.from+start
	if t.kind == tagToken {
		t.name, t.body, t.at = tagName(body, t.at)
	}
	return t, nil
}

// closed finds the closing delimiter behind start, outside of quotes.
func closed(s string, start int, closing string, quoted bool) (end int, ok bool) {
	for i := start; i+1 < len(s); i++ {
		if s[i:i+2] == closing {
			return i, true
		}
		if c := s[i]; quoted && (c == '"' || c == '\'') {
			skip := strings.IndexByte(s[i+1:], c)
			if skip < 0 {
				quoted = false // the parser says that the string is not closed
				continue
			}
			i += skip + 1
		}
	}
	return 0, false
}

// tagName splits a tag's name from what follows it.
func tagName(body string, at int) (name, rest string, restAt int) {
	trimmed := strings.TrimLeft(body, space)
	at += len(body) - len(trimmed)
	if strings.HasPrefix(trimmed, "#") {
		return "#", trimmed[1:], at + 1
	}
	n := 0
	for n < len(trimmed) && (trimmed[n] == '_' || isDigit(trimmed[n]) || 'a' <= trimmed[n]|0x20 && trimmed[n]|0x20 <= 'z') {
		n++
	}
	return trimmed[:n], trimmed[n:], at + n
}

// until returns the source up to the tag of that name, which it consumes. With nested, tags named inside open another.
func (l *lexer) until(end, inside string) (text string, ok bool) {
	start, trimStart := l.at, l.trim
	for depth := 0; ; {
		open := strings.Index(l.source[l.at:], "{%")
		if open < 0 {
			return "", false
		}
		at := l.at + open
		body := strings.TrimPrefix(l.source[at+2:], "-")
		name, _, _ := tagName(body, 0)
		stop := strings.Index(l.source[at:], "%}")
		if stop < 0 {
			return "", false
		}
		l.at = at + stop + 2
		switch {
		case name == end && depth == 0:
			text = l.source[start:at]
			if trimStart {
				text = strings.TrimLeft(text, space)
			}
			if at+2 < len(l.source) && l.source[at+2] == '-' {
				text = strings.TrimRight(text, space)
			}
			l.trim = l.source[at+stop-1] == '-'
			return text, true
		case name == end:
			depth--
		case inside != "" && name == inside:
			depth++
		default:
			l.at = at + 2
		}
	}
}

func (l *lexer) fault(offset int, message string) *Error {
	line, column := place(l.source, offset)
	return &Error{Line: line, Column: column, Message: message}
}

// wordKind is what an expression is made of.
type wordKind uint8

const (
	endWord wordKind = iota
	nameWord
	numberWord
	stringWord
	signWord
)

// word is a piece of an expression. text is a string's content, and of everything else the source.
type word struct {
	kind wordKind
	text string
	at   int // offset in the template
}

func (w word) String() string {
	switch w.kind {
	case endWord:
		return "the end"
	case stringWord:
		return fmt.Sprintf("%q", w.text)
	}
	return w.text
}

// is reports whether the word is that sign or name.
func (w word) is(text string) bool {
	return (w.kind == signWord || w.kind == nameWord) && w.text == text
}

var signs = []string{"==", "!=", "<>", "<=", ">=", "..", "<", ">", "=", ".", "[", "]", "(", ")", "|", ":", ","}

// scan cuts the body of an output or a tag, which begins at offset at, into words.
func scan(body string, at int) (words []word, bad string, badAt int) {
	for i := 0; i < len(body); {
		c := body[i]
		if strings.IndexByte(space, c) >= 0 {
			i++
			continue
		}
		w := word{at: at + i}
		n := 0
		switch first, _ := utf8.DecodeRuneInString(body[i:]); {
		case c == '"' || c == '\'':
			end := strings.IndexByte(body[i+1:], c)
			if end < 0 {
				return nil, "this string is not closed", at + i
			}
			w.kind, w.text, n = stringWord, body[i+1:i+1+end], end+2
		case isDigit(c) || c == '-' && i+1 < len(body) && isDigit(body[i+1]):
			n = numberLength(body[i:])
			w.kind, w.text = numberWord, body[i:i+n]
		case isLetter(first) || c == '_':
			n = nameLength(body[i:])
			w.kind, w.text = nameWord, body[i:i+n]
		default:
			for _, sign := range signs {
				if strings.HasPrefix(body[i:], sign) {
					w.kind, w.text, n = signWord, sign, len(sign)
					break
				}
			}
			if n == 0 {
				return nil, fmt.Sprintf("unexpected character %q", first), at + i
			}
		}
		words = append(words, w)
		i += n
	}
	return append(words, word{at: at + len(strings.TrimRight(body, space))}), "", 0
}

func numberLength(s string) int {
	n := 1
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	if n+1 < len(s) && s[n] == '.' && isDigit(s[n+1]) {
		for n++; n < len(s) && isDigit(s[n]); n++ {
		}
	}
	return n
}

// nameLength is how much of s is a name: letters, digits, _ and -, and a ? at its end.
func nameLength(s string) int {
	n := 0
	for n < len(s) {
		c, size := utf8.DecodeRuneInString(s[n:])
		if !isLetter(c) && c != '_' && c != '-' && !unicode.IsDigit(c) {
			break
		}
		n += size
	}
	if n < len(s) && s[n] == '?' {
		n++
	}
	return n
}

func isLetter(c rune) bool { return c != utf8.RuneError && unicode.IsLetter(c) }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
