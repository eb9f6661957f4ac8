package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// narrate prints a line for each trigger and each delivery from now on.
func narrate(ctx context.Context, cfg *loaded, out io.Writer) error {
	client, err := kgo.NewClient(append(cfg.client(), kgo.ConsumeTopics(cfg.Topics.Triggers, cfg.Topics.Deliveries),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))...)
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		fetches.EachRecord(func(r *kgo.Record) {
			var v struct {
				ID, Campaign, Category, Endpoint, Outcome, Reason string
				User                                              string `json:"user_id"`
				Trigger                                           string `json:"trigger_id"`
				Attempt, Status                                   int
			}
			if json.Unmarshal(r.Value, &v) != nil {
				return
			}
			if r.Topic == cfg.Topics.Triggers {
				fmt.Fprintf(out, "%s trigger   %s %s (%s) for %s\n", clockTime(time.Now()), v.ID, v.Campaign, v.Category, v.User)
				return
			}
			became := fmt.Sprintf("%s, attempt %d", v.Outcome, v.Attempt)
			if v.Status > 0 {
				became += fmt.Sprintf(", status %d", v.Status)
			}
			if v.Reason != "" {
				became += ", " + v.Reason
			}
			fmt.Fprintf(out, "%s delivery  %s %s to %s: %s\n", clockTime(time.Now()), v.Trigger, v.Campaign, v.Endpoint, became)
		})
	}
}

// live produces what sample users do until ctx ends.
func live(ctx context.Context, cfg *loaded) error {
	client, err := kgo.NewClient(cfg.client()...)
	if err != nil {
		return err
	}
	defer client.Close()
	users := sampleUsersOf(40)
	tick := time.NewTicker(150 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			u := users[rand.IntN(len(users))]
			event := u.act(now, n)
			value, err := json.Marshal(event)
			if err != nil {
				return err
			}
			if err := client.ProduceSync(ctx, &kgo.Record{Topic: cfg.Topics.Events[0], Key: []byte(u.name), Value: value}).FirstErr(); err != nil && ctx.Err() == nil {
				return cfg.explain("produce sample events", err)
			}
		}
	}
}

// sampleUser is someone who shops.
type sampleUser struct {
	name, country, cart string
}

func sampleUsersOf(n int) []*sampleUser {
	countries := []string{"CA", "US", "DE", "JP"}
	users := make([]*sampleUser, n)
	for i := range users {
		users[i] = &sampleUser{name: fmt.Sprintf("u-%d", i+1), country: countries[i%len(countries)]}
	}
	return users
}

// act is what the user does next. Over a minute, forty users live through all kinds.
func (u *sampleUser) act(now time.Time, n int) map[string]any {
	event := func(name string, properties map[string]any) map[string]any {
		return map[string]any{"id": fmt.Sprintf("sample-%d-%d", now.UnixNano(), n), "event": name, "time": now.UTC().Format(time.RFC3339Nano),
			"properties": properties, "profile": map[string]any{"country": u.country}}
	}
	switch pick := rand.IntN(10); {
	case pick < 2:
		return event("App Launched", map[string]any{"source": []string{"push", "icon"}[rand.IntN(2)]})
	case pick < 5:
		return event("Product Viewed", map[string]any{"product": fmt.Sprintf("p-%d", rand.IntN(100))})
	case pick < 7:
		u.cart = fmt.Sprintf("c-%d", n)
		return event("Added To Cart", map[string]any{"cart_id": u.cart, "amount": 20 + rand.IntN(120)})
	case pick < 9:
		return event("Charged", map[string]any{"cart_id": u.cart + "", "amount": 20 + rand.IntN(200)})
	default:
		return event("Flight Booked", map[string]any{"booking_id": fmt.Sprintf("b-%d", n), "departs_at": now.Add(20 * time.Second).UTC().Format(time.RFC3339)})
	}
}
