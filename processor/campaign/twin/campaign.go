package twin

// Rules are the keys of tripline.yaml that bear on what campaigns mean. Lengths of time are milliseconds.
type Rules struct {
	User            string // the one user of a Run
	Zone            string // IANA name, "": UTC
	MaxFuture       int64
	AllowedLateness int64
	Settle          int64
	Caps            []Cap
}

// Cap is one of `caps`.
type Cap struct {
	Name string
	Max  int
	Per  int64
	Tags []string
}

// Campaign mirrors one campaign file; exactly one kind is set.
type Campaign struct {
	Name               string
	Paused             bool // enabled: false
	SingleAction       *SingleAction
	Actions            *Actions
	InactionWithinTime *InactionWithinTime
	Inaction           *Inaction
	DateTimeProperty   *DateTimeProperty
	Audience           Cond  // nil: everyone
	Start, End         int64 // schedule, 0: open
	Reentry            Reentry
	StaleAfter         int64 // 0: 24h
	Tags               []string
	Delay              int64
	Exit               []Pattern
	Quiet              *Quiet
	Priority           int
	ControlGroup       float64 // per cent
	Goal               *Goal
	Backfill           bool
}

// Change puts other campaigns in force, between two inputs.
type Change struct {
	Before    int   // how many inputs come before it
	Stream    int64 // stream time then
	Left      bool  // timers that were due before it are left for later
	Campaigns []Campaign
}

// Quiet is `quiet_hours`, in times of day; no days are all of them.
type Quiet struct {
	From, To int64
	Days     []string
	Drop     bool
}

// Goal is `goal`, whose value is that property of the event.
type Goal struct {
	Pattern Pattern
	Within  int64
	Value   string
}

// Reentry has at most one of its forms set.
type Reentry struct {
	Once   bool
	MinGap int64
	Max    int
	Per    int64
}

// Pattern describes events. AtLeast 0 is 1.
type Pattern struct {
	Event   string
	Where   Cond
	AtLeast int
	Alias   map[string]string
}

// SingleAction has either Pattern or Any. Occurrence 0 is every.
type SingleAction struct {
	Pattern    Pattern
	Any        []Pattern
	Occurrence int
}

// Actions is the kind `actions`.
type Actions struct {
	All     []Pattern
	Within  int64
	InOrder bool
	Same    []string
	Reuse   bool
}

// InactionWithinTime is the kind of that name; OnRepeat "" is restart.
type InactionWithinTime struct {
	After, Without Pattern
	Within         int64
	Same           []string
	OnRepeat       string
}

// Inaction looks every Every (at At, a time of day in milliseconds, On a weekday for 7d), or once, After a `did`.
type Inaction struct {
	Did, DidNot Pattern
	InLast      int64
	Every       int64
	At          int64 // -1: not given
	On          string
	After       int64
}

// DateTimeProperty has either Pattern.Event or ProfileProperty.
type DateTimeProperty struct {
	Pattern         Pattern
	Occurrence      int
	ProfileProperty string
	Property        string
	Offset          int64
	At              int64 // -1: not given
	Same            []string
	Cancel          *Pattern
	Yearly          bool
	Fire            bool // if_past: fire
}

// Input is one record of the user, in the order of arrival.
type Input struct {
	Kind       string // event | profile | erase
	Arrival    int64
	Time       int64
	ID         string
	Name       string
	Properties map[string]any // float64, string, bool, nil
	Profile    map[string]any // nil values remove
}

// Seen is an event as an Outcome tells it.
type Seen struct {
	Name string
	Time int64
}

// Outcome is where one qualification ended: a trigger, or a suppressed decision with its reason; or a conversion.
type Outcome struct {
	Campaign string
	Time     int64 // the moment
	Left     int64
	Reason   string // "": a trigger
	Events   []Seen // in the user's order
	Group    string // of a conversion: treated or control
	Value    any    // of a conversion
}

// late says whether moments that are past may become true by what comes late.
func (c Campaign) late() bool {
	return c.Actions != nil || c.Inaction != nil || c.InactionWithinTime != nil
}

// bare is the campaign without what does not belong to its trigger.
func (c Campaign) bare() Campaign {
	return Campaign{Name: c.Name, SingleAction: c.SingleAction, Actions: c.Actions, InactionWithinTime: c.InactionWithinTime, Inaction: c.Inaction,
		DateTimeProperty: c.DateTimeProperty}
}

// event is an input that is part of the user's history.
type event struct {
	Input
	seq int // place in the order of arrival
}

// before is the user's order: "A user's events are ordered by time, then by arrival".
func (e event) before(o event) bool {
	return e.Time < o.Time || e.Time == o.Time && e.seq < o.seq
}

func (p Pattern) atLeast() int { return max(p.AtLeast, 1) }

// matches compares names exactly; "`where` sees only the event".
func (p Pattern) matches(e event) bool {
	return p.Event == e.Name && (p.Where == nil || holds(p.Where, &scope{event: &e}))
}

// combination is the values of `same` as text: "equal values (of equal JSON type); an event in which one is missing
// or null takes no part. `alias: {cart_id: basket}` on a pattern reads another name".
func (p Pattern) combination(same []string, e event) (string, bool) {
	key := ""
	for _, name := range same {
		if other, ok := p.Alias[name]; ok {
			name = other
		}
		v := e.Properties[name]
		if v == nil {
			return "", false
		}
		key += jsonText(v) + "\x00"
	}
	return key, true
}

// takesPart says whether e matches the pattern under a combination of values.
func (p Pattern) takesPart(same []string, key string, e event) bool {
	if !p.matches(e) {
		return false
	}
	own, ok := p.combination(same, e)
	return ok && own == key
}

// combinations lists every combination of values under which an event matches one of the patterns, in order.
func combinations(events []event, same []string, patterns ...Pattern) []string {
	var keys []string
	seen := map[string]bool{}
	for _, e := range events {
		for _, p := range patterns {
			if !p.matches(e) {
				continue
			}
			if key, ok := p.combination(same, e); ok && !seen[key] {
				seen[key] = true
				keys = append(keys, key)
			}
		}
	}
	return keys
}
