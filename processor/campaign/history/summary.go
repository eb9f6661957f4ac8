package history

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
)

// summaryPairs is how many pairs of an event's name and a numeric property a chunk's summary holds at most; what else
// is asked for is read from the chunk.
const summaryPairs = 64

// total adds numbers up. What is lost in rounding is kept in low (A. Neumaier, "Rundungsfehleranalyse einiger
// Verfahren zur Summation endlicher Summen", 1974), so that the sum hardly depends on how the numbers are grouped.
type total struct {
	n         int
	high, low float64
	min, max  float64
}

func (t *total) add(f float64) { t.merge(total{n: 1, high: f, min: f, max: f}) }

func (t *total) merge(u total) {
	if u.n == 0 {
		return
	}
	if t.n == 0 {
		*t = u
		return
	}
	t.n += u.n
	t.min, t.max = min(t.min, u.min), max(t.max, u.max)
	sum := t.high + u.high
	lost := (t.high - sum) + u.high
	if math.Abs(t.high) < math.Abs(u.high) {
		lost = (u.high - sum) + t.high
	}
	t.high = sum
	if !math.IsInf(sum, 0) {
		t.low += lost + u.low
	}
}

func (t *total) sum() float64 {
	if math.IsInf(t.high, 0) {
		return t.high
	}
	return t.high + t.low
}

func (t *total) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(t.n))
	for _, f := range [...]float64{t.high, t.low, t.min, t.max} {
		dst = appendFloat(dst, f)
	}
	return dst
}

func (r *reader) total() total {
	return total{int(r.number()), r.float(), r.float(), r.float(), r.float()}
}

// pair is what a chunk's events of one name have in one numeric property.
type pair struct {
	event, property string
	total
}

// summary is what there is to know of a chunk's numeric properties.
type summary struct {
	pairs    []pair // in order
	complete bool   // there are no others
}

// trim puts the pairs in order and keeps the first summaryPairs.
func (s *summary) trim() {
	slices.SortFunc(s.pairs, comparePairs)
	if len(s.pairs) > summaryPairs {
		s.pairs, s.complete = s.pairs[:summaryPairs:summaryPairs], false
	}
}

// find is the total of a pair; known is false if only the chunk can tell.
func (s *summary) find(event, property string) (t total, known bool) {
	i, found := slices.BinarySearchFunc(s.pairs, pair{event: event, property: property}, comparePairs)
	if !found {
		return total{}, s.complete
	}
	return s.pairs[i].total, true
}

// mergeSummaries is the summary of all the chunks that these are of; nil if one of them is not complete.
func mergeSummaries(all []*summary) *summary {
	merged := &summary{complete: true}
	for _, s := range all {
		if s == nil || !s.complete {
			return nil
		}
		for _, p := range s.pairs {
			i, found := slices.BinarySearchFunc(merged.pairs, p, comparePairs)
			if !found {
				merged.pairs = slices.Insert(merged.pairs, i, pair{event: p.event, property: p.property})
			}
			merged.pairs[i].merge(p.total)
		}
	}
	merged.trim()
	return merged
}

func comparePairs(a, b pair) int {
	if c := strings.Compare(a.event, b.event); c != 0 {
		return c
	}
	return strings.Compare(a.property, b.property)
}

// append writes the pairs; an event's name is written with its first one.
func (s *summary) append(dst []byte) []byte {
	complete := byte(0)
	if s.complete {
		complete = 1
	}
	dst = binary.AppendUvarint(append(dst, complete), uint64(len(s.pairs)))
	for i := range s.pairs {
		p := &s.pairs[i]
		if i > 0 && p.event == s.pairs[i-1].event {
			dst = append(dst, 0)
		} else {
			dst = appendText(append(dst, 1), p.event)
		}
		dst = p.total.append(appendText(dst, p.property))
	}
	return dst
}

func (r *reader) summary() *summary {
	s := &summary{complete: r.byte() == 1}
	s.pairs = make([]pair, r.count(7))
	event := ""
	for i := range s.pairs {
		if r.byte() == 1 {
			event = string(r.text())
		}
		s.pairs[i] = pair{event, string(r.text()), r.total()}
		if i > 0 && comparePairs(s.pairs[i-1], s.pairs[i]) >= 0 {
			r.fail()
		}
	}
	if r.bad {
		return nil
	}
	return s
}
