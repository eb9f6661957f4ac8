package policy

import (
	"math/rand/v2"
	"testing"
)

// TestThrottleKeepsToItsLimit holds against a count of all attempts that in no stretch of time there are more than the limit allows,
// and that who asks again when it is told to loses nothing of it.
func TestThrottleKeepsToItsLimit(t *testing.T) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 2))
		limit := Limit{PerSecond: 0.5 + 100*random.Float64(), Burst: 1 + float64(random.IntN(50))}
		var th Throttle
		now := int64(1_000_000_000_000)
		th.Set(limit, now)
		var at []int64
		for len(at) < 300 {
			if random.IntN(40) == 0 {
				now += random.Int64N(5000)
			}
			if wait := th.Take(now); wait > 0 {
				now += wait
				if again := th.Take(now); again > 0 {
					t.Fatalf("seed %d: told to wait %d ms, then %d more", seed, wait, again)
				}
			}
			at = append(at, now)
		}
		for i := range at {
			for j := i + 1; j < len(at); j++ {
				if most := limit.Burst + limit.PerSecond*float64(at[j]-at[i]+1)/1000; float64(j-i+1) > most+1 {
					t.Fatalf("seed %d: %d attempts in %d ms, limit %+v", seed, j-i+1, at[j]-at[i], limit)
				}
			}
		}
	}
}

func TestThrottleGivesAMemberItsPart(t *testing.T) {
	var th Throttle
	th.Set(Limit{PerSecond: 100, Burst: 10}.Part(0.25), 0)
	n := 0
	for now := int64(0); now < 60_000; now++ {
		for th.Take(now) == 0 {
			n++
		}
	}
	if n < 1490 || n > 1505 {
		t.Errorf("%d attempts in a minute of a quarter of 100/s", n)
	}
	// More partitions do not bring tokens at once.
	for th.Take(60_000) == 0 {
	}
	th.Set(Limit{PerSecond: 100, Burst: 1000}, 60_000)
	if th.Take(60_000) == 0 {
		t.Error("a token that nobody has earned")
	}
}

// TestSlow holds that complaints halve the rate of the last ten seconds, those about one rate once, not below 1/s, and that it comes
// back by a tenth every ten seconds.
func TestSlow(t *testing.T) {
	var th Throttle
	now := int64(1_000_000)
	for range 10 * 40 { // 40 a second
		if th.Take(now) != 0 {
			t.Fatal("slowed without a complaint")
		}
		now += 25
	}
	if !th.Slow(now-10, now) || th.Slow(now-5, now+1) || th.Slow(now-1, now+2) {
		t.Error("one rate was halved more than once")
	}
	if got := th.Rate(now); got != 20 {
		t.Errorf("%v, want half of 40", got)
	}
	n := 0
	for end := now + 5000; now < end; now++ {
		for th.Take(now) == 0 {
			n++
		}
	}
	if n < 99 || n > 102 {
		t.Errorf("%d attempts in 5 s of 20/s", n)
	}
	th.Slow(now, now)
	for i, want := range []float64{10, 14, 18, 22, 26, 30, 34, 38, 0, 0} {
		if got := th.Rate(now + int64(i)*10_000); got != want {
			t.Errorf("after %d0 s: %v, want %v", i, got, want)
		}
	}
	now += 1_000_000
	for range 100 {
		th.Take(now)
		th.Slow(now, now)
		now++
	}
	if got := th.Rate(now); got != 1 {
		t.Errorf("%v, want 1", got)
	}
	// Where a limit is set, that is what is halved.
	var set Throttle
	set.Set(Limit{PerSecond: 50, Burst: 1}, now)
	set.Slow(now, now)
	if got := set.Rate(now); got != 25 {
		t.Errorf("%v, want half of 50", got)
	}
	if got := set.Rate(now + 50_000); got != 50 {
		t.Errorf("%v, want 50", got)
	}
}

func TestComplains(t *testing.T) {
	for status, want := range map[int]bool{429: true, 502: true, 504: true, 500: false, 503: false, 200: false, 0: false} {
		if Complains(Answer{Status: status}) != want {
			t.Errorf("%d: %v", status, !want)
		}
	}
}
