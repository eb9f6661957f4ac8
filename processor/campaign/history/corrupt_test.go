package history

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// questions asks a log everything; it is for what must not panic.
func questions(l *Log) {
	visit := func(e *Event) bool {
		e.Properties.Append(nil)
		return true
	}
	l.Ascend(lowest, After(always), visit)
	l.DescendOf("Charged", lowest, After(always), visit)
	for _, property := range []string{"", "amount"} {
		for _, after := range []int64{0, 1_700_000_000_000, 1_700_000_900_000, 1_700_100_000_000} {
			l.Aggregate("Charged", property, after, always, nil)
		}
		l.Aggregate("Charged", property, 0, 1_700_000_600_000, func(e *Event) bool { return e.ID != "" })
	}
	l.HasID(shop(3).ID)
	l.Len()
	l.Size()
}

// TestErrors tells of everything that can be wrong with the bytes.
func TestErrors(t *testing.T) {
	l, disk := shopLog(t, 400)
	head := l.AppendHead(nil)
	for name, c := range map[string]struct {
		head []byte
		want error
	}{
		"empty":         {nil, errCorrupt},
		"other version": {append([]byte{headVersion + 1}, head[1:]...), errVersion},
		"cut":           {head[:len(head)-1], errCorrupt},
	} {
		if l, _, err := Decode(c.head, disk.part); l != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for i := range head {
		if l, _, err := Decode(head[:i], disk.part); err == nil || l != nil {
			t.Errorf("a head of %d bytes instead of %d was accepted", i, len(head))
		}
	}
	for name, c := range map[string]struct {
		part func(n uint32) []byte
		want error
	}{
		"missing":       {func(uint32) []byte { return nil }, errMissing},
		"empty":         {func(uint32) []byte { return []byte{} }, errCorrupt},
		"other version": {func(n uint32) []byte { return append([]byte{version + 1}, disk.part(n)[1:]...) }, errVersion},
		"cut":           {func(n uint32) []byte { return disk.part(n)[:len(disk.part(n))-1] }, errCorrupt},
		"another one":   {func(n uint32) []byte { return disk.part(n%2 + 1) }, errCorrupt},
	} {
		for question, ask := range map[string]func(*Log){
			"HasID": func(l *Log) { l.HasID("none") },
			"sum":   func(l *Log) { l.Aggregate("Charged", "amount", 0, always, nil) },
			"walk":  func(l *Log) { l.Ascend(Position{}, After(always), func(*Event) bool { return true }) },
			"trim":  func(l *Log) { l.Add(shop(401), Limits{MaxEvents: 10}) },
			"merge": func(l *Log) {
				for i := range 300 {
					l.Add(shop(401+i), Limits{})
				}
			},
		} {
			l, _, err := Decode(head, c.part)
			if err != nil {
				t.Fatal(err)
			}
			if ask(l); !errors.Is(l.Err(), c.want) && (name != "another one" || l.Err() == nil) {
				t.Errorf("%s, %s: %v, want %v", name, question, l.Err(), c.want)
			}
			questions(l)
			l.Parts(func(n uint32, content []byte) {
				if _, stored := disk.parts[n]; stored && content == nil {
					t.Errorf("%s, %s: part %d is deleted though it could not be read", name, question, n)
				}
			})
		}
	}
}

// TestDamage changes every byte of a head, of chunks and of indexes in turn. What does not fail must not panic, and
// what cannot be decoded must be told of.
func TestDamage(t *testing.T) {
	l, disk := shopLog(t, 150)
	head := l.AppendHead(nil)
	try := func(head []byte, part func(uint32) []byte) {
		l, _, err := Decode(head, part)
		if err != nil {
			return
		}
		questions(l)
		for i := range 40 {
			l.Add(shop(150+i), Limits{MaxEvents: 100, MaxAge: 6_000_000})
		}
		l.AppendHead(nil)
		questions(l)
	}
	for i := range head {
		for _, change := range []byte{0x01, 0x40, 0xff} {
			broken := bytes.Clone(head)
			broken[i] ^= change
			try(broken, disk.part)
		}
	}
	for n, content := range disk.parts {
		for i := 0; i < len(content); i += 1 + len(content)/60 {
			broken := bytes.Clone(content)
			broken[i] ^= 0x81
			try(head, func(m uint32) []byte {
				if m == n {
					return broken
				}
				return disk.part(m)
			})
		}
	}
}

// TestOutOfRange has numbers that point just behind what they count.
func TestOutOfRange(t *testing.T) {
	b := built{hashes: []uint32{1, 2}}
	content := (*index)(nil).with(func(uint32) bool { return true }, 1, &b)
	if _, err := parseIndex(content); err != nil {
		t.Fatal(err)
	}
	content[len(content)-1] = 1 // the chunk that the second hash is of
	if _, err := parseIndex(content); err == nil {
		t.Error("a hash of a second chunk, of which there is none, was accepted")
	}
	for chunk, bad := range []bool{false, true} {
		cut := reader{src: []byte{1, byte(chunk), 1, 0, 0}}
		if cut.cuts(&tail{refs: []ref{{n: 2}}}); cut.bad != bad {
			t.Errorf("a cut into chunk %d of one: bad is %v", chunk, cut.bad)
		}
	}
	l, disk := shopLog(t, 100)
	l.Add(shop(100), Limits{MaxEvents: 90})
	r := &l.tail.refs[0]
	if r.dead == 0 {
		t.Fatal("the floor has not cut into the first chunk")
	}
	for name, change := range map[string]func() (undo func()){
		"as many passed as there are": func() func() { dead := r.dead; r.dead = r.n; return func() { r.dead = dead } },
		"a place behind the window": func() func() {
			next := r.ahead.next
			r.ahead.next = len(r.ahead.places) + 1
			return func() { r.ahead.next = next }
		},
		"a name behind the last": func() func() {
			c := &r.names[0]
			word := c.word
			c.word, l.tail.encoded = l.tail.names.n, nil
			return func() { c.word, l.tail.encoded = word, nil }
		},
		"more dead than alive": func() func() {
			dead := l.inline.dead
			l.inline.dead = l.inline.n + 1
			return func() { l.inline.dead = dead }
		},
	} {
		if _, _, err := Decode(l.AppendHead(nil), disk.part); err != nil {
			t.Fatalf("before %s: %v", name, err)
		}
		undo := change()
		if _, _, err := Decode(l.AppendHead(nil), disk.part); err == nil {
			t.Errorf("%s: accepted", name)
		}
		undo()
	}
}

// TestColumns spoils one column of a chunk after the other.
func TestColumns(t *testing.T) {
	l := &Log{}
	for i := range inlineEvents {
		l.Add(Event{Time: int64(i / 2), Name: "A", Properties: amount(1)}, Limits{})
	}
	content := l.tail.refs[0].content
	for name, spoil := range map[string]func(c *layout){
		"unknown name":      func(c *layout) { c.names[inlineEvents-1] = byte(c.words.n) },
		"same place":        func(c *layout) { c.seqs[1] = 0 },
		"earlier arrival":   func(c *layout) { c.seqs[1] = 1 },
		"times too long":    func(c *layout) { c.times = append(c.times, 0) },
		"seqs too long":     func(c *layout) { c.seqs = append(c.seqs, 0) },
		"names too long":    func(c *layout) { c.names = append(c.names, 0) },
		"sizes too long":    func(c *layout) { c.sizes = append(c.sizes, 0) },
		"records too long":  func(c *layout) { c.bodies = append(c.bodies, 0) },
		"records too short": func(c *layout) { c.bodies = c.bodies[1:] },
		"times too short":   func(c *layout) { c.times = c.times[1:] },
	} {
		raw, err := parseLayout(bytes.Clone(content))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseChunk(raw.content()); err != nil {
			t.Fatalf("before %s: %v", name, err)
		}
		spoil(&raw)
		if _, err := parseChunk(raw.content()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	raw, _ := parseLayout(bytes.Clone(content))
	raw.bodies[2] = byte(raw.words.n) // the name of the first property
	c, err := parseChunk(raw.content())
	if err != nil {
		t.Fatal(err)
	}
	if c.event(0); !c.broken {
		t.Error("a property without a name was accepted")
	}
	build([]source{{table: &c.table}}, want{sums: true})
}

// TestBrokenProperties finds what only the decoding of an event can find.
func TestBrokenProperties(t *testing.T) {
	l := &Log{}
	l.Add(shop(0), Limits{})
	for i := 1; i < 60; i++ {
		l.Add(shop(i), Limits{})
		head := l.AppendHead(nil)
		at := bytes.LastIndex(head, []byte("push"))
		if at < 0 {
			continue
		}
		head[at-2] = 0x7f // the kind of the value
		back, _, err := Decode(head, l.tailContent)
		if err != nil {
			continue
		}
		if questions(back); back.Err() == nil {
			t.Fatalf("event %d: an unknown kind of value was accepted", i)
		}
	}
	l, disk := shopLog(t, 60)
	for n, content := range disk.parts {
		if at := bytes.Index(content, []byte("push")); at > 0 {
			disk.parts[n] = slices.Concat(content[:at-2], []byte{0x7f}, content[at-1:])
		}
	}
	if questions(l); l.Err() == nil {
		t.Fatal("an unknown kind of value in a chunk was accepted")
	}
}

func (l *Log) tailContent(n uint32) []byte {
	if r := l.tail.ref(n); r != nil {
		return r.content
	}
	return nil
}

func FuzzDecode(f *testing.F) {
	for _, n := range []int{0, 1, 10, 40, 150, 600} {
		l, disk := shopLog(f, n)
		f.Add(l.AppendHead(nil), disk.parts[1], disk.parts[2])
		l, disk = &Log{}, newStore()
		for i := range n {
			l.Add(shop(i), Limits{MaxEvents: n - n/20, MaxAge: always})
		}
		disk.save(f, l)
		f.Add(l.AppendHead(nil), disk.parts[3], disk.parts[4])
	}
	f.Fuzz(func(t *testing.T, head, odd, even []byte) {
		l, rest, err := Decode(head, func(n uint32) []byte {
			if n%2 == 1 {
				return odd
			}
			return even
		})
		if err != nil {
			if l != nil || rest != nil {
				t.Fatal("an error, and a log too")
			}
			return
		}
		questions(l)
		for i := range 50 {
			l.Add(shop(i), Limits{MaxEvents: 60, MaxAge: 30_000_000})
		}
		questions(l)
		again, rest, err := Decode(l.AppendHead(nil), l.tailContent)
		if err != nil || len(rest) > 0 {
			t.Fatalf("a head written here: %v, %d bytes left", err, len(rest))
		}
		if again.inline.n != l.inline.n || len(again.refs()) != len(l.refs()) {
			t.Fatal("a head written here is read as another one")
		}
	})
}

func FuzzChunk(f *testing.F) {
	for _, n := range []int{15, 40, 150, 600} {
		_, disk := shopLog(f, n)
		for _, content := range disk.parts {
			f.Add(content)
		}
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if x, err := parseIndex(content); err == nil {
			x.find(hash("id"))
			for _, part := range x.parts {
				if s, err := x.summary(part); err == nil && s != nil {
					s.find("Charged", "amount")
				}
			}
			b := built{hashes: []uint32{1, 2}}
			if _, err := parseIndex(x.with(func(uint32) bool { return true }, 9, &b)); err != nil && len(x.parts) < 255 {
				t.Fatalf("an index written here: %v", err)
			}
		}
		c, err := parseChunk(content)
		if err != nil {
			return
		}
		for i := range c.places {
			c.event(i)
		}
		c.hasID("id", lowest)
		c.total("Charged", "amount", lowest, After(always))
		other := shopChunk(t)
		if slices.ContainsFunc(other.places, func(p Position) bool { return slices.Contains(c.places, p) }) {
			return
		}
		chunks, ok := build([]source{{table: &c.table}, {table: &other.table}}, want{hashes: true, sums: true, split: true})
		if !ok || len(chunks) != 1 {
			return
		}
		again, err := parseChunk(chunks[0].content)
		if err != nil || again.len() != c.len()+other.len() {
			t.Fatalf("a chunk written here: %v", err)
		}
		for i := range c.places {
			at := again.behind(c.places[i]) - 1
			if at < 0 || !c.broken && !sameEvent(c.event(i), again.event(at)) {
				t.Fatalf("event %d is no more what it was", i)
			}
		}
	})
}

// shopChunk is a chunk of events between those of shop.
func shopChunk(t testing.TB) *chunk {
	l := &Log{}
	for i := range inlineEvents {
		e := shop(i)
		e.Time += 500
		l.Add(e, Limits{})
	}
	c, err := parseChunk(l.tail.refs[0].content)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
