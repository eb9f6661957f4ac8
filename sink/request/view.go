package request

import (
	"iter"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/value"
	"github.com/tripline/tripline/sink/liquid"
)

// scope is what templates can name.
var scope = liquid.Scope{
	"Profile":  nil,
	"Event":    nil,
	"Events":   nil,
	"Campaign": {"name", "version", "category"},
	"User":     {"id"},
	"Trigger":  {"id", "campaign", "version", "category", "user_id", "time", "emitted_at", "endpoint"},
	"now":      {},
}

// notEvents are the names that hold nothing of events.
var notEvents = []string{"Profile", "Campaign", "User", "Trigger", "now"}

// look is what the names of scope stand for in a trigger.
func look(t *record.Trigger) func(name string) liquid.Value {
	return func(name string) liquid.Value {
		switch name {
		case "Profile":
			return liquid.OfProperties(t.Profile)
		case "Event":
			if n := len(t.Events); n > 0 {
				return happening{&t.Events[n-1]}
			}
		case "Events":
			all := make([]liquid.Value, len(t.Events))
			for i := range t.Events {
				all[i] = happening{&t.Events[i]}
			}
			return all
		case "Campaign":
			return texts("name", t.Campaign, "version", t.Version, "category", t.Category)
		case "User":
			return texts("id", t.User)
		case "Trigger":
			return texts("id", t.ID, "campaign", t.Campaign, "version", t.Version, "category", t.Category, "user_id", t.User,
				"time", calendar.FormatTime(t.Time), "emitted_at", calendar.FormatTime(t.EmittedAt), "endpoint", t.Endpoint)
		case "now":
			return calendar.FormatTime(t.EmittedAt)
		}
		return nil
	}
}

// texts is an object of names and texts by turns; those that are empty are not there.
func texts(pairs ...string) liquid.Object {
	var p value.Properties
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			p = append(p, value.Property{Name: pairs[i], Value: value.OfString(pairs[i+1])})
		}
	}
	return liquid.OfProperties(p)
}

// happening is an event of a trigger. Its members are its properties, and behind them event, time and properties.
type happening struct{ *record.Happening }

func (h happening) Member(name string) liquid.Value {
	if h.Properties.Has(name) {
		return liquid.Of(h.Properties.Get(name))
	}
	switch name {
	case "event":
		return h.Name
	case "time":
		return calendar.FormatTime(h.Time)
	case "properties":
		return liquid.OfProperties(h.Properties)
	}
	return nil
}

func (h happening) Members() iter.Seq2[string, liquid.Value] {
	return func(yield func(string, liquid.Value) bool) {
		for _, name := range []string{"event", "time"} {
			if !h.Properties.Has(name) && !yield(name, h.Member(name)) {
				return
			}
		}
		liquid.OfProperties(h.Properties).Members()(yield)
	}
}

// AppendJSON writes the event as the trigger has it.
func (h happening) AppendJSON(dst []byte) []byte {
	dst = append(value.AppendString(append(dst, `{"event":`...), h.Name), `,"time":"`...)
	dst = append(calendar.AppendTime(dst, h.Time), `","properties":`...)
	return append(h.Properties.Append(dst), '}')
}
