package dump_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/calendar"
	"github.com/tripline/tripline/processor/campaign/dump"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/row"
	"github.com/tripline/tripline/processor/campaign/value"
)

func hours(n int64) *campaign.Duration {
	d := campaign.Duration(n * 3600_000)
	return &d
}

// user is a set of campaigns and one user's rows.
type user struct {
	t    *testing.T
	set  *campaign.Set
	rows map[uint32][]byte
}

func newUser(t *testing.T, rules campaign.Rules, defs ...campaign.Definition) *user {
	set, problems := campaign.Compile(rules, defs)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return &user{t: t, set: set, rows: map[uint32][]byte{}}
}

func (u *user) step(do func(*campaign.User, *campaign.Output)) {
	u.t.Helper()
	open, err := u.set.Open("ann", u.rows[0], func(n uint32) []byte { return u.rows[n] })
	if err != nil {
		u.t.Fatal(err)
	}
	var out campaign.Output
	do(open, &out)
	open.Rows(func(n uint32, content []byte) {
		if content == nil {
			delete(u.rows, n)
			return
		}
		u.rows[n] = bytes.Clone(content)
	})
}

func (u *user) event(ms int64, name, text string) {
	u.t.Helper()
	r := value.NewReader(text)
	properties := r.Properties()
	u.step(func(open *campaign.User, out *campaign.Output) {
		open.Event(&record.Event{ID: fmt.Sprint(name, ms), User: "ann", Name: name, Time: ms, Properties: properties}, ms, out)
	})
}

func (u *user) read(names ...string) *dump.User {
	u.t.Helper()
	x, err := dump.Read("ann", u.rows[0], func(n uint32) []byte { return u.rows[n] }, dump.NamesOf(names))
	if err != nil {
		u.t.Fatal(err)
	}
	return x
}

// All that a row can hold is shown in words and times, also of a campaign that is gone.
func TestRead(t *testing.T) {
	zone, _ := calendar.LoadZone("UTC")
	u := newUser(t, campaign.Rules{Zone: zone, TimezoneProperty: "timezone", MaxAge: 1 << 40, MaxEvents: 100,
		Caps: []campaign.Cap{{Name: "all", Max: 5, Per: *hours(24)}}},
		campaign.Definition{Name: "cart", Deliver: []campaign.Delivery{{Endpoint: "e"}},
			Trigger: campaign.Trigger{InactionWithinTime: &campaign.InactionWithinTime{After: &campaign.Pattern{Event: "Cart"},
				Without: &campaign.Pattern{Event: "Paid"}, Within: hours(1), Same: []string{"id", "n", "b", "l"}}}},
		campaign.Definition{Name: "paid", Deliver: []campaign.Delivery{{Endpoint: "e"}}, Audience: `first("Paid") != nil`,
			Goal:    &campaign.Goal{Pattern: campaign.Pattern{Event: "Seen"}, Within: hours(1)},
			Trigger: campaign.Trigger{SingleAction: &campaign.SingleAction{Pattern: campaign.Pattern{Event: "Paid"}}}},
		campaign.Definition{Name: "later", Deliver: []campaign.Delivery{{Endpoint: "e"}}, Delay: hours(2),
			Trigger: campaign.Trigger{SingleAction: &campaign.SingleAction{Pattern: campaign.Pattern{Event: "Paid"}}}})
	u.step(func(open *campaign.User, out *campaign.Output) {
		open.Profile(&record.Profile{User: "ann", Properties: value.Properties{{Name: "country", Value: value.OfString("CA")}}}, 1, out)
	})
	u.event(3600_000, "Cart", `{"id":"c1","n":7.5,"b":true,"l":[1,{"x":null}]}`)
	u.event(3601_000, "Paid", `{"amount":12345678901234567890}`)
	x := u.read("cart", "paid")
	if len(x.Campaigns) == 0 || len(x.Campaigns[0].Timers) != 1 || x.Campaigns[0].Timers[0].Event == nil || x.Campaigns[0].Timers[0].Event.Event != "Cart" {
		t.Errorf("the watch's event is not shown: %+v", x.Campaigns)
	}
	got, err := json.MarshalIndent(x, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"user_id": "ann"`, `"country": "CA"`, `"event": "Cart"`, `"time": "1970-01-01T01:00:00.000Z"`, `"amount": 12345678901234567890`,
		`"campaign": "cart"`, `"until": "1970-01-01T02:00:00.000Z"`, `"c1"`, `7.5`, `"x": null`,
		`"first": {`, `"counters": [`, `"left": "1970-01-01T01:00:01.000Z"`, `"trigger_id": "trg_`,
		`"campaign": "unknown campaign`, `"due": "1970-01-01T03:00:01.000Z"`,
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

// History that does not fit the head is read from its parts; where one is missing that is an error.
func TestReadParts(t *testing.T) {
	u := newUser(t, campaign.Rules{MaxAge: 1 << 40, MaxEvents: 1000}, campaign.Definition{Name: "paid", Deliver: []campaign.Delivery{{Endpoint: "e"}},
		Trigger: campaign.Trigger{SingleAction: &campaign.SingleAction{Pattern: campaign.Pattern{Event: "Paid"}}}})
	for i := range int64(300) {
		u.event(i*1000, "Seen", "{}")
	}
	if x := u.read(); len(x.History) != 300 || x.History[299].Seq != 300 {
		t.Errorf("%d events", len(x.History))
	}
	head := u.rows[0]
	if _, err := dump.Read("ann", head, func(uint32) []byte { return nil }, nil); err == nil {
		t.Error("missing parts are no error")
	}
	for n := range head { // any cut is an error, none a panic
		if _, err := dump.Read("ann", head[:n], func(n uint32) []byte { return u.rows[n] }, nil); err == nil && n < len(head) {
			t.Errorf("the first %d bytes of %d are no error", n, len(head))
		}
	}
	if _, err := dump.Read("ann", []byte{99}, nil, nil); err == nil || !strings.Contains(err.Error(), "format 99") {
		t.Error(err)
	}
}

// TestPrevious holds what rows of the version before tell equal to what was told of them when they were written.
func TestPrevious(t *testing.T) {
	text, err := os.ReadFile("testdata/previous.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range strings.Split(strings.TrimSpace(string(text)), "\n\n") {
		parts := map[uint32][]byte{}
		want := ""
		for line := range strings.Lines(user) {
			n, content, _ := strings.Cut(strings.TrimSpace(line), " ")
			part, err := strconv.Atoi(n)
			if err != nil {
				want = strings.TrimSpace(line)
				continue
			}
			if parts[uint32(part)], err = hex.DecodeString(content); err != nil {
				t.Fatal(err)
			}
		}
		x, err := dump.Read("u", parts[0], func(n uint32) []byte { return parts[n] }, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		if _, rest, _ := strings.Cut(want, ","); !strings.HasSuffix(string(got), rest) || rest == "" {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		for n := range parts[0] { // any cut is an error, none a panic
			if _, err := row.Upgraded(parts[0][:n]); err == nil {
				t.Errorf("the first %d bytes of %d are no error", n, len(parts[0]))
			}
		}
	}
}
