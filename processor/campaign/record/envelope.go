// Package record holds the shapes of the records that Tripline reads and writes, and the reasons for which one can't
// be read. Strings of a decoded record point into one copy of it.
package record

import (
	"fmt"
	"unicode/utf8"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/value"
)

// MaxUserBytes is how long a user ID may be.
const MaxUserBytes = 512

// Event is one thing a user did.
type Event struct {
	ID, User, Name string // ID: "" if the producer gave none
	Time           int64  // ms since the epoch; the record's own, else its Kafka timestamp
	Properties     value.Properties
	Profile        value.Properties // to be merged into the user's profile before the event is judged; nulls remove
}

// Profile is a change to what is known of a user.
type Profile struct {
	User       string
	Properties value.Properties // to be merged; nulls remove
}

// Reasons for which a record is a dead letter, in the order in which they are looked for.
const (
	Null          = "null"           // no value where an event should be
	TooLarge      = "too_large"      // more than Envelope.MaxBytes
	UTF8          = "utf8"           // key or value is not UTF-8
	JSON          = "json"           // not one JSON object, or nested too deep
	NoUser        = "no_user"        // no user ID, an empty one, no string, or over MaxUserBytes
	NoKey         = "no_key"         // no key where the key is the user
	UserDiffers   = "user_differs"   // user_id is not the key
	NoEvent       = "no_event"       // no event name, an empty one or no string
	BadTime       = "bad_time"       // not a time, or before 1970 or after 9999
	BadProperties = "bad_properties" // properties or profile are no object
	BadTrigger    = "bad_trigger"    // a record in triggers that can't be read
)

// Rejection is why a record can't be read.
type Rejection struct {
	Reason string // one of the reasons above
	Detail string // for a human, at most some hundred bytes
}

func reject(reason, format string, args ...any) *Rejection {
	return &Rejection{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// Envelope is the form in which users' systems write events and profiles.
type Envelope struct {
	KeyIgnored bool // the producer partitions by user in its own way, and only user_id says who it is
	MaxBytes   int  // of a value; 0: any
}

// Event reads a record of an event topic; timestamp is its Kafka timestamp in ms. A null field is one left out. Of
// several things that are wrong with a record the rejection names the first, in the order of the reasons.
func (e Envelope) Event(key, val []byte, timestamp int64) (Event, *Rejection) {
	if len(val) == 0 {
		return Event{}, reject(Null, "the record has no value")
	}
	var f fields
	if r := e.read(&f, key, val); r != nil {
		return Event{}, r
	}
	user, r := e.user(&f, key)
	if r != nil {
		return Event{}, r
	}
	if f.event.Kind() != value.String || f.event.Text() == "" {
		return Event{}, missing(NoEvent, "event", f.event)
	}
	time, r := f.moment(timestamp)
	if r != nil {
		return Event{}, r
	}
	if r := f.objects(); r != nil {
		return Event{}, r
	}
	return Event{
		ID: f.identity(), User: user, Name: f.event.Text(), Time: time,
		Properties: f.properties, Profile: f.profile,
	}, nil
}

// Profile reads a record of the profile topic; erase is an empty value, which asks to forget the user.
func (e Envelope) Profile(key, val []byte) (p Profile, erase bool, r *Rejection) {
	var f fields
	if erase = len(val) == 0; erase {
		if r = validKey(key); r != nil {
			return Profile{}, false, r
		}
	} else if r = e.read(&f, key, val); r != nil {
		return Profile{}, false, r
	}
	if e.KeyIgnored && f.user.IsNil() {
		f.user = value.OfString(string(key)) // the topic is compacted: only the key can name the user of a tombstone
	}
	if p.User, r = e.user(&f, key); r != nil || erase {
		return p, erase && r == nil, r
	}
	if _, r = f.moment(0); r != nil {
		return Profile{}, false, r
	}
	if f.propertiesKind == value.Nil {
		return Profile{}, false, reject(BadProperties, "properties is missing")
	}
	if r = f.objects(); r != nil {
		return Profile{}, false, r
	}
	p.Properties = f.properties
	return p, false, nil
}

// read checks a record's bytes and takes its fields out.
func (e Envelope) read(f *fields, key, val []byte) *Rejection {
	if e.MaxBytes > 0 && len(val) > e.MaxBytes {
		return reject(TooLarge, "the value has %d bytes, more than max_record_bytes (%d)", len(val), e.MaxBytes)
	}
	if !utf8.Valid(val) {
		return reject(UTF8, "the value is not valid UTF-8")
	}
	if !e.KeyIgnored {
		if r := validKey(key); r != nil {
			return r
		}
	}
	if err := f.read(string(val)); err != nil {
		return reject(JSON, "%v", err)
	}
	return nil
}

func validKey(key []byte) *Rejection {
	if !utf8.Valid(key) {
		return reject(UTF8, "the key is not valid UTF-8")
	}
	return nil
}

// user finds whose record it is.
func (e Envelope) user(f *fields, key []byte) (string, *Rejection) {
	given := !f.user.IsNil()
	user := f.user.Text()
	switch {
	case given && f.user.Kind() != value.String:
		return "", missing(NoUser, "user_id", f.user)
	case !given && (e.KeyIgnored || key == nil):
		return "", reject(NoUser, "the record names no user")
	case !given:
		user = string(key)
	}
	switch {
	case user == "":
		return "", reject(NoUser, "the user ID is empty")
	case len(user) > MaxUserBytes:
		return "", reject(NoUser, "the user ID has %d bytes, more than %d", len(user), MaxUserBytes)
	case e.KeyIgnored:
		return user, nil
	case key == nil:
		return "", reject(NoKey, "the record has no key; it must be the user ID, or key: ignored be set")
	case user != string(key):
		return "", reject(UserDiffers, "user_id is %s, the key %s", quote(user), quote(string(key)))
	}
	return user, nil
}

func missing(reason, field string, v value.Value) *Rejection {
	switch v.Kind() {
	case value.Nil:
		return reject(reason, "%s is missing", field)
	case value.String:
		return reject(reason, "%s is empty", field)
	}
	return reject(reason, "%s is %v, not a string", field, v.Kind())
}

// quote shows the beginning of a text.
func quote(s string) string {
	if len(s) > 64 {
		return fmt.Sprintf("%q…", s[:64])
	}
	return fmt.Sprintf("%q", s)
}

// fields are what a record says, not yet judged: of duplicate keys the last counts.
type fields struct {
	id, user, event, time       value.Value
	properties, profile         value.Properties
	propertiesKind, profileKind value.Kind
}

func (f *fields) read(text string) error {
	r := value.NewReader(text)
	for r.EnterObject(); ; {
		name, ok := r.NextMember()
		if !ok {
			return r.End()
		}
		switch name {
		case "id":
			f.id = r.Value()
		case "user_id":
			f.user = r.Value()
		case "event":
			f.event = r.Value()
		case "time":
			f.time = r.Value()
		case "properties":
			f.properties, f.propertiesKind = object(&r)
		case "profile":
			f.profile, f.profileKind = object(&r)
		default:
			r.Skip()
		}
	}
}

// object reads the properties of an object; of any other value only its kind.
func object(r *value.Reader) (value.Properties, value.Kind) {
	kind := r.Peek()
	if kind == value.Object {
		return r.Properties(), kind
	}
	r.Skip()
	return nil, kind
}

// identity is the event's id: a string, or a number's digits. Anything else is none.
func (f *fields) identity() string {
	switch f.id.Kind() {
	case value.String, value.Number, value.Digits:
		return f.id.Text()
	}
	return ""
}

// moment is the record's time, or if it has none its Kafka timestamp.
func (f *fields) moment(timestamp int64) (int64, *Rejection) {
	switch f.time.Kind() {
	case value.Nil:
		if timestamp < 0 || timestamp > calendar.MaxTime {
			return 0, reject(BadTime, "the record has no time, and its timestamp %d is not from 1970 to 9999", timestamp)
		}
		return timestamp, nil
	case value.String:
		ms, err := calendar.ParseTime(f.time.Text())
		if err != nil {
			return 0, reject(BadTime, "time: %v", err)
		}
		return ms, nil
	case value.Number, value.Digits:
		ms, ok := f.time.Floor(0)
		if !ok || ms < 0 || ms > calendar.MaxTime {
			return 0, reject(BadTime, "time %s is not in milliseconds from 1970 to 9999", quote(f.time.Text()))
		}
		return ms, nil
	}
	return 0, reject(BadTime, "time is %v, not a string or a number", f.time.Kind())
}

// objects checks that properties and profile are objects where they are there.
func (f *fields) objects() *Rejection {
	if k := f.propertiesKind; k != value.Object && k != value.Nil {
		return reject(BadProperties, "properties is %v, not an object", k)
	}
	if k := f.profileKind; k != value.Object && k != value.Nil {
		return reject(BadProperties, "profile is %v, not an object", k)
	}
	return nil
}
