// Package dump shows a user's rows as a person can read them: the head row and older history in, one value with JSON names out.
//
// It takes rows apart by itself, as dumbly as can be, and needs no compiled campaigns: what a row holds of a campaign that is gone
// is shown as well. The test compares it with what the core makes of the same rows, so that it follows the core's format.
package dump

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/history"
	"github.com/tripline/tripline/processor/campaign/row"
	"github.com/tripline/tripline/processor/campaign/value"
)

// User is all that is kept of a user. Times are RFC 3339.
type User struct {
	User      string          `json:"user_id"`
	Set       uint64          `json:"set"`           // the number of the set of campaigns under which the row was written
	Now       string          `json:"now,omitempty"` // what was due before has fired
	Unseen    []Unseen        `json:"unseen,omitempty"`
	Profile   json.RawMessage `json:"profile"`
	History   []Event         `json:"history"`                     // in the user's order, oldest first
	Ever      []Ever          `json:"first_and_last,omitempty"`    // by event name, in order of name
	Zones     []Zone          `json:"earlier_timezones,omitempty"` // oldest first
	Counters  []Counter       `json:"counters,omitempty"`          // triggers that caps count, in the order in which they left
	Campaigns []Standing      `json:"campaigns,omitempty"`         // in the order of the row
}

// Event is one that the user did.
type Event struct {
	Event      string          `json:"event"`
	Time       string          `json:"time"`
	Seq        uint64          `json:"seq"` // the user's arrival number
	ID         string          `json:"id,omitempty"`
	Properties json.RawMessage `json:"properties,omitempty"`
}

// Unseen says up to which event campaigns that came with a set do not see what was before.
type Unseen struct {
	Set uint64 `json:"set"`
	Seq uint64 `json:"seq"`
}

// Ever is what is kept of an event name for ever.
type Ever struct {
	First Event  `json:"first"`
	Last  *Event `json:"last,omitempty"` // nil: the first
}

// Zone is one that the user had until an arrival.
type Zone struct {
	Timezone string `json:"timezone"`
	Until    string `json:"until"`
}

// Counter is a trigger that caps count.
type Counter struct {
	Campaign string `json:"campaign"`
	Left     string `json:"left"`
}

// Standing is where the user stands in one campaign.
type Standing struct {
	Campaign string   `json:"campaign"`
	Matches  int64    `json:"matches,omitempty"`
	Newest   string   `json:"newest,omitempty"` // inaction: the newest event that was waited for
	Timers   []Timer  `json:"timers,omitempty"` // watches, dates, checks
	Used     []Used   `json:"used,omitempty"`   // actions: up to where events are used up
	Checked  []string `json:"checked,omitempty"`
	Left     []string `json:"triggered,omitempty"` // moments of triggers, where reentry asks for them
	Held     []Held   `json:"waiting,omitempty"`   // triggers that wait for their delay or for the end of quiet hours
	Goals    []Goal   `json:"goals,omitempty"`
	Judged   []string `json:"judged,omitempty"` // moments that have qualified under an earlier trigger
}

// Timer is something that is open until a moment.
type Timer struct {
	Until string            `json:"until"`
	Due   string            `json:"due"`
	Same  []json.RawMessage `json:"same,omitempty"` // the values of same
	Event *Event            `json:"event,omitempty"`
	Year  int               `json:"year,omitempty"`
	Check bool              `json:"check,omitempty"` // a look that is to come
	Past  bool              `json:"past,omitempty"`  // was past when it was set
}

// Used is up to where events of one instance are used up.
type Used struct {
	Same []json.RawMessage `json:"same,omitempty"`
	UpTo string            `json:"up_to"`
}

// Held is a trigger that waits.
type Held struct {
	Moment string  `json:"moment"`
	Due    string  `json:"due"`
	Events []Event `json:"events"`
}

// Goal is a trigger whose goal is watched.
type Goal struct {
	Trigger string `json:"trigger_id"`
	Left    string `json:"left"`
	Control bool   `json:"control,omitempty"`
}

var errRow = errors.New("the row cannot be read")

// Names are the names of campaigns by what rows have of them.
type Names map[uint64]string

// NamesOf takes the names of the campaigns that are known.
func NamesOf(campaigns []string) Names {
	names := make(Names, len(campaigns))
	for _, name := range campaigns {
		h := fnv.New64a()
		h.Write([]byte(name))
		names[h.Sum64()], names[h.Sum64()&math.MaxUint32] = name, name
	}
	return names
}

func (n Names) of(hash uint64) string {
	if name, known := n[hash]; known {
		return name
	}
	return fmt.Sprintf("unknown campaign %016x", hash)
}

// Read takes a user's rows apart: the head, and part for older history (nil where there is none of that number).
func Read(id string, head []byte, part func(n uint32) []byte, names Names) (*User, error) {
	u := &User{User: id, History: []Event{}}
	head, err := row.Upgraded(head)
	if err != nil {
		return nil, fmt.Errorf("user %q: %w; use the version of Tripline that wrote it", id, err)
	}
	r := reader{src: head, names: names, user: u}
	r.byte()
	u.Set = r.unsigned()
	u.Profile = r.properties()
	var log *history.Log
	if r.err == nil {
		log, r.src, r.err = history.Decode(r.src, part)
	}
	if r.err == nil {
		log.Ascend(history.Position{Time: math.MinInt64}, history.Position{Time: math.MaxInt64, Seq: math.MaxUint64}, func(e *history.Event) bool {
			u.History = append(u.History, shown(e))
			return true
		})
		r.err = log.Err()
	}
	if r.err == nil {
		r.now = log.Newest() + r.signed()
		u.Now = calendar.FormatTime(r.now)
	}
	has := uint64(r.byte())
	r.wide = has&row.Wide > 0
	if r.err == nil {
		r.each(has&row.HasUnseen, func() { u.Unseen = append(u.Unseen, Unseen{Set: r.unsigned(), Seq: r.unsigned()}) })
	}
	r.each(has&row.HasEver, func() {
		e := Ever{First: r.event()}
		if r.byte() == 1 {
			last := r.event()
			e.Last = &last
		}
		u.Ever = append(u.Ever, e)
	})
	r.each(has&row.HasZones, func() {
		until := r.moment()
		u.Zones = append(u.Zones, Zone{Timezone: r.text(), Until: until})
	})
	r.each(has&row.HasSent, func() {
		left := r.moment()
		u.Counters = append(u.Counters, Counter{Campaign: names.of(r.name()), Left: left})
	})
	r.each(always, func() { u.Campaigns = append(u.Campaigns, r.standing()) })
	if r.err == nil && len(r.src) > 0 {
		r.err = errRow
	}
	if r.err != nil {
		return nil, fmt.Errorf("user %q: %w", id, r.err)
	}
	return u, nil
}

func shown(e *history.Event) Event {
	x := Event{Event: e.Name, Time: calendar.FormatTime(e.Time), Seq: e.Seq, ID: e.ID}
	if len(e.Properties) > 0 {
		x.Properties = e.Properties.Append(nil)
	}
	return x
}

func object(p value.Properties) json.RawMessage {
	if len(p) == 0 {
		return json.RawMessage("{}")
	}
	return p.Append(nil)
}
