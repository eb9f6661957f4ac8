package main

import (
	"cmp"
	"encoding/binary"
	"strings"

	"github.com/tripline/tripline/processor/campaign"
)

// key is the place of what a step decides among all of a stretch: that of an event by its arrival and line; that of a passed timer
// behind the events of its due moment, by its user.
type key struct {
	time   int64 // ms: arrival or due moment
	passed bool  // a timer's
	number int   // of an event
	user   string
}

func (k key) compare(o key) int {
	if k.time != o.time {
		return cmp.Compare(k.time, o.time)
	}
	if k.passed != o.passed {
		if k.passed {
			return 1
		}
		return -1
	}
	return cmp.Or(cmp.Compare(k.number, o.number), strings.Compare(k.user, o.user))
}

// emission is the records that a step has decided, encoded, one a line.
type emission struct {
	key
	triggers, decisions string
}

// appendEmission adds an entry of what a step has decided, as far as somebody wants it.
func (w *recordWriters) appendEmission(dst []byte, k *key, out *campaign.Output) []byte {
	r := &w.room
	r.triggers, r.decisions = r.triggers[:0], r.decisions[:0]
	if w.triggers != nil {
		for i := range out.Triggers {
			r.triggers = append(out.Triggers[i].Append(r.triggers, out.Triggers[i].Left), '\n')
		}
	}
	if w.decisions != nil {
		for i := range out.Decisions {
			r.decisions = append(out.Decisions[i].Append(r.decisions), '\n')
		}
	}
	if len(r.triggers)+len(r.decisions) == 0 {
		return dst
	}
	passed := byte(0)
	if k.passed {
		passed = 1
	}
	r.entry = binary.AppendVarint(append(r.entry[:0], passed), k.time)
	r.entry = appendField(binary.AppendUvarint(r.entry, uint64(k.number)), k.user)
	r.entry = appendField(appendField(r.entry, r.triggers), r.decisions)
	return appendField(dst, r.entry)
}

// read takes apart what appendEmission wrote.
func (e *emission) read(entry string) bool {
	f := fields{src: entry}
	e.passed, e.time, e.number, e.user = f.byte() == 1, f.varint(), int(f.uvarint()), f.text()
	e.triggers, e.decisions = f.text(), f.text()
	return !f.bad
}

// track is the emissions of a bucket, in the order of their keys, as they are read.
type track struct {
	from *entries
	head emission
}

// next moves on to the next emission; more is false at the end.
func (r *track) next() (more bool, err error) {
	entry, more, err := r.from.next()
	if more && !r.head.read(entry) {
		return false, errSpool
	}
	return more, err
}

// merge visits the emissions of all runs in the order of their keys.
func merge(runs []*track, visit func(*emission)) error {
	var heads []*track // a heap: the first comes first
	for _, r := range runs {
		more, err := r.next()
		if err != nil {
			return err
		}
		if more {
			heads = append(heads, r)
		}
	}
	for i := len(heads)/2 - 1; i >= 0; i-- {
		settleDown(heads, i)
	}
	for len(heads) > 0 {
		visit(&heads[0].head)
		more, err := heads[0].next()
		if err != nil {
			return err
		}
		if !more {
			heads[0] = heads[len(heads)-1]
			heads = heads[:len(heads)-1]
		}
		settleDown(heads, 0)
	}
	return nil
}

func settleDown(heads []*track, i int) {
	for {
		child := 2*i + 1
		if child+1 < len(heads) && heads[child+1].head.compare(heads[child].head.key) < 0 {
			child++
		}
		if child >= len(heads) || heads[i].head.compare(heads[child].head.key) <= 0 {
			return
		}
		heads[i], heads[child] = heads[child], heads[i]
		i = child
	}
}
