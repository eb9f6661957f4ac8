package policy

import (
	"math/rand/v2"
	"testing"
)

// sample is an attempt as the model keeps it.
type sample struct {
	at     int64
	failed bool
}

// opens is the dumb model: all attempts of the window, counted anew.
func opens(r Breaking, all []sample, now int64) bool {
	length := r.Window / slots
	n, bad := 0, 0
	for _, s := range all {
		if s.at/length > now/length-slots {
			n++
			if s.failed {
				bad++
			}
		}
	}
	return n >= r.MinSamples && float64(bad) >= r.FailureRate*float64(n)
}

// TestBreakerModel holds that a breaker opens when the model says so, lets one look through after its time, and closes or opens by
// it.
func TestBreakerModel(t *testing.T) {
	rules := Breaking{FailureRate: 0.5, MinSamples: 20, Window: 30_000, Open: 30_000}
	seen := map[Phase]int{}
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		var b Breaker
		var all []sample
		now, ill := int64(1_000_000_000_000), random.Float64()
		for range 400 {
			if now += random.Int64N(3000); random.IntN(50) == 0 {
				ill = random.Float64()
			}
			phase := b.Phase(now)
			seen[phase]++
			if phase == Open {
				if wait := b.Wait(now); wait <= 0 || b.Phase(now+wait-1) != Open || b.Phase(now+wait) != HalfOpen {
					t.Fatalf("seed %d: wait %d", seed, wait)
				}
				if b.End(rules, random.IntN(2) == 0, false, now) {
					t.Fatal("what began before it opened changed an open breaker")
				}
				continue
			}
			if b.Wait(now) != 0 {
				t.Fatalf("seed %d: %d to wait in phase %d", seed, b.Wait(now), phase)
			}
			look, failed := b.Begin(now), random.Float64() < ill
			if look != (phase == HalfOpen) {
				t.Fatalf("seed %d: look %v in phase %d", seed, look, phase)
			}
			if look && b.Wait(now) != -1 {
				t.Fatal("a second look beside the first")
			}
			if look && random.IntN(5) == 0 {
				b.Release()
				continue
			}
			b.End(rules, failed, look, now)
			want := failed
			if look {
				all = nil
			} else {
				all = append(all, sample{now, failed})
				want = opens(rules, all, now)
			}
			if want {
				all = nil
			}
			if got := b.Phase(now) == Open; got != want {
				t.Fatalf("seed %d: open %v, the model says %v", seed, got, want)
			}
		}
	}
	for phase := Normal; phase <= HalfOpen; phase++ {
		if seen[phase] == 0 {
			t.Errorf("phase %d was never met", phase)
		}
	}
}

func TestBreakerNone(t *testing.T) {
	var b Breaker
	for now := range int64(100) {
		if b.End(Breaking{}, true, b.Begin(now), now) || b.Phase(now) != Normal {
			t.Fatal("a breaker that is off opened")
		}
	}
	// Turned off while it is open.
	for now := range int64(20) {
		b.End(Breaking{FailureRate: 0.5, MinSamples: 2, Window: 100, Open: 100}, true, false, now)
	}
	if b.Phase(20) != Open || !b.End(Breaking{}, true, false, 21) || b.Phase(21) != Normal {
		t.Error("it is open still")
	}
}

func TestTrouble(t *testing.T) {
	for _, a := range []Answer{{Status: 500}, {Status: 503}, {Status: 429}, {Reason: Timeout}, {Reason: Connect}, {Reason: TLS}, {Reason: DNS}, {Reason: Closed}} {
		if !Trouble(a) {
			t.Errorf("%+v does not count", a)
		}
	}
	for _, a := range []Answer{{Status: 200}, {Status: 404}, {Status: 301}, {Status: 422}, {Reason: RefusedAddress}} {
		if Trouble(a) {
			t.Errorf("%+v counts", a)
		}
	}
}
