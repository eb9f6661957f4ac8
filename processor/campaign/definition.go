package campaign

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/expr"
	"github.com/tripline/tripline/processor/campaign/history"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/value"
)

// Definition is one campaign as its author wrote it. Field names are those of the campaign file; config decodes into
// it strictly and Compile checks what it means.
type Definition struct {
	Name        string     `yaml:"name" required:"true"`
	Description string     `yaml:"description"`
	Enabled     *bool      `yaml:"enabled"` // nil: true
	Tags        []string   `yaml:"tags"`
	Trigger     Trigger    `yaml:"trigger" required:"true"`
	Audience    string     `yaml:"audience"`
	Schedule    *Schedule  `yaml:"schedule"`
	Reentry     *Reentry   `yaml:"reentry"`
	StaleAfter  *Duration  `yaml:"stale_after"` // nil: 24h
	Deliver     []Delivery `yaml:"deliver,oneormany" required:"true"`

	Delay        *Duration   `yaml:"delay"`
	Exit         []Pattern   `yaml:"exit"`
	QuietHours   *QuietHours `yaml:"quiet_hours"`
	Priority     int         `yaml:"priority"`
	ControlGroup *Share      `yaml:"control_group"`
	Goal         *Goal       `yaml:"goal"`
	Backfill     bool        `yaml:"backfill"` // where the campaign is new: what is open is made from history

	// Version is a hash of the campaign's text, set by whoever read it; every record that the campaign causes carries it.
	Version string `yaml:"-"`
}

// Unavailable stands for a key that is refused as "not available yet".
type Unavailable struct{}

// Trigger holds exactly one of the five kinds.
type Trigger struct {
	SingleAction       *SingleAction       `yaml:"single_action"`
	Actions            *Actions            `yaml:"actions"`
	InactionWithinTime *InactionWithinTime `yaml:"inaction_within_time"`
	Inaction           *Inaction           `yaml:"inaction"`
	DateTimeProperty   *DateTimeProperty   `yaml:"date_time_property"`
}

// Pattern describes events: by name, optionally by a condition on their properties.
type Pattern struct {
	Event   string            `yaml:"event"`
	Where   string            `yaml:"where"`
	AtLeast *int              `yaml:"at_least"` // actions and inaction only; nil: 1
	Alias   map[string]string `yaml:"alias"`    // property of `same` -> the name it has on this pattern's events
}

// SingleAction qualifies at each matching event.
type SingleAction struct {
	Pattern    `yaml:",inline"`
	Any        []Pattern  `yaml:"any"`
	Occurrence Occurrence `yaml:"occurrence"`
}

// Actions qualifies at the event that completes a set.
type Actions struct {
	All     []Pattern `yaml:"all" required:"true"`
	Within  *Duration `yaml:"within" required:"true"`
	InOrder bool      `yaml:"in_order"`
	Same    []string  `yaml:"same"`
	Reuse   bool      `yaml:"reuse"`
}

// InactionWithinTime qualifies when a deadline passes without an event that would have ended the watch.
type InactionWithinTime struct {
	After    *Pattern  `yaml:"after" required:"true"`
	Without  *Pattern  `yaml:"without" required:"true"`
	Within   *Duration `yaml:"within" required:"true"`
	Same     []string  `yaml:"same"`
	OnRepeat string    `yaml:"on_repeat" values:"restart|ignore|separate"` // default: restart
}

// Inaction qualifies at check moments at which one event lies in the window and another does not.
type Inaction struct {
	Did    *Pattern  `yaml:"did" required:"true"`
	DidNot *Pattern  `yaml:"did_not" required:"true"`
	InLast *Duration `yaml:"in_last" required:"true"`
	Check  *Check    `yaml:"check" required:"true"`
}

// Check says when inaction looks: on a grid in the user's zone, or once after each `did` event.
type Check struct {
	Every *Duration  `yaml:"every"`
	At    *TimeOfDay `yaml:"at"`
	On    string     `yaml:"on" values:"mon|tue|wed|thu|fri|sat|sun"` // with every: 7d
	After *Duration  `yaml:"after"`
}

// DateTimeProperty qualifies at a moment that an event or the profile names.
type DateTimeProperty struct {
	Event           string            `yaml:"event"`
	Where           string            `yaml:"where"`
	Alias           map[string]string `yaml:"alias"`
	Occurrence      Occurrence        `yaml:"occurrence"`
	ProfileProperty string            `yaml:"profile_property"`
	Property        string            `yaml:"property"`
	Offset          *Duration         `yaml:"offset"`
	At              *TimeOfDay        `yaml:"at"`
	Same            []string          `yaml:"same"`
	Cancel          *Pattern          `yaml:"cancel"`
	Repeat          string            `yaml:"repeat" values:"yearly"`
	IfPast          string            `yaml:"if_past" values:"skip|fire"` // default: skip
}

// Schedule bounds a campaign in time: [Start, End).
type Schedule struct {
	Start *Time `yaml:"start"`
	End   *Time `yaml:"end"`
}

// Reentry says how often one user may trigger the campaign; exactly one of the three forms.
type Reentry struct {
	Once   bool      `yaml:"once"`
	MinGap *Duration `yaml:"min_gap"`
	Max    *int      `yaml:"max"`
	Per    *Duration `yaml:"per"`
}

// QuietHours is a part of the day in the user's zone in which no trigger leaves.
type QuietHours struct {
	From *TimeOfDay `yaml:"from" required:"true"`
	To   *TimeOfDay `yaml:"to" required:"true"`
	Days []string   `yaml:"days" values:"mon|tue|wed|thu|fri|sat|sun"` // on which a period begins; none: every day
	Then string     `yaml:"then" values:"hold|drop"`                   // default: hold
}

// Goal is what a trigger is to bring about.
type Goal struct {
	Pattern `yaml:",inline"`
	Within  *Duration `yaml:"within" required:"true"`
	Value   string    `yaml:"value"` // an expression over the event
}

// Cap bounds how many triggers a user gets over all campaigns, or over those that have one of its tags.
type Cap struct {
	Name string   `yaml:"name" required:"true"`
	Max  int      `yaml:"max" required:"true"`
	Per  Duration `yaml:"per" required:"true"`
	Tags []string `yaml:"tags"`
}

// capsOf are the caps that count a campaign with these tags, and the longest of their lengths.
func (r *Rules) capsOf(tags []string) (caps []*Cap, longest int64) {
	for i := range r.Caps {
		if limit := &r.Caps[i]; limit.covers(tags) {
			caps, longest = append(caps, limit), max(longest, int64(limit.Per))
		}
	}
	return caps, longest
}

func (l *Cap) covers(tags []string) bool {
	return len(l.Tags) == 0 || slices.ContainsFunc(tags, func(tag string) bool { return slices.Contains(l.Tags, tag) })
}

// counted is how many of the user's triggers a cap counts that have left in (leaving − per, leaving].
func (u *User) counted(limit *Cap, leaving int64) (n int) {
	for _, t := range u.sent {
		if t.left <= leaving-int64(limit.Per) || t.left > leaving {
			continue
		}
		if len(limit.Tags) > 0 {
			if t.c == nil || !slices.Contains(t.c.caps, limit) {
				continue
			}
		}
		n++
	}
	return n
}

// countForCaps notes that a trigger leaves, and forgets those that no cap counts any more.
func (u *User) countForCaps(c *campaign, left int64) {
	if len(c.caps) == 0 {
		return
	}
	u.sent = slices.DeleteFunc(u.sent, func(t sent) bool {
		longest := u.set.untagged // of a campaign that is gone, and the least of any other
		if t.left > left-longest {
			return false
		}
		if t.c != nil {
			longest = t.c.capped
		}
		return t.left <= left-longest
	})
	u.sent = append(u.sent, sent{left: left, campaign: c.hash, c: c})
	u.dirty = true
}

// goal is what a campaign's triggers are measured by.
type goal struct {
	pattern
	within int64
	value  *expr.Program // nil: conversions have no value
}

// watched is a trigger, or one that was held out, that may still convert.
type watched struct {
	trigger string
	left    int64
	control bool
}

func (c *compiler) goal(d *Goal) *goal {
	if d == nil {
		return nil
	}
	g := &goal{pattern: c.pattern("goal", &d.Pattern, nil, false)}
	if d.Within == nil {
		c.problem("goal.within", "is required: how long after a trigger an event counts, such as 3d")
	}
	g.within = c.positive("goal.within", d.Within)
	if d.Value != "" {
		var err *expr.Error
		if g.value, err = expr.CompileValue(d.Value, expr.Where); err != nil {
			c.wrong("goal.value", err)
		}
	}
	return g
}

// watchGoal begins to wait for what a trigger is to bring about. Above max_open the oldest is given up, and counted.
func (st *standing) watchGoal(s *step, trigger string, left int64, control bool) {
	if st.c.goal == nil {
		return
	}
	s.user.dirty = true
	st.goals = slices.DeleteFunc(st.goals, func(w watched) bool { return st.c.lapsed(s, w) })
	st.goals = append(st.goals, watched{trigger: trigger, left: left, control: control})
	if most := s.set.rules.MaxOpen; most > 0 && len(st.goals) > most {
		st.goals = slices.Delete(st.goals, 0, 1)
		s.out.Counts.campaign(st.c).DroppedOpen++
	}
}

// lapsed says that no event converts a trigger any more: its time is over, and a late event would come too late.
func (c *campaign) lapsed(s *step, w watched) bool {
	return s.arrival-s.set.rules.AllowedLateness-c.stale > w.left+c.goal.within
}

// follow applies an event that has just arrived to what waits and to what is measured.
func (s *step) follow(st *standing, e *history.Event) {
	if st.c.goal != nil && len(st.goals) > 0 {
		if _, ok := st.c.goal.match(s, st.c, e); ok {
			st.converts(s, e)
		}
	}
	if len(st.held) == 0 {
		return
	}
	for i := range st.c.exits {
		if _, ok := st.c.exits[i].match(s, st.c, e); ok {
			st.ends(s, e)
			return
		}
	}
}

// converts writes a decision for each trigger that e is the first to reach the goal of.
func (st *standing) converts(s *step, e *history.Event) {
	g, d := st.c.goal, st.c.def
	kept := st.goals[:0]
	for _, w := range st.goals {
		if e.Time < w.left || e.Time > w.left+g.within || st.c.lapsed(s, w) {
			kept = append(kept, w)
			continue
		}
		out := record.Decision{ID: digest("dec_", []byte(w.trigger), "converted"), Campaign: d.Name, Version: d.Version, User: s.user.id,
			Time: e.Time, Left: s.arrival, Decision: "converted", TriggerID: w.trigger, Group: "treated"}
		if w.control {
			out.Group = "control"
		}
		if g.value != nil {
			out.Value = s.worth(st.c, e)
		}
		s.user.dirty = true
		s.out.Counts.campaign(st.c).Converted++
		s.out.Decisions = append(s.out.Decisions, out)
	}
	clear(st.goals[len(kept):])
	st.goals = kept
}

// worth is the value of a conversion; what fails at run time is none, and counted.
func (s *step) worth(c *campaign, e *history.Event) value.Value {
	s.env = expr.Env{Event: e.Properties, HasEvent: true, User: s.user.id, Now: e.Time}
	v, err := c.goal.value.Value(&s.env)
	if err != nil {
		s.out.Counts.campaign(c).ExpressionErrors++
	}
	return v
}

// Delivery is where and how the sink sends the campaign's triggers.
type Delivery struct {
	Endpoint    string            `yaml:"endpoint" required:"true"`
	Payload     string            `yaml:"payload"`
	Body        string            `yaml:"body"`
	ContentType string            `yaml:"content_type"`
	KeyValues   map[string]string `yaml:"key_values"`
	Strict      bool              `yaml:"strict"`
	Expires     *Duration         `yaml:"expires"`
}

// Duration is a length of time in milliseconds, written as in "1d12h".
type Duration int64

// UnmarshalText reads the durations of campaign files.
func (d *Duration) UnmarshalText(text []byte) error {
	ms, err := calendar.ParseDuration(string(text))
	*d = Duration(ms)
	return err
}

// UnmarshalJSON reads milliseconds, as a ledger has them.
func (d *Duration) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, (*int64)(d)) }

// Time is a moment in milliseconds since the epoch, written as RFC 3339.
type Time int64

// UnmarshalText reads RFC 3339.
func (t *Time) UnmarshalText(text []byte) error {
	ms, err := calendar.ParseTime(string(text))
	*t = Time(ms)
	return err
}

// TimeOfDay is a local time of day, written as "09:00" or "09:00:30".
type TimeOfDay calendar.TimeOfDay

// UnmarshalText reads a time of day.
func (t *TimeOfDay) UnmarshalText(text []byte) error {
	of, err := calendar.ParseTimeOfDay(string(text))
	*t = TimeOfDay(of)
	return err
}

// Share is a part of the whole, from 0 to 1, written as "10%" or "2.5%".
type Share float64

// String is the share as it is written.
func (s Share) String() string { return strconv.FormatFloat(float64(s)*100, 'g', 10, 64) + "%" }

// holds says whether a user is among the share of a campaign: the first 8 bytes of SHA-256(campaign, NUL, user), as a
// fraction of 2⁶⁴, lie below it.
func (s Share) holds(campaign, user string) bool {
	sum := sha256.Sum256([]byte(campaign + "\x00" + user))
	below := math.Ldexp(float64(s), 64)
	return below >= 1<<64 || binary.BigEndian.Uint64(sum[:8]) < uint64(below)
}

// UnmarshalText reads a number of hundredths with its sign.
func (s *Share) UnmarshalText(text []byte) error {
	digits, percent := strings.CutSuffix(string(text), "%")
	n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if !percent || err != nil || !(n >= 0 && n <= 100) {
		return fmt.Errorf("expected a share from 0%% to 100%%, as in 10%%, not %q", text)
	}
	*s = Share(n / 100)
	return nil
}

// Occurrence says which of a user's matching events counts: 0 is every one, n the n-th and never again.
type Occurrence int

// UnmarshalText reads every, first or a positive integer.
func (o *Occurrence) UnmarshalText(text []byte) error {
	switch s := string(text); s {
	case "every":
		*o = 0
	case "first":
		*o = 1
	default:
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return fmt.Errorf("expected every, first or a whole number from 1, not %q", s)
		}
		*o = Occurrence(n)
	}
	return nil
}
