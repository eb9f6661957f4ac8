// Package record holds the shapes of the records that Tripline reads and writes, and the reasons for which one can't
// be read. Strings of a decoded record point into one copy of it.
package record

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tripline/tripline/processor/campaign/value"
)

const (
	// MaxUserBytes is how long a user ID may be.
	MaxUserBytes = 512
	// MaxProfileBytes is how large a user's profile may be, as JSON without spaces.
	MaxProfileBytes = 256 << 10
)

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
	ReasonNull          = "null"           // no value where an event should be
	ReasonTooLarge      = "too_large"      // more than Envelope.MaxBytes, or it would make a profile of more than MaxProfileBytes
	ReasonUTF8          = "utf8"           // key or value is not UTF-8
	ReasonJSON          = "json"           // not one JSON object, or nested too deep
	ReasonNoUser        = "no_user"        // no user ID, an empty one, no string, or over MaxUserBytes
	ReasonNoKey         = "no_key"         // no key where the key is the user
	ReasonUserDiffers   = "user_differs"   // user_id is not the key
	ReasonNoEvent       = "no_event"       // no event name, an empty one or no string
	ReasonBadTime       = "bad_time"       // not a time, or before 1970 or after 9999
	ReasonBadProperties = "bad_properties" // properties or profile are no object
	ReasonBadTrigger    = "bad_trigger"    // a record in triggers that can't be read
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
	Format     Format
}

// MergeProfile lays a patch over a user's profile. It refuses one that would make the profile larger than MaxProfileBytes, unless it was so
// before and shrinks: what takes properties away is always heard.
func MergeProfile(profile, patch value.Properties) (value.Properties, *Rejection) {
	merged := profile.Merge(patch)
	if size := merged.Bytes(MaxProfileBytes); size > MaxProfileBytes && size > profile.Bytes(MaxProfileBytes) {
		return profile, reject(ReasonTooLarge, "the user's profile would have %d bytes, more than %d", size, MaxProfileBytes)
	}
	return merged, nil
}

// Event reads a record of an event topic; timestamp is its Kafka timestamp in ms. A null field is one left out. Of
// several things that are wrong with a record the rejection names the first, in the order of the reasons. Headers are given
// where Format asks for them. An event without a name is none: it only says who the user is, in Profile.
func (e Envelope) Event(key, val []byte, timestamp int64, headers ...Header) (Event, *Rejection) {
	return e.one(&fields{}, key, val, timestamp, headers)
}

// Room is the memory of an event that is read and let go of.
type Room struct {
	fields     fields
	properties value.Properties
}

// Forget lets go of the last event, and keeps the room.
func (room *Room) Forget() {
	clear(room.properties[:cap(room.properties)])
	room.fields = fields{}
}

// EventInto is Event without a copy: what it returns holds until the next one takes the same room, and only as long as
// nobody changes key or val.
func (e *Envelope) EventInto(room *Room, key, val []byte, timestamp int64, headers ...Header) (Event, *Rejection) {
	if room.properties == nil {
		room.properties = make(value.Properties, 0, 16)
	}
	f := &room.fields
	*f = fields{borrow: true, room: room.properties[:0]}
	ev, r := e.one(f, key, val, timestamp, headers)
	if cap(f.properties) > cap(room.properties) { // there was no place for them
		room.properties = f.properties
	}
	return ev, r
}

func (e *Envelope) one(f *fields, key, val []byte, timestamp int64, headers []Header) (Event, *Rejection) {
	if len(val) == 0 && (!e.Format.Headers() || cloudHeaders(headers) == nil) {
		return Event{}, reject(ReasonNull, "the record has no value")
	}
	if r := e.read(f, key, val, headers); r != nil {
		return Event{}, r
	}
	return e.event(f, key, timestamp)
}

// Line is Event for a line of a file in Tripline's own form, which names the user itself. Strings of the event point into the line, and its
// properties stand in room, which is returned as far as it is taken up.
func (e Envelope) Line(line string, timestamp int64, room value.Properties) (Event, value.Properties, *Rejection) {
	f := fields{room: room}
	switch {
	case len(line) == 0:
		return Event{}, room, reject(ReasonNull, "the record has no value")
	case e.MaxBytes > 0 && len(line) > e.MaxBytes:
		return Event{}, room, e.tooLarge(len(line))
	case !utf8.ValidString(line):
		return Event{}, room, reject(ReasonUTF8, "the value is not valid UTF-8")
	}
	if err := f.read(line); err != nil {
		return Event{}, room, reject(ReasonJSON, "%v", err)
	}
	e.KeyIgnored = true
	ev, r := e.event(&f, nil, timestamp)
	return ev, f.room, r
}

// event judges the fields of a record.
func (e *Envelope) event(f *fields, key []byte, timestamp int64) (Event, *Rejection) {
	user, r := e.user(f, key)
	if r != nil {
		return Event{}, r
	}
	if f.refused != nil {
		return Event{}, f.refused
	}
	if !f.identifies && (f.event.Kind() != value.String || f.event.Text() == "") {
		return Event{}, missing(ReasonNoEvent, "event", f.event)
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

// Profile reads a record of the profile topic; erase is an empty value, which asks to forget the user. With KeyIgnored
// the key still names the user where user_id does not: the topic is compacted, and a tombstone is nothing but a key.
func (e Envelope) Profile(key, val []byte) (p Profile, erase bool, r *Rejection) {
	var f fields
	e.Format = Format{}
	if r = e.read(&f, key, val, nil); r != nil {
		return Profile{}, false, r
	}
	if e.KeyIgnored && f.user.IsNil() {
		e.KeyIgnored = false
		if !utf8.Valid(key) {
			return Profile{}, false, reject(ReasonUTF8, "the key is not valid UTF-8")
		}
	}
	user, r := e.user(&f, key)
	if r != nil {
		return Profile{}, false, r
	}
	if len(val) == 0 {
		return Profile{User: user}, true, nil
	}
	if _, r = f.moment(0); r != nil {
		return Profile{}, false, r
	}
	if f.propertiesKind == value.Nil {
		return Profile{}, false, reject(ReasonBadProperties, "properties is missing")
	}
	if r = f.objects(); r != nil {
		return Profile{}, false, r
	}
	return Profile{User: user, Properties: f.properties}, false, nil
}

// read checks a record's bytes and takes the fields of a value that is not empty.
func (e *Envelope) read(f *fields, key, val []byte, headers []Header) *Rejection {
	if e.MaxBytes > 0 && len(val) > e.MaxBytes {
		return e.tooLarge(len(val))
	}
	if !utf8.Valid(val) {
		return reject(ReasonUTF8, "the value is not valid UTF-8")
	}
	if !e.KeyIgnored && !utf8.Valid(key) {
		return reject(ReasonUTF8, "the key is not valid UTF-8")
	}
	if len(val) == 0 && len(headers) == 0 {
		return nil
	}
	text := value.Borrow(val)
	if f.key = value.Borrow(key); !f.borrow {
		var both strings.Builder
		both.Grow(len(val) + len(key))
		both.Write(val)
		both.Write(key)
		text, f.key = both.String()[:len(val)], both.String()[len(val):]
	}
	var err error
	if f.refused, err = e.Format.read(f, text, headers); err != nil {
		return reject(ReasonJSON, "%v", err)
	}
	return nil
}

func (e *Envelope) tooLarge(bytes int) *Rejection {
	return reject(ReasonTooLarge, "the value has %d bytes, more than max_record_bytes (%d)", bytes, e.MaxBytes)
}

// user finds whose record it is.
func (e *Envelope) user(f *fields, key []byte) (string, *Rejection) {
	given := !f.user.IsNil()
	user := f.user.Text()
	switch {
	case given && f.user.Kind() != value.String:
		return "", missing(ReasonNoUser, "user_id", f.user)
	case !given && (e.KeyIgnored || key == nil):
		return "", reject(ReasonNoUser, "the record names no user")
	case !given:
		if user = f.key; user == "" {
			user = string(key) // of a record without a value
		}
	}
	switch {
	case user == "":
		return "", reject(ReasonNoUser, "the user ID is empty")
	case len(user) > MaxUserBytes:
		return "", reject(ReasonNoUser, "the user ID has %d bytes, more than %d", len(user), MaxUserBytes)
	case e.KeyIgnored:
		return user, nil
	case key == nil:
		return "", reject(ReasonNoKey, "the record has no key; it must be the user ID, or key: ignored be set")
	case user != string(key):
		return "", reject(ReasonUserDiffers, "user_id is %s, the key %s", quote(user), quote(string(key)))
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
