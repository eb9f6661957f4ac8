package record

import (
	"strings"

	"github.com/tripline/tripline/processor/campaign/value"
)

// Format is the form in which producers write events. The zero Format is Tripline's own, of records.md. Profiles have that form
// whatever the Format.
type Format struct {
	Kind    FormatKind
	Mapping Mapping // of FormatMapping
}

// FormatKind names a form.
type FormatKind uint8

const (
	FormatTripline FormatKind = iota
	// FormatSegment is the Segment spec: track, page, screen and identify. The user is userId, else anonymousId. A page is the
	// event PageViewed and a screen ScreenViewed, with their name and category among the properties; identify is no event, its
	// traits are merged into the profile. https://segment.com/docs/connections/spec/
	FormatSegment
	// FormatCloudEvents is CloudEvents 1.0 in JSON, structured or binary (headers ce_*, the value is the data). The type is the
	// event, the subject the user, the data the properties; source and id together are the event's id.
	// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
	FormatCloudEvents
	// FormatMapping says where in a record's JSON each field stands.
	FormatMapping
)

// The events that Segment's page and screen calls are.
const (
	PageViewed   = "Page Viewed"
	ScreenViewed = "Screen Viewed"
)

// Mapping is, for each field, the path to it: names of members from the outside in, joined by dots; "." is the record itself; "": there is no
// such field. A member whose own name has the dots goes before.
type Mapping struct {
	User, Event, Time, ID, Properties, Profile string
}

// Header is a header of a Kafka record.
type Header struct {
	Name  string
	Value []byte
}

// Headers says whether the form needs a record's headers.
func (f *Format) Headers() bool { return f.Kind == FormatCloudEvents }

// Paths are what the form looks for in a record: names of members from the outside in, joined by dots.
func (f *Format) Paths() []string {
	switch f.Kind {
	case FormatSegment:
		return []string{"userId", "anonymousId", "messageId", "timestamp", "type", "event", "properties", "traits", "name", "category"}
	case FormatCloudEvents:
		return []string{"type", "subject", "time", "source", "id", "data"}
	case FormatMapping:
		var paths []string
		m := &f.Mapping
		for _, path := range [...]string{m.User, m.Event, m.Time, m.ID, m.Properties, m.Profile} {
			if path != "" && path != "." {
				paths = append(paths, path)
			}
		}
		return paths
	}
	return ownPaths
}

var ownPaths = []string{"id", "user_id", "event", "time", "properties", "profile"}

// read takes the fields of a value in this form. A rejection is of what only this form knows.
func (f *Format) read(to *fields, text string, headers []Header) (*Rejection, error) {
	switch f.Kind {
	case FormatTripline:
		return nil, to.read(text)
	case FormatCloudEvents:
		if ce := cloudHeaders(headers); ce != nil {
			return to.readCloudBinary(text, ce)
		}
	}
	members, err := value.ParseObject([]byte(text))
	if err != nil {
		return nil, err
	}
	switch f.Kind {
	case FormatSegment:
		return to.readSegment(members), nil
	case FormatCloudEvents:
		return to.readCloud(members), nil
	}
	to.readMapped(members, &f.Mapping)
	return nil, nil
}

func (f *fields) setProperties(v value.Value) { f.properties, f.propertiesKind = v.Fields(), v.Kind() }

func (f *fields) setProfile(v value.Value) { f.profile, f.profileKind = v.Fields(), v.Kind() }

func (f *fields) readSegment(m value.Properties) *Rejection {
	f.user, f.id, f.time = m.Get("userId"), m.Get("messageId"), m.Get("timestamp")
	if f.user.IsNil() || f.user.Kind() == value.String && f.user.Text() == "" { // some libraries write "" for nobody
		f.user = m.Get("anonymousId")
	}
	kind := m.Get("type")
	switch kind.Text() {
	case "track", "":
		f.event = m.Get("event")
		f.setProperties(m.Get("properties"))
	case "page", "screen":
		f.event = value.OfString(PageViewed)
		if kind.Text() == "screen" {
			f.event = value.OfString(ScreenViewed)
		}
		f.setProperties(m.Get("properties"))
		if f.propertiesKind == value.Nil {
			f.propertiesKind = value.Object
		}
		for _, name := range [...]string{"name", "category"} {
			if v := m.Get(name); !v.IsNil() && !f.properties.Has(name) {
				f.properties = f.properties.Merge(value.Properties{{Name: name, Value: v}})
			}
		}
	case "identify":
		f.identifies = true
		f.setProfile(m.Get("traits"))
	default:
		return reject(ReasonNoEvent, "type is %s; read are track, page, screen and identify", quote(kind.Text()))
	}
	return nil
}

func (f *fields) readCloud(m value.Properties) *Rejection {
	f.event, f.user, f.time = m.Get("type"), m.Get("subject"), m.Get("time")
	f.id = cloudID(m.Get("source"), m.Get("id"))
	f.setProperties(m.Get("data"))
	if m.Has("data_base64") {
		return reject(ReasonBadProperties, "the data is in base64, not a JSON object")
	}
	return nil
}

// cloudID is what makes a CloudEvent this one: source and id.
func cloudID(source, id value.Value) value.Value {
	if id.Kind() != value.String || id.Text() == "" || source.Kind() != value.String {
		return id
	}
	return value.OfString(source.Text() + "#" + id.Text())
}

// cloudHeaders are the attributes of a record in binary mode; nil: it is not in that mode.
func cloudHeaders(headers []Header) (attributes value.Properties) {
	for _, h := range headers {
		if name, ok := strings.CutPrefix(h.Name, "ce_"); ok && h.Value != nil {
			attributes = attributes.Merge(value.Properties{{Name: name, Value: value.OfString(strings.ToValidUTF8(string(h.Value), "\uFFFD"))}})
		}
	}
	if !attributes.Has("specversion") {
		return nil
	}
	return attributes
}

func (f *fields) readCloudBinary(text string, attributes value.Properties) (*Rejection, error) {
	r := f.readCloud(attributes)
	if text == "" { // an event without data
		return r, nil
	}
	data, err := value.Parse([]byte(text))
	if err != nil {
		return r, err
	}
	f.setProperties(data)
	return r, nil
}

func (f *fields) readMapped(m value.Properties, paths *Mapping) {
	f.user, f.event, f.time, f.id = at(m, paths.User), at(m, paths.Event), at(m, paths.Time), at(m, paths.ID)
	for _, part := range [...]struct {
		path string
		set  func(value.Value)
		own  *value.Properties
		kind *value.Kind
	}{{paths.Properties, f.setProperties, &f.properties, &f.propertiesKind}, {paths.Profile, f.setProfile, &f.profile, &f.profileKind}} {
		if part.path == "." {
			*part.own, *part.kind = m, value.Object
			continue
		}
		part.set(at(m, part.path))
	}
}

// at finds what a path names; nil where there is nothing.
func at(m value.Properties, path string) value.Value {
	if path == "" || m.Has(path) {
		return m.Get(path)
	}
	for i := range len(path) {
		if path[i] != '.' {
			continue
		}
		if inner := m.Get(path[:i]); inner.Kind() == value.Object {
			if v := at(inner.Fields(), path[i+1:]); !v.IsNil() {
				return v
			}
		}
	}
	return value.Value{}
}
