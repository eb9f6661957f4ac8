package record

import (
	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/value"
)

// fields are what a record says, not yet judged: of duplicate keys the last counts.
type fields struct {
	borrow                      bool   // texts point into the record
	key                         string // in the same copy as the rest
	id, user, event, time       value.Value
	properties, profile         value.Properties
	propertiesKind, profileKind value.Kind
	identifies                  bool       // it is no event
	refused                     *Rejection // what the form makes of it
	room                        value.Properties
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
			f.properties, f.propertiesKind = f.object(&r)
		case "profile":
			f.profile, f.profileKind = f.object(&r)
		default:
			r.Skip()
		}
	}
}

// object reads the properties of an object, into the room if there is some; of any other value only its kind.
func (f *fields) object(r *value.Reader) (value.Properties, value.Kind) {
	kind := r.Peek()
	if kind == value.Object {
		if f.room == nil {
			return r.Properties(), kind
		}
		var p value.Properties
		p, f.room = r.PropertiesIn(f.room)
		return p, kind
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
			return 0, reject(ReasonBadTime, "the record has no time, and its timestamp %d is not from 1970 to 9999", timestamp)
		}
		return timestamp, nil
	case value.String:
		ms, err := calendar.ParseTime(f.time.Text())
		if err != nil {
			return 0, reject(ReasonBadTime, "time: %v", err)
		}
		return ms, nil
	case value.Number, value.Digits:
		ms, ok := f.time.Floor(0)
		if !ok || ms < 0 || ms > calendar.MaxTime {
			return 0, reject(ReasonBadTime, "time %s is not in milliseconds from 1970 to 9999", quote(f.time.Text()))
		}
		return ms, nil
	}
	return 0, reject(ReasonBadTime, "time is %v, not a string or a number", f.time.Kind())
}

// objects checks that properties and profile are objects where they are there.
func (f *fields) objects() *Rejection {
	if k := f.propertiesKind; k != value.Object && k != value.Nil {
		return reject(ReasonBadProperties, "properties is %v, not an object", k)
	}
	if k := f.profileKind; k != value.Object && k != value.Nil {
		return reject(ReasonBadProperties, "profile is %v, not an object", k)
	}
	return nil
}
