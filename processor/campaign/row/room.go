package row

import (
	"encoding/binary"

	"github.com/tripline/tripline/processor/campaign/history"
	"github.com/tripline/tripline/processor/campaign/value"
)

// mostProperties is how many properties stand in one piece of memory: a user who is not let go of takes more and more,
// and what is in use stays where it is.
const mostProperties = 64

// Room is memory for what a user has beside its log: what its row holds and what it keeps of steps. What is taken of it
// stays as it is until Reset.
type Room struct {
	events     []history.Event
	properties value.Properties
	text       []byte
}

// Reset makes all of it free again.
func (m *Room) Reset() { m.events, m.properties, m.text = m.events[:0], m.properties[:0], m.text[:0] }

// Size is about how many bytes it takes, without what was full and is still in use.
func (m *Room) Size() int { return 72*cap(m.events) + 48*cap(m.properties) + cap(m.text) }

// Copy is a copy of e with these properties that shares nothing with it; names has strings for names.
func (m *Room) Copy(e *history.Event, properties value.Properties, names map[string]string) *history.Event {
	to := m.event()
	*to = history.Event{Seq: e.Seq, Time: e.Time, Name: names[e.Name]}
	if to.Name == "" {
		to.Name, m.text = value.Keep(m.text, e.Name)
	}
	to.ID, m.text = value.Keep(m.text, e.ID)
	at := len(m.properties)
	var all value.Properties
	all, m.text = properties.Clone(m.properties, m.text)
	to.Properties = m.added(at, all)
	return to
}

func (m *Room) event() *history.Event {
	if len(m.events) == cap(m.events) {
		m.events = make([]history.Event, 0, min(8, 1+2*cap(m.events)))
	}
	m.events = append(m.events, history.Event{})
	return &m.events[len(m.events)-1]
}

// added is what was appended to the properties from at on, which are all of it now.
func (m *Room) added(at int, all value.Properties) value.Properties {
	if len(all) == at {
		return nil
	}
	if m.properties = all; len(all) > mostProperties {
		m.properties = nil
	}
	return all[at:len(all):len(all)]
}

// Properties reads what Properties.AppendBinary wrote. Their text points into the bytes.
func (r *Reader) Properties(m *Room) value.Properties {
	if r.Err != nil {
		return nil
	}
	at := len(m.properties)
	all, rest, err := value.AppendProperties(m.properties, r.Rest)
	if err != nil {
		r.Fail()
		return nil
	}
	r.Rest = rest
	return m.added(at, all)
}

// Position reads a place in a log's order.
func (r *Reader) Position() history.Position {
	return history.Position{Time: r.Signed(), Seq: r.Unsigned()}
}

// AppendEvent writes what Event reads.
func AppendEvent(dst []byte, e *history.Event) []byte {
	dst = binary.AppendUvarint(binary.AppendVarint(dst, e.Time), e.Seq)
	return e.Properties.AppendBinary(AppendText(AppendText(dst, e.Name), e.ID))
}

// Event reads an event. Its text points into the bytes, but for names that there are strings for.
func (r *Reader) Event(m *Room, names map[string]string) *history.Event {
	at := r.Position()
	e := m.event()
	*e = history.Event{Time: at.Time, Seq: at.Seq, Name: r.Text(), ID: r.Text()}
	if name, known := names[e.Name]; known {
		e.Name = name
	}
	e.Properties = r.Properties(m)
	return e
}
