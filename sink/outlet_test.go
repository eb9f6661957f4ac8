//go:build synctests

package sink

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestWake holds that lanes that wait for room at a swift endpoint are woken one after the other in the order in which they came, each by a
// landing, once a quarter of what was there has gone; and that one that has taken its flights back is not.
func TestWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wait sync.WaitGroup
		land := make(chan struct{})
		o := &outlet{wait: &wait, maxBytes: 1 << 20, lanes: map[*laneRun]*[2]int{}, attempt: func(*flight) { <-land }}
		lanes := make([]*laneRun, 4)
		for i := range lanes {
			lanes[i] = &laneRun{wake: make(chan struct{}, 1)}
		}
		woken := func() (who []int) {
			synctest.Wait()
			for i, l := range lanes {
				select {
				case <-l.wake:
					who = append(who, i)
				default:
				}
			}
			return who
		}
		for range 8 {
			if !o.offer(&flight{lane: lanes[0]}) {
				t.Fatal("there is no room")
			}
		}
		now := time.Now().UnixMilli()
		for range 500 { // of 100 ms: it is swift
			o.flow.End(now)
		}
		for _, i := range []int{2, 1, 3, 2} {
			if !o.awaits(lanes[i], true, now) {
				t.Fatal("it does not wait for an endpoint that is swift")
			}
		}
		o.withdraw(lanes[1])
		for n, want := range [][]int{{}, {2}, {3}, {}} {
			land <- struct{}{}
			if got := woken(); len(got) != len(want) || len(want) > 0 && got[0] != want[0] {
				t.Errorf("landing %d woke %v, not %v", n, got, want)
			}
		}
		close(land)
		wait.Wait()
	})
}
