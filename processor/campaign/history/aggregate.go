package history

import "math"

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
	if where != nil {
		t := l.totalOf(event, property, from, to, where)
		return t.n, t.sum(), t.min, t.max
	}
	var t total
	switch {
	case l.tail == nil || len(l.tail.refs) == 0:
	case property == "" && len(l.tail.refs) <= fewRefs:
		t.n = l.tail.counted(event, from, to)
	default:
		t = l.tail.total(event, property, from, to)
	}
	if l.inline.n > 0 {
		t.merge(l.inline.total(event, property, from, to))
	}
	return t.n, t.sum(), t.min, t.max
}

func (l *Log) totalOf(event, property string, from, to Position, where func(*Event) bool) (t total) {
	l.AscendOf(event, from, to, func(e *Event) bool {
		if where(e) {
			t.addEvent(e, property)
		}
		return true
	})
	return t
}

// Count is Aggregate's n without a property, for a where that says the same of an event whenever it is asked, and that key tells from
// others: what it has said of a chunk's events is remembered with the chunk.
func (l *Log) Count(event string, after, upTo int64, key any, where func(*Event) bool) (n int) {
	from, to := After(after), After(upTo)
	if floor := l.floor(); from.Compare(floor) < 0 {
		from = floor
	}
	if to.Compare(from) <= 0 {
		return 0
	}
	if l.tail != nil {
		for i := range l.tail.refs {
			r := &l.tail.refs[i]
			if r.max.Compare(from) <= 0 || r.min.Compare(to) > 0 {
				continue
			}
			if some, exact := l.tail.count(r, event); some > 0 || !exact {
				n += l.tail.open(r).matches(event, from, to, key, where)
			}
		}
	}
	if l.inline.n > 0 && l.inline.max.Compare(from) > 0 {
		t := l.inline.index()
		name, ok := t.words.find(event)
		for i := t.behind(from); ok && i < t.len() && t.places[i].Compare(to) <= 0; i++ {
			if t.names[i] == name && where(t.event(i)) {
				n++
			}
		}
	}
	return n
}

func (t *total) addEvent(e *Event, property string) {
	if property == "" {
		t.n++
	} else if f, ok := e.Properties.Get(property).Float(); ok {
		t.add(f)
	}
}

// sum is what the head's events of one name have in one numeric property, in order of arrival. It is brought up to date when it is
// asked for.
type sum struct {
	event, property string
	places          []Position
	values          []float64
	all             total
	at              int      // up to where in the records
	last            Position // of the event before that
}

// total is that of the events between two positions.
func (in *inline) total(event, property string, from, to Position) (t total) {
	if property == "" {
		return total{n: in.count(from, to, event)}
	}
	var s *sum
	for _, known := range in.sums {
		if known.event == event && known.property == property {
			s = known
		}
	}
	if s == nil {
		s = &sum{event: event, property: property}
		in.sums = append(in.sums, s)
	}
	in.update(s)
	if in.min.Compare(from) > 0 && in.max.Compare(to) <= 0 {
		return s.all
	}
	for i, p := range s.places {
		switch {
		case p.Compare(from) > 0 && p.Compare(to) <= 0:
			t.add(s.values[i])
		}
	}
	return t
}

// update adds the events that arrived since the last time.
func (in *inline) update(s *sum) {
	name, ok := in.words.find(s.event)
	number := uint32(0)
	if ok {
		number, ok = in.words.find(s.property)
	}
	if !ok {
		s.at, s.last = len(in.records), in.last
		return
	}
	for s.at < len(in.records) {
		difference, n, record := in.read(s.at)
		s.last.Time += difference.Time
		s.last.Seq += difference.Seq
		s.at = int(record.at + record.size)
		if n != name {
			continue
		}
		if f, ok := numeric(in.records[record.at:s.at], number); ok {
			s.places, s.values = append(s.places, s.last), append(s.values, f)
			s.all.add(f)
		}
	}
}

// memo is what the chunks add up to that lie behind a position, for all positions behind which it is the same ones.
type memo struct {
	event, property string
	from, until     Position // from <= position < until
	total
}

const tailMemos = 32

// total is that of the events between two positions: of the chunks that lie between them, then of those they cut.
func (t *tail) total(event, property string, from, to Position) (sum total) {
	whole := func(r *ref) bool { return r.min.Compare(from) > 0 && r.max.Compare(to) <= 0 }
	m := t.memo(event, property, from, to)
	if m != nil {
		sum = m.total
	} else {
		for i := range t.refs {
			if r := &t.refs[i]; whole(r) {
				sum.merge(t.whole(r, event, property))
			}
		}
		t.remember(event, property, from, to, sum)
	}
	for i := range t.refs {
		if r := &t.refs[i]; !whole(r) && r.max.Compare(from) > 0 && r.min.Compare(to) <= 0 {
			switch n, exact := t.count(r, event); {
			case n == 0 && exact:
			case r.short != nil && property == "":
				sum.n += r.short.count(event, from, to)
			default:
				sum.merge(t.open(r).total(event, property, from, to))
			}
		}
	}
	return sum
}

// fewRefs is how many chunks are few: to look at each costs less than to remember what they add up to.
const fewRefs = 16

// counted is how many events of a name there are between two positions.
func (t *tail) counted(event string, from, to Position) (n int) {
	word, known := t.names.find(event)
	for i := range t.refs {
		r := &t.refs[i]
		if r.max.Compare(from) <= 0 || r.min.Compare(to) > 0 {
			continue
		}
		switch some, exact := r.count(word, known); {
		case exact && (some == 0 || r.min.Compare(from) > 0 && r.max.Compare(to) <= 0):
			n += some
		case r.short != nil:
			for j, name := range r.short.names {
				if p := r.short.places[j]; name == word && p.Compare(from) > 0 && p.Compare(to) <= 0 {
					n++
				}
			}
		default:
			n += t.open(r).total(event, "", from, to).n
		}
	}
	return n
}

func (t *tail) memo(event, property string, from, to Position) *memo {
	if to.Compare(t.last) < 0 {
		return nil
	}
	for i := range t.memos {
		if m := &t.memos[i]; m.event == event && m.property == property && m.from.Compare(from) <= 0 && m.until.Compare(from) > 0 {
			return m
		}
	}
	return nil
}

// remember keeps what the chunks behind from add up to, unless some lie behind to.
func (t *tail) remember(event, property string, from, to Position, sum total) {
	if to.Compare(t.last) < 0 {
		return
	}
	m := memo{event, property, lowest, After(math.MaxInt64), sum}
	for i := range t.refs {
		switch edge := t.refs[i].min; {
		case edge.Compare(from) > 0 && edge.Compare(m.until) < 0:
			m.until = edge
		case edge.Compare(from) <= 0 && edge.Compare(m.from) > 0:
			m.from = edge
		}
	}
	if len(t.memos) >= tailMemos {
		t.memos = t.memos[:0]
	}
	t.memos = append(t.memos, m)
}

// count is how many events of that name the chunk has; it is not exact if only the chunk can tell.
func (t *tail) count(r *ref, name string) (n int, exact bool) {
	return r.count(t.names.find(name))
}

// count is tail.count of the name with a number, if there is one.
func (r *ref) count(word uint32, known bool) (n int, exact bool) {
	for i := range r.names {
		if c := &r.names[i]; known && c.word == word {
			return c.n, true
		}
	}
	return r.others, r.others == 0
}

// whole is the total of a chunk. The chunk is opened only if neither its reference nor its index tells.
func (t *tail) whole(r *ref, event, property string) total {
	n, exact := t.count(r, event)
	if exact && (n == 0 || property == "") {
		return total{n: n}
	}
	if s := t.summary(r); s != nil && property != "" {
		if sum, known := s.find(event, property); known {
			return sum
		}
	}
	return t.open(r).total(event, property, lowest, r.max)
}
