package record

import (
	"fmt"
	"sort"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/value"
)

const (
	// MaxBytes is the size of the largest value that is written: with its key and headers no record exceeds 900 KiB.
	MaxBytes = 896 << 10
	// MaxEvents is how many events a trigger shows.
	MaxEvents = 100
)

// Happening is an event as triggers show it.
type Happening struct {
	Name       string
	Time       int64 // ms since the epoch
	Properties value.Properties
}

// Trigger is what a webhook is owed for.
type Trigger struct {
	ID, Campaign, Version, Category, User string

	Time      int64 // ms: when the campaign's condition became true, in event time
	Left      int64 // ms: when it left; not part of the record
	Profile   value.Properties
	Events    []Happening // those that qualified the user, oldest first
	Endpoint  string
	Truncated bool  // not all events or properties are there
	EmittedAt int64 // ms; of a trigger that was read
}

// Append writes the record's value, emitted at a moment in ms that is raised to Time if below. It shows at most the
// newest MaxEvents events; if that is more than MaxBytes, it leaves out the largest properties of the events, then the
// largest of the profile, then the oldest events.
func (t *Trigger) Append(dst []byte, emittedAt int64) []byte {
	w := *t
	w.EmittedAt = max(emittedAt, t.Time)
	if extra := len(t.Events) - MaxEvents; extra > 0 {
		w.Events, w.Truncated = t.Events[extra:], true
	}
	start := len(dst)
	dst = w.appendWhole(dst)
	if len(dst)-start <= MaxBytes {
		return dst
	}
	w.shrink(len(dst) - start)
	return w.appendWhole(dst[:start])
}

func (t *Trigger) appendWhole(dst []byte) []byte {
	dst = append(dst, '{')
	dst = appendText(dst, "id", t.ID)
	dst = appendText(dst, "campaign", t.Campaign)
	dst = appendText(dst, "version", t.Version)
	dst = appendText(dst, "category", t.Category)
	dst = appendText(dst, "user_id", t.User)
	dst = appendTime(dst, "time", t.Time)
	dst = appendTime(dst, "emitted_at", t.EmittedAt)
	dst = t.Profile.Append(appendName(dst, "profile"))
	dst = append(appendName(dst, "events"), '[')
	for i := range t.Events {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = t.Events[i].append(dst)
	}
	dst = append(dst, ']')
	dst = appendText(dst, "endpoint", t.Endpoint)
	if t.Truncated {
		dst = append(appendName(dst, "truncated"), "true"...)
	}
	return append(dst, '}')
}

func (h *Happening) append(dst []byte) []byte {
	dst = append(dst, '{')
	dst = value.AppendString(appendName(dst, "event"), h.Name)
	dst = appendTime(dst, "time", h.Time)
	dst = h.Properties.Append(appendName(dst, "properties"))
	return append(dst, '}')
}

// shrink leaves out what must go for a record of size bytes to fit. It changes nothing that t shares with others.
func (t *Trigger) shrink(size int) {
	if !t.Truncated {
		t.Truncated = true
		size += len(`,"truncated":true`)
	}
	t.Events = append([]Happening(nil), t.Events...)
	places := make([]*value.Properties, len(t.Events))
	for i := range t.Events {
		places[i] = &t.Events[i].Properties
	}
	size = dropLargest(places, size)
	size = dropLargest([]*value.Properties{&t.Profile}, size)
	for size > MaxBytes && len(t.Events) > 0 {
		size -= len(t.Events[0].append(nil)) + 1
		t.Events = t.Events[1:]
	}
}

// dropLargest removes properties, of all places the largest first and of equals the earliest, until size fits. It is
// the size that is left.
func dropLargest(places []*value.Properties, size int) int {
	type candidate struct{ place, property, size int }
	var candidates []candidate
	var room []byte
	for place, p := range places {
		for i, property := range *p {
			room = property.Value.Append(value.AppendString(room[:0], property.Name))
			candidates = append(candidates, candidate{place, i, len(room) + len(`:,`)})
		}
	}
	sort.SliceStable(candidates, func(i, j int) bool { return candidates[i].size > candidates[j].size })
	dropped := make(map[int]map[int]bool)
	for _, c := range candidates {
		if size <= MaxBytes {
			break
		}
		size -= c.size
		if dropped[c.place] == nil {
			dropped[c.place] = make(map[int]bool)
		}
		dropped[c.place][c.property] = true
	}
	for place, gone := range dropped {
		var kept value.Properties
		for i, property := range *places[place] {
			if !gone[i] {
				kept = append(kept, property)
			}
		}
		*places[place] = kept
		if len(kept) == 0 {
			size++ // the first of the properties had no comma
		}
	}
	return size
}

// ParseTrigger reads what Append writes. A trigger without id, campaign, user, time or endpoint is an error.
func ParseTrigger(json []byte) (Trigger, error) {
	var t Trigger
	o, err := open(json)
	if err != nil {
		return Trigger{}, err
	}
	for o.next() {
		switch o.name {
		case "id":
			t.ID = o.text()
		case "campaign":
			t.Campaign = o.text()
		case "version":
			t.Version = o.text()
		case "category":
			t.Category = o.text()
		case "user_id":
			t.User = o.text()
		case "time":
			t.Time = o.time()
		case "emitted_at":
			t.EmittedAt = o.time()
		case "profile":
			t.Profile = o.properties()
		case "events":
			t.Events = o.happenings()
		case "endpoint":
			t.Endpoint = o.text()
		case "truncated":
			t.Truncated = o.bool()
		default:
			o.Skip()
		}
	}
	if err := o.finish("id", "campaign", "user_id", "time", "endpoint"); err != nil {
		return Trigger{}, err
	}
	return t, nil
}

// happenings reads the list of a trigger's events.
func (o *opened) happenings() (all []Happening) {
	for o.EnterList(); o.NextElement(); {
		var h Happening
		inner := opened{Reader: o.Reader}
		for inner.EnterObject(); inner.next(); {
			switch inner.name {
			case "event":
				h.Name = inner.text()
			case "time":
				h.Time = inner.time()
			case "properties":
				h.Properties = inner.properties()
			default:
				inner.Skip()
			}
		}
		o.keep(fmt.Sprintf("events[%d]", len(all)), inner.need("event", "time"))
		all = append(all, h)
	}
	return all
}

func appendName(dst []byte, name string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	return append(value.AppendString(dst, name), ':')
}

// appendText writes a field, unless it has no value.
func appendText(dst []byte, name, text string) []byte {
	if text == "" {
		return dst
	}
	return value.AppendString(appendName(dst, name), text)
}

func appendTime(dst []byte, name string, ms int64) []byte {
	return append(calendar.AppendTime(append(appendName(dst, name), '"'), ms), '"')
}
