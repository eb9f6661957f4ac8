package processor

import (
	"testing"
	"time"

	"github.com/tripline/tripline/state/lane"
)

func (in *input) expectStream(t *testing.T, want float64) {
	t.Helper()
	if in.stream != second(want).UnixMilli() {
		t.Errorf("stream time is %s, expected %s", time.UnixMilli(in.stream), second(want))
	}
}

// Stream time becomes the moment of asking when all topics' positions have reached what the leaders said.
func TestStreamTime(t *testing.T) {
	in := sketch("a", "b")
	in.fetch("a", 1, 1, 2)
	if in.seen(2, 2, 0) || in.stream != 0 {
		t.Error("it moved though what is fetched is not applied")
	}
	in.taken()
	if !in.learn() {
		t.Error("it did not move")
	}
	in.expectStream(t, 2)
	in.seen(3, 2, 5) // b has something
	in.seen(4, 2, 6)
	in.expectStream(t, 2)
	in.fetch("b", 5, 3, 3, 3, 3, 3)
	in.seen(5, 2, 7)
	in.taken()
	in.learn()
	in.expectStream(t, 3) // what was there at 3 is applied, of that at 4 one is not
	in.fetch("b", 6, 4, 4)
	in.seen(6, 2, 7)
	in.taken()
	in.learn()
	in.expectStream(t, 6)
	if len(in.sights) != 0 {
		t.Errorf("%d sights are kept", len(in.sights))
	}
	if in.seen(5.5, 2, 7) {
		t.Error("it went back")
	}
	in.expectStream(t, 6)
	in.seen(7, 2, -1) // b's leader did not answer
	in.expectStream(t, 6)
	in.seen(8, 2, 7)
	in.expectStream(t, 8)
	if len(in.sights) != 0 {
		t.Errorf("%d sights are kept", len(in.sights))
	}
}

// A record dated in the future moves nothing.
func TestStreamTimeIsNotFromRecords(t *testing.T) {
	in := sketch("a")
	in.fetch("a", 1, 1e6)
	in.taken()
	in.seen(2, 1)
	in.expectStream(t, 2)
}

// An input that is behind by more answers than are kept still moves its stream time, by its lag.
func TestStreamTimeUnderALag(t *testing.T) {
	in := sketch("a")
	lag := 3 * maxSights
	last := int64(0)
	for n := range 20 * maxSights {
		in.seen(float64(n), int64(n))
		if n >= lag {
			in.topics[0].reached, in.topics[0].position = int64(n-lag), int64(n-lag)
			in.learn()
		}
		if len(in.sights) > maxSights {
			t.Fatalf("%d sights are kept", len(in.sights))
		}
		if in.stream < last {
			t.Fatal("it went back")
		}
		last = in.stream
	}
	if behind := second(float64(20*maxSights)).UnixMilli() - in.stream; behind > int64(2*lag*1000) {
		t.Errorf("%d s behind with a lag of %d s", behind/1000, lag)
	}
}

// Where a broker does not tell its log end, all that an answer says is older by the slack.
func TestSightOf(t *testing.T) {
	in := sketch("a", "b")
	in.part = &lane.Partition{Number: 3}
	asked := moment{machine: second(100), wall: second(90).UnixMilli()} // the clock is 10 s ahead
	end := func(topic string, number int32, offset int64, exact bool) lane.End {
		return lane.End{Topic: topic, Partition: number, Offset: offset, Exact: exact}
	}
	for _, c := range []struct {
		name          string
		ends          []lane.End
		asked, before float64
		a, b          int64
	}{
		{"exact", []lane.End{end("a", 3, 7, true), end("b", 3, 8, true), end("a", 2, 1, true)}, 100, 89.99, 7, 8},
		{"one refused", []lane.End{end("a", 3, 7, true), end("b", 3, 8, false)}, 70, 60, 7, 8},
		{"another partition's refused", []lane.End{end("a", 3, 7, true), end("b", 3, 8, true), end("b", 2, 8, false)}, 100, 89.99, 7, 8},
		{"one without an answer", []lane.End{end("b", 3, 8, true)}, 100, 89.99, -1, 8},
	} {
		s := in.sightOf(&answer{asked: asked, ends: c.ends}, 30*time.Second)
		if !s.asked.Equal(second(c.asked)) || s.before != second(c.before).UnixMilli() || s.ends[0] != c.a || s.ends[1] != c.b {
			t.Errorf("%s: %+v", c.name, s)
		}
	}
}
