package value

import (
	"errors"
	"fmt"
	"math/bits"
	"unicode/utf8"
)

// MaxDepth is how deep lists and objects may nest; deeper is an error.
const MaxDepth = 64

// ErrUTF8 is the error of a text that is not UTF-8 throughout (RFC 8259, 8.1).
var ErrUTF8 = errors.New("not valid UTF-8")

// SyntaxError says where a JSON text stops being one.
type SyntaxError struct {
	Offset  int // bytes from the start of the text
	Problem string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("at byte %d: %s", e.Offset, e.Problem) }

// Parse reads one JSON value (RFC 8259). Lists and objects keep their canonical text: no spaces, no needless escapes,
// of duplicate keys the last. Unpaired surrogates become U+FFFD.
func Parse(json []byte) (Value, error) {
	if !utf8.Valid(json) {
		return Value{}, ErrUTF8
	}
	r := NewReader(string(json))
	v := r.Value()
	if err := r.End(); err != nil {
		return Value{}, err
	}
	return v, nil
}

// ParseObject reads one JSON object.
func ParseObject(json []byte) (Properties, error) {
	if !utf8.Valid(json) {
		return nil, ErrUTF8
	}
	r := NewReader(string(json))
	p := r.Properties()
	if err := r.End(); err != nil {
		return nil, err
	}
	return p, nil
}

// Reader walks one JSON text from front to back, once. After an error every method answers with nothing, and End with
// the error.
type Reader struct {
	text  string
	at    int
	depth int
	fresh bool // behind an opening bracket: no comma before what follows
	err   error
}

// NewReader reads text, which must be UTF-8; what it returns points into it.
func NewReader(text string) Reader { return Reader{text: text} }

// Peek is the kind of the value that comes next, without reading it; of any number it says Number, of what is no
// value Nil.
func (r *Reader) Peek() Kind {
	switch c := r.peek(); {
	case c == '"':
		return String
	case c == '{':
		return Object
	case c == '[':
		return List
	case c == 't', c == 'f':
		return Bool
	case c == '-', '0' <= c && c <= '9':
		return Number
	}
	return Nil
}

// EnterObject steps into the object that comes next; anything else is an error.
func (r *Reader) EnterObject() { r.enter('{', "expected an object") }

// EnterList steps into the list that comes next; anything else is an error.
func (r *Reader) EnterList() { r.enter('[', "expected a list") }

// NextMember reads the name of the object's next member; ok is false at the end of the object, which is then left.
func (r *Reader) NextMember() (name string, ok bool) {
	text, i := r.text, r.at
	if !r.fresh && i < len(text) && text[i] == ',' {
		i++
	}
	// Mostly a plain name follows, without spaces and short.
	if (r.fresh || i > r.at) && len(text)-i > 8 && text[i] == '"' {
		i++
		end := i
		if s := special(eight(text, i)); s != 0 {
			end += bits.TrailingZeros64(s) / 8
		} else {
			end = plain(text, i+8)
		}
		if end+1 < len(text) && text[end] == '"' && text[end+1] == ':' {
			r.at, r.fresh = end+2, false
			return text[i:end], true
		}
	}
	return r.anyMember()
}

// anyMember is NextMember for every text.
func (r *Reader) anyMember() (name string, ok bool) {
	if !r.next('}', "expected ',' or '}'") {
		return "", false
	}
	if r.peek() != '"' {
		r.fail("expected a member's name in quotes")
		return "", false
	}
	name = r.string()
	if r.peek() != ':' {
		r.fail("expected ':' after a member's name")
		return "", false
	}
	r.at++
	return name, r.err == nil
}

// NextElement tells whether the list has another element; if not, the list is left.
func (r *Reader) NextElement() bool { return r.next(']', "expected ',' or ']'") }

// Value reads the next value.
func (r *Reader) Value() Value {
	switch c := r.peek(); c {
	case '"':
		start := r.at + 1
		if end := plain(r.text, start); end < len(r.text) && r.text[end] == '"' {
			r.at = end + 1
			return Value{kind: String, text: r.text[start:end]}
		}
		return Value{kind: String, text: r.string()}.unless(r.err)
	case '{', '[':
		return r.compound(c)
	case 't':
		return r.literal("true", Value{kind: Bool, number: 1})
	case 'f':
		return r.literal("false", Value{kind: Bool})
	case 'n':
		return r.literal("null", Value{})
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return r.number()
	}
	r.fail("expected a value")
	return Value{}
}

// Skip passes over the next value, which must still be valid.
func (r *Reader) Skip() { r.skip() }

// End is the first error, or what is wrong with there being more text behind the value, or nil.
func (r *Reader) End() error {
	if r.peek(); r.err == nil && r.at < len(r.text) {
		r.fail("expected nothing after the value")
	}
	return r.err
}

// Err is the first error so far.
func (r *Reader) Err() error { return r.err }

func (v Value) unless(err error) Value {
	if err != nil {
		return Value{}
	}
	return v
}

// fail keeps the first error and moves to the end, where nothing more is found.
func (r *Reader) fail(problem string) {
	if r.err == nil {
		if r.at >= len(r.text) {
			problem += ", found the end"
		}
		r.err = &SyntaxError{Offset: min(r.at, len(r.text)), Problem: problem}
	}
	r.at = len(r.text)
}

// peek passes white space and is the byte that follows, 0 at the end.
func (r *Reader) peek() byte {
	for r.at < len(r.text) {
		c := r.text[r.at]
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
		r.at++
	}
	return 0
}

func (r *Reader) enter(open byte, problem string) {
	if r.peek() != open {
		r.fail(problem)
		return
	}
	if r.depth == MaxDepth {
		r.fail(fmt.Sprintf("nested deeper than %d", MaxDepth))
		return
	}
	r.at++
	r.depth++
	r.fresh = true
}

// next passes the comma before a member or element, or the closing bracket.
func (r *Reader) next(closing byte, problem string) bool {
	c := r.peek()
	if r.err != nil {
		return false
	}
	if c == closing {
		r.at++
		r.depth--
		r.fresh = false
		return false
	}
	if r.fresh {
		r.fresh = false
		return true
	}
	if c != ',' {
		r.fail(problem)
		return false
	}
	r.at++
	return true
}

func (r *Reader) literal(word string, v Value) Value {
	if len(r.text)-r.at < len(word) || r.text[r.at:r.at+len(word)] != word {
		r.fail("expected a value")
		return Value{}
	}
	r.at += len(word)
	return v
}
