package state

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Keys are in the order of what they stand for, and decode to it.
func FuzzRowKey(f *testing.F) {
	f.Add("ann", uint32(0), uint32(0), "ann\x00", uint32(1), uint32(2))
	f.Add("\x00\xff", uint32(7), uint32(0), "\x00", uint32(0), uint32(9))
	f.Fuzz(func(t *testing.T, id1 string, part1, piece1 uint32, id2 string, part2, piece2 uint32) {
		key := func(id string, part, piece uint32) []byte {
			key := appendRowKey(nil, Key{ID: id, Part: part}, piece)
			k, p, err := decodeRowKey(key)
			if id == "" {
				if err == nil {
					t.Fatal("a row without an ID")
				}
			} else if err != nil || k.ID != id || k.Part != part || p != piece {
				t.Fatalf("%q %d %d is %q %d %d, %v", id, part, piece, k.ID, k.Part, p, err)
			}
			return key
		}
		got := bytes.Compare(key(id1, part1, piece1), key(id2, part2, piece2))
		want := cmp.Or(strings.Compare(id1, id2), cmp.Compare(part1, part2), cmp.Compare(piece1, piece2))
		if got != want {
			t.Fatalf("order %d, want %d", got, want)
		}
	})
}

// What decodes at all encodes to the same bytes.
func FuzzDecode(f *testing.F) {
	_, pos := Position{Inputs: map[string]int64{"a": 1, "b": 2}, Arrival: 5, Partitions: 3, WrittenAt: 9}.Record()
	f.Add(pos)
	f.Add(appendRowKey(nil, Key{ID: "a\x00b", Part: 3}, 2))
	f.Add(appendPiece(nil, &Row{Key: Key{ID: "ann"}, Due: 77, Content: []byte("content")}, 0))
	f.Add(appendTimerKey(nil, Timer{Due: -5, ID: "ann"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if k, piece, err := decodeRowKey(data); err == nil {
			if again := appendRowKey(nil, k, piece); !bytes.Equal(again, data) {
				t.Errorf("row key %x is %x", data, again)
			}
		}
		if timer, err := decodeTimerKey(data); err == nil {
			if again := appendTimerKey(nil, timer); !bytes.Equal(again, data) {
				t.Errorf("timer key %x is %x", data, again)
			}
		}
		if pos, err := DecodePosition(data); err == nil {
			_, again := pos.Record()
			if pos2, err := DecodePosition(again); err != nil || fmt.Sprint(pos) != fmt.Sprint(pos2) {
				t.Errorf("position %+v is %+v, %v", pos, pos2, err)
			}
		}
		for part := range uint32(2) {
			s, err := decodePiece(part, 0, data)
			if err == nil && s.pieces == 1 {
				again := appendPiece(nil, &Row{Key: Key{Part: part}, Due: s.due, Content: s.content}, 0)
				if len(s.content) <= pieceSize && len(again) != pieceLen(&Row{Key: Key{Part: part}, Due: s.due, Content: s.content}, 0) {
					t.Errorf("%x: %d bytes", again, len(again))
				}
				if s2, err := decodePiece(part, 0, again); err != nil || s2.due != s.due || !bytes.Equal(s2.content, s.content) {
					t.Errorf("row %x is %x, %v", data, again, err)
				}
			}
		}
		var x timerIndex
		if err := x.decodeBound(data); err == nil {
			y := newTimerIndex()
			if err := y.decodeBound(x.appendBound(nil)); err != nil || y.bound != x.bound || y.early != x.early {
				t.Errorf("bound %+v is %+v, %v", x, y, err)
			}
		}
	})
}

// Any records are either refused or restored to what the newest of each key say,
// from nothing and as the tail of what is there.
func FuzzChangelog(f *testing.F) {
	var seed []byte
	add := func(key, value []byte) {
		seed = append(append(append(append(seed, byte(len(key))), key...), byte(len(value))), value...)
	}
	s := open(f, vfs.NewMem(), 1<<20)
	p := partition(f, s, 0)
	p.Changelog(Row{Key: Key{ID: "ann"}, Due: 7, Content: []byte("x")}, add)
	p.Changelog(Row{Key: Key{ID: "bob", Part: 2}, Content: []byte("y")}, add)
	p.Changelog(Row{Key: Key{ID: "ann"}, Due: 9, Content: []byte("z")}, add)
	p.Changelog(Row{Key: Key{ID: "bob", Part: 2}}, add)
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		var whole, tail []string
		for _, from := range []bool{true, false} {
			if err := p.Wipe(); err != nil {
				t.Fatal(err)
			}
			if !from { // something is there
				if err := p.Apply(nil, Position{WrittenAt: 1}); err != nil {
					t.Fatal(err)
				}
			}
			newest, ok := restoreFuzzed(t, p, data)
			if !ok {
				return
			}
			var rows []string
			err := p.Scan(func(r Row) error {
				rows = append(rows, fmt.Sprintf("%q %d: %d %q", r.ID, r.Part, r.Due, r.Content))
				if string(appendPiece(nil, &r, 0)) == "" {
					t.Error("empty")
				}
				if _, ok := newest[string(appendRowKey([]byte{kindRow}, r.Key, 0))]; !ok {
					t.Errorf("row %q was never written", r.ID)
				}
				return nil
			})
			if err != nil && !from {
				return // pieces without their row are found when they are read
			}
			if err != nil {
				t.Fatal(err)
			}
			if whole, tail = tail, rows; !from && strings.Join(whole, "\n") != strings.Join(tail, "\n") {
				t.Errorf("from nothing:\n%s\nas a tail:\n%s", whole, tail)
			}
			if _, err := p.Due(1<<62, 1000, nil); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func restoreFuzzed(t *testing.T, p *Partition, data []byte) (newest map[string]string, ok bool) {
	newest = map[string]string{}
	take := func() []byte {
		if len(data) == 0 {
			return nil
		}
		n := min(int(data[0]), len(data)-1)
		taken := data[1 : 1+n]
		data = data[1+n:]
		return taken
	}
	r := p.Restore()
	for offset := int64(0); len(data) > 0; offset++ {
		key, value := take(), take()
		if err := r.Add(key, value, offset); err != nil {
			if err := r.Abandon(); err != nil {
				t.Fatal(err)
			}
			return nil, false
		}
		if delete(newest, string(key)); len(value) > 0 {
			newest[string(key)] = string(value)
		}
	}
	if err := r.Finish(Position{WrittenAt: 5}); err != nil {
		return nil, false
	}
	return newest, true
}
