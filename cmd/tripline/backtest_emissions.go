package main

import (
	"cmp"
	"slices"
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

// emissions are the records that a shard has for a block, encoded.
type emissions struct {
	list                []emission
	triggers, decisions []byte
}

// emission is those of one step.
type emission struct {
	key
	triggers, decisions [2]int // from, to
}

func (o *emissions) reset() {
	clear(o.list)
	o.list, o.triggers, o.decisions = o.list[:0], o.triggers[:0], o.decisions[:0]
}

// add encodes what a step has decided, as far as somebody wants it.
func (o *emissions) add(k key, out *campaign.Output, w *recordWriters) {
	one := emission{key: k, triggers: [2]int{len(o.triggers)}, decisions: [2]int{len(o.decisions)}}
	if w.triggers != nil {
		for i := range out.Triggers {
			o.triggers = append(out.Triggers[i].Append(o.triggers, out.Triggers[i].Left), '\n')
		}
	}
	if w.decisions != nil {
		for i := range out.Decisions {
			o.decisions = append(out.Decisions[i].Append(o.decisions), '\n')
		}
	}
	one.triggers[1], one.decisions[1] = len(o.triggers), len(o.decisions)
	if one.triggers[1] > one.triggers[0] || one.decisions[1] > one.decisions[0] {
		o.list = append(o.list, one)
	}
}

// inOrder visits the emissions of several shards in the order of their keys; of one key, in the order of the list.
func inOrder(all []*emissions, visit func(k *key, triggers, decisions []byte) error) error {
	type placed struct {
		*emission
		of *emissions
	}
	var list []placed
	for _, o := range all {
		for i := range o.list {
			list = append(list, placed{&o.list[i], o})
		}
	}
	slices.SortStableFunc(list, func(a, b placed) int { return a.key.compare(b.key) })
	for _, p := range list {
		if err := visit(&p.key, p.of.triggers[p.triggers[0]:p.triggers[1]], p.of.decisions[p.decisions[0]:p.decisions[1]]); err != nil {
			return err
		}
	}
	return nil
}
