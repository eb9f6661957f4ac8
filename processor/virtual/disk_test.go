package virtual

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/processor/campaign/value"
)

// A line whose users are on disk most of the time decides what one does that has them all in memory.
func TestOnDisk(t *testing.T) {
	minute, two, deliver := campaign.Duration(60_000), 2, []campaign.Delivery{{Endpoint: "x"}}
	set, problems := campaign.Compile(campaign.Rules{MaxFuture: 1000, Settle: 1000, MaxAge: 3_600_000, MaxEvents: 100, MaxOpen: 10}, []campaign.Definition{
		{Name: "watch", Deliver: deliver, Trigger: campaign.Trigger{InactionWithinTime: &campaign.InactionWithinTime{
			After: &campaign.Pattern{Event: "a"}, Without: &campaign.Pattern{Event: "b"}, Within: &minute}}},
		{Name: "both", Deliver: deliver, Audience: `count("a", "1h") > 3 && profile.n != 2`, Trigger: campaign.Trigger{Actions: &campaign.Actions{
			All: []campaign.Pattern{{Event: "a", AtLeast: &two}, {Event: "b"}}, Within: &minute}}},
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var got [2][]string
	emit := func(i int) func(*campaign.Output) {
		return func(out *campaign.Output) {
			for j := range out.Triggers {
				got[i] = append(got[i], string(out.Triggers[j].Append(nil, 0)))
			}
		}
	}
	type key struct {
		id   string
		part uint32
	}
	rows, puts := map[key][]byte{}, 0
	disk := &Disk{Memory: 20_000, Heads: 5000, Put: func(id string, part uint32, content []byte) error {
		puts++
		if content == nil {
			delete(rows, key{id, part})
		} else {
			rows[key{id, part}] = content
		}
		return nil
	}, Get: func(id string, part uint32) ([]byte, error) { return rows[key{id, part}], nil }}
	lines := []*Line{New(set, emit(0)), NewOnDisk(set, disk, emit(1))}
	rng := rand.New(rand.NewPCG(1, 2))
	now := int64(1_000_000)
	for i := range 20_000 {
		now += rng.Int64N(300)
		user, name, what := fmt.Sprintf("u-%d", rng.IntN(300)), []string{"a", "b"}[rng.IntN(2)], rng.IntN(200)
		late := rng.Int64N(2000)
		for _, l := range lines {
			switch what {
			case 0:
				l.Erase(user, now)
			case 1:
				l.Profile(&record.Profile{User: user, Properties: value.Properties{{Name: "n", Value: value.OfNumber(float64(i % 3))}}}, now)
			default:
				l.Event(&record.Event{User: user, Name: name, Time: now - late}, now)
			}
		}
	}
	for _, l := range lines {
		l.Until(now + 100_000)
	}
	if err := lines[1].Err(); err != nil {
		t.Fatal(err)
	}
	if len(got[0]) < 1000 || puts < 10_000 || lines[0].Users() != lines[1].Users() {
		t.Fatalf("%d triggers, %d puts, %d and %d users: too little happened", len(got[0]), puts, lines[0].Users(), lines[1].Users())
	}
	if len(got[0]) != len(got[1]) {
		t.Fatalf("%d triggers in memory, %d on disk", len(got[0]), len(got[1]))
	}
	for i := range got[0] {
		if got[0][i] != got[1][i] {
			t.Fatalf("trigger %d is\n%s\nin memory, on disk\n%s", i, got[0][i], got[1][i])
		}
	}
}

func TestDiskFails(t *testing.T) {
	set, problems := campaign.Compile(campaign.Rules{MaxEvents: 10, MaxOpen: 10}, []campaign.Definition{{Name: "c", Deliver: []campaign.Delivery{{Endpoint: "x"}},
		Trigger: campaign.Trigger{SingleAction: &campaign.SingleAction{Pattern: campaign.Pattern{Event: "a"}}}}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	full := fmt.Errorf("disk full")
	l := NewOnDisk(set, &Disk{Memory: 1, Put: func(string, uint32, []byte) error { return full }}, func(*campaign.Output) {})
	for i := range 10 {
		l.Event(&record.Event{User: fmt.Sprint(i), Name: "a", Time: 1}, 1)
	}
	if l.Err() != full {
		t.Errorf("the line says %v", l.Err())
	}
}
