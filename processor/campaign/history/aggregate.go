package history

import (
	"math"
	"sort"
)

// Aggregate looks at the events of this name with after < Time <= upTo that satisfy where (nil: all). With an empty
// property n counts them; else n, sum, min and max are over those in which the property is a number, all zero if there
// is none. The sum of whole numbers is exact up to 2^53; any other is rounded once, but for errors of the order of 2^-100.
func (l *Log) Aggregate(event, property string, after, upTo int64, where func(*Event) bool) (n int, sum, min, max float64) {
	from, to := After(after), After(upTo)
	if floor := l.floor(); from.Compare(floor) < 0 {
		from = floor
	}
	if to.Compare(from) <= 0 {
		return 0, 0, 0, 0
	}
	var t total
	if where != nil {
		l.AscendOf(event, from, to, func(e *Event) bool {
			if where(e) {
				t.addEvent(e, property)
			}
			return true
		})
		return t.n, t.sum(), t.min, t.max
	}
	if l.tail != nil {
		for i := range l.tail.refs {
			r := &l.tail.refs[i]
			if r.max.Compare(from) > 0 && r.min.Compare(to) <= 0 {
				t.merge(l.tail.total(r, event, property, from, to))
			}
		}
	}
	if in := &l.inline; in.n > 0 && in.max.Compare(from) > 0 && in.min.Compare(to) <= 0 {
		t.merge(in.total(event, property, from, to))
	}
	return t.n, t.sum(), t.min, t.max
}

func (t *total) addEvent(e *Event, property string) {
	if property == "" {
		t.n++
	} else if f, ok := e.Properties.Get(property).Float(); ok {
		t.add(f)
	}
}

// total is that of the events between two positions.
func (in *inline) total(event, property string, from, to Position) (t total) {
	name, ok := in.words.find(event)
	if !ok {
		return t
	}
	var number uint32
	if property != "" {
		if number, ok = in.words.find(property); !ok {
			return t
		}
	}
	events := in.index()
	for i, end := events.behind(from), events.behind(to); i < end; i++ {
		if events.names[i] != name {
			continue
		}
		if property == "" {
			t.n++
		} else if f, ok := events.number(i, number); ok {
			t.add(f)
		}
	}
	return t
}

// total is that of a chunk's events between two positions. The chunk is opened only if they do not take in all of it,
// or if its index does not know.
func (t *tail) total(r *ref, event, property string, from, to Position) total {
	n, exact := t.count(r, event)
	if exact && n == 0 {
		return total{}
	}
	if from.Compare(r.min) < 0 && r.max.Compare(to) <= 0 {
		if exact && property == "" {
			return total{n: n}
		}
		if s := t.summary(r); s != nil && property != "" {
			if sum, known := s.find(event, property); known {
				return sum
			}
		}
	}
	c := t.open(r)
	column := c.column(event, property)
	if column == nil {
		return total{}
	}
	return column.total(uint32(c.behind(from)), uint32(c.behind(to)))
}

// summary is that of a chunk; nil if there is none.
func (t *tail) summary(r *ref) *summary {
	if r.index == 0 {
		return nil
	}
	s, err := t.index(r.index).summary(r.part)
	if err != nil {
		t.fail(err)
	}
	return s
}

const (
	columnBlock = 64
	noProperty  = math.MaxUint32
)

// column is what a chunk's events of one name have in one numeric property; without a property it is where they are.
type column struct {
	name, property uint32
	at             []uint32 // places of the events
	values         []float64
	blocks         []total // of each columnBlock values
}

// column is made when it is first asked for; nil if the chunk has neither the name nor the property.
func (c *chunk) column(event, property string) *column {
	name, ok := c.text.find(event)
	number := uint32(noProperty)
	if ok && property != "" {
		number, ok = c.text.find(property)
	}
	if !ok {
		return nil
	}
	for _, known := range c.columns {
		if known.name == name && known.property == number {
			return known
		}
	}
	made := &column{name: name, property: number}
	for i, n := range c.names {
		if n != name {
			continue
		}
		if number == noProperty {
			made.at = append(made.at, uint32(i))
			continue
		}
		f, ok := c.number(i, number)
		if !ok {
			continue
		}
		if len(made.values)%columnBlock == 0 {
			made.blocks = append(made.blocks, total{})
		}
		made.at, made.values = append(made.at, uint32(i)), append(made.values, f)
		made.blocks[len(made.blocks)-1].add(f)
	}
	c.columns = append(c.columns, made)
	return made
}

// total is that of the events from and up to, but not including, two places.
func (c *column) total(from, to uint32) (t total) {
	i := sort.Search(len(c.at), func(i int) bool { return c.at[i] >= from })
	end := sort.Search(len(c.at), func(i int) bool { return c.at[i] >= to })
	if c.property == noProperty {
		return total{n: end - i}
	}
	for i < end {
		if i%columnBlock == 0 && i+columnBlock <= end {
			t.merge(c.blocks[i/columnBlock])
			i += columnBlock
			continue
		}
		t.add(c.values[i])
		i++
	}
	return t
}
