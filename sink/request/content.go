package request

import (
	"cmp"
	"encoding/json"
	"maps"
	"mime"
	"slices"
	"strings"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/value"
	"github.com/tripline/tripline/sink/liquid"
)

// Content is what a request takes from its campaign's delivery, read. It is immutable.
type Content struct {
	kind        string           // of a body that is no template
	body        *liquid.Template // nil: that of kind
	keyValues   []byte           // a JSON object; nil: none
	contentType string           // "": application/json, unless the endpoint's headers say otherwise
	strict      bool

	// Expires is how long after its trigger's time a delivery is dropped, in ms; 0: never.
	Expires int64
}

const jsonType = "application/json"

// NewContent reads one entry of a campaign's `deliver`. With problems the content is nil.
func NewContent(d campaign.Delivery) (*Content, []Problem) {
	c := &Content{kind: d.Payload, contentType: d.ContentType, strict: d.Strict}
	var problems []Problem
	problem := func(path, message string) { problems = append(problems, Problem{Path: path, Message: message}) }
	if d.Expires != nil {
		c.Expires = int64(*d.Expires)
	}
	switch d.Payload {
	case "", standard, cleverTap:
	case cloudEvents:
		c.contentType = cmp.Or(d.ContentType, cloudEventsType)
	case ownBody:
		if d.Body == "" {
			problem("payload", "of the payload body the text is missing: body: '…'")
		}
	default:
		problem("payload", "unknown payload "+d.Payload+": expected "+strings.Join(Payloads, ", ")+" or "+ownBody)
	}
	if d.ContentType != "" {
		if _, _, err := mime.ParseMediaType(d.ContentType); err != nil || !strings.Contains(d.ContentType, "/") {
			problem("content_type", "expected a media type as in text/plain")
		}
	}
	if len(d.KeyValues) > 0 {
		c.keyValues = keyValues(d.KeyValues)
	}
	if d.Body != "" {
		var wrong []*liquid.Error
		c.body, wrong = liquid.Parse(d.Body, scope)
		problems = append(problems, located("body", wrong)...)
		if d.Payload == cleverTap || d.Payload == cloudEvents { // standard is the default, which a body replaces whether it is named or not
			problem("payload", "a body of your own takes the payload's place: leave one of them out")
		}
		if c.keyValues != nil {
			problem("key_values", "belong to the payloads "+strings.Join(Payloads, ", ")+", and would not be sent with a body of your own")
		}
		if c.body != nil {
			problems = append(problems, c.tried(d.Body)...)
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return c, nil
}

// Properties are those of events that the content's template names, and whether it may ask for others too.
func (c *Content) Properties() (names []string, others bool) {
	if c.body == nil {
		return nil, false
	}
	return c.body.Members(notEvents...)
}

func keyValues(all map[string]string) []byte {
	dst := []byte{'{'}
	for i, name := range slices.Sorted(maps.Keys(all)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(value.AppendString(dst, name), ':')
		dst = value.AppendString(dst, all[name])
	}
	return append(dst, '}')
}

// tried renders a template for a trigger that has nothing, to find what passes a bound with any, and text that is not the JSON
// that it is said to be.
func (c *Content) tried(source string) []Problem {
	empty := &record.Trigger{ID: "trg_sample", Campaign: "sample", User: "sample", Time: 0, EmittedAt: 0}
	_, err := c.body.Render(liquid.Env{Look: look(empty), Now: empty.EmittedAt})
	if failed, ok := err.(*liquid.Error); ok && failed.Certain {
		return located("body", []*liquid.Error{failed})
	}
	if c.body.Constant() && mediaType(c.contentType) == jsonType && !json.Valid([]byte(source)) {
		return []Problem{{Path: "body", Message: notJSON}}
	}
	return nil
}

const notJSON = "the body is not JSON; for another format set content_type, as in content_type: text/plain"

// mediaType is a content type without its parameters.
func mediaType(contentType string) string {
	if contentType == "" {
		return jsonType
	}
	t, _, _ := mime.ParseMediaType(contentType)
	return t
}
