package campaign_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tripline/tripline/processor/campaign"
	"github.com/tripline/tripline/processor/campaign/record"
)

// BenchmarkHistory is an event of a user with so many events of history, from its record to the user's new row: decode, R1's campaigns, and one whose
// audience has a count and a sum over 90 days. Users are in memory, or opened from their rows for each event.
func BenchmarkHistory(b *testing.B) {
	for _, kind := range []string{"warm", "cold"} {
		for _, events := range []int{10, 10_000} {
			b.Run(fmt.Sprintf("%s-%d", kind, events), func(b *testing.B) {
				h := newVeterans(b, events, kind == "cold")
				b.ReportAllocs()
				spent, perUser := int64(0), 8 // so many events of each user are measured until all are what they were
				if kind == "warm" {
					perUser = max(8, events/50)
				}
				for b.Loop() {
					before := usage(b)
					for range 64 * perUser {
						h.next()
					}
					spent += usage(b) - before
					h.renew(b)
				}
				b.ReportMetric(float64(spent)/float64(b.N)/64/float64(perUser), "cpu-ns/event")
			})
		}
	}
}

// veterans are 64 users who all have as many events, and one more of each.
type veterans struct {
	set    *campaign.Set
	cold   bool
	events int
	heads  [64][]byte
	parts  [64]map[uint32][]byte
	users  [64]*campaign.User
	values [][]byte
	out    campaign.Output
	n      int
	fresh  []byte
	room   record.Room
}

const (
	began = int64(1_760_000_000_000)
	pace  = int64(10 * 60_000) // ms between a user's events: 10,000 are 69 days
)

func newVeterans(b *testing.B, events int, cold bool) *veterans {
	minutes := func(n int64) *campaign.Duration { d := campaign.Duration(n * 60_000); return &d }
	deliver := []campaign.Delivery{{Endpoint: "hook"}}
	set, problems := campaign.Compile(campaign.Rules{MaxFuture: 300_000, Settle: 60_000, MaxAge: 30 * 86_400_000, MaxEvents: 10_000, MaxOpen: 1000, Referenced: true},
		[]campaign.Definition{
			{Name: "abandoned", Deliver: deliver, Trigger: campaign.Trigger{InactionWithinTime: &campaign.InactionWithinTime{
				After: &campaign.Pattern{Event: "Added To Cart"}, Without: &campaign.Pattern{Event: "Charged"}, Within: minutes(30)}}},
			{Name: "expensive", Deliver: deliver, Trigger: campaign.Trigger{SingleAction: &campaign.SingleAction{
				Pattern: campaign.Pattern{Event: "Product Viewed", Where: "event.price >= 250"}}}},
			{Name: "loyal", Deliver: deliver, Audience: `count("Charged", "90d") > 100000 && sum("Charged", "price", "90d") > 10 || sum("Charged", "price", "90d") < 0`,
				Trigger: campaign.Trigger{SingleAction: &campaign.SingleAction{Any: []campaign.Pattern{{Event: "Added To Cart"}, {Event: "Product Viewed"}, {Event: "Charged"}}}}},
		})
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	h := &veterans{set: set, cold: cold, events: events}
	for i := range 1000 {
		name := []string{"Added To Cart", "Added To Cart", "Added To Cart", "Added To Cart", "Added To Cart", "Added To Cart",
			"Product Viewed", "Product Viewed", "Product Viewed", "Charged"}[i*7919%10]
		h.values = append(h.values, fmt.Appendf(nil, `{"id":"2f1c4b1e-0000-4000-8000-%012d","event":%q,"properties":{"cart_id":"%012x","product_id":"p-%05d","name":"Trail shoe, waterproof",`+
			`"category":"shoes/outdoor","price":%.2f,"quantity":%d,"currency":"USD","url":"https://shop.example/p/%0120x"}}`,
			0, name, i, i, float64(i*37%30_000)/100, 1+i%4, i))
	}
	for i := range h.users {
		h.parts[i] = map[uint32][]byte{}
		h.users[i], _ = set.Open(fmt.Sprintf("user-%07d", i), nil, nil)
	}
	for i, u := range h.users { // each at another point between two merges of its chunks
		for h.n = 64*(events-events*(256+i)/256) + i; h.n < events*64; h.n += 64 {
			h.event(u, i)
			h.out.Reset()
		}
	}
	for i, u := range h.users {
		u.Rows(func(n uint32, content []byte) { h.put(i, n, content) })
	}
	h.renew(b)
	return h
}

// put keeps a part of a row, unless it stands there already.
func (h *veterans) put(i int, n uint32, content []byte) {
	switch {
	case n == 0:
		h.heads[i] = slices.Clone(content)
	case content == nil:
		delete(h.parts[i], n)
	default:
		h.parts[i][n] = slices.Clone(content)
	}
}

// renew has all users be what they were, and read what their events need.
func (h *veterans) renew(b *testing.B) {
	h.n = h.events * 64
	if h.cold {
		return
	}
	for i := range h.users {
		h.users[i] = h.open(b, i)
		h.event(h.users[i], i)
		h.users[i].Rows(func(uint32, []byte) {})
		h.out.Reset()
		h.n++
	}
}

func (h *veterans) open(b testing.TB, i int) *campaign.User {
	u, err := h.set.Open(fmt.Sprintf("user-%07d", i), h.heads[i], func(n uint32) []byte { return h.parts[i][n] })
	if err != nil {
		b.Fatal(err)
	}
	return u
}

func (h *veterans) event(u *campaign.User, i int) {
	h.fresh = append(h.fresh[:0], h.values[(h.n+1<<20)*31%len(h.values)]...)
	copy(h.fresh[len(`{"id":"2f1c4b1e-0000-4000-8000-`):], fmt.Sprintf("%012d", h.n+1<<20)) // no two have one id
	now := began + int64((h.n+1<<20)/64)*pace
	ev, bad := (&record.Envelope{}).EventInto(&h.room, fmt.Appendf(nil, "user-%07d", i), h.fresh, now)
	if bad != nil {
		panic(bad)
	}
	u.Event(&ev, now, &h.out)
}

// next applies one more event of the next user.
func (h *veterans) next() {
	i := h.n % 64
	u := h.users[i]
	if h.cold {
		u = h.open(nil, i)
	}
	h.event(u, i)
	u.Rows(func(uint32, []byte) {})
	h.out.Reset()
	h.n++
}
