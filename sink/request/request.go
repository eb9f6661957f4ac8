// Package request renders the request of one delivery: url, headers, body and signature, from the texts of its endpoint and
// its campaign and from the trigger's record. It is pure: the same texts and the same record give the same bytes.
package request

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/sink/call"
	"github.com/tripline/tripline/sink/liquid"
)

// Reasons of a delivery that is dropped by what its templates make of its trigger; the names are those of `deliveries`.
const (
	Aborted   = "aborted"
	Missing   = "missing"
	BadJSON   = "bad_json"
	BadHeader = "bad_header"
	BadURL    = "bad_url"
	Template  = "template"
)

// DroppedError says that a delivery must not be sent, and why.
type DroppedError struct {
	Reason string
	Detail string // of Aborted the reason that the template gives, of Missing the path
}

func (e *DroppedError) Error() string { return e.Reason + ": " + e.Detail }

// Rendered is a request, but for what each attempt has for itself.
type Rendered struct {
	call.Request
	Shown string // the url without its query
}

// Render renders the request of a delivery. raw is the trigger's record as it was read, replay its replay number, 0 for the
// original. The error is a *DroppedError.
func Render(t *Target, c *Content, trigger *record.Trigger, raw []byte, replay int64) (*Rendered, error) {
	r := renderer{env: liquid.Env{Look: look(trigger), Now: trigger.EmittedAt, Strict: c.strict}}
	out := &Rendered{}
	out.Method, out.Header = t.method, make(http.Header, len(t.headers)+8)
	u, err := r.url(t)
	if err != nil {
		return nil, err
	}
	out.URL, out.Shown = u.whole, u.shown
	if err = r.headers(t, out.Header); err != nil {
		return nil, err
	}
	if !t.Bodyless() {
		if c.contentType != "" || !t.contentType {
			out.Header.Set("Content-Type", orJSON(c.contentType))
		}
		if out.Body, err = r.body(c, out.Header.Get("Content-Type"), t.group, trigger, raw); err != nil {
			return nil, err
		}
	}
	out.Header.Set(headerID, trigger.ID)
	if replay > 0 {
		out.Header.Set(headerReplay, strconv.FormatInt(replay, 10))
	}
	out.Header.Set("Accept-Encoding", "identity")
	keys, id, body := t.keys, trigger.ID, out.Body
	out.Sign = func(header http.Header, now int64) { sign(header, keys, id, now, body) }
	return out, nil
}

func orJSON(contentType string) string {
	if contentType == "" {
		return jsonType
	}
	return contentType
}

type renderer struct{ env liquid.Env }

// dropped is an error of a template as what becomes of the delivery.
func dropped(err error) error {
	var abort *liquid.AbortError
	var missing *liquid.MissingError
	switch {
	case errors.As(err, &abort):
		return &DroppedError{Aborted, abort.Reason}
	case errors.As(err, &missing):
		return &DroppedError{Missing, missing.Path}
	case liquid.IsError(err):
		return &DroppedError{Template, err.Error()}
	}
	return err
}

func (r *renderer) body(c *Content, contentType, group string, trigger *record.Trigger, raw []byte) ([]byte, error) {
	if c.body == nil {
		return c.payload(trigger, raw, group), nil
	}
	body, err := c.body.Render(r.env)
	if err != nil {
		return nil, dropped(err)
	}
	if mediaType(contentType) == jsonType && !json.Valid(body) {
		return nil, &DroppedError{BadJSON, notJSON}
	}
	if body == nil {
		body = []byte{}
	}
	return body, nil
}

func (r *renderer) headers(t *Target, header http.Header) error {
	for _, h := range t.headers {
		var b strings.Builder
		err := h.template.Parts(r.env, func(text string, _ bool) error {
			b.WriteString(text)
			return nil
		})
		if err != nil {
			return dropped(err)
		}
		if strings.ContainsFunc(b.String(), unicode.IsControl) {
			return &DroppedError{BadHeader, h.name + " holds a control character"}
		}
		header.Set(h.name, b.String())
	}
	return nil
}

// url renders the url. Every output is percent-encoded as one segment of the path or one value of the query.
func (r *renderer) url(t *Target) (rendering, error) {
	if t.fixedURL != nil {
		return *t.fixedURL, nil
	}
	var s segments
	err := t.url.Parts(r.env, func(text string, output bool) error {
		if output {
			return s.output(call.EscapeValue(text))
		}
		return s.text(text)
	})
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return rendering{}, dropped(err)
	}
	whole := s.b.String()
	shown, _, queried := strings.Cut(whole, "?")
	u, err := url.Parse(whole)
	if err != nil || u.Host != t.host {
		return rendering{}, &DroppedError{BadURL, "the rendered url is not one"}
	}
	for _, q := range t.query {
		var b strings.Builder
		err := q.template.Parts(r.env, func(text string, _ bool) error {
			b.WriteString(call.EscapeValue(text))
			return nil
		})
		if err != nil {
			return rendering{}, dropped(err)
		}
		separator := "&"
		if !queried {
			separator, queried = "?", true
		}
		whole += separator + call.EscapeValue(q.name) + "=" + b.String()
	}
	return rendering{whole, shown}, nil
}

// segments builds a url and looks at each segment of its path in which there is an output: whole, it must not be one that means
// another path.
type segments struct {
	b         strings.Builder
	segment   strings.Builder
	templated bool
	query     bool
}

func (s *segments) text(text string) error {
	for _, c := range []byte(text) {
		if !s.query && (c == '/' || c == '?') {
			if err := s.end(); err != nil {
				return err
			}
			s.query = c == '?'
			s.b.WriteByte(c)
			continue
		}
		s.b.WriteByte(c)
		s.segment.WriteByte(c)
	}
	return nil
}

func (s *segments) output(encoded string) error {
	s.templated = true
	s.b.WriteString(encoded)
	s.segment.WriteString(encoded)
	return nil
}

// end ends a segment.
func (s *segments) end() error {
	segment, templated := s.segment.String(), s.templated && !s.query
	s.segment.Reset()
	s.templated = false
	if plain, err := url.PathUnescape(segment); err == nil {
		segment = plain
	}
	if templated && slices.Contains([]string{"", ".", ".."}, segment) {
		return &DroppedError{BadURL, "a segment of the path is " + strconv.Quote(segment)}
	}
	return nil
}
