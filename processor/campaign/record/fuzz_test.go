package record

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/value"
)

var reasons = []string{ReasonNull, ReasonTooLarge, ReasonUTF8, ReasonJSON, ReasonNoUser, ReasonNoKey, ReasonUserDiffers,
	ReasonNoEvent, ReasonBadTime, ReasonBadProperties}

// checkRejection checks what holds for every rejection, by reading the record with encoding/json.
func checkRejection(t *testing.T, r *Rejection, key, val []byte) {
	t.Helper()
	known := false
	for _, reason := range reasons {
		known = known || r.Reason == reason
	}
	if !known || r.Detail == "" || len(r.Detail) > 1000 || !utf8.ValidString(r.Detail) {
		t.Fatalf("%q: %q, detail %q", val, r.Reason, r.Detail)
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(val, &object); r.Reason == ReasonJSON && err == nil && object != nil && !strings.Contains(r.Detail, "deeper") {
		t.Fatalf("%q is a JSON object, but: %s", val, r.Detail)
	} else if err != nil && r.Reason != ReasonJSON && r.Reason != ReasonUTF8 && r.Reason != ReasonNull && r.Reason != ReasonTooLarge && len(val) > 0 {
		t.Fatalf("%q is no JSON object, but %s", val, r.Reason)
	}
	if r.Reason == ReasonUTF8 && utf8.Valid(key) && utf8.Valid(val) {
		t.Fatalf("%q and %q are UTF-8", key, val)
	}
}

// written is an event as a producer would write it.
func written(e Event) []byte {
	b := []byte(`{"id":`)
	b = value.AppendString(b, e.ID)
	b = value.AppendString(append(b, `,"user_id":`...), e.User)
	b = value.AppendString(append(b, `,"event":`...), e.Name)
	b = append(append(b, `,"time":"`...), calendar.FormatTime(e.Time)...)
	b = e.Properties.Append(append(b, `","properties":`...))
	b = e.Profile.Append(append(b, `,"profile":`...))
	return append(b, '}')
}

func FuzzEvent(f *testing.F) {
	for _, val := range []string{
		reference, ``, `{"event":"A"}`, `{"event":"A","time":1764000000123.5,"id":7,"profile":{"a":null}}`, `{"user_id":"v"}`,
		`{"event":"A","properties":[1,2]}`, `{"event":"A","properties":{"a":{"b":[1,{"c":"\ud800"}]},"a":2}}`, `[]`, `{"event":"A"}}`,
		`{"event":"A","time":"2016-12-31T23:59:60Z"}`, "{\"event\":\"\xff\"}", strings.Repeat("[", 100),
	} {
		f.Add([]byte("u-123456"), []byte(val), false)
		f.Add([]byte(nil), []byte(val), true)
	}
	f.Fuzz(func(t *testing.T, key, val []byte, ignored bool) {
		envelope := Envelope{KeyIgnored: ignored, MaxBytes: 1 << 16}
		e, r := envelope.Event(key, val, 1764000000999)
		var room Room
		for range 2 { // the second time in the memory of the first
			if into, bad := envelope.EventInto(&room, key, val, 1764000000999); !reflect.DeepEqual(into, e) || !reflect.DeepEqual(bad, r) {
				t.Fatalf("%q is %+v, %+v, read into a room %+v, %+v", val, e, r, into, bad)
			}
		}
		if r != nil {
			checkRejection(t, r, key, val)
			return
		}
		if e.User == "" || len(e.User) > MaxUserBytes || e.Name == "" || e.Time < 0 || e.Time > calendar.MaxTime {
			t.Fatalf("%q is the event %+v", val, e)
		}
		if !ignored && e.User != string(key) {
			t.Fatalf("%q with key %q is of user %q", val, key, e.User)
		}
		again, r := Envelope{KeyIgnored: ignored}.Event(key, written(e), 0)
		if r != nil || !reflect.DeepEqual(again, e) {
			t.Fatalf("%q is %+v, written again %+v, %+v", val, e, again, r)
		}
	})
}

func FuzzProfile(f *testing.F) {
	for _, val := range []string{``, `{"properties":{"a":null,"b":1},"time":"2026-11-24T10:44:00Z"}`, `{"properties":{}}`, `{}`, `null`, `{"properties":[]}`} {
		f.Add([]byte("u"), []byte(val), false)
		f.Add([]byte("u"), []byte(val), true)
	}
	f.Fuzz(func(t *testing.T, key, val []byte, ignored bool) {
		p, erase, r := Envelope{KeyIgnored: ignored, MaxBytes: 1 << 16}.Profile(key, val)
		if r != nil {
			checkRejection(t, r, key, val)
			return
		}
		if p.User == "" || len(p.User) > MaxUserBytes || !utf8.ValidString(p.User) || erase != (len(val) == 0) {
			t.Fatalf("%q is %+v, erase %v", val, p, erase)
		}
		if erase {
			return
		}
		text := append(p.Properties.Append([]byte(`{"properties":`)), '}')
		text = append(value.AppendString(append(text[:len(text)-1], `,"user_id":`...), p.User), '}')
		again, _, r := Envelope{KeyIgnored: true}.Profile(key, text)
		if r != nil || !reflect.DeepEqual(again, p) {
			t.Fatalf("%q is %+v, written again %+v, %+v", val, p, again, r)
		}
	})
}

func FuzzParseTrigger(f *testing.F) {
	trigger := sample(f)
	f.Add(trigger.Append(nil, 0))
	f.Add([]byte(`{"id":"trg_1","campaign":"c","user_id":"u","time":"1969-12-31T23:59:59.999Z","endpoint":"e","events":[{}],"truncated":true}`))
	f.Add([]byte(`{"events":[{"event":"A","time":"x"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := ParseTrigger(text)
		if err != nil {
			return
		}
		if got.ID == "" || got.Campaign == "" || got.User == "" || got.Endpoint == "" {
			t.Fatalf("%q is %+v", text, got)
		}
		got.EmittedAt = max(got.EmittedAt, got.Time)
		again, err := ParseTrigger(got.Append(nil, got.EmittedAt))
		if len(got.Events) > MaxEvents {
			return
		}
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("%q is %+v, written again %+v, %v", text, got, again, err)
		}
	})
}
