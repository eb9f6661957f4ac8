package expr

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tripline/tripline/processor/campaign/value"
)

func TestParts(t *testing.T) {
	event, _ := value.ParseObject([]byte(`{"amount":30,"kind":"a b","Requested Product":{"id":1}}`))
	profile, _ := value.ParseObject([]byte(`{"country":"US"}`))
	env := &Env{Event: event, HasEvent: true, Profile: profile, User: "ann", Now: 1000, Look: func(l *Lookup) Answer {
		switch l.Function {
		case Count:
			return Answer{Number: 3, OK: true}
		case Since:
			return Answer{Number: 90_000, OK: true}
		case Last:
			return Answer{OK: true, Event: event, Time: 500}
		}
		return Answer{}
	}}
	for text, want := range map[string]string{
		`event.amount >= 50`: `event.amount >= 50 = false; event.amount is 30`,
		`event.amount > 20 && profile.country == "CA" && user_id == "ann"`: `event.amount > 20 = true; event.amount is 30
profile.country == "CA" = false; profile.country is "US"
user_id == "ann" = true`,
		`count("Paid", "1d") == 0 and avg("Paid", "amount", "1d") > 3`: `count("Paid", "1d") == 0 = false; count("Paid", "1d") is 3
avg("Paid", "amount", "1d") > 3 = false; avg("Paid", "amount", "1d") is missing`,
		`since("Paid") > duration("1m") || last("Paid").amount == 30`: `since("Paid") > duration("1m") || last("Paid").amount == 30 = true; since("Paid") is 1m30s; last("Paid").amount is 30`,
		`event["Requested Product"].id == 1 && event.none == nil`: `event["Requested Product"].id == 1 = true; event["Requested Product"].id is 1
event.none == nil = true; event.none is missing`,
		`let x = event.amount; x > 1 && x < 3`: `let x = event.amount; x > 1 && x < 3 = false; event.amount is 30`,
	} {
		var lines []string
		all := true
		for _, p := range Parts(text, Audience, env) {
			line := fmt.Sprintf("%s = %v", p.Text, p.Holds)
			for _, v := range p.Values {
				line += "; " + v.Name + " is " + v.Value
			}
			lines, all = append(lines, line), all && p.Holds
		}
		if got := strings.Join(lines, "\n"); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", text, got, want)
		}
		p, wrong := Compile(text, Audience)
		if wrong != nil {
			t.Fatal(wrong)
		}
		if whole, _ := p.True(env); whole != all {
			t.Errorf("%s is %v, its parts together %v", text, whole, all)
		}
	}
}
