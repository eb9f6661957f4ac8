package state

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// What many timers stand for is read in order of key: each block about once, beside a look at the filter for each row.
func TestReadAhead(t *testing.T) {
	const timers, look = 6000, 1000
	fs := vfs.NewMem()
	s := open(t, fs, 0)
	p := partition(t, s, 0)
	rows := make([]Row, timers)
	for i := range rows { // 7919 is coprime to how many there are: due in another order than that of keys
		rows[i] = Row{Key: Key{ID: fmt.Sprintf("user-%06d", i)}, Due: int64(1 + i*7919%timers), Content: bytes.Repeat([]byte("x"), 100)}
	}
	if err := errors.Join(p.Apply(rows, Position{WrittenAt: 1}), s.Close()); err != nil {
		t.Fatal(err)
	}
	s = open(t, fs, 0)
	defer s.Close()
	p = partition(t, s, 0)
	// One that moved later and one that has gone, since.
	moved, gone := Row{Key: rows[1].Key, Due: timers + 1, OldDue: rows[1].Due, Content: []byte("x")}, Row{Key: rows[2].Key, OldDue: rows[2].Due}
	if err := errors.Join(p.Apply([]Row{moved, gone}, Position{WrittenAt: 2}), p.Flush()); err != nil {
		t.Fatal(err)
	}
	p.rows.clear()
	blocks := func() int64 {
		m := s.db.Metrics().BlockCache
		return m.Hits + m.Misses
	}
	before, fired, last := blocks(), 0, int64(0)
	for {
		due, err := p.Due(timers+1, look, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(due) == 0 {
			break
		}
		for i, d := range due {
			if d.Due <= last || d.ID == moved.ID || d.ID == gone.ID {
				t.Fatalf("%v after %d", d, last)
			}
			last = d.Due
			if content, _, found, err := p.Head(d.ID); !found || err != nil || len(content) != 100 {
				t.Fatalf("%v: %q %v, %v", d, content, found, err)
			}
			rows[i] = Row{Key: Key{ID: d.ID}, OldDue: d.Due}
		}
		if err := p.Apply(rows[:len(due)], Position{WrittenAt: 3}); err != nil {
			t.Fatal(err)
		}
		fired += len(due)
	}
	if fired != timers-2 {
		t.Errorf("%d have fired of %d", fired, timers-2)
	}
	if n := blocks() - before; n > timers+timers/4 {
		t.Errorf("%d blocks were read for %d rows", n, timers)
	}
}
