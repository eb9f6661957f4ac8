package expr

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tripline/tripline/processor/campaign/value"
)

func parsedObject(t testing.TB, json string) value.Properties {
	t.Helper()
	p, err := value.ParseObject([]byte(json))
	if err != nil {
		t.Fatalf("%s: %v", json, err)
	}
	return p
}

// moment is 2026-11-24T10:44:00Z, a Tuesday.
var moment = time.Date(2026, 11, 24, 10, 44, 0, 0, time.UTC).UnixMilli()

// shop is what the tables judge against: an event, a profile, and a history in which Charged happened three times.
func shop(t testing.TB) *Env {
	return &Env{
		Event: parsedObject(t, `{"amount":129.95,"qty":3,"whole":3.0,"currency":"CAD","paid":true,"five":"5","none":null,"tags":["new","sale"],
			"items":[{"sku":"A-1","price":100,"n":1},{"sku":"B-2","price":29.95,"n":2}],"address":{"city":"Ottawa","geo":{"lat":45.4}},
			"id":12345678901234567,"same_id":12345678901234567.0,"other_id":12345678901234568,"huge":1e400,"mixed":[1,"1",null,true],
			"at":"2026-11-24T10:00:00Z","empty":[],"Requested Product":"Socks","time":"never"}`),
		HasEvent: true,
		Profile:  parsedObject(t, `{"country":"CA","age":41,"vip":false,"visits":0}`),
		User:     "u-17",
		Now:      moment,
		Look: func(l *Lookup) Answer {
			if l.Event != "Charged" {
				return Answer{}
			}
			charged := parsedObject(t, `{"amount":80,"currency":"USD","time":"never"}`)
			switch l.Function {
			case Count:
				return Answer{Number: 3, OK: true}
			case First, Last:
				return Answer{OK: true, Event: charged, Time: moment - 2*24*3600_000}
			case Since:
				return Answer{Number: 2 * 24 * 3600_000, OK: true}
			}
			return Answer{Number: 80, OK: true}
		},
	}
}

// judge judges text as an audience. want is "true" or "false", or else what the failure contains.
func judge(t *testing.T, text, want string) {
	t.Helper()
	p, wrong := Compile(text, Audience)
	if wrong != nil {
		t.Errorf("%s: %v", text, wrong)
		return
	}
	got, err := p.True(shop(t))
	if want == "true" || want == "false" {
		if err != nil || got != (want == "true") {
			t.Errorf("%s: %v, %v; expected %s", text, got, err, want)
		}
	} else if err == nil || got || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v, %v; expected a failure with %q", text, got, err, want)
	}
}

func TestRules(t *testing.T) {
	content, err := os.ReadFile("testdata/rules.txt")
	if err != nil {
		t.Fatal(err)
	}
	judged := 0
	for _, section := range strings.Split(string(content), "\n## ")[1:] {
		heading, body, _ := strings.Cut(section, "\n")
		lines := strings.Split(strings.TrimSpace(body), "\n")
		t.Run(heading, func(t *testing.T) {
			want := heading[strings.LastIndex(heading, " ")+1:]
			for i, text := range lines {
				if strings.HasPrefix(text, "    ") {
					continue
				}
				expected := want
				if want == "fails" {
					expected = strings.TrimSpace(lines[i+1])
				}
				judge(t, text, expected)
				judged++
			}
		})
	}
	if judged < 300 {
		t.Errorf("only %d lines", judged)
	}
}

func TestWithoutHistory(t *testing.T) {
	text := `count("A", "1d") == 0 && sum("A", "x", "1d") == 0 && last("A") == nil && since("A") == nil && min("A", "x", "1d") == nil`
	p, wrong := Compile(text, Audience)
	if wrong != nil {
		t.Fatal(wrong)
	}
	if ok, err := p.True(&Env{}); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
}

func TestWithoutEvent(t *testing.T) {
	env := shop(t)
	env.HasEvent = false
	for text, want := range map[string]bool{
		`event == nil`: true, `event.qty == nil`: true, `event.qty == 3`: false, `event.qty != 3`: true, `(event ?? 5) == 5`: true,
		`"qty" in event`: false, `len(event) == nil`: true, `event.a.b == 1`: false, `profile.age == 41`: true,
	} {
		p, wrong := Compile(text, Audience)
		if wrong != nil {
			t.Errorf("%s: %v", text, wrong)
			continue
		}
		if got, err := p.True(env); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

// The machine's own zone must have no part in a decision.
func TestZoneOfTheMachine(t *testing.T) {
	before := time.Local
	defer func() { time.Local = before }()
	time.Local = time.FixedZone("EST", -5*3600)
	for text := range strings.Lines(`
		date("Tue, 24 Nov 2026 10:44:00 EST").Hour() == 10
		date("24 Nov 26 10:44 EST") == now()
		date("2026-11-24T10:44:00-05:00").Location().String() == ""
		now().Hour() == 10
		string(now()) contains "UTC"`) {
		if text = strings.TrimSpace(text); text != "" {
			judge(t, text, "true")
		}
	}
}
