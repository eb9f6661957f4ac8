package campaign

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"strings"

	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/expr"
	"github.com/tripline/tripline/processor/campaign/history"
	"github.com/tripline/tripline/processor/campaign/value"
)

// Rules are what all campaigns share. Durations are in milliseconds.
type Rules struct {
	Zone             calendar.Zone // of users without one of their own; nil: UTC
	TimezoneProperty string        // the profile property that names a user's zone
	AllowedLateness  int64         // every timer waits that much longer
	MaxFuture        int64         // a time further ahead of its arrival is replaced by the arrival
	Settle           int64         // how long a moment that was past when it was set waits for the rest of its backlog
	MaxAge           int64         // history is kept at least this long
	MaxEvents        int           // and holds at most so many events a user
	MaxOpen          int           // open watches, timers and checks of one user in one campaign
	Referenced       bool          // keep only the properties that campaigns (and Keep) name
	Keep             []string      // further properties to keep under Referenced: those that templates name
	NotInAudience    bool          // write not_in_audience decisions, not only count them
	Caps             []Cap         // on a user's triggers over campaigns, as config has checked them
}

// Problem is one thing wrong with a definition.
type Problem struct {
	Campaign     int    // index in the definitions given to Compile
	Path         string // the key in its file, such as trigger.actions.all[1].where
	Line, Column int    // inside the scalar at Path, from 1, where an expression is wrong; else 0
	Message      string
	Suggestion   string
}

// Set is a compiled set of campaigns: immutable, and safe to share between goroutines.
type Set struct {
	rules     Rules
	campaigns []*campaign         // in order of name
	concerns  map[string]*concern // by the name of an event
	untagged  int64               // the longest length of the caps that count every campaign
	keep      *names              // of the properties to keep in history; nil: all
	asked     *names              // of those that campaigns may ask history for; nil: any
	spare     map[string]bool     // if not nil: event names of which history keeps more than what is asked for
	byHash    map[uint64]*campaign
	byHalf    map[uint32]*campaign // by the lower half of the same; of two the last
	wide      bool                 // there are such two
	names     map[string]string    // the listeners' event names, by themselves
	version   string               // a hash of its rules, and of the names and versions of its campaigns
	zoned     bool                 // some campaign looks at times of day, or at dates: earlier zones of users are kept
	number    uint64               // of a ledger that has it in force,
	entries   []Entry              // and what that tells, in order of name; nil: there is none
}

// concern is what campaigns have to do with the events of a name.
type concern struct {
	listeners []*campaign // who wants to see them, in order of name
	followers []*campaign // who lets them end a wait or reach a goal
	remember  bool        // the first and the last are kept for ever
}

// tell has the campaigns that an event concerns see it.
func (s *step) tell(of *concern, e *history.Event) {
	u := s.user
	for _, c := range of.followers {
		if st, known := u.standing(c); known {
			s.follow(st, e)
		}
	}
	for _, c := range of.listeners {
		st, known := u.standing(c)
		if !known {
			st = s.stranger(c)
		}
		c.kind.event(s, st, e)
		if !known && !st.empty() {
			u.settle(st)
		}
	}
}

// campaign is one compiled definition.
type campaign struct {
	index     int
	def       *Definition
	category  string
	hash      uint64 // of the name: the identity of its state
	trigger   uint64 // of the trigger's text: what was open under another one is rebuilt
	kind      kind
	audience  *expr.Program
	asksEvent bool // the audience looks at the newest event
	stale     int64
	delay     int64
	exits     []pattern
	quiet     calendar.Period
	goal      *goal
	caps      []*Cap   // that count this campaign
	capped    int64    // the longest of their lengths
	cappedBy  []string // what a decision says of each
}

// kind decides for one of the five kinds. It changes the user's state of its campaign and calls step.qualify.
type kind interface {
	names() []string                               // of the events it listens to
	shown() []string                               // of those that its triggers show as history has them
	event(s *step, st *standing, e *history.Event) // an event of one of these names has arrived
	fire(s *step, st *standing, t *timer)          // a timer of its own is due; it is no longer among st.open
}

// profileKind is a kind that also follows the profile.
type profileKind interface {
	profileChanged(s *step, st *standing, before value.Properties)
	zoneChanged(s *step, st *standing)
}

var nameForm = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)

// Compile checks definitions and makes them ready to decide. It reports every problem of all of them at once.
func Compile(rules Rules, defs []Definition) (*Set, []Problem) {
	if rules.Zone == nil {
		rules.Zone, _ = calendar.LoadZone("UTC")
	}
	s := &Set{rules: rules, concerns: map[string]*concern{}, byHash: map[uint64]*campaign{}, byHalf: map[uint32]*campaign{}, names: map[string]string{}}
	var problems []Problem
	seen, used := map[string]bool{}, newUsage(rules)
	for i := range defs {
		c := &compiler{def: &defs[i], index: i, used: used}
		compiled := c.campaign()
		if seen[defs[i].Name] {
			c.problem("name", "the name "+defs[i].Name+" is taken by another campaign; names are unique")
		}
		seen[defs[i].Name] = true
		problems = append(problems, c.problems...)
		s.campaigns = append(s.campaigns, compiled)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	slices.SortFunc(s.campaigns, func(a, b *campaign) int { return strings.Compare(a.def.Name, b.def.Name) })
	for i, c := range s.campaigns {
		c.index, s.byHash[c.hash] = i, c
		s.wide = s.wide || s.byHalf[uint32(c.hash)] != nil
		s.byHalf[uint32(c.hash)] = c
		switch k := c.kind.(type) {
		case *inaction:
			s.zoned = s.zoned || k.delay == 0
		case *dateTimeProperty:
			s.zoned = true
		}
		for _, name := range c.kind.names() {
			s.names[name] = name
			listen(&s.concern(name).listeners, c)
		}
		for _, p := range c.exits {
			s.names[p.event] = p.event
			listen(&s.concern(p.event).followers, c)
		}
		if c.goal != nil {
			listen(&s.concern(c.goal.event).followers, c)
		}
		c.caps, c.capped = rules.capsOf(c.def.Tags)
		for _, limit := range c.caps {
			c.cappedBy = append(c.cappedBy, fmt.Sprintf("%s: %d per %s", limit.Name, limit.Max, calendar.FormatDuration(int64(limit.Per))))
		}
	}
	for name := range used.remember {
		s.concern(name).remember = true
	}
	_, s.untagged = rules.capsOf(nil)
	if !used.all {
		s.asked = newNames(used.keep)
	}
	if rules.Referenced {
		s.keep = s.asked
	}
	s.version = s.print()
	if used.longest > 0 { // a moment is looked back from as long as it can be found late
		used.longest += rules.MaxFuture + rules.AllowedLateness + rules.Settle + used.stale
	}
	s.rules.MaxAge = max(s.rules.MaxAge, used.longest)
	return s, nil
}

func (s *Set) concern(name string) *concern {
	of := s.concerns[name]
	if of == nil {
		of = new(concern)
		s.concerns[name] = of
	}
	return of
}

func listen(listeners *[]*campaign, c *campaign) {
	if l := *listeners; len(l) == 0 || l[len(l)-1] != c {
		*listeners = append(l, c)
	}
}

// Names lists the campaigns in order of name, the order of Counts.Campaigns.
func (s *Set) Names() []string {
	names := make([]string, len(s.campaigns))
	for i, c := range s.campaigns {
		names[i] = c.def.Name
	}
	return names
}

// Version tells this set of campaigns from others: a hash of their names and versions and of the rules, 16 hexadecimal digits.
func (s *Set) Version() string { return s.version }

func (s *Set) print() string {
	h := sha256.New()
	rules := s.rules
	rules.Zone, rules.Keep = nil, slices.Compact(slices.Sorted(slices.Values(rules.Keep)))
	fmt.Fprintf(h, "%s %+v\n", s.rules.Zone, rules)
	for _, c := range s.campaigns {
		fmt.Fprintf(h, "%s %s\n", c.def.Name, c.def.Version)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// compiler turns one definition into a campaign and collects its problems.
type compiler struct {
	def      *Definition
	index    int
	used     *usage
	problems []Problem
}

func (c *compiler) problem(path, message string) {
	c.problems = append(c.problems, Problem{Campaign: c.index, Path: path, Message: message})
}

// choice notes a value that is none of the allowed ones.
func (c *compiler) choice(path, got string, allowed ...string) {
	if slices.Contains(allowed, got) {
		return
	}
	listed := strings.Join(allowed, ", ")
	if last := len(allowed) - 1; last > 0 {
		listed = strings.Join(allowed[:last], ", ") + " or " + allowed[last]
	}
	meant := expr.Nearest(got, allowed)
	for _, a := range allowed {
		if meant == "" && got != "" && (strings.HasPrefix(strings.ToLower(got), a) || strings.HasPrefix(a, strings.ToLower(got))) {
			meant = a // monday, year
		}
	}
	c.problems = append(c.problems, Problem{Campaign: c.index, Path: path, Message: fmt.Sprintf("expected %s, not %q", listed, got), Suggestion: meant})
}

func (c *compiler) campaign() *campaign {
	d := c.def
	out := &campaign{index: c.index, def: d, hash: hashOf(d.Name), stale: 24 * 3600_000}
	switch {
	case d.Name == "":
		c.problem("name", "a campaign needs a name")
	case !nameForm.MatchString(d.Name):
		c.problem("name", "a name has 1 to 63 of the characters a-z, 0-9 and -")
	}
	out.category, out.kind = c.trigger(&d.Trigger)
	text, _ := json.Marshal(d.Trigger)
	out.trigger = hashOf(string(text))
	if d.Audience != "" {
		out.audience = c.expression("audience", d.Audience, expr.Audience)
		if out.audience != nil {
			names, all := out.audience.EventProperties()
			out.asksEvent = all || len(names) > 0
		}
	}
	if d.StaleAfter != nil {
		out.stale = int64(*d.StaleAfter)
		c.atLeastZero("stale_after", d.StaleAfter)
	}
	c.used.stale = max(c.used.stale, out.stale)
	c.schedule(d.Schedule)
	c.reentry(d.Reentry)
	c.waiting(d, out)
	out.goal = c.goal(d.Goal)
	c.deliver(d.Deliver)
	return out
}

func hashOf(text string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(text))
	return h.Sum64()
}

func (c *compiler) trigger(t *Trigger) (category string, k kind) {
	found := 0
	if t.SingleAction != nil {
		category, k, found = "single_action", c.singleAction(t.SingleAction), found+1
	}
	if t.Actions != nil {
		category, k, found = "actions", c.actions(t.Actions), found+1
	}
	if t.InactionWithinTime != nil {
		category, k, found = "inaction_within_time", c.inactionWithinTime(t.InactionWithinTime), found+1
	}
	if t.Inaction != nil {
		category, k, found = "inaction", c.inaction(t.Inaction), found+1
	}
	if t.DateTimeProperty != nil {
		category, k, found = "date_time_property", c.dateTimeProperty(t.DateTimeProperty), found+1
	}
	if found != 1 {
		c.problem("trigger", "expected exactly one of single_action, actions, inaction_within_time, inaction, date_time_property")
	}
	return category, k
}

func (c *compiler) expression(path, text string, scope expr.Scope) *expr.Program {
	p, err := expr.Compile(text, scope)
	if err != nil {
		c.wrong(path, err)
		return nil
	}
	c.used.program(p)
	return p
}

// wrong notes all that is wrong with an expression.
func (c *compiler) wrong(path string, err *expr.Error) {
	for _, e := range append([]*expr.Error{err}, err.More...) {
		c.problems = append(c.problems, Problem{Campaign: c.index, Path: path, Line: e.Line, Column: e.Column, Message: e.Message, Suggestion: e.Suggestion})
	}
}

func (c *compiler) positive(path string, d *Duration) int64 {
	if d == nil {
		return 0
	}
	if *d <= 0 {
		c.problem(path, "expected a duration above zero")
	}
	return int64(*d)
}

func (c *compiler) atLeastZero(path string, d *Duration) {
	if d != nil && *d < 0 {
		c.problem(path, "expected a duration, not a negative one")
	}
}

// lookBack is a required length of time that history must cover.
func (c *compiler) lookBack(path string, d *Duration) int64 {
	if d == nil {
		c.problem(path, "is required: a duration such as 30m or 3d")
		return 0
	}
	ms := c.positive(path, d)
	c.used.longest = max(c.used.longest, ms)
	return ms
}

func (c *compiler) deliver(list []Delivery) {
	if len(list) == 0 {
		c.problem("deliver", "is required: {endpoint: NAME}")
	}
	if len(list) > 5 {
		c.problem("deliver", fmt.Sprintf("has %d entries; at most 5 are allowed", len(list)))
	}
	seen := map[string]bool{}
	for i, d := range list {
		path := "deliver"
		if len(list) > 1 {
			path = fmt.Sprintf("deliver[%d]", i)
		}
		if d.Endpoint == "" {
			c.problem(path+".endpoint", "is required")
		} else if seen[d.Endpoint] {
			c.problem(path+".endpoint", "the endpoint "+d.Endpoint+" is listed twice")
		}
		seen[d.Endpoint] = true
		c.positive(path+".expires", d.Expires)
	}
}

// order sorts the standings by campaign: names may have come and gone since the row was written.
func (s *Set) order(u *User) {
	for i := 1; i < len(u.standings); i++ {
		for j := i; j > 0 && u.standings[j].c.index < u.standings[j-1].c.index; j-- {
			u.standings[j], u.standings[j-1] = u.standings[j-1], u.standings[j]
		}
	}
}

// came says whether the campaign came after the set of a number: what is known of its name is of another one, which had gone.
func (s *Set) came(c *campaign, number uint64) bool {
	return s.entries != nil && s.entries[c.index].Born > number
}
