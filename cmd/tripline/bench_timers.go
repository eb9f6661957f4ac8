package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tripline/tripline/processor/campaign/record"
	"github.com/tripline/tripline/state"
)

// timersLoad is a timer that is open for each user, of whom there are as many as a run has events. Of some a second one comes due one
// after the other, and then all of them at once.
const timersLoad = "timers"

// soonCampaign has the timers that come due one after the other.
const soonCampaign = `
---
name: soon
trigger:
  inaction_within_time: {after: {event: Marked}, without: {event: Charged}, within: 5s}
deliver: {endpoint: hook}
`

const (
	soonWindow = 5 * time.Second // of soonCampaign
	soonRate   = 1000            // timers a second
	soonSpan   = 10 * time.Second
	burstAfter = 90 * time.Second // when all are due, from before they are written
)

// timers measures from when a timer is due to when its trigger can be read, and then how fast all the others fire.
func (b *benched) timers(ctx context.Context) error {
	set, err := b.set()
	if err != nil {
		return err
	}
	burst := time.Now().Add(burstAfter)
	cart := record.Event{Name: "Added To Cart", Time: burst.Add(-benchWindow).UnixMilli()}
	if err := b.write(ctx, b.o.events, [][]state.Row{userRows(set, []record.Event{cart})}); err != nil {
		return err
	}
	p, err := b.start(ctx, "keep", b.o.profile)
	if err != nil {
		return err
	}
	defer p.end()
	var began time.Time
	if _, err := p.restored(ctx, &began); err != nil {
		return err
	}
	late, err := b.soon(ctx)
	if err != nil {
		return err
	}
	if time.Now().After(burst) {
		return errors.New("all timers were due before the first were read")
	}
	slices.Sort(late)
	load := strconv.Itoa(b.o.events) + " open"
	b.t.add(rowTimer, b.broker, load, late[len(late)*99/100].Seconds()*1000)
	fmt.Fprintf(b.progress, "  timer to trigger: first %s, p50 %s, p99 %s, worst %s\n", late[0].Round(100*time.Microsecond), late[len(late)/2].Round(100*time.Microsecond),
		late[len(late)*99/100].Round(100*time.Microsecond), late[len(late)-1].Round(time.Millisecond))
	time.Sleep(time.Until(burst))
	want := float64(b.o.events + len(late))
	if _, err := p.until(ctx, 20*time.Millisecond, func(m sample) bool { return m["tripline_processor_triggers_total"] >= want }); err != nil {
		return err
	}
	b.t.add(rowBurst, b.broker, load, float64(b.o.events)/time.Since(burst).Seconds())
	if n, err := countCommitted(ctx, b.brokers, b.group+"-triggers"); err != nil || n != int(want) {
		return fmt.Errorf("%d triggers committed, %.0f expected: %w", n, want, err)
	}
	return p.stop()
}

// soon marks users at a steady rate, each once, and returns how long after their timers were due their triggers could be read.
func (b *benched) soon(ctx context.Context) (late []time.Duration, err error) {
	reader, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.ConsumeTopics(b.group+"-triggers"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(time.Second))
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	n := min(b.o.events, int(soonSpan.Seconds())*soonRate)
	ctx, cancel := context.WithTimeout(ctx, 2*(soonSpan+soonWindow))
	defer cancel()
	read := make(chan map[string]time.Time, 1)
	go func() { read <- triggersOf(ctx, reader, n) }()
	due := make(map[string]time.Time, n)
	var failed error // promises are kept one after the other
	for i, began := 0, time.Now(); i < n; i++ {
		if ahead := time.Until(began.Add(time.Duration(i) * time.Second / soonRate)); ahead > 0 {
			time.Sleep(ahead)
		}
		user, now := benchUser(i*(b.o.events/n)), time.Now().Truncate(time.Millisecond)
		due[user] = now.Add(soonWindow)
		b.client.Produce(ctx, &kgo.Record{Topic: b.load.topic, Key: []byte(user), Timestamp: now,
			Value: fmt.Appendf(nil, `{"user_id":%q,"event":"Marked","time":%d}`, user, now.UnixMilli())}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed = err
			}
		})
	}
	if err := errors.Join(b.client.Flush(ctx), failed); err != nil {
		return nil, err
	}
	for user, at := range <-read {
		if late = append(late, at.Sub(due[user])); due[user].IsZero() || at.Before(due[user]) {
			return nil, fmt.Errorf("the timer of %s, due at %s, has fired by %s", user, due[user], at)
		}
	}
	if len(late) < n {
		return nil, fmt.Errorf("%d of %d timers have fired", len(late), n)
	}
	return late, nil
}

// triggersOf reads triggers until it has seen those of n users. It returns when it has read each one's first.
func triggersOf(ctx context.Context, reader *kgo.Client, n int) map[string]time.Time {
	seen := make(map[string]time.Time, n)
	for len(seen) < n && ctx.Err() == nil {
		fetches := reader.PollFetches(ctx)
		now := time.Now()
		fetches.EachRecord(func(r *kgo.Record) {
			if _, again := seen[string(r.Key)]; !again {
				seen[string(r.Key)] = now
			}
		})
	}
	return seen
}
