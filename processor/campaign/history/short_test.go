package history

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tripline/tripline/processor/campaign/value"
)

// TestPreviousHead reads a head of the version before, with a chunk of 32 events and short ones behind it, and goes on from it.
func TestPreviousHead(t *testing.T) {
	text, err := os.ReadFile("testdata/previous.txt")
	if err != nil {
		t.Fatal(err)
	}
	disk := newStore()
	for line := range strings.Lines(string(text)) {
		n, content, _ := strings.Cut(strings.TrimSpace(line), " ")
		part, _ := strconv.Atoi(n)
		if disk.parts[uint32(part)], err = hex.DecodeString(content); err != nil {
			t.Fatal(err)
		}
	}
	l, _, err := Decode(disk.parts[0], disk.part)
	if err != nil {
		t.Fatal(err)
	}
	if refs := l.refs(); len(refs) != 5 || refs[0].short != nil || refs[1].short == nil || len(refs[1].hashes) != 1 || len(refs[2].hashes) != 0 {
		t.Fatalf("the references are %v", refs)
	}
	delete(disk.parts, 0)
	for i := range 100 {
		if n, sum, _, _ := l.Aggregate("B", "amount", -1, always, nil); n != (40+i+1)/3 || sum != float64(n*(3*n-1)/2) {
			t.Fatalf("after %d: %d events, sum %v", 40+i, n, sum)
		}
		if l.Add(Event{Time: int64(40+i) * 1000, Name: string(rune('A' + (40+i)%3)), ID: fmt.Sprint(40 + i), Properties: amount(float64(40 + i))}, Limits{}); i%20 == 0 {
			l = disk.reopen(t, l)
		}
	}
	if l.Err() != nil || !l.HasID("0") || !l.HasID("31") || !l.HasID("39") || l.HasID("140") {
		t.Fatalf("an id is missing, or %v", l.Err())
	}
}

// TestShortChunks has large events leave the head soon. What asks for no more than their places and names reads none of them, nor does
// what looks for an id that is not there.
func TestShortChunks(t *testing.T) {
	l, disk := &Log{}, newStore()
	for i := range 15 {
		e := shop(i)
		e.Properties = append(value.Properties{{Name: "text", Value: value.OfString(strings.Repeat("x", 300))}}, e.Properties...)
		l.Add(e, Limits{})
	}
	l = disk.reopen(t, l)
	if head := l.AppendHead(nil); len(head) > 1000 || len(l.refs()) != 15 {
		t.Fatalf("a head of %d bytes, %d chunks", len(head), len(l.refs()))
	} else if bytes.Contains(head, []byte("source")) {
		t.Error("the head names properties, and has no event")
	}
	from, to := shop(2).Time, shop(12).Time
	if n, _, _, _ := l.Aggregate("Charged", "", from, to, nil); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
	var seen []int64
	l.Scan([]string{"Product Viewed", "Charged"}, After(from), After(to), func(e *Entry) bool {
		seen = append(seen, e.Time)
		return true
	})
	if want := []int64{shop(3).Time, shop(4).Time, shop(8).Time, shop(9).Time}; !slices.Equal(seen, want) {
		t.Errorf("scanned %v, want %v", seen, want)
	}
	e := shop(3)
	e.Seq = 4
	if l.Twins(&e) != 0 || l.HasID("none") || l.Len() != 15 || l.Ends(Position{shop(13).Time, 14}) || !l.Ends(Position{shop(14).Time, 15}) {
		t.Error("a wrong answer")
	}
	if len(disk.reads) > 0 {
		t.Errorf("parts %v were read", disk.reads)
	}
	if got := l.At(e.Position()); got == nil || got.ID != e.ID || len(disk.reads) != 1 {
		t.Errorf("at its position is %v, and parts %v were read", got, disk.reads)
	}
	if !l.HasID(shop(6).ID) || len(disk.reads) != 2 {
		t.Errorf("the id is not found, or parts %v were read", disk.reads)
	}
}

// TestOutline has the head tell of an event that stands alone outside of it, where that has no id.
func TestOutline(t *testing.T) {
	large := value.Properties{{Name: "text", Value: value.OfString(strings.Repeat("x", 300))}}
	l, disk := &Log{}, newStore()
	for i, e := range []Event{{ID: "a", Properties: large}, {Properties: large}, {}} {
		e.Time, e.Name = int64(i), "Viewed"
		l.Add(e, Limits{})
	}
	l = disk.reopen(t, l)
	for seq, known := range []bool{false, true, false} {
		p := Position{Time: int64(seq), Seq: uint64(seq + 1)}
		e, ok := l.Outline(p)
		if ok != known || ok && (e.Position() != p || e.Name != "Viewed") {
			t.Errorf("of %v is known: %v, %v", p, ok, e)
		}
	}
	if _, ok := l.Outline(Position{Time: 1, Seq: 9}); ok || len(disk.reads) > 0 {
		t.Errorf("an event that is not there, or parts %v were read", disk.reads)
	}
	l.Add(Event{Time: 1000, Name: "Viewed"}, Limits{MaxAge: 10})
	if _, ok := l.Outline(Position{Time: 1, Seq: 2}); ok {
		t.Error("an event that is gone")
	}
}

// Large events stand alone, and become one chunk when there are sixteen, not eight: to merge is to read them all.
func TestLargeMerge(t *testing.T) {
	l, disk := &Log{}, newStore()
	for i := range 16 {
		if n := len(l.refs()); n != i {
			t.Fatalf("%d chunks of %d events", n, i)
		}
		l.Add(Event{Time: int64(i), Name: "Viewed", Properties: value.Properties{{Name: "text", Value: value.OfString(strings.Repeat("x", 300))}}}, Limits{})
		l = disk.reopen(t, l)
	}
	if n := len(l.refs()); n != 1 || l.Len() != 16 || l.Err() != nil {
		t.Errorf("%d chunks, %d events, %v", n, l.Len(), l.Err())
	}
}
