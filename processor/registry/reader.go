package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/schema"
)

// Reader reads records of the input topics: their bytes by a schema where there is one, what that gives by the envelope.
type Reader struct {
	Envelope record.Envelope
	Registry *Registry // nil: there is none
}

// Ready says whether a record can be read now. If not, its schema is asked for; asked is closed when an answer has come that may help, and nil
// while the registry is not asked, since it did not answer a moment ago.
func (r *Registry) Ready(value []byte) (ready bool, asked <-chan struct{}) {
	if r == nil {
		return true, nil
	}
	id, _, ok := split(value)
	if !ok {
		return true, nil
	}
	e, ready := r.look(id)
	return ready, e.asked
}

// Await returns when a record is Ready. It tries once: an error says why the registry does not answer.
func (r *Registry) Await(ctx context.Context, value []byte) error {
	for tries := 0; ; tries++ {
		ready, asked := r.Ready(value)
		if ready {
			return nil
		}
		if asked == nil || tries == 2 {
			id, _, _ := split(value)
			e, _ := r.look(id)
			return fmt.Errorf("schema %d: the schema registry at %s does not answer: %s", id, r.shown, e.fault)
		}
		select {
		case <-asked:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// errNotReady is of a record that was read before it was Ready.
var errNotReady = errors.New("the record's schema is not there yet")

// Event reads a record of an event topic that is Ready. An error says that it was not.
func (r *Reader) Event(k *kgo.Record) (record.Event, *record.Rejection, error) {
	text, bad, err := r.json(k, r.Envelope.Format.Paths())
	if bad != nil || err != nil {
		return record.Event{}, bad, err
	}
	e, bad := r.Envelope.Event(k.Key, text, k.Timestamp.UnixMilli(), r.headers(k)...)
	return e, bad, nil
}

// EventInto is Event in a room; see Envelope.EventInto.
func (r *Reader) EventInto(room *record.Room, k *kgo.Record) (record.Event, *record.Rejection, error) {
	text, bad, err := r.json(k, r.Envelope.Format.Paths())
	if bad != nil || err != nil {
		return record.Event{}, bad, err
	}
	e, bad := r.Envelope.EventInto(room, k.Key, text, k.Timestamp.UnixMilli(), r.headers(k)...)
	return e, bad, nil
}

// Profile reads a record of the profile topic that is Ready. An error says that it was not.
func (r *Reader) Profile(k *kgo.Record) (p record.Profile, erase bool, bad *record.Rejection, err error) {
	text, bad, err := r.json(k, (&record.Format{}).Paths())
	if bad != nil || err != nil {
		return record.Profile{}, false, bad, err
	}
	p, erase, bad = r.Envelope.Profile(k.Key, text)
	return p, erase, bad, nil
}

// JSON is a record's value as JSON; a plain one is as it is.
func (r *Reader) JSON(k *kgo.Record) ([]byte, *record.Rejection, error) {
	return r.json(k, r.Envelope.Format.Paths())
}

func (r *Reader) json(k *kgo.Record, paths []string) ([]byte, *record.Rejection, error) {
	id, data, ok := split(k.Value)
	limit := r.Envelope.MaxBytes
	if r.Registry == nil || !ok || limit > 0 && len(k.Value) > limit {
		return k.Value, nil, nil // the envelope says what is wrong with it
	}
	e, ready := r.Registry.known(id)
	switch {
	case !ready:
		return nil, nil, errNotReady
	case e.refuse != "":
		return nil, &record.Rejection{Reason: record.ReasonJSON, Detail: e.refuse}, nil
	}
	if !r.Envelope.KeyIgnored {
		if _, _, coded := split(k.Key); coded {
			return nil, &record.Rejection{Reason: record.ReasonNoUser, Detail: "the key is written with a schema; it must be the plain user ID, or key: ignored be set"}, nil
		}
	}
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
		return nil, &record.Rejection{Reason: reason, Detail: fmt.Sprintf("schema %d: %v", id, err)}, nil
	}
	return text, nil, nil
}

// known is an entry that has been settled, even if it is time to ask again.
func (r *Registry) known(id int) (e entry, ok bool) {
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
