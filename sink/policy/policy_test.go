package policy

import (
	"fmt"
	"testing"
)

var standard = Rules{Backoff: Backoff{Schedule: Schedule(), Quick: 2}, Success: []Statuses{{200, 299}}}

// TestTable is the table of outcomes, status by status.
func TestTable(t *testing.T) {
	for status := 100; status < 600; status++ {
		want := Retry
		switch {
		case status >= 200 && status <= 299:
			want = Delivered
		case status == 400, status == 405, status == 406, status == 411, status == 413, status == 414, status == 415,
			status == 422, status == 431, status == 410:
			want = Failed
		}
		v := standard.Judge(Answer{Status: status, Ended: 1000}, Standing{Delivery: "trg_a", Attempt: 4, Place: 1})
		if v.Outcome != want || v.Disable != (status == 410) || (v.Reason == Status) != (want != Delivered) {
			t.Errorf("%d: %+v, want %s", status, v, want)
		}
		if want == Retry && (v.Place != 2 || v.Next != 1000+300_000 || v.Quick || v.Hold != 0) {
			t.Errorf("%d: %+v", status, v)
		}
	}
	for _, reason := range []string{Timeout, DNS, Connect, TLS, Closed, BadResponse} {
		if v := standard.Judge(Answer{Reason: reason}, Standing{Attempt: 3}); v.Outcome != Retry || v.Reason != reason {
			t.Errorf("%s: %+v", reason, v)
		}
	}
	if v := standard.Judge(Answer{Reason: RefusedAddress}, Standing{Attempt: 1}); v.Outcome != Failed || v.Reason != RefusedAddress {
		t.Errorf("%+v", v)
	}
}

func TestOnAndFinal(t *testing.T) {
	r := Rules{Backoff: Backoff{Schedule: []int64{1}, On: []Statuses{{400, 422}}, Final: []Statuses{{404, 404}, {500, 599}}}, Success: []Statuses{{200, 200}, {409, 409}}}
	for status, want := range map[int]Outcome{200: Delivered, 201: Retry, 400: Retry, 410: Retry, 409: Delivered, 404: Failed, 431: Failed, 503: Failed} {
		if v := r.Judge(Answer{Status: status}, Standing{Attempt: 1}); v.Outcome != want || v.Disable {
			t.Errorf("%d: %+v, want %s", status, v, want)
		}
	}
}

// TestSeen holds that a status that is a success neither opens a breaker nor slows.
func TestSeen(t *testing.T) {
	r := Rules{Success: []Statuses{{200, 299}, {429, 429}, {503, 503}}}
	for status, trouble := range map[int]bool{200: false, 429: false, 503: false, 500: true, 404: false, 0: true} {
		a := Answer{Status: status}
		if status == 0 {
			a.Reason = Timeout
		}
		if seen := r.Seen(a); Trouble(seen) != trouble || Complains(seen) {
			t.Errorf("%d is seen as %+v", status, seen)
		}
	}
}

// TestSchedule walks a delivery to its end: quick tries first, then as many waits as there are, counted from each end.
func TestSchedule(t *testing.T) {
	now, s := int64(0), Standing{Delivery: "trg_a"}
	var waits []int64
	for {
		s.Attempt++
		now += 7 // an attempt takes a while
		v := standard.Judge(Answer{Status: 503, Ended: now}, s)
		if v.Outcome == Failed {
			break
		}
		waits = append(waits, v.Next-now)
		now, s.Place = v.Next, v.Place
	}
	want := append([]int64{100, 400}, Schedule()...)
	if fmt.Sprint(waits) != fmt.Sprint(want) || s.Attempt != len(Schedule())+3 {
		t.Errorf("waits %v, want %v; %d attempts", waits, want, s.Attempt)
	}
}

func TestQuick(t *testing.T) {
	for _, c := range []struct {
		a     Answer
		s     Standing
		quick bool
	}{
		{Answer{Reason: Connect}, Standing{Attempt: 1}, true},
		{Answer{Reason: DNS}, Standing{Attempt: 1}, true},
		{Answer{Reason: Closed}, Standing{Attempt: 2}, true},
		{Answer{Reason: Closed}, Standing{Attempt: 3}, false},
		{Answer{Reason: Closed}, Standing{Attempt: 2, Place: 1}, false},
		{Answer{Reason: Timeout}, Standing{Attempt: 1}, false},
		{Answer{Reason: TLS}, Standing{Attempt: 1}, false},
		{Answer{Status: 502}, Standing{Attempt: 1}, true},
		{Answer{Status: 504}, Standing{Attempt: 1}, true},
		{Answer{Status: 500}, Standing{Attempt: 1}, false},
		{Answer{Status: 429}, Standing{Attempt: 1}, false},
		{Answer{Status: 503, RetryAfter: 1}, Standing{Attempt: 1}, false},
	} {
		if v := standard.Judge(c.a, c.s); v.Quick != c.quick || v.Quick && v.Place != 0 {
			t.Errorf("%+v %+v: %+v", c.a, c.s, v)
		}
	}
	off := standard
	off.Quick = 0
	if v := off.Judge(Answer{Status: 502}, Standing{Attempt: 1}); v.Quick {
		t.Errorf("%+v", v)
	}
}

func TestRetryAfterOnlyMovesLater(t *testing.T) {
	v := standard.Judge(Answer{Status: 429, Ended: 1000, RetryAfter: 60_000}, Standing{Attempt: 1})
	if v.Next != 61_000 || v.Hold != 61_000 || v.Place != 1 {
		t.Errorf("%+v", v)
	}
	v = standard.Judge(Answer{Status: 429, Ended: 1000, RetryAfter: 2_000}, Standing{Attempt: 1})
	if v.Next != 6_000 || v.Hold != 3_000 {
		t.Errorf("%+v", v)
	}
}

func TestRetryAfter(t *testing.T) {
	const now = 1795518840123 // 2026-11-24T11:14:00.123Z
	for header, want := range map[string]int64{
		"": 0, "0": 0, "120": 120_000, " 5 ": 5_000, "3600": 3_600_000, "7200": 3_600_000, "99999999999999999999": 3_600_000,
		"-5": 0, "1.5": 0, "soon": 0,
		"Tue, 24 Nov 2026 11:15:00 GMT": 59_877, "Tue, 24 Nov 2026 11:14:00 GMT": 0, "Wed, 24 Nov 2027 11:14:00 GMT": 3_600_000,
		"Tuesday, 24-Nov-26 11:15:00 GMT": 59_877, "Tue Nov 24 11:15:00 2026": 59_877,
	} {
		if got := RetryAfter(header, now); got != want {
			t.Errorf("%q: %d, want %d", header, got, want)
		}
	}
}

// TestJitter holds that jitter is within its bounds, spread over them, and the same for the same delivery and place.
func TestJitter(t *testing.T) {
	r := Rules{Backoff: Backoff{Schedule: []int64{10_000, 10_000}, Jitter: 0.2}}
	var buckets [10]int
	for i := range 10_000 {
		s := Standing{Delivery: fmt.Sprintf("trg_%d", i), Attempt: 1, Place: i % 2}
		v := r.Judge(Answer{Status: 500}, s)
		if v != r.Judge(Answer{Status: 500}, s) {
			t.Fatal("the same attempt got two verdicts")
		}
		if v.Next < 8_000 || v.Next > 12_000 {
			t.Fatalf("wait of %d", v.Next)
		}
		buckets[min(9, (v.Next-8_000)/400)]++
	}
	for i, n := range buckets {
		if n < 800 || n > 1200 {
			t.Errorf("bucket %d has %d of 10000", i, n)
		}
	}
}

// FuzzJudge holds for any answer: a verdict has one of the outcomes, a retry is never before its attempt's end, and a
// schedule ends.
func FuzzJudge(f *testing.F) {
	f.Add(503, "", "120", int64(1), "trg_a", 1, 0)
	f.Add(0, Connect, "", int64(5), "trg_b", 2, 9)
	f.Add(410, "", "Tue, 24 Nov 2026 11:15:00 GMT", int64(9), "", 3, 3)
	f.Fuzz(func(t *testing.T, status int, reason, retryAfter string, ended int64, id string, attempt, place int) {
		if ended < 0 || ended > 1<<50 || attempt < 1 || place < 0 {
			return
		}
		after := RetryAfter(retryAfter, ended)
		if after < 0 || after > 3_600_000 {
			t.Fatalf("Retry-After of %d", after)
		}
		rules := standard
		rules.Jitter = 0.2
		v := rules.Judge(Answer{Status: status, Reason: reason, Ended: ended, RetryAfter: after}, Standing{Delivery: id, Attempt: attempt, Place: place})
		switch v.Outcome {
		case Retry:
			if v.Next < ended || v.Next < ended+after && !v.Quick || v.Place > len(rules.Schedule) || !v.Quick && v.Place != place+1 {
				t.Fatalf("%+v", v)
			}
		case Failed, Delivered:
			if v.Next != 0 || v.Quick {
				t.Fatalf("%+v", v)
			}
		default:
			t.Fatalf("%+v", v)
		}
	})
}

// TestTryWithAnotherToken holds that it takes its share of the rate, and that none follows while the endpoint is paused.
func TestTryWithAnotherToken(t *testing.T) {
	const now = 1_000_000
	refused := Answer{Status: 401, Renewed: true, Ended: now}
	var g Gate
	g.Limit(Limit{PerSecond: 1, Burst: 2}, 0)
	if wait := g.Blocked(now); wait != 0 { // one of two
		t.Fatal(wait)
	}
	if l := g.End(Breaking{}, refused, now, false, false); l.Held {
		t.Error("held while there is a token")
	}
	if l := g.End(Breaking{}, refused, now, false, false); !l.Held {
		t.Error("not held while there is none")
	}
	g = Gate{}
	g.Pause(true, now)
	if l := g.End(Breaking{}, refused, now, false, false); !l.Held {
		t.Error("not held while paused")
	}
}

// TestRenewedToken holds that a try with another token follows at once and takes no place in the schedule, but where the answer is
// final or says when to come again, or the endpoint is held.
func TestRenewedToken(t *testing.T) {
	refused := Answer{Status: 401, Renewed: true, Ended: 1000}
	for _, c := range []struct {
		r    Rules
		a    Answer
		s    Standing
		want Verdict
	}{
		{standard, refused, Standing{Attempt: 5, Place: 3}, Verdict{Outcome: Retry, Reason: Status, Next: 1000, Place: 3, Quick: true}},
		{standard, refused, Standing{Attempt: 12, Place: 9}, Verdict{Outcome: Retry, Reason: Status, Next: 1000, Place: 9, Quick: true}},
		{standard, refused, Standing{Attempt: 1, Look: 500}, Verdict{Outcome: Retry, Reason: Status, Next: 1000, Quick: true}},
		{standard, refused, Standing{Attempt: 1, Held: true}, Verdict{Outcome: Retry, Reason: Status, Next: 6000, Place: 1}},
		{standard, Answer{Status: 401, Renewed: true, Ended: 1000, RetryAfter: 9000}, Standing{Attempt: 1},
			Verdict{Outcome: Retry, Reason: Status, Next: 10_000, Place: 1, Hold: 10_000}},
		{Rules{Backoff: Backoff{Final: []Statuses{{401, 401}}}}, refused, Standing{Attempt: 1}, Verdict{Outcome: Failed, Reason: Status}},
	} {
		if got := c.r.Judge(c.a, c.s); got != c.want {
			t.Errorf("%+v %+v: %+v, want %+v", c.a, c.s, got, c.want)
		}
	}
	if v := standard.Judge(Answer{Reason: Token, Ended: 1000}, Standing{Attempt: 1}); v.Outcome != Retry || v.Quick || v.Place != 1 {
		t.Errorf("%+v", v)
	}
}
