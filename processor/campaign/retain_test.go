package campaign_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"weak"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
)

// TestRecordsAreLetGo keeps users open, whose events were read from records of their own each: when their steps are over, nothing is left of
// those. What is would keep the whole batch in memory that the record came in.
func TestRecordsAreLetGo(t *testing.T) {
	within := campaign.Duration(30 * 60_000)
	deliver := []campaign.Delivery{{Endpoint: "hook"}}
	for _, rules := range []campaign.Rules{{MaxFuture: 300_000, Settle: 60_000, MaxOpen: 1000}, {MaxFuture: 300_000, Settle: 60_000, MaxOpen: 1000, Referenced: true}} {
		set, problems := campaign.Compile(rules, []campaign.Definition{
			{Name: "abandoned", Deliver: deliver, Trigger: campaign.Trigger{InactionWithinTime: &campaign.InactionWithinTime{
				After: &campaign.Pattern{Event: "Added To Cart"}, Without: &campaign.Pattern{Event: "Charged"}, Within: &within}}},
			{Name: "both", Deliver: deliver, Trigger: campaign.Trigger{Actions: &campaign.Actions{Within: &within,
				All: []campaign.Pattern{{Event: "Product Viewed"}, {Event: "Added To Cart"}}}}, Audience: `count("Charged", "7d") < 100`},
			{Name: "seen", Deliver: deliver, Trigger: campaign.Trigger{SingleAction: &campaign.SingleAction{
				Pattern: campaign.Pattern{Event: "Product Viewed", Where: `event.price >= 250 && event.name != ""`}}}},
		})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		var out campaign.Output
		var envelope record.Envelope
		var room record.Room
		var users []*campaign.User
		var read []weak.Pointer[byte]
		for i := range 20 {
			user, err := set.Open(fmt.Sprintf("user-%d", i), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			users = append(users, user)
			for j := range 60 {
				now := int64(1_760_000_000_000 + j*60_000)
				value := fmt.Appendf(nil, `{"event":%q,"properties":{"name":"%d %s","price":%d}}`, []string{"Added To Cart", "Product Viewed", "Charged"}[(i+j)%3],
					j, strings.Repeat("x", 10*j), 200+10*(j%10))
				event, bad := envelope.EventInto(&room, []byte(fmt.Sprintf("user-%d", i)), value, now)
				if bad != nil {
					t.Fatal(bad)
				}
				user.Event(&event, now, &out)
				read = append(read, weak.Make(&value[0]))
			}
		}
		out.Reset()
		room.Forget()
		runtime.GC()
		runtime.GC()
		left := 0
		for i := range read {
			if read[i].Value() != nil {
				left++
			}
		}
		if left > 0 {
			t.Errorf("%d of %d records are still in memory", left, len(read))
		}
		runtime.KeepAlive(users)
		runtime.KeepAlive(&out)
		runtime.KeepAlive(&room)
	}
}
