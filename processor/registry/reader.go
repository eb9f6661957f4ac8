package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/value"
	"github.com/tripline/tripline/processor/schema"
)

// Reader reads records of the input topics: their bytes by a schema where there is one, what that gives by the envelope.
type Reader struct {
	Envelope record.Envelope
	Registry *Registry // nil: there is none
}

// Ready says whether a record can be read now. If not, its schemas are asked for; asked is closed when an answer has come that may help, and
// nil while the registry is not asked, since it did not answer a moment ago.
func (r *Reader) Ready(k *kgo.Record) (ready bool, asked <-chan struct{}) {
	if r.Registry == nil {
		return true, nil
	}
	ready = true
	for _, id := range r.schemas(k) {
		if e, known := r.Registry.look(id); !known {
			ready = false
			if e.asked != nil {
				asked = e.asked
			}
		}
	}
	return ready, asked
}

// schemas are those that a record needs.
func (r *Reader) schemas(k *kgo.Record) (list []ref) {
	if id, _, ok := split(k.Value, k.Headers, valueHeader); ok {
		list = append(list, id)
	}
	if id, _, ok := split(k.Key, k.Headers, keyHeader); ok && !r.Envelope.KeyIgnored {
		list = append(list, id)
	}
	return list
}

// Await returns when a record is Ready. It tries once: an error says why the registry does not answer.
func (r *Reader) Await(ctx context.Context, k *kgo.Record) error {
	for tries := 0; ; tries++ {
		ready, asked := r.Ready(k)
		if ready {
			return nil
		}
		if asked == nil || tries == 3 {
			return errors.New(cmp.Or(r.Waits(k), errNotReady.Error()))
		}
		select {
		case <-asked:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Waits says what a record that is not Ready waits for since the registry does not answer, without secrets; "" if it only has yet to.
func (r *Reader) Waits(k *kgo.Record) string {
	for _, id := range r.schemas(k) {
		if e, ok := r.Registry.known(id); !ok && e.fault != "" {
			return fmt.Sprintf("schema %s: the schema registry at %s does not answer: %s", id, r.Registry.shown, e.fault)
		}
	}
	return ""
}

// errNotReady is of a record that was read before it was Ready.
var errNotReady = errors.New("the record's schema is not there yet")

// Event reads a record of an event topic that is Ready. An error says that it was not.
func (r *Reader) Event(k *kgo.Record) (record.Event, *record.Rejection, error) {
	key, text, bad, err := r.both(k, r.Envelope.Format.Paths())
	if bad != nil || err != nil {
		return record.Event{}, bad, err
	}
	e, bad := r.Envelope.Event(key, text, k.Timestamp.UnixMilli(), r.headers(k)...)
	return e, bad, nil
}

// EventInto is Event in a room; see Envelope.EventInto.
func (r *Reader) EventInto(room *record.Room, k *kgo.Record) (record.Event, *record.Rejection, error) {
	key, text, bad, err := r.both(k, r.Envelope.Format.Paths())
	if bad != nil || err != nil {
		return record.Event{}, bad, err
	}
	e, bad := r.Envelope.EventInto(room, key, text, k.Timestamp.UnixMilli(), r.headers(k)...)
	return e, bad, nil
}

// Profile reads a record of the profile topic that is Ready. An error says that it was not.
func (r *Reader) Profile(k *kgo.Record) (p record.Profile, erase bool, bad *record.Rejection, err error) {
	key, text, bad, err := r.both(k, (&record.Format{}).Paths())
	if bad != nil || err != nil {
		return record.Profile{}, false, bad, err
	}
	p, erase, bad = r.Envelope.Profile(key, text)
	return p, erase, bad, nil
}

// JSON is a record's value as JSON; a plain one is as it is.
func (r *Reader) JSON(k *kgo.Record) ([]byte, *record.Rejection, error) {
	return r.json(k, r.Envelope.Format.Paths())
}

// both are a record's key and value as the envelope reads them.
func (r *Reader) both(k *kgo.Record, paths []string) (key, text []byte, bad *record.Rejection, err error) {
	text, bad, err = r.json(k, paths)
	if key = k.Key; bad == nil && err == nil && r.Registry != nil && !r.Envelope.KeyIgnored {
		key, bad, err = r.user(k)
	}
	return key, text, bad, err
}

func (r *Reader) json(k *kgo.Record, paths []string) ([]byte, *record.Rejection, error) {
	limit := r.Envelope.MaxBytes
	if r.Registry == nil || limit > 0 && len(k.Value) > limit {
		return k.Value, nil, nil // the envelope says what is wrong with it
	}
	id, data, ok := split(k.Value, k.Headers, valueHeader)
	if !ok || len(k.Value) == 0 {
		return k.Value, nil, nil
	}
	return r.decoded(id, data, paths)
}

// user is a record's key without its schema.
func (r *Reader) user(k *kgo.Record) ([]byte, *record.Rejection, error) {
	id, data, ok := split(k.Key, k.Headers, keyHeader)
	if !ok || len(k.Key) > 2*record.MaxUserBytes {
		return k.Key, nil, nil
	}
	text, bad, err := r.decoded(id, data, nil)
	if err != nil {
		return nil, nil, err
	}
	if bad != nil {
		return nil, &record.Rejection{Reason: record.ReasonNoUser, Detail: "the key: " + bad.Detail}, nil
	}
	v, err := value.Parse(text)
	if members := v.Fields(); err == nil && len(members) == 1 {
		v = members[0].Value
	}
	switch {
	case err == nil && v.Kind() == value.String:
		return []byte(v.Text()), nil, nil
	case err == nil && v.Kind() == value.Number:
		return v.Append(nil), nil, nil
	case err == nil && v.IsNil():
		return nil, nil, nil
	}
	return nil, &record.Rejection{Reason: record.ReasonNoUser, Detail: fmt.Sprintf("the key is %.100s; a key that is written with a schema is "+
		"the user ID if it is a string, a number, or a record of one of them; else say key: ignored", text)}, nil
}

// decoded is what was written with a schema as JSON.
func (r *Reader) decoded(id ref, data []byte, paths []string) ([]byte, *record.Rejection, error) {
	e, ready := r.Registry.known(id)
	switch {
	case !ready:
		return nil, nil, errNotReady
	case e.refuse != "":
		return nil, &record.Rejection{Reason: record.ReasonJSON, Detail: e.refuse}, nil
	}
	limit := r.Envelope.MaxBytes
	text, err := e.schema.JSON(data, paths, limit)
	if err == nil && len(text) == 0 {
		err = errors.New("nothing follows its header") // which is no tombstone
	}
	if err != nil {
		reason := record.ReasonJSON
		switch {
		case errors.Is(err, schema.ErrTooLarge):
			reason, err = record.ReasonTooLarge, fmt.Errorf("as JSON it has more than max_record_bytes (%d)", limit)
		case errors.Is(err, schema.ErrUTF8):
			reason = record.ReasonUTF8
		}
		return nil, &record.Rejection{Reason: reason, Detail: fmt.Sprintf("schema %s: %v", id, err)}, nil
	}
	return text, nil, nil
}

// known is an entry that has been settled, even if it is time to ask again.
func (r *Registry) known(id ref) (e entry, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at := r.entries[id]; at != nil {
		return *at, at.known
	}
	return entry{}, false
}

// headers are a record's headers where the envelope needs them.
func (r *Reader) headers(k *kgo.Record) []record.Header {
	if !r.Envelope.Format.Headers() {
		return nil
	}
	headers := make([]record.Header, len(k.Headers))
	for i, h := range k.Headers {
		headers[i] = record.Header{Name: h.Key, Value: h.Value}
	}
	return headers
}
