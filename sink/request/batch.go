package request

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/tripline/tripline/processor/campaign/record"
)

// cloudEventsBatch is the media type of CloudEvents' batched mode.
const cloudEventsBatch = "application/cloudevents-batch+json"

// BatchID is the webhook-id of a request for several triggers: it tells whether two have the same ones.
func BatchID(triggers []string) string {
	sorted := slices.Sorted(slices.Values(triggers))
	sum := sha256.Sum256([]byte(strings.Join(sorted, "\n")))
	return "bat_" + hex.EncodeToString(sum[:16])
}

// JSON reports whether bodies are JSON, so that several of them can be one array.
func (c *Content) JSON() bool {
	t := mediaType(c.contentType)
	return t == jsonType || strings.HasSuffix(t, "+json")
}

// NoBatch is why deliveries of a content cannot go together; "": they can.
func (c *Content) NoBatch() string {
	if c.JSON() {
		return ""
	}
	return "a batch is a JSON array of bodies, and these are " + c.contentType + ": send them to an endpoint without `batch`, or make them JSON"
}

// Company tells apart what cannot go in one request: deliveries go together where the text is the same.
func (r *Rendered) Company() string {
	var b strings.Builder
	b.WriteString(r.Method + " " + r.URL)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		if name != http.CanonicalHeaderKey(headerID) {
			b.WriteString("\n" + name + ": " + strings.Join(r.Header[name], "\n"))
		}
	}
	return b.String()
}

// RenderMember renders a delivery that goes with others. A body that is no JSON drops it.
func RenderMember(t *Target, c *Content, trigger *record.Trigger, raw []byte, replay int64) (*Rendered, error) {
	r, err := Render(t, c, trigger, raw, replay)
	if err == nil && c.body != nil && !json.Valid(r.Body) {
		return nil, &DroppedError{BadJSON, notJSON}
	}
	return r, err
}

// Join makes one request of those of deliveries of one campaign that go together: the body is the JSON array of theirs, or of `clevertap`
// one object with the profiles of all.
func Join(t *Target, c *Content, campaign, id string, members []*Rendered) *Rendered {
	first := members[0]
	out := &Rendered{Request: first.Request, Shown: first.Shown}
	out.Header = first.Header.Clone()
	out.Header.Set(headerID, id)
	head, tail := []byte{'['}, []byte{']'}
	cut, end := 0, 0
	if c.body == nil && c.kind == cleverTap {
		head, tail = c.appendCleverTapHead(nil, campaign), []byte(cleverTapTail)
		cut, end = len(head), len(cleverTapTail)
	}
	size := len(head) + len(tail)
	for _, m := range members {
		size += len(m.Body) + 1
	}
	body := append(make([]byte, 0, size), head...)
	for i, m := range members {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, m.Body[cut:len(m.Body)-end]...)
	}
	out.Body = append(body, tail...)
	if mediaType(out.Header.Get("content-type")) == cloudEventsType {
		out.Header.Set("content-type", cloudEventsBatch)
	}
	keys, signed := t.keys, out.Body
	out.Sign = func(header http.Header, now int64) { sign(header, keys, id, now, signed) }
	return out
}
